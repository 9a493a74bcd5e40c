//! Events as lines.

use berth_proto::v1::Event;
use serde_json::Value;

use super::ids;

/// Characters of an instance's id that are shown.
const OF_INSTANCE: usize = 8;

/// `TIME  POSITION  what happened; who asked for it`.
pub(crate) fn line(event: &Event) -> String {
    let shape: Value = serde_json::from_str(&event.json).unwrap_or_default();
    let (detail, resource) = (&shape["detail"], event.resources.first().map_or("", String::as_str));
    let what = match event.detail_type.as_str() {
        "ECS Task State Change" => task(detail),
        "ECS Container Instance State Change" => instance(detail),
        "ECS Deployment State Change" => deployment(detail, resource),
        "ECS Service Action" => service(detail, &shape["berth"], resource),
        other => format!("{other} {resource}"),
    };
    let seconds = event.time.split('.').next().unwrap_or_default();
    let (position, by) = (&event.position, &event.by);
    format!("{seconds}Z  {position:<10}  {}; by {by}", printable(&what))
}

/// A line has no control characters, whatever a user has put into a name.
fn printable(text: &str) -> String {
    let shown = |character: char| if character.is_control() { ' ' } else { character };
    text.chars().map(shown).collect()
}

fn text<'v>(detail: &'v Value, member: &str) -> &'v str {
    detail[member].as_str().unwrap_or_default()
}

fn instance_id(arn: &str) -> &str {
    let id = ids::of_arn(arn);
    id.get(..OF_INSTANCE).unwrap_or(id)
}

/// `task 0123456789abcdef01 web:3 RUNNING on 89abcdef, wanted STOPPED (service:web): Task stopped by user [app exit 1]`
fn task(detail: &Value) -> String {
    let id = ids::of_task(text(detail, "taskArn"));
    let (last, desired) = (text(detail, "lastStatus"), text(detail, "desiredStatus"));
    let mut line = format!("task {id} {} {last}", ids::of_arn(text(detail, "taskDefinitionArn")));
    let instance = text(detail, "containerInstanceArn");
    if !instance.is_empty() {
        line.push_str(&format!(" on {}", instance_id(instance)));
    }
    if desired == "STOPPED" && last != "STOPPED" {
        line.push_str(", to be STOPPED");
    }
    let group = text(detail, "group");
    if group.starts_with("service:") {
        line.push_str(&format!(" ({group})"));
    }
    let reason = text(detail, "stoppedReason");
    if !reason.is_empty() {
        line.push_str(&format!(": {reason}"));
    }
    let exits: Vec<String> = detail["containers"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|container| {
            Some(format!(
                "{} {}",
                text(container, "name"),
                container["exitCode"].as_i64()?
            ))
        })
        .collect();
    if !exits.is_empty() {
        line.push_str(&format!(" [exit codes: {}]", exits.join(", ")));
    }
    line
}

/// `instance 89abcdef ACTIVE, connected, free: 960 CPU, 1008 MiB`
fn instance(detail: &Value) -> String {
    let id = instance_id(text(detail, "containerInstanceArn"));
    let connected = match detail["agentConnected"].as_bool() {
        Some(true) => "connected",
        _ => "disconnected",
    };
    let free = |name: &str| {
        let resources = detail["remainingResources"].as_array().into_iter().flatten();
        let mut of_name = resources.filter(|resource| text(resource, "name") == name);
        of_name
            .find_map(|resource| resource["integerValue"].as_i64())
            .unwrap_or(0)
    };
    let (cpu, memory) = (free("CPU"), free("MEMORY"));
    let mut line = format!(
        "instance {id} {}, {connected}, free: {cpu} CPU, {memory} MiB",
        text(detail, "status")
    );
    let reason = text(detail, "statusReason");
    if !reason.is_empty() {
        line.push_str(&format!(": {reason}"));
    }
    line
}

/// `deployment ecs-svc/0123456789012345678 of web COMPLETED: ECS deployment ... completed.`
fn deployment(detail: &Value, service: &str) -> String {
    let name = text(detail, "eventName").trim_start_matches("SERVICE_DEPLOYMENT_");
    let (id, reason) = (text(detail, "deploymentId"), text(detail, "reason"));
    format!("deployment {id} of {} {name}: {reason}", ids::of_arn(service))
}

