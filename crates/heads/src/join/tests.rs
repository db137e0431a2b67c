//! Both sides of the exchange, against each other and against who stands between them.

#![allow(clippy::unwrap_used)]

use std::{sync::LazyLock, time::Duration};

use model::{
    Authority, Change, Cluster, ClusterState, HeadSpec, Kind, Name, PasswordHash, Revision, Uid,
};
use proptest::prelude::*;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

use super::*;
use crate::{
    authority,
    identity::{Addresses, Contact, Contacts, Identity},
};

const PASSWORD: &str = "correct horse";
/// The argon2id hash of the password, as the server keeps it.
static HASH: LazyLock<PasswordHash> = LazyLock::new(|| {
    use argon2::PasswordHasher as _;
    let hash = argon2::Argon2::default().hash_password(PASSWORD.as_bytes());
    PasswordHash(hash.unwrap().to_string())
});
static AUTHORITY: LazyLock<Authority> = LazyLock::new(|| authority::create("trial").unwrap());

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

fn addresses(last: u8) -> Addresses {
    let at = |port| ([10, 0, 0, last], port).into();
    Addresses {
        exchange: at(2381),
        etcd_client: at(2379),
        etcd_peer: at(2380),
    }
}

fn contacts() -> Contacts {
    Contacts {
        heads: vec![Contact {
            uid: Uid::from_bytes([1; 16]),
            name: name("h1"),
            exchange: addresses(1).exchange,
        }],
        etcd: vec!["https://10.0.0.1:2379".into()],
    }
}

/// A cluster with the head h1 at 10.0.0.1.
fn cluster() -> ClusterState {
    let head = HeadSpec {
        name: name("h1"),
        url: "http://10.0.0.1".into(),
        exchange: addresses(1).exchange,
        etcd: Some(model::EtcdMember {
            client: addresses(1).etcd_client_url(),
            peer: addresses(1).etcd_peer_url(),
        }),
        version: "1.2.3".into(),
    };
    let cluster = Cluster {
        name: name("trial"),
        domain: None,
        default_group: Uid::from_bytes([9; 16]),
        database_password: HASH.clone(),
    };
    let record = |key, value: Vec<u8>| Change {
        key,
        value: Some(value.into()),
        revision: Revision(1),
    };
    let head = serde_json::to_vec(&head).unwrap();
    let records = [
        record(Cluster::key(), cluster.record()),
        record(Kind::Head.key(Uid::from_bytes([1; 16])), head),
    ];
    ClusterState::load(records, Revision(1)).unwrap()
}

fn challenge(challenges: &Challenges) -> Challenge {
    let issued = challenges.issue(&HASH, Engine::Etcd, "1.2.3", name("trial"));
    issued.unwrap()
}

fn wish() -> Wish<'static> {
    Wish {
        name: name("h2"),
        addresses: addresses(2),
        version: "1.2.3",
        earlier: None,
        migrate: false,
    }
}

/// What arrives when it was sent as JSON.
fn sent<T: Serialize + DeserializeOwned>(message: &T) -> T {
    serde_json::from_slice(&serde_json::to_vec(message).unwrap()).unwrap()
}

/// The whole exchange, with what was admitted.
fn join(wish: Wish<'_>) -> (Identity, Contacts) {
    let challenges = Challenges::default();
    let challenge = sent(&challenge(&challenges));
    let applicant = Applicant::new(&challenge, PASSWORD, wish).unwrap();
    let verified = challenges.verify(sent(applicant.request()), &HASH).unwrap();
    verified.check(&cluster(), Engine::Etcd).unwrap();
    let admission = verified.admit(&AUTHORITY, contacts()).unwrap();
    applicant.accept(sent(&admission)).unwrap()
}

