//! A role: who somebody is to the database.
//!
//! **Vocabulary.** A *role* that can log in is what others call a user. The *bootstrap role* is `aion`, a superuser that is
//! there before anybody made one. A role without a *verifier* has no password.
//!
//! **Format.** A role is stored as one byte, the version of its encoding (1), followed by JSON with the fields below:
//!
//! ```text
//! 01 {"name":"alice","id":16384,"can_login":true, ... ,"connection_limit":null,"verifier":"SCRAM-SHA-256$...","valid_until":null}
//! ```
//!
//! `valid_until` is in microseconds since 1970-01-01 UTC. A field that a later version adds has a default; a later version byte is
//! refused. The bytes hold the verifier's stored form: they are a secret.

use std::fmt;

use aion_base::id::Timestamp;
use aion_base::{Error, Result, SqlState};
use serde::{Deserialize, Serialize};

use crate::verifier::Verifier;

/// The name of the superuser that is there before anybody made one.
pub const BOOTSTRAP_NAME: &str = "aion";
/// Its id: that of PostgreSQL's.
pub const BOOTSTRAP_ID: RoleId = RoleId(10);
/// The id of the first role that is made: below it are PostgreSQL's own.
pub const FIRST_ID: RoleId = RoleId(16384);
/// A name has at most this many bytes (PostgreSQL's NAMEDATALEN - 1).
pub const NAME_BYTES_MAX: usize = 63;

/// The version of the encoding that this code writes.
const VERSION: u8 = 1;
/// Words that mean all roles, or none.
const RESERVED_NAMES: [&str; 2] = ["public", "none"];
const RESERVED_PREFIX: &str = "pg_";

/// A role's number, given once and never again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RoleId(pub u32);

impl fmt::Display for RoleId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// See the module's header.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Role {
    /// Its name, folded as identifiers are.
    pub name: String,
    /// Its number, which survives a rename.
    pub id: RoleId,
    /// Whether a connection may be of this role.
    pub can_login: bool,
    /// Whether it may do everything.
    pub is_superuser: bool,
    /// Whether it may create, alter and drop roles that are no superusers.
    pub can_create_role: bool,
    /// Whether it may create databases.
    pub can_create_database: bool,
    /// Whether it has the rights of the roles it is a member of without asking.
    pub inherits: bool,
    /// How many connections it may have at once; None for any number. Superusers are not counted.
    pub connection_limit: Option<u32>,
    /// What its password is checked against.
    pub verifier: Option<Verifier>,
    /// Until when its password is valid; None for always. As in PostgreSQL, it is the password that expires, not the role.
    #[serde(with = "micros")]
    pub valid_until: Option<Timestamp>,
}

impl Role {
    /// A role as CREATE ROLE without options makes it.
    pub fn new(name: impl Into<String>, id: RoleId) -> Self {
        Self {
            name: name.into(),
            id,
            can_login: false,
            is_superuser: false,
            can_create_role: false,
            can_create_database: false,
            inherits: true,
            connection_limit: None,
            verifier: None,
            valid_until: None,
        }
    }

    /// The superuser of a new database: without a password, so that it may connect from this machine only.
    pub fn bootstrap() -> Self {
        Self {
            can_login: true,
            is_superuser: true,
            can_create_role: true,
            can_create_database: true,
            ..Self::new(BOOTSTRAP_NAME, BOOTSTRAP_ID)
        }
    }

    /// Whether this is the bootstrap role.
    pub fn is_bootstrap(&self) -> bool {
        self.id == BOOTSTRAP_ID
    }

    /// Whether its password is no longer valid at `now`.
    pub fn has_expired(&self, now: Timestamp) -> bool {
        self.valid_until.is_some_and(|until| until < now)
    }

    /// The bytes to store: a secret.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = vec![VERSION];
        serde_json::to_writer(&mut bytes, self).expect("a role holds text, numbers and truths");
        bytes
    }

    /// Reads what [`Role::to_bytes`] wrote.
    ///
    /// # Errors
    /// Corrupt for anything else. The message does not quote the bytes, which hold a secret.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        match bytes.split_first() {
            Some((&VERSION, json)) => serde_json::from_slice(json).map_err(|error| {
                let (line, column) = (error.line(), error.column());
                Error::corrupt(format!("a stored role is damaged at line {line}, column {column}"))
            }),
            Some((&version, _)) => Err(Error::corrupt(format!(
                "a stored role has version {version}; this version of aion reads {VERSION}"
            ))),
            None => Err(Error::corrupt("a stored role is empty")),
        }
    }
}

/// Checks a name that a user gives to a role.
///
/// # Errors
/// 42602 for an empty one or one with a zero byte, 42622 for one that is too long, 42939 for one that is reserved.
pub fn check_name(name: &str) -> Result<()> {
    if name.is_empty() || name.contains('\0') {
        let message = "a role needs a name, without zero bytes";
        return Err(Error::invalid(SqlState::INVALID_NAME, message));
    }
    if name.len() > NAME_BYTES_MAX {
        let length = name.len();
        let message = format!("the role name \"{name}\" has {length} bytes; the limit is {NAME_BYTES_MAX}");
        return Err(Error::invalid(SqlState::NAME_TOO_LONG, message));
    }
    let reserved = Error::invalid(SqlState::RESERVED_NAME, format!("role name \"{name}\" is reserved"));
    if name.starts_with(RESERVED_PREFIX) {
        return Err(reserved.with_detail("Role names starting with \"pg_\" are reserved."));
    }
    if RESERVED_NAMES.contains(&name) {
        return Err(reserved);
    }
    Ok(())
}

