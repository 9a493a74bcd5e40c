//! Requests that nobody would write, made from those that somebody would: on both wires, for a minute, or for
//! `BERTH_FUZZ_SECONDS` with another seed each time.
//!
//! Whatever comes is answered, soon, and never as if the scheduler itself had failed. What fails is printed, and can be
//! sent again.

#[path = "../fuzz/input.rs"]
mod input;

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use berth_integration_tests::ecs::{TARGET_PREFIX, fault};
use berth_integration_tests::grpc::{self, Client};
use berth_integration_tests::{Ecs, TestBed};
use serde_json::{Value, json};

use self::input::{Chance, mutated};
use super::{cases, message, registration, services, settings};

/// How long a short run goes on.
const SHORT: Duration = Duration::from_secs(60);
/// How long one request may take: all that is asked here is small.
const PATIENCE: Duration = Duration::from_secs(10);
/// Requests between two looks at whether good ones are served.
const BETWEEN_LOOKS: usize = 500;

const TOKENS: &[&str] = &[
    "null",
    "true",
    "[]",
    "{}",
    "\"\"",
    "-1",
    "4294967296",
    "1e99",
    ",",
    ":",
    "\"cluster\":\"here\",",
    "\"tags\":[{\"key\":\"k\",\"value\":\"v\"}],",
    "\"nextToken\":\"00\",",
    "\"maxResults\":1,",
    "\\u0000",
    "\"arn:aws:ecs:us-east-1:000000000000:task/here/x\"",
];

/// Requests that are in order, of operations that no case is of.
fn good() -> Vec<(&'static str, Value)> {
    let here = |mut input: Value| {
        input["cluster"] = "here".into();
        input
    };
    vec![
        (
            "CreateCluster",
            json!({"clusterName": "more", "tags": [{"key": "a", "value": "b"}]}),
        ),
        (
            "UpdateCluster",
            here(json!({"settings": [{"name": "containerInsights", "value": "enabled"}]})),
        ),
        (
            "DescribeClusters",
            json!({"clusters": ["here"], "include": ["STATISTICS", "TAGS", "SETTINGS"]}),
        ),
        ("ListAttributes", here(json!({"targetType": "container-instance"}))),
        (
            "ListAccountSettings",
            json!({"effectiveSettings": true, "maxResults": 3}),
        ),
        ("RegisterTaskDefinition", registration::good("good")),
        (
            "DeleteTaskDefinitions",
            json!({"taskDefinitions": ["good:1", "ghost:2"]}),
        ),
        (
            "CreateService",
            here(json!({"serviceName": "web", "taskDefinition": "good", "desiredCount": 2})),
        ),
        (
            "UpdateService",
            here(json!({"service": "web", "desiredCount": 1, "forceNewDeployment": true})),
        ),
        (
            "DescribeServices",
            here(json!({"services": ["web"], "include": ["TAGS"]})),
        ),
        (
            "TagResource",
            json!({"resourceArn": "arn:aws:ecs:us-east-1:000000000000:cluster/here", "tags": [{"key": "a"}]}),
        ),
        (
            "RunTask",
            here(json!({"taskDefinition": "good", "count": 2, "tags": [{"key": "berth:queue", "value": "60s"}]})),
        ),
    ]
}

/// Values that stand where others are expected.
fn odd(chance: &mut Chance) -> Value {
    let deep = (0..40).fold(json!(1), |inner, _| json!([inner]));
    let all = [
        json!(null),
        json!(-1),
        json!(0),
        json!(i64::MAX),
        json!(u64::MAX),
        json!(1e300),
        json!(0.5),
        json!(true),
        json!(""),
        json!("x".repeat(70_000)),
        json!("\u{0}\u{202e}\u{1F600}"),
        json!("arn:aws:ecs:::::/"),
        json!([]),
        json!([[], {}]),
        json!({}),
        json!({"name": {"name": []}}),
        json!(vec!["y"; 200]),
        deep,
    ];
    all[chance.below(all.len())].clone()
}

