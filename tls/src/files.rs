//! Files of keys and certificates: written whole or not at all, what is secret for their owner alone.

use std::fs::{File, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};

/// Bytes of a file of certificates: hundreds of them.
const LONGEST: u64 = 1024 * 1024;
/// For its owner alone.
pub const SECRET: u32 = 0o600;
/// For everybody to read.
pub const PUBLIC: u32 = 0o644;

/// Puts a file in the place of what is there, durably.
///
/// # Errors
/// The file system's.
pub fn replace(path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    let mut unfinished = path.as_os_str().to_owned();
    unfinished.push(".new");
    let unfinished = Path::new(&unfinished);
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(mode)
        .open(unfinished)?;
    // Where it was left behind with other permissions.
    file.set_permissions(Permissions::from_mode(mode))?;
    file.write_all(content)?;
    file.sync_all()?;
    std::fs::rename(unfinished, path)?;
    match path.parent() {
        Some(directory) if directory != Path::new("") => File::open(directory)?.sync_all(),
        _ => Ok(()),
    }
}

/// The text of a file; nothing where there is none.
///
/// # Errors
/// The file system's, and what is no text.
pub fn read(path: &Path) -> io::Result<Option<String>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut text = String::new();
    file.take(LONGEST).read_to_string(&mut text)?;
    Ok(Some(text))
}

/// The certificates of a text in PEM, in their order.
///
/// # Errors
/// It has none, or one of them is broken.
pub fn certificates(pem: &str) -> io::Result<Vec<CertificateDer<'static>>> {
    let wrong = |text: String| io::Error::new(io::ErrorKind::InvalidData, text);
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
    match found.map_err(|error| wrong(error.to_string()))? {
        none if none.is_empty() => Err(wrong("it has no certificate in PEM".to_owned())),
        found => Ok(found),
    }
}

/// The private key of a text in PEM: its PKCS #8 in DER.
///
/// # Errors
/// It has none. What it has instead is not repeated.
pub fn key(pem: &str) -> io::Result<Vec<u8>> {
    let key = PrivatePkcs8KeyDer::from_pem_slice(pem.as_bytes());
    let wrong = |_| io::Error::new(io::ErrorKind::InvalidData, "it has no private key in PEM (PKCS #8)");
    Ok(key.map_err(wrong)?.secret_pkcs8_der().to_vec())
}

/// Certificates as a text in PEM.
#[must_use]
pub fn pem(certificates: &[CertificateDer<'_>]) -> String {
    certificates.iter().map(|certificate| armoured(certificate)).collect()
}

fn armoured(der: &[u8]) -> String {
    const LINE: usize = 64;
    let text = base64(der);
    let mut pem = "-----BEGIN CERTIFICATE-----\n".to_owned();
    let mut rest = text.as_str();
    while !rest.is_empty() {
        let (line, after) = rest.split_at(rest.len().min(LINE));
        pem.push_str(line);
        pem.push('\n');
        rest = after;
    }
    pem.push_str("-----END CERTIFICATE-----\n");
    pem
}

fn base64(bytes: &[u8]) -> String {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_file_is_its_owners_alone_also_where_it_was_not_before() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("key.pem");
        std::fs::write(directory.path().join("key.pem.new"), "left behind").unwrap();
        std::fs::write(&path, "old").unwrap();
        replace(&path, b"secret", SECRET).unwrap();
        assert_eq!(read(&path).unwrap().as_deref(), Some("secret"));
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, SECRET);
        assert_eq!(read(&directory.path().join("none")).unwrap(), None);
    }

    #[test]
    fn certificates_are_read_as_they_are_written() {
        let all = [vec![1; 3], vec![2; 48], vec![3; 500]].map(CertificateDer::from);
        let text = pem(&all);
        assert_eq!(certificates(&text).unwrap(), all);
        assert!(text.lines().all(|line| line.len() <= 64));
        assert!(
            certificates("nothing")
                .unwrap_err()
                .to_string()
                .contains("no certificate")
        );
    }
}
