//! Schedules.

use berth_proto::v1::schedules_client::SchedulesClient;
use berth_proto::v1::{
    CreateScheduleRequest, CreateScheduleResponse, DeleteScheduleRequest, DeleteScheduleResponse,
    DescribeScheduleRequest, DescribeScheduleResponse, ListSchedulesRequest, ListSchedulesResponse, RunScheduleRequest,
    RunScheduleResponse, UpdateScheduleRequest, UpdateScheduleResponse,
};
use prost::Message;
use tonic::transport::Channel;
use tonic::{Request, Response, Status};

use super::{Api, CallError};

impl Api {
    async fn schedules<Q: Message, A>(
        &self,
        operation: &'static str,
        request: Q,
        send: impl AsyncFnOnce(SchedulesClient<Channel>, Request<Q>) -> Result<Response<A>, Status>,
    ) -> Result<A, CallError> {
        let client = SchedulesClient::new(self.channel.clone());
        self.bounded("berth.v1.Schedules", operation, request, async |request| {
            send(client, request).await
        })
        .await
    }

    pub(crate) async fn create_schedule(
        &self,
        request: CreateScheduleRequest,
    ) -> Result<CreateScheduleResponse, CallError> {
        let request = CreateScheduleRequest {
            cluster: self.cluster.clone(),
            ..request
        };
        self.schedules("CreateSchedule", request, async |mut schedules, request| {
            schedules.create_schedule(request).await
        })
        .await
    }

    pub(crate) async fn update_schedule(
        &self,
        request: UpdateScheduleRequest,
    ) -> Result<UpdateScheduleResponse, CallError> {
        let request = UpdateScheduleRequest {
            cluster: self.cluster.clone(),
            ..request
        };
        self.schedules("UpdateSchedule", request, async |mut schedules, request| {
            schedules.update_schedule(request).await
        })
        .await
    }

    pub(crate) async fn delete_schedule(&self, name: String) -> Result<DeleteScheduleResponse, CallError> {
        let request = DeleteScheduleRequest {
            cluster: self.cluster.clone(),
            name: Some(name),
        };
        self.schedules("DeleteSchedule", request, async |mut schedules, request| {
            schedules.delete_schedule(request).await
        })
        .await
    }

    /// A schedule with its newest runs; so many as are kept where that is not said.
    pub(crate) async fn describe_schedule(
        &self,
        name: String,
        max_runs: Option<i32>,
    ) -> Result<DescribeScheduleResponse, CallError> {
        let request = DescribeScheduleRequest {
            cluster: self.cluster.clone(),
            name: Some(name),
            max_runs,
            max_upcoming: None,
        };
        self.schedules("DescribeSchedule", request, async |mut schedules, request| {
            schedules.describe_schedule(request).await
        })
        .await
    }

    /// All schedules of the cluster.
    pub(crate) async fn all_schedules(&self) -> Result<ListSchedulesResponse, CallError> {
        let mut all = ListSchedulesResponse::default();
        let mut next_token = None;
        loop {
            let request = ListSchedulesRequest {
                cluster: self.cluster.clone(),
                next_token,
                ..Default::default()
            };
            let page = self
                .schedules("ListSchedules", request, async |mut schedules, request| {
                    schedules.list_schedules(request).await
                })
                .await?;
            all.schedules.extend(page.schedules);
            next_token = page.next_token;
            if next_token.is_none() {
                return Ok(all);
            }
        }
    }

    pub(crate) async fn run_schedule(&self, name: String) -> Result<RunScheduleResponse, CallError> {
        let request = RunScheduleRequest {
            cluster: self.cluster.clone(),
            name: Some(name),
        };
        self.schedules("RunSchedule", request, async |mut schedules, request| {
            schedules.run_schedule(request).await
        })
        .await
    }
}
