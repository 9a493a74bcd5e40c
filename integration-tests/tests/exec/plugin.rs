//! `aws ecs execute-command`: the unmodified AWS CLI, with pyssm-client for the session-manager-plugin, which no registry has; and
//! the plugin's protocol by the letter (`channel.py`).

use std::io::{Read, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Output, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use berth_integration_tests::aws::Aws;
use berth_integration_tests::{Seen, command, wait_until};
use serde_json::{Value, json};

use super::commands::runs;
use super::{OneHost, SOON};

/// How long a client that nothing holds up may take.
const PROMPT: Duration = Duration::from_secs(20);

/// The AWS CLI in a terminal.
struct Terminal {
    child: Child,
    keys: ChildStdin,
    shown: Arc<Mutex<Vec<u8>>>,
}

impl Terminal {
    /// Runs the lines of a shell in a terminal of 33 lines and 77 characters, the last of which is the CLI.
    fn open(bed: &OneHost, task: &str, line: &str, meanwhile: &str) -> Result<Self> {
        let aws = Aws::new(bed.cluster.ecs())?;
        let line = format!(
            "stty rows 33 cols 77; {meanwhile} exec aws ecs execute-command --cluster {} --task {task} --interactive --command '{line}'",
            bed.cluster.name()
        );
        let mut script = aws.interactive("script")?;
        script.args(["--quiet", "--return", "--flush", "--command", &line, "/dev/null"]);
        let mut child = script.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let keys = child.stdin.take().context("no keys")?;
        let mut screen = child.stdout.take().context("no screen")?;
        let shown = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&shown);
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(count @ 1..) = screen.read(&mut bytes) {
                seen.lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .extend(&bytes[..count]);
            }
        });
        Ok(Self { child, keys, shown })
    }

    fn shown(&self) -> String {
        let shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&shown).into_owned()
    }

    fn shows(&self, text: &str) -> Result<()> {
        wait_until(&format!("'{text}' is shown"), SOON, || {
            let shown = self.shown();
            Ok(if shown.contains(text) {
                Seen::Done(())
            } else {
                Seen::NotYet(shown)
            })
        })
    }

    fn press(&mut self, keys: &str) -> Result<()> {
        self.keys.write_all(keys.as_bytes())?;
        Ok(self.keys.flush()?)
    }

    /// All that was shown, when the CLI has ended well.
    fn ended(mut self) -> Result<String> {
        let status = command::wait(&mut self.child, SOON)?;
        let shown = self.shown();
        ensure!(status.is_some_and(|status| status.success()), "{status:?}: {shown}");
        Ok(shown)
    }
}

pub(super) fn the_aws_cli_shows_a_command_in_a_terminal_of_its_size(bed: &OneHost) -> Result<()> {
    let task = bed.idle("aws-exec")?;
    let line = r#"sh -c "sleep 1; stty size; echo \"two words\"; exit 3""#;
    let shown = Terminal::open(bed, &task, line, "")?.ended()?;
    ensure!(
        shown.contains("Starting session with SessionId: ecs-execute-command-"),
        "{shown}"
    );
    ensure!(shown.contains("33 77") && shown.contains("two words"), "{shown}");
    ensure!(shown.contains("exit code 3"), "{shown}");
    let story = bed.printed(&["history", "task", &task])?;
    ensure!(story.contains("exit code 3") && story.contains("ecs 1"), "{story}");
    bed.stop(&task)
}

pub(super) fn what_is_typed_at_the_aws_cli_is_typed_in_the_container(bed: &OneHost) -> Result<()> {
    let task = bed.idle("aws-keys")?;
    let mut terminal = Terminal::open(bed, &task, "sh", "")?;
    terminal.shows("# ")?;
    terminal.press("echo $((6 * 7)) apples\r")?;
    terminal.shows("42 apples")?;
    terminal.press("sleep 4712\r")?;
    runs(bed, &task, "sleep 4712", 1)?;
    terminal.press("\x03")?;
    runs(bed, &task, "sleep 4712", 0)?;
    terminal.press("echo $((6 * 8)) pears\r")?;
    terminal.shows("48 pears")?;
    terminal.press("exit\r")?;
    terminal.ended()?;
    bed.stop(&task)
}

