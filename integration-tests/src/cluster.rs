//! A cluster on a bed: a scheduler, an agent on each host, and the steps that most tests take with them.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail, ensure};
use serde_json::{Value, json};

use crate::agent::{Agent, Options, Settings};
use crate::bed::TestBed;
use crate::docker::{Container, TASK_LABEL};
use crate::ecs::Ecs;
use crate::host::Host;
use crate::scheduler::Scheduler;
use crate::wait::{Seen, wait_until};

mod answer;
pub mod services;

pub use answer::{arns, container_of, list};

use answer::brief;

/// Time for everything that is expected to happen promptly, on a machine that does much else.
pub const SOON: Duration = Duration::from_secs(120);

/// A running cluster. Dropping it kills its daemons and removes its containers; the bed stays.
#[derive(Debug)]
pub struct Cluster {
    name: String,
    ecs: Ecs,
    /// One for each host, in the order of the hosts.
    pub agents: Vec<Agent>,
    /// The cluster's scheduler.
    pub scheduler: Scheduler,
    bed: Arc<TestBed>,
}

impl Cluster {
    /// A cluster of all hosts of a bed.
    ///
    /// # Errors
    ///
    /// As [`Cluster::start_on`].
    pub fn start(bed: &Arc<TestBed>, name: &str) -> Result<Self> {
        let hosts: Vec<&str> = bed.hosts().iter().map(Host::name).collect();
        Self::start_on(bed, name, &hosts, &Settings::default())
    }

    /// Starts a scheduler with data of its own, makes the cluster, and waits until the named hosts are in it, their
    /// agents with these settings. A bed has one address for a scheduler, so it has one cluster at a time.
    ///
    /// # Errors
    ///
    /// If a daemon does not start or a host does not register in time.
    pub fn start_on(bed: &Arc<TestBed>, name: &str, hosts: &[&str], settings: &Settings) -> Result<Self> {
        let scheduler = bed.start_scheduler(&format!("scheduler-{name}"))?;
        Self::start_under(scheduler, bed, name, hosts, settings)
    }

    /// The same under a scheduler that was started before.
    ///
    /// # Errors
    ///
    /// If a daemon does not start or a host does not register in time.
    pub fn start_under(
        scheduler: Scheduler,
        bed: &Arc<TestBed>,
        name: &str,
        hosts: &[&str],
        settings: &Settings,
    ) -> Result<Self> {
        let ecs = scheduler.ecs();
        ecs.call("CreateCluster", &json!({"clusterName": name}))?;
        let mut agents = Vec::new();
        for host in hosts {
            agents.push(start_agent(bed, host, &scheduler, name, settings)?);
        }
        let mut cluster = Self {
            name: name.to_owned(),
            ecs,
            agents,
            scheduler,
            bed: Arc::clone(bed),
        };
        wait_until("all hosts are in the cluster", SOON, || {
            for agent in &mut cluster.agents {
                if let Err(ended) = agent.daemon().check_running() {
                    return Ok(Seen::Done(Err(ended)));
                }
            }
            Ok(match cluster.look_connected(hosts.len())? {
                Seen::Done(()) => Seen::Done(Ok(())),
                Seen::NotYet(seen) => Seen::NotYet(seen),
            })
        })??;
        Ok(cluster)
    }

    /// The cluster's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The scheduler's ECS API.
    #[must_use]
    pub fn ecs(&self) -> &Ecs {
        &self.ecs
    }

    /// The bed that it is on.
    #[must_use]
    pub fn bed(&self) -> &Arc<TestBed> {
        &self.bed
    }

    /// Waits until exactly so many container instances are connected.
    ///
    /// # Errors
    ///
    /// If they are not in time.
    pub fn wait_connected(&self, count: usize) -> Result<()> {
        let what = format!("{count} hosts are connected");
        wait_until(&what, SOON, || self.look_connected(count))
    }

    fn look_connected(&self, count: usize) -> Result<Seen<()>> {
        let instances = self.instances()?;
        let connected = instances
            .iter()
            .filter(|i| i["agentConnected"] == true && i["status"] == "ACTIVE");
        Ok(Seen::when(connected.count() == count, || format!("{instances:#?}")))
    }

