//! The server's side.
//!
//! 1. [`Exchange::step`] takes the client's first message: its gs2 header against what the connection can do, its nonce.
//! 2. It answers with both nonces, the salt and the iterations of the subject's verifier.
//! 3. It takes the client's final message: channel binding, nonces, then the proof. The proof is computed for a doomed
//!    subject too, and only then is its doom looked at, so that the time tells nothing.
//! 4. It answers with the server's signature.

use std::fmt;

use aion_base::{Error, Result, SqlState};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use subtle::ConstantTimeEq;

use super::message::{Reader, decode, is_printable, malformed, violation};
use super::{BINDING_TYPE, ChannelBinding, Mechanism, new_nonce};
use crate::keys::{self, Key};
use crate::verifier::Verifier;

/// Why a doomed subject is: for the log, never for the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// There is no such role.
    UnknownRole,
    /// The role has no password.
    NoPassword,
    /// The role's password is no longer valid.
    PasswordExpired,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::UnknownRole => "the role does not exist",
            Self::NoPassword => "the role has no password",
            Self::PasswordExpired => "the role's password has expired",
        })
    }
}

/// Whom the client claims to be.
#[derive(Clone, Debug)]
pub struct Subject {
    name: String,
    verifier: Verifier,
    doom: Option<Reason>,
}

impl Subject {
    /// The role of that name, with its verifier.
    pub fn new(name: impl Into<String>, verifier: Verifier) -> Self {
        Self {
            name: name.into(),
            verifier,
            doom: None,
        }
    }

    /// One whose exchange fails whatever is shown.
    pub(crate) fn doomed(name: impl Into<String>, verifier: Verifier, reason: Reason) -> Self {
        Self {
            name: name.into(),
            verifier,
            doom: Some(reason),
        }
    }

    /// The name in the startup packet.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Why the exchange will fail, for the log.
    pub fn doom(&self) -> Option<Reason> {
        self.doom
    }

    /// The answer to a wrong password, the same for every reason.
    pub fn refusal(&self) -> Error {
        Error::denied(
            SqlState::INVALID_PASSWORD,
            format!("password authentication failed for user \"{}\"", self.name),
        )
    }

    /// Whether that is the subject's password: for protocols that show the password itself, inside TLS.
    ///
    /// # Errors
    /// [`Subject::refusal`].
    pub fn check_password(&self, password: &[u8]) -> Result<()> {
        let fits = self.verifier.verify(password);
        if fits && self.doom.is_none() {
            return Ok(());
        }
        Err(self.refusal())
    }
}

/// What the server does next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Send these bytes in AuthenticationSASLContinue, and hand the answer to [`Exchange::step`].
    Continue(Vec<u8>),
    /// The client is whom it claims to be. Send these bytes in AuthenticationSASLFinal, then AuthenticationOk.
    Done(Vec<u8>),
}

/// See the module's header.
pub struct Exchange {
    subject: Subject,
    binding: ChannelBinding,
    mechanism: Mechanism,
    server_nonce: String,
    state: State,
}

enum State {
    /// Nothing was received.
    Start,
    /// The client sent no first message along with its choice, and was asked for it.
    Asked,
    /// Its first message was answered.
    Challenged(Challenge),
    /// Done, or failed.
    Over,
}

/// What the client's final message is checked against.
struct Challenge {
    /// The attribute `c` that fits the gs2 header.
    binding: String,
    client_first_bare: Vec<u8>,
    server_first: String,
    /// Both nonces.
    nonce: Vec<u8>,
}

impl Exchange {
    /// Starts an exchange under the mechanism that the client chose ([`Mechanism::chosen`] with the same `binding`).
    ///
    /// # Errors
    /// Internal if the operating system gives no randomness.
    pub fn new(subject: Subject, mechanism: Mechanism, binding: ChannelBinding) -> Result<Self> {
        Ok(Self::with_nonce(subject, mechanism, binding, new_nonce()?))
    }

