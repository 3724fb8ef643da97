//! What is stored of a password.
//!
//! **Vocabulary.** A *verifier* is what a server keeps to check a password without knowing it: the number of iterations, the
//! salt, `StoredKey` and `ServerKey` of RFC 5802. Its *stored form* is PostgreSQL's, so that `pg_dumpall --roles-only` can be
//! replayed here and back:
//!
//! ```text
//! SCRAM-SHA-256$4096:7hkitB9zbvNT38uC+SnaRg==$aLPPqnU7bKmPEKFRcIYmJBPJgpooTB4Njk3sZYYnoBM=:1AiZ7l7DQ0bOpFrz8gwTQOq6yUQli2qmH2u7mKZWlgg=
//! ------------- ---- ------------------------ -------------------------------------------- --------------------------------------------
//! mechanism     iterations  salt, base64      StoredKey, 32 bytes, base64                  ServerKey, 32 bytes, base64
//! ```
//!
//! **Guarantees.** `Debug` shows the iterations only, and no error quotes what it was given. Whoever has the stored form cannot
//! log in with it, but can try passwords at one Hi() each, and can pose as the server: it is a secret.

use std::fmt;

use aion_base::{Error, Result, SqlState};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;

use crate::keys::{self, KEY_BYTES, Key};
use crate::saslprep::saslprep;

/// Iterations of a new verifier: PostgreSQL's number, and the least that RFC 7677 allows.
pub const ITERATIONS_DEFAULT: u32 = 4096;
/// Iterations of any verifier, at most; a client does no more for any server. Less than a second of work: whoever may set a password,
/// if only his own, must not be able to keep a core busy with a few logins.
pub const ITERATIONS_MAX: u32 = 1_000_000;
/// Bytes of a new verifier's salt.
pub const SALT_BYTES_DEFAULT: usize = 16;
/// Bytes of a salt, at most: the message that tells it stays below the limit on messages.
pub const SALT_BYTES_MAX: usize = 256;
/// Bytes of a password, at most.
pub const PASSWORD_BYTES_MAX: usize = 1024;

/// How the stored form begins.
const PREFIX: &str = "SCRAM-SHA-256$";
/// The stored form is never longer.
const STORED_BYTES_MAX: usize = 512;
const MD5_DIGITS: usize = 32;

/// How new passwords are hashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hashing {
    iterations: u32,
    salt_bytes: usize,
}

impl Default for Hashing {
    fn default() -> Self {
        Self {
            iterations: ITERATIONS_DEFAULT,
            salt_bytes: SALT_BYTES_DEFAULT,
        }
    }
}

impl Hashing {
    /// That many iterations, and a salt of so many bytes.
    ///
    /// # Errors
    /// 22023 below the defaults, or above the limits.
    pub fn new(iterations: u32, salt_bytes: usize) -> Result<Self> {
        let refuse = |what: &str, given: &dyn fmt::Display, least: &dyn fmt::Display, most: &dyn fmt::Display| {
            let message = format!("{given} is no number of {what} for passwords: it goes from {least} to {most}");
            Err(Error::invalid(SqlState::INVALID_PARAMETER_VALUE, message))
        };
        if !(ITERATIONS_DEFAULT..=ITERATIONS_MAX).contains(&iterations) {
            return refuse("iterations", &iterations, &ITERATIONS_DEFAULT, &ITERATIONS_MAX);
        }
        if !(SALT_BYTES_DEFAULT..=SALT_BYTES_MAX).contains(&salt_bytes) {
            return refuse("salt bytes", &salt_bytes, &SALT_BYTES_DEFAULT, &SALT_BYTES_MAX);
        }
        Ok(Self { iterations, salt_bytes })
    }

    /// How often HMAC is applied.
    pub fn iterations(&self) -> u32 {
        self.iterations
    }

    /// Bytes of the salt.
    pub fn salt_bytes(&self) -> usize {
        self.salt_bytes
    }
}

/// See the module's header.
#[derive(Clone, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Verifier {
    iterations: u32,
    salt: Vec<u8>,
    stored_key: Key,
    server_key: Key,
}

impl Verifier {
    /// The verifier of a password, with a random salt. Takes as long as one login takes a client (milliseconds).
    ///
    /// # Errors
    /// 22023 for an empty password, 54000 for one that is too long, Internal if the operating system gives no randomness.
    pub fn new(password: &[u8], hashing: &Hashing) -> Result<Self> {
        check_password(password)?;
        let salt: [u8; SALT_BYTES_MAX] = keys::random()?;
        Ok(Self::with_salt(
            password,
            &salt[..hashing.salt_bytes],
            hashing.iterations,
        ))
    }

    pub(crate) fn with_salt(password: &[u8], salt: &[u8], iterations: u32) -> Self {
        let salted = keys::salted(&saslprep(password), salt, iterations);
        Self {
            iterations,
            salt: salt.to_vec(),
            stored_key: keys::hash(&client_key(&salted)),
            server_key: server_key(&salted),
        }
    }

    /// A verifier that no known password fits, for [`crate::decide::Mock`].
    pub(crate) fn unanswerable(iterations: u32, salt: Vec<u8>, stored_key: Key, server_key: Key) -> Self {
        Self {
            iterations,
            salt,
            stored_key,
            server_key,
        }
    }

