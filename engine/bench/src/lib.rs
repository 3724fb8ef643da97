//! Side-by-side benchmarks: the same work on us and on a peer, in turn.

pub mod point_select;