pub(super) fn a_terminal_of_the_aws_cli_that_changes_its_size_does_so_in_the_container(bed: &OneHost) -> Result<()> {
    let task = bed.idle("aws-resize")?;
    let line = r#"sh -c "until stty size | grep \"44 99\"; do sleep 0.2; done""#;
    let later = "(sleep 4; stty rows 44 cols 99 < /dev/tty) &";
    let shown = Terminal::open(bed, &task, line, later)?.ended()?;
    ensure!(shown.contains("44 99"), "{shown}");
    bed.stop(&task)
}

pub(super) fn an_agent_takes_commands_where_its_task_was_started_for_that(bed: &OneHost) -> Result<()> {
    let aws = Aws::new(bed.cluster.ecs())?;
    let agent = |task: &str| -> Result<Value> {
        let described = aws.ecs(&["describe-tasks", "--cluster", bed.cluster.name(), "--tasks", task])?;
        Ok(described["tasks"][0]["containers"][0]["managedAgents"][0].clone())
    };
    let task = bed.idle("aws-agent")?;
    let told = agent(&task)?;
    ensure!(
        told["name"] == "ExecuteCommandAgent" && told["lastStatus"] == "RUNNING",
        "{told}"
    );
    bed.stop(&task)?;
    let told = agent(&task)?;
    ensure!(told["lastStatus"] == "STOPPED", "{told}");
    Ok(())
}

pub(super) fn output_is_sent_again_to_a_client_that_shows_nothing_yet(bed: &OneHost) -> Result<()> {
    let task = bed.idle("deaf")?;
    let output = enter(
        bed,
        &open(bed, &task, "sh -c 'echo first; sleep 1; echo second'")?,
        &["deaf", "3"],
    )?;
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        "first\r\nsecond\r\n",
        "{output:?}"
    );
    let told = told(&output)?;
    assert_eq!(told["closed"]["Output"], "", "{told}");
    bed.stop(&task)
}

