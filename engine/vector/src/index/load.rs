//! Changes: one row, or many by several threads.
//!
//! A load takes the rows in steps. Each step is read without a lock; then, alone in the index, its vectors get their
//! nodes, the new ones go into the graph on several threads, and the versions begin. A step is so small that a search
//! beside it waits for milliseconds, and what waits in memory is one step.

use std::collections::HashMap;

use aion_base::Result;
use aion_base::id::LogIndex;

use super::{State, VectorIndex};
use crate::graph::Graph;

/// Rows of one step.
const STEP_ROWS_MAX: usize = 512;
/// Components of one step: 1 MiB of vectors.
const STEP_COMPONENTS_MAX: usize = 256 * 1024;

impl VectorIndex {
    /// Puts many rows, keys and vectors, at one log index, by several threads: for CREATE INDEX, for opening, and for
    /// a commit of many rows. Returns how many there were.
    ///
    /// `progress` is told the number of rows so far after each step; its error ends the load, as does one of `rows`.
    /// Other changes wait until the load has ended; searches do not. The position stays: see [`VectorIndex::advance`].
    pub fn load<K: AsRef<[u8]>, V: AsRef<[f32]>>(
        &self,
        rows: impl IntoIterator<Item = Result<(K, V)>>,
        at: LogIndex,
        mut progress: impl FnMut(u64) -> Result<()>,
    ) -> Result<u64> {
        let _writer = self.writer.lock();
        self.state.write().check_order(at)?;
        let step_rows = (STEP_COMPONENTS_MAX / self.dimensions).clamp(1, STEP_ROWS_MAX);
        let mut rows = rows.into_iter();
        let mut step: Vec<(K, V)> = Vec::with_capacity(step_rows);
        let mut count = 0;
        loop {
            step.clear();
            for row in rows.by_ref().take(step_rows) {
                let (key, vector) = row?;
                self.check_vector(vector.as_ref())?;
                step.push((key, vector));
            }
            if step.is_empty() {
                return Ok(count);
            }
            let changes: Vec<_> = step
                .iter()
                .map(|(key, vector)| (key.as_ref(), vector.as_ref()))
                .collect();
            self.apply(&mut self.state.write(), &changes, at)?;
            count += step.len() as u64;
            progress(count)?;
        }
    }

    /// Puts checked vectors.
    pub(super) fn apply(&self, state: &mut State, changes: &[(&[u8], &[f32])], at: LogIndex) -> Result<()> {
        // -0 and 0 are one vector.
        let vectors: Vec<Vec<f32>> = changes
            .iter()
            .map(|(_, vector)| vector.iter().map(|component| component + 0.0).collect())
            .collect();
        let mut labels = Vec::with_capacity(changes.len());
        // New nodes of this step: by hash, with the place of the vector.
        let mut found: HashMap<u64, (u32, usize)> = HashMap::new();
        let mut added: Vec<(u32, &[f32])> = Vec::new();
        for (place, vector) in vectors.iter().enumerate() {
            let hash = state.versions.hash(vector);
            let label = match found.get(&hash) {
                Some((label, same)) if vectors[*same] == *vector => Some(*label),
                _ => self.node_of(state, hash, vector)?,
            };
            labels.push(match label {
                Some(label) => label,
                None => {
                    let label = state.versions.new_node()?;
                    found.entry(hash).or_insert((label, place));
                    if Graph::ranks(self.metric, vector) {
                        added.push((label, vector));
                    } else {
                        state.versions.keep_stray(label, vector);
                    }
                    label
                }
            });
        }
        state.graph.add_all(&added, self.options.threads)?;
        for (hash, (label, _)) in found {
            state.versions.publish_node(hash, label);
        }
        for ((key, _), label) in changes.iter().zip(labels) {
            // An update of other columns puts the vector that the row has.
            if state.versions.alive(key).is_some_and(|version| version.node == label) {
                continue;
            }
            state.versions.end(key, at);
            state.versions.begin(key, label, at)?;
        }
        Ok(())
    }

    fn node_of(&self, state: &State, hash: u64, vector: &[f32]) -> Result<Option<u32>> {
        let Some(label) = state.versions.node_of_hash(hash) else {
            return Ok(None);
        };
        let mut stored = vec![0.0; self.dimensions];
        state.read_vector(label, &mut stored)?;
        Ok((stored == vector).then_some(label))
    }
}