#[test]
fn who_knows_the_password_becomes_a_head() {
    let (identity, others) = join(wish());
    assert_eq!(identity.name, name("h2"));
    assert_eq!(identity.addresses, addresses(2));
    assert_eq!(identity.authority, AUTHORITY.certificate);
    assert_eq!(others, contacts());
    // The key never left the machine, and the certificate is for it.
    let pair = (identity.certificate.as_bytes(), identity.key.as_bytes());
    let certificate = rustls::pki_types::pem::PemObject::from_pem_slice(pair.0).unwrap();
    let key = rustls::pki_types::pem::PemObject::from_pem_slice(pair.1).unwrap();
    let provider = rustls::crypto::ring::default_provider();
    let certified = rustls::sign::CertifiedKey::from_der(vec![certificate], key, &provider);
    certified.unwrap().keys_match().unwrap();
}

#[test]
fn a_machine_that_joins_again_is_the_head_it_was() {
    let (first, _) = join(wish());
    let earlier = Some(&first);
    let (again, _) = join(Wish { earlier, ..wish() });
    assert_eq!((again.uid, &again.key), (first.uid, &first.key));

    let (another, _) = join(wish());
    assert_ne!(another.uid, first.uid);
}

#[test]
fn a_machine_of_another_cluster_does_not_change_sides_unasked() {
    let (mut first, _) = join(wish());
    first.authority = authority::create("elsewhere").unwrap().certificate;
    let challenges = Challenges::default();
    let earlier = Some(&first);
    let wish = Wish { earlier, ..wish() };
    let applicant = Applicant::new(&challenge(&challenges), PASSWORD, wish).unwrap();
    let verified = challenges
        .verify(applicant.request().clone(), &HASH)
        .unwrap();
    let admission = verified.admit(&AUTHORITY, contacts()).unwrap();
    assert!(matches!(
        applicant.accept(admission),
        Err(JoinError::AnotherCluster)
    ));
}

#[test]
fn another_password_is_refused_and_so_is_a_head_that_does_not_know_it() {
    let challenges = Challenges::default();
    let applicant = Applicant::new(&challenge(&challenges), "correct  horse", wish()).unwrap();
    let refused = challenges.verify(applicant.request().clone(), &HASH);
    assert!(matches!(refused, Err(Refusal::Password)));

    // A false head sends the challenge on, and answers with an authority of its own.
    let applicant = Applicant::new(&challenge(&challenges), PASSWORD, wish()).unwrap();
    let uid = Uid::from_bytes([3; 16]);
    let request = &applicant.request().certificate_request;
    let mut admission = Admission {
        uid,
        certificate: authority::issue(&AUTHORITY, request, uid, &[]).unwrap(),
        authority: AUTHORITY.certificate.clone(),
        contacts: contacts(),
        proof: Proof::none(),
    };
    let guess = ProofKey::from_hash(&[0; 32]);
    admission.proof = guess.prove(&admission.transcript(&applicant.request().proof));
    assert!(matches!(
        applicant.accept(admission),
        Err(JoinError::NotTheHead)
    ));
}

#[test]
fn a_proof_does_not_serve_twice_nor_for_the_other_side() {
    let challenges = Challenges::default();
    let applicant = Applicant::new(&challenge(&challenges), PASSWORD, wish()).unwrap();
    let request = applicant.request().clone();
    let verified = challenges.verify(request.clone(), &HASH).unwrap();
    assert!(matches!(
        challenges.verify(request.clone(), &HASH),
        Err(Refusal::Stale)
    ));

    // The answer to another request, of the same machine.
    let another = Applicant::new(&challenge(&challenges), PASSWORD, wish()).unwrap();
    let admission = verified.admit(&AUTHORITY, contacts()).unwrap();
    assert!(matches!(
        another.accept(admission.clone()),
        Err(JoinError::NotTheHead)
    ));
    // The machine's own proof, sent back to it.
    let reflected = Admission {
        proof: request.proof,
        ..admission
    };
    assert!(matches!(
        applicant.accept(reflected),
        Err(JoinError::NotTheHead)
    ));
}