    /// All container instances, described.
    ///
    /// # Errors
    ///
    /// If the scheduler refuses.
    pub fn instances(&self) -> Result<Vec<Value>> {
        let listed = self
            .ecs
            .call("ListContainerInstances", &json!({"cluster": self.name}))?;
        if listed["containerInstanceArns"] == json!([]) {
            return Ok(Vec::new());
        }
        let described = self.ecs.call(
            "DescribeContainerInstances",
            &json!({"cluster": self.name, "containerInstances": listed["containerInstanceArns"]}),
        )?;
        list(&described, "containerInstances")
    }

    /// The container instance of a host, described.
    ///
    /// # Errors
    ///
    /// If the host has none.
    pub fn instance_of(&self, host: &str) -> Result<Value> {
        let is_of_host = |instance: &Value| {
            let attributes = instance["attributes"].as_array();
            attributes
                .into_iter()
                .flatten()
                .any(|a| a["name"] == "host" && a["value"] == host)
        };
        self.instances()?
            .into_iter()
            .find(is_of_host)
            .ok_or_else(|| anyhow!("no container instance of host {host}"))
    }

    /// Registers a task definition; returns `family:revision`.
    ///
    /// # Errors
    ///
    /// If the scheduler refuses.
    pub fn register(&self, definition: &Value) -> Result<String> {
        let answer = self.ecs.call("RegisterTaskDefinition", definition)?;
        let registered = &answer["taskDefinition"];
        let family = registered["family"].as_str().context("no family")?;
        Ok(format!("{family}:{}", registered["revision"]))
    }

    /// Runs tasks, all of which must be placed; `more` are further members of the request. Returns their ARNs.
    ///
    /// # Errors
    ///
    /// If the scheduler refuses or places fewer.
    pub fn run(&self, definition: &str, count: usize, more: &Value) -> Result<Vec<String>> {
        let mut input = json!({"cluster": self.name, "taskDefinition": definition, "count": count});
        for (member, value) in more.as_object().into_iter().flatten() {
            input[member] = value.clone();
        }
        let answer = self.ecs.call("RunTask", &input)?;
        let arns = arns(&list(&answer, "tasks")?)?;
        ensure!(
            arns.len() == count && answer["failures"] == json!([]),
            "RunTask {input} placed {} tasks: {}",
            arns.len(),
            answer["failures"]
        );
        Ok(arns)
    }

    /// Registers a definition and runs one task of it.
    ///
    /// # Errors
    ///
    /// As [`Cluster::register`] and [`Cluster::run`].
    pub fn run_one(&self, definition: &Value) -> Result<String> {
        let definition = self.register(definition)?;
        let arns = self.run(&definition, 1, &json!({}))?;
        arns.into_iter().next().context("no task")
    }

    /// Tasks, described, in the order of the ARNs.
    ///
    /// # Errors
    ///
    /// If one is not known.
    pub fn describe(&self, arns: &[String]) -> Result<Vec<Value>> {
        let input = json!({"cluster": self.name, "tasks": arns});
        let answer = self.ecs.call("DescribeTasks", &input)?;
        let tasks = list(&answer, "tasks")?;
        arns.iter()
            .map(|arn| {
                let found = tasks.iter().find(|task| task["taskArn"] == json!(arn));
                found
                    .cloned()
                    .with_context(|| format!("{arn} is not known: {}", answer["failures"]))
            })
            .collect()
    }

    /// Waits until all tasks are RUNNING; a task that stops meanwhile is an error at once.
    ///
    /// # Errors
    ///
    /// If they are not in time.
    pub fn wait_running(&self, arns: &[String]) -> Result<Vec<Value>> {
        wait_until("all tasks are RUNNING", SOON, || {
            let tasks = self.describe(arns)?;
            if tasks.iter().any(|task| task["lastStatus"] == "STOPPED") {
                return Ok(Seen::Done(Err(anyhow!("a task has stopped: {}", brief(&tasks)))));
            }
            Ok(if tasks.iter().all(|task| task["lastStatus"] == "RUNNING") {
                Seen::Done(Ok(tasks))
            } else {
                Seen::NotYet(brief(&tasks))
            })
        })?
    }