/// What a number after CONNECTION LIMIT means.
///
/// # Errors
/// 22023 for a negative number other than -1, and for one that PostgreSQL's `int` does not hold.
pub fn connection_limit(number: i64) -> Result<Option<u32>> {
    match number {
        -1 => Ok(None),
        0..=0x7fff_ffff => Ok(u32::try_from(number).ok()),
        _ => Err(Error::invalid(
            SqlState::INVALID_PARAMETER_VALUE,
            format!("invalid connection limit: {number}"),
        )
        .with_hint("-1 means no limit.")),
    }
}

/// A timestamp of base as a number.
mod micros {
    use aion_base::id::Timestamp;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<S: Serializer>(time: &Option<Timestamp>, serializer: S) -> Result<S::Ok, S::Error> {
        time.map(|time| time.0).serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Timestamp>, D::Error> {
        Ok(Option::deserialize(deserializer)?.map(Timestamp))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STORED: &str = "SCRAM-SHA-256$4096:7hkitB9zbvNT38uC+SnaRg==$aLPPqnU7bKmPEKFRcIYmJBPJgpooTB4Njk3sZYYnoBM=:1AiZ7l7DQ0bOpFrz8gwTQOq6yUQli2qmH2u7mKZWlgg=";

    fn alice() -> Role {
        Role {
            can_login: true,
            connection_limit: Some(3),
            verifier: Some(Verifier::parse(STORED).expect("PostgreSQL made it")),
            valid_until: Some(Timestamp(1_893_456_000_000_000)),
            ..Role::new("alice", FIRST_ID)
        }
    }

    /// Roles that were stored are read for ever: these bytes must not change.
    #[test]
    fn stored_bytes_are_frozen() {
        let json = format!(
            "{{\"name\":\"alice\",\"id\":16384,\"can_login\":true,\"is_superuser\":false,\"can_create_role\":false,\
             \"can_create_database\":false,\"inherits\":true,\"connection_limit\":3,\"verifier\":\"{STORED}\",\
             \"valid_until\":1893456000000000}}"
        );
        let bytes = [&[1], json.as_bytes()].concat();
        assert_eq!(
            String::from_utf8_lossy(&alice().to_bytes()),
            String::from_utf8_lossy(&bytes)
        );
        assert_eq!(Role::from_bytes(&bytes).expect("frozen"), alice());
        let json = "{\"name\":\"aion\",\"id\":10,\"can_login\":true,\"is_superuser\":true,\"can_create_role\":true,\
                    \"can_create_database\":true,\"inherits\":true,\"connection_limit\":null,\"verifier\":null,\
                    \"valid_until\":null}";
        let bytes = [&[1], json.as_bytes()].concat();
        assert_eq!(Role::bootstrap().to_bytes(), bytes);
        assert_eq!(Role::from_bytes(&bytes).expect("frozen"), Role::bootstrap());
    }

    #[test]
    fn damaged_bytes_are_refused_and_not_quoted() {
        let bytes = alice().to_bytes();
        let text = String::from_utf8(bytes[1..].to_vec()).expect("JSON");
        let swapped = [
            &[1],
            text.replace("\"id\":16384", &format!("\"id\":\"{STORED}\"")).as_bytes(),
        ]
        .concat();
        let spoilt = [&[1], text.replace("$aLPP", "$").as_bytes()].concat();
        let later = [&[2], &bytes[1..]].concat();
        for bytes in [swapped, spoilt, later, bytes[..bytes.len() - 1].to_vec(), vec![]] {
            let error = Role::from_bytes(&bytes).expect_err("damaged");
            assert_eq!(error.state(), SqlState::DATA_CORRUPTED);
            assert!(!format!("{error:?}").contains("7hki"), "{error:?}");
        }
    }

    #[test]
    fn debug_shows_no_secret() {
        let shown = format!("{:?}", alice());
        assert!(shown.contains("alice") && shown.contains("Verifier"), "{shown}");
        assert!(
            !shown.contains("7hki") && !shown.contains("aLPP") && !shown.contains("1AiZ"),
            "{shown}"
        );
    }

    #[test]
    fn names_that_are_reserved_empty_or_too_long() {
        let state = |name: &str| check_name(name).expect_err(name).state();
        assert_eq!(state("pg_monitor"), SqlState::RESERVED_NAME);
        assert_eq!(state("pg_"), SqlState::RESERVED_NAME);
        assert_eq!(state("public"), SqlState::RESERVED_NAME);
        assert_eq!(state("none"), SqlState::RESERVED_NAME);
        assert_eq!(state(""), SqlState::INVALID_NAME);
        assert_eq!(state("a\0b"), SqlState::INVALID_NAME);
        assert_eq!(state(&"\u{FC}".repeat(32)), SqlState::NAME_TOO_LONG);
        for name in ["pg", "Public", "publicist", "Jos\u{E9} Garc\u{ED}a", &"x".repeat(63)] {
            check_name(name).expect(name);
        }
    }

    #[test]
    fn the_connection_limit_goes_from_minus_one() {
        assert_eq!(connection_limit(-1).expect("no limit"), None);
        assert_eq!(connection_limit(0).expect("none at all"), Some(0));
        assert_eq!(connection_limit(i64::from(i32::MAX)).expect("many"), Some(0x7fff_ffff));
        for number in [-2, i64::from(i32::MAX) + 1, i64::MIN] {
            let error = connection_limit(number).expect_err("outside");
            assert_eq!(error.state(), SqlState::INVALID_PARAMETER_VALUE);
        }
    }

    #[test]
    fn a_password_is_valid_up_to_and_at_its_end() {
        let role = alice();
        let end = role.valid_until.expect("it has one");
        assert!(!role.has_expired(end));
        assert!(role.has_expired(Timestamp(end.0 + 1)));
        assert!(!Role::bootstrap().has_expired(Timestamp(u64::MAX)));
    }
}
