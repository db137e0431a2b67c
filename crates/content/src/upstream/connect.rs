//! Connections to addresses that the policy allows, with TLS where the URL says so.

use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::{fs, io};

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::deadline::Deadline;
use super::error::{Fault, UpstreamSetupError};
use super::policy::FetchPolicy;
use super::url::{Host, Url};

pub(super) struct Connector(TlsConnector);

/// A connection, plain or not.
pub(super) enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Connector {
    /// Trusts the system's certificate authorities, and those of `ca_file` too.
    pub(super) fn new(ca_file: Option<&Path>) -> Result<Self, UpstreamSetupError> {
        let mut roots = RootCertStore::empty();
        // A system without any is not an error: plain HTTP needs none, and a handshake will say what is missing.
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        if let Some(path) = ca_file {
            let unusable = |reason: String| UpstreamSetupError::CaFile {
                path: path.to_owned(),
                reason,
            };
            let pem = fs::read(path).map_err(|error| unusable(error.to_string()))?;
            let mut count = 0;
            for certificate in CertificateDer::pem_slice_iter(&pem) {
                let certificate = certificate.map_err(|error| unusable(error.to_string()))?;
                roots
                    .add(certificate)
                    .map_err(|error| unusable(error.to_string()))?;
                count += 1;
            }
            if count == 0 {
                return Err(unusable("it holds no PEM certificate".to_owned()));
            }
        }
        // Named, because rustls refuses to choose when a build happens to hold two providers.
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self(TlsConnector::from(Arc::new(config))))
    }

    /// Connects to the server of an `http` or `https` URL.
    pub(super) async fn connect(
        &self,
        url: &Url,
        policy: &FetchPolicy,
        deadline: Deadline,
    ) -> Result<Stream, Fault> {
        let is_tls = &*url.scheme == "https";
        let host = url.host.as_ref().ok_or_else(|| Fault::Resolve {
            host: String::new(),
            reason: "the URL has no host".to_owned(),
        })?;
        let port = url.port.unwrap_or(if is_tls { 443 } else { 80 });
        let stream = connect_tcp(host, port, policy, deadline).await?;
        if !is_tls {
            return Ok(Stream::Plain(stream));
        }
        let failed = |reason: String| Fault::Tls {
            host: host.to_string(),
            reason,
        };
        let name = match host {
            Host::Name(name) => {
                ServerName::try_from(name.to_string()).map_err(|error| failed(error.to_string()))?
            }
            Host::Address(address) => ServerName::IpAddress((*address).into()),
        };
        let stream = deadline
            .bound("making a TLS connection", self.0.connect(name, stream))
            .await?
            .map_err(|error| failed(error.to_string()))?;
        Ok(Stream::Tls(Box::new(stream)))
    }
}

/// Tries the allowed addresses in turn, each for its share of the time that is left.
async fn connect_tcp(
    host: &Host,
    port: u16,
    policy: &FetchPolicy,
    deadline: Deadline,
) -> Result<TcpStream, Fault> {
    let addresses = deadline
        .bound(
            "finding the address of the host",
            policy.addresses(host, port),
        )
        .await??;
    let mut reasons = Vec::new();
    for (position, address) in addresses.iter().enumerate() {
        let share = deadline.share(addresses.len() - position);
        let reason = match timeout(share, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("no answer within {} s", share.as_secs_f32()),
        };
        let reason = match host {
            Host::Name(_) => format!("{address}: {reason}"),
            Host::Address(_) => reason,
        };
        reasons.push(reason);
    }
    Err(Fault::Connect {
        place: format!("{host}:{port}"),
        reason: reasons.join("; "),
    })
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
