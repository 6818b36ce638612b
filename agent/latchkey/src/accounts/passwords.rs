//! Passwords of file accounts: made by the agent only, kept as argon2id hashes, verified a few at a time.

use std::sync::LazyLock;

use argon2::password_hash::phc::PasswordHash;
use argon2::{Algorithm, Argon2, Params, PasswordHasher, PasswordVerifier, Version};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use tokio::sync::Semaphore;

use crate::problem::Problem;
use crate::request::spawn_blocking;
use crate::token::{Token, random_bytes};

/// OWASP's first choice for argon2id.
const MEMORY_KIB: u32 = 19 * 1024;
const PASSES: u32 = 2;
const LANES: u32 = 1;
/// Nothing longer is hashed.
const LONGEST_BYTES: usize = 1024;
/// Each takes a core and the memory above.
const AT_ONCE: usize = 2;

/// A new password with the hash that is kept. It has no `Debug`.
pub(super) struct NewPassword {
    /// 24 characters of base64url: 144 random bits.
    pub(super) text: String,
    pub(super) hash: String,
}

/// The hash of a password failed.
#[derive(Debug, thiserror::Error)]
#[error("the password could not be hashed")]
struct NotHashed(#[source] argon2::password_hash::Error);

impl NewPassword {
    /// Makes one. Blocks for as long as a hash takes.
    pub(super) fn generate() -> Result<Self, Problem> {
        let text = URL_SAFE_NO_PAD.encode(random_bytes::<18>()?);
        let hash = hash(text.as_bytes())?;
        Ok(Self { text, hash })
    }
}

fn hasher() -> Argon2<'static> {
    let params = Params::new(MEMORY_KIB, PASSES, LANES, None).unwrap_or_default();
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
}

fn hash(password: &[u8]) -> Result<String, Problem> {
    let salt = random_bytes::<16>()?;
    let hashed: Result<PasswordHash, _> = hasher().hash_password_with_salt(password, &salt);
    hashed.map(|hash| hash.to_string()).map_err(|error| Problem::internal(&NotHashed(error)))
}

/// What is verified for somebody who has no password: as much work, and never right.
static NOBODYS: LazyLock<Option<String>> = LazyLock::new(|| {
    let unknown = Token::generate().map(|token| token.text());
    unknown.ok().and_then(|text| hash(text.as_bytes()).ok())
});

static VERIFYING: Semaphore = Semaphore::const_new(AT_ONCE);

/// Whether the password is the one with this hash. Takes as long where there is none, or it is too long.
pub(super) async fn verify(password: &str, hash: Option<String>) -> bool {
    let is_sound = password.len() <= LONGEST_BYTES;
    let password = if is_sound { password.to_owned() } else { String::new() };
    let Ok(_turn) = VERIFYING.acquire().await else { return false };
    let verified = spawn_blocking(move || {
        let known = hash.is_some();
        let hash = hash.or_else(|| NOBODYS.clone())?;
        let hash = PasswordHash::new(&hash).ok()?;
        let right = hasher().verify_password(password.as_bytes(), &hash).is_ok();
        Some(right && known)
    });
    is_sound && matches!(verified.await, Ok(Some(true)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_password_is_right_for_its_own_hash_only() {
        let (one, other) = (NewPassword::generate().unwrap(), NewPassword::generate().unwrap());
        assert_eq!(one.text.len(), 24);
        assert!(one.hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{}", one.hash);
        assert!(verify(&one.text, Some(one.hash.clone())).await);
        assert!(!verify(&other.text, Some(one.hash.clone())).await);
        assert!(!verify(&one.text, None).await);
        assert!(!verify("", Some(one.hash)).await);
    }

    #[tokio::test]
    async fn nothing_long_is_hashed() {
        let longest = "x".repeat(LONGEST_BYTES);
        let hash_of = |text: &str| Some(hash(text.as_bytes()).unwrap());
        assert!(verify(&longest, hash_of(&longest)).await);
        let longer = format!("{longest}x");
        assert!(!verify(&longer, hash_of(&longer)).await);
    }

    #[tokio::test]
    async fn a_few_are_verified_at_once_and_the_others_wait() {
        let held = VERIFYING.acquire_many(u32::try_from(AT_ONCE).unwrap()).await.unwrap();
        let waiting = tokio::spawn(verify("x", None));
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        drop(held);
        assert!(!waiting.await.unwrap());
    }
}
