//! TLS between heads: certificates of the cluster's authority on both sides, and whose they are.

use std::sync::Arc;

use model::Uid;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, ring};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::{ParsedCertificate, WebPkiClientVerifier};
use rustls::version::TLS13;
use rustls::{
    CertificateError, CipherSuite, ClientConfig, DigitallySignedStruct, Error, RootCertStore,
    ServerConfig, SignatureScheme,
};

use super::ExchangeError;
use crate::Identity;

/// How this head answers.
pub(super) fn server_config(identity: &Identity) -> Result<ServerConfig, ExchangeError> {
    let provider = provider();
    let roots = Arc::new(authority(identity)?);
    let verifier = WebPkiClientVerifier::builder_with_provider(roots, Arc::clone(&provider))
        .build()
        .map_err(unusable)?;
    ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13])
        .map_err(unusable)?
        .with_client_cert_verifier(verifier)
        .with_single_cert(certificates(identity)?, key(identity)?)
        .map_err(unusable)
}

/// How this head asks. Whom it reached is to be asked of [`uid_of`].
pub(super) fn client_config(identity: &Identity) -> Result<ClientConfig, ExchangeError> {
    let provider = provider();
    let verifier = OfAuthority {
        roots: authority(identity)?,
        algorithms: provider.signature_verification_algorithms,
    };
    ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13])
        .map_err(unusable)?
        // Safe: it judges chain, time and purpose, and the name is compared by `uid_of`.
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_client_auth_cert(certificates(identity)?, key(identity)?)
        .map_err(unusable)
}

/// Whose certificate it is: its common name.
pub(super) fn uid_of(certificates: Option<&[CertificateDer<'_>]>) -> Option<Uid> {
    let own = certificates?.first()?;
    let (_, parsed) = x509_parser::parse_x509_certificate(own).ok()?;
    let mut names = parsed.subject().iter_common_name();
    let name = names.next()?.as_str().ok()?;
    // Two names could be read in two ways.
    names.next().is_none().then(|| name.parse().ok())?
}

/// ring, with the cipher first that takes the least time: a gigabyte is to cross in a second.
fn provider() -> Arc<CryptoProvider> {
    let mut provider = ring::default_provider();
    let is_first = |suite: &rustls::SupportedCipherSuite| {
        suite.suite() == CipherSuite::TLS13_AES_128_GCM_SHA256
    };
    provider.cipher_suites.sort_by_key(|suite| !is_first(suite));
    Arc::new(provider)
}

fn authority(identity: &Identity) -> Result<RootCertStore, ExchangeError> {
    let mut roots = RootCertStore::empty();
    let certificate =
        CertificateDer::from_pem_slice(identity.authority.as_bytes()).map_err(unusable)?;
    roots.add(certificate).map_err(unusable)?;
    Ok(roots)
}

fn certificates(identity: &Identity) -> Result<Vec<CertificateDer<'static>>, ExchangeError> {
    CertificateDer::pem_slice_iter(identity.certificate.as_bytes())
        .collect::<Result<_, _>>()
        .map_err(unusable)
}

fn key(identity: &Identity) -> Result<PrivateKeyDer<'static>, ExchangeError> {
    PrivateKeyDer::from_pem_slice(identity.key.as_bytes()).map_err(unusable)
}

fn unusable(error: impl std::fmt::Display) -> ExchangeError {
    ExchangeError::Identity(error.to_string())
}

/// Takes every server certificate of the authority. Heads are known by their UID, whatever address they have today.
#[derive(Debug)]
struct OfAuthority {
    roots: RootCertStore,
    algorithms: WebPkiSupportedAlgorithms,
}

impl ServerCertVerifier for OfAuthority {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let certificate = ParsedCertificate::try_from(end_entity)?;
        verify_server_cert_signed_by_trust_anchor(
            &certificate,
            &self.roots,
            intermediates,
            now,
            self.algorithms.all,
        )?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        // Only TLS 1.3 is spoken.
        Err(CertificateError::BadSignature.into())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        rustls::crypto::verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