    /// What `PASSWORD '...'` of CREATE and ALTER ROLE means: a stored form is taken as it is, everything else is hashed.
    /// None for an empty password, and for the stored form of one: the role then has no password, and the statement says so in a
    /// notice, as in PostgreSQL.
    ///
    /// # Errors
    /// 0A000 for an MD5 hash; 22023 for a stored form that is damaged, which PostgreSQL would take for a password; 54000 for what
    /// is too long.
    pub fn from_clause(text: &str, hashing: &Hashing) -> Result<Option<Self>> {
        if text.is_empty() {
            return Ok(None);
        }
        if is_md5(text) {
            return Err(Error::unsupported("passwords hashed with MD5 are not supported")
                .with_hint("Give the password itself, or a verifier that begins with SCRAM-SHA-256$."));
        }
        if !text.starts_with(PREFIX) {
            return Self::new(text.as_bytes(), hashing).map(Some);
        }
        let verifier = Self::parse(text)?;
        let is_empty = verifier.verify(b"");
        Ok((!is_empty).then_some(verifier))
    }

    /// Reads the stored form.
    ///
    /// # Errors
    /// 22023 for anything else, 54000 for what is too long.
    pub fn parse(text: &str) -> Result<Self> {
        if text.len() > STORED_BYTES_MAX {
            let message = format!(
                "the stored password has {} bytes; the limit is {STORED_BYTES_MAX}",
                text.len()
            );
            return Err(Error::exhausted(SqlState::PROGRAM_LIMIT_EXCEEDED, message));
        }
        parse(text).ok_or_else(|| {
            Error::invalid(SqlState::INVALID_PARAMETER_VALUE, "the stored password is damaged").with_detail(format!(
                "Expected SCRAM-SHA-256$<iterations>:<salt>$<StoredKey>:<ServerKey> with 1 to {ITERATIONS_MAX} \
                     iterations and the last three in base64."
            ))
        })
    }

    /// The stored form: a secret.
    pub fn to_stored(&self) -> String {
        format!(
            "{PREFIX}{}:{}${}:{}",
            self.iterations,
            BASE64_STANDARD.encode(&self.salt),
            BASE64_STANDARD.encode(self.stored_key),
            BASE64_STANDARD.encode(self.server_key),
        )
    }

    /// Whether this is the verifier of that password: for protocols that show the password itself, inside TLS. Takes as long as
    /// [`Verifier::new`].
    pub fn verify(&self, password: &[u8]) -> bool {
        if password.len() > PASSWORD_BYTES_MAX {
            return false;
        }
        *self == Self::with_salt(password, &self.salt, self.iterations)
    }

    /// How often HMAC was applied.
    pub fn iterations(&self) -> u32 {
        self.iterations
    }

    pub(crate) fn salt(&self) -> &[u8] {
        &self.salt
    }

    pub(crate) fn stored_key(&self) -> &Key {
        &self.stored_key
    }

    pub(crate) fn server_key(&self) -> &Key {
        &self.server_key
    }
}

/// In constant time for salts of the same length.
impl PartialEq for Verifier {
    fn eq(&self, other: &Self) -> bool {
        let keys = self.stored_key.ct_eq(&other.stored_key) & self.server_key.ct_eq(&other.server_key);
        let same = keys & self.salt.ct_eq(&other.salt) & self.iterations.ct_eq(&other.iterations);
        same.into()
    }
}

impl Eq for Verifier {}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verifier")
            .field("iterations", &self.iterations)
            .finish_non_exhaustive()
    }
}

impl TryFrom<String> for Verifier {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        Self::parse(&text)
    }
}

impl From<Verifier> for String {
    fn from(verifier: Verifier) -> Self {
        verifier.to_stored()
    }
}

/// Checks a password that is to be hashed.
fn check_password(password: &[u8]) -> Result<()> {
    if password.is_empty() {
        let message = "the empty string is no password";
        return Err(Error::invalid(SqlState::INVALID_PARAMETER_VALUE, message));
    }
    if password.len() > PASSWORD_BYTES_MAX {
        let message = format!(
            "the password has {} bytes; the limit is {PASSWORD_BYTES_MAX}",
            password.len()
        );
        return Err(Error::exhausted(SqlState::PROGRAM_LIMIT_EXCEEDED, message));
    }
    Ok(())
}

pub(crate) fn client_key(salted: &Key) -> Key {
    keys::hmac(salted, &[b"Client Key"])
}

pub(crate) fn server_key(salted: &Key) -> Key {
    keys::hmac(salted, &[b"Server Key"])
}

/// PostgreSQL's test: `md5isfun` is a password like any other.
fn is_md5(text: &str) -> bool {
    let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    text.strip_prefix("md5")
        .is_some_and(|digits| digits.len() == MD5_DIGITS && digits.bytes().all(is_digit))
}

fn parse(text: &str) -> Option<Verifier> {
    let (parameters, keys) = text.strip_prefix(PREFIX)?.split_once('$')?;
    let (iterations, salt) = parameters.split_once(':')?;
    let (stored_key, server_key) = keys.split_once(':')?;
    let key = |text: &str| <[u8; KEY_BYTES]>::try_from(BASE64_STANDARD.decode(text).ok()?).ok();
    let salt = BASE64_STANDARD.decode(salt).ok()?;
    Some(Verifier {
        iterations: parse_iterations(iterations).filter(|&iterations| iterations <= ITERATIONS_MAX)?,
        salt: (1..=SALT_BYTES_MAX).contains(&salt.len()).then_some(salt)?,
        stored_key: key(stored_key)?,
        server_key: key(server_key)?,
    })
}

/// A positive number, in digits only.
pub(crate) fn parse_iterations(text: &str) -> Option<u32> {
    let all_digits = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|&number| all_digits && number > 0)
}

#[cfg(test)]
mod tests;
