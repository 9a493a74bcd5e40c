//! The gRPC mouth: each method of the generated services calls the operation of its name.

mod access_keys;
mod sessions;
mod trust;

use std::convert;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use berth_model::fault::{Fault, FaultClass};
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
use http_body_util::{BodyExt, Limited};
use serde::Serialize;
use tonic::metadata::AsciiMetadataValue;
use tonic::{Code, Request, Response, Status};

use super::authorize::is_write;
use super::call::{self, At};
use super::operations::{as_seen, for_each_operation, for_each_scaling_operation, unserved};
use super::refused::refusal;
use super::signed::Signed;
use super::{
    Api, account, attributes, autoscaling, capacity, clusters, definitions, events, exec, faults, history, instances,
    plan, protection, schedules, services, submissions, tags, targets, task_sets, tasks, usage,
};
use crate::auth::{Authority, Call, Caller};

/// ECS's operations over gRPC.
#[derive(Debug, Clone)]
pub struct GrpcApi(pub Arc<Api>);

/// What Berth adds to them.
#[derive(Debug, Clone)]
pub struct Additions(pub Arc<Api>);

/// Bytes of a call's message, with the five before it: what the gRPC library takes, and a little more, which it then refuses.
const MAX_MESSAGE: usize = 4 * 1024 * 1024 + 64 * 1024;
/// How long the message of a call may take to come.
const MESSAGE_DEADLINE: Duration = Duration::from_secs(30);
/// The methods of agents, gateways and schedulers, which have no access keys: their certificates are looked at there. And that of
/// sessions, which are entered by a token.
const STREAMS: [&str; 5] = [
    "/berth.agent.v1.AgentLink/",
    "/berth.gateway.v1.GatewayLink/",
    "/berth.replica.v1.ReplicaLink/",
    "/berth.trust.v1.Enrollment/",
    "/berth.v1.Sessions/Attach",
];
/// Who copies the journal.
const READ_JOURNAL: &str = "/berth.journal.v1.Journal/Read";

/// Lets a call in, with who makes it; where calls must be signed its message is waited for.
///
/// # Errors
/// The answer to one that is not let in.
pub async fn admit<B: Default>(
    api: &Api,
    peer: IpAddr,
    request: http::Request<Body>,
) -> Result<http::Request<Body>, http::Response<B>> {
    let admitted = identify(api, peer, request).await;
    admitted.map_err(|fault| faults::status(&fault).into_http())
}

async fn identify(api: &Api, peer: IpAddr, request: http::Request<Body>) -> Result<http::Request<Body>, Fault> {
    let path = request.uri().path();
    if STREAMS.iter().any(|streams| path.starts_with(streams)) {
        return Ok(request);
    }
    let (mut parts, body) = request.into_parts();
    if !api.authenticator.is_required() {
        let reached = Signed::of(&parts).reached(parts.extensions.get());
        parts.extensions.insert(Caller {
            principal: format!("grpc {peer}").into(),
            address: peer,
            authority: Authority::Unasked,
            reached,
        });
        return Ok(http::Request::from_parts(parts, body));
    }
    let wrong = |text: String| Fault::new(FaultClass::Serialization, format!("The message cannot be read: {text}"));
    let message = tokio::time::timeout(MESSAGE_DEADLINE, Limited::new(body, MAX_MESSAGE).collect()).await;
    let message = message.map_err(|_elapsed| wrong("it did not come in time".to_owned()))?;
    let message = message.map_err(|error| wrong(error.to_string()))?.to_bytes();
    let operation = match parts.uri.path() {
        READ_JOURNAL => "ReadJournal",
        path => path.rsplit('/').next().unwrap_or_default(),
    };
    let caller = api.identify(&Call {
        request: &Signed::of(&parts).request(&message),
        wire: "grpc",
        address: peer,
        services: &["ecs"],
        writes: is_write(operation),
        peer: parts.extensions.get(),
    })?;
    // The others are asked for with the whole request, which the journal's has nothing in.
    if parts.uri.path() == READ_JOURNAL {
        api.authorize("berth", operation, &(), &caller)?;
    }
    parts.extensions.insert(caller);
    Ok(http::Request::from_parts(parts, Body::from(message)))
}

/// Who makes the call.
fn caller<T>(request: &Request<T>) -> Result<Caller, Fault> {
    let caller = request.extensions().get::<Caller>().cloned();
    caller.ok_or_else(|| Fault::server("nobody has asked who makes this call"))
}

