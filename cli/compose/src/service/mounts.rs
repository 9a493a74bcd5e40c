//! Volumes, directories of the host and file systems in memory.

use berth_model::task_definition::{HostVolume, MountPoint, Tmpfs, Volume};

use super::{Draft, NO_MEMBER, Named};
use crate::Error;
use crate::fields::{At, Field, Row, by, not, rows, walk};
use crate::translation::Note;
use crate::units;

/// MiB of a file system in memory for which the file names no size: ECS wants one.
const TMPFS: i32 = 128;

/// A mount while it is read.
#[derive(Default)]
pub(crate) struct Mount {
    kind: String,
    source: Option<String>,
    target: String,
    read_only: Option<bool>,
    size: Option<i32>,
    options: Vec<String>,
}

pub(crate) const FIELDS: &[Field<Mount>] = &[
    by("bind", "see below", |mount, at, notes| walk(mount, at, BIND, notes)),
    not("consistency", "it means nothing on Linux"),
    not("image", "Berth mounts no images"),
    by("read_only", "`readOnly`", |mount, at, _| {
        mount.read_only = Some(at.truth()?);
        Ok(())
    }),
    by("source", "a named volume, or a path of the hosts", |mount, at, _| {
        mount.source = Some(at.string()?);
        Ok(())
    }),
    by("target", "`containerPath`", |mount, at, _| {
        mount.target = at.string()?;
        Ok(())
    }),
    by("tmpfs", "see below", |mount, at, notes| {
        walk(mount, at, TMPFS_OPTIONS, notes)
    }),
    by("type", "`volume`, `bind`, `tmpfs`", |mount, at, _| {
        mount.kind = at.string()?;
        Ok(())
    }),
    by("volume", "see below", |mount, at, notes| walk(mount, at, VOLUME, notes)),
];

const BIND: &[Field<Mount>] = &[
    by(
        "create_host_path",
        "`true`: Docker makes a missing directory",
        |_, at, notes| {
            if !at.truth()? {
                notes.push(Note::lost(&at.path, "Docker makes a directory that is missing"));
            }
            Ok(())
        },
    ),
    not("propagation", NO_MEMBER),
    not("recursive", NO_MEMBER),
    not("selinux", NO_MEMBER),
];

const VOLUME: &[Field<Mount>] = &[
    not("labels", NO_MEMBER),
    not("nocopy", NO_MEMBER),
    not("subpath", NO_MEMBER),
];

const TMPFS_OPTIONS: &[Field<Mount>] = &[
    by("mode", "a mount option", |mount, at, _| {
        mount.options.push(format!("mode={}", at.text()?));
        Ok(())
    }),
    by("size", "`size`; 128 MiB where absent", |mount, at, _| {
        mount.size = Some(at.by(units::mebibytes, "a size such as 64m")?);
        Ok(())
    }),
];

pub(crate) fn sections() -> Vec<Vec<Row>> {
    vec![
        rows("services.*.volumes[*]", FIELDS),
        rows("services.*.volumes[*].bind", BIND),
        rows("services.*.volumes[*].tmpfs", TMPFS_OPTIONS),
        rows("services.*.volumes[*].volume", VOLUME),
    ]
}

pub(crate) fn volumes(draft: &mut Draft, at: &At<'_>, notes: &mut Vec<Note>) -> Result<(), Error> {
    for at in at.items()? {
        let mut mount = Mount::default();
        walk(&mut mount, &at, FIELDS, notes)?;
        place(draft, &at, mount, notes)?;
    }
    Ok(())
}

