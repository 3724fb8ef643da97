//! Who may connect, and how he proves who he is.
//!
//! **Vocabulary.** A *peer* is the other end of a connection: its *place*, this machine or elsewhere, and its *transport*, in TLS
//! or not. A *method* is what the peer must do. A *mock* makes verifiers for roles that have none, so that an exchange can be held.
//!
//! 1. Before anything is asked, [`method`]:
//!
//!    | | this machine | elsewhere in TLS | elsewhere without |
//!    |---|---|---|---|
//!    | role with a password | SCRAM | SCRAM | 28000 |
//!    | role without | trust | SCRAM, doomed | 28000 |
//!    | role whose password has expired | SCRAM, doomed | SCRAM, doomed | 28000 |
//!    | no such role | SCRAM, doomed; 28000 where no role has a password | SCRAM, doomed | 28000 |
//!
//! 2. After the peer has proved who he is, [`admit`]: the role may log in, and has a connection left.
//!
//! **Guarantees.** What a stranger is told does not depend on which roles there are: the last column is decided without looking,
//! a doomed exchange ends in the same 28P01 as a wrong password, and what else there is to say about a role is said in step 2, to
//! whom the role is. On this machine only roles without a password are told apart, which anybody there may be anyway. While no
//! role has a password there is nothing to hide, and a wrong name gets a plain answer instead of a question for a password.
//!
//! A mock's salt is HMAC(secret, name): the same at each try, as a real one is (PostgreSQL's `mock_authentication_nonce`). The secret
//! must therefore outlive the process, and an expired password keeps its real salt.

use std::fmt;
use std::net::IpAddr;

use aion_base::id::Timestamp;
use aion_base::{Error, Result, SqlState};

use crate::keys::{self, Key};
use crate::role::Role;
use crate::roles::Roles;
use crate::scram::{Reason, Subject};
use crate::verifier::{Hashing, Verifier};

/// Bytes of a mock's secret.
pub const SECRET_BYTES: usize = 32;

/// Where a peer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// On this machine: a Unix socket, or an address of the loopback interface.
    ThisMachine,
    /// Anywhere else.
    Elsewhere,
}

impl Place {
    /// The place of an address.
    pub fn of(address: IpAddr) -> Self {
        // `::ffff:127.0.0.1` is how a socket for both families shows an IPv4 peer.
        if address.to_canonical().is_loopback() {
            Self::ThisMachine
        } else {
            Self::Elsewhere
        }
    }
}

/// What carries a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// Bytes that anybody on the way can read.
    Plain,
    /// TLS.
    Tls,
}

/// The other end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Where it is.
    pub place: Place,
    /// What carries the connection.
    pub transport: Transport,
}

/// What a peer must do.
#[derive(Clone, Debug)]
pub enum Method {
    /// Nothing: it is believed.
    Trust,
    /// Hold an exchange with [`crate::scram::Exchange`], or show the password itself ([`Subject::check_password`]) inside TLS or on
    /// this machine.
    Scram(Subject),
}

/// Makes verifiers for those who have none.
#[derive(Clone)]
pub struct Mock {
    secret: Key,
    hashing: Hashing,
}

impl Mock {
    /// One whose verifiers look like those that `hashing` makes. The secret is as old as the database, see [`Mock::new_secret`].
    pub fn new(secret: [u8; SECRET_BYTES], hashing: Hashing) -> Self {
        Self { secret, hashing }
    }

    /// A secret for a new database, to be stored with it.
    ///
    /// # Errors
    /// Internal if the operating system gives no randomness.
    pub fn new_secret() -> Result<[u8; SECRET_BYTES]> {
        keys::random()
    }

    fn verifier(&self, name: &str) -> Verifier {
        let derive = |purpose: &[u8], counter: u8| keys::hmac(&self.secret, &[purpose, &[counter], name.as_bytes()]);
        let blocks = (0..=u8::MAX).flat_map(|counter| derive(b"salt", counter));
        let salt = blocks.take(self.hashing.salt_bytes()).collect();
        Verifier::unanswerable(
            self.hashing.iterations(),
            salt,
            derive(b"stored", 0),
            derive(b"server", 0),
        )
    }

    fn subject(&self, name: &str, reason: Reason) -> Subject {
        Subject::doomed(name, self.verifier(name), reason)
    }
}

impl fmt::Debug for Mock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mock")
            .field("hashing", &self.hashing)
            .finish_non_exhaustive()
    }
}

/// How the peer that calls itself `name` proves that it is: step 1 of the header.
///
/// # Errors
/// 28000.
pub fn method(roles: &Roles, name: &str, peer: Peer, now: Timestamp, mock: &Mock) -> Result<Method> {
    if peer.place == Place::Elsewhere && peer.transport == Transport::Plain {
        return Err(refuse("connections from other machines need TLS")
            .with_hint("Connect with sslmode=require, or from the machine that the server runs on."));
    }
    // Made for everybody, so that having to make it takes nobody longer.
    let unknown = mock.subject(name, Reason::UnknownRole);
    let Some(role) = roles.get(name) else {
        if peer.place == Place::ThisMachine && !roles.any_password() {
            return Err(refuse(format!("role \"{name}\" does not exist")));
        }
        return Ok(Method::Scram(unknown));
    };
    Ok(match (&role.verifier, peer.place) {
        (None, Place::ThisMachine) => Method::Trust,
        (None, Place::Elsewhere) => Method::Scram(mock.subject(name, Reason::NoPassword)),
        (Some(verifier), _) if role.has_expired(now) => {
            Method::Scram(Subject::doomed(name, verifier.clone(), Reason::PasswordExpired))
        }
        (Some(verifier), _) => Method::Scram(Subject::new(name, verifier.clone())),
    })
}

/// Whether the role, which the peer has proved to be, is let in beside its `others`, the connections that it has already: step 2 of
/// the header. The caller counts the new connection in the same critical section, so that two do not take the last place.
///
/// # Errors
/// 28000 without LOGIN, 53300 at the connection limit.
pub fn admit(role: &Role, others: usize) -> Result<()> {
    if !role.can_login {
        return Err(refuse(format!("role \"{}\" is not permitted to log in", role.name)));
    }
    let limit = role.connection_limit.map(|limit| limit as usize);
    if !role.is_superuser && limit.is_some_and(|limit| others >= limit) {
        let message = format!("too many connections for role \"{}\"", role.name);
        return Err(Error::exhausted(SqlState::TOO_MANY_CONNECTIONS, message));
    }
    Ok(())
}

/// 28000.
fn refuse(message: impl Into<String>) -> Error {
    Error::denied(SqlState::INVALID_AUTHORIZATION_SPECIFICATION, message)
}

#[cfg(test)]
mod tests;
