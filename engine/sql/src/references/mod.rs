//! FOREIGN KEY: rows that refer to others, and what becomes of them when these go.
//!
//! **Vocabulary.** The *parent* is the table referred to, the *child* the one that refers; they may be one. A *tie* is a foreign key
//! with what is needed to follow it either way. The *parent's key* is the key of its row, or of its entry in a unique index, over the
//! columns referred to.
//!
//! **Guarantees.** After each commit, at each level, every row of a child has its row of the parent, whatever other transactions do
//! meanwhile. What a statement does is looked at when all of it is done, so that it may take parent and child away together.
//!
//! **How.**
//! 1. A row that refers ([`Referring`]): the parent's key is looked up as the transaction sees it, and is a precondition of the commit
//!    (`Exists`). Nothing is read, and nothing locked: the parent's other columns may change.
//! 2. A row that others may refer to goes, or its key changes ([`Leaving`]): those that refer are looked up. NO ACTION and RESTRICT want
//!    none, and demand that none comes until the commit (`Empty`, of the range of an index that begins with the referring columns).
//!    Without such an index all rows of the child are read, and must be unchanged at the commit (`Unchanged`): who writes much into
//!    the child wants the index, as in PostgreSQL.
//! 3. CASCADE, SET NULL and SET DEFAULT change the rows that refer as a statement would, with their indexes, CHECKs and ties, one after
//!    the other in the order of their causes. These rows are locked; where somebody else has one, the statement is taken back, waits,
//!    and begins again.
//!
//! **Why preconditions, and no locks on the parent.** PostgreSQL locks the parent's row FOR KEY SHARE for each row that refers to it.
//! Here the commit is decided from keys: a lock could keep the one who deletes waiting, and would have to be checked at the commit all
//! the same. A precondition takes no lock's memory, nobody waits at a parent that is in great demand, and no deadlock comes of two who
//! refer to the same parents in another order. What it costs: who comes second learns it at the commit (23503), and not at the
//! statement.
//!
//! **The catalog.** A statement relies upon the descriptors of all tables that its ties lead to. A foreign key that comes changes the
//! descriptor of its parent as well, so that a DELETE that was planned without knowing it is refused.
//!
//! **Later.** A deferred foreign key may be broken between the statements of a transaction: what is broken at the end of a statement is
//! written down, and looked at again before the commit ([`check_deferred`]). Only what NO ACTION refuses can wait; actions cannot.
//!
//! **Left out:** ties between types of different families that PostgreSQL can compare (a date and a timestamp, numbers with a
//! point of another kind).

mod children;
mod key;
mod leaving;
mod referring;
mod tie;
mod ties;

pub(crate) use children::check_deferred;
pub(crate) use key::{Comparable, comparable};
pub(crate) use leaving::{Busy, Leaving};
pub(crate) use referring::{Referring, check_rows};
pub(crate) use tie::{Tie, has_key, violation};
pub(crate) use ties::{Ties, Touched};
