//! Who makes a call.
//!
//! A client may log in (Handshake, or `Authorization: Basic` with each call): the user name is the role, any password
//! is taken, because [`crate::check_bind`] keeps strangers away. A handshake answers a bearer token, which is the handle
//! of a login with a session of its own. A client that does neither is the one role there is.

use std::sync::Arc;

use aion_base::{Error, Result, SqlState};
use aion_db::SessionOptions;
use bytes::Bytes;
use tonic::metadata::MetadataMap;

use super::base64;
use super::held::Owner;
use super::listener::{Peer, Shared};
use super::seat::Seat;
use crate::service::{NAME, admit, too_many_connections};

const AUTHORIZATION: &str = "authorization";

/// Who makes a call, and for whom it is counted.
#[derive(Clone)]
pub(super) struct Caller {
    pub(super) owner: Owner,
    /// The session of its login.
    pub(super) seat: Option<Arc<Seat>>,
    pub(super) options: SessionOptions,
}

/// Finds out who makes a call.
///
/// # Errors
/// 53300 on a connection beyond the limit; 28000 for a stranger or a login that has expired.
pub(super) fn caller(shared: &Shared, metadata: &MetadataMap, peer: Option<&Peer>) -> Result<Caller> {
    let Some(peer) = peer else {
        return Err(Error::internal("a call came without a connection"));
    };
    if !peer.is_admitted {
        return Err(too_many_connections(shared.service.limits.connections_max));
    }
    let connection = Owner::Connection(peer.number);
    let given = metadata.get(AUTHORIZATION).map(|value| value.to_str());
    let (scheme, credentials) = match given {
        None => ("", ""),
        Some(Ok(text)) => text.split_once(' ').unwrap_or((text, "")),
        Some(Err(_)) => return Err(unreadable()),
    };
    if scheme.is_empty() {
        return Ok(Caller {
            owner: connection,
            seat: None,
            options: check_role(NAME)?,
        });
    }
    if scheme.eq_ignore_ascii_case("basic") {
        let user = basic(credentials).ok_or_else(unreadable)?;
        return Ok(Caller {
            owner: connection,
            seat: None,
            options: check_role(&user)?,
        });
    }
    if scheme.eq_ignore_ascii_case("bearer") {
        let token = from_hex(credentials.trim()).ok_or_else(unreadable)?;
        let seat = shared.logins.get(&token).map_err(|error| {
            let message = "the login is unknown or has expired";
            let error = Error::denied(SqlState::INVALID_AUTHORIZATION_SPECIFICATION, message)
                .with_hint(error.hint().unwrap_or_default());
            error.with_detail("A login ends with the server and when it is closed.")
        })?;
        return Ok(Caller {
            owner: Owner::Login(token),
            seat: Some(seat),
            options: check_role(NAME)?,
        });
    }
    Err(unreadable())
}

/// The session that a role may have.
///
/// # Errors
/// 28000 for another role than ours.
pub(super) fn check_role(user: &str) -> Result<SessionOptions> {
    let admitted = admit(user, NAME, "");
    admitted.map_err(|error| error.with_hint(format!("The role is {NAME}: username=\"{NAME}\", any password.")))
}

fn unreadable() -> Error {
    Error::denied(
        SqlState::INVALID_AUTHORIZATION_SPECIFICATION,
        "the authorization header is neither Basic nor a Bearer token of this server",
    )
}

/// The user of `user:password` in base64.
fn basic(credentials: &str) -> Option<String> {
    let text = String::from_utf8(base64::decode(credentials.trim())?).ok()?;
    text.split_once(':').map(|(user, _)| user.to_owned())
}

/// A handle as a token.
pub(super) fn to_hex(handle: &[u8]) -> String {
    handle.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn from_hex(text: &str) -> Option<Bytes> {
    if !text.is_ascii() || !text.len().is_multiple_of(2) {
        return None;
    }
    let pairs = (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16).ok());
    pairs.collect::<Option<Vec<u8>>>().map(Bytes::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_read_back() {
        assert_eq!(
            from_hex(&to_hex(b"\x00\xff\x10")).expect("hex"),
            b"\x00\xff\x10".as_slice()
        );
        for wrong in ["0", "0g", "ää"] {
            assert!(from_hex(wrong).is_none(), "{wrong}");
        }
    }

    #[test]
    fn a_password_is_not_looked_at() {
        assert_eq!(basic("YWlvbjpzZWNyZXQ="), Some("aion".to_owned()));
        assert_eq!(basic("YWlvbg=="), None, "no colon");
        assert_eq!(basic("?"), None);
    }
}
