//! [`Admin`]: somebody who may change the cluster, and the [`Session`] a log-in opens.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{Invalid, Key, Kind, Name, Object, Spec, Uid, attributes::validate_text};

/// An administrator as they stand in the cluster.
pub type Admin = Object<AdminSpec>;

/// What is kept of an administrator.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AdminSpec {
    /// The name to log in with.
    pub name: Name,
    /// A remark for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The password, hashed.
    pub password: PasswordHash,
}

/// A password as it is kept: an argon2id hash in PHC form. It does not print.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PasswordHash(pub String);

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordHash(…)")
    }
}

impl Spec for AdminSpec {
    const KIND: Kind = Kind::Admin;

    fn name(&self) -> &Name {
        &self.name
    }

    fn validate(&self) -> Result<(), Invalid> {
        validate_text(
            "description",
            self.description.as_deref().unwrap_or_default(),
        )
    }
}

/// The SHA-256 of a token: what is kept instead of the token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct TokenHash(pub [u8; 32]);

/// What a log-in opens: a short-lived access token and the refresh token that renews it. Good on every head.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// Whose session.
    pub admin: Uid,
    /// The hash of the password hash it was opened with: a session does not outlive a change of password.
    pub password: TokenHash,
    /// The access token, hashed.
    pub access: TokenHash,
    /// When the access token ends, in seconds since 1970.
    pub access_expires: i64,
    /// The refresh token, hashed.
    pub refresh: TokenHash,
    /// When the session ends unless it is renewed, in seconds since 1970.
    pub refresh_expires: i64,
}

impl Session {
    /// The key that holds the session of this UID.
    pub fn key(uid: Uid) -> Key {
        Key::new(format!("session/{uid}"))
    }
}
