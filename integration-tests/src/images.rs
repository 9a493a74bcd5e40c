//! The images that the tests run, made on the spot from Debian's static BusyBox: no registry is asked.
//!
//! * `busybox`: BusyBox under all its names.
//! * `my-demo`: `/usr/sbin/apache2 -D FOREGROUND` serves `/var/www` on port 80 and ends at once when told to.
//! * `curl`: its default entry point is a shell that gets the command line as one string; `curl` exits as curl does.
//!
//! They are one archive in the format of `docker save`, so that an image has the same id on every host.

use std::fs;
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tar::{EntryType, Header};

use crate::command::run;

const BUSYBOX: &str = "/bin/busybox";

const APACHE: &str = "#!/bin/sh
# Serves /var/www as Apache would, and ends on SIGTERM though it is process 1.
busybox httpd -f -p 80 -h /var/www &
trap 'kill $!; exit 0' TERM INT
wait
";

const CURL: &str = "#!/bin/sh
# The last argument is the URL. Exit codes are curl's: 6 no such host, 7 no connection.
for argument; do url=$argument; done
if said=$(wget -q -O - \"$url\" 2>&1); then
    echo \"$said\"
    exit 0
fi
echo \"curl: $said\" >&2
case $said in
*'bad address'*) exit 6 ;;
*\"can't connect\"*) exit 7 ;;
*'server returned error'*) exit 0 ;;
esac
exit 1
";

/// The archive, made once a process.
///
/// # Errors
///
/// If there is no static BusyBox on the machine.
pub fn archive() -> Result<&'static [u8]> {
    static ARCHIVE: OnceLock<Result<Vec<u8>, String>> = OnceLock::new();
    ARCHIVE
        .get_or_init(|| build().map_err(|error| format!("{error:#}")))
        .as_deref()
        .map_err(|error| anyhow!("make the test images: {error}"))
}

/// An image as a registry holds it: what is asked for by digest, and the manifest that says so.
#[derive(Debug, Clone)]
pub struct Pullable {
    /// Names of blobs and their content.
    pub blobs: Vec<(String, Vec<u8>)>,
    /// Image manifest, version 2, schema 2.
    pub manifest: Vec<u8>,
    /// The manifest's own digest, under which the image is known.
    pub digest: String,
    /// The digest of its configuration: Docker's id of the image.
    pub id: String,
}

/// BusyBox, with a mark in its environment that makes it an image of its own, and so many bytes that no other image
/// has.
///
/// # Errors
///
/// If there is no static BusyBox on the machine.
pub fn pullable(mark: &str, bytes: usize) -> Result<Pullable> {
    let base = base_layer()?;
    let filling: Vec<u8> = mark.bytes().cycle().take(bytes).collect();
    let own = layer(&[("filling", 0o644, &filling)], &[])?;
    let layers = [&base, &own];
    let config = config_of(json!({"Cmd": ["sh"], "Labels": {"mark": mark}}), &layers).to_string();
    let named = |content: &[u8]| format!("sha256:{}", digest(content));
    let described = |kind: &str, content: &[u8]| {
        json!({
            "mediaType": format!("application/vnd.docker.{kind}"),
            "size": content.len(),
            "digest": named(content),
        })
    };
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST_TYPE,
        "config": described("container.image.v1+json", config.as_bytes()),
        "layers": layers.map(|layer| described("image.rootfs.diff.tar.gzip", &layer.tar)),
    });
    let manifest = manifest.to_string().into_bytes();
    let id = named(config.as_bytes());
    let mut blobs = vec![(id.clone(), config.into_bytes())];
    blobs.extend([base, own].map(|layer| (named(&layer.tar), layer.tar)));
    Ok(Pullable {
        digest: named(&manifest),
        blobs,
        manifest,
        id,
    })
}

/// What a registry calls the manifest of one image.
pub const MANIFEST_TYPE: &str = "application/vnd.docker.distribution.manifest.v2+json";

/// One layer: a tar and its digest.
struct Layer {
    tar: Vec<u8>,
    digest: String,
}

