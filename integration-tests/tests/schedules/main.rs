//! Schedules on a real scheduler and a real host: a time runs once though the scheduler is killed around it, runs that
//! overlap do as they are told, and the history tells how tasks ended.

use std::process::ExitCode;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use berth_integration_tests::agent::Settings;
use berth_integration_tests::cluster::SOON;
use berth_integration_tests::grpc::Client;
use berth_integration_tests::suite::{self, Fixture};
use berth_integration_tests::{Cluster, Seen, TestBed, tests, wait_until};
use berth_model::time::Timestamp;
use berth_proto::v1;
use prost::Message;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

const CLUSTER: &str = "schedules";

struct Host(Mutex<Cluster>);

impl Fixture for Host {
    // The scheduler is killed.
    const AT_ONCE: Option<usize> = Some(1);

    fn start() -> Result<Self> {
        let bed = TestBed::new("schedules", &["a"])?;
        let cluster = Cluster::start_on(&bed, CLUSTER, &["a"], &Settings::default());
        if cluster.is_err() {
            bed.note_failure();
        }
        let cluster = cluster?;
        for (family, script) in [("short", "exit 0"), ("bad", "exit 3"), ("long", "sleep 3600")] {
            let container = json!({
                "name": "app", "image": "busybox", "memory": 16, "command": ["sh", "-c", script], "stopTimeout": 1,
            });
            cluster.register(&json!({"family": family, "containerDefinitions": [container]}))?;
        }
        Ok(Self(Mutex::new(cluster)))
    }

    fn note_failure(&self) {
        self.lock().bed().note_failure();
    }
}

fn main() -> ExitCode {
    suite::main::<Host>(tests![
        a_time_that_passes_while_the_scheduler_is_dead_runs_once,
        the_scheduler_may_die_at_any_moment_around_a_time,
        a_schedule_that_skips_starts_nothing_beside_its_task,
        a_schedule_that_replaces_stops_its_task_for_the_next,
        the_history_tells_how_the_tasks_of_runs_ended,
    ])
}