    pub(super) fn with_nonce(subject: Subject, mechanism: Mechanism, binding: ChannelBinding, nonce: String) -> Self {
        Self {
            subject,
            binding,
            mechanism,
            server_nonce: nonce,
            state: State::Start,
        }
    }

    /// Whom the client claims to be.
    pub fn subject(&self) -> &Subject {
        &self.subject
    }

    /// Takes what the client sent; None where SASLInitialResponse came without a message. After an error, or
    /// [`Step::Done`], every message is refused.
    ///
    /// # Errors
    /// 08P01, 28000 and 28P01 as the header of [`crate::scram`] says; 0A000 for an authorization identity and for
    /// extensions that the client insists on.
    pub fn step(&mut self, message: Option<&[u8]>) -> Result<Step> {
        match (std::mem::replace(&mut self.state, State::Over), message) {
            (State::Start, None) => {
                self.state = State::Asked;
                Ok(Step::Continue(Vec::new()))
            }
            (State::Start | State::Asked, Some(message)) => {
                let challenge = self.challenge(message)?;
                let answer = challenge.server_first.clone().into_bytes();
                self.state = State::Challenged(challenge);
                Ok(Step::Continue(answer))
            }
            (State::Challenged(challenge), Some(message)) => self.verify(&challenge, message).map(Step::Done),
            (State::Asked | State::Challenged(_), None) => Err(malformed("The message is empty.")),
            (State::Over, _) => Err(violation("the SCRAM exchange is over")),
        }
    }

    fn challenge(&self, message: &[u8]) -> Result<Challenge> {
        let mut reader = Reader::new(message)?;
        let binding = self.read_binding_flag(&mut reader)?;
        match reader.peek() {
            Some(b'a') => {
                let message = "the client uses an authorization identity, which is not supported";
                return Err(Error::unsupported(message));
            }
            Some(b',') => reader.skip(),
            _ => return Err(malformed("Unexpected attribute in client-first-message.")),
        }
        let client_first_bare = reader.rest().to_vec();
        if reader.peek() == Some(b'm') {
            return Err(Error::unsupported(
                "the client requires a SCRAM extension, which is not supported",
            ));
        }
        // The name is not looked at.
        reader.attribute(b'n')?;
        let client_nonce = reader.attribute(b'r')?;
        if !is_printable(client_nonce) {
            return Err(violation("non-printable characters in SCRAM nonce"));
        }
        while !reader.is_at_end() {
            reader.any_attribute()?;
        }
        let nonce = [client_nonce, self.server_nonce.as_bytes()].concat();
        Ok(Challenge {
            binding,
            client_first_bare,
            server_first: self.server_first(&nonce),
            nonce,
        })
    }

    /// Reads the flag of the gs2 header, and says which attribute `c` the final message must have.
    fn read_binding_flag(&self, reader: &mut Reader<'_>) -> Result<String> {
        let flag = reader.peek();
        match (flag, self.mechanism, &self.binding) {
            (Some(b'n' | b'y'), Mechanism::ScramSha256Plus, _) => Err(malformed(
                "The client selected SCRAM-SHA-256-PLUS, but the SCRAM message does not include channel binding data.",
            )),
            // Somebody between us took SCRAM-SHA-256-PLUS out of the list.
            (Some(b'y'), Mechanism::ScramSha256, ChannelBinding::TlsServerEndPoint(_)) => Err(Error::denied(
                SqlState::INVALID_AUTHORIZATION_SPECIFICATION,
                "SCRAM channel binding negotiation error",
            )
            .with_detail(
                "The client supports SCRAM channel binding but thinks the server does not. However, this server does \
                 support channel binding.",
            )),
            (Some(flag @ (b'n' | b'y')), Mechanism::ScramSha256, _) => {
                reader.skip();
                reader.comma()?;
                Ok(BASE64_STANDARD.encode([flag, b',', b',']))
            }
            (Some(b'p'), Mechanism::ScramSha256Plus, ChannelBinding::TlsServerEndPoint(hash)) => {
                if reader.attribute(b'p')? != BINDING_TYPE.as_bytes() {
                    return Err(violation("unsupported SCRAM channel-binding type"));
                }
                Ok(ChannelBinding::proof_of_binding(hash))
            }
            (Some(b'p'), ..) => Err(malformed(
                "The client selected SCRAM-SHA-256 without channel binding, but the SCRAM message includes channel \
                 binding data.",
            )),
            _ => Err(malformed("Unexpected channel-binding flag.")),
        }
    }

