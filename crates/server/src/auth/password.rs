//! Passwords: hashed with argon2id, a few at a time, off the async threads.

use argon2::{Argon2, PasswordHasher, PasswordVerifier};
use model::PasswordHash;
use tokio::sync::Semaphore;

use crate::Error;

/// Each hashing takes 19 MiB and a core for some 50 ms: more than this at once would starve the boot requests.
const AT_ONCE: usize = 2;

/// Hashes and verifies passwords.
pub(crate) struct Passwords {
    turns: Semaphore,
}

/// Verified against when there is no such user, so that the answer takes as long: the default parameters, a salt and
/// a hash of zeros.
const NOBODY: &str = "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

impl Passwords {
    pub(crate) fn new() -> Self {
        Self {
            turns: Semaphore::new(AT_ONCE),
        }
    }

    pub(crate) async fn hash(&self, password: String) -> Result<PasswordHash, Error> {
        let _turn = self.turns.acquire().await.map_err(Error::internal)?;
        tokio::task::spawn_blocking(move || hash_password(&password))
            .await?
            .map_err(Error::internal)
    }

    /// Whether this is the password. Without a hash to compare with it is not, after the same time.
    pub(crate) async fn verify(
        &self,
        password: String,
        hash: Option<PasswordHash>,
    ) -> Result<bool, Error> {
        let _turn = self.turns.acquire().await.map_err(Error::internal)?;
        let known = hash.is_some();
        let hash = hash.unwrap_or_else(|| PasswordHash(NOBODY.into()));
        let right = tokio::task::spawn_blocking(move || {
            Argon2::default()
                .verify_password(password.as_bytes(), hash.0.as_str())
                .is_ok()
        });
        Ok(right.await? && known)
    }
}

/// The system's random source failed, or the password cannot be hashed.
#[derive(Debug, thiserror::Error)]
#[error("hashing a password failed: {0}")]
pub struct HashError(String);

/// Hashes a password for keeping. Takes tens of milliseconds.
///
/// # Errors
/// The system's random source failed.
pub fn hash_password(password: &str) -> Result<PasswordHash, HashError> {
    let hash = Argon2::default()
        .hash_password(password.as_bytes())
        .map_err(|error| HashError(error.to_string()))?;
    Ok(PasswordHash(hash.to_string()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_the_password_itself_is_right() {
        let passwords = Passwords::new();
        let hash = passwords.hash("correct horse".into()).await.unwrap();
        assert!(hash.0.starts_with("$argon2id$"), "{}", hash.0);
        assert!(
            passwords
                .verify("correct horse".into(), Some(hash.clone()))
                .await
                .unwrap()
        );
        assert!(
            !passwords
                .verify("correct horse ".into(), Some(hash))
                .await
                .unwrap()
        );
        assert!(
            !passwords
                .verify("correct horse".into(), None)
                .await
                .unwrap()
        );
    }

    /// Were this no hash, an unknown user would be told at once.
    #[test]
    fn nobody_has_a_hash_that_is_really_computed() {
        let hash = argon2::password_hash::phc::PasswordHash::new(NOBODY).unwrap();
        assert_eq!(Argon2::default().params().m_cost(), 19456);
        assert!(hash.hash.is_some() && hash.salt.is_some());
    }
}