fn place(draft: &mut Draft, at: &At<'_>, mount: Mount, notes: &mut Vec<Note>) -> Result<(), Error> {
    if !mount.target.starts_with('/') || mount.target.contains(':') {
        let target = berth_model::fault::shortened(&mount.target);
        return Err(at.error(format!(
            "the target is '{target}', it must be an absolute path without ':'"
        )));
    }
    let host = match mount.kind.as_str() {
        "tmpfs" => {
            let tmpfs = memory(&mount.target, mount.size, mount.options, at, notes);
            draft
                .container
                .linux_parameters
                .get_or_insert_default()
                .tmpfs
                .push(tmpfs);
            return Ok(());
        }
        "volume" => HostVolume::default(),
        "bind" => {
            let source = mount.source.as_deref().unwrap_or_default();
            if !source.starts_with('/') || source.contains(':') {
                let source = berth_model::fault::shortened(source);
                return Err(at.error(format!("the source is '{source}', it must be a path without ':'")));
            }
            let says = format!("{source} is a path of each host: nothing is copied there");
            notes.push(Note::known(&at.path, says));
            HostVolume {
                source_path: Some(source.to_owned()),
                ..HostVolume::default()
            }
        }
        _ => {
            notes.push(Note::lost(
                &at.path,
                "Berth mounts volumes, directories of hosts and tmpfs",
            ));
            return Ok(());
        }
    };
    let is_named = host.source_path.is_none() && mount.source.is_some();
    let number = draft.container.mount_points.len();
    let name = format!("mount-{number}");
    match mount.source {
        Some(volume) if is_named => draft.named.push(Named {
            place: at.path.clone(),
            volume,
            mount: number,
        }),
        // One that is the task's own, and goes with it.
        Some(_) | None => draft.volumes.push(Volume {
            name: name.clone(),
            host: Some(host),
            ..Volume::default()
        }),
    }
    draft.container.mount_points.push(MountPoint {
        source_volume: Some(name),
        container_path: Some(mount.target),
        read_only: mount.read_only.filter(|read_only| *read_only),
        ..MountPoint::default()
    });
    Ok(())
}

fn memory(target: &str, size: Option<i32>, options: Vec<String>, at: &At<'_>, notes: &mut Vec<Note>) -> Tmpfs {
    if size.is_none() {
        notes.push(Note::known(&at.path, format!("it has no size, and gets {TMPFS} MiB")));
    }
    Tmpfs {
        container_path: target.to_owned(),
        size: size.unwrap_or(TMPFS),
        mount_options: options,
        ..Tmpfs::default()
    }
}

/// `PATH[:OPTION,OPTION]`
pub(crate) fn tmpfs(draft: &mut Draft, at: &At<'_>, notes: &mut Vec<Note>) -> Result<(), Error> {
    for at in at.items()? {
        let (path, options) = at.text()?.split_once(':').unwrap_or((at.text()?, ""));
        let mut size = None;
        let mut others = Vec::new();
        for option in options.split(',').filter(|option| !option.is_empty()) {
            match option.strip_prefix("size=") {
                Some(text) => {
                    let given = units::mebibytes(text);
                    size = Some(given.ok_or_else(|| at.wrong("a path with options, the size such as size=64m"))?);
                }
                None => others.push(option.to_owned()),
            }
        }
        let tmpfs = memory(path, size, others, &at, notes);
        draft
            .container
            .linux_parameters
            .get_or_insert_default()
            .tmpfs
            .push(tmpfs);
    }
    Ok(())
}

/// A volume of the project.
#[derive(Debug, Default)]
pub(crate) struct ProjectVolume {
    pub(crate) name: Option<String>,
    pub(crate) driver: Option<String>,
    pub(crate) options: Vec<(String, String)>,
    pub(crate) labels: Vec<(String, String)>,
    pub(crate) is_external: bool,
}

pub(crate) const PROJECT_VOLUME: &[Field<ProjectVolume>] = &[
    by("driver", "`driver`", |volume, at, _| {
        volume.driver = Some(at.string()?);
        Ok(())
    }),
    by("driver_opts", "`driverOpts`", |volume, at, _| {
        for (name, at) in at.each_entry()? {
            volume.options.push((name.to_owned(), at.string()?));
        }
        Ok(())
    }),
    by(
        "external",
        "`autoprovision: false`: it must be on the host",
        |volume, at, _| {
            volume.is_external = at.truth()?;
            Ok(())
        },
    ),
    by("labels", "`labels`", |volume, at, _| {
        if at.node.as_list().is_some() {
            let pair = |text: String| match text.split_once('=') {
                Some((name, value)) => (name.to_owned(), value.to_owned()),
                None => (text, String::new()),
            };
            volume.labels.extend(at.texts()?.into_iter().map(pair));
            return Ok(());
        }
        for (name, at) in at.each_entry()? {
            let value = if at.node.is_null() { "" } else { at.text()? };
            volume.labels.push((name.to_owned(), value.to_owned()));
        }
        Ok(())
    }),
    by(
        "name",
        "the name in Docker; `PROJECT_NAME` where absent",
        |volume, at, _| {
            volume.name = Some(at.string()?);
            Ok(())
        },
    ),
];
