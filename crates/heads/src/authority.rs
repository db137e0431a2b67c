//! The cluster's own certificate authority.
//!
//! It signs one certificate for each head, by which heads and the members of etcd know each other. A request for one
//! brings a public key and nothing else: what the certificate says is decided by the head that signs it.

use std::net::IpAddr;

use jiff::{Timestamp, ToSpan as _, civil::Date, tz::TimeZone};
use model::{Authority, Uid};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DistinguishedName,
    DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    PKCS_ECDSA_P256_SHA256, SanType, SerialNumber, date_time_ymd,
};

/// How long the authority is good: longer than the machines it is for.
const AUTHORITY_YEARS: i16 = 20;
/// How long the certificate of a head is good. Joining again renews it.
const CERTIFICATE_YEARS: i16 = 10;

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    /// The request does not read, or was not signed with the key that it is for.
    #[error("this certificate request cannot be granted: {0}")]
    Request(String),
    /// The authority's record does not hold what it should.
    #[error("the certificate authority of this cluster cannot be used: {0}")]
    Authority(rcgen::Error),
    /// A certificate or key could not be made.
    #[error("making a certificate failed: {0}")]
    Making(rcgen::Error),
    /// The system gave no random numbers.
    #[error("no random numbers for a certificate: {0}")]
    Random(getrandom::Error),
    /// The clock says a year that certificates do not know.
    #[error("the clock of this machine cannot be right: {0}")]
    Clock(jiff::Error),
}

/// A key, and the request for a certificate of it.
pub struct KeyAndRequest {
    /// The key, in PEM.
    pub key: String,
    /// The certificate signing request, in PEM.
    pub request: String,
}

/// Makes the authority of a new cluster.
///
/// # Errors
/// There are no random numbers, or the clock is wrong beyond reason.
pub fn create(cluster: &str) -> Result<Authority, AuthorityError> {
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(AuthorityError::Making)?;
    let mut params = good_for(AUTHORITY_YEARS)?;
    params.distinguished_name = common_name(&format!("Pilotlight cluster {cluster}"));
    // Heads are signed for directly: a certificate of this authority can sign nothing.
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let certificate = params.self_signed(&key).map_err(AuthorityError::Making)?;
    Ok(Authority {
        certificate: certificate.pem(),
        key: key.serialize_pem(),
    })
}

/// Makes a key and the request for its certificate.
///
/// # Errors
/// There are no random numbers.
pub fn request() -> Result<KeyAndRequest, AuthorityError> {
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(AuthorityError::Making)?;
    request_for(&key.serialize_pem())
}

/// Makes another request for the certificate of a key that a head has already.
///
/// # Errors
/// The key does not read.
pub fn request_for(key: &str) -> Result<KeyAndRequest, AuthorityError> {
    let pair = KeyPair::from_pem(key).map_err(AuthorityError::Making)?;
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    let request = params
        .serialize_request(&pair)
        .and_then(|request| request.pem())
        .map_err(AuthorityError::Making)?;
    Ok(KeyAndRequest {
        key: key.to_owned(),
        request,
    })
}

/// Signs the certificate of head `uid`, which others reach at `addresses`, for the key in `request`. Returns it in PEM.
///
/// Of the request only the public key is taken, and only if the request is signed with it.
///
/// # Errors
/// The request is none, its signature is wrong, its key is not one that heads use, or the authority cannot sign.
pub fn issue(
    authority: &Authority,
    request: &str,
    uid: Uid,
    addresses: &[IpAddr],
) -> Result<String, AuthorityError> {
    let request = CertificateSigningRequestParams::from_pem(request)
        .map_err(|error| AuthorityError::Request(error.to_string()))?;
    if request.public_key.algorithm() != &PKCS_ECDSA_P256_SHA256 {
        let why = "heads use ECDSA keys on the curve P-256";
        return Err(AuthorityError::Request(why.into()));
    }
    let key = KeyPair::from_pem(&authority.key).map_err(AuthorityError::Authority)?;
    let issuer =
        Issuer::from_ca_cert_pem(&authority.certificate, key).map_err(AuthorityError::Authority)?;

    let mut params = good_for(CERTIFICATE_YEARS)?;
    params.distinguished_name = common_name(&uid.to_string());
    params.subject_alt_names = addresses.iter().copied().map(SanType::IpAddress).collect();
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    // Both, since members of etcd serve and call each other with one certificate.
    params.extended_key_usages = vec![
        ExtendedKeyUsagePurpose::ServerAuth,
        ExtendedKeyUsagePurpose::ClientAuth,
    ];
    params.use_authority_key_identifier_extension = true;
    let certificate = params
        .signed_by(&request.public_key, &issuer)
        .map_err(AuthorityError::Making)?;
    Ok(certificate.pem())
}