macro_rules! grpc_mouth {
    (
        $service:ident $mouth:ident $wire:ident $prefix:literal $words:path;
        served { $($name:literal $kind:ident $rpc:ident $request:ident $response:ident = $serve:path;)+ }
        unserved { $($no_name:literal $no_rpc:ident $no_request:ident $no_response:ident;)* }
    ) => {
        #[tonic::async_trait]
        impl $service for $mouth {
            $(
                async fn $rpc(&self, request: Request<$wire::$request>) -> Result<Response<$wire::$response>, Status> {
                    let refused = |fault| faults::status(&$words(fault));
                    let caller = caller(&request).map_err(refused)?;
                    self.0.authorize($prefix, $name, request.get_ref(), &caller).map_err(refused)?;
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

for_each_operation!(grpc_mouth Ecs GrpcApi ecs "ecs" convert::identity;);
for_each_scaling_operation!(grpc_mouth AutoScaling Additions wire "application-autoscaling" autoscaling::in_its_words;);

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
        let api = self.read("Plan", &request).await?;
        answer(&api, plan::answer(&api, request.into_inner()).await)
    }

    async fn describe_targets(
        &self,
        request: Request<DescribeTargetsRequest>,
    ) -> Result<Response<DescribeTargetsResponse>, Status> {
        let api = self.read("DescribeTargets", &request).await?;
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
        let api = self.read("History", &request).await?;
        answer(&api, history::tell(&api, request.into_inner()).await)
    }

    type WatchStream = BoxStream<'static, Result<wire::WatchResponse, Status>>;

    async fn watch(&self, request: Request<wire::WatchRequest>) -> Result<Response<Self::WatchStream>, Status> {
        self.allow("Watch", &request)?;
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
        let (api, caller) = self.write("CreateSchedule", &request)?;
        answer(api, schedules::create(api, request.into_inner(), &caller).await)
    }

    async fn update_schedule(
        &self,
        request: Request<wire::UpdateScheduleRequest>,
    ) -> Result<Response<wire::UpdateScheduleResponse>, Status> {
        let (api, caller) = self.write("UpdateSchedule", &request)?;
        answer(api, schedules::update(api, request.into_inner(), &caller).await)
    }

    async fn delete_schedule(
        &self,
        request: Request<wire::DeleteScheduleRequest>,
    ) -> Result<Response<wire::DeleteScheduleResponse>, Status> {
        let (api, caller) = self.write("DeleteSchedule", &request)?;
        answer(api, schedules::delete(api, request.into_inner(), &caller).await)
    }

    async fn describe_schedule(
        &self,
        request: Request<wire::DescribeScheduleRequest>,
    ) -> Result<Response<wire::DescribeScheduleResponse>, Status> {
        let api = self.read("DescribeSchedule", &request).await?;
        answer(&api, schedules::describe(&api, &request.into_inner()))
    }

    async fn list_schedules(
        &self,
        request: Request<wire::ListSchedulesRequest>,
    ) -> Result<Response<wire::ListSchedulesResponse>, Status> {
        let api = self.read("ListSchedules", &request).await?;
        answer(&api, schedules::list(&api, &request.into_inner()))
    }

    async fn run_schedule(
        &self,
        request: Request<wire::RunScheduleRequest>,
    ) -> Result<Response<wire::RunScheduleResponse>, Status> {
        let (api, caller) = self.write("RunSchedule", &request)?;
        answer(api, schedules::run(api, request.into_inner(), &caller).await)
    }
}

impl Additions {
    /// Who makes the call, which must be allowed to.
    fn allow<T: Serialize>(&self, operation: &str, request: &Request<T>) -> Result<Caller, Status> {
        let allowed = caller(request).and_then(|caller| {
            self.0
                .authorize("berth", operation, request.get_ref(), &caller)
                .map(|()| caller)
        });
        allowed.map_err(|fault| faults::status(&fault))
    }

    async fn read<T: Serialize>(&self, operation: &str, request: &Request<T>) -> Result<Api, Status> {
        self.allow(operation, request)?;
        let seen = async || self.0.read(at(request)?).await;
        seen().await.map_err(|fault| faults::status(&fault))
    }

    async fn only_now<T: Serialize>(&self, operation: &str, what: &str, request: &Request<T>) -> Result<Api, Status> {
        self.allow(operation, request)?;
        let seen = async || self.0.only_now(operation, what, at(request)?).await;
        seen().await.map_err(|fault| faults::status(&fault))
    }

    fn write<T: Serialize>(&self, operation: &str, request: &Request<T>) -> Result<(&Api, Caller), Status> {
        let caller = self.allow(operation, request)?;
        let seen = at(request).and_then(|at| self.0.write(operation, at));
        seen.map(|api| (api, caller)).map_err(|fault| faults::status(&fault))
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
