//! Docker, as narrow as the agent needs it and in the agent's own words. The only module that names bollard.
//!
//! Every call has a deadline of ours and a bound on how many of its kind run at once. A call never lasts as long as a
//! container takes to stop: the stop signal and SIGKILL are calls of their own. Called by `perform`, and for its
//! events and lists by `watch`.

mod calls;
mod convert;
mod exec;
mod failure;
mod images;
mod log;
mod network;
mod pause;
mod raw;
mod tail;
mod time;
mod turns;
mod volume;

use std::collections::{BTreeSet, HashMap};
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use berth_agent_core::container::{Binding, Snapshot};
use berth_agent_core::create::{CreateRequest, TASK_NETWORK};
use berth_agent_core::failure::{Failure, FailureKind};
use berth_agent_core::name;
use berth_agent_core::recovery::Found;
use berth_model::id::InstanceId;
use bollard::query_parameters::{
    CreateContainerOptionsBuilder, EventsOptionsBuilder, InspectContainerOptions, InspectNetworkOptions,
    KillContainerOptionsBuilder, ListContainersOptionsBuilder, ListVolumesOptionsBuilder,
    RemoveContainerOptionsBuilder, RemoveVolumeOptions, StartContainerOptions,
};
use futures_util::{Stream, StreamExt};
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::prepare::Prepared;
use calls::Timed;
pub(crate) use calls::{Call, Calls};
pub(crate) use exec::{ExecInput, ExecOutput};
use failure::{found, from_bollard};
pub(crate) use images::{Fault, ListedImage, Login, PullError};
pub(crate) use log::LogWish;
use turns::Turns;

/// Under targets that begin so the client library logs, whole requests and answers among it when it debugs.
pub(crate) const CLIENT_LOG: &str = "bollard";
/// Longer than any deadline of ours, which all are shorter and end a call first.
const CLIENT_TIMEOUT_SECONDS: u64 = 600;
const PING: Duration = Duration::from_secs(5);
const QUICK: Duration = Duration::from_secs(10);
const INSPECT: Duration = Duration::from_secs(30);
const LIST: Duration = Duration::from_secs(60);
const KILL: Duration = Duration::from_secs(30);
const REMOVE: Duration = Duration::from_secs(5 * 60);
/// Logs that are read at once.
const LOGS: usize = 4;

/// What may change what is known of a container. Docker takes `health_status` for all that begins so.
const EVENTS: [&str; 5] = ["die", "destroy", "health_status", "pause", "unpause"];

/// How many calls of a kind run at once, and how long Docker may take for those that an operator bounds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    /// Creates and starts together.
    pub(crate) starts: usize,
    /// Signals.
    pub(crate) stops: usize,
    /// Removals.
    pub(crate) removals: usize,
    pub(crate) create_within: Duration,
    pub(crate) start_within: Duration,
}

/// A Docker daemon, and the containers of one instance in it.
#[derive(Debug, Clone)]
pub(crate) struct Docker {
    client: bollard::Docker,
    /// The path of its socket.
    socket: Arc<str>,
    instance: InstanceId,
    limits: Arc<Limits>,
    calls: Arc<Calls>,
    /// Of the network of tasks with an address of their own; Docker's choice where absent.
    task_subnet: Option<(Ipv4Addr, u8)>,
}

#[derive(Debug)]
struct Limits {
    starts: Arc<Turns>,
    stops: Semaphore,
    removals: Semaphore,
    create_within: Duration,
    start_within: Duration,
    networks: Semaphore,
    logs: Semaphore,
}

/// What Docker says of itself and its host.
#[derive(Debug, Clone)]
pub(crate) struct DockerInfo {
    pub(crate) version: String,
    /// Such as `1.41`.
    pub(crate) api_version: String,
    pub(crate) cores: u32,
    pub(crate) memory_bytes: u64,
    pub(crate) log_drivers: Vec<String>,
    /// The directory of images and containers.
    pub(crate) root: PathBuf,
    pub(crate) volume_drivers: Vec<String>,
    /// What containers can be run by: `runc`, and what the daemon was told of.
    pub(crate) runtimes: BTreeSet<String>,
    /// Swap can be limited apart from memory.
    pub(crate) swap_limit: bool,
    /// 1 or 2.
    pub(crate) cgroup_version: u32,
    /// `cgroupfs`, `systemd` or `none`.
    pub(crate) cgroup_driver: String,
    /// AppArmor profiles hold.
    pub(crate) apparmor: bool,
    /// SELinux labels hold.
    pub(crate) selinux: bool,
}

