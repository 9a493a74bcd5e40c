//! What a machine is told at its first boot: cloud-init's NoCloud, user data and meta data on a disk with the label `cidata`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use serde_json::json;
use xtask_machines::shell::run;

/// A key pair of this run alone, for SSH.
#[derive(Debug)]
pub(super) struct Key {
    /// The file of the private half.
    pub(super) file: PathBuf,
    public: String,
}

impl Key {
    /// Makes one in `directory`.
    ///
    /// # Errors
    /// Those of ssh-keygen, with its words.
    pub(super) fn make(directory: &Path) -> Result<Self> {
        let file = directory.join("id_ed25519");
        // Packer 1.6.6 signs with RSA only as today's servers no longer take it.
        let mut keygen = Command::new("ssh-keygen");
        keygen.args(["-q", "-t", "ed25519", "-N", "", "-C", "test-image", "-f"]);
        run(keygen.arg(&file))?;
        let public = fs::read_to_string(file.with_extension("pub")).context("read the public key")?;
        let public = public.trim().to_owned();
        Ok(Self { file, public })
    }
}

/// Lets the key in to the machine that becomes the image; the template puts the files on a disk.
///
/// # Errors
/// They cannot be written.
pub(super) fn for_packer(directory: &Path, key: &Key) -> Result<()> {
    write(directory, "packer", key, "#cloud-config\nlocale: \"false\"\n")
}

/// User data as `docs/installing.md` has it, of a machine that joins with these lines of `/etc/ecs/ecs.config`; the disk with it.
///
/// # Errors
/// It cannot be written, or xorriso fails; with its words.
pub(super) fn for_host(directory: &Path, key: &Key, settings: &str) -> Result<PathBuf> {
    let script = format!("#!/bin/sh\ncat >> /etc/ecs/ecs.config <<'END'\n{settings}END\n");
    write(directory, "host", key, &script)?;
    let disk = directory.with_extension("iso");
    let mut xorriso = Command::new("xorriso");
    xorriso.args(["-as", "genisoimage", "-quiet", "-volid", "cidata", "-joliet", "-rock"]);
    run(xorriso.arg("-output").arg(&disk).arg(directory))?;
    Ok(disk)
}

fn write(directory: &Path, name: &str, key: &Key, user_data: &str) -> Result<()> {
    fs::create_dir_all(directory)?;
    // As EC2 gives them: keys are meta data. JSON is YAML too.
    let meta_data = json!({
        "instance-id": format!("iid-{name}"),
        "local-hostname": name,
        "public-keys": [key.public],
    });
    for (file, content) in [("meta-data", meta_data.to_string().as_str()), ("user-data", user_data)] {
        let path = directory.join(file);
        fs::write(&path, content).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}
