//! Sessions that are asked for of a scheduler to which the agent has no stream.

use std::mem::swap;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use berth_integration_tests::agent::Settings;
use berth_integration_tests::definition::shell;
use berth_integration_tests::{Cluster, Seen, TestBed, wait_until};
use serde_json::json;

use super::{OneHost, SOON};

pub(super) fn a_scheduler_reaches_agents_that_have_their_streams_with_another(_: &OneHost) -> Result<()> {
    TestBed::with("elsewhere", &["a"], |bed| {
        let (mut schedulers, _etcd) = bed.start_schedulers_on_etcd("shared", &[7700, 7701])?;
        let mut other = schedulers.pop().context("no second scheduler")?;
        let first = schedulers.pop().context("no first scheduler")?;
        let mut host = OneHost {
            cluster: Cluster::start_under(first, bed, "elsewhere", &["a"], &Settings::default())?,
            bed: Arc::clone(bed),
        };
        let containers = json!([shell("app", "echo begun; sleep 3600")]);
        let task = host.running("apart", containers, true)?;
        // From here on the scheduler is asked that has no stream of the agent.
        swap(&mut host.cluster.scheduler, &mut other);
        let printed = wait_until("a command is run through both schedulers", SOON, || {
            let output = host.output(&["exec", &task, "--", "sh", "-c", "echo out; exit 42"])?;
            Ok(match output.status.code() {
                Some(42) => Seen::Done(output.stdout),
                _ => Seen::NotYet(format!("{output:?}")),
            })
        })?;
        assert_eq!(String::from_utf8_lossy(&printed), "out\n");
        ensure!(host.printed(&["logs", &task])?.contains("begun"), "no log");
        // The one that has it ends.
        other.daemon().kill()?;
        let refused = host.output(&["exec", &task, "--", "true"])?;
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        ensure!(!refused.status.success(), "{refused:?}");
        ensure!(said.contains("has its stream with scheduler "), "{said}");
        // It is another then, of another number, and the agent finds it.
        other.start_again()?;
        wait_until("a command is run again", SOON, || {
            let output = host.output(&["exec", &task, "--", "true"])?;
            Ok(Seen::when(output.status.success(), || format!("{output:?}")))
        })
    })
}
