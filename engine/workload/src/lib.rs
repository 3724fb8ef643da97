//! What the benchmarks ask of every engine: the same keys, the same values, the same draws, the same loop around them.
//!
//! An engine is measured by giving [`driver::drive`] a task for each thread: `aion bench oltp` gives tasks over sessions, the program
//! `aion-peers` such over SQLite and RocksDB. So that neither of the two can ask for something easier, all that decides the work is
//! here, and nothing here knows an engine.
//!
//! **Formats.**
//!
//! ```text
//! record   key    "user" and 19 digits, the hash of its number: 23 bytes                 record
//!          value  letters, digits, - and _, 6 random bits each; 1,000 of them in YCSB     record
//! account  id     1 to the number of accounts, an integer                                accounts
//!          balance a bigint; filler 84 letters x, as the row of pgbench has them          accounts
//! ```
//!
//! **Vocabulary.** A *record* has a *number*: 0 is the first that was loaded. A *digest* is 64 bits that depend on every byte that
//! was read, kept so that no reading can be left out; a *checksum* is a sum of digests, which does not depend on their order.
//!
//! **Guarantees.** The same seed draws the same operations. A record is drawn only once its insertion was acknowledged, so each
//! read has its row, and an engine that finds none is wrong.

pub mod accounts;
pub mod driver;
pub mod histogram;
pub mod outcome;
pub mod record;
pub mod ycsb;
pub mod zipfian;
