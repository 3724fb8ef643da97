//! Cancel requests.
//!
//! A client that wants its running statement to end opens a second connection and sends the process id and the
//! secret that the first one was given (`BackendKeyData`). [`Cancellers`] knows the living connections; a request
//! with a wrong secret does nothing, and no request is ever answered.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ::pgwire::messages::cancel::CancelRequest;
use ::pgwire::messages::startup::{BackendKeyData, SecretKey};
use ::pgwire::messages::{PgWireBackendMessage, ProtocolVersion};
use aion_base::{Error, Result};
use aion_db::Canceller;
use bytes::Bytes;

/// Bytes of a secret since protocol 3.2; before it has 4.
const LONG_SECRET_BYTES: usize = 32;
const SHORT_SECRET_BYTES: usize = 4;

/// The living connections, by process id.
#[derive(Default)]
pub(crate) struct Cancellers {
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    last_pid: i32,
    connections: HashMap<i32, (Bytes, Canceller)>,
}

/// A connection's entry; dropping it removes the entry.
pub(crate) struct Registration {
    cancellers: Arc<Cancellers>,
    pid: i32,
    secret: SecretKey,
}

impl Cancellers {
    /// Enters a connection. There are never more than the limit on connections allows.
    ///
    /// # Errors
    /// The operating system gives no random numbers.
    pub(crate) fn register(self: &Arc<Self>, version: ProtocolVersion, canceller: Canceller) -> Result<Registration> {
        let mut secret = [0; LONG_SECRET_BYTES];
        getrandom::fill(&mut secret)
            .map_err(|error| Error::internal(format!("no randomness for a secret: {error}")))?;
        let secret = match version {
            ProtocolVersion::PROTOCOL3_0 => Bytes::copy_from_slice(&secret[..SHORT_SECRET_BYTES]),
            _ => Bytes::copy_from_slice(&secret),
        };
        let mut known = self.lock();
        let mut pid = known.last_pid;
        loop {
            pid = if pid == i32::MAX { 1 } else { pid + 1 };
            if !known.connections.contains_key(&pid) {
                break;
            }
        }
        known.last_pid = pid;
        known.connections.insert(pid, (secret.clone(), canceller));
        drop(known);
        Ok(Registration {
            cancellers: Arc::clone(self),
            pid,
            secret: SecretKey::Bytes(secret),
        })
    }

    /// Ends what the connection that is meant is running; nothing happens if the secret is not its own.
    pub(crate) fn request(&self, request: &CancelRequest) {
        let given = request.secret_key.to_bytes();
        if let Some((secret, canceller)) = self.lock().connections.get(&request.pid)
            && equal(secret, &given)
        {
            canceller.cancel();
        }
    }

    /// Ends everything that runs.
    pub(crate) fn cancel_all(&self) {
        for (_, canceller) in self.lock().connections.values() {
            canceller.cancel();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        // The map is whole after every statement above, also if a canceller panicked.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Registration {
    /// What the client is told.
    pub(crate) fn message(&self) -> PgWireBackendMessage {
        PgWireBackendMessage::BackendKeyData(BackendKeyData::new(self.pid, self.secret.clone()))
    }

    /// The number of the connection, for the log.
    pub(crate) fn pid(&self) -> i32 {
        self.pid
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.cancellers.lock().connections.remove(&self.pid);
    }
}

/// Compares in a time that does not tell where the first difference is.
fn equal(one: &[u8], other: &[u8]) -> bool {
    one.len() == other.len() && one.iter().zip(other).fold(0, |difference, (a, b)| difference | (a ^ b)) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_compared_whole() {
        assert!(equal(b"abcd", b"abcd"));
        assert!(!equal(b"abcd", b"abcx"));
        assert!(!equal(b"abcd", b"abc"));
    }
}