pub(super) fn much_output_arrives_whole(bed: &OneHost) -> Result<()> {
    let task = bed.idle("much")?;
    let output = enter(bed, &open(bed, &task, "seq 200000")?, &[])?;
    let shown = String::from_utf8(output.stdout.clone())?;
    let wrong = shown
        .split("\r\n")
        .zip(1_u32..)
        .find(|(line, number)| *line != number.to_string());
    // After the last line there is an empty one.
    assert_eq!(
        wrong,
        Some(("", 200_001)),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    bed.stop(&task)
}

pub(super) fn what_is_pasted_faster_than_it_is_read_arrives_whole(bed: &OneHost) -> Result<()> {
    let task = bed.idle("paste")?;
    // More than is held on its way to the command, which begins to read late and whose terminal echoes nothing.
    let line = r#"sh -c 'stty raw -echo; echo ready; sleep 2; head -n 60001 | md5sum'"#;
    let output = enter(bed, &open(bed, &task, line)?, &["paste", "60000"])?;
    let told = told(&output)?;
    let sum = told["pasted"].as_str().context("nothing was pasted")?;
    let shown = String::from_utf8_lossy(&output.stdout);
    ensure!(
        shown.contains(sum),
        "{told}: {} bytes were shown: {:?}",
        shown.len(),
        shown.lines().last()
    );
    bed.stop(&task)
}

pub(super) fn a_command_is_hung_up_on_when_the_plugin_is_gone(bed: &OneHost) -> Result<()> {
    let task = bed.idle("aws-gone")?;
    let opened = open(bed, &task, "sleep 4713")?;
    std::thread::scope(|scope| {
        let client = scope.spawn(|| enter(bed, &opened, &["leave"]));
        runs(bed, &task, "sleep 4713", 1)?;
        let output = client.join().map_err(|_| anyhow::anyhow!("the client panicked"))??;
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        runs(bed, &task, "sleep 4713", 0)
    })?;
    bed.stop(&task)
}

pub(super) fn a_token_opens_one_data_channel(bed: &OneHost) -> Result<()> {
    let task = bed.idle("aws-token")?;
    let opened = open(bed, &task, "echo hello")?;
    let mut wrong = opened.clone();
    wrong["tokenValue"] = "0".into();
    let told_of = |session: &Value| -> Result<(String, String)> {
        let output = enter(bed, session, &[])?;
        let shown = String::from_utf8_lossy(&output.stdout).into_owned();
        let told = match told(&output) {
            Ok(told) => told["closed"]["Output"].as_str().unwrap_or_default().to_owned(),
            Err(_) => String::from_utf8_lossy(&output.stderr).into_owned(),
        };
        Ok((shown, told))
    };
    let (shown, told) = told_of(&wrong)?;
    ensure!(shown.is_empty() && told.contains("token is wrong"), "{shown}{told}");
    assert_eq!(told_of(&opened)?, ("hello\r\n".to_owned(), String::new()));
    let (shown, told) = told_of(&opened)?;
    ensure!(shown.is_empty() && told.contains("HTTP 404"), "{shown}{told}");
    bed.stop(&task)
}

pub(super) fn a_plugin_that_asks_to_resume_its_session_is_told_that_it_is_over(bed: &OneHost) -> Result<()> {
    let script = format!(
        "ssm = boto3.client('ssm', endpoint_url='{}')\nprint('TokenValue' in ssm.resume_session(SessionId='ecs-execute-command-0'))",
        bed.cluster.scheduler.url()
    );
    assert_eq!(Aws::new(bed.cluster.ecs())?.boto3(&script)?.trim(), "False");
    Ok(())
}

pub(super) fn a_program_that_is_not_there_is_told_to_the_client(bed: &OneHost) -> Result<()> {
    let task = bed.idle("aws-missing")?;
    let begun = Instant::now();
    let output = enter(bed, &open(bed, &task, "/no/such/program")?, &[])?;
    ensure!(begun.elapsed() < PROMPT, "{:?}", begun.elapsed());
    let shown = String::from_utf8_lossy(&output.stdout).into_owned() + &told(&output)?.to_string();
    ensure!(shown.contains("no such file or directory"), "{shown}");
    bed.stop(&task)
}

/// What ExecuteCommand opens, as the CLI gives it to the plugin.
fn open(bed: &OneHost, task: &str, line: &str) -> Result<Value> {
    let request = json!({"cluster": bed.cluster.name(), "task": task, "command": line});
    let script = format!(
        "request = json.loads({:?})\nprint(json.dumps(ecs.execute_command(interactive=True, **request)['session']))",
        request.to_string()
    );
    Ok(serde_json::from_str(&Aws::new(bed.cluster.ecs())?.boto3(&script)?)?)
}

/// `channel.py` in the session.
fn enter(bed: &OneHost, session: &Value, words: &[&str]) -> Result<Output> {
    let text = |member: &str| session[member].as_str().context("the session lacks a member");
    let aws = Aws::new(bed.cluster.ecs())?;
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/exec/channel.py");
    let mut python = aws.interactive("python")?;
    python
        .arg(script)
        .args([text("streamUrl")?, text("tokenValue")?])
        .args(words);
    command::output(&mut python, 2 * SOON)
}

/// How the channel ended.
fn told(output: &Output) -> Result<Value> {
    let text = String::from_utf8_lossy(&output.stderr);
    serde_json::from_str(&text).with_context(|| format!("the client ended otherwise: {text}"))
}