/// What a container runs as, seen from the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Process {
    /// Its first process.
    pub(crate) pid: u32,
    pub(crate) network: Network,
}

/// Whose network namespace a container uses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Network {
    /// Its own.
    Own,
    /// The host's.
    Host,
    /// That of the container with the id.
    Of(String),
}

/// A container of which something may have changed.
#[derive(Debug, Clone)]
pub(crate) struct Hint {
    pub(crate) task_arn: String,
    pub(crate) container: String,
}

impl Docker {
    /// The daemon behind a socket, which need not answer yet, but must be there.
    pub(crate) fn connect(
        socket: &str,
        instance: InstanceId,
        bounds: Bounds,
        task_subnet: Option<(Ipv4Addr, u8)>,
        calls: Arc<Calls>,
    ) -> Result<Self, Failure> {
        let client = bollard::Docker::connect_with_unix(socket, CLIENT_TIMEOUT_SECONDS, bollard::API_DEFAULT_VERSION)
            .map_err(from_bollard)?;
        Ok(Self {
            client,
            socket: socket.trim_start_matches("unix://").into(),
            instance,
            limits: Arc::new(Limits {
                starts: Turns::new(bounds.starts),
                stops: Semaphore::new(bounds.stops),
                removals: Semaphore::new(bounds.removals),
                create_within: bounds.create_within,
                start_within: bounds.start_within,
                networks: Semaphore::new(1),
                logs: Semaphore::new(LOGS),
            }),
            calls,
            task_subnet,
        })
    }

