//! Whom the command line believes, and what it shows: files that are named, or those of `~/.config/berth`.

use std::io;
use std::path::{Path, PathBuf};

use berth_tls::{Certificate, Client, ConnectError, files};

use crate::args::GlobalArgs;
use crate::credentials::configuration;

const CA: &str = "ca.pem";
const CERTIFICATE: &str = "certificate.pem";
const KEY: &str = "key.pem";

/// Why nobody can be believed, or nothing shown.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TlsError {
    #[error("{} cannot be used: {source}", path.display())]
    File { path: PathBuf, source: io::Error },
    #[error("{url} is https:// and nothing says which authority vouches for it: give its ca.pem with --ca")]
    NoAuthority { url: String },
    #[error(transparent)]
    Unusable(#[from] ConnectError),
}

/// For a scheduler of `https://`; none for one of `http://`.
pub(crate) fn client(global: &GlobalArgs) -> Result<Option<Client>, TlsError> {
    if !global.scheduler.starts_with("https://") {
        return Ok(None);
    }
    let ca = ca(global).ok_or_else(|| TlsError::NoAuthority {
        url: global.scheduler.clone(),
    })?;
    let authorities = read(&ca, files::certificates)?;
    let shows = shown(global)
        .map(|(certificate, key)| {
            Ok::<_, TlsError>((read(&certificate, files::certificates)?, read(&key, files::key)?))
        })
        .transpose()?;
    Ok(Some(Client::trusting(&authorities, shows)?))
}

/// The files of the certificate and the key that are shown, where there are any.
fn shown(global: &GlobalArgs) -> Option<(PathBuf, PathBuf)> {
    let named = global.certificate.clone().zip(global.certificate_key.clone());
    named.or_else(|| usual(CERTIFICATE).zip(usual(KEY)))
}

/// The certificate that is shown to a scheduler of `https://`, where there is one that can be read.
pub(crate) fn own(global: &GlobalArgs) -> Option<Certificate> {
    let encrypted = global.scheduler.starts_with("https://");
    let (certificate, _) = shown(global).filter(|_| encrypted)?;
    let chain = read(&certificate, files::certificates).ok()?;
    Certificate::read(chain.first()?).ok()
}

/// The file of the authorities that are believed: the one that is named, or the usual one where there is one.
pub(crate) fn ca(global: &GlobalArgs) -> Option<PathBuf> {
    global.ca.clone().or_else(|| usual(CA))
}

fn usual(name: &str) -> Option<PathBuf> {
    let path = configuration()?.join(name);
    path.exists().then_some(path)
}

fn read<T>(path: &Path, of: impl FnOnce(&str) -> io::Result<T>) -> Result<T, TlsError> {
    let text = files::read(path).and_then(|text| text.ok_or_else(|| io::ErrorKind::NotFound.into()));
    text.and_then(|text| of(&text)).map_err(|source| TlsError::File {
        path: path.to_owned(),
        source,
    })
}

/// Writes a key, its certificate and the authorities where they are found later, the key first: without it the others are
/// nobody's.
pub(crate) fn keep(directory: &Path, [key, certificate, ca]: [&str; 3]) -> Result<(), TlsError> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| TlsError::File { path, source }
    };
    std::fs::create_dir_all(directory).map_err(failed(directory))?;
    for (name, text, mode) in [
        (KEY, key, files::SECRET),
        (CERTIFICATE, certificate, files::PUBLIC),
        (CA, ca, files::PUBLIC),
    ] {
        let path = directory.join(name);
        files::replace(&path, text.as_bytes(), mode).map_err(failed(&path))?;
    }
    Ok(())
}
