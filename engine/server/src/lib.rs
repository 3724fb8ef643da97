//! The edge: wire formats, and nothing else.
//!
//! Each protocol is a module that translates between bytes and the one session type of `aion_db`, so that transactions,
//! cancellation, limits and errors are the same on each. No statement is understood here and no row is made here.
//!
//! * [`pgwire`]: the PostgreSQL protocol.
//!
//! [`ServerLimits`] are the limits of all of them; [`check_bind`] decides which addresses may be served.

mod bind;
mod limits;
pub mod pgwire;

pub use bind::check_bind;
pub use limits::ServerLimits;
