//! Operations on tasks.

use berth_proto::ecs::v1::{
    DescribeTasksRequest, DescribeTasksResponse, ListTasksRequest, RunTaskRequest, RunTaskResponse, StopTaskRequest,
    StopTaskResponse,
};

use super::{Api, CallError, DESCRIBE_AT_MOST};

impl Api {
    pub(crate) async fn run_task(&self, request: RunTaskRequest) -> Result<RunTaskResponse, CallError> {
        self.ecs("RunTask", request, async |mut ecs, request| ecs.run_task(request).await)
            .await
    }

    /// ARNs of all tasks of the cluster that should be in `desired_status`, of one family or of all.
    pub(crate) async fn list_tasks(
        &self,
        family: Option<&str>,
        desired_status: &str,
    ) -> Result<Vec<String>, CallError> {
        self.list(family, None, desired_status).await
    }

    /// ARNs of all tasks of the container instance that are meant to have the status.
    pub(crate) async fn list_tasks_on(&self, instance: &str, desired_status: &str) -> Result<Vec<String>, CallError> {
        self.list(None, Some(instance), desired_status).await
    }

    async fn list(
        &self,
        family: Option<&str>,
        instance: Option<&str>,
        desired_status: &str,
    ) -> Result<Vec<String>, CallError> {
        let mut arns = Vec::new();
        let mut next_token = None;
        loop {
            let request = ListTasksRequest {
                cluster: self.cluster.clone(),
                family: family.map(str::to_owned),
                container_instance: instance.map(str::to_owned),
                desired_status: Some(desired_status.to_owned()),
                next_token,
                ..Default::default()
            };
            let page = self
                .ecs("ListTasks", request, async |mut ecs, request| {
                    ecs.list_tasks(request).await
                })
                .await?;
            arns.extend(page.task_arns);
            next_token = page.next_token;
            if next_token.is_none() {
                return Ok(arns);
            }
        }
    }

    /// The named tasks; those that do not exist are among the failures.
    pub(crate) async fn describe_tasks(&self, tasks: &[String]) -> Result<DescribeTasksResponse, CallError> {
        let mut all = DescribeTasksResponse::default();
        for chunk in tasks.chunks(DESCRIBE_AT_MOST) {
            let request = DescribeTasksRequest {
                cluster: self.cluster.clone(),
                tasks: chunk.to_vec(),
                ..Default::default()
            };
            let part = self
                .ecs("DescribeTasks", request, async |mut ecs, request| {
                    ecs.describe_tasks(request).await
                })
                .await?;
            all.tasks.extend(part.tasks);
            all.failures.extend(part.failures);
        }
        Ok(all)
    }

    pub(crate) async fn stop_task(&self, task: String, reason: Option<String>) -> Result<StopTaskResponse, CallError> {
        let request = StopTaskRequest {
            cluster: self.cluster.clone(),
            task: Some(task),
            reason,
        };
        self.ecs("StopTask", request, async |mut ecs, request| {
            ecs.stop_task(request).await
        })
        .await
    }
}
