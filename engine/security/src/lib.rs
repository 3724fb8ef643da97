//! Passwords, roles, and who may connect how, for the PostgreSQL protocol.
//!
//! - [`verifier`]: what is stored of a password, in PostgreSQL's format.
//! - [`scram`]: SCRAM-SHA-256 with and without channel binding, both sides, as state machines over bytes.
//! - [`role`]: a role and its bytes; [`roles`]: all of them, and what CREATE, ALTER and DROP ROLE may do.
//! - [`decide`]: how a connection proves who it is, and whether it is let in.
//! - [`certificate`]: the hash of a server's certificate that channel binding takes.
//!
//! **Guarantees.** Nothing here does IO or waits; randomness comes from the operating system, the time from the caller. No
//! `Debug`, error or detail shows a password, a key or a salt. Secrets are compared in constant time. Whether a role with a
//! password exists is not told before the password was shown.
//!
//! **Left out.** TLS, files, keys of the catalog, and sockets are the callers'. Memory that held a password is not wiped.

pub mod certificate;
pub mod decide;
mod keys;
pub mod role;
pub mod roles;
mod saslprep;
pub mod scram;
pub mod verifier;

pub use decide::{Method, Mock, Peer, Place, Transport};
pub use role::{Role, RoleId};
pub use roles::Roles;
pub use scram::{ChannelBinding, Client, Exchange, Mechanism, Step, Subject};
pub use verifier::{Hashing, Verifier};
