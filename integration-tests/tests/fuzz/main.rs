//! The parsers of what comes from outside, against inputs that nobody would write.
//!
//! Each test takes the corpus of its parser, mutates and recombines it, keeps what the parser accepts as more corpus, and
//! checks what must hold of every input. A run of `make test` is short and always the same; `make fuzz` goes on for
//! `BERTH_FUZZ_SECONDS` with another seed each time. What fails is printed as a line for the corpus, where it is tried
//! first from then on. Files of the corpus that end in `.txt` have an input a line; any other file is one.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a test may panic and say why"
)]

mod access;
mod agent;
mod channel;
mod compose;
mod definitions;
mod expressions;
mod input;
mod names;
mod runner;

use crate::runner::{Target, hold};

#[test]
fn expressions_of_the_query_language_are_read_or_refused_at_a_place() {
    hold(&Target {
        corpus: "expressions",
        tokens: expressions::TOKENS,
        check: expressions::check,
    });
}

#[test]
fn placement_rules_are_read_or_refused_with_a_reason() {
    hold(&Target {
        corpus: "placement",
        tokens: definitions::TOKENS,
        check: definitions::check_placement,
    });
}

#[test]
fn arns_and_ids_that_are_read_are_written_the_same_again() {
    hold(&Target {
        corpus: "arns",
        tokens: names::ARN_TOKENS,
        check: names::check_arns,
    });
}

#[test]
fn image_names_keep_their_registry_when_they_are_pulled() {
    hold(&Target {
        corpus: "image-names",
        tokens: names::IMAGE_TOKENS,
        check: names::check_images,
    });
}

#[test]
fn task_definitions_that_are_valid_stay_the_same_when_registered_again() {
    hold(&Target {
        corpus: "task-definitions",
        tokens: definitions::TOKENS,
        check: definitions::check_definition,
    });
}

#[test]
fn records_of_the_agent_are_read_as_they_were_written_or_not_at_all() {
    hold(&Target {
        corpus: "records",
        tokens: definitions::TOKENS,
        check: agent::check_record,
    });
}

#[test]
fn any_text_of_control_groups_gives_figures() {
    hold(&Target {
        corpus: "control-groups",
        tokens: agent::CONTROL_GROUP_TOKENS,
        check: agent::check_control_groups,
    });
}

#[test]
fn logs_are_told_the_same_however_they_are_cut_up() {
    hold(&Target {
        corpus: "streams",
        tokens: agent::STREAM_TOKENS,
        check: agent::check_stream,
    });
}

#[test]
fn what_clients_of_data_channels_send_is_told_the_same_in_whatever_order_it_comes() {
    hold(&Target {
        corpus: "data-channel",
        tokens: channel::TOKENS,
        check: channel::check,
    });
}

#[test]
fn what_requests_present_is_read_or_refused_in_awss_classes() {
    hold(&Target {
        corpus: "authorization",
        tokens: access::AUTHORIZATION_TOKENS,
        check: access::check_authorization,
    });
}

#[test]
fn policies_that_are_read_are_written_the_same_again_and_judge_every_call() {
    hold(&Target {
        corpus: "policies",
        tokens: access::POLICY_TOKENS,
        check: access::check_policy,
    });
}

#[test]
fn compose_files_become_valid_definitions_or_are_refused_at_a_place() {
    hold(&Target {
        corpus: "compose",
        tokens: compose::COMPOSE_TOKENS,
        check: compose::check_compose,
    });
}

#[test]
fn dockerruns_become_valid_definitions_or_are_refused_at_a_place() {
    hold(&Target {
        corpus: "dockerrun",
        tokens: compose::DOCKERRUN_TOKENS,
        check: compose::check_dockerrun,
    });
}
