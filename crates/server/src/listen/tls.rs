use std::fs;
use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{InconsistentKeys, ServerConfig};
use tokio_rustls::TlsAcceptor;

use super::Error;

/// The protocol name of HTTP/2 in ALPN (RFC 9113 §3.1).
pub(super) const H2: &[u8] = b"h2";

/// A certificate with its key, ready to be served.
#[derive(Clone)]
pub struct Tls(pub(super) TlsAcceptor);

impl Tls {
    /// Reads a PEM certificate chain, the server's own certificate first, and its PEM key (PKCS#8, PKCS#1 or SEC1).
    ///
    /// # Errors
    /// A file cannot be read, is not PEM, holds no such thing, or the two do not belong together.
    pub fn load(cert: &Path, key: &Path) -> Result<Self, Error> {
        let unusable = |source| match source {
            rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => Error::KeyMismatch {
                cert: cert.to_owned(),
                key: key.to_owned(),
            },
            source => Error::Tls {
                cert: cert.to_owned(),
                key: key.to_owned(),
                source,
            },
        };
        // Named, because rustls refuses to choose when a build happens to hold two providers.
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(unusable)?
            .with_no_client_auth()
            .with_single_cert(certificates(cert)?, private_key(key)?)
            .map_err(unusable)?;
        config.alpn_protocols = vec![H2.to_vec(), b"http/1.1".to_vec()];
        Ok(Self(TlsAcceptor::from(Arc::new(config))))
    }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    let chain = CertificateDer::pem_slice_iter(&read(path)?)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| not_pem(path, &error))?;
    if chain.is_empty() {
        return Err(Error::NoCertificate(path.to_owned()));
    }
    Ok(chain)
}

fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, Error> {
    PrivateKeyDer::from_pem_slice(&read(path)?).map_err(|error| match error {
        pem::Error::NoItemsFound => Error::NoKey(path.to_owned()),
        error => not_pem(path, &error),
    })
}

fn read(path: &Path) -> Result<Vec<u8>, Error> {
    fs::read(path).map_err(|source| Error::Read {
        path: path.to_owned(),
        source,
    })
}

fn not_pem(path: &Path, error: &pem::Error) -> Error {
    Error::Pem {
        path: path.to_owned(),
        reason: error.to_string(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    /// A directory with `cert.pem` and `key.pem` that belong together, and `other.pem`, another key.
    fn files() -> (tempfile::TempDir, impl Fn(&str) -> PathBuf) {
        let directory = tempfile::tempdir().unwrap();
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let path = directory.path().to_owned();
        let at = move |name: &str| path.join(name);
        fs::write(at("cert.pem"), made.cert.pem()).unwrap();
        fs::write(at("key.pem"), made.signing_key.serialize_pem()).unwrap();
        let other = rcgen::KeyPair::generate().unwrap();
        fs::write(at("other.pem"), other.serialize_pem()).unwrap();
        (directory, at)
    }

    fn refused(cert: &Path, key: &Path) -> Error {
        Tls::load(cert, key).map(|_| ()).unwrap_err()
    }

    #[test]
    fn a_pair_is_loaded() {
        let (_directory, at) = files();
        assert!(Tls::load(&at("cert.pem"), &at("key.pem")).is_ok());
    }

    #[test]
    fn each_fault_names_its_file() {
        let (_directory, at) = files();
        let (cert, key) = (at("cert.pem"), at("key.pem"));
        assert!(
            matches!(refused(&at("none"), &key), Error::Read { path, .. } if path == at("none"))
        );
        assert!(
            matches!(refused(&cert, &at("none")), Error::Read { path, .. } if path == at("none"))
        );
        assert!(matches!(refused(&key, &key), Error::NoCertificate(path) if path == key));
        assert!(matches!(refused(&cert, &cert), Error::NoKey(path) if path == cert));
        assert!(matches!(
            refused(&cert, &at("other.pem")),
            Error::KeyMismatch { .. }
        ));
    }

    #[test]
    fn a_damaged_file_is_named() {
        let (_directory, at) = files();
        let damaged = at("damaged.pem");
        fs::write(
            &damaged,
            "-----BEGIN CERTIFICATE-----\n!!\n-----END CERTIFICATE-----\n",
        )
        .unwrap();
        assert!(
            matches!(refused(&damaged, &at("key.pem")), Error::Pem { path, .. } if path == damaged)
        );
        let empty = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        fs::write(&damaged, empty).unwrap();
        assert!(matches!(
            refused(&damaged, &at("key.pem")),
            Error::Tls { .. }
        ));
    }
}
