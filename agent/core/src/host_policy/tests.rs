use proptest::prelude::*;

use super::*;
use crate::create::{Device, HostSettings, Lifetime};

fn set(of: &[&str]) -> BTreeSet<String> {
    of.iter().map(|text| (*text).to_owned()).collect()
}

fn real(of: &[(&str, &str)]) -> RealPaths {
    of.iter()
        .map(|(path, real)| ((*path).to_owned(), (*real).to_owned()))
        .collect()
}

/// Each path is where it seems to be.
fn plain(request: &CreateRequest, policy: &HostPolicy) -> RealPaths {
    let all = asked_paths(request).into_iter().chain(policy.own_paths());
    all.map(|path| (path.clone(), path)).collect()
}

fn asking(host: HostSettings) -> CreateRequest {
    CreateRequest {
        host,
        ..CreateRequest::default()
    }
}

fn mounting(path: &str) -> CreateRequest {
    asking(HostSettings {
        binds: vec!["data:/data".to_owned(), format!("{path}:/inside:ro")],
        ..HostSettings::default()
    })
}

fn volume(options: &[(&str, &str)]) -> CreateRequest {
    CreateRequest {
        volumes: vec![VolumeRequest {
            name: "v".to_owned(),
            driver: LOCAL.to_owned(),
            options: options
                .iter()
                .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
                .collect(),
            labels: BTreeMap::new(),
            lifetime: Lifetime::Task,
        }],
        ..CreateRequest::default()
    }
}

fn refusal(policy: &HostPolicy, request: &CreateRequest) -> Option<String> {
    let judged = policy.judge(request, &plain(request, policy));
    judged.err().map(|denied| denied.to_string())
}

#[test]
fn nothing_of_the_host_is_given_unless_the_operator_says_so() {
    let host = HostSettings::default;
    let device = |path: &str| Device {
        host_path: path.to_owned(),
        container_path: "/dev/x".to_owned(),
        permissions: "r".to_owned(),
    };
    let cases = [
        (
            HostSettings {
                privileged: true,
                ..host()
            },
            "privileged is true",
        ),
        (
            HostSettings {
                network_mode: "host".to_owned(),
                ..host()
            },
            "networkMode is 'host'",
        ),
        (
            HostSettings {
                pid_mode: Some("host".to_owned()),
                ..host()
            },
            "pidMode is 'host'",
        ),
        (
            HostSettings {
                ipc_mode: Some("host".to_owned()),
                ..host()
            },
            "ipcMode is 'host'",
        ),
        (mounting("/srv/data").host, "the host path '/srv/data' is mounted"),
        (
            HostSettings {
                devices: vec![device("/dev/fuse")],
                ..host()
            },
            "linuxParameters.devices has '/dev/fuse'",
        ),
        (
            HostSettings {
                devices: vec![device("a.com/b=c")],
                ..host()
            },
            "linuxParameters.devices has 'a.com/b=c'",
        ),
        (
            HostSettings {
                capabilities_added: vec!["SYS_ADMIN".to_owned()],
                ..host()
            },
            "linuxParameters.capabilities.add has 'SYS_ADMIN'",
        ),
        (
            HostSettings {
                capabilities_added: vec!["all".to_owned()],
                ..host()
            },
            "capabilities.add has 'all'",
        ),
        (
            HostSettings {
                security_options: set(&["apparmor=unconfined"]).into_iter().collect(),
                ..host()
            },
            "apparmor",
        ),
        (
            HostSettings {
                security_options: vec!["seccomp=unconfined".to_owned()],
                ..host()
            },
            "seccomp",
        ),
        (
            HostSettings {
                security_options: vec!["label=disable".to_owned()],
                ..host()
            },
            "label",
        ),
    ];
    let open = HostPolicy {
        privileged: true,
        namespaces: [HostNamespace::Network, HostNamespace::Pid, HostNamespace::Ipc].into(),
        paths: set(&["/"]),
        devices: set(&["/dev", "a.com/b=c"]),
        capabilities: set(&[ALL]),
        sockets: BTreeSet::new(),
    };
    for (host, what) in cases {
        let request = asking(host);
        let refused = refusal(&HostPolicy::default(), &request).unwrap_or_default();
        assert!(
            refused.starts_with("host policy: ") && refused.contains(what),
            "{what}: {refused}"
        );
        assert_eq!(refusal(&open, &request), None);
    }
}

#[test]
fn what_every_container_has_needs_no_permission() {
    let request = asking(HostSettings {
        network_mode: "bridge".to_owned(),
        pid_mode: Some("container:pause".to_owned()),
        ipc_mode: Some("shareable".to_owned()),
        capabilities_added: vec!["CAP_CHOWN".to_owned(), "net_raw".to_owned()],
        security_options: vec!["no-new-privileges".to_owned(), "apparmor=docker-default".to_owned()],
        binds: vec!["named:/data".to_owned()],
        ..HostSettings::default()
    });
    assert_eq!(refusal(&HostPolicy::default(), &request), None);
}

