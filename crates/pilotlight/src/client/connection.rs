//! Opens connections: TCP, TLS on TCP, or a local socket.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};

use super::HeadAddress;
use super::payload::Sending;
use crate::error::Error;

/// How long connecting may take, TLS included.
const CONNECT_TIME: Duration = Duration::from_secs(5);

/// Where systems keep the certificates they trust: Debian's family, Red Hat's family.
const SYSTEM_CERTIFICATES: [&str; 2] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
];

trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

/// A connection to `head` that waits for a request. `ca_file` replaces the system's certificates.
///
/// # Errors
/// [`Error::Unreachable`], or [`Error::File`] for a certificate file that cannot be read.
pub(super) async fn open(
    head: &HeadAddress,
    ca_file: Option<&Path>,
) -> Result<SendRequest<Sending>, Error> {
    let unreachable = |reason: String| Error::Unreachable {
        head: head.clone(),
        reason,
    };
    let trusted = match head {
        HeadAddress::Network { tls: true, .. } => Some(trusted(ca_file)?),
        _ => None,
    };
    let stream = tokio::time::timeout(CONNECT_TIME, connect(head, trusted))
        .await
        .map_err(|_| {
            unreachable(format!(
                "no connection within {} seconds",
                CONNECT_TIME.as_secs()
            ))
        })?
        .map_err(|error| unreachable(error.to_string()))?;
    let (sender, connection) = handshake(TokioIo::new(stream))
        .await
        .map_err(|error| unreachable(error.to_string()))?;
    // A fault of the connection reaches the caller through its request.
    tokio::spawn(connection);
    Ok(sender)
}

async fn connect(
    head: &HeadAddress,
    trusted: Option<rustls::ClientConfig>,
) -> io::Result<Box<dyn Stream>> {
    match head {
        HeadAddress::Socket(path) => Ok(Box::new(UnixStream::connect(path).await?)),
        HeadAddress::Network { host, port, .. } => {
            let stream = TcpStream::connect((host.as_str(), *port)).await?;
            stream.set_nodelay(true)?;
            let Some(trusted) = trusted else {
                return Ok(Box::new(stream));
            };
            let name = ServerName::try_from(host.clone()).map_err(io::Error::other)?;
            let connector = tokio_rustls::TlsConnector::from(Arc::new(trusted));
            Ok(Box::new(connector.connect(name, stream).await?))
        }
    }
}

/// TLS that trusts the certificates of `ca_file`, else the system's.
fn trusted(ca_file: Option<&Path>) -> Result<rustls::ClientConfig, Error> {
    let path = ca_file.unwrap_or_else(|| {
        let found = SYSTEM_CERTIFICATES
            .iter()
            .map(Path::new)
            .find(|path| path.exists());
        found.unwrap_or(Path::new(SYSTEM_CERTIFICATES[0]))
    });
    let unreadable = |error: &dyn std::fmt::Display| {
        Error::file("read", path, io::Error::other(error.to_string()))
    };
    let mut roots = rustls::RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(path).map_err(|error| unreadable(&error))? {
        // One odd certificate in the system's bundle must not take the others away.
        let added = roots.add(certificate.map_err(|error| unreadable(&error))?);
        if ca_file.is_some() {
            added.map_err(|error| unreadable(&error))?;
        }
    }
    if roots.is_empty() {
        return Err(unreadable(&"it holds no certificate"));
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| unreadable(&error))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(config)
}
