//! The nearest vectors first: `ORDER BY column <-> vector LIMIT k` through an hnsw index.
//!
//! **Guarantee.** The rows are those of the plan without the index, but for rows that the search in the graph missed; there are
//! exactly min(k, matches) of them, each with its exact distance, in the exact order of all sort keys. `SET hnsw.exact = on`
//! leaves the plan as it is.
//!
//! The sorted input may be anything that keeps or drops rows of the table one by one: filters, joins, semi-joins, projections. So
//! instead of asking which rows of the graph pass, the whole input is run on a few rows:
//!
//! 1. Find, under the sort, the table's column that the distance is of ([`rewrite`]), and its index.
//! 2. Run the other inputs of the joins on the way and keep what they give ([`kept`]).
//! 3. Ask the graph for the nearest rows; add the rows that the transaction itself changed.
//! 4. Run the plan with the table's scan replaced by lookups of those rows ([`exec`]).
//! 5. If it gives k rows, and the last is nearer than the farthest row that the graph gave, no other row can be among them: done.
//!    Otherwise ask for four times as many. When their lookups would cost half of what the scan is estimated to cost, or the graph
//!    has no more, run the plan as it was.

mod exec;
mod followers;
mod kept;
mod rewrite;
mod saved;

pub(crate) use exec::NearestExec;
pub(crate) use followers::Followers;
pub(crate) use kept::KeptExec;
pub(crate) use rewrite::rewrite;
pub(crate) use saved::SavedGraphs;