/// `service web STEADY_STATE: has reached a steady state.`
fn service(detail: &Value, berth: &Value, service: &str) -> String {
    let service = ids::of_arn(service);
    let message = text(berth, "message");
    let message = message
        .strip_prefix(&format!("(service {service}) "))
        .unwrap_or(message);
    match text(detail, "eventName") {
        "BERTH_SERVICE_MESSAGE" => format!("service {service}: {message}"),
        name => format!("service {service} {}: {message}", name.trim_start_matches("SERVICE_")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(kind: &str, resource: &str, detail: &Value, message: &str, expected: &str) {
        let event = Event {
            id: "1".to_owned(),
            position: "12.3".to_owned(),
            detail_type: kind.to_owned(),
            time: "2026-11-21T22:41:03.250Z".to_owned(),
            resources: vec![resource.to_owned()],
            by: "grpc 10.0.0.1".to_owned(),
            json: json!({"detail": detail, "berth": {"message": message}}).to_string(),
        };
        let expected = format!("2026-11-21T22:41:03Z  12.3        {expected}; by grpc 10.0.0.1");
        assert_eq!(line(&event), expected);
    }

    #[test]
    fn a_line_says_what_happened_and_why() {
        let arn = |rest: &str| format!("arn:aws:ecs:us-east-1:000000000000:{rest}");
        let task = |last: &str, desired: &str, reason: &str, exit: Option<i32>| {
            json!({
                "taskArn": arn("task/default/0123456789abcdef0123456789abcdef"),
                "taskDefinitionArn": arn("task-definition/web:3"),
                "containerInstanceArn": arn("container-instance/default/89abcdef0123456789abcdef01234567"),
                "group": "service:web", "lastStatus": last, "desiredStatus": desired, "stoppedReason": reason,
                "containers": [{"name": "app", "exitCode": exit}],
            })
        };
        let of_task = |detail: Value, expected| check("ECS Task State Change", "", &detail, "", expected);
        of_task(
            task("PENDING", "RUNNING", "", None),
            "task 0123456789abcdef01 web:3 PENDING on 89abcdef (service:web)",
        );
        of_task(
            task("RUNNING", "STOPPED", "Task stopped\nby user", None),
            "task 0123456789abcdef01 web:3 RUNNING on 89abcdef, to be STOPPED (service:web): Task stopped by user",
        );
        of_task(
            task("STOPPED", "STOPPED", "Essential container in task exited", Some(1)),
            "task 0123456789abcdef01 web:3 STOPPED on 89abcdef (service:web): Essential container in task exited \
             [exit codes: app 1]",
        );
        check(
            "ECS Container Instance State Change",
            "",
            &json!({
                "containerInstanceArn": arn("container-instance/default/89abcdef0123456789abcdef01234567"),
                "status": "ACTIVE", "agentConnected": false,
                "remainingResources": [{"name": "CPU", "integerValue": 960}, {"name": "MEMORY", "integerValue": 1008}],
            }),
            "",
            "instance 89abcdef ACTIVE, disconnected, free: 960 CPU, 1008 MiB",
        );
        check(
            "ECS Deployment State Change",
            &arn("service/default/web"),
            &json!({"eventName": "SERVICE_DEPLOYMENT_COMPLETED", "deploymentId": "ecs-svc/7", "reason": "Done."}),
            "",
            "deployment ecs-svc/7 of web COMPLETED: Done.",
        );
        for (name, expected) in [
            (
                "SERVICE_STEADY_STATE",
                "service web STEADY_STATE: has reached a steady state.",
            ),
            ("BERTH_SERVICE_MESSAGE", "service web: has reached a steady state."),
        ] {
            let message = "(service web) has reached a steady state.";
            let detail = json!({"eventName": name});
            check(
                "ECS Service Action",
                &arn("service/default/web"),
                &detail,
                message,
                expected,
            );
        }
        check("Something Else", "arn:x", &Value::Null, "", "Something Else arn:x");
    }
}
