//! Requests for schedules that must be refused. They are spoken over gRPC alone.

use anyhow::{Result, bail, ensure};
use berth_integration_tests::grpc::{self, Client};
use berth_proto::v1;
use serde_json::{Value, json};

use super::{Alone, Case, case, encode};

const INVALID: &str = "InvalidParameterException";
const CLIENT: &str = "ClientException";
const NOT_FOUND: &str = "ResourceNotFoundException";

/// Sends all cases and reports all that went wrong together.
pub(super) fn refuse_all(alone: &Alone) -> Result<()> {
    let client = Client::new(alone.ecs.address())?;
    let good = create(&json!({"name": "taken", "state": "DISABLED"}), "", "").input;
    let made = client.call(&path("CreateSchedule"), message("CreateSchedule", &good)?)?;
    ensure!(made.is_ok(), "{made:?}");
    let mut wrong = Vec::new();
    let cases = cases();
    for case in &cases {
        match client.call(&path(case.operation), message(case.operation, &case.input)?)? {
            Ok(_) => wrong.push(format!("{} {} succeeded", case.operation, case.input)),
            Err(status) => {
                let class = grpc::fault_class(&status);
                wrong.extend(case.complaint("gRPC", class, status.message()));
            }
        }
        alone.check_serves()?;
    }
    let count = cases.len();
    ensure!(
        wrong.is_empty(),
        "{} of {count} answers are not as expected:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
    Ok(())
}

fn path(operation: &str) -> String {
    format!("/berth.v1.Schedules/{operation}")
}

fn cases() -> Vec<Case> {
    let mut cases = names();
    cases.extend(timings());
    cases.extend(rules());
    cases.extend(targets());
    cases.extend(updates());
    cases.extend(others());
    cases
}

/// A CreateSchedule in `here` with further members.
fn create(more: &Value, class: &'static str, says: &str) -> Case {
    let mut input = json!({
        "cluster": "here", "name": "s", "scheduleExpression": "rate(1 hour)", "target": {"taskDefinition": "good"},
    });
    for (member, value) in more.as_object().into_iter().flatten() {
        input[member] = value.clone();
    }
    case("CreateSchedule", input, class, says)
}

fn names() -> Vec<Case> {
    vec![
        create(&json!({"name": null}), INVALID, "name can not be empty"),
        create(
            &json!({"name": "two words"}),
            INVALID,
            "name 'two words' must be 1 to 64",
        ),
        create(&json!({"name": "x".repeat(65)}), INVALID, "1 to 64"),
        create(
            &json!({"name": "taken"}),
            "ConflictException",
            "Schedule taken already exists.",
        ),
        create(
            &json!({"cluster": "ghost"}),
            "ClusterNotFoundException",
            "Cluster not found.",
        ),
        create(&json!({"clientToken": "a b"}), INVALID, "clientToken"),
        create(
            &json!({"description": "x".repeat(513)}),
            INVALID,
            "description has 513 characters",
        ),
    ]
}

fn timings() -> Vec<Case> {
    let expression = |text: &str, says: &str| create(&json!({"scheduleExpression": text}), INVALID, says);
    vec![
        create(
            &json!({"scheduleExpression": null}),
            INVALID,
            "scheduleExpression can not be empty",
        ),
        expression("every day", "an expression is rate(VALUE UNIT)"),
        expression(
            "rate(0 minutes)",
            "field value, '0': a value is a whole number, 1 or more",
        ),
        expression("rate(5 seconds)", "field unit, 'seconds'"),
        expression("cron(0 3 * * *)", "cron() takes six fields"),
        expression("cron(60 * * * ? *)", "character 6, field minutes, '60'"),
        expression("at(2026-02-30T00:00:00)", "there is no such date"),
        expression("at(2001-01-01T00:00:00)", "is never due after"),
        expression(&"x".repeat(300), "has more than 256"),
        create(
            &json!({"scheduleExpressionTimezone": "Europe/Berln"}),
            INVALID,
            "did you mean 'Europe/Berlin'?",
        ),
        create(&json!({"startDate": -1.0}), INVALID, "startDate is -1"),
        create(&json!({"endDate": 1e18}), INVALID, "endDate is 1000000000000000000"),
        create(
            &json!({"startDate": 4e9, "endDate": 3.9e9}),
            INVALID,
            "must be after startDate",
        ),
        create(
            &json!({"endDate": 1e9}),
            INVALID,
            "and until endDate 2001-09-09T01:46:40.000Z",
        ),
    ]
}

fn rules() -> Vec<Case> {
    let window = |window: Value, says: &str| create(&json!({"flexibleTimeWindow": window}), INVALID, says);
    let retry = |policy: Value, says: &str| create(&json!({"retryPolicy": policy}), INVALID, says);
    vec![
        create(
            &json!({"state": "PAUSED"}),
            INVALID,
            "state 'PAUSED' should be one of [ENABLED, DISABLED]",
        ),
        create(&json!({"overlapPolicy": "FORBID"}), INVALID, "[ALLOW, SKIP, REPLACE]"),
        create(&json!({"actionAfterCompletion": "KEEP"}), INVALID, "[NONE, DELETE]"),
        window(json!({}), "flexibleTimeWindow.mode"),
        window(json!({"mode": "SOON"}), "[OFF, FLEXIBLE]"),
        window(json!({"mode": "FLEXIBLE"}), "maximumWindowInMinutes must be given"),
        window(
            json!({"mode": "OFF", "maximumWindowInMinutes": 5}),
            "it belongs to mode FLEXIBLE",
        ),
        window(
            json!({"mode": "FLEXIBLE", "maximumWindowInMinutes": 1441}),
            "must be between 1 and 1440",
        ),
        retry(json!({"maximumEventAgeInSeconds": 59}), "must be between 60 and 86400"),
        retry(json!({"maximumRetryAttempts": 186}), "must be between 0 and 185"),
    ]
}

fn targets() -> Vec<Case> {
    let target = |target: Value, class: &'static str, says: &str| create(&json!({"target": target}), class, says);
    let with = |more: Value, class: &'static str, says: &str| {
        let mut input = json!({"taskDefinition": "good"});
        for (member, value) in more.as_object().into_iter().flatten() {
            input[member] = value.clone();
        }
        target(input, class, says)
    };
    vec![
        target(Value::Null, INVALID, "target must be given"),
        target(json!({}), INVALID, "target: taskDefinition can not be empty"),
        target(json!({"taskDefinition": "ghost"}), CLIENT, "TaskDefinition not found."),
        target(
            json!({"taskDefinition": "gone:1"}),
            CLIENT,
            "TaskDefinition is inactive",
        ),
        with(
            json!({"cluster": "elsewhere"}),
            INVALID,
            "target.cluster is 'elsewhere'",
        ),
        with(
            json!({"startedBy": "me"}),
            INVALID,
            "target.startedBy must not be given",
        ),
        with(
            json!({"clientToken": "t"}),
            INVALID,
            "target.clientToken must not be given",
        ),
        with(json!({"count": 11}), INVALID, "count 11 should be between 1 and 10"),
        with(
            json!({"overrides": {"containerOverrides": [{"name": "ghost"}]}}),
            INVALID,
            "container named ghost",
        ),
        with(
            json!({"placementConstraints": [{"type": "memberOf", "expression": "("}]}),
            INVALID,
            "placementConstraints[0]",
        ),
        with(
            json!({"tags": [{"key": "berth:queue", "value": "soon"}]}),
            INVALID,
            "The value 'soon' of tag berth:queue",
        ),
        with(
            json!({"capacityProviderStrategy": [{"capacityProvider": "x"}]}),
            INVALID,
            "a capacity provider that is not associated with the cluster",
        ),
    ]
}

