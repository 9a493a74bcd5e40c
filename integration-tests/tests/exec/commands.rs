//! `berth exec`.

use std::io::{Read, Write};
use std::process::Stdio;

use anyhow::{Context, Result, ensure};
use berth_integration_tests::command;
use berth_integration_tests::definition::shell;
use berth_integration_tests::grpc::Client;
use berth_integration_tests::{Seen, wait_until};
use berth_proto::session::v1::{Begin, ToContainer, to_container};
use berth_proto::v1::{ExecuteCommandRequest, ExecuteCommandResponse};
use prost::Message;
use serde_json::{Value, json};

use super::{OneHost, SOON};

pub(super) fn a_command_ends_with_its_exit_code_and_its_own_output(bed: &OneHost) -> Result<()> {
    let task = bed.idle("exit-code")?;
    let output = bed.output(&["exec", &task, "--", "sh", "-c", "echo out; echo err >&2; exit 42"])?;
    assert_eq!(output.status.code(), Some(42), "{output:?}");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "out\n");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "err\n");
    let missing = bed.output(&["exec", &task, "--", "/no/such/program"])?;
    ensure!(!missing.status.success(), "{missing:?}");
    bed.stop(&task)
}

pub(super) fn standard_input_reaches_the_command_and_so_does_its_end(bed: &OneHost) -> Result<()> {
    let task = bed.idle("input")?;
    let mut berth = bed.berth(&["exec", "-i", &task, "--", "sh", "-c", "wc -c; echo ended"])?;
    let mut child = berth.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    let mut input = child.stdin.take().context("no standard input")?;
    input.write_all(b"twelve bytes")?;
    drop(input);
    let status = command::wait(&mut child, SOON)?.context("it does not end")?;
    let mut printed = String::new();
    child.stdout.take().context("no output")?.read_to_string(&mut printed)?;
    ensure!(status.success(), "{status}: {printed}");
    assert_eq!(printed.split_whitespace().collect::<Vec<_>>(), ["12", "ended"]);
    // Without --interactive it has none.
    assert_eq!(bed.printed(&["exec", &task, "--", "wc", "-c"])?.trim(), "0");
    bed.stop(&task)
}

pub(super) fn ten_mebibytes_come_back_as_they_went(bed: &OneHost) -> Result<()> {
    const BYTES: usize = 10 * 1024 * 1024;
    let task = bed.idle("bulk")?;
    let sent: Vec<u8> = (0_u32..).flat_map(u32::to_le_bytes).take(BYTES).collect();
    let mut berth = bed.berth(&["exec", "-i", &task, "--", "cat"])?;
    let mut child = berth.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    let mut input = child.stdin.take().context("no standard input")?;
    let mut output = child.stdout.take().context("no output")?;
    let copy = sent.clone();
    let writer = std::thread::spawn(move || input.write_all(&copy));
    let mut received = Vec::with_capacity(BYTES);
    output.read_to_end(&mut received)?;
    writer.join().map_err(|_| anyhow::anyhow!("the writer panicked"))??;
    let status = command::wait(&mut child, SOON)?.context("it does not end")?;
    ensure!(status.success(), "{status}");
    ensure!(received == sent, "{} of {BYTES} bytes, or others", received.len());
    bed.stop(&task)
}

pub(super) fn a_command_with_a_terminal_has_its_size(bed: &OneHost) -> Result<()> {
    let task = bed.idle("terminal")?;
    // `script` gives berth a terminal, and the shell in it a size.
    let url = bed.cluster.scheduler.url();
    let berth = berth_integration_tests::binaries::path("berth")?;
    let line = format!(
        "stty rows 33 cols 77; {} --scheduler {url} --cluster {} exec -it {task} -- sh -c 'sleep 1; stty size; exit 5'",
        berth.display(),
        bed.cluster.name()
    );
    let mut script = std::process::Command::new("script");
    script.args(["--quiet", "--return", "--command", &line, "/dev/null"]);
    let output = command::output(&mut script, SOON)?;
    let printed = String::from_utf8_lossy(&output.stdout);
    ensure!(printed.contains("33 77"), "{output:?}");
    assert_eq!(output.status.code(), Some(5), "{output:?}");
    bed.stop(&task)
}

pub(super) fn bytes_of_a_terminal_are_nobodys_framing(bed: &OneHost) -> Result<()> {
    let task = bed.idle("framing")?;
    let script = r"printf '\001\000\000\000\377\377\377\377end'";
    let output = bed.output(&["exec", "-t", &task, "--", "sh", "-c", script])?;
    assert_eq!(output.stdout, b"\x01\0\0\0\xff\xff\xff\xffend", "{output:?}");
    bed.stop(&task)
}

pub(super) fn a_task_that_was_not_started_for_it_takes_no_command(bed: &OneHost) -> Result<()> {
    let task = bed.running("refused", json!([shell("app", "sleep 3600")]), false)?;
    let output = bed.output(&["exec", &task, "--", "true"])?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    ensure!(
        said.contains("InvalidParameterException: The execute command failed because execute command was not enabled"),
        "{said}"
    );
    bed.stop(&task)
}

