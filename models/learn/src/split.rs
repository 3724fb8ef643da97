//! Which rows train, which stop the training, and which judge it.
//!
//! A random split leaks: the operators of one execution are almost alike, and so are the executions of one statement. So the rows are
//! split twice. A tenth of the *templates* (statements without their literals) is left out altogether: what a model is worth for
//! statements that it has not seen. The rest is split by *time*: the first 70 % train, the next 15 % say when to stop, the last 15 %
//! judge. Rows of one moment stay together.

use std::collections::BTreeMap;

use aion_base::rng::SeededRng;

use crate::dataset::Example;

/// Templates from which on some are left out.
const TEMPLATES_MIN: usize = 10;
/// Of all rows, at most this part is left out with its templates.
const LEFT_OUT_PART: usize = 5;

/// Rows by what they are for, each part in the order of time.
#[derive(Debug, Default)]
pub(crate) struct Split<'a> {
    pub(crate) train: Vec<&'a Example>,
    pub(crate) validation: Vec<&'a Example>,
    pub(crate) test: Vec<&'a Example>,
    pub(crate) templates: Vec<&'a Example>,
}

/// Splits the newest `rows_max` examples.
pub(crate) fn split<'a>(examples: &'a [Example], rows_max: usize, random: &mut SeededRng) -> Split<'a> {
    let mut rows: Vec<&Example> = examples.iter().collect();
    // Stable, so that rows of one moment keep the order in which they were added.
    rows.sort_by_key(|example| example.at);
    rows.drain(..rows.len().saturating_sub(rows_max));
    let left_out = left_out(&rows, random);
    let (templates, rows): (Vec<&Example>, Vec<&Example>) = rows
        .into_iter()
        .partition(|example| left_out.contains(&example.queryid));
    let first = boundary(&rows, rows.len() * 70 / 100);
    let second = boundary(&rows, rows.len() * 85 / 100).max(first);
    Split {
        train: rows[..first].to_vec(),
        validation: rows[first..second].to_vec(),
        test: rows[second..].to_vec(),
        templates,
    }
}

/// A tenth of the templates, as far as they do not hold too many rows.
fn left_out(rows: &[&Example], random: &mut SeededRng) -> Vec<i64> {
    let mut counts: BTreeMap<i64, usize> = BTreeMap::new();
    for row in rows {
        *counts.entry(row.queryid).or_default() += 1;
    }
    if counts.len() < TEMPLATES_MIN {
        return Vec::new();
    }
    let mut templates: Vec<(i64, usize)> = counts.into_iter().collect();
    shuffle(&mut templates, random);
    let wanted = templates.len().div_ceil(10);
    let mut room = rows.len() / LEFT_OUT_PART;
    let fitting = templates.into_iter().filter(|(_, count)| {
        let fits = *count <= room;
        room -= if fits { *count } else { 0 };
        fits
    });
    fitting.take(wanted).map(|(template, _)| template).collect()
}

/// The next place from `at` on where a moment begins, unless that is far: of a data set of one moment, nothing could be judged.
fn boundary(rows: &[&Example], at: usize) -> usize {
    let far = rows.len() / 20;
    let is_boundary = |at: &usize| rows.get(*at).is_none_or(|row| *at == 0 || row.at != rows[*at - 1].at);
    (at..=at + far).find(is_boundary).unwrap_or(at).min(rows.len())
}

/// Fisher and Yates.
pub(crate) fn shuffle<T>(items: &mut [T], random: &mut SeededRng) {
    for last in (1..items.len()).rev() {
        items.swap(last, random.below(last as u64 + 1) as usize);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn example(at: i64, queryid: i64) -> Example {
        Example {
            features: Vec::new(),
            log2_ratio: 0.0,
            censored: false,
            at,
            queryid,
        }
    }

    #[test]
    fn time_and_templates_are_kept_apart() {
        let mut random = SeededRng::new(4);
        // Four operators for each execution; later ones first.
        let examples: Vec<Example> = (0..2_000).map(|row| example((2_000 - row) / 4, row / 4 % 40)).collect();
        let split = split(&examples, 10_000, &mut random);
        let ids = |rows: &[&Example]| rows.iter().map(|row| row.queryid).collect::<BTreeSet<i64>>();
        let seen: BTreeSet<i64> = [&split.train, &split.validation, &split.test]
            .into_iter()
            .flat_map(|rows| ids(rows))
            .collect();
        assert_eq!(ids(&split.templates).len(), 4);
        assert!(seen.is_disjoint(&ids(&split.templates)));
        let [train, validation, test] = [&split.train, &split.validation, &split.test];
        assert!(train.last().unwrap().at < validation[0].at && validation.last().unwrap().at < test[0].at);
        assert_eq!(
            train.len() + validation.len() + test.len() + split.templates.len(),
            2_000
        );
        assert!(
            (1_200..1_300).contains(&train.len()) && (250..300).contains(&test.len()),
            "{}",
            train.len()
        );
    }

    #[test]
    fn the_newest_rows_are_taken() {
        let examples: Vec<Example> = (0..1_000).map(|at| example(at, 1)).collect();
        let split = split(&examples, 100, &mut SeededRng::new(1));
        assert_eq!(
            (split.train.len(), split.validation.len(), split.test.len()),
            (70, 15, 15)
        );
        assert_eq!(split.train[0].at, 900);
        assert!(split.templates.is_empty(), "of one template none can be left out");
    }

    #[test]
    fn rows_of_one_moment_are_split_all_the_same() {
        let examples: Vec<Example> = (0..100).map(|_| example(7, 1)).collect();
        let split = split(&examples, 100, &mut SeededRng::new(1));
        assert_eq!(
            (split.train.len(), split.validation.len(), split.test.len()),
            (70, 15, 15)
        );
        let none = super::split(&[], 100, &mut SeededRng::new(1));
        assert!(none.train.is_empty() && none.test.is_empty());
    }
}