fn updates() -> Vec<Case> {
    let update = |more: Value, class: &'static str, says: &str| {
        let mut input = json!({"cluster": "here", "name": "taken"});
        for (member, value) in more.as_object().into_iter().flatten() {
            input[member] = value.clone();
        }
        case("UpdateSchedule", input, class, says)
    };
    vec![
        update(json!({"name": "ghost"}), NOT_FOUND, "Schedule ghost does not exist."),
        update(json!({"name": ""}), INVALID, "name can not be empty"),
        update(json!({"version": 7}), "ConflictException", "is at version 1, not 7"),
        update(
            json!({"remove": ["target"]}),
            INVALID,
            "remove 'target' should be one of",
        ),
        update(
            json!({"remove": ["endDate"], "endDate": 5e9}),
            INVALID,
            "endDate is given and stands in remove",
        ),
        update(
            json!({"scheduleExpression": "rate(1 hours)"}),
            INVALID,
            "field unit, 'hours'",
        ),
        update(
            json!({"target": {}}),
            INVALID,
            "target: taskDefinition can not be empty",
        ),
        update(
            json!({"scheduleExpression": "at(2001-01-01T00:00:00)", "state": "ENABLED"}),
            INVALID,
            "is never due after",
        ),
    ]
}

fn others() -> Vec<Case> {
    let of = |operation, more: Value, class: &'static str, says: &str| {
        let mut input = json!({"cluster": "here", "name": "taken"});
        for (member, value) in more.as_object().into_iter().flatten() {
            input[member] = value.clone();
        }
        case(operation, input, class, says)
    };
    let list = |input: Value, says: &str| case("ListSchedules", input, INVALID, says);
    vec![
        of(
            "DescribeSchedule",
            json!({"name": "ghost"}),
            NOT_FOUND,
            "Schedule ghost does not exist.",
        ),
        of(
            "DescribeSchedule",
            json!({"maxRuns": 101}),
            INVALID,
            "maxRuns 101 should be between 0 and 100",
        ),
        of(
            "DescribeSchedule",
            json!({"maxUpcoming": -1}),
            INVALID,
            "maxUpcoming -1",
        ),
        of(
            "DescribeSchedule",
            json!({"name": "arn:aws:ecs:us-east-1:000000000000:schedule/there/taken"}),
            INVALID,
            "is for cluster there",
        ),
        of("DeleteSchedule", json!({"name": "ghost"}), NOT_FOUND, "ghost"),
        of("RunSchedule", json!({"name": "ghost"}), NOT_FOUND, "ghost"),
        of(
            "RunSchedule",
            json!({}),
            INVALID,
            "No Container Instances were found in your cluster.",
        ),
        list(json!({"cluster": "here", "state": "ON"}), "[ENABLED, DISABLED]"),
        list(json!({"cluster": "here", "maxResults": 0}), "maxResults 0"),
        list(json!({"cluster": "here", "nextToken": "zz"}), "Invalid token"),
    ]
}

/// The protobuf message of a request that is given as JSON.
fn message(operation: &str, input: &Value) -> Result<Vec<u8>> {
    match operation {
        "CreateSchedule" => encode::<v1::CreateScheduleRequest>(input),
        "UpdateSchedule" => encode::<v1::UpdateScheduleRequest>(input),
        "DeleteSchedule" => encode::<v1::DeleteScheduleRequest>(input),
        "DescribeSchedule" => encode::<v1::DescribeScheduleRequest>(input),
        "ListSchedules" => encode::<v1::ListSchedulesRequest>(input),
        "RunSchedule" => encode::<v1::RunScheduleRequest>(input),
        other => bail!("no message type is known for {other}"),
    }
}
