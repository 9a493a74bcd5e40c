//! What tasks may have of their host, whatever the scheduler assigns: judged on what Docker would be asked for, right before
//! it is.
//!
//! What is not allowed is refused. Paths are compared as they are once symbolic links are followed, which the caller does
//! ([`asked_paths`]): a link below an allowed directory leads nowhere else.

use std::collections::{BTreeMap, BTreeSet};

use berth_model::task_definition::capability::OF_EVERY_CONTAINER;

use crate::create::{CreateRequest, VolumeRequest};

/// A namespace of the host that containers may be in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum HostNamespace {
    /// Network mode `host`.
    Network,
    /// `pidMode` `host`.
    Pid,
    /// `ipcMode` `host`.
    Ipc,
}

/// All of them.
pub const ALL: &str = "ALL";

/// What the operator allows. The default allows nothing.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct HostPolicy {
    /// Containers with all of the host's devices and capabilities, or without the confinement of others.
    pub privileged: bool,
    /// Namespaces of the host.
    pub namespaces: BTreeSet<HostNamespace>,
    /// Directories and files that may be mounted, with all that is below them.
    pub paths: BTreeSet<String>,
    /// Devices, by path with all that is below it, or by the name of the Container Device Interface.
    pub devices: BTreeSet<String>,
    /// Capabilities beside those of Docker, without `CAP_`; [`ALL`] is every one.
    pub capabilities: BTreeSet<String>,
    /// Sockets that make whoever opens them the host's master: mounted only where `paths` names them themselves.
    pub sockets: BTreeSet<String>,
}

/// Paths without symbolic links, by the paths that were asked for. Those that could not be followed are missing.
pub type RealPaths = BTreeMap<String, String>;

/// What a container may not have here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("host policy: {what}, which this host does not allow ({setting})")]
pub struct Denied {
    what: String,
    /// The setting that would.
    setting: &'static str,
}

impl Denied {
    fn new(what: impl Into<String>, setting: &'static str) -> Self {
        Self {
            what: what.into(),
            setting,
        }
    }
}

const PRIVILEGED: &str = "disable-privileged";
const NAMESPACE: &str = "allow-host-namespace";
const PATH: &str = "allow-host-path";
const DEVICE: &str = "allow-device";
const CAPABILITY: &str = "allow-capability";

/// Paths of the host in the request whose links are to be followed.
#[must_use]
pub fn asked_paths(request: &CreateRequest) -> BTreeSet<String> {
    let devices = request.host.devices.iter().map(|device| device.host_path.as_str());
    let devices = devices.filter(|path| path.starts_with('/'));
    let volumes = request.volumes.iter().filter_map(device_of);
    let mounted = binds(request).chain(devices).chain(volumes);
    mounted.map(str::to_owned).collect()
}

impl HostPolicy {
    /// Paths of the policy whose links are to be followed.
    #[must_use]
    pub fn own_paths(&self) -> BTreeSet<String> {
        let all = [&self.paths, &self.devices, &self.sockets].into_iter().flatten();
        all.filter(|path| path.starts_with('/')).cloned().collect()
    }

    /// Says whether the container may be created.
    ///
    /// # Errors
    /// The first thing that it may not have, and the setting that would allow it.
    pub fn judge(&self, request: &CreateRequest, real: &RealPaths) -> Result<(), Denied> {
        if request.host.privileged && !self.privileged {
            return Err(Denied::new("privileged is true", PRIVILEGED));
        }
        self.judge_namespaces(request)?;
        for path in binds(request) {
            self.judge_path(path, real)?;
        }
        for volume in &request.volumes {
            self.judge_volume(volume, real)?;
        }
        for device in &request.host.devices {
            let path = &device.host_path;
            if !allows(&self.devices, path, real) {
                return Err(Denied::new(format!("linuxParameters.devices has '{path}'"), DEVICE));
            }
        }
        for name in &request.host.capabilities_added {
            if !self.has_capability(name) {
                let what = format!("linuxParameters.capabilities.add has '{name}'");
                return Err(Denied::new(what, CAPABILITY));
            }
        }
        let loosened = request.host.security_options.iter().find(|option| loosens(option));
        match loosened.filter(|_| !self.privileged) {
            Some(option) => Err(Denied::new(format!("dockerSecurityOptions has '{option}'"), PRIVILEGED)),
            None => Ok(()),
        }
    }

    /// Whether the capability may be added.
    #[must_use]
    pub fn has_capability(&self, name: &str) -> bool {
        let name = name.to_ascii_uppercase();
        let name = name.strip_prefix("CAP_").unwrap_or(&name);
        OF_EVERY_CONTAINER.contains(&name) || self.capabilities.contains(name) || self.capabilities.contains(ALL)
    }

