//! What the operator lets tasks have of this host: the settings, and paths with their links followed for the judge.
//!
//! Asked right before Docker is, by `perform` alone; what it refuses Docker never hears of.

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use berth_agent_core::create::CreateRequest;
use berth_agent_core::failure::{Failure, FailureKind};
use berth_agent_core::host_policy::{ALL, HostPolicy, RealPaths, asked_paths};
use berth_model::task_definition::capability;

use crate::config::Config;

/// For all paths of one container, which may lie on a file system of the network.
const DEADLINE: Duration = Duration::from_secs(30);
/// Whoever opens one of these has the whole host, beside the socket that the settings name.
const SOCKETS: [&str; 2] = ["/var/run/docker.sock", "/run/containerd/containerd.sock"];

/// What tasks may have of this host.
#[derive(Debug, Clone)]
pub(crate) struct Guard(Arc<HostPolicy>);

impl Guard {
    /// As the settings say.
    pub(crate) fn of(config: &Config) -> Self {
        let sockets = SOCKETS.into_iter().chain([config.docker_socket.as_str()]);
        Self(Arc::new(HostPolicy {
            privileged: !config.disable_privileged,
            namespaces: config.host_namespaces.iter().copied().collect(),
            paths: config.host_paths.iter().cloned().collect(),
            devices: config.devices.iter().cloned().collect(),
            capabilities: config.linux_capabilities.iter().cloned().collect(),
            sockets: sockets.map(str::to_owned).collect(),
        }))
    }

    /// Says whether the container may be created here.
    ///
    /// # Errors
    /// [`FailureKind::Refused`] with what it may not have.
    pub(crate) async fn check(&self, request: &CreateRequest) -> Result<(), Failure> {
        let refused = |words: String| Failure::new(FailureKind::Refused, words);
        let mut paths = asked_paths(request);
        let real = if paths.is_empty() {
            RealPaths::new()
        } else {
            paths.extend(self.0.own_paths());
            let following = tokio::task::spawn_blocking(move || followed(&paths));
            match tokio::time::timeout(DEADLINE, following).await {
                Ok(Ok(real)) => real,
                Ok(Err(_)) | Err(_) => {
                    let seconds = DEADLINE.as_secs();
                    let words = format!("host policy: the host paths could not be looked at within {seconds} s");
                    return Err(Failure::new(FailureKind::Faltered, words));
                }
            }
        };
        self.0
            .judge(request, &real)
            .map_err(|denied| refused(denied.to_string()))
    }

    /// The attributes of an instance whose tasks may have this: what needs others the scheduler does not place here.
    pub(crate) fn attributes(&self) -> Vec<String> {
        use berth_agent_core::host_policy::HostNamespace::{Ipc, Network, Pid};
        let policy = &self.0;
        let may = |namespace| policy.namespaces.contains(&namespace);
        let able = [
            (capability::PRIVILEGED, policy.privileged),
            (capability::HOST_NETWORK, may(Network)),
            (capability::HOST_PID, may(Pid)),
            (capability::HOST_IPC, may(Ipc)),
            (capability::HOST_PATHS, !policy.paths.is_empty()),
            (capability::DEVICES, !policy.devices.is_empty()),
        ];
        let able = able
            .into_iter()
            .filter(|(_, able)| *able)
            .map(|(name, _)| name.to_owned());
        let given = capability::CAPABILITIES.iter().filter(|name| match **name {
            ALL => policy.capabilities.contains(ALL),
            name => policy.has_capability(name) && !capability::OF_EVERY_CONTAINER.contains(&name),
        });
        able.chain(given.map(|name| format!("{}{name}", capability::LINUX_CAPABILITY_PREFIX)))
            .collect()
    }
}

/// The paths without symbolic links, as far as this process can see where they lead.
fn followed(paths: &BTreeSet<String>) -> RealPaths {
    let real = paths
        .iter()
        .filter_map(|path| Some((path.clone(), real(Path::new(path))?)));
    real.collect()
}

/// Where the path leads. Docker makes directories that are missing, so that what is missing is where it would be made.
fn real(path: &Path) -> Option<String> {
    match path.canonicalize() {
        Ok(real) => real.to_str().map(str::to_owned),
        // A link to nothing: Docker would make what it leads to.
        Err(error) if error.kind() == ErrorKind::NotFound && !path.is_symlink() => {
            // None where it ends in `..`.
            let name = path.file_name()?.to_str()?;
            let parent = real(path.parent()?)?;
            Some(format!("{}/{name}", parent.trim_end_matches('/')))
        }
        Err(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use berth_agent_core::create::HostSettings;

    use super::*;

    fn guard(flags: &[String]) -> Guard {
        let given = ["berth-agent", "--scheduler", "http://a:1", "--cluster", "prod"].map(str::to_owned);
        let config = Config::load(given.iter().chain(flags).map(std::ffi::OsString::from)).unwrap();
        Guard::of(&config)
    }

    fn mounting(path: &Path) -> CreateRequest {
        CreateRequest {
            host: HostSettings {
                binds: vec![format!("{}:/inside", path.display())],
                ..HostSettings::default()
            },
            ..CreateRequest::default()
        }
    }

    #[tokio::test]
    async fn a_link_that_a_task_has_made_leads_nowhere_else() {
        let place = tempfile::tempdir().unwrap();
        let own = place.path().join("own");
        fs::create_dir(&own).unwrap();
        fs::create_dir(own.join("data")).unwrap();
        symlink("/etc", own.join("out")).unwrap();
        symlink("/nowhere/at/all", own.join("dangling")).unwrap();
        symlink(own.join("data"), own.join("in")).unwrap();
        let guard = guard(&["--allow-host-path".to_owned(), own.display().to_string()]);
        for allowed in ["", "data", "in", "new", "new/deep", "in/new"] {
            let checked = guard.check(&mounting(&own.join(allowed))).await;
            assert_eq!(checked, Ok(()), "{allowed}");
        }
        for refused in [
            "out",
            "out/passwd",
            "out/new",
            "dangling",
            "dangling/x",
            "..",
            "../new",
            "data/../..",
            "new/..",
        ] {
            let failure = guard.check(&mounting(&own.join(refused))).await.unwrap_err();
            assert_eq!(failure.kind, FailureKind::Refused, "{refused}");
            assert!(failure.message.starts_with("host policy: the host path '"), "{failure}");
        }
    }

    #[test]
    fn what_tasks_may_have_is_advertised_and_nothing_else() {
        let of = |flags: &[&str]| {
            let flags: Vec<String> = flags.iter().map(|flag| (*flag).to_owned()).collect();
            guard(&flags).attributes()
        };
        assert_eq!(of(&[]), [""; 0]);
        assert_eq!(
            of(&["--allow-host-namespace", "network"]),
            ["berth.capability.host-network"]
        );
        assert_eq!(
            of(&[
                "--disable-privileged=false",
                "--allow-host-namespace",
                "pid,ipc",
                "--allow-host-path",
                "/srv",
                "--allow-device",
                "/dev/fuse",
                "--allow-capability",
                "SYS_ADMIN,cap_net_admin"
            ]),
            [
                "com.amazonaws.ecs.capability.privileged-container",
                "berth.capability.host-pid",
                "berth.capability.host-ipc",
                "berth.capability.host-paths",
                "berth.capability.devices",
                "berth.capability.linux-capability.NET_ADMIN",
                "berth.capability.linux-capability.SYS_ADMIN",
            ]
        );
        assert_eq!(
            of(&["--allow-capability", "ALL"]).len(),
            capability::CAPABILITIES.len() - 14
        );
    }
}
