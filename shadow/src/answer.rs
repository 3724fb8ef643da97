//! Comparing answers: equal as multisets, in order only where the order is total; numbers to 1e-9 relative.

use std::cmp::Ordering;

/// Values as text; None is NULL.
type Row = Vec<Option<String>>;

/// Rows of values.
pub type Rows = [Row];

/// Rows that are matched one by one, where sorting did not bring equal ones together.
const MATCHED_MAX: usize = 1_000;

/// Floats may differ by this, relative to the greater.
const TOLERANCE: f64 = 1e-9;

/// Digits of a float that count for a hash: fewer than agree wherever [`are_equal`] says so, but for numbers on the edge of rounding.
const HASHED_DIGITS: usize = 7;

/// Whether two answers are equal, row by row.
pub fn are_equal(one: &Rows, two: &Rows) -> bool {
    one.len() == two.len() && one.iter().zip(two).all(|(one, two)| is_equal_row(one, two))
}

/// Whether two answers have equal rows, as often, in whatever order.
pub fn are_equal_multisets(one: &Rows, two: &Rows) -> bool {
    if one.len() != two.len() {
        return false;
    }
    let (one, two) = (sorted(one), sorted(two));
    let pairs = one.into_iter().zip(two);
    let (one, mut two): (Vec<&Row>, Vec<&Row>) = pairs.filter(|(one, two)| !is_equal_row(one, two)).unzip();
    // Two numbers that are equal within the tolerance may have sorted rows apart that differ in a later column.
    if one.len() > MATCHED_MAX {
        return false;
    }
    one.into_iter().all(|row| {
        let found = two.iter().position(|there| is_equal_row(row, there));
        found.map(|at| two.swap_remove(at)).is_some()
    })
}

/// Rows by their values that are no fractions, then by the others.
fn sorted(rows: &Rows) -> Vec<&Row> {
    let mut rows: Vec<&Row> = rows.iter().collect();
    rows.sort_by(|one, two| {
        let exactly = one
            .iter()
            .zip(*two)
            .map(|(one, two)| match (fraction(one), fraction(two)) {
                (None, None) => one.cmp(two),
                (one, two) => one.is_some().cmp(&two.is_some()),
            });
        let nearly = one
            .iter()
            .zip(*two)
            .map(|(one, two)| match (fraction(one), fraction(two)) {
                (Some(one), Some(two)) => one.total_cmp(&two),
                _ => Ordering::Equal,
            });
        let first = exactly.chain(nearly).find(|ordering| ordering.is_ne());
        first.unwrap_or(one.len().cmp(&two.len()))
    });
    rows
}

/// A number that another engine may have rounded otherwise.
fn fraction(value: &Option<String>) -> Option<f64> {
    let text = value.as_deref().filter(|text| text.contains(['.', 'e', 'E']))?;
    number(text)
}

/// How many rows of `wanted` are in `found`.
pub fn found_of(found: &Rows, wanted: &Rows) -> usize {
    let is_there = |row: &&Vec<Option<String>>| found.iter().any(|there| is_equal_row(there, row));
    wanted.iter().filter(is_there).count()
}

fn is_equal_row(one: &[Option<String>], two: &[Option<String>]) -> bool {
    one.len() == two.len()
        && one
            .iter()
            .zip(two)
            .all(|(one, two)| is_equal_value(one.as_deref(), two.as_deref()))
}

fn is_equal_value(one: Option<&str>, two: Option<&str>) -> bool {
    if one == two {
        return true;
    }
    match (one.and_then(number), two.and_then(number)) {
        (Some(one), Some(two)) => (one - two).abs() <= TOLERANCE * one.abs().max(two.abs()),
        _ => false,
    }
}

/// The value of a text that is a number.
fn number(text: &str) -> Option<f64> {
    let first = text.bytes().next()?;
    (first.is_ascii_digit() || first == b'-').then(|| text.parse().ok())?
}

/// The text of a number for a hash: whole numbers are exact, and as an integer is written, because 10.0 of one engine is 10 of another;
/// others as far as both engines agree.
fn canonical(number: f64) -> String {
    /// Up to here each whole number is a double.
    const WHOLE_MAX: f64 = 9_007_199_254_740_992.0;
    let is_whole = |number: f64| number.fract() == 0.0 && number.abs() < WHOLE_MAX;
    let whole = |number: f64| (number as i64).to_string();
    if is_whole(number) {
        return whole(number);
    }
    let rounded = format!("{number:.HASHED_DIGITS$e}");
    match rounded.parse() {
        Ok(rounded) if is_whole(rounded) => whole(rounded),
        _ => rounded,
    }
}

/// The same for answers of the same rows in any order.
pub fn hash_of_multiset(rows: &Rows) -> u64 {
    let each = rows.iter().map(|row| hash(std::slice::from_ref(row)));
    each.fold(rows.len() as u64, u64::wrapping_add)
}