    /// The call begins, for who makes it elsewhere.
    pub(crate) fn timed(&self, call: Call) -> Timed<'_> {
        self.calls.begin(call)
    }

    /// A sign of life.
    pub(crate) async fn ping(&self) -> Result<(), Failure> {
        self.calls
            .within(Call::Ping, PING, self.client.ping())
            .await
            .map(|_| ())
    }

    pub(crate) async fn info(&self) -> Result<DockerInfo, Failure> {
        let version = self.calls.within(Call::Version, QUICK, self.client.version()).await?;
        let info = self.calls.within(Call::Info, QUICK, self.client.info()).await?;
        Ok(convert::info(version, info))
    }

    /// The host's name of the bridge that containers are on by default, where Docker says it.
    pub(crate) async fn default_bridge(&self) -> Option<String> {
        let options = None::<InspectNetworkOptions>;
        let call = self.client.inspect_network("bridge", options);
        let network = self.calls.within(Call::InspectNetwork, QUICK, call).await.ok()?;
        network.options?.remove("com.docker.network.bridge.name")
    }

    /// Creates the container, or adopts the one of the name if it was created for the same purpose. Returns its id.
    pub(crate) async fn create(&self, request: &CreateRequest, prepared: &Prepared) -> Result<String, Failure> {
        let _turn = self.limits.starts.create().await;
        // Made now, so that it takes no room while others have their turns.
        Box::pin(self.create_or_adopt(request, prepared)).await
    }

    async fn create_or_adopt(&self, request: &CreateRequest, prepared: &Prepared) -> Result<String, Failure> {
        for volume in &request.volumes {
            volume::provide((&self.client, &self.calls), volume, self.limits.create_within).await?;
        }
        if request.host.network_mode == TASK_NETWORK {
            self.prepare_task_network().await?;
        }
        match self.create_once(request, prepared).await? {
            Created::New(id) => Ok(id),
            Created::NameTaken(conflict) => self.adopt(request, prepared, conflict).await,
        }
    }

    async fn create_once(&self, request: &CreateRequest, prepared: &Prepared) -> Result<Created, Failure> {
        let options = CreateContainerOptionsBuilder::new().name(&request.name).build();
        let image = self.name_of_image(request.image.clone(), request.image_id.as_deref());
        let image = image.await?;
        let call = Box::pin(
            self.client
                .create_container(Some(options), convert::create_body(request, prepared, image)),
        );
        let timed = self.calls.begin(Call::Create);
        let answer = tokio::time::timeout(self.limits.create_within, call).await;
        timed.ended(matches!(answer, Ok(Ok(_))));
        match answer {
            Ok(Ok(answer)) => Ok(Created::New(answer.id)),
            Ok(Err(bollard::errors::Error::DockerResponseServerError {
                status_code: 409,
                message,
            })) => Ok(Created::NameTaken(message)),
            Ok(Err(error)) => Err(from_bollard(error)),
            Err(_) => Err(failure::late(Call::Create, self.limits.create_within)),
        }
    }

    /// The name is taken: by this very container, created before the agent was restarted or the answer was lost; by
    /// one for the same purpose of an agent of another version; or by somebody else's.
    async fn adopt(&self, request: &CreateRequest, prepared: &Prepared, conflict: String) -> Result<String, Failure> {
        let options = None::<InspectContainerOptions>;
        let call = self
            .calls
            .within(
                Call::Inspect,
                INSPECT,
                self.client.inspect_container(&request.name, options),
            )
            .await;
        let Some(existing) = found(call)? else {
            // It was there a moment ago and is not any more.
            return Err(Failure::new(FailureKind::Lost, conflict));
        };
        let labels = convert::labels(&existing);
        let same = |label: &str| request.labels.get(label) == labels.get(label);
        if ![name::INSTANCE, name::TASK_ARN, name::CONTAINER_NAME]
            .into_iter()
            .all(same)
        {
            return Err(Failure::new(FailureKind::Refused, conflict));
        }
        let snapshot = convert::snapshot(existing)?;
        if same(name::SPEC_HASH) || snapshot.started_at.is_some() {
            return Ok(snapshot.id);
        }
        self.remove(&snapshot.id).await?;
        match self.create_once(request, prepared).await? {
            Created::New(id) => Ok(id),
            Created::NameTaken(conflict) => Err(Failure::new(FailureKind::Lost, conflict)),
        }
    }

    /// Starts the container. Where ports are forwarded Docker is asked which, for it chooses those that are free.
    pub(crate) async fn start(&self, id: &str, ports: bool) -> Result<Vec<Binding>, Failure> {
        {
            let _turn = self.limits.starts.start().await;
            self.calls
                .within(
                    Call::Start,
                    self.limits.start_within,
                    self.client.start_container(id, None::<StartContainerOptions>),
                )
                .await?;
        }
        if !ports {
            return Ok(Vec::new());
        }
        // It runs, whatever becomes of the question: a later look asks again.
        Ok(self
            .inspect(id)
            .await
            .ok()
            .flatten()
            .map(|snapshot| snapshot.bindings)
            .unwrap_or_default())
    }

    /// The container of the id or name, when Docker has it.
    pub(crate) async fn inspect(&self, target: &str) -> Result<Option<Snapshot>, Failure> {
        let options = None::<InspectContainerOptions>;
        let call = self
            .calls
            .within(Call::Inspect, INSPECT, self.client.inspect_container(target, options))
            .await;
        found(call)?.map(convert::snapshot).transpose()
    }

    /// The process of a container, while it runs.
    pub(crate) async fn process(&self, id: &str) -> Result<Option<Process>, Failure> {
        let options = None::<InspectContainerOptions>;
        let call = self
            .calls
            .within(Call::Inspect, INSPECT, self.client.inspect_container(id, options))
            .await;
        Ok(found(call)?.and_then(convert::process))
    }

    pub(crate) async fn signal(&self, id: &str, signal: &str) -> Result<(), Failure> {
        let _permit = permit(&self.limits.stops).await?;
        let options = KillContainerOptionsBuilder::new().signal(signal).build();
        self.calls
            .within(Call::Signal, KILL, self.client.kill_container(id, Some(options)))
            .await
    }

    /// Removes the ended container with its anonymous volumes.
    pub(crate) async fn remove(&self, id: &str) -> Result<(), Failure> {
        let _permit = permit(&self.limits.removals).await?;
        let options = RemoveContainerOptionsBuilder::new().v(true).force(true).build();
        let call = self
            .calls
            .within(Call::Remove, REMOVE, self.client.remove_container(id, Some(options)))
            .await;
        found(call).map(|_| ())
    }

    /// Removes the volumes that belong to the task.
    pub(crate) async fn remove_volumes(&self, task_arn: &str) -> Result<(), Failure> {
        let _permit = permit(&self.limits.removals).await?;
        let options = ListVolumesOptionsBuilder::new()
            .filters(&labelled(&[format!("{}={task_arn}", name::TASK_ARN), self.ours()]))
            .build();
        let list = self
            .calls
            .within(Call::ListVolumes, LIST, self.client.list_volumes(Some(options)))
            .await?;
        for volume in list.volumes.unwrap_or_default() {
            let call = self.client.remove_volume(&volume.name, None::<RemoveVolumeOptions>);
            found(self.calls.within(Call::RemoveVolume, REMOVE, call).await)?;
        }
        Ok(())
    }

    /// All containers of this instance, running or not.
    pub(crate) async fn list(&self) -> Result<Vec<Found>, Failure> {
        let options = ListContainersOptionsBuilder::new()
            .all(true)
            .filters(&labelled(&[self.ours()]))
            .build();
        let list = self
            .calls
            .within(Call::List, LIST, self.client.list_containers(Some(options)))
            .await?;
        Ok(list.into_iter().filter_map(convert::listed).collect())
    }

    /// Containers of this instance of which something that matters happens, from the first poll on. What happens before
    /// is not in it, nor are creates and starts: whoever asked for them gets an answer.
    pub(crate) fn hints(&self) -> impl Stream<Item = Result<Hint, Failure>> + use<> {
        let mut filters = labelled(&[self.ours()]);
        filters.insert("type".to_owned(), vec!["container".to_owned()]);
        filters.insert("event".to_owned(), EVENTS.map(str::to_owned).to_vec());
        let options = EventsOptionsBuilder::new().filters(&filters).build();
        let client = self.client.clone();
        futures_util::stream::once(async move { client.events(Some(options)) })
            .flatten()
            .filter_map(|event| async { event.map_err(from_bollard).map(convert::hint).transpose() })
    }

    fn ours(&self) -> String {
        format!("{}={}", name::INSTANCE, self.instance)
    }
}