#[test]
fn challenges_grow_old_and_are_not_kept_without_end() {
    let challenges = Challenges::default();
    let first = challenge(&challenges);
    let later = |seconds| std::time::Instant::now() + Duration::from_secs(seconds);
    assert!(challenges.redeem(&first.nonce, later(59)).is_ok());
    let second = challenge(&challenges);
    assert_ne!(first.nonce, second.nonce);
    assert!(matches!(
        challenges.redeem(&second.nonce, later(61)),
        Err(Refusal::Stale)
    ));

    let oldest = challenge(&challenges);
    let all: Vec<_> = (0..1000).map(|_| challenge(&challenges)).collect();
    assert!(matches!(
        challenges.redeem(&oldest.nonce, later(0)),
        Err(Refusal::Stale)
    ));
    for kept in all {
        assert!(challenges.redeem(&kept.nonce, later(0)).is_ok());
    }
}

#[test]
fn both_sides_name_both_versions() {
    let challenges = Challenges::default();
    let sent = challenge(&challenges);
    let newer = Wish {
        version: "1.3.0",
        ..wish()
    };
    let refused = Applicant::new(&sent, PASSWORD, newer.clone()).unwrap_err();
    for version in ["1.2.3", "1.3.0"] {
        assert!(refused.to_string().contains(version), "{refused}");
    }
    // One who does not look.
    let mut blind = sent.clone();
    blind.version = "1.3.0".into();
    let mut request = Applicant::new(&blind, PASSWORD, newer)
        .unwrap()
        .request()
        .clone();
    let key = ProofKey::derive(PASSWORD, &sent.password).unwrap();
    request.proof = key.prove(&request.transcript(&sent));
    let refused = challenges.verify(request, &HASH).unwrap_err();
    for version in ["1.2.3", "1.3.0"] {
        assert!(refused.to_string().contains(version), "{refused}");
    }
}

#[test]
fn no_head_makes_a_machine_hash_without_end_or_too_little() {
    let fair = challenge(&Challenges::default()).password;
    assert!(ProofKey::derive(PASSWORD, &fair).is_ok());
    for unfair in [
        PasswordHashing {
            memory_kib: 8,
            ..fair.clone()
        },
        PasswordHashing {
            memory_kib: u32::MAX,
            ..fair.clone()
        },
        PasswordHashing {
            iterations: 1,
            ..fair.clone()
        },
        PasswordHashing {
            iterations: u32::MAX,
            ..fair.clone()
        },
        PasswordHashing {
            lanes: 0,
            ..fair.clone()
        },
        PasswordHashing {
            lanes: u32::MAX,
            ..fair.clone()
        },
    ] {
        let refused = ProofKey::derive(PASSWORD, &unfair);
        assert!(
            matches!(refused, Err(ProofKeyError::Unreasonable(_))),
            "{unfair:?}"
        );
    }
    let short = PasswordHashing {
        salt: Vec::new(),
        ..fair
    };
    assert!(matches!(
        ProofKey::derive(PASSWORD, &short),
        Err(ProofKeyError::Hashing(_))
    ));
}

#[test]
fn hashes_of_another_kind_are_refused() {
    for bad in [
        "",
        "$argon2id$",
        &HASH.0.replace("argon2id", "argon2i"),
        &HASH.0.replace("v=19", "v=16"),
    ] {
        let refused = ProofKey::stored(&PasswordHash(bad.into()));
        assert!(matches!(refused, Err(ProofKeyError::Stored(_))), "{bad}");
    }
}

/// Whether the cluster above, with its state in `engine`, takes who wishes this.
fn checked(wish: Wish<'_>, uid: Option<Uid>, engine: Engine) -> Result<(), Refusal> {
    let challenges = Challenges::default();
    let challenge = challenge(&challenges);
    let applicant = Applicant::new(&challenge, PASSWORD, wish).unwrap();
    let mut request = applicant.request().clone();
    request.uid = uid;
    let key = ProofKey::derive(PASSWORD, &challenge.password).unwrap();
    request.proof = key.prove(&request.transcript(&challenge));
    let verified = challenges.verify(request, &HASH).unwrap();
    verified.check(&cluster(), engine)
}

