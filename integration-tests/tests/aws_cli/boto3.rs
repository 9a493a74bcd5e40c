//! boto3: its own model of the service checks each answer (see `src/aws/prelude.py`), its exceptions are typed, its
//! paginators and waiters come to an end.

use anyhow::{Result, ensure};

use super::Demo;

/// Runs a script of this directory, which ends with a line that says so.
fn run(demo: &Demo, script: &str) -> Result<()> {
    let printed = demo.aws.boto3(script)?;
    ensure!(printed.ends_with("all checked\n"), "the script printed {printed}");
    Ok(())
}

pub(super) fn answers_are_of_the_models_types(demo: &Demo) -> Result<()> {
    run(demo, include_str!("boto3/types.py"))
}

pub(super) fn exceptions_are_the_clients_own(demo: &Demo) -> Result<()> {
    run(demo, include_str!("boto3/exceptions.py"))
}

pub(super) fn paginators_and_waiters_work(demo: &Demo) -> Result<()> {
    run(demo, include_str!("boto3/paging.py"))
}

pub(super) fn a_client_token_runs_tasks_once(demo: &Demo) -> Result<()> {
    run(demo, include_str!("boto3/tokens.py"))
}

pub(super) fn a_service_is_scaled_as_by_application_auto_scaling(demo: &Demo) -> Result<()> {
    run(demo, include_str!("boto3/autoscaling.py"))
}

pub(super) fn a_service_is_deployed_by_task_sets(demo: &Demo) -> Result<()> {
    run(demo, include_str!("boto3/task_sets.py"))
}

pub(super) fn an_agent_of_another_making_tells_by_calls(demo: &Demo) -> Result<()> {
    run(demo, include_str!("boto3/submissions.py"))
}

pub(super) fn a_service_lives_as_on_ecs(demo: &Demo) -> Result<()> {
    run(demo, include_str!("boto3/services.py"))
}
