//! Task protection, from inside and through the API.

use anyhow::{Context, Result, ensure};
use berth_integration_tests::grpc::Client;
use berth_proto::ecs::v1 as ecs;
use prost::Message;
use serde_json::{Value, json};

use super::{Hosts, asking, read};

/// BusyBox's wget cannot PUT; its nc can.
const PROTECT: &str = r#"
path=${ECS_AGENT_URI#http://169.254.170.2}/task-protection/v1/state
ask() {
    { printf '%s %s HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: %s\r\n\r\n%s' "$1" "$path" "${#2}" "$2"
      sleep 5; } | nc 169.254.170.2 80 | tr -d '\r' | sed '1,/^$/d'
    echo
}
ask PUT '{"ProtectionEnabled": true, "ExpiresInMinutes": 60}'
ask GET ''"#;

pub(super) fn a_task_of_a_service_protects_itself(hosts: &Hosts) -> Result<()> {
    let arn = hosts.run("a", &asking("protected", PROTECT), &json!({"group": "service:shop"}))?;
    let lines = hosts.printed("a", &arn)?;
    for line in 0..2 {
        let told = read(lines.get(line))?;
        let protection = &told["protection"];
        ensure!(
            protection["ProtectionEnabled"] == true
                && protection["TaskArn"] == json!(arn)
                && protection["ExpirationDate"].is_string(),
            "{told}"
        );
    }
    let ask = |operation: &str, mut input: Value| -> Result<Value> {
        input["cluster"] = json!("endpoint");
        input["tasks"] = json!([arn]);
        let answer = hosts.cluster.ecs().call(operation, &input)?;
        ensure!(answer["failures"] == json!([]), "{answer}");
        Ok(answer["protectedTasks"][0].clone())
    };
    let seen = ask("GetTaskProtection", json!({}))?;
    ensure!(
        seen["protectionEnabled"] == true && seen["taskArn"] == json!(arn),
        "{seen}"
    );
    let minutes = |task: &Value| -> Result<f64> {
        let ends = task["expirationDate"].as_f64().context("no expirationDate")?;
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?;
        Ok((ends - now.as_secs_f64()) / 60.0)
    };
    ensure!((58.0..=60.1).contains(&minutes(&seen)?), "{seen}");
    ensure!(
        over_grpc(hosts, &arn)?.protection_enabled == Some(true),
        "gRPC says otherwise"
    );
    let longer = ask("UpdateTaskProtection", json!({"protectionEnabled": true}))?;
    ensure!((118.0..=120.1).contains(&minutes(&longer)?), "{longer}");
    let ended = ask("UpdateTaskProtection", json!({"protectionEnabled": false}))?;
    ensure!(
        ended["protectionEnabled"] == false && ended["expirationDate"].is_null(),
        "{ended}"
    );
    Ok(())
}

/// What the other wire says.
fn over_grpc(hosts: &Hosts, arn: &str) -> Result<ecs::ProtectedTask> {
    let request = ecs::GetTaskProtectionRequest {
        cluster: Some("endpoint".to_owned()),
        tasks: vec![arn.to_owned()],
    };
    let client = Client::new(hosts.cluster.ecs().address())?;
    let answer = client.call("/berth.ecs.v1.Ecs/GetTaskProtection", request.encode_to_vec())??;
    let answer = ecs::GetTaskProtectionResponse::decode(&answer[..])?;
    answer.protected_tasks.into_iter().next().context("no task")
}

pub(super) fn a_task_of_no_service_cannot_be_protected(hosts: &Hosts) -> Result<()> {
    let arn = hosts.run("a", &asking("unprotected", PROTECT), &json!({}))?;
    let lines = hosts.printed("a", &arn)?;
    let told = read(lines.first())?;
    ensure!(
        told["failure"]["Reason"] == "TASK_NOT_VALID" && told["failure"]["Arn"] == json!(arn),
        "{told}"
    );
    let nobody = "0123456789abcdef0123456789abcdef";
    let input = json!({"cluster": "endpoint", "tasks": [arn, nobody], "protectionEnabled": true});
    let answer = hosts.cluster.ecs().call("UpdateTaskProtection", &input)?;
    let reasons: Vec<&Value> = (0..2).map(|at| &answer["failures"][at]["reason"]).collect();
    ensure!(reasons == ["TASK_NOT_VALID", "MISSING"], "{answer}");
    Ok(())
}
