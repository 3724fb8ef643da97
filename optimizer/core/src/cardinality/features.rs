//! A sub-plan as numbers.
//!
//! The same sub-plan gives the same bits on every machine, and in any language with IEEE 754 doubles: only +, -, *, / and the bits of
//! doubles are used, in the order given here, and each slot is rounded to single precision once, at the end. What is a sum over
//! doubles is summed in ascending order, so the order of tables, predicates and joins does not matter. Every slot is finite, within
//! [-[`SLOT_MAX`], [`SLOT_MAX`]].
//!
//! **Terms.** `L(n)` is [`log2`]`(1 + n) / 16`; rows that are unknown or not a number count 0, negative ones 0, and all are cut off at 2^63: so
//! 0 to 63/16. `C(n)` is `n / 4`. A literal's *position* is cut off to 0..1. Of a column, `<` and `>` with known positions leave a
//! part of its range, *kept* = least position of `<` - greatest position of `>`, at least 2^-16; without one of them 1 or 0 takes
//! its place.
//!
//! | slot | what |
//! |---|---|
//! | 0 | `L` of the classical estimate |
//! | 1 | 1 where there is a classical estimate |
//! | 2, 3 | `L` of the largest and of the smallest input; unknown ones left out, 0 without any |
//! | 4 | sum of `L` over the known inputs |
//! | 5 | `C` of inputs whose rows are unknown |
//! | 6, 7 | sum and maximum of `L` over the tables |
//! | 8 | `C` of tables whose rows are unknown |
//! | 9..=15 | 1 for the kind: scan, filter, inner join, outer join, semi join, aggregate, other |
//! | 16, 17, 18 | `C` of tables, of joined pairs, of grouped columns |
//! | 19..=26 | `C` of predicates by comparison: equal, not equal, less, greater, in, like, null, other |
//! | 27 | `-log2(kept) / 16`, summed over columns with a range |
//! | 28 | the least *kept* of such columns; 1 without any |
//! | 29 | mean position of literals; 0.5 without any |
//! | 30 | `C` of predicates whose position is unknown |
//! | 31..=38 | buckets of (column, comparison), 8 |
//! | 39..=42 | buckets of joined pairs, the lesser name first, 4 |
//! | 43, 44 | buckets of grouped columns, 2 |
//! | 45..=47 | buckets of tables, 3 |
//!
//! **Buckets** (feature hashing, Weinberger et al. 2009). The 64-bit FNV-1a hash of the name's bytes (of a predicate: the column, a
//! 0 byte, the index of the comparison as in slots 19..=26; of a pair: name, 0 byte, name), mixed by SplitMix64's last steps: FNV's
//! middle bits hardly depend on the last byte. Bits 32..=62 modulo the number of buckets choose the bucket; 1 is added where bit 63 is set, else -1.
//!
//! A model belongs to a [`NAME`] and [`VERSION`]: whoever changes a slot's meaning raises the version, and old models are not used.
//!
//! Left out: a table that is read twice is not told from itself, and names mean something only within one database.

use std::collections::BTreeMap;

use aion_base::subplan::{Comparison, OperatorKind, Predicate, SubPlan};

/// Slots of a row.
pub const FEATURES: usize = 48;
/// What these features are called in a model's manifest.
pub const NAME: &str = "aion-card";
/// Raised with every change of a slot's meaning.
pub const VERSION: u32 = 1;
/// No slot lies further from 0.
pub const SLOT_MAX: f64 = 16.0;

/// One row of a model's input.
pub type Features = [f32; FEATURES];

const KINDS: usize = 9;
const COMPARISONS: usize = 19;
const PREDICATE_BUCKETS: (usize, u64) = (31, 8);
const JOIN_BUCKETS: (usize, u64) = (39, 4);
const GROUP_BUCKETS: (usize, u64) = (43, 2);
const RELATION_BUCKETS: (usize, u64) = (45, 3);
/// Doublings that count as 1.
const LOG_UNIT: f64 = 16.0;
/// Things that count as 1.
const COUNT_UNIT: f64 = 4.0;
const ROWS_MAX: f64 = 9_223_372_036_854_775_808.0;
const KEPT_MIN: f64 = 1.0 / 65_536.0;

