//! Distances, and nearest neighbours over a graph (HNSW) that keeps versions. No SQL, no Arrow, no storage.
//!
//! **Vocabulary.** A *key* is the bytes of a row's key. A *version* is one vector that a row had, from the log index at
//! which it was *born* until the one at which it *died*; a *read point* sees the versions with born <= read point < died.
//! A *node* is one distinct vector in the graph, with all the versions that have it. A *stray* is a node whose vector the
//! graph cannot rank in 32-bit floats (a zero vector under cosine, extreme magnitudes): it is always compared exactly.
//! *Expansion* is HNSW's ef: how many candidates a search or an insertion follows.
//!
//! **Guarantee.** [`VectorIndex::nearest`] gives min(count, visible) hits, each with the distance in f64 computed from the
//! stored vector, ordered by (distance, key). Which hits is the approximate part: a nearer row may be missed, and how
//! often is measured as recall. [`VectorIndex::nearest_exact`] misses nothing and costs a scan.
//!
//! ```text
//! metric.rs       the distances and their order
//! graph.rs        usearch, fenced: capacity, thread slots, errors
//! versions.rs     who has which vector, since when and until when
//! index/          VectorIndex: changes, bulk load, search, compaction
//! file/           the whole index as one checked file
//! ```
//!
//! Left out: quantised vectors, IVF, filters beyond visibility (the caller asks for more and filters), and following the
//! log: the caller calls [`VectorIndex::put`] and [`VectorIndex::remove`] in log order.

mod file;
mod graph;
mod index;
mod metric;
mod versions;

pub use index::{Hit, HnswOptions, Stats, VectorIndex};
pub use metric::{Metric, by_distance};