    fn judge_namespaces(&self, request: &CreateRequest) -> Result<(), Denied> {
        let host = &request.host;
        let asked = [
            ("networkMode", Some(host.network_mode.as_str()), HostNamespace::Network),
            ("pidMode", host.pid_mode.as_deref(), HostNamespace::Pid),
            ("ipcMode", host.ipc_mode.as_deref(), HostNamespace::Ipc),
        ];
        for (member, mode, namespace) in asked {
            if mode == Some("host") && !self.namespaces.contains(&namespace) {
                return Err(Denied::new(format!("{member} is 'host'"), NAMESPACE));
            }
        }
        Ok(())
    }

    fn judge_path(&self, path: &str, real: &RealPaths) -> Result<(), Denied> {
        let denied = |why: &str| Denied::new(format!("the host path '{path}' is mounted{why}"), PATH);
        let leads = real.get(path).map_or(path, String::as_str);
        let named = |socket: &String| {
            self.paths
                .iter()
                .any(|own| own == socket || followed(own, real) == *socket)
        };
        for socket in &self.sockets {
            let is_in = [socket.as_str(), followed(socket, real)]
                .iter()
                .any(|socket| within(socket, path) || within(socket, leads));
            if is_in && !named(socket) && !named(&followed(socket, real).to_owned()) {
                return Err(denied(&format!(", which gives it the socket '{socket}'")));
            }
        }
        if !allows(&self.paths, path, real) {
            let why = if leads == path {
                String::new()
            } else {
                format!(", which leads to '{leads}'")
            };
            return Err(denied(&why));
        }
        Ok(())
    }

    /// Docker's own driver mounts what its options say; others are what the operator has installed.
    fn judge_volume(&self, volume: &VolumeRequest, real: &RealPaths) -> Result<(), Denied> {
        if volume.driver != LOCAL {
            return Ok(());
        }
        if let Some(path) = device_of(volume) {
            self.judge_path(path, real)?;
        }
        let kind = volume.options.get("type").map_or("none", String::as_str);
        if !MOUNTS.contains(&kind) && !self.paths.contains("/") {
            // Its options may name any directory, as those of an overlay do.
            let what = format!("the volume '{}' has the option type '{kind}'", volume.name);
            return Err(Denied::new(what, "allow-host-path = [\"/\"]"));
        }
        Ok(())
    }
}

/// Docker's own volume driver.
const LOCAL: &str = "local";
/// What it mounts from elsewhere than the host, and what `device` alone says.
const MOUNTS: [&str; 7] = ["none", "bind", "", "tmpfs", "nfs", "nfs4", "cifs"];

/// The path of the host that a volume of Docker's own driver is made of.
fn device_of(volume: &VolumeRequest) -> Option<&str> {
    let device = volume.options.get("device").filter(|_| volume.driver == LOCAL)?;
    // `//server/share` is one of another host, unless it is bound.
    let kind = volume.options.get("type").map(String::as_str);
    let binds = volume
        .options
        .get("o")
        .is_some_and(|options| options.split(',').any(|o| o == "bind" || o == "rbind"));
    let is_remote = kind == Some("cifs") && device.starts_with("//") && !binds;
    (device.starts_with('/') && !is_remote).then_some(device)
}

/// Host paths among `source:target[:ro]`; other sources are names of volumes.
fn binds(request: &CreateRequest) -> impl Iterator<Item = &str> {
    let sources = request.host.binds.iter().filter_map(|bind| bind.split(':').next());
    sources.filter(|source| source.starts_with('/'))
}

fn followed<'p>(path: &'p str, real: &'p RealPaths) -> &'p str {
    real.get(path).map_or(path, String::as_str)
}

/// Whether the path is one of these, or leads to one of these or below. One that cannot be followed must be named itself.
fn allows(allowed: &BTreeSet<String>, path: &str, real: &RealPaths) -> bool {
    let leads = real.get(path);
    let below = |own: &String| leads.is_some_and(|leads| within(leads, own) || within(leads, followed(own, real)));
    allowed.contains(path) || allowed.iter().any(below)
}

/// Whether the path is the directory or below it.
fn within(path: &str, directory: &str) -> bool {
    let directory = directory.trim_end_matches('/');
    path.strip_prefix(directory)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Whether a security option takes away what keeps a container from its host.
fn loosens(option: &str) -> bool {
    let (name, value) = option.split_once(['=', ':']).unwrap_or((option, ""));
    match name {
        "seccomp" | "systempaths" => value != "builtin",
        "apparmor" => value == "unconfined",
        "label" => value == "disable" || value.starts_with("type:spc_t") || value.starts_with("type=spc_t"),
        _ => false,
    }
}

#[cfg(test)]
mod tests;