fn build() -> Result<Vec<u8>> {
    let base = base_layer()?;
    let apache = layer(&[("usr/sbin/apache2", 0o755, APACHE.as_bytes())], &[])?;
    let curl = layer(&[("usr/bin/curl", 0o755, CURL.as_bytes())], &[])?;
    let shell = json!(["/bin/sh", "-c"]);
    let images = [
        ("busybox:latest", json!({"Cmd": ["sh"]}), vec![&base]),
        (
            "my-demo:latest",
            json!({"Cmd": ["/usr/sbin/apache2", "-D", "FOREGROUND"]}),
            vec![&base, &apache],
        ),
        (
            "curl:latest",
            json!({"Entrypoint": shell, "Cmd": ["curl --help"]}),
            vec![&base, &curl],
        ),
    ];
    let mut archive = tar::Builder::new(Vec::new());
    for layer in [&base, &apache, &curl] {
        add_file(&mut archive, &layer.file(), 0o644, &layer.tar)?;
    }
    let mut manifest = Vec::new();
    for (tag, config, layers) in images {
        let config = config_of(config, &layers).to_string();
        let file = format!("{}.json", digest(config.as_bytes()));
        add_file(&mut archive, &file, 0o644, config.as_bytes())?;
        let layers: Vec<String> = layers.iter().map(|layer| layer.file()).collect();
        manifest.push(json!({"Config": file, "RepoTags": [tag], "Layers": layers}));
    }
    let manifest = Value::Array(manifest).to_string();
    add_file(&mut archive, "manifest.json", 0o644, manifest.as_bytes())?;
    archive.into_inner().context("finish the archive")
}

impl Layer {
    fn file(&self) -> String {
        format!("{}/layer.tar", self.digest)
    }
}

fn config_of(mut config: Value, layers: &[&Layer]) -> Value {
    config["Env"] = json!(["PATH=/usr/sbin:/usr/bin:/sbin:/bin"]);
    let digests: Vec<String> = layers.iter().map(|layer| format!("sha256:{}", layer.digest)).collect();
    json!({
        "architecture": if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" },
        "os": "linux",
        "created": "2026-01-01T00:00:00Z",
        "config": config,
        "rootfs": {"type": "layers", "diff_ids": digests},
    })
}

fn base_layer() -> Result<Layer> {
    let busybox =
        fs::read(BUSYBOX).with_context(|| format!("read {BUSYBOX}; on Debian: apt-get install busybox-static"))?;
    ensure!(
        !busybox.windows(10).any(|bytes| bytes == b"/ld-linux-"),
        "{BUSYBOX} is not static and cannot run alone in an image; on Debian: apt-get install busybox-static"
    );
    let names = run(Command::new(BUSYBOX).arg("--list"), Duration::from_secs(10))?;
    let links: Vec<String> = names
        .lines()
        .filter(|name| *name != "busybox")
        .map(|name| format!("bin/{name}"))
        .collect();
    layer(
        &[
            ("bin/busybox", 0o755, &busybox),
            (
                "etc/passwd",
                0o644,
                b"root:x:0:0:root:/:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/sh\n",
            ),
            ("etc/group", 0o644, b"root:x:0:\nnogroup:x:65534:\n"),
            ("var/www/index.html", 0o644, b"It works!\n"),
        ],
        &links,
    )
}

/// A layer of files and of links to BusyBox.
fn layer(files: &[(&str, u32, &[u8])], links: &[String]) -> Result<Layer> {
    let mut layer = tar::Builder::new(Vec::new());
    let mut tmp = header(EntryType::Directory, 0o1777, 0);
    layer
        .append_data(&mut tmp, "tmp/", &[][..])
        .context("add /tmp to a layer")?;
    for (path, mode, content) in files {
        add_file(&mut layer, path, *mode, content)?;
    }
    for path in links {
        let mut link = header(EntryType::Symlink, 0o777, 0);
        layer
            .append_link(&mut link, path, "busybox")
            .with_context(|| format!("add {path} to a layer"))?;
    }
    let tar = layer.into_inner().context("finish a layer")?;
    let digest = digest(&tar);
    Ok(Layer { tar, digest })
}

fn add_file(archive: &mut tar::Builder<Vec<u8>>, path: &str, mode: u32, content: &[u8]) -> Result<()> {
    let mut header = header(EntryType::Regular, mode, content.len());
    archive
        .append_data(&mut header, path, content)
        .with_context(|| format!("add {path} to an archive"))
}

fn header(kind: EntryType, mode: u32, size: usize) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_size(u64::try_from(size).unwrap_or(u64::MAX));
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header
}

fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}
