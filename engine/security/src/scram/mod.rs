//! SCRAM-SHA-256 and SCRAM-SHA-256-PLUS (RFC 5802, RFC 7677), both sides.
//!
//! **Vocabulary.** The *exchange* is the server's side, the *client* the other. A *mechanism* is a name under which SCRAM is
//! offered; with `-PLUS` the client's proof covers the *channel binding*, a hash of the server's certificate
//! (`tls-server-end-point`, RFC 5929), so that nobody between the two with a certificate of his own can pass the proof on. The
//! *gs2 header* says whether the client binds: `n` it cannot, `y` it could and believes that the server cannot, `p` it does. A
//! *subject* is whom the client claims to be, with the verifier to check against. A *doomed* subject's exchange looks like any
//! other and fails at its end.
//!
//! ```text
//! client                                                          server
//!   | AuthenticationSASL: mechanisms                                 |      Mechanism::offered
//!   | <-------------------------------------------------------------- |
//!   | n,,n=,r=<client nonce>                                         |      client-first-message
//!   | --------------------------------------------------------------> |
//!   | r=<client nonce><server nonce>,s=<salt>,i=<iterations>         |      server-first-message: Step::Continue
//!   | <-------------------------------------------------------------- |
//!   | c=<gs2 header, channel binding>,r=<both nonces>,p=<proof>      |      client-final-message
//!   | --------------------------------------------------------------> |
//!   | v=<server signature>                                           |      server-final-message: Step::Done
//!   | <-------------------------------------------------------------- |
//! ```
//!
//! **Guarantees.** A side that returned an error, or that is done, accepts no further message. A message is refused beyond
//! [`MESSAGE_BYTES_MAX`] before it is looked at. Which checks are made, in which order and with which SQLSTATE is PostgreSQL's
//! (`auth-scram.c`): 08P01 for messages that are not SCRAM, 28000 for a downgrade, 28P01 for a wrong proof. The name in the
//! client's message is ignored, as there: the one in the startup packet counts.

mod client;
mod exchange;
mod message;

use std::fmt;

use aion_base::{Error, Result, SqlState};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;

pub use client::Client;
pub use exchange::{Exchange, Reason, Step, Subject};

use crate::keys;

/// Bytes of a message, at most: PostgreSQL's limit.
pub const MESSAGE_BYTES_MAX: usize = 1024;
/// Bytes of a certificate's hash, at most: SHA-512's.
pub const BINDING_BYTES_MAX: usize = 64;

/// Random bytes of a nonce, before base64: PostgreSQL's number, no padding.
const NONCE_BYTES: usize = 18;
/// The one type of channel binding, as the client names it in its gs2 header.
const BINDING_TYPE: &str = "tls-server-end-point";

/// What a connection can be bound to.
#[derive(Clone, PartialEq, Eq, Default)]
pub enum ChannelBinding {
    /// Nothing: the connection is not in TLS, or the certificate has no such hash.
    #[default]
    None,
    /// The hash of the server's certificate, see [`crate::certificate`].
    TlsServerEndPoint(Vec<u8>),
}

impl ChannelBinding {
    /// The binding to a certificate with this hash.
    ///
    /// # Errors
    /// 22023 for a hash without bytes, or longer than [`BINDING_BYTES_MAX`].
    pub fn tls_server_end_point(hash: &[u8]) -> Result<Self> {
        if hash.is_empty() || hash.len() > BINDING_BYTES_MAX {
            let message = format!(
                "a certificate's hash has 1 to {BINDING_BYTES_MAX} bytes, not {}",
                hash.len()
            );
            return Err(Error::invalid(SqlState::INVALID_PARAMETER_VALUE, message));
        }
        Ok(Self::TlsServerEndPoint(hash.to_vec()))
    }

    /// The attribute `c` of a client that binds.
    fn proof_of_binding(hash: &[u8]) -> String {
        BASE64_STANDARD.encode([format!("p={BINDING_TYPE},,").as_bytes(), hash].concat())
    }
}

impl fmt::Debug for ChannelBinding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "None",
            Self::TlsServerEndPoint(_) => "TlsServerEndPoint",
        })
    }
}

/// A name under which SCRAM is offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mechanism {
    /// Without channel binding.
    ScramSha256,
    /// With.
    ScramSha256Plus,
}

impl Mechanism {
    /// What a server offers on a connection, the better first.
    pub fn offered(binding: &ChannelBinding) -> &'static [Self] {
        match binding {
            ChannelBinding::None => &[Self::ScramSha256],
            ChannelBinding::TlsServerEndPoint(_) => &[Self::ScramSha256Plus, Self::ScramSha256],
        }
    }

    /// What the client chose, of what was offered.
    ///
    /// # Errors
    /// 08P01 for anything else.
    pub fn chosen(name: &str, binding: &ChannelBinding) -> Result<Self> {
        let offered = Self::offered(binding).iter().copied();
        let mut named = offered.filter(|mechanism| mechanism.name() == name);
        named.next().ok_or_else(|| {
            let message = "the client selected an invalid SASL authentication mechanism";
            Error::invalid(SqlState::PROTOCOL_VIOLATION, message)
        })
    }

    /// As IANA registered it.
    pub fn name(self) -> &'static str {
        match self {
            Self::ScramSha256 => "SCRAM-SHA-256",
            Self::ScramSha256Plus => "SCRAM-SHA-256-PLUS",
        }
    }
}

fn new_nonce() -> Result<String> {
    Ok(BASE64_STANDARD.encode(keys::random::<NONCE_BYTES>()?))
}

#[cfg(test)]
mod tests;
