//! Who is let in.

use std::fs;
use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use etcd_client::{Permission, PermissionType, RoleRevokePermissionOptions};
use model::Transaction;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, SanType};
use store::{ClusterStore, EtcdSettings, EtcdTls, Store, StoreError};
use tokio::time::timeout;

use super::{LONG, another_head, first_head, put, server, single, value};

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_expired_is_renewed() {
    let directory = tempfile::tempdir().unwrap();
    let Some(etcd) = server::start_with(directory.path(), &["--auth-token-ttl", "1"]) else {
        return;
    };
    let mut admin = etcd.client().await;
    admin.role_add("root").await.unwrap();
    admin.user_add("root", "secret", None).await.unwrap();
    admin.user_grant_role("root", "root").await.unwrap();
    admin.role_add("head").await.unwrap();
    let whole_prefix = Permission::new(PermissionType::Readwrite, "pilotlight/").with_prefix();
    admin
        .role_grant_permission("head", whole_prefix)
        .await
        .unwrap();
    admin.user_add("head", "open sesame", None).await.unwrap();
    admin.user_grant_role("head", "head").await.unwrap();
    admin.auth_enable().await.unwrap();

    let login = |password: &str| EtcdSettings {
        login: Some(("head".to_owned(), password.to_owned())),
        ..etcd.settings("pilotlight/")
    };
    let [one, two, three] = [(); 3].map(|()| tempfile::tempdir().unwrap());
    let first = first_head(one.path(), &login("open sesame")).await;
    let second = another_head(two.path(), &login("open sesame")).await;

    // Only a client that does not renew its token shows that it has expired.
    let mut idle = etcd.client_as(Some(("head", "open sesame"))).await;
    let expired = async {
        loop {
            tokio::time::sleep(Duration::from_secs(3)).await;
            match idle.get("pilotlight/cluster", None).await {
                Err(error) if error.to_string().contains("invalid auth token") => return,
                _ => {}
            }
        }
    };
    timeout(LONG, expired).await.unwrap();
    first.writable().await.unwrap();
    let revision = first.commit(put("a", "1")).await.unwrap();
    super::reach(&second, revision).await;
    assert_eq!(value(&second, "a").await.as_deref(), Some("1"));

    let denied = ClusterStore::new(single(three.path(), &put("a", "1")));
    let error = denied.move_to_etcd(login("guess")).await.unwrap_err();
    assert!(
        error.to_string().contains("authentication failed"),
        "{error}"
    );
    assert!(!error.to_string().contains("guess"), "{error}");
    let elsewhere = EtcdSettings {
        prefix: "elsewhere/".to_owned(),
        ..login("open sesame")
    };
    let error = denied.move_to_etcd(elsewhere).await.unwrap_err();
    assert!(error.to_string().contains("permission denied"), "{error}");
    denied.commit(put("a", "2")).await.unwrap();

    // Without its permission the head is refused, and says why.
    let mut admin = etcd.client_as(Some(("root", "secret"))).await;
    let all = RoleRevokePermissionOptions::new().with_prefix();
    admin
        .role_revoke_permission("head", "pilotlight/", Some(all))
        .await
        .unwrap();
    let refused = async {
        loop {
            match first.commit(put("a", "2")).await {
                Err(error) => return error,
                Ok(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        }
    };
    let error = timeout(LONG, refused).await.unwrap();
    assert!(matches!(error, StoreError::Unavailable { .. }), "{error:?}");
    assert!(error.to_string().contains("permission denied"), "{error}");
}

/// An authority, and a certificate of it for any of our addresses.
struct Issued {
    authority: String,
    certificate: String,
    key: String,
}

fn issue(name: &str, addresses: &[IpAddr]) -> Issued {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::default();
    params.subject_alt_names = addresses.iter().copied().map(SanType::IpAddress).collect();
    let certificate = params.signed_by(&key, &authority).unwrap();
    Issued {
        authority: authority.pem(),
        certificate: certificate.pem(),
        key: key.serialize_pem(),
    }
}

/// One of them becomes the member's.
fn next_addresses() -> Vec<IpAddr> {
    let next = u32::from(server::own_address());
    (next..next + 60)
        .map(|bits| std::net::Ipv4Addr::from_bits(bits).into())
        .collect()
}

/// Writes what a member of etcd shows to its clients.
fn write_files(directory: &Path, issued: &Issued) {
    for (name, text) in [
        ("authority.pem", &issued.authority),
        ("member.pem", &issued.certificate),
        ("member.key", &issued.key),
    ] {
        fs::write(directory.join(name), text).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_prove_both_sides() {
    let directory = tempfile::tempdir().unwrap();
    let addresses = next_addresses();
    let [ours, theirs] = ["ours", "theirs"].map(|name| issue(name, &addresses));
    write_files(directory.path(), &ours);
    let Some(etcd) = server::start_tls(directory.path(), true) else {
        return;
    };
    let with = |authority: &Issued, own: &Issued| EtcdSettings {
        tls: server::tls(&authority.authority, &own.certificate, &own.key),
        ..etcd.settings("pilotlight/")
    };
    let [one, two] = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let store = first_head(one.path(), &with(&ours, &ours)).await;
    store.commit(put("a", "1")).await.unwrap();

    let refused = ClusterStore::new(single(two.path(), &Transaction::default()));
    let without = etcd.settings("other/");
    for (settings, expected) in [
        (with(&theirs, &ours), "unknownissuer"),
        // Sometimes etcd's reason gets lost, then this head guesses it.
        (with(&ours, &theirs), "certificate"),
        (without, "no authority"),
    ] {
        let error = refused.move_to_etcd(settings).await.unwrap_err();
        let text = error.to_string().to_lowercase();
        assert!(text.contains(expected), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn etcd_need_not_ask_for_a_certificate() {
    let directory = tempfile::tempdir().unwrap();
    let issued = issue("ours", &next_addresses());
    write_files(directory.path(), &issued);
    let Some(etcd) = server::start_tls(directory.path(), false) else {
        return;
    };
    let settings = EtcdSettings {
        tls: Some(EtcdTls {
            authority: issued.authority,
            own: None,
        }),
        ..etcd.settings("pilotlight/")
    };
    let own = tempfile::tempdir().unwrap();
    let store = first_head(own.path(), &settings).await;
    store.commit(put("a", "1")).await.unwrap();
}
