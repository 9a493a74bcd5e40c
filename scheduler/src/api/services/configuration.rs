//! `deploymentConfiguration` of requests. What it may ask for and nothing here does is refused by name.

use berth_model::fault::Fault;
use berth_model::service::validate::{RawBreaker, RawConfiguration, RawShiftStep};
use berth_proto::ecs::v1 as ecs;

use crate::api::request::{given, one_of, refuse_unsupported};

/// The members that are given.
pub(super) fn read(given_one: Option<&ecs::DeploymentConfiguration>) -> Result<RawConfiguration, Fault> {
    let Some(asked) = given_one else {
        return Ok(RawConfiguration::default());
    };
    if let Some(strategy) = given(asked.strategy.as_ref()) {
        one_of(
            "deploymentConfiguration.strategy",
            strategy,
            &["ROLLING", "BLUE_GREEN", "LINEAR", "CANARY"],
        )?;
    }
    let alarms = asked.alarms.as_ref();
    let early = asked.early_success_criteria.as_ref();
    refuse_unsupported(&[
        (
            "deploymentConfiguration.alarms",
            alarms.is_some_and(|alarms| alarms.enable == Some(true)),
        ),
        (
            "deploymentConfiguration.lifecycleHooks",
            !asked.lifecycle_hooks.is_empty(),
        ),
        (
            "deploymentConfiguration.earlySuccessCriteria",
            early.is_some_and(|early| early.enable == Some(true)),
        ),
    ])?;
    Ok(RawConfiguration {
        minimum_healthy_percent: asked.minimum_healthy_percent,
        maximum_percent: asked.maximum_percent,
        breaker: asked.deployment_circuit_breaker.as_ref().map(breaker),
        strategy: given(asked.strategy.as_ref()).map(str::to_owned),
        bake_minutes: asked.bake_time_in_minutes,
        canary: asked.canary_configuration.as_ref().map(|canary| RawShiftStep {
            percent: canary.canary_percent,
            bake_minutes: canary.canary_bake_time_in_minutes,
        }),
        linear: asked.linear_configuration.as_ref().map(|linear| RawShiftStep {
            percent: linear.step_percent,
            bake_minutes: linear.step_bake_time_in_minutes,
        }),
    })
}

fn breaker(asked: &ecs::DeploymentCircuitBreaker) -> RawBreaker {
    let threshold = asked.threshold_configuration.as_ref();
    RawBreaker {
        enable: asked.enable,
        rollback: asked.rollback,
        reset_on_healthy_task: asked.reset_on_healthy_task,
        threshold: threshold.map(|threshold| (threshold.r#type.clone(), threshold.value)),
    }
}
