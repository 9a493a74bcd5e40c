//! The steps that tests take with services.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::{Cluster, SOON, arns, list};
use crate::wait::{Seen, wait_until};

impl Cluster {
    /// Creates a service of this definition; `more` are further members of the request.
    ///
    /// # Errors
    ///
    /// If the scheduler refuses.
    pub fn create_service(&self, name: &str, definition: &str, more: &Value) -> Result<Value> {
        let named = json!({"serviceName": name, "taskDefinition": definition});
        Ok(self.of_services("CreateService", named, more)?["service"].clone())
    }

    /// Updates a service with these members.
    ///
    /// # Errors
    ///
    /// If the scheduler refuses.
    pub fn update_service(&self, name: &str, more: &Value) -> Result<Value> {
        Ok(self.of_services("UpdateService", json!({"service": name}), more)?["service"].clone())
    }

    /// A service, described.
    ///
    /// # Errors
    ///
    /// If there is none of the name.
    pub fn service(&self, name: &str) -> Result<Value> {
        let described = self.of_services("DescribeServices", json!({"services": [name]}), &json!({}))?;
        described["services"].get(0).cloned().context(described.to_string())
    }

    fn of_services(&self, operation: &str, mut input: Value, more: &Value) -> Result<Value> {
        input["cluster"] = self.name().into();
        for (member, value) in more.as_object().into_iter().flatten() {
            input[member] = value.clone();
        }
        self.ecs().call(operation, &input)
    }

    /// Waits until a service is as `is` wants it.
    ///
    /// # Errors
    ///
    /// If it is not in time.
    pub fn wait_service(&self, name: &str, what: &str, is: impl Fn(&Value) -> bool) -> Result<Value> {
        wait_until(&format!("service {name} is {what}"), SOON, || {
            let service = self.service(name)?;
            Ok(if is(&service) {
                Seen::Done(service)
            } else {
                Seen::NotYet(service.to_string())
            })
        })
    }

    /// Waits as the waiter `services-stable` does.
    ///
    /// # Errors
    ///
    /// If it is not in time.
    pub fn wait_stable(&self, name: &str) -> Result<Value> {
        self.wait_service(name, "stable", |service| {
            let deployments = service["deployments"].as_array().map_or(0, Vec::len);
            deployments == 1 && service["runningCount"] == service["desiredCount"]
        })
    }

    /// Waits until the service's one deployment is COMPLETED with all its tasks.
    ///
    /// # Errors
    ///
    /// If it is not in time.
    pub fn wait_completed(&self, name: &str) -> Result<Value> {
        self.wait_service(name, "whole", |service| {
            service["deployments"].as_array().map(Vec::len) == Some(1)
                && service["deployments"][0]["rolloutState"] == "COMPLETED"
                && service["runningCount"] == service["desiredCount"]
        })
    }

    /// The tasks of a service that are meant to run, described.
    ///
    /// # Errors
    ///
    /// If the scheduler refuses.
    pub fn service_tasks(&self, name: &str) -> Result<Vec<Value>> {
        let listed = self.of_services("ListTasks", json!({"serviceName": name}), &json!({}))?;
        let listed = list(&listed, "taskArns")?;
        let known: Vec<String> = listed
            .iter()
            .filter_map(|arn| arn.as_str().map(str::to_owned))
            .collect();
        if known.is_empty() {
            return Ok(Vec::new());
        }
        self.describe(&known)
    }

    /// The ARNs of the tasks of a service that are meant to run.
    ///
    /// # Errors
    ///
    /// If the scheduler refuses.
    pub fn service_task_arns(&self, name: &str) -> Result<Vec<String>> {
        arns(&self.service_tasks(name)?)
    }

    /// Deletes a service and waits until nothing of it runs.
    ///
    /// # Errors
    ///
    /// If something does.
    pub fn delete_service(&self, name: &str) -> Result<Value> {
        let deleted = self.of_services("DeleteService", json!({"service": name, "force": true}), &json!({}))?;
        ensure!(deleted["service"]["status"] == "DRAINING", "{deleted}");
        self.wait_service(name, "INACTIVE", |service| service["status"] == "INACTIVE")
    }
}

/// The texts of a service's events, the newest first.
#[must_use]
pub fn events(service: &Value) -> Vec<String> {
    let events = service["events"].as_array().into_iter().flatten();
    events
        .filter_map(|event| event["message"].as_str().map(str::to_owned))
        .collect()
}
