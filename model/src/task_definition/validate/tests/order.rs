//! `dependsOn`, `startTimeout` and `restartPolicy`.

use serde_json::{Value, json};

use super::{check, definition};

/// `app` depends on `db`, which has `more` members.
fn pair(condition: &str, more: &Value) -> Value {
    let mut db = json!({"name": "db", "image": "busybox", "memory": 64});
    for (member, value) in more.as_object().into_iter().flatten() {
        db[member] = value.clone();
    }
    json!([{"name": "app", "image": "busybox", "memory": 64,
            "dependsOn": [{"containerName": "db", "condition": condition}]}, db])
}

#[test]
fn a_dependency_that_can_be_met_passes() {
    for (condition, more) in [
        ("START", json!({})),
        ("COMPLETE", json!({"essential": false})),
        ("SUCCESS", json!({"essential": false, "startTimeout": 60})),
        ("HEALTHY", json!({"healthCheck": {"command": ["CMD", "true"]}})),
    ] {
        let valid = definition(|d| d["containerDefinitions"] = pair(condition, &more)).validated();
        assert!(valid.is_ok(), "{condition}: {valid:?}");
    }
}

#[test]
fn a_dependency_that_cannot_is_refused_by_name() {
    let refused = |says: &str, containers: Value| check(says, |d| d["containerDefinitions"] = containers);
    refused(
        "Invalid setting for container 'app'. 'dependsOn[0].condition' is 'SUCCESS', and 'db' is essential",
        pair("SUCCESS", &json!({})),
    );
    refused("'dependsOn[0].condition' is 'COMPLETE'", pair("COMPLETE", &json!({})));
    refused(
        "'dependsOn[0].condition' is 'HEALTHY', and 'db' has no 'healthCheck'.",
        pair("HEALTHY", &json!({})),
    );
    refused(
        "'dependsOn[0].condition' is 'READY', it should be one of [START, COMPLETE, SUCCESS, HEALTHY].",
        pair("READY", &json!({})),
    );
    refused(
        "'dependsOn[0].containerName' is 'db', which is no container of the task.",
        pair("START", &json!({"name": "cache"})),
    );
}

#[test]
fn a_circle_over_all_kinds_of_needs_is_refused() {
    let on_app = json!([{"containerName": "app", "condition": "START"}]);
    for back in [
        json!({"dependsOn": on_app}),
        json!({"links": ["app"]}),
        json!({"volumesFrom": [{"sourceContainer": "app"}]}),
    ] {
        check("depends on itself", |d| {
            d["containerDefinitions"] = pair("START", &back)
        });
    }
    check("depends on itself", |d| {
        d["containerDefinitions"][0]["dependsOn"] = on_app
    });
}

#[test]
fn times_and_restart_policies_have_bounds() {
    let refused = |says: &str, member: &str, value: Value| {
        check(says, |d| d["containerDefinitions"][0][member] = value);
    };
    refused("'startTimeout' is -1 seconds", "startTimeout", json!(-1));
    refused(
        "'restartPolicy.restartAttemptPeriod' is 59 seconds, it must be 60 to 1800.",
        "restartPolicy",
        json!({"enabled": true, "restartAttemptPeriod": 59}),
    );
    refused(
        "'restartPolicy.enabled' must be given",
        "restartPolicy",
        json!({"restartAttemptPeriod": 60}),
    );
    refused(
        "'restartPolicy.ignoredExitCodes' has 51 entries",
        "restartPolicy",
        json!({"enabled": true, "ignoredExitCodes": (0..51).collect::<Vec<i32>>()}),
    );
    let valid = definition(|d| {
        d["containerDefinitions"][0]["restartPolicy"] =
            json!({"enabled": true, "ignoredExitCodes": [0], "restartAttemptPeriod": 1800});
    });
    assert!(valid.validated().is_ok());
}
