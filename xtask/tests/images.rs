//! Images of static programs: what is in the archives, and that they are the same each time. That Docker runs them is tried on
//! a machine of `machines`.

#![expect(clippy::unwrap_used, reason = "this is a test")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::{Value, json};

const PROGRAMS: [&str; 4] = ["berth", "berth-scheduler", "berth-agent", "berth-gateway"];

/// A directory of this test's own.
fn directory(name: &str) -> PathBuf {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    if directory.exists() {
        fs::remove_dir_all(&directory).unwrap();
    }
    fs::create_dir_all(&directory).unwrap();
    directory
}

/// Images of programs that are copies of this one, under `name`.
fn images(name: &str, program: &str) -> (PathBuf, Output) {
    let directory = directory(name);
    let (programs, into) = (directory.join("programs"), directory.join("images"));
    fs::create_dir(&programs).unwrap();
    for name in PROGRAMS {
        fs::copy(program, programs.join(name)).unwrap();
    }
    let mut xtask = Command::new(env!("CARGO_BIN_EXE_xtask"));
    xtask
        .env("SOURCE_DATE_EPOCH", "1700000000")
        .args(["images", "--version", "0.1.0~rc1"]);
    let output = xtask.arg("--programs").arg(programs).arg("--into").arg(&into).output();
    (into, output.unwrap())
}

fn unpacked(archive: &Path) -> PathBuf {
    let into = archive.with_extension("unpacked");
    fs::create_dir(&into).unwrap();
    let status = Command::new("tar")
        .arg("-xf")
        .arg(archive)
        .arg("-C")
        .arg(&into)
        .status();
    assert!(status.unwrap().success());
    into
}

fn json_of(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

fn listed(archive: &Path) -> String {
    let output = Command::new("tar")
        .args(["--numeric-owner", "-tvf"])
        .arg(archive)
        .output()
        .unwrap();
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn the_same_programs_give_the_same_images() {
    let (one, said) = images("same-one", "/bin/busybox");
    assert!(said.status.success(), "{said:?}");
    let (other, said) = images("same-other", "/bin/busybox");
    assert!(said.status.success(), "{said:?}");
    for name in PROGRAMS {
        let file = format!("{name}_0.1.0~rc1_amd64.tar");
        assert!(
            fs::read(one.join(&file)).unwrap() == fs::read(other.join(&file)).unwrap(),
            "{file}"
        );
    }
}

#[test]
fn an_image_has_the_program_and_its_directory_and_says_who_runs_it() {
    let (into, said) = images("content", "/bin/busybox");
    assert!(said.status.success(), "{said:?}");
    for (name, user) in PROGRAMS.into_iter().zip([65532, 65532, 0, 65532]) {
        let archive = unpacked(&into.join(format!("{name}_0.1.0~rc1_amd64.tar")));
        // For Docker Engines of any age.
        let docker = &json_of(&archive.join("manifest.json"))[0];
        assert_eq!(docker["RepoTags"], json!([format!("{name}:0.1.0-rc1")]));
        let config = json_of(&archive.join(docker["Config"].as_str().unwrap()));
        assert_eq!(config["config"]["User"], json!(format!("{user}:{user}")));
        assert_eq!(config["config"]["Entrypoint"], json!([format!("/usr/bin/{name}")]));
        assert_eq!(config["created"], json!("2023-11-14T22:13:20Z"));
        let layer = listed(&archive.join(docker["Layers"][0].as_str().unwrap()));
        let line = |end: &str| layer.lines().find(|line| line.ends_with(end)).map(str::to_owned);
        let program = line(&format!(" usr/bin/{name}")).unwrap();
        assert!(program.starts_with("-rwxr-xr-x 0/0"), "{program}");
        let state = line(&format!(" var/lib/{name}/"));
        let owner = format!("drwx------ {user}/{user}");
        assert_eq!(
            state.is_some_and(|state| state.starts_with(&owner)),
            name != "berth",
            "{layer}"
        );
        assert!(!layer.contains("etc/"), "{layer}");
        // For whatever reads OCI images: each part is under the digest of what it says.
        let index = json_of(&archive.join("index.json"));
        let manifest = index["manifests"][0]["digest"].as_str().unwrap().replace(':', "/");
        let manifest = json_of(&archive.join("blobs").join(manifest));
        assert_eq!(
            manifest["config"]["digest"]
                .as_str()
                .map(|digest| format!("blobs/{}", digest.replace(':', "/"))),
            docker["Config"].as_str().map(str::to_owned)
        );
        for blob in fs::read_dir(archive.join("blobs/sha256")).unwrap() {
            let blob = blob.unwrap();
            let said = Command::new("sha256sum").arg(blob.path()).output().unwrap();
            assert!(said.stdout.starts_with(blob.file_name().as_encoded_bytes()));
        }
    }
}

#[test]
fn a_program_that_needs_a_loader_is_refused() {
    let (_, said) = images("shared", "/bin/ls");
    let error = String::from_utf8(said.stderr).unwrap();
    assert!(!said.status.success() && error.contains("is not static"), "{error}");
}