enum Created {
    New(String),
    NameTaken(String),
}

fn labelled(labels: &[String]) -> HashMap<String, Vec<String>> {
    HashMap::from([("label".to_owned(), labels.to_vec())])
}

async fn permit(semaphore: &Semaphore) -> Result<SemaphorePermit<'_>, Failure> {
    semaphore
        .acquire()
        .await
        .map_err(|_| Failure::new(FailureKind::Lost, "the agent is stopping"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn effects_that_wait_for_their_turn_are_small() {
        let place = tempfile::tempdir().unwrap();
        let socket = place.path().join("docker.sock");
        let _listener = tokio::net::UnixListener::bind(&socket).unwrap();
        let bounds = Bounds {
            starts: 1,
            stops: 1,
            removals: 1,
            create_within: QUICK,
            start_within: QUICK,
        };
        let docker = Docker::connect(
            &socket.to_string_lossy(),
            InstanceId::from_bits(1),
            bounds,
            None,
            Arc::default(),
        )
        .unwrap();
        let (request, prepared) = (CreateRequest::default(), Prepared::default());
        let sizes = [
            size_of_val(&docker.create(&request, &prepared)),
            size_of_val(&docker.start("id", true)),
            size_of_val(&docker.signal("id", "SIGTERM")),
            size_of_val(&docker.look("id", true)),
            size_of_val(&docker.remove("id")),
        ];
        assert!(sizes.iter().all(|size| *size < 512), "{sizes:?}");
    }
}