#[test]
fn names_and_addresses_of_other_heads_are_refused_by_name() {
    let h1 = Some(Uid::from_bytes([1; 16]));
    let named = |name| Wish { name, ..wish() };
    let at = |addresses| Wish {
        addresses,
        ..wish()
    };

    let refused = checked(named(name("h1")), None, Engine::Etcd);
    assert!(matches!(refused, Err(Refusal::Name(taken)) if taken == name("h1")));
    let mut partly = addresses(2);
    partly.etcd_peer = addresses(1).etcd_client;
    for taken in [addresses(1), partly] {
        let refused = checked(at(taken), None, Engine::Etcd);
        assert!(matches!(refused, Err(Refusal::Address { head, .. }) if head == name("h1")));
    }

    // The same machine may have what it has, and nothing else while it has that.
    let own = Wish {
        name: name("h1"),
        ..at(addresses(1))
    };
    assert!(checked(own, h1, Engine::Etcd).is_ok());
    let mut moved = addresses(1);
    moved.etcd_peer.set_port(4000);
    for other in [
        named(name("h1")),
        at(addresses(1)),
        Wish {
            name: name("h1"),
            ..at(moved)
        },
    ] {
        let refused = checked(other, h1, Engine::Etcd);
        assert!(matches!(refused, Err(Refusal::Different(head)) if head == name("h1")));
    }
}

#[test]
fn addresses_that_are_of_no_use_are_refused() {
    for bad in ["0.0.0.0:2381", "[::]:2381", "224.0.0.1:2381", "10.0.0.2:0"] {
        let mut unreachable = addresses(2);
        unreachable.exchange = bad.parse().unwrap();
        let wish = Wish {
            addresses: unreachable,
            ..wish()
        };
        let refused = checked(wish, None, Engine::Etcd);
        assert!(matches!(refused, Err(Refusal::Unreachable(_))), "{bad}");
    }
    let mut twice = addresses(2);
    twice.etcd_peer = twice.etcd_client;
    let refused = checked(
        Wish {
            addresses: twice,
            ..wish()
        },
        None,
        Engine::Etcd,
    );
    assert!(matches!(refused, Err(Refusal::Twice(_))));
}

#[test]
fn a_cluster_moves_to_etcd_only_when_someone_agreed() {
    let agreed = Wish {
        migrate: true,
        ..wish()
    };
    assert!(matches!(
        checked(wish(), None, Engine::Sqlite),
        Err(Refusal::WouldMigrate)
    ));
    assert!(checked(agreed, None, Engine::Sqlite).is_ok());
    assert!(checked(wish(), None, Engine::Etcd).is_ok());
}

/// The message with one leaf of its JSON changed: every leaf but the proof, and every change that still reads.
fn changed<T: Serialize + DeserializeOwned>(message: &T) -> Vec<(String, T)> {
    let message = serde_json::to_value(message).unwrap();
    let mut leaves = Vec::new();
    find_leaves("", &message, &mut leaves);
    let mut changed = Vec::new();
    for leaf in leaves.into_iter().filter(|leaf| leaf != "/proof") {
        let before = changed.len();
        for value in other_values(message.pointer(&leaf).unwrap()) {
            let mut message = message.clone();
            *message.pointer_mut(&leaf).unwrap() = value;
            if let Ok(read) = serde_json::from_value(message) {
                changed.push((leaf.clone(), read));
            }
        }
        assert!(changed.len() > before, "nothing else can stand at {leaf}");
    }
    changed
}

fn find_leaves(path: &str, value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            for (field, value) in fields {
                find_leaves(&format!("{path}/{field}"), value, found);
            }
        }
        Value::Array(items) => {
            // As a whole, too: an item fewer.
            found.push(path.to_owned());
            for (place, value) in items.iter().enumerate() {
                find_leaves(&format!("{path}/{place}"), value, found);
            }
        }
        _ => found.push(path.to_owned()),
    }
}

