//! Distances, HNSW and filtered search. No SQL.