    fn server_first(&self, nonce: &[u8]) -> String {
        let nonce = std::str::from_utf8(nonce).expect("both nonces were found to be printable ASCII");
        let verifier = &self.subject.verifier;
        let salt = BASE64_STANDARD.encode(verifier.salt());
        format!("r={nonce},s={salt},i={}", verifier.iterations())
    }

    fn verify(&self, challenge: &Challenge, message: &[u8]) -> Result<Vec<u8>> {
        let mut reader = Reader::new(message)?;
        self.check_binding(reader.attribute(b'c')?, &challenge.binding)?;
        let nonce = reader.attribute(b'r')?;
        let (without_proof, proof) = read_proof(message, &mut reader)?;
        if !bool::from(nonce.ct_eq(&challenge.nonce)) {
            return Err(violation("invalid SCRAM response").with_detail("Nonce does not match."));
        }
        let auth_message: [&[u8]; 5] = [
            &challenge.client_first_bare,
            b",",
            challenge.server_first.as_bytes(),
            b",",
            without_proof,
        ];
        // The order matters: see step 3 of the header.
        let fits = self.proof_fits(&proof, &auth_message);
        if !fits || self.subject.doom.is_some() {
            return Err(self.subject.refusal());
        }
        let signature = keys::hmac(self.subject.verifier.server_key(), &auth_message);
        Ok(format!("v={}", BASE64_STANDARD.encode(signature)).into_bytes())
    }

    fn check_binding(&self, given: &[u8], expected: &str) -> Result<()> {
        if given == expected.as_bytes() {
            return Ok(());
        }
        Err(match self.mechanism {
            Mechanism::ScramSha256Plus => Error::denied(
                SqlState::INVALID_AUTHORIZATION_SPECIFICATION,
                "SCRAM channel binding check failed",
            ),
            Mechanism::ScramSha256 => violation("unexpected SCRAM channel-binding attribute in client-final-message"),
        })
    }

    /// `H(ClientProof XOR HMAC(StoredKey, AuthMessage)) = StoredKey`
    fn proof_fits(&self, proof: &Key, auth_message: &[&[u8]]) -> bool {
        let stored_key = self.subject.verifier.stored_key();
        let client_key = keys::xor(proof, &keys::hmac(stored_key, auth_message));
        keys::hash(&client_key).ct_eq(stored_key).into()
    }
}

/// Shows neither nonces nor keys.
impl fmt::Debug for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exchange")
            .field("subject", &self.subject)
            .field("mechanism", &self.mechanism)
            .finish_non_exhaustive()
    }
}

/// Passes over extensions up to the proof: the message without it, and the proof.
fn read_proof<'a>(message: &'a [u8], reader: &mut Reader<'_>) -> Result<(&'a [u8], Key)> {
    let proof = loop {
        let before = reader.rest().len();
        if let (b'p', value) = reader.any_attribute()? {
            break (message.len() - before, value);
        }
    };
    let (start, value) = proof;
    let key = decode(value).ok_or_else(|| malformed("Malformed proof in client-final-message."))?;
    if !reader.is_at_end() {
        return Err(malformed("Garbage found at the end of client-final-message."));
    }
    // The comma before the proof belongs to neither.
    Ok((&message[..start - 1], key))
}
