//! An image FROM scratch: one program, an empty directory for its state, and nothing else.
//!
//! The archive is an OCI image layout that is also what `docker save` writes, so that every Docker Engine loads it and every
//! tool for OCI images takes it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};
use serde_json::{Value, json};

use super::content::Package;
use super::{Order, WITHIN};
use crate::steps::Steps;

/// Whom programs run as that need not be the superuser: a number that no host gives a user of its own.
const NOBODY: u32 = 65532;

/// Makes the image; returns where it is.
pub(super) fn make(
    package: &Package,
    order: &Order,
    programs: &Path,
    work: &Path,
    steps: &Steps,
) -> anyhow::Result<PathBuf> {
    if work.exists() {
        fs::remove_dir_all(work).with_context(|| format!("cannot remove {}", work.display()))?;
    }
    let blobs = work.join("archive/blobs/sha256");
    fs::create_dir_all(&blobs)?;
    let store = Store { blobs: &blobs, steps };

    let layer = work.join("layer.tar");
    lay(package, order, programs, work, &layer, steps)?;
    let layer = store.keep(&layer)?;
    let architecture = architecture()?;
    let created = steps.ask(Command::new("date").args(["--utc", "--date", &format!("@{}", order.date), "+%FT%TZ"]))?;
    let config = store.write(
        &work.join("config.json"),
        &config(package, order, architecture, &created, &layer.digest),
    )?;
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": config.descriptor("application/vnd.oci.image.config.v1+json"),
        "layers": [layer.descriptor("application/vnd.oci.image.layer.v1.tar")],
    });
    let manifest = store.write(&work.join("manifest.json"), &manifest)?;

    let archive = work.join("archive");
    let tag = format!("{}:{}", package.name, tag(&order.version));
    let mut listed = manifest.descriptor("application/vnd.oci.image.manifest.v1+json");
    listed["platform"] = json!({"architecture": architecture, "os": "linux"});
    listed["annotations"] = json!({
        "io.containerd.image.name": format!("docker.io/library/{tag}"),
        "org.opencontainers.image.ref.name": tag.split_once(':').map_or("", |(_, version)| version),
    });
    put(&archive.join("oci-layout"), &json!({"imageLayoutVersion": "1.0.0"}))?;
    put(
        &archive.join("index.json"),
        &json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.index.v1+json",
            "manifests": [listed],
        }),
    )?;
    put(
        &archive.join("manifest.json"),
        &json!([{"Config": config.path(), "RepoTags": [tag], "Layers": [layer.path()]}]),
    )?;
    let file = order
        .into
        .join(format!("{}_{}_{architecture}.tar", package.name, order.version));
    steps.run(
        tar(order.date)
            .args(["--create", "--mode=u=rwX,go=rX", "--file"])
            .arg(&file)
            .arg("--directory")
            .arg(&archive)
            .arg("."),
        WITHIN,
    )?;
    Ok(file)
}

/// Writes the layer: what is in the image.
fn lay(
    package: &Package,
    order: &Order,
    programs: &Path,
    work: &Path,
    layer: &Path,
    steps: &Steps,
) -> anyhow::Result<()> {
    let program = programs.join(package.name);
    ensure!(program.is_file(), "there is no {}", program.display());
    let headers = steps.ask(
        Command::new("readelf")
            .args(["--wide", "--program-headers"])
            .arg(&program),
    )?;
    ensure!(
        !headers.contains("INTERP"),
        "{} is not static: an image FROM scratch has nothing that could load it",
        program.display()
    );
    let root = work.join("root");
    let bin = root.join("usr/bin");
    fs::create_dir_all(&bin)?;
    let own = bin.join(package.name);
    fs::copy(&program, &own).with_context(|| format!("cannot copy {}", program.display()))?;
    fs::set_permissions(&own, fs::Permissions::from_mode(0o755))?;
    steps.run(Command::new("strip").arg("--strip-unneeded").arg(&own), WITHIN)?;
    let mut create = tar(order.date);
    create.args(["--create", "--owner=0", "--group=0", "--mode=u=rwX,go=rX"]);
    steps.run(
        create.arg("--file").arg(layer).arg("--directory").arg(&root).arg("usr"),
        WITHIN,
    )?;
    if let Some(state) = package.state {
        let state = state.trim_start_matches('/');
        let kept = work.join("state");
        fs::create_dir_all(kept.join(state))?;
        let user = user(package);
        let mut append = tar(order.date);
        append.args(["--append", "--no-recursion", "--mode=0700"]);
        append.args([format!("--owner={user}"), format!("--group={user}")]);
        steps.run(
            append.arg("--file").arg(layer).arg("--directory").arg(&kept).arg(state),
            WITHIN,
        )?;
    }
    Ok(())
}

