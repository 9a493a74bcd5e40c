//! A scheduler of pretence: the operations that `berth` calls, over a state that tests arrange.
//!
//! It answers in pages of two and lets tasks advance by one status with each look at them, so that what follows pages
//! and waits is seen to do so.

mod autoscaling;
mod capacity;
mod operations;
mod schedules;
mod services;
mod settings;
mod state;

use std::convert::Infallible;
use std::net::TcpListener;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use berth_proto::v1::{WatchRequest, WatchResponse};
use prost::Message;
use tokio::runtime::Runtime;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::body::Body;
use tonic::codegen::Service;
use tonic::server::{Grpc, NamedService};
use tonic::{Request, Response, Status};
use tonic_prost::ProstCodec;

pub(crate) use self::schedules::{schedule, schedule_run};
pub(crate) use self::services::{deployment, deployment_brief, service};
pub(crate) use self::state::{State, instance, task};

/// A fake that listens until it is dropped.
pub(crate) struct Fake {
    pub(crate) url: String,
    state: Arc<Mutex<State>>,
    _runtime: Runtime,
}

impl Fake {
    /// Listens on a free port, with the cluster `default`.
    pub(crate) fn start() -> anyhow::Result<Self> {
        Self::serve(TcpListener::bind("127.0.0.1:0")?)
    }

    pub(crate) fn serve(listener: TcpListener) -> anyhow::Result<Self> {
        let state = Arc::new(Mutex::new(State::with_cluster("default")));
        let url = format!("http://{}", listener.local_addr()?);
        listener.set_nonblocking(true)?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()?;
        let listener = {
            let _entered = runtime.enter();
            tokio::net::TcpListener::from_std(listener)?
        };
        let server = tonic::transport::Server::builder()
            .add_service(Ecs(Arc::clone(&state)))
            .add_service(Berth(Arc::clone(&state)))
            .add_service(Schedules(Arc::clone(&state)))
            .add_service(AutoScaling(Arc::clone(&state)))
            .serve_with_incoming(TcpListenerStream::new(listener));
        runtime.spawn(server);
        Ok(Self {
            url,
            state,
            _runtime: runtime,
        })
    }