impl Host {
    fn lock(&self) -> MutexGuard<'_, Cluster> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Asks the scheduler something that must succeed.
fn ask<Q: Message + DeserializeOwned, A: Message + Default + Serialize>(
    cluster: &Cluster,
    operation: &str,
    mut input: Value,
) -> Result<Value> {
    input["cluster"] = CLUSTER.into();
    let message: Q = serde_json::from_value(input)?;
    let client = Client::new(cluster.ecs().address())?;
    let path = format!("/berth.v1.Schedules/{operation}");
    let answer = client.call(&path, message.encode_to_vec())?;
    let bytes = answer.with_context(|| operation.to_owned())?;
    Ok(serde_json::to_value(A::decode(bytes.as_slice())?)?)
}

fn create(cluster: &Cluster, name: &str, expression: &str, family: &str, overlap: &str) -> Result<()> {
    let input = json!({
        "name": name, "scheduleExpression": expression, "overlapPolicy": overlap,
        "target": {"taskDefinition": family},
    });
    ask::<v1::CreateScheduleRequest, v1::CreateScheduleResponse>(cluster, "CreateSchedule", input).map(drop)
}

fn run_now(cluster: &Cluster, name: &str) -> Result<Value> {
    let input = json!({"name": name});
    let answer = ask::<v1::RunScheduleRequest, v1::RunScheduleResponse>(cluster, "RunSchedule", input)?;
    Ok(answer["run"].clone())
}

/// The runs of a schedule, newest first.
fn runs(cluster: &Cluster, name: &str) -> Result<Vec<Value>> {
    let input = json!({"name": name});
    let answer = ask::<v1::DescribeScheduleRequest, v1::DescribeScheduleResponse>(cluster, "DescribeSchedule", input)?;
    Ok(answer["runs"].as_array().cloned().unwrap_or_default())
}

/// Waits until the newest run of a schedule is so.
fn wait_for(cluster: &Cluster, name: &str, what: &str, holds: impl Fn(&Value) -> bool) -> Result<Value> {
    wait_until(&format!("a run of {name} {what}"), SOON, || {
        let runs = runs(cluster, name)?;
        Ok(match runs.first().filter(|run| holds(run)) {
            Some(run) => Seen::Done(run.clone()),
            None => Seen::NotYet(format!("{runs:?}")),
        })
    })
}

/// The ARN of the one task of a run.
fn task_of(run: &Value) -> Result<String> {
    let tasks = run["taskArns"].as_array().context("no tasks")?;
    ensure!(tasks.len() == 1, "{run}");
    Ok(tasks[0].as_str().context("no ARN")?.to_owned())
}

fn now() -> Result<Duration> {
    Ok(SystemTime::now().duration_since(UNIX_EPOCH)?)
}

/// An `at()` that lies between so many seconds ahead and one more, and its seconds since the epoch.
fn soon(seconds: u64) -> Result<(String, u64)> {
    let at = now()?.as_secs() + 1 + seconds;
    let text = Timestamp::from_millis(i64::try_from(at * 1000)?).to_rfc3339();
    let civil = text.strip_suffix(".000Z").context("no whole second")?;
    Ok((format!("at({civil})"), at))
}

/// Waits until clocks show it.
fn wait_for_clock(at: u64) -> Result<()> {
    wait_until("the time is there", SOON, || {
        let now = now()?;
        Ok(Seen::when(now.as_secs() >= at, || format!("{now:?}")))
    })
}

/// How many tasks the schedule has started, running or stopped.
fn started(cluster: &Cluster, name: &str) -> Result<usize> {
    let mut count = 0;
    for status in ["RUNNING", "STOPPED"] {
        let input = json!({"cluster": CLUSTER, "startedBy": format!("schedule/{name}"), "desiredStatus": status});
        let answer = cluster.ecs().call("ListTasks", &input)?;
        count += answer["taskArns"].as_array().map_or(0, Vec::len);
    }
    Ok(count)
}

fn a_time_that_passes_while_the_scheduler_is_dead_runs_once(host: &Host) -> Result<()> {
    let mut cluster = host.lock();
    let (expression, at) = soon(2)?;
    create(&cluster, "dead", &expression, "short", "ALLOW")?;
    cluster.scheduler.daemon().kill()?;
    wait_for_clock(at + 1)?;
    cluster.scheduler.start_again()?;
    let run = wait_for(&cluster, "dead", "has ended", |run| run["ended"].is_number())?;
    ensure!(run["outcome"] == "STARTED" && run["succeeded"] == 1, "{run}");
    ensure!(run["due"].as_f64() == Some(u32::try_from(at)?.into()), "{run}");
    cluster.scheduler.daemon().kill()?;
    cluster.scheduler.start_again()?;
    ensure!(runs(&cluster, "dead")? == [run], "the history is another one");
    ensure!(started(&cluster, "dead")? == 1, "it ran more than once");
    Ok(())
}

fn the_scheduler_may_die_at_any_moment_around_a_time(host: &Host) -> Result<()> {
    let mut cluster = host.lock();
    let (expression, at) = soon(1)?;
    let names: Vec<String> = (0..5).map(|number| format!("around-{number}")).collect();
    for name in &names {
        create(&cluster, name, &expression, "short", "ALLOW")?;
    }
    while now()?.as_secs() <= at {
        cluster.scheduler.daemon().kill()?;
        cluster.scheduler.start_again()?;
    }
    for name in &names {
        wait_for(&cluster, name, "has ended", |run| run["ended"].is_number())?;
        let runs = runs(&cluster, name)?;
        ensure!(runs.len() == 1 && started(&cluster, name)? == 1, "{name}: {runs:?}");
    }
    Ok(())
}

fn a_schedule_that_skips_starts_nothing_beside_its_task(host: &Host) -> Result<()> {
    let cluster = host.lock();
    create(&cluster, "skips", "rate(1 day)", "long", "SKIP")?;
    // A rate is due at once.
    let first = wait_for(&cluster, "skips", "has begun", |run| run["outcome"] == "STARTED")?;
    cluster.wait_running(&[task_of(&first)?])?;
    let second = run_now(&cluster, "skips")?;
    ensure!(
        second["outcome"] == "SKIPPED" && second["taskArns"] == json!([]),
        "{second}"
    );
    cluster.stop(&[task_of(&first)?])?;
    cluster.wait_stopped(&[task_of(&first)?])?;
    let third = run_now(&cluster, "skips")?;
    ensure!(third["outcome"] == "STARTED", "{third}");
    cluster.stop(&[task_of(&third)?])?;
    let ended = wait_for(&cluster, "skips", "has ended", |run| run["ended"].is_number())?;
    ensure!(ended["failed"] == 1 && ended["failure"].is_string(), "{ended}");
    Ok(())
}

fn a_schedule_that_replaces_stops_its_task_for_the_next(host: &Host) -> Result<()> {
    let cluster = host.lock();
    create(&cluster, "replaces", "rate(1 day)", "long", "REPLACE")?;
    let first = wait_for(&cluster, "replaces", "has begun", |run| run["outcome"] == "STARTED")?;
    cluster.wait_running(&[task_of(&first)?])?;
    let second = run_now(&cluster, "replaces")?;
    cluster.wait_running(&[task_of(&second)?])?;
    let stopped = cluster.wait_stopped(&[task_of(&first)?])?;
    let reason = "Replaced by run 2 of schedule replaces.";
    ensure!(stopped[0]["stoppedReason"] == reason, "{}", stopped[0]);
    cluster.stop(&[task_of(&second)?])
}

fn the_history_tells_how_the_tasks_of_runs_ended(host: &Host) -> Result<()> {
    let cluster = host.lock();
    create(&cluster, "fails", "rate(1 day)", "bad", "ALLOW")?;
    let run = wait_for(&cluster, "fails", "has ended", |run| run["ended"].is_number())?;
    ensure!((&run["succeeded"], &run["failed"]) == (&json!(0), &json!(1)), "{run}");
    ensure!(run["failure"] == "container 'app' ended with 3", "{run}");
    Ok(())
}
