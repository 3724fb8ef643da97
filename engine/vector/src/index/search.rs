//! The nearest rows at a read point.
//!
//! Steps of [`VectorIndex::nearest`]:
//!
//! 1. Ask the graph for as many nodes as the expansion says, and for more where many nodes have no row that lives.
//! 2. Take the versions of those nodes that the read point sees, and all visible strays.
//! 3. If they are fewer than `count`, double and search again.
//! 4. Compute the distances in f64, keep the `count` least by (distance, key).
//!
//! When the nodes asked for are a fair share of all, or the graph reaches no more, or cannot rank by this query (a zero
//! vector under cosine or inner product), every version is compared instead: so min(count, visible) rows always come.

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::sync::Arc;

use aion_base::id::LogIndex;
use aion_base::{Error, Result, SqlState};

use super::{Hit, State, VectorIndex, check_finite};
use crate::graph::Graph;
use crate::metric::by_distance;
use crate::versions::Version;

/// A node of a scan costs 0.1 us and one wanted of the graph 1 us, by `examples/measure.rs` with 12 dimensions; from there
/// some way on towards the scan, which is exact.
const SCAN_SHARE: usize = 16;

impl VectorIndex {
    /// The `count` nearest rows at `read_point`, nearest first, by (distance, key); fewer only where fewer are visible.
    pub fn nearest(&self, query: &[f32], count: usize, read_point: LogIndex) -> Result<Vec<Hit>> {
        self.nearest_with(query, count, read_point, self.options.expansion_search)
    }

    /// As [`VectorIndex::nearest`], with another expansion: more finds more of the truly nearest, and takes longer.
    pub fn nearest_with(
        &self,
        query: &[f32],
        count: usize,
        read_point: LogIndex,
        expansion: usize,
    ) -> Result<Vec<Hit>> {
        self.check_query(query)?;
        let state = self.state.read();
        match self.search_graph(&state, query, count, read_point, expansion)? {
            Some(hits) => Ok(hits),
            None => self.scan(&state, query, count, read_point),
        }
    }

    /// As [`VectorIndex::nearest`], by comparing every row: misses nothing.
    pub fn nearest_exact(&self, query: &[f32], count: usize, read_point: LogIndex) -> Result<Vec<Hit>> {
        self.check_query(query)?;
        self.scan(&self.state.read(), query, count, read_point)
    }

    fn check_query(&self, query: &[f32]) -> Result<()> {
        if query.len() != self.dimensions {
            let message = format!("different vector dimensions {} and {}", query.len(), self.dimensions);
            return Err(Error::invalid(SqlState::DATA_EXCEPTION, message));
        }
        check_finite(query)
    }

    /// None where a scan is the better, or the only, way.
    fn search_graph(
        &self,
        state: &State,
        query: &[f32],
        count: usize,
        read_point: LogIndex,
        expansion: usize,
    ) -> Result<Option<Vec<Hit>>> {
        if count == 0 {
            return Ok(Some(Vec::new()));
        }
        let Some(ranked) = Graph::query(self.metric, query) else {
            return Ok(None);
        };
        let (versions, in_graph) = (&state.versions, state.graph.len());
        let useless = versions.dead_count() + versions.empty_node_count();
        let useful = versions.alive_count().max(1);
        let mut wanted = count.saturating_mul(useless + useful).div_ceil(useful).max(expansion);
        loop {
            if wanted.saturating_mul(SCAN_SHARE) >= in_graph {
                return Ok(None);
            }
            let labels = state.graph.search(&ranked, wanted)?;
            let is_visible = |version: &&Version| version.is_visible(read_point);
            let visible = || {
                labels
                    .iter()
                    .flat_map(|label| versions.of_node(*label))
                    .filter(is_visible)
            };
            if visible().take(count).count() == count {
                let mut nearest = Nearest::new(count);
                let mut vector = vec![0.0; self.dimensions];
                for label in &labels {
                    self.offer(state, query, *label as u32, read_point, &mut vector, &mut nearest)?;
                }
                for label in versions.strays().keys() {
                    self.offer(state, query, *label, read_point, &mut vector, &mut nearest)?;
                }
                return Ok(Some(nearest.into_hits()));
            }
            if labels.len() < wanted {
                // The graph reaches no more, and not enough of it is visible.
                return Ok(None);
            }
            wanted = wanted.saturating_mul(2);
        }
    }

    fn scan(&self, state: &State, query: &[f32], count: usize, read_point: LogIndex) -> Result<Vec<Hit>> {
        let mut nearest = Nearest::new(count);
        let mut vector = vec![0.0; self.dimensions];
        for label in 0..state.versions.node_count() {
            self.offer(state, query, label as u32, read_point, &mut vector, &mut nearest)?;
        }
        Ok(nearest.into_hits())
    }

    /// Compares the visible versions of a node.
    fn offer<'a>(
        &self,
        state: &'a State,
        query: &[f32],
        label: u32,
        read_point: LogIndex,
        vector: &mut [f32],
        nearest: &mut Nearest<'a>,
    ) -> Result<()> {
        let mut visible = state
            .versions
            .of_node(u64::from(label))
            .filter(|version| version.is_visible(read_point));
        let Some(first) = visible.next() else {
            return Ok(());
        };
        state.read_vector(label, vector)?;
        let distance = self.metric.distance(query, vector);
        nearest.offer(distance, &first.key);
        for version in visible {
            nearest.offer(distance, &version.key);
        }
        Ok(())
    }
}

/// The least `count` by (distance, key) of all that were offered.
struct Nearest<'a> {
    count: usize,
    /// The farthest on top.
    kept: BinaryHeap<Candidate<'a>>,
}

struct Candidate<'a> {
    distance: f64,
    key: &'a Arc<[u8]>,
}

impl<'a> Nearest<'a> {
    fn new(count: usize) -> Self {
        Self {
            count,
            kept: BinaryHeap::new(),
        }
    }

    fn offer(&mut self, distance: f64, key: &'a Arc<[u8]>) {
        let candidate = Candidate { distance, key };
        if self.kept.len() < self.count {
            self.kept.push(candidate);
        } else if let Some(mut farthest) = self.kept.peek_mut()
            && candidate < *farthest
        {
            *farthest = candidate;
        }
    }

    fn into_hits(self) -> Vec<Hit> {
        let hit = |candidate: Candidate<'_>| Hit {
            key: candidate.key.clone(),
            distance: candidate.distance,
        };
        self.kept.into_sorted_vec().into_iter().map(hit).collect()
    }
}

impl Ord for Candidate<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        by_distance(self.distance, other.distance).then_with(|| self.key.cmp(other.key))
    }
}

impl PartialOrd for Candidate<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Candidate<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Candidate<'_> {}