    /// The state, to arrange or to look at.
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

type Answer = Pin<Box<dyn Future<Output = Result<http::Response<Body>, Infallible>> + Send>>;

#[derive(Clone)]
struct Ecs(Arc<Mutex<State>>);

impl NamedService for Ecs {
    const NAME: &'static str = "berth.ecs.v1.Ecs";
}

impl Service<http::Request<Body>> for Ecs {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Answer;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Answer {
        let state = Arc::clone(&self.0);
        Box::pin(async move { Ok(dispatch(request, state).await) })
    }
}

async fn dispatch(request: http::Request<Body>, state: Arc<Mutex<State>>) -> http::Response<Body> {
    let silent = state.lock().unwrap_or_else(PoisonError::into_inner).silent;
    if silent {
        std::future::pending::<()>().await;
    }
    let operation = request.uri().path().rsplit('/').next().unwrap_or_default().to_owned();
    match operation.as_str() {
        "ListClusters" => serve(request, state, State::list_clusters).await,
        "DescribeClusters" => serve(request, state, State::describe_clusters).await,
        "CreateCluster" => serve(request, state, State::create_cluster).await,
        "DeleteCluster" => serve(request, state, State::delete_cluster).await,
        "RegisterTaskDefinition" => serve(request, state, State::register_task_definition).await,
        "DescribeTaskDefinition" => serve(request, state, State::describe_task_definition).await,
        "DeregisterTaskDefinition" => serve(request, state, State::deregister_task_definition).await,
        "DeleteTaskDefinitions" => serve(request, state, State::delete_task_definitions).await,
        "ListTaskDefinitionFamilies" => serve(request, state, State::list_task_definition_families).await,
        "ListTaskDefinitions" => serve(request, state, State::list_task_definitions).await,
        "RunTask" => serve(request, state, State::run_task).await,
        "StopTask" => serve(request, state, State::stop_task).await,
        "ListTasks" => serve(request, state, State::list_tasks).await,
        "DescribeTasks" => serve(request, state, State::describe_tasks).await,
        "ListContainerInstances" => serve(request, state, State::list_container_instances).await,
        "DescribeContainerInstances" => serve(request, state, State::describe_container_instances).await,
        "UpdateContainerInstancesState" => serve(request, state, State::update_container_instances_state).await,
        "DeregisterContainerInstance" => serve(request, state, State::deregister_container_instance).await,
        "PutAttributes" => serve(request, state, State::put_attributes).await,
        "DeleteAttributes" => serve(request, state, State::delete_attributes).await,
        "ListAccountSettings" => serve(request, state, State::list_account_settings).await,
        "PutAccountSetting" => serve(request, state, State::put_account_setting).await,
        "DeleteAccountSetting" => serve(request, state, State::delete_account_setting).await,
        "CreateService" => serve(request, state, State::create_service).await,
        "UpdateService" => serve(request, state, State::update_service).await,
        "DeleteService" => serve(request, state, State::delete_service).await,
        "ListServices" => serve(request, state, State::list_services).await,
        "DescribeServices" => serve(request, state, State::describe_services).await,
        "ListServiceDeployments" => serve(request, state, State::list_service_deployments).await,
        "DescribeServiceRevisions" => serve(request, state, State::describe_service_revisions).await,
        "TagResource" => serve(request, state, State::tag_resource).await,
        "CreateCapacityProvider" => serve(request, state, State::create_capacity_provider).await,
        "DescribeCapacityProviders" => serve(request, state, State::describe_capacity_providers).await,
        "PutClusterCapacityProviders" => serve(request, state, State::put_cluster_capacity_providers).await,
        "DeleteCapacityProvider" => serve(request, state, State::delete_capacity_provider).await,
        "StopServiceDeployment" => serve(request, state, State::stop_service_deployment).await,
        _ => Status::unimplemented(operation).into_http(),
    }
}

#[derive(Clone)]
struct Berth(Arc<Mutex<State>>);

impl NamedService for Berth {
    const NAME: &'static str = "berth.v1.Berth";
}

impl Service<http::Request<Body>> for Berth {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Answer;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Answer {
        let state = Arc::clone(&self.0);
        let operation = request.uri().path().rsplit('/').next().unwrap_or_default().to_owned();
        Box::pin(async move {
            Ok(match operation.as_str() {
                "Plan" => serve(request, state, State::plan).await,
                "History" => serve(request, state, State::history).await,
                "DescribeServiceScaling" => serve(request, state, State::describe_service_scaling).await,
                "Watch" => watch(request, state).await,
                "DescribeTargets" => serve(request, state, State::describe_targets).await,
                _ => serve(request, state, State::describe_usage).await,
            })
        })
    }
}

#[derive(Clone)]
struct Schedules(Arc<Mutex<State>>);

impl NamedService for Schedules {
    const NAME: &'static str = "berth.v1.Schedules";
}

impl Service<http::Request<Body>> for Schedules {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Answer;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Answer {
        let state = Arc::clone(&self.0);
        let operation = request.uri().path().rsplit('/').next().unwrap_or_default().to_owned();
        Box::pin(async move {
            Ok(match operation.as_str() {
                "CreateSchedule" => serve(request, state, State::create_schedule).await,
                "UpdateSchedule" => serve(request, state, State::update_schedule).await,
                "DeleteSchedule" => serve(request, state, State::delete_schedule).await,
                "DescribeSchedule" => serve(request, state, State::describe_schedule).await,
                "ListSchedules" => serve(request, state, State::list_schedules).await,
                "RunSchedule" => serve(request, state, State::run_schedule).await,
                _ => Status::unimplemented(operation).into_http(),
            })
        })
    }
}

#[derive(Clone)]
struct AutoScaling(Arc<Mutex<State>>);

impl NamedService for AutoScaling {
    const NAME: &'static str = "berth.v1.AutoScaling";
}

impl Service<http::Request<Body>> for AutoScaling {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Answer;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Answer {
        let state = Arc::clone(&self.0);
        let operation = request.uri().path().rsplit('/').next().unwrap_or_default().to_owned();
        Box::pin(async move {
            Ok(match operation.as_str() {
                "RegisterScalableTarget" => serve(request, state, State::register_scalable_target).await,
                "DeregisterScalableTarget" => serve(request, state, State::deregister_scalable_target).await,
                "PutScalingPolicy" => serve(request, state, State::put_scaling_policy).await,
                "DeleteScalingPolicy" => serve(request, state, State::delete_scaling_policy).await,
                "DescribeScalableTargets" => serve(request, state, State::describe_scalable_targets).await,
                "DescribeScalingPolicies" => serve(request, state, State::describe_scaling_policies).await,
                _ => Status::unimplemented(operation).into_http(),
            })
        })
    }
}

/// Answers one unary call with what `operation` makes of it.
async fn serve<Q, A>(
    request: http::Request<Body>,
    state: Arc<Mutex<State>>,
    operation: fn(&mut State, Q) -> Result<A, Status>,
) -> http::Response<Body>
where
    Q: Message + Default + Send + 'static,
    A: Message + Default + Send + 'static,
{
    let service = tower::service_fn(move |request: Request<Q>| {
        let state = Arc::clone(&state);
        async move {
            let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
            let at = request.metadata().get("berth-at").and_then(|at| at.to_str().ok());
            state.at.extend(at.map(str::to_owned));
            let mut answer = operation(&mut state, request.into_inner()).map(Response::new)?;
            answer.metadata_mut().insert("berth-revision", 17.into());
            Ok(answer)
        }
    });
    Grpc::new(ProstCodec::<A, Q>::default()).unary(service, request).await
}

/// Answers a call of Watch with the next of the streams.
async fn watch(request: http::Request<Body>, state: Arc<Mutex<State>>) -> http::Response<Body> {
    let service = tower::service_fn(move |request: Request<WatchRequest>| {
        let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
        state.watches.push(request.into_inner());
        let told = state.streams.pop_front();
        std::future::ready(match told {
            Some(told) => Ok(Response::new(tokio_stream::iter(told))),
            None => Err(Status::unavailable("no more streams")),
        })
    });
    let codec = ProstCodec::<WatchResponse, WatchRequest>::default();
    Grpc::new(codec).server_streaming(service, request).await
}
