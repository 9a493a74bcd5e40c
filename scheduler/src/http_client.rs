//! Asking HTTP servers: one request a connection. The caller sets the deadline.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, bail};
use axum::body::Bytes;
use http::uri::Authority;
use http::{Request, StatusCode, Uri, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, crypto};

/// Bytes of an answer.
const LONGEST_ANSWER: usize = 64 * 1024;

/// A server that is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct HttpServer {
    authority: String,
    /// Where it is connected to.
    host: String,
    port: u16,
}

/// Who is believed to be who they say.
#[derive(Clone)]
pub(crate) struct Trust(TlsConnector);

impl Trust {
    /// The authorities of a PEM file.
    pub(crate) fn in_file(path: &Path) -> anyhow::Result<Self> {
        let mut roots = RootCertStore::empty();
        let certificates = CertificateDer::pem_file_iter(path);
        let certificates = certificates.with_context(|| format!("cannot read {}", path.display()))?;
        for certificate in certificates {
            let certificate = certificate.with_context(|| format!("{} is no PEM file", path.display()))?;
            // A system's bundle may have some that nobody can use.
            if let Err(error) = roots.add(certificate) {
                tracing::debug!(%error, "certificate left out");
            }
        }
        if roots.is_empty() {
            bail!("{} has no certificate of an authority", path.display());
        }
        let config = ClientConfig::builder_with_provider(Arc::new(crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self(TlsConnector::from(Arc::new(config))))
    }
}

impl HttpServer {
    /// The server of a URL; `port` where that names none.
    pub(crate) fn of(authority: &Authority, port: u16) -> Self {
        let host = authority.host().trim_start_matches('[').trim_end_matches(']');
        Self {
            authority: authority.to_string(),
            host: host.to_owned(),
            port: authority.port_u16().unwrap_or(port),
        }
    }

    /// Where it is connected to.
    #[cfg(test)]
    pub(crate) fn address(&self) -> (&str, u16) {
        (&self.host, self.port)
    }

    /// Sends the request, whose URI is a path, through TLS where it is said who is trusted. Cancelling it closes the
    /// connection.
    pub(crate) async fn exchange(
        &self,
        request: Request<Full<Bytes>>,
        trust: Option<&Trust>,
    ) -> anyhow::Result<(StatusCode, Bytes)> {
        let stream = TcpStream::connect((self.host.as_str(), self.port)).await;
        let stream = stream.with_context(|| format!("connect to {}", self.authority))?;
        match trust {
            None => self.ask(stream, request).await,
            Some(Trust(connector)) => {
                let name = ServerName::try_from(self.host.clone())?;
                let stream = connector.connect(name, stream).await;
                let stream = stream.with_context(|| format!("speak TLS with {}", self.authority))?;
                self.ask(stream, request).await
            }
        }
    }

    async fn ask(
        &self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        mut request: Request<Full<Bytes>>,
    ) -> anyhow::Result<(StatusCode, Bytes)> {
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        // It ends with the sender, at the end of this call.
        drop(tokio::spawn(connection));
        request.headers_mut().insert(header::HOST, self.authority.parse()?);
        let response = sender.send_request(request).await.context("ask")?;
        let status = response.status();
        let body = Limited::new(response.into_body(), LONGEST_ANSWER).collect().await;
        let body = body.map_err(|error| anyhow::anyhow!("read the answer: {error}"))?;
        Ok((status, body.to_bytes()))
    }
}

/// The authority of a URL of one of the schemes, which has no user in it; says which scheme it is too.
pub(crate) fn parse(text: &str, schemes: &[&'static str]) -> Result<(Uri, Authority, &'static str), String> {
    let uri: Uri = text.parse().map_err(|error| format!("'{text}' is no URL: {error}"))?;
    let scheme = schemes.iter().find(|scheme| uri.scheme_str() == Some(scheme));
    let Some(scheme) = scheme else {
        let schemes: Vec<String> = schemes.iter().map(|scheme| format!("{scheme}://")).collect();
        return Err(format!("'{text}' must begin with {}", schemes.join(" or ")));
    };
    let authority = uri.authority().cloned();
    let authority = authority.ok_or_else(|| format!("'{text}' names no host"))?;
    if authority.as_str().contains('@') {
        return Err(format!("'{text}' must have no user in it"));
    }
    Ok((uri, authority, scheme))
}
