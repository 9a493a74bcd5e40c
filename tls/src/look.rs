//! What a scheduler shows, and why there is no connection with it: for whoever finds out what is wrong. Nothing is believed
//! because of what is said here.

use std::error::Error;
use std::io;

use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::client::verify_server_name;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::server::ParsedCertificate;
use tokio_rustls::rustls::{self, CertificateError};

/// Why the two sides of a connection do not believe each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Distrust {
    /// The scheduler's certificate has ended, by the clock of this machine.
    Ended,
    /// It is not good yet, by the clock of this machine.
    NotYet,
    /// Nobody who is believed vouches for it.
    Stranger,
    /// It is not a scheduler's.
    OtherName,
    /// There is something else wrong with it.
    Other,
    /// The scheduler does not take the certificate that was shown to it.
    Refused,
    /// The other side speaks no TLS.
    NoTls,
}

/// Why the two sides do not believe each other, where that is behind the error.
#[must_use]
pub fn distrust(error: &(dyn Error + 'static)) -> Option<Distrust> {
    let mut next = Some(error);
    while let Some(cause) = next {
        if let Some(found) = cause.downcast_ref::<rustls::Error>() {
            return of(found);
        }
        // What is inside an error of I/O is not its source.
        let inside = cause.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        next = match inside {
            Some(inside) => Some(inside),
            None => cause.source(),
        };
    }
    None
}

fn of(error: &rustls::Error) -> Option<Distrust> {
    if let rustls::Error::InvalidCertificate(wrong) = error {
        Some(of_certificate(wrong))
    } else if let rustls::Error::AlertReceived(_) = error {
        Some(Distrust::Refused)
    } else if let rustls::Error::InvalidMessage(_) = error {
        Some(Distrust::NoTls)
    } else {
        None
    }
}

fn of_certificate(wrong: &CertificateError) -> Distrust {
    use CertificateError as Wrong;
    if matches!(wrong, Wrong::Expired | Wrong::ExpiredContext { .. }) {
        Distrust::Ended
    } else if matches!(wrong, Wrong::NotValidYet | Wrong::NotValidYetContext { .. }) {
        Distrust::NotYet
    } else if matches!(wrong, Wrong::UnknownIssuer | Wrong::BadSignature) {
        Distrust::Stranger
    } else if matches!(wrong, Wrong::NotValidForName | Wrong::NotValidForNameContext { .. }) {
        Distrust::OtherName
    } else {
        Distrust::Other
    }
}

/// The certificate that the scheduler has shown.
#[must_use]
pub fn shown_by(stream: &TlsStream<TcpStream>) -> Option<CertificateDer<'static>> {
    let (_, connection) = stream.get_ref();
    Some(connection.peer_certificates()?.first()?.clone().into_owned())
}

