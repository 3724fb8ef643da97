//! T0: what a sub-plan gave when it ran.
//!
//! **Fingerprint.** Two sub-plans have the same one if they read the same tables, under the same predicates, joins and groups, in
//! whatever order: so {A x B} x C answers for A x {B x C}. A scan, a filter and an inner join are one kind, since a predicate may be checked at any
//! of them. A [`SubPlan`] has no literals: a literal is told by its position. Where something has none (`LIKE`, a text), or the kind does
//! not say all (an outer join's sides, a semi join or its opposite, other operators), the classical estimate, to a 64th of a doubling, takes
//! part as well.
//!
//! So a fingerprint may still stand for several sub-plans. Such a one is known by its observations: the last [`KEPT`] are kept, and where
//! they lie further apart than [`DISAGREE`], there is no answer, for a guess between them would be worse than the model's.
//!
//! **Age.** A *data version* is a number that grows as the data changes; which number, the caller decides. An observation counts within
//! `age_max` of the version that is asked for, on either side: a reader of an old snapshot asks with its own.
//!
//! **Bounded.** At most `capacity` fingerprints; beyond, that which was longest neither observed nor asked for goes.
//!
//! Left out: counts of operators that were stopped early. They are lower bounds, good for training alone.

use std::collections::{BTreeMap, HashMap};

use aion_base::subplan::{Comparison, OperatorKind, SubPlan};

use super::features::{comparison_index, hash, known, log2, ordered, position};

/// Observations that are kept of a fingerprint.
pub const KEPT: usize = 4;
/// Observations that differ by more than this factor give no answer.
pub const DISAGREE: f64 = 4.0;
/// Parts of a doubling to which a classical estimate tells sub-plans apart.
const ESTIMATE_STEPS: f64 = 64.0;

/// What tells a sub-plan from others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fingerprint(pub u64);

impl Fingerprint {
    /// The fingerprint of a sub-plan.
    pub fn of(sub_plan: &SubPlan) -> Self {
        let (kind, mut is_exact) = match sub_plan.kind {
            OperatorKind::Scan | OperatorKind::Filter | OperatorKind::InnerJoin => (0, true),
            OperatorKind::Aggregate => (1, true),
            OperatorKind::OuterJoin => (2, false),
            OperatorKind::SemiJoin => (3, false),
            OperatorKind::Other => (4, false),
        };
        // Each part has a tag and a length before each text, so that no two lists of parts are the same bytes.
        let mut parts: Vec<Vec<u8>> = Vec::new();
        for relation in &sub_plan.relations {
            parts.push(part(b'r', &[relation.name.as_bytes()]));
        }
        for predicate in &sub_plan.predicates {
            let at = position(predicate);
            is_exact &= at.is_some() && predicate.comparison != Comparison::Other;
            let at = at.map_or([u8::MAX; 8], |at| at.to_bits().to_le_bytes());
            let comparison = [comparison_index(predicate.comparison)];
            parts.push(part(b'p', &[predicate.column.as_bytes(), &comparison, &at]));
        }
        for pair in &sub_plan.joins {
            let (one, two) = ordered(pair);
            parts.push(part(b'j', &[one.as_bytes(), two.as_bytes()]));
        }
        for column in &sub_plan.groups {
            parts.push(part(b'g', &[column.as_bytes()]));
        }
        parts.sort_unstable();
        let estimate = known(sub_plan.estimated_rows).filter(|_| !is_exact);
        let estimate = estimate.map_or(-1, |rows| (log2(1.0 + rows) * ESTIMATE_STEPS).round() as i64);
        let estimate = estimate.to_le_bytes();
        let mut bytes: Vec<&[u8]> = vec![std::slice::from_ref(&kind), &estimate];
        bytes.extend(parts.iter().map(Vec::as_slice));
        Self(hash(&bytes))
    }
}

fn part(tag: u8, texts: &[&[u8]]) -> Vec<u8> {
    let mut bytes = vec![tag];
    for text in texts {
        bytes.extend((text.len() as u64).to_le_bytes());
        bytes.extend(*text);
    }
    bytes
}

/// What the cache says of a sub-plan.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Observed {
    /// The latest count.
    pub rows: f64,
    /// The least count that is kept.
    pub low: f64,
    /// The greatest count that is kept.
    pub high: f64,
}

/// Observed rows by fingerprint.
#[derive(Clone, Debug)]
pub struct Feedback {
    capacity: usize,
    age_max: u64,
    entries: HashMap<Fingerprint, Entry>,
    /// Fingerprints by when they were last used.
    by_use: BTreeMap<u64, Fingerprint>,
    uses: u64,
}

#[derive(Clone, Debug)]
struct Entry {
    used: u64,
    /// Rows and the data version at which they were counted, the latest last.
    counts: Vec<(f64, u64)>,
}

impl Feedback {
    /// A cache of at most `capacity` fingerprints, whose observations count within `age_max` data versions.
    pub fn new(capacity: usize, age_max: u64) -> Self {
        Self {
            capacity,
            age_max,
            entries: HashMap::new(),
            by_use: BTreeMap::new(),
            uses: 0,
        }
    }

    /// How many fingerprints are kept.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether none are.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Takes note of the rows that an operator gave that ran to its end. What is not a number of rows is ignored.
    pub fn observe(&mut self, fingerprint: Fingerprint, rows: f64, data_version: u64) {
        if self.capacity == 0 || !rows.is_finite() || rows < 0.0 {
            return;
        }
        let used = self.next_use();
        let entry = self.entries.entry(fingerprint).or_insert_with(|| Entry {
            used,
            counts: Vec::with_capacity(KEPT),
        });
        self.by_use.remove(&entry.used);
        self.by_use.insert(used, fingerprint);
        entry.used = used;
        if entry.counts.len() == KEPT {
            entry.counts.remove(0);
        }
        entry.counts.push((rows, data_version));
        if self.entries.len() > self.capacity
            && let Some((_, oldest)) = self.by_use.pop_first()
        {
            self.entries.remove(&oldest);
        }
    }

    /// What was observed at about this data version; None where nothing was, or where the observations disagree.
    pub fn get(&mut self, fingerprint: Fingerprint, data_version: u64) -> Option<Observed> {
        let used = self.next_use();
        let entry = self.entries.get_mut(&fingerprint)?;
        self.by_use.remove(&entry.used);
        self.by_use.insert(used, fingerprint);
        entry.used = used;
        let is_fresh = |(_, counted): &&(f64, u64)| counted.abs_diff(data_version) <= self.age_max;
        let fresh = entry.counts.iter().filter(is_fresh).map(|(rows, _)| *rows);
        let observed = fresh.fold(None, |so_far: Option<Observed>, rows| {
            let (low, high) = so_far.map_or((rows, rows), |so_far| (so_far.low, so_far.high));
            Some(Observed {
                rows,
                low: low.min(rows),
                high: high.max(rows),
            })
        });
        observed.filter(|observed| observed.high.max(1.0) <= observed.low.max(1.0) * DISAGREE)
    }

    /// Forgets everything: after statistics or tables were changed beyond what versions say.
    pub fn clear(&mut self) {
        self.entries.clear();
        self.by_use.clear();
    }

    fn next_use(&mut self) -> u64 {
        self.uses += 1;
        self.uses
    }
}

#[cfg(test)]
mod tests;