    /// Waits until all tasks are STOPPED.
    ///
    /// # Errors
    ///
    /// If they are not in time.
    pub fn wait_stopped(&self, arns: &[String]) -> Result<Vec<Value>> {
        wait_until("all tasks are STOPPED", SOON, || {
            let tasks = self.describe(arns)?;
            Ok(if tasks.iter().all(|task| task["lastStatus"] == "STOPPED") {
                Seen::Done(tasks)
            } else {
                Seen::NotYet(brief(&tasks))
            })
        })
    }

    /// Asks for tasks to be stopped.
    ///
    /// # Errors
    ///
    /// If the scheduler refuses.
    pub fn stop(&self, arns: &[String]) -> Result<()> {
        for arn in arns {
            let input = json!({"cluster": self.name, "task": arn});
            self.ecs.call("StopTask", &input)?;
        }
        Ok(())
    }

    /// Every container on every host that carries a task's label.
    ///
    /// # Errors
    ///
    /// If an engine does not answer.
    pub fn containers(&self) -> Result<Vec<Container>> {
        let mut containers = Vec::new();
        for host in self.bed.hosts() {
            containers.extend(host.engine().containers(TASK_LABEL)?);
        }
        Ok(containers)
    }

    /// The one container of that name in a task.
    ///
    /// # Errors
    ///
    /// If there is none or more than one.
    pub fn container(&self, task: &str, name: &str) -> Result<Container> {
        let mut found = self.containers()?;
        found.retain(|c| c.label(TASK_LABEL) == task && c.label(crate::docker::NAME_LABEL) == name);
        match (found.pop(), found.len()) {
            (Some(container), 0) => Ok(container),
            (_, more) => bail!("not one container {name} of {task} but {more} others"),
        }
    }

    /// Stops every task that is not stopped and sees that nothing of them runs on, on any host.
    ///
    /// # Errors
    ///
    /// If something does.
    pub fn stop_everything(&self) -> Result<()> {
        let input = json!({"cluster": self.name});
        let listed = self.ecs.call("ListTasks", &input)?;
        let arns: BTreeSet<String> = list(&listed, "taskArns")?
            .iter()
            .filter_map(|arn| arn.as_str().map(str::to_owned))
            .collect();
        let arns: Vec<String> = arns.into_iter().collect();
        self.stop(&arns)?;
        if !arns.is_empty() {
            self.wait_stopped(&arns)?;
        }
        let running: Vec<String> = self
            .containers()?
            .iter()
            .filter(|container| container.is_running())
            .map(|container| format!("{} of {}", container.id(), container.label(TASK_LABEL)))
            .collect();
        ensure!(running.is_empty(), "containers run on: {running:?}");
        Ok(())
    }
}

impl Drop for Cluster {
    #[expect(clippy::print_stderr, reason = "a test's output is its report")]
    fn drop(&mut self) {
        for agent in &mut self.agents {
            // The daemon's own drop kills it if this cannot.
            agent.daemon().kill().ok();
        }
        let removed = self.bed.on_all_hosts(|host| {
            let containers = host.engine().containers("")?;
            containers
                .iter()
                .try_for_each(|container| host.engine().remove(container.id()))
        });
        if let Err(error) = removed {
            eprintln!("containers of cluster {} stay: {error:#}", self.name);
        }
    }
}

/// An agent with these settings and the attribute `host`, the host's name, by which tests find its instance.
///
/// # Errors
///
/// If the bed has no such host or the agent cannot be started.
pub fn start_agent(
    bed: &TestBed,
    host: &str,
    scheduler: &Scheduler,
    cluster: &str,
    settings: &Settings,
) -> Result<Agent> {
    let mut settings = settings.clone();
    settings.attributes.push(("host".to_owned(), host.to_owned()));
    let options = Options {
        scheduler: scheduler.url(),
        cluster: cluster.to_owned(),
        settings,
    };
    bed.host(host)?.start_agent(&options)
}