#[test]
fn directories_are_allowed_with_what_is_below_them_and_not_by_their_beginning() {
    let policy = HostPolicy {
        paths: set(&["/srv/data/", "/etc/hosts"]),
        ..HostPolicy::default()
    };
    for allowed in ["/srv/data", "/srv/data/a/b", "/etc/hosts"] {
        assert_eq!(refusal(&policy, &mounting(allowed)), None, "{allowed}");
    }
    for refused in ["/srv", "/srv/database", "/", "/etc/hosts.allow"] {
        assert!(refusal(&policy, &mounting(refused)).is_some(), "{refused}");
    }
}

#[test]
fn links_are_judged_by_where_they_lead() {
    let policy = HostPolicy {
        paths: set(&["/srv", "/data"]),
        ..HostPolicy::default()
    };
    let judged =
        |path: &str, real: &RealPaths| policy.judge(&mounting(path), real).map_err(|denied| denied.to_string());
    let escapes = real(&[("/srv/link", "/etc"), ("/srv/../etc", "/etc"), ("/srv", "/srv")]);
    assert_eq!(
        judged("/srv/link", &escapes).unwrap_err(),
        "host policy: the host path '/srv/link' is mounted, which leads to '/etc', which this host does not allow \
         (allow-host-path)"
    );
    assert!(judged("/srv/../etc", &escapes).is_err());
    // The operator's own directory may be a link, and others may lead into it.
    let own = real(&[
        ("/data", "/mnt/disk"),
        ("/data/a", "/mnt/disk/a"),
        ("/home/a", "/mnt/disk/b"),
    ]);
    assert_eq!(judged("/data/a", &own), Ok(()));
    assert_eq!(judged("/home/a", &own), Ok(()));
    // What cannot be followed is nowhere, unless it is named itself.
    assert!(judged("/srv/closed", &RealPaths::new()).is_err());
    assert_eq!(judged("/srv", &RealPaths::new()), Ok(()));
}

#[test]
fn a_socket_of_docker_is_mounted_only_where_it_is_named_itself() {
    let with = |paths: &[&str]| HostPolicy {
        paths: set(paths),
        sockets: set(&["/var/run/docker.sock"]),
        ..HostPolicy::default()
    };
    let links = real(&[
        ("/var/run/docker.sock", "/run/docker.sock"),
        ("/run/docker.sock", "/run/docker.sock"),
        ("/var/run", "/run"),
        ("/run", "/run"),
        ("/", "/"),
        ("/srv", "/srv"),
    ]);
    for path in ["/var/run/docker.sock", "/run/docker.sock", "/var/run", "/run", "/"] {
        assert!(with(&["/"]).judge(&mounting(path), &links).is_err(), "{path}");
        assert_eq!(
            with(&["/", "/var/run/docker.sock"]).judge(&mounting(path), &links),
            Ok(()),
            "{path}"
        );
        assert_eq!(
            with(&["/", "/run/docker.sock"]).judge(&mounting(path), &links),
            Ok(()),
            "{path}"
        );
    }
    assert_eq!(with(&["/"]).judge(&mounting("/srv"), &links), Ok(()));
    assert_eq!(
        with(&["/var/run/docker.sock"]).judge(&mounting("/run/docker.sock"), &links),
        Ok(())
    );
    assert!(
        with(&["/var/run/docker.sock"])
            .judge(&mounting("/run"), &links)
            .is_err()
    );
}

#[test]
fn volumes_that_are_directories_of_the_host_are_judged_as_such() {
    let policy = HostPolicy {
        paths: set(&["/srv"]),
        ..HostPolicy::default()
    };
    for allowed in [
        &[][..],
        &[("type", "tmpfs"), ("device", "tmpfs")],
        &[("type", "nfs"), ("device", ":/export"), ("o", "addr=10.0.0.1")],
        &[("type", "cifs"), ("device", "//server/share")],
        &[("type", "none"), ("o", "bind"), ("device", "/srv/data")],
    ] {
        assert_eq!(refusal(&policy, &volume(allowed)), None, "{allowed:?}");
    }
    for refused in [
        &[("type", "none"), ("o", "bind"), ("device", "/etc")][..],
        &[("device", "/etc"), ("o", "rbind")],
        &[("type", "nfs"), ("o", "bind"), ("device", "/etc")],
        &[("type", "cifs"), ("o", "ro,bind"), ("device", "//etc")],
        &[("type", "ext4"), ("device", "/dev/sda1")],
        &[
            ("type", "overlay"),
            ("device", "overlay"),
            ("o", "lowerdir=/,upperdir=/a,workdir=/b"),
        ],
    ] {
        assert!(refusal(&policy, &volume(refused)).is_some(), "{refused:?}");
    }
}

proptest! {
    /// Whatever is asked for: what one policy allows, one that has more does not refuse.
    #[test]
    fn more_permissions_never_refuse_more(path in "/(srv|etc|run)(/[ab])?", own in "/(srv|etc|run)?", more in "/(srv|etc|run)?") {
        let little = HostPolicy { paths: set(&[&own]), ..HostPolicy::default() };
        let much = HostPolicy { paths: set(&[&own, &more]), ..HostPolicy::default() };
        let request = mounting(&path);
        if refusal(&little, &request).is_none() {
            prop_assert_eq!(refusal(&much, &request), None);
        }
    }
}