/// The same for equal answers (64-bit FNV-1a over the values).
pub fn hash(rows: &Rows) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    let mut add = |bytes: &[u8]| {
        for byte in bytes {
            hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    };
    for row in rows {
        for value in row {
            match value.as_deref() {
                None => add(&[0]),
                Some(text) => {
                    add(&[1]);
                    match number(text).filter(|_| text.contains(['.', 'e', 'E'])) {
                        Some(number) => add(canonical(number).as_bytes()),
                        None => add(text.as_bytes()),
                    }
                }
            }
            add(&[2]);
        }
        add(&[3]);
    }
    hash
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_counts_in_one_hash_and_not_in_the_other() {
        let row = |text: &str| vec![Some(text.to_owned())];
        let (one, two) = ([row("a"), row("b")], [row("b"), row("a")]);
        assert_ne!(hash(&one), hash(&two));
        assert_eq!(hash_of_multiset(&one), hash_of_multiset(&two));
        assert_ne!(hash_of_multiset(&one), hash_of_multiset(&[row("a"), row("a")]));
        assert_ne!(hash_of_multiset(&one), hash_of_multiset(&one[..1]));
        assert_ne!(hash_of_multiset(&[]), hash_of_multiset(&[vec![]]));
    }

    fn rows(rows: &[&[Option<&str>]]) -> Vec<Vec<Option<String>>> {
        rows.iter()
            .map(|row| row.iter().map(|value| value.map(str::to_owned)).collect())
            .collect()
    }

    #[test]
    fn numbers_are_compared_as_numbers_and_texts_as_texts() {
        let one = rows(&[&[Some("1.0000000000001"), Some("a"), None]]);
        let two = rows(&[&[Some("1"), Some("a"), None]]);
        assert!(are_equal(&one, &two));
        assert!(!are_equal(&one, &rows(&[&[Some("1.001"), Some("a"), None]])));
        assert!(!are_equal(&one, &rows(&[&[Some("1"), Some("A"), None]])));
        assert!(!are_equal(&one, &rows(&[&[Some("1"), Some("a"), Some("")]])));
        assert!(!are_equal(&one, &[]));
        assert_eq!(found_of(&one, &two), 1);
    }

    #[test]
    fn multisets_are_equal_in_any_order_and_as_often() {
        let one = rows(&[&[Some("a"), Some("1.0")], &[Some("b"), None], &[Some("a"), Some("2.5")]]);
        let two = rows(&[
            &[Some("b"), None],
            &[Some("a"), Some("2.5")],
            &[Some("a"), Some("1.0000000000001")],
        ]);
        assert!(are_equal_multisets(&one, &two));
        assert!(!are_equal(&one, &two));
        let thrice = rows(&[&[Some("a")], &[Some("a")], &[Some("b")]]);
        assert!(!are_equal_multisets(
            &thrice,
            &rows(&[&[Some("a")], &[Some("b")], &[Some("b")]])
        ));
        assert!(!are_equal_multisets(&thrice, &thrice[..2]));
        assert!(are_equal_multisets(&[], &[]));
    }

    /// The first column is equal within the tolerance and sorts the rows one way here and the other way there.
    #[test]
    fn numbers_that_are_nearly_equal_do_not_part_equal_rows() {
        let one = rows(&[&[Some("0.1"), Some("7.5")], &[Some("0.1000000000000001"), Some("3.5")]]);
        let two = rows(&[&[Some("0.1000000000000001"), Some("7.5")], &[Some("0.1"), Some("3.5")]]);
        assert!(are_equal_multisets(&one, &two));
    }

    #[test]
    fn equal_answers_have_equal_hashes() {
        let one = rows(&[&[Some("0.1234567890123"), Some("2013-01-01 10:00:00+00")]]);
        let two = rows(&[&[Some("0.12345678901229999"), Some("2013-01-01 10:00:00+00")]]);
        assert_eq!(hash(&one), hash(&two));
        // Once these had two hashes: DuckDB writes a whole double with a point, and we write it as PostgreSQL does.
        for (ours, theirs) in [
            ("10", "10.0"),
            ("0", "-0.0"),
            ("123456789", "123456789.0"),
            ("3", "2.9999999999999996"),
        ] {
            assert_eq!(hash(&rows(&[&[Some(ours)]])), hash(&rows(&[&[Some(theirs)]])), "{ours}");
        }
        assert_ne!(hash(&rows(&[&[Some("10")]])), hash(&rows(&[&[Some("10.1")]])));
        assert_ne!(
            hash(&one),
            hash(&rows(&[&[Some("0.1234"), Some("2013-01-01 10:00:00+00")]]))
        );
        assert_ne!(hash(&rows(&[&[None]])), hash(&rows(&[&[Some("")]])));
    }
}