/// Replaces, removes or repeats something somewhere in the value.
fn change(value: &mut Value, chance: &mut Chance) {
    let stop = chance.below(3) == 0;
    match value {
        Value::Object(members) if !stop && !members.is_empty() => {
            let nth = chance.below(members.len());
            let Some(name) = members.keys().nth(nth).cloned() else {
                return;
            };
            match (chance.below(8), members.get_mut(&name)) {
                (0, _) => drop(members.remove(&name)),
                (1, _) => drop(members.insert(format!("{name}x"), odd(chance))),
                (_, Some(inner)) => change(inner, chance),
                (_, None) => {}
            }
        }
        Value::Array(items) if !stop && !items.is_empty() => {
            let nth = chance.below(items.len());
            match chance.below(6) {
                0 => drop(items.remove(nth)),
                1 => {
                    let again = vec![items[nth].clone(); 1 + chance.below(60)];
                    items.extend(again);
                }
                _ => change(&mut items[nth], chance),
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) | Value::Object(_) => {
            *value = odd(chance);
        }
    }
}

/// To a scheduler of its own, as some of it is obeyed. `here_arn` is the ARN of a cluster `here`.
#[expect(clippy::print_stderr, reason = "who asks for a long run is told what it did")]
pub(super) fn send(here_arn: &str) -> Result<()> {
    let bed = TestBed::new("hostile", &[])?;
    let mut scheduler = bed.start_scheduler("scheduler")?;
    let ecs = scheduler.ecs();
    ecs.call("CreateCluster", &json!({"clusterName": "here"}))?;
    ecs.call("RegisterTaskDefinition", &registration::good("good"))?;
    let client = Client::new(ecs.address())?;
    let mut pool = good();
    let known = cases::cases(here_arn).into_iter();
    let known = known.chain(registration::cases()).chain(services::cases());
    pool.extend(known.chain(settings::cases()).map(|case| (case.operation, case.input)));
    let (seed, limit) = length()?;
    let mut chance = Chance::new(seed);
    let begun = Instant::now();
    let mut sent = 0_usize;
    while begun.elapsed() < limit {
        let (operation, base) = &pool[chance.below(pool.len())];
        let (_, other) = &pool[chance.below(pool.len())];
        let mut input = base.clone();
        for _ in 0..=chance.below(3) {
            change(&mut input, &mut chance);
        }
        let text = match chance.below(3) {
            0 => mutated(&base.to_string(), &other.to_string(), TOKENS, &mut chance),
            _ => input.to_string(),
        };
        let asked = Instant::now();
        over_json(&ecs, operation, text.as_bytes()).with_context(|| shown(seed, operation, text.as_bytes()))?;
        let bytes = match message(operation, &input) {
            Ok(bytes) => bytes,
            Err(_) => spoilt(message(operation, base)?, &mut chance),
        };
        over_grpc(&client, operation, bytes.clone()).with_context(|| shown(seed, operation, &bytes))?;
        ensure!(
            asked.elapsed() < PATIENCE,
            "it takes {:?}: {}",
            asked.elapsed(),
            shown(seed, operation, text.as_bytes())
        );
        sent += 2;
        if sent.is_multiple_of(BETWEEN_LOOKS) {
            scheduler.daemon().check_running()?;
            ecs.call("ListClusters", &json!({}))?;
        }
    }
    scheduler.daemon().check_running()?;
    ecs.call("ListClusters", &json!({}))?;
    if limit != SHORT {
        eprintln!("hostile bodies: seed {seed}, {sent} requests");
    }
    Ok(())
}

/// The seed, and how long to go on.
fn length() -> Result<(u64, Duration)> {
    let Ok(seconds) = std::env::var("BERTH_FUZZ_SECONDS") else {
        return Ok((1, SHORT));
    };
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
    let seconds = seconds.parse().context("BERTH_FUZZ_SECONDS")?;
    Ok((u64::from(now.subsec_nanos()), Duration::from_secs(seconds)))
}

fn shown(seed: u64, operation: &str, bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(2000)]);
    format!("seed {seed}, {operation}: {text}")
}

/// Bytes of a message of which some are others, or are not there.
fn spoilt(mut bytes: Vec<u8>, chance: &mut Chance) -> Vec<u8> {
    for _ in 0..=chance.below(4) {
        let at = chance.below(bytes.len().max(1));
        match (chance.below(3), bytes.get_mut(at)) {
            (0, _) => bytes.truncate(at),
            (1, Some(byte)) => *byte ^= 1 << chance.below(8),
            _ => bytes.insert(at.min(bytes.len()), u8::try_from(chance.below(256)).unwrap_or(0)),
        }
    }
    bytes
}

fn over_json(ecs: &Ecs, operation: &str, body: &[u8]) -> Result<()> {
    let response = ecs.send(Some(&format!("{TARGET_PREFIX}{operation}")), body)?;
    if response.status == 200 {
        let answer: Value = serde_json::from_slice(&response.body).context("the answer is no JSON")?;
        ensure!(answer.is_object(), "the answer is no object: {answer}");
        return Ok(());
    }
    let fault = fault(&response)?;
    ensure!(
        fault.status == 400 && fault.class.ends_with("Exception") && !fault.message.is_empty(),
        "{fault}"
    );
    Ok(())
}

fn over_grpc(client: &Client, operation: &str, bytes: Vec<u8>) -> Result<()> {
    let Err(status) = client.call(&format!("/berth.ecs.v1.Ecs/{operation}"), bytes)? else {
        return Ok(());
    };
    let class = grpc::fault_class(&status);
    ensure!(
        class.ends_with("Exception") && class != "ServerException" && !status.message().is_empty(),
        "{class}: {status}"
    );
    Ok(())
}
