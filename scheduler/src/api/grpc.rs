//! The gRPC mouth: each method of the generated services calls the operation of its name.

use std::convert;
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
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use http::HeaderValue;
use tonic::metadata::AsciiMetadataValue;
use tonic::transport::server::TcpConnectInfo;
use tonic::{Code, Request, Response, Status};

use super::call::{self, At};
use super::operations::{as_seen, for_each_operation, for_each_scaling_operation, unserved};
use super::refused::refusal;
use super::{
    Api, Caller, account, attributes, autoscaling, clusters, definitions, events, faults, history, instances, plan,
    protection, schedules, services, tags, targets, tasks, usage,
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
        $service:ident $mouth:ident $wire:ident $words:path;
        served { $($name:literal $kind:ident $rpc:ident $request:ident $response:ident = $serve:path;)+ }
        unserved { $($no_name:literal $no_rpc:ident $no_request:ident $no_response:ident;)* }
    ) => {
        #[tonic::async_trait]
        impl $service for $mouth {
            $(
                async fn $rpc(&self, request: Request<$wire::$request>) -> Result<Response<$wire::$response>, Status> {
                    let caller = caller(&request);
                    let refused = |fault| faults::status(&$words(fault));
                    let at = at(&request).map_err(refused)?;
                    let api = as_seen!($kind self.0, $name, at).map_err(refused)?;
                    let served = $serve(&api, request.into_inner(), &caller).await;
                    answer(&api, served)
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

for_each_operation!(grpc_mouth Ecs GrpcApi ecs convert::identity;);
for_each_scaling_operation!(grpc_mouth AutoScaling Additions wire autoscaling::in_its_words;);

#[tonic::async_trait]
impl Berth for Additions {
    async fn describe_usage(
        &self,
        request: Request<DescribeUsageRequest>,
    ) -> Result<Response<DescribeUsageResponse>, Status> {
        let api = self.only_now("DescribeUsage", "usage figures are", &request).await?;
        let seen = api.clone();
        let described = tokio::task::spawn_blocking(move || usage::describe(&seen, request.into_inner()));
        let described = described
            .await
            .unwrap_or_else(|error| Err(Fault::server(format!("usage is not described: {error}"))));
        answer(&api, described)
    }

    async fn plan(&self, request: Request<PlanRequest>) -> Result<Response<PlanResponse>, Status> {
        let api = self.read(&request).await?;
        answer(&api, plan::answer(&api, request.into_inner()).await)
    }

    async fn describe_targets(
        &self,
        request: Request<DescribeTargetsRequest>,
    ) -> Result<Response<DescribeTargetsResponse>, Status> {
        let api = self.read(&request).await?;
        answer(&api, targets::describe(&api, &request.into_inner()))
    }

    async fn describe_service_scaling(
        &self,
        request: Request<wire::DescribeServiceScalingRequest>,
    ) -> Result<Response<wire::DescribeServiceScalingResponse>, Status> {
        let api = self
            .only_now("DescribeServiceScaling", "measured figures are", &request)
            .await?;
        answer(&api, autoscaling::describe::service(&api, &request.into_inner()))
    }

    async fn history(&self, request: Request<wire::HistoryRequest>) -> Result<Response<wire::HistoryResponse>, Status> {
        let api = self.read(&request).await?;
        answer(&api, history::tell(&api, request.into_inner()).await)
    }

    type WatchStream = BoxStream<'static, Result<wire::WatchResponse, Status>>;

    async fn watch(&self, request: Request<wire::WatchRequest>) -> Result<Response<Self::WatchStream>, Status> {
        let watching = match at(&request) {
            Ok(None) => events::watch(&self.0, request.into_inner()).await,
            Ok(Some(_)) => Err(Fault::invalid(format!(
                "Watch: leave {} out: from, after and last say where to begin.",
                call::AT
            ))),
            Err(fault) => Err(fault),
        };
        let watching = watching.map(|told| told.map(|told| told.map_err(|fault| faults::status(&fault))).boxed());
        answer(&self.0, watching)
    }
}

#[tonic::async_trait]
impl Schedules for Additions {
    async fn create_schedule(
        &self,
        request: Request<wire::CreateScheduleRequest>,
    ) -> Result<Response<wire::CreateScheduleResponse>, Status> {
        let api = self.write("CreateSchedule", &request)?;
        let caller = caller(&request);
        answer(api, schedules::create(api, request.into_inner(), &caller).await)
    }

    async fn update_schedule(
        &self,
        request: Request<wire::UpdateScheduleRequest>,
    ) -> Result<Response<wire::UpdateScheduleResponse>, Status> {
        let api = self.write("UpdateSchedule", &request)?;
        let caller = caller(&request);
        answer(api, schedules::update(api, request.into_inner(), &caller).await)
    }

    async fn delete_schedule(
        &self,
        request: Request<wire::DeleteScheduleRequest>,
    ) -> Result<Response<wire::DeleteScheduleResponse>, Status> {
        let api = self.write("DeleteSchedule", &request)?;
        let caller = caller(&request);
        answer(api, schedules::delete(api, request.into_inner(), &caller).await)
    }

    async fn describe_schedule(
        &self,
        request: Request<wire::DescribeScheduleRequest>,
    ) -> Result<Response<wire::DescribeScheduleResponse>, Status> {
        let api = self.read(&request).await?;
        answer(&api, schedules::describe(&api, &request.into_inner()))
    }

    async fn list_schedules(
        &self,
        request: Request<wire::ListSchedulesRequest>,
    ) -> Result<Response<wire::ListSchedulesResponse>, Status> {
        let api = self.read(&request).await?;
        answer(&api, schedules::list(&api, &request.into_inner()))
    }

    async fn run_schedule(
        &self,
        request: Request<wire::RunScheduleRequest>,
    ) -> Result<Response<wire::RunScheduleResponse>, Status> {
        let api = self.write("RunSchedule", &request)?;
        let caller = caller(&request);
        answer(api, schedules::run(api, request.into_inner(), &caller).await)
    }
}

impl Additions {
    async fn read<T>(&self, request: &Request<T>) -> Result<Api, Status> {
        let seen = async || self.0.read(at(request)?).await;
        seen().await.map_err(|fault| faults::status(&fault))
    }

    async fn only_now<T>(&self, operation: &str, what: &str, request: &Request<T>) -> Result<Api, Status> {
        let seen = async || self.0.only_now(operation, what, at(request)?).await;
        seen().await.map_err(|fault| faults::status(&fault))
    }

    fn write<T>(&self, operation: &str, request: &Request<T>) -> Result<&Api, Status> {
        let seen = at(request).and_then(|at| self.0.write(operation, at));
        seen.map_err(|fault| faults::status(&fault))
    }
}

/// The moment that the request asks for.
fn at<T>(request: &Request<T>) -> Result<Option<At>, Fault> {
    let metadata = request.metadata();
    At::read(metadata.get(call::AT).map(AsciiMetadataValue::as_bytes))
}

/// The answer, or the refusal, with the revision of what the call has seen.
fn answer<T>(api: &Api, served: Result<T, Fault>) -> Result<Response<T>, Status> {
    let revision = AsciiMetadataValue::from(api.view().revision().0);
    match served {
        Ok(answer) => {
            let mut response = Response::new(answer);
            response.metadata_mut().insert(call::REVISION, revision);
            Ok(response)
        }
        Err(fault) => {
            let mut status = faults::status(&fault);
            status.metadata_mut().insert(call::REVISION, revision);
            Err(status)
        }
    }
}

/// The answer to a call of an operation that ECS has and this scheduler refuses, whether it knows its shapes or not.
#[must_use]
pub fn refuse<B: Default>(path: &str) -> Option<http::Response<B>> {
    let operation = path.strip_prefix("/berth.ecs.v1.Ecs/")?;
    Some(faults::status(&refusal(operation)?).into_http())
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
