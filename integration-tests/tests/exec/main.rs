//! Commands that are run in containers, and logs that are read, with `berth` and the AWS CLI as people use them.

mod commands;
mod elsewhere;
mod logs;
mod plugin;

use std::process::{Command, ExitCode, Output};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, ensure};
use berth_integration_tests::agent::Settings;
use berth_integration_tests::command;
use berth_integration_tests::definition::{definition, shell};
use berth_integration_tests::suite::{self, Fixture};
use berth_integration_tests::{Cluster, TestBed, binaries, tests};
use serde_json::{Value, json};

/// How long a command may take on a busy machine.
const SOON: Duration = Duration::from_secs(60);

struct OneHost {
    cluster: Cluster,
    bed: Arc<TestBed>,
}

impl Fixture for OneHost {
    const AT_ONCE: Option<usize> = Some(1);

    fn start() -> Result<Self> {
        let bed = TestBed::new("exec", &["a"])?;
        let cluster = Cluster::start_on(&bed, "exec", &["a"], &Settings::default());
        if cluster.is_err() {
            bed.note_failure();
        }
        Ok(Self { cluster: cluster?, bed })
    }

    fn note_failure(&self) {
        self.bed.note_failure();
    }
}

fn main() -> ExitCode {
    suite::main::<OneHost>(tests![
        commands::a_command_ends_with_its_exit_code_and_its_own_output,
        commands::standard_input_reaches_the_command_and_so_does_its_end,
        commands::ten_mebibytes_come_back_as_they_went,
        commands::a_command_with_a_terminal_has_its_size,
        commands::bytes_of_a_terminal_are_nobodys_framing,
        commands::a_task_that_was_not_started_for_it_takes_no_command,
        commands::a_container_that_ends_ends_its_sessions,
        commands::a_command_is_hung_up_on_when_nobody_is_there_any_more,
        commands::a_token_is_good_once,
        commands::who_ran_what_is_in_the_history_of_the_task,
        commands::a_host_logs_what_commands_write_where_the_cluster_says_so,
        plugin::the_aws_cli_shows_a_command_in_a_terminal_of_its_size,
        plugin::what_is_typed_at_the_aws_cli_is_typed_in_the_container,
        plugin::a_terminal_of_the_aws_cli_that_changes_its_size_does_so_in_the_container,
        plugin::an_agent_takes_commands_where_its_task_was_started_for_that,
        plugin::output_is_sent_again_to_a_client_that_shows_nothing_yet,
        plugin::much_output_arrives_whole,
        plugin::what_is_pasted_faster_than_it_is_read_arrives_whole,
        plugin::a_command_is_hung_up_on_when_the_plugin_is_gone,
        plugin::a_token_opens_one_data_channel,
        plugin::a_plugin_that_asks_to_resume_its_session_is_told_that_it_is_over,
        plugin::a_program_that_is_not_there_is_told_to_the_client,
        logs::the_containers_of_a_task_are_told_in_the_order_of_time,
        logs::the_tail_and_the_time_choose_lines,
        logs::a_service_is_followed_into_tasks_that_it_starts_later,
        elsewhere::a_scheduler_reaches_agents_that_have_their_streams_with_another,
    ])
}

impl OneHost {
    /// Runs one task of these containers, with leave to run commands in it or without, and waits until it runs.
    fn running(&self, family: &str, containers: Value, enabled: bool) -> Result<String> {
        let definition = self.cluster.register(&definition(family, containers))?;
        let more = json!({"enableExecuteCommand": enabled});
        let arns = self.cluster.run(&definition, 1, &more)?;
        self.cluster.wait_running(&arns)?;
        arns.into_iter()
            .next()
            .ok_or_else(|| anyhow::anyhow!("RunTask started nothing"))
    }

    /// A task that idles, in which commands may be run.
    fn idle(&self, family: &str) -> Result<String> {
        self.running(family, json!([shell("app", "sleep 3600")]), true)
    }

    fn stop(&self, arn: &str) -> Result<()> {
        self.cluster.stop(&[arn.to_owned()])?;
        self.cluster.wait_stopped(&[arn.to_owned()]).map(drop)
    }

    /// `berth` with these words.
    fn berth(&self, words: &[&str]) -> Result<Command> {
        let mut berth = Command::new(binaries::path("berth")?);
        berth
            .args([
                "--scheduler",
                &self.cluster.scheduler.url(),
                "--cluster",
                self.cluster.name(),
            ])
            .args(words)
            .env_remove("NO_COLOR");
        Ok(berth)
    }

    fn output(&self, words: &[&str]) -> Result<Output> {
        command::output(&mut self.berth(words)?, SOON)
    }

    /// What it prints, where it succeeds.
    fn printed(&self, words: &[&str]) -> Result<String> {
        let output = self.output(words)?;
        ensure!(output.status.success(), "{words:?}: {output:?}");
        Ok(String::from_utf8(output.stdout)?)
    }
}
