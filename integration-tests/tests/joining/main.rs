//! Hosts that join by token: a real agent on a host of a bed, a scheduler that speaks TLS, and the command line between them.

mod doctor;
mod place;
mod secrets;

use anyhow::{Context, Result, ensure};
use berth_integration_tests::cluster::SOON;
use berth_integration_tests::{Seen, TestBed, wait_until};
use serde_json::json;

use place::Place;

#[test]
fn a_host_joins_by_token_runs_a_task_and_is_the_same_after_a_restart_and_one_with_a_revoked_token_is_refused()
-> Result<()> {
    TestBed::with("joining", &["a", "b"], |bed| {
        let place = Place::start(bed)?;
        let token = place.berth(&["tokens", "create"])?.trim().to_owned();
        let mut agent = place.start_agent("a", &token, &[])?;
        let joined = place.wait_connected(1)?;

        let definition = bed.data_dir("sleeper.json");
        let container = json!({"name": "app", "image": "busybox", "memory": 16, "command": ["sleep", "1000"]});
        std::fs::write(
            &definition,
            json!({"family": "sleeper", "containerDefinitions": [container]}).to_string(),
        )?;
        place.berth(&["task-definitions", "register", &definition.display().to_string()])?;
        place.berth(&["run", "sleeper", "--wait", "--enable-execute-command"])?;
        let running = place.ask(&["ps"])?;
        let task = running["tasks"][0]["taskArn"].as_str().context("no task runs")?;
        let shown = place.execute(task, "sh -c 'echo $((6 * 7)) apples'")?;
        ensure!(shown.contains("42 apples"), "{shown}");

        // It starts again, after a kill, with the token still there: nobody asks for that, and it is who it was.
        agent.daemon().kill()?;
        agent.daemon().start_again()?;
        wait_until("the agent has joined the cluster again", SOON, || {
            let joins = place.log_of("agent")?.matches("joined the cluster").count();
            Ok(Seen::when(joins >= 2, || format!("{joins} times")))
        })?;
        ensure!(place.wait_connected(1)? == joined);
        ensure!(place.log_of("scheduler")?.matches("member joined").count() == 1);
        let running = place.ask(&["ps"])?;
        ensure!(running["tasks"][0]["lastStatus"] == "RUNNING", "{running}");

        // Another host has a token that the operator took back.
        let revoked = place.berth(&["tokens", "create"])?;
        let id = revoked.split('.').nth(1).context("a token has four parts")?;
        place.berth(&["tokens", "revoke", id])?;
        let other = place.start_agent("b", &revoked, &[])?;
        place.says("scheduler", "was revoked")?;
        place.says("agent", "this host cannot join the cluster")?;
        ensure!(place.wait_connected(1)? == joined);
        drop(other);

        // Its next agent asks a command for one, which has none yet.
        let parameter = bed.data_dir("parameter");
        let command = format!("cat {}", parameter.display());
        let _asking = place.start_agent_with("b", &["--join-token-command", &command])?;
        place.says("agent", "ask join-token-command for the join token: exit status: 1")?;
        std::fs::write(&parameter, place.berth(&["tokens", "create"])?)?;
        place.wait_connected(2)?;
        Ok(())
    })
}
