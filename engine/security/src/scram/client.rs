//! The client's side.
//!
//! 1. [`Client::new`] chooses the better mechanism that both sides have; [`Client::first`] is the message to send along.
//! 2. [`Client::answer`] takes salt and iterations and proves that the password is known.
//! 3. [`Client::finish`] checks that the server knows the verifier. Without it, anybody could have said "welcome".

use std::fmt;

use aion_base::{Error, Result, SqlState};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use subtle::ConstantTimeEq;

use super::message::{Reader, decode, is_printable, malformed, violation};
use super::{BINDING_TYPE, ChannelBinding, Mechanism, new_nonce};
use crate::keys::{self, Key};
use crate::saslprep::saslprep;
use crate::verifier::{self, ITERATIONS_DEFAULT, ITERATIONS_MAX, PASSWORD_BYTES_MAX, SALT_BYTES_MAX, parse_iterations};

/// See the module's header.
#[cfg_attr(test, derive(Clone))]
pub struct Client {
    mechanism: Mechanism,
    /// What SASLprep made of it.
    password: Vec<u8>,
    /// The gs2 header.
    header: String,
    /// The attribute `c` of the final message.
    binding: String,
    first_bare: String,
    nonce: String,
    state: State,
}

#[cfg_attr(test, derive(Clone))]
enum State {
    /// The first message waits for its answer.
    Asking,
    /// The proof was sent; the server must come with this signature.
    Proved(Key),
    /// Done, or failed.
    Over,
}

impl Client {
    /// Starts with what the server offered and what this end knows of the server's certificate. Whoever insists on channel
    /// binding looks at [`Client::mechanism`] before anything is sent.
    ///
    /// # Errors
    /// 0A000 if the server offers no SCRAM-SHA-256, 54000 for a password that is too long, Internal if the operating system gives no
    /// randomness.
    pub fn new(offered: &[impl AsRef<str>], password: &[u8], binding: &ChannelBinding) -> Result<Self> {
        Self::with_nonce(offered, password, binding, "", new_nonce()?)
    }

    /// `name` is empty outside of tests, as in libpq: servers ignore it.
    pub(super) fn with_nonce(
        offered: &[impl AsRef<str>],
        password: &[u8],
        binding: &ChannelBinding,
        name: &str,
        nonce: String,
    ) -> Result<Self> {
        if password.len() > PASSWORD_BYTES_MAX {
            let message = format!(
                "the password has {} bytes; the limit is {PASSWORD_BYTES_MAX}",
                password.len()
            );
            return Err(Error::exhausted(SqlState::PROGRAM_LIMIT_EXCEEDED, message));
        }
        let offers = |mechanism: Mechanism| offered.iter().any(|name| name.as_ref() == mechanism.name());
        let (mechanism, header, binding) = match binding {
            ChannelBinding::TlsServerEndPoint(hash) if offers(Mechanism::ScramSha256Plus) => {
                let header = format!("p={BINDING_TYPE},,");
                (
                    Mechanism::ScramSha256Plus,
                    header,
                    ChannelBinding::proof_of_binding(hash),
                )
            }
            _ if !offers(Mechanism::ScramSha256) => {
                let message = "none of the server's SASL authentication mechanisms are supported";
                return Err(Error::unsupported(message).with_detail("This client knows SCRAM-SHA-256."));
            }
            // The server sees by `y` if somebody between us took the better offer away.
            ChannelBinding::TlsServerEndPoint(_) => unbound("y,,"),
            ChannelBinding::None => unbound("n,,"),
        };
        Ok(Self {
            mechanism,
            password: saslprep(password).into_owned(),
            header,
            binding,
            first_bare: format!("n={name},r={nonce}"),
            nonce,
            state: State::Asking,
        })
    }

    /// The mechanism to name in SASLInitialResponse.
    pub fn mechanism(&self) -> Mechanism {
        self.mechanism
    }

    /// The message of SASLInitialResponse.
    pub fn first(&self) -> Vec<u8> {
        format!("{}{}", self.header, self.first_bare).into_bytes()
    }