/// The features of a sub-plan, slot by slot as the header says.
pub fn features(sub_plan: &SubPlan) -> Features {
    let mut slots = [0.0; FEATURES];
    let estimate = known(sub_plan.estimated_rows);
    slots[0] = estimate.map_or(0.0, log_rows);
    slots[1] = f64::from(u8::from(estimate.is_some()));

    let inputs = logs(sub_plan.inputs.iter().copied());
    slots[2] = inputs.last().copied().unwrap_or(0.0);
    slots[3] = inputs.first().copied().unwrap_or(0.0);
    slots[4] = inputs.iter().sum();
    slots[5] = count(sub_plan.inputs.len() - inputs.len());
    let relations = logs(sub_plan.relations.iter().map(|relation| relation.rows));
    slots[6] = relations.iter().sum();
    slots[7] = relations.last().copied().unwrap_or(0.0);
    slots[8] = count(sub_plan.relations.len() - relations.len());

    slots[KINDS + kind_index(sub_plan.kind)] = 1.0;
    slots[16] = count(sub_plan.relations.len());
    slots[17] = count(sub_plan.joins.len());
    slots[18] = count(sub_plan.groups.len());
    for predicate in &sub_plan.predicates {
        slots[COMPARISONS + usize::from(comparison_index(predicate.comparison))] += count(1);
    }

    let kept = kept_of_ranges(&sub_plan.predicates);
    slots[27] = kept.iter().map(|kept| -log2(*kept) / LOG_UNIT).sum();
    slots[28] = kept.last().copied().unwrap_or(1.0);
    let mut positions: Vec<f64> = sub_plan.predicates.iter().filter_map(position).collect();
    positions.sort_unstable_by(f64::total_cmp);
    slots[29] = match positions.len() {
        0 => 0.5,
        known => positions.iter().sum::<f64>() / known as f64,
    };
    slots[30] = count(sub_plan.predicates.len() - positions.len());

    for predicate in &sub_plan.predicates {
        let comparison = comparison_index(predicate.comparison);
        let parts = [predicate.column.as_bytes(), &[0, comparison]];
        add_to_bucket(&mut slots, PREDICATE_BUCKETS, &parts);
    }
    for pair in &sub_plan.joins {
        let (one, two) = ordered(pair);
        add_to_bucket(&mut slots, JOIN_BUCKETS, &[one.as_bytes(), &[0], two.as_bytes()]);
    }
    for column in &sub_plan.groups {
        add_to_bucket(&mut slots, GROUP_BUCKETS, &[column.as_bytes()]);
    }
    for relation in &sub_plan.relations {
        add_to_bucket(&mut slots, RELATION_BUCKETS, &[relation.name.as_bytes()]);
    }
    // Adding 0 makes -0, the sum of nothing, to 0.
    slots.map(|slot| (slot.clamp(-SLOT_MAX, SLOT_MAX) + 0.0) as f32)
}

/// The binary logarithm of a finite number above 0, from IEEE 754 operations alone; else 0. Off by less than 1e-12.
///
/// 1. The exponent's bits give the whole part; a number below the normal ones counts as the least of these. The rest, m, lies in 1..2.
/// 2. With s = (m - 1) / (m + 1) and z = s * s, log2(m) = s * (1 + z (1/3 + z (1/5 + ...))) * 2 / ln 2, down to 1/25, from the inside out.
pub fn log2(value: f64) -> f64 {
    if !value.is_finite() || value <= 0.0 {
        return 0.0;
    }
    let bits = value.max(f64::MIN_POSITIVE).to_bits();
    let exponent = (bits >> 52) as i32 - 1023;
    let mantissa = f64::from_bits((bits & ((1 << 52) - 1)) | (1023 << 52));
    let s = (mantissa - 1.0) / (mantissa + 1.0);
    let z = s * s;
    let mut series = 0.0;
    for odd in (0..=12).rev().map(|term| f64::from(2 * term + 1)) {
        series = series * z + 1.0 / odd;
    }
    f64::from(exponent) + s * series * std::f64::consts::LOG2_E * 2.0
}

