//! What each package has.

/// A package: one program and what belongs to it.
#[derive(Debug)]
pub(super) struct Package {
    /// Of the package, its program, and what is called after it.
    pub(super) name: &'static str,
    /// Where its program is in the workspace.
    pub(super) crate_name: &'static str,
    pub(super) summary: &'static str,
    pub(super) description: &'static str,
    /// Files of `systemd/`.
    pub(super) systemd: &'static [&'static str],
    /// Of those, what is enabled and started with the package, in this order.
    pub(super) units: &'static [&'static str],
    /// What an upgrade starts again.
    pub(super) restart: &'static [&'static str],
    /// What is stopped before the package goes, in this order.
    pub(super) stop: &'static [&'static str],
    /// Files of `packaging/` that the administrator may change, and their mode under `/etc/berth`.
    pub(super) settings: &'static [(&'static str, u32)],
    /// Files of `docs/`.
    pub(super) documentation: &'static [&'static str],
    /// Debian's packages that it needs, besides the C library.
    pub(super) deb_depends: &'static str,
    pub(super) deb_recommends: &'static str,
    /// What it needs of distributions with RPM.
    pub(super) rpm_requires: &'static [&'static str],
    /// Where its program keeps what is to outlive it.
    pub(super) state: Option<&'static str>,
    /// Whether its program is the superuser in an image of its own. Whoever may use Docker's socket is so on the host.
    pub(super) root_in_image: bool,
}

/// All packages.
pub(super) static PACKAGES: [Package; 4] = [
    Package {
        name: "berth",
        crate_name: "berth-cli",
        summary: "command line of Berth, ECS on your own Docker hosts",
        description: "Berth turns Docker hosts into one cluster with the API of Amazon ECS. This is its command line.",
        systemd: &[],
        units: &[],
        restart: &[],
        stop: &[],
        settings: &[],
        documentation: &["services.md", "task-definitions.md", "history.md", "journal.md"],
        deb_depends: "",
        deb_recommends: "",
        rpm_requires: &[],
        state: None,
        root_in_image: false,
    },
    Package {
        name: "berth-scheduler",
        crate_name: "berth-scheduler",
        summary: "control plane of Berth, ECS on your own Docker hosts",
        description: "Berth turns Docker hosts into one cluster with the API of Amazon ECS. This is its control plane: the \
                      journal, placement, and the API.",
        systemd: &["berth-scheduler.service"],
        units: &["berth-scheduler.service"],
        restart: &["berth-scheduler.service"],
        stop: &["berth-scheduler.service"],
        settings: &[("scheduler.env", 0o640)],
        documentation: &[
            "operating.md",
            "journal.md",
            "monitoring.md",
            "placement.md",
            "events.md",
        ],
        deb_depends: "init-system-helpers (>= 1.54), systemd",
        deb_recommends: "",
        rpm_requires: &["systemd"],
        state: Some("/var/lib/berth-scheduler"),
        root_in_image: false,
    },
    Package {
        name: "berth-agent",
        crate_name: "berth-agent",
        summary: "runs the tasks of a Docker host for Berth, ECS on your own hosts",
        description: "Berth turns Docker hosts into one cluster with the API of Amazon ECS. This runs the tasks of a host.",
        systemd: &[
            "berth-agent.service",
            "berth-agent.path",
            "berth-agent-network.service",
            "berth-agent-drain.service",
        ],
        units: &["berth-agent.path", "berth-agent.service", "berth-agent-drain.service"],
        // Neither the drain, whose stop moves all tasks away, nor the network, which containers use.
        restart: &["berth-agent.service"],
        stop: &[
            "berth-agent-drain.service",
            "berth-agent.path",
            "berth-agent.service",
            "berth-agent-network.service",
        ],
        settings: &[("agent.toml", 0o640)],
        documentation: &[
            "agent-configuration.md",
            "draining.md",
            "images.md",
            "networking.md",
            "task-endpoint.md",
        ],
        deb_depends: "init-system-helpers (>= 1.54), systemd, iproute2, nftables",
        deb_recommends: "docker.io | docker-ce | moby-engine",
        rpm_requires: &["systemd", "iproute", "nftables"],
        state: Some("/var/lib/berth-agent"),
        root_in_image: true,
    },
    Package {
        name: "berth-gateway",
        crate_name: "berth-gateway",
        summary: "load balancer of Berth, ECS on your own Docker hosts",
        description: "Berth turns Docker hosts into one cluster with the API of Amazon ECS. This forwards connections to the \
                      healthy tasks of services.",
        systemd: &["berth-gateway.service"],
        units: &["berth-gateway.service"],
        restart: &["berth-gateway.service"],
        stop: &["berth-gateway.service"],
        settings: &[("gateway.env", 0o640)],
        documentation: &["load-balancing.md"],
        deb_depends: "init-system-helpers (>= 1.54), systemd",
        deb_recommends: "",
        rpm_requires: &["systemd"],
        state: Some("/var/lib/berth-gateway"),
        root_in_image: false,
    },
];

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn every_unit_and_every_file_of_settings_is_in_a_package() {
        let root = crate::package::root();
        let names = |directory: &Path| -> Vec<String> {
            let entries = std::fs::read_dir(directory).unwrap();
            entries
                .map(|entry| entry.unwrap().file_name().into_string().unwrap())
                .collect()
        };
        let all = |of: fn(&Package) -> Vec<&'static str>| PACKAGES.iter().flat_map(of).collect::<Vec<_>>();
        let units = all(|package| package.systemd.to_vec());
        for unit in names(&root.join("systemd")) {
            assert!(units.contains(&unit.as_str()), "{unit} is in no package");
        }
        let settings = all(|package| package.settings.iter().map(|(file, _)| *file).collect());
        let files = names(&root.join("packaging"));
        for file in files
            .iter()
            .filter(|file| file.ends_with(".env") || file.ends_with(".toml"))
        {
            assert!(settings.contains(&file.as_str()), "{file} is in no package");
        }
        for unit in all(|package| [package.units, package.restart, package.stop].concat()) {
            assert!(units.contains(&unit), "{unit} is started or stopped, and in no package");
        }
    }
}
