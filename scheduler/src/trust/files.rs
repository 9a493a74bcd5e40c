//! The files of the authority: its certificates, its own first, and its key.

use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use berth_model::time::Timestamp;
use berth_tls::Authority;
use berth_tls::files::{PUBLIC, SECRET, read, replace};
use clap::Args;

/// The files in a data directory where nothing else is said.
const CERTIFICATES: &str = "ca.pem";
const KEY: &str = "ca.key";

/// Where the authority is, where that is said.
#[derive(Debug, Clone, Default, Args)]
pub struct Named {
    /// PEM file of the cluster's authority: its certificate first, then those that are trusted besides it [default: ca.pem
    /// in the data directory, made if it is missing; none with --journal]
    #[arg(long, env = "BERTH_CA_CERT", value_name = "PATH", requires = "ca_key")]
    pub ca_cert: Option<PathBuf>,

    /// PEM file of its key (PKCS #8) [default: ca.key beside it]
    #[arg(long, env = "BERTH_CA_KEY", value_name = "PATH", requires = "ca_cert")]
    pub ca_key: Option<PathBuf>,
}

/// Two files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Files {
    certificates: PathBuf,
    key: PathBuf,
    /// Whether they are made where they are missing.
    own: bool,
}

impl Files {
    /// Those that were named; else those in the data directory.
    #[must_use]
    pub fn of(named: &Named, data_dir: &Path) -> Self {
        match (&named.ca_cert, &named.ca_key) {
            (Some(certificates), Some(key)) => Self {
                certificates: certificates.clone(),
                key: key.clone(),
                own: false,
            },
            _ => Self {
                certificates: data_dir.join(CERTIFICATES),
                key: data_dir.join(KEY),
                own: true,
            },
        }
    }

    /// The certificates and the key; both are made where they are missing in a data directory.
    pub(super) fn find(&self, now: Timestamp) -> anyhow::Result<(String, String)> {
        match (read_or_none(&self.certificates)?, read_or_none(&self.key)?) {
            (Some(certificates), Some(key)) => Ok((certificates, key)),
            (None, key) if self.own => {
                // The key is written first: it may be all that an earlier start has left.
                let authority = match key {
                    None => Authority::make(now)?,
                    Some(key) => Authority::remake(&key, now)?,
                };
                self.write(&authority, None)?;
                let path = self.certificates.display();
                tracing::info!(%path, authority = %authority.fingerprint(), "authority of the cluster made");
                self.read()
            }
            (None, _) => bail!("there is no authority in {}", self.certificates.display()),
            (Some(_), None) => bail!("there is no key of the authority in {}", self.key.display()),
        }
    }

    pub(super) fn read(&self) -> anyhow::Result<(String, String)> {
        match (read_or_none(&self.certificates)?, read_or_none(&self.key)?) {
            (Some(certificates), Some(key)) => Ok((certificates, key)),
            _ => bail!(
                "the authority's files {} and {} are not both there",
                self.certificates.display(),
                self.key.display()
            ),
        }
    }

    /// The authority of the files, which must be there.
    pub(super) fn authority(&self) -> anyhow::Result<Authority> {
        let (certificates, key) = self.read()?;
        let authority = Authority::read(&certificates, &key);
        authority.with_context(|| format!("{} cannot be used", self.certificates.display()))
    }

    /// Writes an authority in the place of another. Between any two steps what is there can be used: as long as the first
    /// certificate may be that of either, both keys are there.
    pub(super) fn write(&self, authority: &Authority, before: Option<&Authority>) -> anyhow::Result<()> {
        let failed = |path: &Path| format!("cannot write {}", path.display());
        let both = before.map(|before| format!("{}{}", authority.key_pem(), before.key_pem()));
        let first = both.unwrap_or_else(|| authority.key_pem());
        replace(&self.key, first.as_bytes(), SECRET).with_context(|| failed(&self.key))?;
        let certificates = authority.bundle_pem();
        replace(&self.certificates, certificates.as_bytes(), PUBLIC).with_context(|| failed(&self.certificates))?;
        if before.is_some() {
            replace(&self.key, authority.key_pem().as_bytes(), SECRET).with_context(|| failed(&self.key))?;
        }
        Ok(())
    }
}

fn read_or_none(path: &Path) -> anyhow::Result<Option<String>> {
    let text = read(path).with_context(|| format!("cannot read {}", path.display()))?;
    ensure!(
        text.as_ref().is_none_or(|text| !text.trim().is_empty()),
        io::Error::new(io::ErrorKind::InvalidData, format!("{} is empty", path.display()))
    );
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_authority_is_made_once_and_its_key_is_its_owners_alone() {
        use std::os::unix::fs::PermissionsExt;
        let directory = tempfile::tempdir().unwrap();
        let files = Files::of(&Named::default(), directory.path());
        let now = Timestamp::from_millis(1_800_000_000_000);
        let made = files.find(now).unwrap();
        assert_eq!(files.find(now).unwrap(), made);
        let mode = std::fs::metadata(directory.path().join(KEY))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
        let fingerprint = files.authority().unwrap().fingerprint();
        std::fs::remove_file(directory.path().join(CERTIFICATES)).unwrap();
        files.find(now).unwrap();
        assert_eq!(files.authority().unwrap().fingerprint(), fingerprint);
        let named = Named {
            ca_cert: Some(directory.path().join("other.pem")),
            ca_key: Some(directory.path().join("other.key")),
        };
        let missing = Files::of(&named, directory.path()).find(now).unwrap_err().to_string();
        assert!(missing.contains("other.pem"), "{missing}");
    }

    #[test]
    fn a_crash_between_any_two_steps_of_a_rotation_leaves_an_authority() {
        let directory = tempfile::tempdir().unwrap();
        let files = Files::of(&Named::default(), directory.path());
        let now = Timestamp::from_millis(1_800_000_000_000);
        files.find(now).unwrap();
        let old = files.authority().unwrap();
        let new = old.successor(now).unwrap();
        let both = format!("{}{}", new.key_pem(), old.key_pem());
        std::fs::write(directory.path().join(KEY), both).unwrap();
        assert_eq!(files.authority().unwrap().fingerprint(), old.fingerprint());
        std::fs::write(directory.path().join(CERTIFICATES), new.bundle_pem()).unwrap();
        assert_eq!(files.authority().unwrap().fingerprint(), new.fingerprint());
        files.write(&new, Some(&old)).unwrap();
        assert_eq!(files.authority().unwrap().fingerprint(), new.fingerprint());
        assert!(
            !std::fs::read_to_string(directory.path().join(KEY))
                .unwrap()
                .contains(&old.key_pem())
        );
    }
}