/// A certificate with a random serial number, good for so many years from yesterday on: the clocks of machines that
/// were just set up differ.
fn good_for(years: i16) -> Result<CertificateParams, AuthorityError> {
    let mut serial = [0; 16];
    getrandom::fill(&mut serial).map_err(AuthorityError::Random)?;
    // A serial number is positive, and not zero.
    serial[0] = serial[0] & 0x7f | 0x40;
    let today = Timestamp::now().to_zoned(TimeZone::UTC).date();
    let day = |date: Result<Date, jiff::Error>| {
        let date = date.map_err(AuthorityError::Clock)?;
        // jiff's months and days are between 1 and 31.
        Ok(date_time_ymd(
            date.year().into(),
            date.month().unsigned_abs(),
            date.day().unsigned_abs(),
        ))
    };
    let mut params = CertificateParams::default();
    params.serial_number = Some(SerialNumber::from_slice(&serial));
    params.not_before = day(today.checked_sub(1.day()))?;
    params.not_after = day(today.checked_add(years.years()))?;
    Ok(params)
}

fn common_name(name: &str) -> DistinguishedName {
    let mut subject = DistinguishedName::new();
    subject.push(DnType::CommonName, name);
    subject
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::{
        fs,
        io::Write as _,
        net::Ipv4Addr,
        path::Path,
        process::{Command, Stdio},
    };

    use super::*;

    const UID: Uid = Uid::from_bytes([0xab; 16]);
    const DAY: u64 = 24 * 60 * 60;
    const YEAR: u64 = 365 * DAY;

    /// A certificate for 10.0.0.7, and the authority that signed it.
    fn issued() -> (Authority, String) {
        let authority = create("trial").unwrap();
        let request = request().unwrap().request;
        let address = Ipv4Addr::new(10, 0, 0, 7).into();
        let certificate = issue(&authority, &request, UID, &[address]).unwrap();
        (authority, certificate)
    }

    /// What openssl says, and whether it is content; `None` where there is no openssl.
    fn openssl(arguments: &[&str], files: &[(&str, &str)]) -> Option<(bool, String)> {
        let home = tempfile::tempdir().unwrap();
        for (name, content) in files {
            fs::write(home.path().join(name), content).unwrap();
        }
        run(arguments, home.path())
    }

    fn run(arguments: &[&str], directory: &Path) -> Option<(bool, String)> {
        let mut command = Command::new("openssl");
        command.args(arguments).current_dir(directory);
        let Ok(output) = command.stdin(Stdio::null()).output() else {
            // Where even this cannot be said, nobody listens.
            let _ = writeln!(std::io::stderr(), "SKIPPED: there is no openssl here");
            return None;
        };
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said).into_owned();
        Some((output.status.success(), said))
    }

    #[test]
    fn openssl_takes_the_certificate_for_both_sides_and_for_its_address() {
        let (authority, certificate) = issued();
        let files = [
            ("ca.pem", authority.certificate.as_str()),
            ("head.pem", certificate.as_str()),
        ];
        let verify = ["verify", "-x509_strict", "-CAfile", "ca.pem"];
        for purpose in ["sslserver", "sslclient"] {
            let arguments = [&verify[..], &["-purpose", purpose, "head.pem"]].concat();
            let Some((accepted, said)) = openssl(&arguments, &files) else {
                return;
            };
            assert!(accepted, "{purpose}: {said}");
        }
        for (address, expected) in [("10.0.0.7", true), ("10.0.0.8", false)] {
            let arguments = [&verify[..], &["-verify_ip", address, "head.pem"]].concat();
            let (accepted, said) = openssl(&arguments, &files).unwrap();
            assert_eq!(accepted, expected, "{address}: {said}");
        }
        // It can do nothing else, and its authority no more than sign for heads.
        for (purpose, file) in [
            ("smimesign", "head.pem"),
            ("sslserver", "ca.pem"),
            ("sslclient", "ca.pem"),
        ] {
            let arguments = [&verify[..], &["-purpose", purpose, file]].concat();
            let (accepted, said) = openssl(&arguments, &files).unwrap();
            assert!(!accepted, "{purpose}: {said}");
        }
        let name = ["x509", "-in", "head.pem", "-noout", "-subject"];
        let (_, said) = openssl(&name, &files).unwrap();
        assert!(said.contains(&format!("CN = {UID}")), "{said}");
    }

    #[test]
    fn certificates_are_good_since_yesterday_and_for_years() {
        let (authority, certificate) = issued();
        let files = [
            ("ca.pem", authority.certificate.as_str()),
            ("head.pem", certificate.as_str()),
        ];
        let now = u64::try_from(Timestamp::now().as_second()).unwrap();
        // Those of heads begin with the authority that signs them: both must be good.
        for (time, expected) in [
            (now - DAY + 60, true),
            (now - 3 * DAY, false),
            (now + 9 * YEAR, true),
            (now + 11 * YEAR, false),
        ] {
            let time = time.to_string();
            let arguments = ["verify", "-CAfile", "ca.pem", "-attime", &time, "head.pem"];
            let Some((accepted, said)) = openssl(&arguments, &files) else {
                return;
            };
            assert_eq!(accepted, expected, "{said}");
        }
        for (years, expected) in [(19, true), (21, false)] {
            let seconds = (years * YEAR).to_string();
            let arguments = ["x509", "-in", "ca.pem", "-noout", "-checkend", &seconds];
            let (good, said) = openssl(&arguments, &files).unwrap();
            assert_eq!(good, expected, "{said}");
        }
    }

    #[test]
    fn a_certificate_of_another_authority_is_refused() {
        let (_, certificate) = issued();
        let other = create("trial").unwrap();
        let files = [
            ("ca.pem", other.certificate.as_str()),
            ("head.pem", certificate.as_str()),
        ];
        let arguments = ["verify", "-CAfile", "ca.pem", "head.pem"];
        if let Some((accepted, said)) = openssl(&arguments, &files) {
            assert!(!accepted, "{said}");
        }
    }

    #[test]
    fn a_request_brings_its_key_and_nothing_else() {
        let authority = create("trial").unwrap();
        let pair = KeyPair::generate().unwrap();
        let mut greedy = CertificateParams::new(["evil.example".to_owned()]).unwrap();
        greedy.distinguished_name = common_name("another head");
        greedy.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        greedy.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        greedy.extended_key_usages = vec![ExtendedKeyUsagePurpose::CodeSigning];
        let request = greedy.serialize_request(&pair).unwrap().pem().unwrap();
        let certificate = issue(&authority, &request, UID, &[]).unwrap();

        let files = [("head.pem", certificate.as_str())];
        let text = ["x509", "-in", "head.pem", "-noout", "-text"];
        let Some((_, said)) = openssl(&text, &files) else {
            return;
        };
        for wish in [
            "evil",
            "another",
            "CA:TRUE",
            "Certificate Sign",
            "Code Signing",
        ] {
            assert!(!said.contains(wish), "{wish}: {said}");
        }
        let (_, key) = openssl(&["x509", "-in", "head.pem", "-noout", "-pubkey"], &files).unwrap();
        assert_eq!(key.trim(), pair.public_key_pem().replace('\r', "").trim());
    }

    #[test]
    fn a_request_that_its_key_did_not_sign_is_refused() {
        let authority = create("trial").unwrap();
        let request = request().unwrap().request;
        let mut lines: Vec<String> = request.lines().map(str::to_owned).collect();
        // The signature is at the end.
        let last = lines.len() - 2;
        let mut changed = lines[last].clone().into_bytes();
        let middle = changed.len() / 2;
        changed[middle] = if changed[middle] == b'A' { b'B' } else { b'A' };
        lines[last] = String::from_utf8(changed).unwrap();
        for bad in [lines.join("\n"), String::new(), "-----BEGIN".to_owned()] {
            let error = issue(&authority, &bad, UID, &[]).unwrap_err();
            assert!(matches!(error, AuthorityError::Request(_)), "{error}");
        }
    }

    #[test]
    fn keys_of_another_kind_are_refused() {
        let authority = create("trial").unwrap();
        let pair = KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
        let request = CertificateParams::default().serialize_request(&pair);
        let request = request.unwrap().pem().unwrap();
        let error = issue(&authority, &request, UID, &[]).unwrap_err();
        assert!(error.to_string().contains("P-256"), "{error}");
    }

    #[test]
    fn the_same_key_gets_another_certificate_with_another_serial_number() {
        let authority = create("trial").unwrap();
        let KeyAndRequest { key, request } = request().unwrap();
        let again = request_for(&key).unwrap();
        assert_eq!(again.key, key);
        let certificates = [request, again.request].map(|request| {
            let certificate = issue(&authority, &request, UID, &[]).unwrap();
            let files = [("head.pem", certificate.as_str())];
            openssl(&["x509", "-in", "head.pem", "-noout", "-serial"], &files)
        });
        if let [Some((_, one)), Some((_, other))] = certificates {
            assert_ne!(one, other);
        }
    }
}
