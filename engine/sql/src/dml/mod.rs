//! INSERT, UPDATE, DELETE and MERGE.
//!
//! **Why not DataFusion's.** Its table providers get only the filters that survived optimisation: `DELETE ... WHERE id IN
//! (SELECT ...)` then deletes every row. Here a change is a *source* and a *target*:
//!
//! 1. The source is a plain query, planned like any other: for INSERT the new rows; for UPDATE the key of each row and the new
//!    values of all columns; for DELETE the key.
//! 2. It is read to its end before anything is written, so a statement never meets its own changes.
//! 3. Each row goes into the transaction with its index entries, checked for NOT NULL, length and uniqueness. If
//!    one is refused, what the statement wrote so far is taken back.
//! 4. When all rows are written, foreign keys are looked at, and what they do to other rows is done (`references`).
//! 5. RETURNING is a query over the rows that were written (for DELETE, that were there).
//!
//! INSERT ... ON CONFLICT looks for the keys of its rows before it writes ([`proposed`]), and is an INSERT of some of them and an UPDATE of
//! the rows that have the keys of others.
//!
//! MERGE is all three over pairs of a row of its source and one of its target ([`merge`]).
//!
//! An UPDATE that joins one target row with several others changes it once, with one of them, as PostgreSQL does.

mod assignment;
mod conflict;
mod encode;
mod identity;
mod many;
mod merge;
mod outgrown;
mod plan;
mod proposed;
mod returning;
mod row_index;
mod rows;
mod rules;
mod run;
mod write;

pub(crate) use conflict::{ConflictUpdate, OnConflict};
pub(crate) use encode::{ColumnEncoder, RowEncoder, null_violation};
pub(crate) use many::ManyRows;
pub(crate) use merge::{carry as carry_merge, is_mentioned as mentions_merge, plan_merge};
pub(crate) use outgrown::Outgrown;
pub(crate) use plan::{
    Change, ChangeKind, TARGET, assigned_type, at, key_positions, normalize, plan_change, positions_of, reference,
    select, target_as,
};
pub(crate) use proposed::Proposed;
pub(crate) use rows::RowWrites;
pub(crate) use rules::{RowRules, failing_row, first_null, unchecked_schema, violated_by_some_row};
pub(crate) use write::{Encoded, Ran, Written, keys, merged_keys, run, run_encoded, run_merge, run_steps};