/// Whether the certificate is one for the host, as clients look at it that are not ours.
#[must_use]
pub fn is_for(certificate: &CertificateDer<'_>, host: &str) -> bool {
    let parsed = ParsedCertificate::try_from(certificate);
    let name = ServerName::try_from(host.trim_start_matches('[').trim_end_matches(']'));
    match (parsed, name) {
        (Ok(parsed), Ok(name)) => verify_server_name(&parsed, &name).is_ok(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::{Duration, SystemTime, UNIX_EPOCH};

    use berth_model::id::AccessKeyId;
    use berth_model::time::Timestamp;
    use berth_trust::{Identity, Life, SCHEDULER_NAME};
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;
    use tokio_rustls::TlsAcceptor;
    use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
    use tokio_rustls::rustls::server::WebPkiClientVerifier;
    use tokio_rustls::rustls::{RootCertStore, ServerConfig};

    use super::*;
    use crate::connect::Shown;
    use crate::{Authority, Certificate, Client, NewKey, Request, files, provider};

    /// From now on, by so many hours.
    fn life(from: i64, to: i64) -> Life {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis();
        let at = |hours: i64| Timestamp::from_millis(i64::try_from(now).unwrap() + hours * 3_600_000);
        Life {
            begin: at(from),
            end: at(to),
        }
    }

    fn authority() -> Authority {
        Authority::make(life(0, 1).begin).unwrap()
    }

    /// What a client of the authority shows.
    fn shown(by: &Authority, life: Life) -> Shown {
        let key = NewKey::draw().unwrap();
        let request = Request::read_pem(&key.request).unwrap();
        let operator = Identity::Operator(AccessKeyId::from_bits("AKIA", 5));
        (
            by.issue(&request, &operator, life).unwrap(),
            files::key(&key.key).unwrap(),
        )
    }

    /// What comes of a request to a scheduler with a certificate of that life.
    async fn ask(by: &Authority, life: Life, client: &Client) -> io::Result<(String, Option<CertificateDer<'static>>)> {
        let mut roots = RootCertStore::empty();
        roots.add(by.bundle()[0].clone()).unwrap();
        let clients = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider());
        let clients = clients.allow_unauthenticated().build().unwrap();
        let names = ["10.0.0.5", "scheduler.example.com", SCHEDULER_NAME].map(str::to_owned);
        let (chain, key) = by.issue_scheduler(&names, life).unwrap();
        let config = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_client_cert_verifier(clients)
            .with_single_cert(chain, PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key)))
            .unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let serving = tokio::spawn(async move {
            let (stream, _) = listener.accept().await?;
            let mut stream = TlsAcceptor::from(Arc::new(config)).accept(stream).await?;
            stream.write_all(b"well").await?;
            stream.shutdown().await
        });
        let mut stream = client.dial_http1(&address).await?;
        let mut said = String::new();
        stream.read_to_string(&mut said).await?;
        serving.await.unwrap()?;
        Ok((said, shown_by(&stream)))
    }

    #[tokio::test]
    async fn what_a_scheduler_shows_is_seen() {
        let by = authority();
        let client = Client::trusting(by.bundle(), Some(shown(&by, life(-1, 1)))).unwrap();
        let life = life(-1, 24);
        let (said, certificate) = ask(&by, life, &client).await.unwrap();
        let certificate = certificate.unwrap();
        assert_eq!(said, "well");
        let read = Certificate::read(&certificate).unwrap();
        assert_eq!(read.identity, Some(Identity::Scheduler));
        assert!(read.life.end.since(life.end) <= Duration::from_secs(1));
        for (host, expected) in [
            ("10.0.0.5", true),
            ("scheduler.example.com", true),
            (SCHEDULER_NAME, true),
            ("10.0.0.6", false),
            ("[::1]", false),
            ("example.com", false),
            ("not a name", false),
        ] {
            assert_eq!(is_for(&certificate, host), expected, "{host}");
        }
    }

    #[tokio::test]
    async fn why_two_sides_do_not_believe_each_other_is_told_apart() {
        let (by, other) = (authority(), authority());
        let trusting = |authority: &Authority, shows| Client::trusting(authority.bundle(), shows).unwrap();
        for (expected, life, client) in [
            (Distrust::Ended, life(-2, -1), trusting(&by, None)),
            (Distrust::NotYet, life(1, 2), trusting(&by, None)),
            (Distrust::Stranger, life(-1, 1), trusting(&other, None)),
            (
                Distrust::Refused,
                life(-1, 1),
                trusting(&by, Some(shown(&by, life(-2, -1)))),
            ),
        ] {
            let error = ask(&by, life, &client).await.unwrap_err();
            assert_eq!(distrust(&error), Some(expected), "{error}");
        }
        assert_eq!(distrust(&io::Error::other("no route")), None);
    }

    #[tokio::test]
    async fn whoever_speaks_no_tls_is_known_by_its_first_word() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let serving = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
            stream
        });
        let client = Client::trusting(authority().bundle(), None).unwrap();
        let error = client.dial_http1(&address).await.unwrap_err();
        assert_eq!(distrust(&error), Some(Distrust::NoTls), "{error}");
        drop(serving.await.unwrap());
    }
}
