//! How long a change of a container takes to be readable: from the time that Docker gives it to the answer of
//! DescribeTasks that first shows it.

use std::collections::BTreeMap;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail, ensure};
use berth_integration_tests::Cluster;
use berth_integration_tests::cluster::{SOON, container_of};
use serde_json::json;

use crate::definition;

/// Tasks in all.
pub(crate) const TASKS: usize = 200;
/// Tasks of a wave; all of it is kept when the wave is over, for a look at Docker's times.
const WAVE: usize = 20;
/// Tasks of one RunTask, the largest number that ECS takes.
const BATCH: usize = 10;
/// Between two looks; it is part of what is measured.
const PAUSE: Duration = Duration::from_millis(10);
const DAY_SECONDS: f64 = 86_400.0;
/// What 99 of 100 reports must keep to, on a machine that does nothing else.
const BAR_MS: f64 = 1000.0;

/// Seconds of each report, shortest first.
#[derive(Debug, Default)]
pub(crate) struct Lags {
    pub(crate) running: Vec<f64>,
    pub(crate) stopped: Vec<f64>,
}

impl Lags {
    /// What is too slow.
    pub(crate) fn problems(&self) -> Vec<String> {
        let states = [("RUNNING", &self.running), ("STOPPED", &self.stopped)];
        let late = states.into_iter().filter_map(|(state, times)| {
            let p99 = quantile_ms(times, 0.99);
            (p99 > BAR_MS).then(|| format!("p99 of reports of {state} is {p99:.0} ms; the bar is {BAR_MS} ms"))
        });
        late.collect()
    }
}

/// The time that this share of the reports did not exceed.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "an index of a few hundred"
)]
pub(crate) fn quantile_ms(sorted: &[f64], share: f64) -> f64 {
    let at = ((sorted.len() as f64 * share) as usize).min(sorted.len().saturating_sub(1));
    sorted.get(at).map_or(f64::NAN, |seconds| seconds * 1000.0)
}

/// Runs the waves.
///
/// # Errors
///
/// If a task is lost, or ends otherwise than it should.
pub(crate) fn waves(cluster: &Cluster) -> Result<Lags> {
    let mut lags = Lags::default();
    for wave in 0..TASKS / WAVE {
        let code = [0, 3][wave % 2];
        wave_of(cluster, code, &mut lags)?;
    }
    // Of a task that was over when it was first seen no report of RUNNING is known; there are few.
    ensure!(
        lags.running.len() > TASKS / 2 && lags.stopped.len() == TASKS,
        "{} tasks were seen running, {} stopped",
        lags.running.len(),
        lags.stopped.len()
    );
    lags.running.sort_by(f64::total_cmp);
    lags.stopped.sort_by(f64::total_cmp);
    Ok(lags)
}

/// When a state was first seen.
#[derive(Debug, Default)]
struct Sight {
    running: Option<SystemTime>,
    stopped: Option<SystemTime>,
}

fn wave_of(cluster: &Cluster, code: i64, lags: &mut Lags) -> Result<()> {
    let script = format!("sleep 1; exit {code}");
    let definition = cluster.register(&definition(&format!("short-{code}"), &script))?;
    let mut sights: BTreeMap<String, Sight> = BTreeMap::new();
    let started = Instant::now();
    while sights.len() < WAVE {
        let arns = cluster.run(&definition, BATCH, &json!({}))?;
        sights.extend(arns.into_iter().map(|arn| (arn, Sight::default())));
    }
    let arns: Vec<String> = sights.keys().cloned().collect();
    while sights.values().any(|sight| sight.stopped.is_none()) {
        let tasks = cluster.describe(&arns)?;
        let now = SystemTime::now();
        for task in &tasks {
            let sight = task["taskArn"].as_str().and_then(|arn| sights.get_mut(arn));
            let sight = sight.context("a task that was not asked for")?;
            match task["lastStatus"].as_str() {
                Some("RUNNING") => {
                    sight.running.get_or_insert(now);
                }
                Some("STOPPED") if sight.stopped.is_none() => {
                    sight.stopped = Some(now);
                    let exit_code = &container_of(task, "app")?["exitCode"];
                    ensure!(exit_code.as_i64() == Some(code), "not exit code {code}: {task}");
                }
                _ => {}
            }
        }
        if started.elapsed() > SOON {
            bail!("a wave has not ended after {SOON:?}: {sights:?}");
        }
        thread::sleep(PAUSE);
    }
    for (arn, sight) in &sights {
        let container = cluster.container(arn, "app")?;
        let state = &container.inspect["State"];
        let lag = |member: &str, seen: SystemTime| {
            let moment = state[member].as_str().unwrap_or_default();
            since(moment, seen).with_context(|| format!("{member} is {moment}"))
        };
        if let Some(seen) = sight.running {
            lags.running.push(lag("StartedAt", seen)?);
        }
        if let Some(seen) = sight.stopped {
            lags.stopped.push(lag("FinishedAt", seen)?);
        }
    }
    Ok(())
}

/// Seconds from a moment as Docker writes it (RFC 3339, UTC) to another that is less than half a day away: the times of
/// day are enough.
fn since(moment: &str, seen: SystemTime) -> Option<f64> {
    let (_, clock) = moment.strip_suffix('Z')?.split_once('T')?;
    let mut parts = clock.split(':').map(|part| part.parse::<f64>().ok());
    let of_day = (parts.next()?? * 60.0 + parts.next()??) * 60.0 + parts.next()??;
    let seen = seen.duration_since(UNIX_EPOCH).ok()?.as_secs_f64();
    let seconds = (seen - of_day).rem_euclid(DAY_SECONDS);
    Some(if seconds > DAY_SECONDS / 2.0 {
        seconds - DAY_SECONDS
    } else {
        seconds
    })
}
