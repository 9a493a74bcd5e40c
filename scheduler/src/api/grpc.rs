//! The gRPC mouth: each method of the generated services calls the operation of its name.

use std::sync::Arc;

use berth_model::fault::Fault;
use berth_proto::ecs::v1 as ecs;
use berth_proto::ecs::v1::ecs_server::Ecs;
use berth_proto::v1 as wire;
use berth_proto::v1::auto_scaling_server::AutoScaling;
use berth_proto::v1::berth_server::Berth;
use berth_proto::v1::schedules_server::Schedules;
use berth_proto::v1::{
    DescribeTargetsRequest, DescribeTargetsResponse, DescribeUsageRequest, DescribeUsageResponse, PlanRequest,
    PlanResponse,
};
use http::HeaderValue;
use tonic::transport::server::TcpConnectInfo;
use tonic::{Code, Request, Response, Status};

use super::operations::{for_each_operation, for_each_scaling_operation, unserved};
use super::{
    Api, Caller, autoscaling, clusters, definitions, faults, instances, plan, protection, schedules, services, tags,
    targets, tasks, usage,
};

/// ECS's operations over gRPC.
#[derive(Debug, Clone)]
pub struct GrpcApi(pub Arc<Api>);

/// What Berth adds to them.
#[derive(Debug, Clone)]
pub struct Additions(pub Arc<Api>);

fn caller<T>(request: &Request<T>) -> Caller {
    let address = request
        .extensions()
        .get::<TcpConnectInfo>()
        .and_then(TcpConnectInfo::remote_addr)
        .map(|address| address.ip().to_string());
    Caller {
        principal: format!("grpc {}", address.unwrap_or_default()).into(),
    }
}

macro_rules! grpc_mouth {
    (
        $service:ident $mouth:ident $wire:ident;
        served { $($name:literal $rpc:ident $request:ident $response:ident = $serve:path;)+ }
        unserved { $($no_name:literal $no_rpc:ident $no_request:ident $no_response:ident;)* }
    ) => {
        #[tonic::async_trait]
        impl $service for $mouth {
            $(
                async fn $rpc(&self, request: Request<$wire::$request>) -> Result<Response<$wire::$response>, Status> {
                    let caller = caller(&request);
                    let served = $serve(&self.0, request.into_inner(), &caller).await;
                    served.map(Response::new).map_err(|fault| faults::status(&fault))
                }
            )+
            $(
                async fn $no_rpc(&self, _: Request<$wire::$no_request>) -> Result<Response<$wire::$no_response>, Status> {
                    Err(faults::status(&unserved($no_name)))
                }
            )*
        }
    };
}

for_each_operation!(grpc_mouth Ecs GrpcApi ecs;);
for_each_scaling_operation!(grpc_mouth AutoScaling Additions wire;);

#[tonic::async_trait]
impl Berth for Additions {
    async fn describe_usage(
        &self,
        request: Request<DescribeUsageRequest>,
    ) -> Result<Response<DescribeUsageResponse>, Status> {
        let api = Arc::clone(&self.0);
        let described = tokio::task::spawn_blocking(move || usage::describe(&api, request.into_inner()));
        let described = described
            .await
            .unwrap_or_else(|error| Err(Fault::server(format!("usage is not described: {error}"))));
        described.map(Response::new).map_err(|fault| faults::status(&fault))
    }

    async fn plan(&self, request: Request<PlanRequest>) -> Result<Response<PlanResponse>, Status> {
        let planned = plan::answer(&self.0, request.into_inner()).await;
        planned.map(Response::new).map_err(|fault| faults::status(&fault))
    }

    async fn describe_targets(
        &self,
        request: Request<DescribeTargetsRequest>,
    ) -> Result<Response<DescribeTargetsResponse>, Status> {
        let described = targets::describe(&self.0, &request.into_inner());
        described.map(Response::new).map_err(|fault| faults::status(&fault))
    }

    async fn describe_service_scaling(
        &self,
        request: Request<wire::DescribeServiceScalingRequest>,
    ) -> Result<Response<wire::DescribeServiceScalingResponse>, Status> {
        answer(autoscaling::describe::service(&self.0, &request.into_inner()))
    }
}

#[tonic::async_trait]
impl Schedules for Additions {
    async fn create_schedule(
        &self,
        request: Request<wire::CreateScheduleRequest>,
    ) -> Result<Response<wire::CreateScheduleResponse>, Status> {
        let caller = caller(&request);
        answer(schedules::create(&self.0, request.into_inner(), &caller).await)
    }

    async fn update_schedule(
        &self,
        request: Request<wire::UpdateScheduleRequest>,
    ) -> Result<Response<wire::UpdateScheduleResponse>, Status> {
        let caller = caller(&request);
        answer(schedules::update(&self.0, request.into_inner(), &caller).await)
    }

    async fn delete_schedule(
        &self,
        request: Request<wire::DeleteScheduleRequest>,
    ) -> Result<Response<wire::DeleteScheduleResponse>, Status> {
        let caller = caller(&request);
        answer(schedules::delete(&self.0, request.into_inner(), &caller).await)
    }

    async fn describe_schedule(
        &self,
        request: Request<wire::DescribeScheduleRequest>,
    ) -> Result<Response<wire::DescribeScheduleResponse>, Status> {
        answer(schedules::describe(&self.0, &request.into_inner()))
    }

    async fn list_schedules(
        &self,
        request: Request<wire::ListSchedulesRequest>,
    ) -> Result<Response<wire::ListSchedulesResponse>, Status> {
        answer(schedules::list(&self.0, &request.into_inner()))
    }

    async fn run_schedule(
        &self,
        request: Request<wire::RunScheduleRequest>,
    ) -> Result<Response<wire::RunScheduleResponse>, Status> {
        let caller = caller(&request);
        answer(schedules::run(&self.0, request.into_inner(), &caller).await)
    }
}

fn answer<T>(served: Result<T, Fault>) -> Result<Response<T>, Status> {
    served.map(Response::new).map_err(|fault| faults::status(&fault))
}

/// Gives an error that the gRPC library made by itself (bytes that are no message, an unknown method, a message that
/// is too large) its ECS class, as every other error has one.
pub fn name_fault<B>(mut response: http::Response<B>) -> http::Response<B> {
    let headers = response.headers_mut();
    let code = headers
        .get("grpc-status")
        .map(|status| Code::from_bytes(status.as_bytes()));
    if let Some(code) = code
        && code != Code::Ok
        && !headers.contains_key(faults::FAULT_KEY)
    {
        headers.insert(
            faults::FAULT_KEY,
            HeaderValue::from_static(faults::class_of(code).name()),
        );
    }
    response
}
