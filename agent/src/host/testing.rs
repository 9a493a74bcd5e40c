//! What the tests of the host share.

use super::facts::BYTES_PER_MIB;
use crate::docker::DockerInfo;

/// What a Docker Engine says of itself.
pub(super) fn docker() -> DockerInfo {
    DockerInfo {
        version: "20.10.24".to_owned(),
        api_version: "1.41".to_owned(),
        cores: 2,
        memory_bytes: 1000 * BYTES_PER_MIB,
        log_drivers: ["awslogs", "journald", "json-file", "syslog"]
            .map(str::to_owned)
            .to_vec(),
        volume_drivers: vec!["local".to_owned()],
        runtimes: ["runc".to_owned()].into(),
        swap_limit: false,
        cgroup_version: 2,
        cgroup_driver: "systemd".to_owned(),
        apparmor: true,
        selinux: false,
        root: "/var/lib/docker".into(),
    }
}