/// A hash of bytes that is the same everywhere: FNV-1a with SplitMix64's last steps.
pub(super) fn hash(parts: &[&[u8]]) -> u64 {
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    for byte in parts.iter().copied().flatten() {
        hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    }
    hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^ (hash >> 31)
}

/// The index of a comparison, as in slots 19..=26.
pub(super) fn comparison_index(comparison: Comparison) -> u8 {
    match comparison {
        Comparison::Equal => 0,
        Comparison::NotEqual => 1,
        Comparison::Less => 2,
        Comparison::Greater => 3,
        Comparison::In => 4,
        Comparison::Like => 5,
        Comparison::Null => 6,
        Comparison::Other => 7,
    }
}

/// A joined pair, the lesser name first.
pub(super) fn ordered((one, two): &(String, String)) -> (&str, &str) {
    if one <= two { (one, two) } else { (two, one) }
}

/// Where a predicate's literal stands, within 0..1.
pub(super) fn position(predicate: &Predicate) -> Option<f64> {
    let position = predicate.position.filter(|position| !position.is_nan())?;
    // Adding 0 makes -0 to 0.
    Some(position.clamp(0.0, 1.0) + 0.0)
}

/// Rows that are a number: at least 0, at most 2^63.
pub(super) fn known(rows: Option<f64>) -> Option<f64> {
    let rows = rows.filter(|rows| !rows.is_nan())?;
    Some(rows.clamp(0.0, ROWS_MAX))
}

fn kind_index(kind: OperatorKind) -> usize {
    match kind {
        OperatorKind::Scan => 0,
        OperatorKind::Filter => 1,
        OperatorKind::InnerJoin => 2,
        OperatorKind::OuterJoin => 3,
        OperatorKind::SemiJoin => 4,
        OperatorKind::Aggregate => 5,
        OperatorKind::Other => 6,
    }
}

fn log_rows(rows: f64) -> f64 {
    log2(1.0 + rows) / LOG_UNIT
}

/// `L` of those that are known, ascending.
fn logs(rows: impl Iterator<Item = Option<f64>>) -> Vec<f64> {
    let mut logs: Vec<f64> = rows.filter_map(|rows| known(rows).map(log_rows)).collect();
    logs.sort_unstable_by(f64::total_cmp);
    logs
}

fn count(things: usize) -> f64 {
    things as f64 / COUNT_UNIT
}

/// What is kept of each column that has a range, the most first.
fn kept_of_ranges(predicates: &[Predicate]) -> Vec<f64> {
    let mut ranges: BTreeMap<&str, (f64, f64)> = BTreeMap::new();
    for predicate in predicates {
        let Some(position) = position(predicate) else { continue };
        let range = match predicate.comparison {
            Comparison::Less => (0.0, position),
            Comparison::Greater => (position, 1.0),
            _ => continue,
        };
        let (from, to) = ranges.entry(&predicate.column).or_insert((0.0, 1.0));
        (*from, *to) = (from.max(range.0), to.min(range.1));
    }
    let mut kept: Vec<f64> = ranges.values().map(|(from, to)| (to - from).max(KEPT_MIN)).collect();
    // Descending: of -log2(kept) this is the ascending order in which sums are made.
    kept.sort_unstable_by(|one, two| two.total_cmp(one));
    kept
}

fn add_to_bucket(slots: &mut [f64; FEATURES], (first, buckets): (usize, u64), parts: &[&[u8]]) {
    let hash = hash(parts);
    let bucket = ((hash >> 32) & 0x7fff_ffff) % buckets;
    slots[first + bucket as usize] += if hash >> 63 == 1 { 1.0 } else { -1.0 };
}

#[cfg(test)]
mod tests;