const fn user(package: &Package) -> u32 {
    if package.root_in_image { 0 } else { NOBODY }
}

/// What the image says of itself, as the OCI image specification has it.
fn config(package: &Package, order: &Order, architecture: &str, created: &str, layer: &str) -> Value {
    let volumes: serde_json::Map<String, Value> = package
        .state
        .iter()
        .map(|state| ((*state).to_owned(), json!({})))
        .collect();
    let user = user(package);
    json!({
        "created": created,
        "architecture": architecture,
        "os": "linux",
        "config": {
            "User": format!("{user}:{user}"),
            "Env": ["PATH=/usr/bin"],
            "Entrypoint": [format!("/usr/bin/{}", package.name)],
            "WorkingDir": "/",
            "Volumes": volumes,
            "Labels": {
                "org.opencontainers.image.title": package.name,
                "org.opencontainers.image.description": package.summary,
                "org.opencontainers.image.version": order.version,
                "org.opencontainers.image.licenses": env!("CARGO_PKG_LICENSE"),
            },
        },
        "rootfs": {"type": "layers", "diff_ids": [format!("sha256:{layer}")]},
        "history": [{"created": created, "created_by": "cargo xtask images"}],
    })
}

/// As images name it.
fn architecture() -> anyhow::Result<&'static str> {
    match std::env::consts::ARCH {
        "x86_64" => Ok("amd64"),
        "aarch64" => Ok("arm64"),
        other => anyhow::bail!("images for {other} are not made"),
    }
}

/// A version as a tag, which has neither of these signs.
fn tag(version: &str) -> String {
    version.replace(['~', '+'], "-")
}

/// `tar` that writes the same archive of the same files.
fn tar(date: u64) -> Command {
    let mut tar = Command::new("tar");
    tar.args([
        "--format=ustar",
        "--sort=name",
        "--numeric-owner",
        "--owner=0",
        "--group=0",
    ]);
    tar.arg(format!("--mtime=@{date}"));
    tar
}

fn put(path: &Path, text: &Value) -> anyhow::Result<()> {
    fs::write(path, text.to_string()).with_context(|| format!("cannot write {}", path.display()))
}

/// The parts of an image, each under its digest.
struct Store<'a> {
    blobs: &'a Path,
    steps: &'a Steps,
}

/// One of them.
struct Blob {
    digest: String,
    bytes: u64,
}

impl Store<'_> {
    /// Takes a file in.
    fn keep(&self, file: &Path) -> anyhow::Result<Blob> {
        let said = self.steps.ask(Command::new("sha256sum").arg(file))?;
        let digest = said
            .split_whitespace()
            .next()
            .context("sha256sum says nothing")?
            .to_owned();
        let bytes = fs::metadata(file)?.len();
        fs::rename(file, self.blobs.join(&digest))?;
        Ok(Blob { digest, bytes })
    }

    fn write(&self, file: &Path, text: &Value) -> anyhow::Result<Blob> {
        put(file, text)?;
        self.keep(file)
    }
}

impl Blob {
    fn descriptor(&self, media_type: &str) -> Value {
        json!({"mediaType": media_type, "digest": format!("sha256:{}", self.digest), "size": self.bytes})
    }

    fn path(&self) -> String {
        format!("blobs/sha256/{}", self.digest)
    }
}
