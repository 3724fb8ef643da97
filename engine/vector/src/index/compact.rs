//! A new graph without the vectors that no row has any more.
//!
//! Nothing is ever taken out of a graph (see `graph.rs`), so forgotten vectors remain in it as nodes without versions:
//! searches pass through them, and they take room. A compaction:
//!
//! 1. copies the vectors that rows have, in steps, into a new graph, while searches and changes go on in the old one;
//! 2. then, alone in the index, adds the few that came meanwhile, gives the versions their new labels and takes the new
//!    graph. For 325,000 rows that is some tens of milliseconds.
//!
//! Until it ends both graphs are in memory.

use aion_base::Result;

use super::{State, VectorIndex};
use crate::graph::Graph;

/// Nodes of one step.
const STEP_NODES: usize = 512;

/// Empty nodes below which a compaction is not worth its while.
const EMPTY_NODES_MIN: usize = 1024;

impl VectorIndex {
    /// Whether a third of the graph is garbage.
    pub fn wants_compaction(&self) -> bool {
        let versions = &self.state.read().versions;
        let empty = versions.empty_node_count();
        empty >= EMPTY_NODES_MIN && empty * 3 >= versions.node_count()
    }

    /// Removes vectors that no row has from memory; returns how many. Takes about as long as building the index.
    ///
    /// `progress` is told the number of nodes so far after each step; its error ends the compaction and changes nothing.
    pub fn compact(&self, mut progress: impl FnMut(u64) -> Result<()>) -> Result<usize> {
        let _one = self.compaction.lock();
        let mut graph = Graph::new(self.dimensions, self.metric, &self.options)?;
        // By old label; those at or above its length are still to be done.
        let mut labels: Vec<Option<u32>> = Vec::new();
        let mut count = 0;
        loop {
            let copy = {
                let state = self.state.read();
                let end = state.versions.node_count();
                if end - labels.len() <= STEP_NODES {
                    break;
                }
                self.copy_nodes(&state, labels.len()..labels.len() + STEP_NODES, &mut labels, &mut count)?
            };
            self.add_copies(&mut graph, &copy)?;
            progress(labels.len() as u64)?;
        }
        let _writer = self.writer.lock();
        let mut state = self.state.write();
        let mut copy = self.copy_nodes(
            &state,
            labels.len()..state.versions.node_count(),
            &mut labels,
            &mut count,
        )?;
        // Nodes that were empty when their step was done, and have got a version since.
        for (old, new) in labels.iter_mut().enumerate() {
            if new.is_none() && !state.versions.is_empty_node(old as u32) {
                *new = Some(count);
                self.copy_node(&state, old as u32, count, &mut copy)?;
                count += 1;
            }
        }
        self.add_copies(&mut graph, &copy)?;
        let removed = labels.len() - count as usize;
        state.versions.relabel(&labels, count as usize);
        state.graph = graph;
        Ok(removed)
    }

    /// Gives labels to the nodes of a range that have versions, and copies their vectors.
    fn copy_nodes(
        &self,
        state: &State,
        range: std::ops::Range<usize>,
        labels: &mut Vec<Option<u32>>,
        count: &mut u32,
    ) -> Result<Vec<(u32, Vec<f32>)>> {
        let mut copy = Vec::new();
        for old in range {
            // A label is below the number of nodes, which fits in u32.
            let old = old as u32;
            if state.versions.is_empty_node(old) {
                labels.push(None);
                continue;
            }
            labels.push(Some(*count));
            self.copy_node(state, old, *count, &mut copy)?;
            *count += 1;
        }
        Ok(copy)
    }

    fn copy_node(&self, state: &State, old: u32, new: u32, copy: &mut Vec<(u32, Vec<f32>)>) -> Result<()> {
        // Strays move with the versions.
        if !state.versions.strays().contains_key(&old) {
            let mut vector = vec![0.0; self.dimensions];
            state.read_vector(old, &mut vector)?;
            copy.push((new, vector));
        }
        Ok(())
    }

    fn add_copies(&self, graph: &mut Graph, copies: &[(u32, Vec<f32>)]) -> Result<()> {
        let vectors: Vec<_> = copies
            .iter()
            .map(|(label, vector)| (*label, vector.as_slice()))
            .collect();
        graph.add_all(&vectors, self.options.threads)
    }
}