fn other_values(value: &Value) -> Vec<Value> {
    match value {
        Value::Bool(bit) => vec![(!bit).into()],
        Value::Number(number) => vec![(number.as_u64().unwrap() + 1).into()],
        Value::Array(items) => vec![items[1..].to_vec().into()],
        // One character changed, anywhere.
        Value::String(text) => (0..text.len())
            .map(|place| {
                let mut bytes = text.clone().into_bytes();
                bytes[place] = if bytes[place] == b'1' { b'2' } else { b'1' };
                String::from_utf8(bytes).unwrap().into()
            })
            .chain((text == "etcd").then(|| "sqlite".into()))
            .collect(),
        Value::Null | Value::Object(_) => Vec::new(),
    }
}

#[test]
fn whatever_is_changed_on_the_way_is_noticed() {
    let key = ProofKey::stored(&HASH).unwrap().0;
    let (earlier, _) = join(wish());
    let challenge = challenge(&Challenges::default());
    let wish = Wish {
        earlier: Some(&earlier),
        ..wish()
    };
    let applicant = Applicant::new(&challenge, PASSWORD, wish).unwrap();
    let request = applicant.request();
    assert!(key.verify(&request.transcript(&challenge), &request.proof));
    for (leaf, changed) in changed(&challenge) {
        let transcript = request.transcript(&changed);
        assert!(!key.verify(&transcript, &request.proof), "challenge{leaf}");
    }
    for (leaf, changed) in changed(request) {
        // The nonce counts as that of the challenge, which it finds.
        if leaf != "/nonce" {
            let transcript = changed.transcript(&challenge);
            assert!(!key.verify(&transcript, &request.proof), "request{leaf}");
        }
    }
    let mut nameless = request.clone();
    nameless.uid = None;
    assert!(!key.verify(&nameless.transcript(&challenge), &request.proof));

    let verified = Verified {
        request: request.clone(),
        key: ProofKey::stored(&HASH).unwrap().0,
    };
    let admission = verified.admit(&AUTHORITY, contacts()).unwrap();
    assert!(key.verify(&admission.transcript(&request.proof), &admission.proof));
    for (leaf, changed) in changed(&admission) {
        let transcript = changed.transcript(&request.proof);
        assert!(
            !key.verify(&transcript, &admission.proof),
            "admission{leaf}"
        );
    }
}

proptest! {
    /// However the same bytes are cut into fields, the proofs differ.
    #[test]
    fn no_two_lists_of_fields_have_one_proof(
        one in proptest::collection::vec("[ab]{0,3}", 0..4),
        other in proptest::collection::vec("[ab]{0,3}", 0..4),
    ) {
        let key = ProofKey::from_hash(&[1; 32]);
        let transcript = |fields: &[String]| {
            fields.iter().fold(proof::Transcript::new("a trial"), proof::Transcript::field)
        };
        let proof = key.prove(&transcript(&one));
        prop_assert_eq!(key.verify(&transcript(&other), &proof), one == other);
    }

    #[test]
    fn nor_do_two_lists_of_lists(
        one in proptest::collection::vec(proptest::collection::vec("[ab]{0,2}", 0..3), 0..3),
        other in proptest::collection::vec(proptest::collection::vec("[ab]{0,2}", 0..3), 0..3),
    ) {
        let key = ProofKey::from_hash(&[1; 32]);
        let transcript = |lists: &[Vec<String>]| {
            lists.iter().fold(proof::Transcript::new("a trial"), |transcript, list| {
                transcript.fields(list.iter())
            })
        };
        let proof = key.prove(&transcript(&one));
        prop_assert_eq!(key.verify(&transcript(&other), &proof), one == other);
    }

    /// Another password makes another key.
    #[test]
    fn another_key_proves_nothing(bits: [u8; 32], flipped in 0_usize..256) {
        let mut other = bits;
        other[flipped / 8] ^= 1 << (flipped % 8);
        let transcript = proof::Transcript::new("a trial").field("x");
        let proof = ProofKey::from_hash(&bits).prove(&transcript);
        prop_assert!(!ProofKey::from_hash(&other).verify(&transcript, &proof));
    }
}