    /// Takes AuthenticationSASLContinue and gives the message of SASLResponse. Takes milliseconds: as many HMACs as the server asks
    /// for, within [`ITERATIONS_MAX`].
    ///
    /// # Errors
    /// 08P01 for what is no SCRAM, 28000 for a server that asks for so few iterations that a listener could guess the password.
    pub fn answer(&mut self, server_first: &[u8]) -> Result<Vec<u8>> {
        if !matches!(std::mem::replace(&mut self.state, State::Over), State::Asking) {
            return Err(violation("the SCRAM exchange is over"));
        }
        let (nonce, salt, iterations) = self.read_challenge(server_first)?;
        let salted = keys::salted(&self.password, &salt, iterations);
        let without_proof = format!("c={},r={nonce}", self.binding);
        let auth_message: [&[u8]; 5] = [
            self.first_bare.as_bytes(),
            b",",
            server_first,
            b",",
            without_proof.as_bytes(),
        ];
        let client_key = verifier::client_key(&salted);
        let signature = keys::hmac(&keys::hash(&client_key), &auth_message);
        let proof = BASE64_STANDARD.encode(keys::xor(&client_key, &signature));
        let expected = keys::hmac(&verifier::server_key(&salted), &auth_message);
        self.state = State::Proved(expected);
        Ok(format!("{without_proof},p={proof}").into_bytes())
    }

    /// Takes AuthenticationSASLFinal.
    ///
    /// # Errors
    /// 28000 if the server does not know the password's verifier or says that it failed, 08P01 for what is no SCRAM.
    pub fn finish(&mut self, server_final: &[u8]) -> Result<()> {
        let State::Proved(expected) = std::mem::replace(&mut self.state, State::Over) else {
            return Err(violation("the SCRAM exchange has not come to its end"));
        };
        let mut reader = Reader::new(server_final)?;
        if reader.peek() == Some(b'e') {
            return Err(distrust("the server reports an error of the SCRAM exchange"));
        }
        let signature: Key = decode(reader.attribute(b'v')?)
            .ok_or_else(|| malformed("Malformed server signature in server-final-message."))?;
        while !reader.is_at_end() {
            reader.any_attribute()?;
        }
        if !bool::from(signature.ct_eq(&expected)) {
            return Err(distrust("the server's SCRAM signature is wrong")
                .with_detail("It does not know the password's verifier: it may be another server than it claims."));
        }
        Ok(())
    }

    /// Both nonces, salt, iterations.
    fn read_challenge<'a>(&self, server_first: &'a [u8]) -> Result<(&'a str, Vec<u8>, u32)> {
        let mut reader = Reader::new(server_first)?;
        if reader.peek() == Some(b'm') {
            return Err(Error::unsupported(
                "the server requires a SCRAM extension, which is not supported",
            ));
        }
        let nonce = reader.attribute(b'r')?;
        let added = nonce.strip_prefix(self.nonce.as_bytes());
        if !added.is_some_and(is_printable) {
            return Err(violation("invalid SCRAM response").with_detail("Nonce does not match."));
        }
        let nonce = std::str::from_utf8(nonce).expect("it was found to be printable ASCII");
        let salt = BASE64_STANDARD.decode(reader.attribute(b's')?).unwrap_or_default();
        if salt.is_empty() || salt.len() > SALT_BYTES_MAX {
            return Err(malformed("Invalid salt in server-first-message."));
        }
        let iterations = std::str::from_utf8(reader.attribute(b'i')?)
            .ok()
            .and_then(parse_iterations);
        while !reader.is_at_end() {
            reader.any_attribute()?;
        }
        match iterations {
            None => Err(malformed("Invalid iteration count in server-first-message.")),
            Some(count) if count < ITERATIONS_DEFAULT => Err(distrust(&format!(
                "the server asks for {count} SCRAM iterations; fewer than {ITERATIONS_DEFAULT} would give the password away"
            ))),
            Some(count) if count > ITERATIONS_MAX => Err(Error::exhausted(
                SqlState::PROGRAM_LIMIT_EXCEEDED,
                format!("the server asks for {count} SCRAM iterations; the limit is {ITERATIONS_MAX}"),
            )),
            Some(count) => Ok((nonce, salt, count)),
        }
    }
}

/// Shows neither password nor nonces.
impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("mechanism", &self.mechanism)
            .finish_non_exhaustive()
    }
}

fn unbound(header: &str) -> (Mechanism, String, String) {
    (
        Mechanism::ScramSha256,
        header.to_owned(),
        BASE64_STANDARD.encode(header),
    )
}

/// 28000.
fn distrust(message: &str) -> Error {
    Error::denied(SqlState::INVALID_AUTHORIZATION_SPECIFICATION, message)
}
