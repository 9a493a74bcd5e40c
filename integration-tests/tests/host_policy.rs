//! What a host does not allow its tasks do not get, with a real Docker Engine: the scheduler does not place it, and what it
//! cannot know of, which is paths, the agent does not create when it is assigned.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use berth_integration_tests::agent::Settings;
use berth_integration_tests::cluster::container_of;
use berth_integration_tests::definition::{definition, shell, with};
use berth_integration_tests::suite::{self, Fixture};
use berth_integration_tests::{Cluster, TestBed, tests};
use serde_json::{Value, json};

const CLUSTER: &str = "closed";
/// What its settings allow, beside the directory.
const CAPABILITY: &str = "SYS_PTRACE";

struct Closed {
    cluster: Cluster,
    bed: Arc<TestBed>,
}

impl Fixture for Closed {
    const AT_ONCE: Option<usize> = Some(1);

    fn start() -> Result<Self> {
        let bed = TestBed::new("host-policy", &["a"])?;
        let shared = bed.data_dir("shared");
        fs::create_dir_all(shared.join("data")).context("make a directory")?;
        symlink("/etc", shared.join("link")).context("make a link")?;
        let settings = Settings::with_arguments(&[
            "--allow-host-path",
            &shared.to_string_lossy(),
            "--allow-capability",
            CAPABILITY,
            "--image-pull-behavior",
            "prefer-cached",
        ]);
        let cluster = Cluster::start_on(&bed, CLUSTER, &["a"], &settings);
        if cluster.is_err() {
            bed.note_failure();
        }
        Ok(Self { cluster: cluster?, bed })
    }

    fn note_failure(&self) {
        self.bed.note_failure();
    }
}

fn main() -> ExitCode {
    suite::main::<Closed>(tests![
        what_the_host_allows_runs,
        what_it_does_not_allow_is_not_placed_and_named,
        a_directory_that_it_does_not_allow_is_refused_before_anything_is_made,
    ])
}

impl Closed {
    /// A definition whose one volume is this directory of the host.
    fn mounting(&self, path: &str) -> Value {
        let mount = json!({"mountPoints": [{"sourceVolume": "v", "containerPath": "/v"}]});
        let mut mounting = definition("mounting", json!([with(shell("main", "ls /v"), &mount)]));
        mounting["volumes"] = json!([{"name": "v", "host": {"sourcePath": path}}]);
        mounting
    }

    fn shared(&self, below: &str) -> String {
        self.bed.data_dir("shared").join(below).display().to_string()
    }

    /// Runs a task that stops with this in its container's reason, and of which Docker has never heard.
    fn refused(&self, definition: &Value, says: &str) -> Result<()> {
        let arn = self.cluster.run_one(definition)?;
        let task = self.cluster.wait_stopped(std::slice::from_ref(&arn))?.remove(0);
        let reason = container_of(&task, "main")?["reason"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        ensure!(
            reason.starts_with("CannotCreateContainerError: host policy: "),
            "{task}"
        );
        ensure!(reason.contains(says), "{says}: {reason}");
        let made = self.bed.host("a")?.engine().task_containers(&arn)?;
        ensure!(made.is_empty(), "{says}: a container was made");
        Ok(())
    }
}

/// What asks for something of the host, and the attribute that it needs.
fn greedy() -> Vec<(Value, &'static str)> {
    let of = |members: Value| definition("greedy", json!([with(shell("main", "exit 0"), &members)]));
    let task = |member: &str| {
        let mut task = of(json!({}));
        task[member] = "host".into();
        task
    };
    let linux = |members: Value| of(json!({"linuxParameters": members}));
    vec![
        (
            of(json!({"privileged": true})),
            "com.amazonaws.ecs.capability.privileged-container",
        ),
        (task("networkMode"), "berth.capability.host-network"),
        (task("pidMode"), "berth.capability.host-pid"),
        (task("ipcMode"), "berth.capability.host-ipc"),
        (
            linux(json!({"devices": [{"hostPath": "/dev/null"}]})),
            "berth.capability.devices",
        ),
        (
            linux(json!({"capabilities": {"add": ["SYS_ADMIN"]}})),
            "berth.capability.linux-capability.SYS_ADMIN",
        ),
    ]
}

fn what_the_host_allows_runs(bed: &Closed) -> Result<()> {
    let mut allowed = bed.mounting(&bed.shared("data"));
    let capability = json!({"linuxParameters": {"capabilities": {"add": [CAPABILITY, "CHOWN"]}}});
    allowed["containerDefinitions"][0] = with(allowed["containerDefinitions"][0].clone(), &capability);
    let arn = bed.cluster.run_one(&allowed)?;
    let task = bed.cluster.wait_stopped(&[arn])?.remove(0);
    assert_eq!(container_of(&task, "main")?["exitCode"], 0, "{task}");
    Ok(())
}

fn what_it_does_not_allow_is_not_placed_and_named(bed: &Closed) -> Result<()> {
    for (definition, attribute) in greedy() {
        let registered = bed.cluster.register(&definition)?;
        let input = json!({"cluster": CLUSTER, "taskDefinition": registered});
        let answer = bed.cluster.ecs().call("RunTask", &input)?;
        let failure = &answer["failures"][0];
        assert_eq!(failure["reason"], "ATTRIBUTE", "{answer}");
        ensure!(
            failure["detail"]
                .as_str()
                .is_some_and(|detail| detail.contains(attribute)),
            "{failure}"
        );
    }
    Ok(())
}

fn a_directory_that_it_does_not_allow_is_refused_before_anything_is_made(bed: &Closed) -> Result<()> {
    let link = bed.shared("link");
    for path in ["/etc", "/", "/var/run/docker.sock", &link, &bed.shared("../logs")] {
        bed.refused(&bed.mounting(path), &format!("the host path '{path}' is mounted"))?;
    }
    let mut bound = bed.mounting("/etc");
    bound["volumes"] = json!([{"name": "v", "dockerVolumeConfiguration": {
        "scope": "task", "driver": "local", "driverOpts": {"type": "none", "o": "bind", "device": "/etc"}}}]);
    bed.refused(&bound, "the host path '/etc' is mounted")?;
    ensure!(bed.bed.host("a")?.engine().volumes()?.is_empty(), "a volume was made");
    Ok(())
}