pub(super) fn a_container_that_ends_ends_its_sessions(bed: &OneHost) -> Result<()> {
    let task = bed.idle("ended")?;
    let mut child = bed.berth(&["exec", &task, "--", "sleep", "3601"])?.spawn()?;
    runs(bed, &task, "sleep 3601", 1)?;
    bed.stop(&task)?;
    let status = command::wait(&mut child, SOON)?.context("the session goes on")?;
    ensure!(!status.success(), "{status}");
    Ok(())
}

pub(super) fn a_command_is_hung_up_on_when_nobody_is_there_any_more(bed: &OneHost) -> Result<()> {
    let task = bed.idle("hang-up")?;
    let mut child = bed.berth(&["exec", &task, "--", "sleep", "4711"])?.spawn()?;
    runs(bed, &task, "sleep 4711", 1)?;
    child.kill()?;
    child.wait()?;
    runs(bed, &task, "sleep 4711", 0)?;
    bed.stop(&task)
}

pub(super) fn a_token_is_good_once(bed: &OneHost) -> Result<()> {
    let task = bed.idle("token")?;
    let address = bed.cluster.scheduler.url();
    let client = Client::new(address.trim_start_matches("http://").parse()?)?;
    let open = ExecuteCommandRequest {
        cluster: Some(bed.cluster.name().to_owned()),
        task: Some(task.clone()),
        command: vec!["true".to_owned()],
        ..ExecuteCommandRequest::default()
    };
    let opened = client.call("/berth.v1.Sessions/ExecuteCommand", open.encode_to_vec())?;
    let opened = opened.map_err(|status| anyhow::anyhow!("{status}"))?;
    let opened = ExecuteCommandResponse::decode(opened.as_slice())?;
    let enter = |token: &str| {
        let begin = Begin {
            session_id: opened.session_id.clone(),
            token: token.to_owned(),
        };
        let message = ToContainer {
            message: Some(to_container::Message::Begin(begin)),
        };
        client.call("/berth.v1.Sessions/Attach", message.encode_to_vec())
    };
    let wrong = enter("0").map(|answer| answer.map_err(|status| status.message().to_owned()))?;
    ensure!(
        wrong.is_err_and(|text| text.contains("token is wrong")),
        "a wrong token enters"
    );
    let entered = enter(&opened.token_value)?;
    ensure!(entered.is_ok(), "a wrong token has used up the right one: {entered:?}");
    let again = enter(&opened.token_value).map(|answer| answer.map_err(|status| status.message().to_owned()))?;
    ensure!(
        again.is_err_and(|text| text.contains("was used before")),
        "a token enters twice"
    );
    bed.stop(&task)
}

pub(super) fn who_ran_what_is_in_the_history_of_the_task(bed: &OneHost) -> Result<()> {
    let task = bed.idle("history")?;
    bed.output(&["exec", &task, "--", "sh", "-c", "exit 3"])?;
    wait_until("the end of the session is told", SOON, || {
        let story = bed.printed(&["history", "task", &task])?;
        let told = story.contains("command may be run in container app: sh -c exit 3") && story.contains("exit code 3");
        Ok(if told { Seen::Done(()) } else { Seen::NotYet(story) })
    })?;
    bed.stop(&task)
}

pub(super) fn a_host_logs_what_commands_write_where_the_cluster_says_so(bed: &OneHost) -> Result<()> {
    let task = bed.idle("recorded")?;
    let configure = |commands: Value| {
        let configuration = json!({"executeCommandConfiguration": commands});
        let input = json!({"cluster": bed.cluster.name(), "configuration": configuration});
        bed.cluster.ecs().call("UpdateCluster", &input)
    };
    // Told apart from the command itself, which the log of the agent need not have.
    let run = |number: usize| {
        bed.printed(&[
            "exec",
            &task,
            "--",
            "sh",
            "-c",
            &format!("echo audit-$(({number} + 1))"),
        ])
    };
    let log = || std::fs::read_to_string(bed.bed.lane().log_dir().join("a-agent.log")).context("the agent's log");

    run(10)?;
    let logging = json!({"logging": "OVERRIDE", "logConfiguration": {"cloudWatchLogGroupName": "/ecs/commands"}});
    let told = configure(logging)?;
    let told = &told["cluster"]["configuration"]["executeCommandConfiguration"]["logConfiguration"];
    ensure!(told["cloudWatchLogGroupName"] == "/ecs/commands", "{told}");
    run(20)?;
    wait_until("what the command has written is in the log", SOON, || {
        let log = log()?;
        let record = log.lines().find(|line| line.contains("audit-21"));
        Ok(Seen::when(
            record.is_some_and(|record| record.contains("/ecs/commands") && record.contains("ecs-execute-command-")),
            || log.clone(),
        ))
    })?;
    configure(json!({"logging": "NONE"}))?;
    run(30)?;
    bed.stop(&task)?;
    let log = log()?;
    ensure!(!log.contains("audit-11") && !log.contains("audit-31"), "{log}");
    Ok(())
}

/// Waits until so many processes of the line run in the task's container.
pub(super) fn runs(bed: &OneHost, task: &str, line: &str, count: usize) -> Result<()> {
    wait_until("as many processes run as should", SOON, || {
        let listed = bed.printed(&["exec", task, "--", "ps", "-o", "args"])?;
        let found = listed.lines().filter(|found| found.trim() == line).count();
        Ok(if found == count {
            Seen::Done(())
        } else {
            Seen::NotYet(listed)
        })
    })
}
