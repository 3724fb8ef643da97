//! The types that `CREATE TYPE ... AS ENUM` makes.
//!
//! **Vocabulary.** A *label* is what a value of an enum is written as. Its *position* is the number that stands for it in rows, keys and
//! columns: values compare as their positions do. [`EnumDescriptor`] is what the catalog keeps of a type; [`EnumType`] is the same, as
//! one word that can be copied.
//!
//! **Positions.** They are given once and stay. The first labels are [`STEP`] apart; one that is added at an end is a step further, and one
//! between two others has the position in the middle, so that no row is written anew:
//!
//! ```text
//! CREATE TYPE mood AS ENUM ('sad', 'happy')       sad 0                 happy 2^44
//! ALTER TYPE mood ADD VALUE 'ok' BEFORE 'happy'   sad 0     ok 2^43     happy 2^44
//! ```
//!
//! 44 times a gap can be halved; then there is no room in it (54000). PostgreSQL halves floats, and numbers its labels anew at the end of
//! the gap, which it can, since its rows hold another number.
//!
//! **Types as words.** A [`SqlType`](crate::SqlType) is `Copy`, and must tell the labels without asking a catalog. So what a type is at one
//! moment is kept in a list of the process, which only grows: one entry for each state that a type was seen in. Two states of one type
//! are different words with the same OID and positions, so that a value that was read by the one is a value of the other.
//!
//! **Zones.** In columns a type is the zone of a timestamp (`types::arrow`). Arrow looks for the time in a zone when it shows a list, so the zone is
//! an offset, of a form that nobody writes: its minutes are 60 to 99. There are 3,680 of these. A state beyond has its word for a zone, and no
//! arrays.
//!
//! **Bytes.** `descriptor::encode` of [`EnumDescriptor`]. In rows a position is an i64 LE, in keys an i64 in order.
//!
//! Left out: taking a label away, which PostgreSQL does not do either.

use std::collections::HashMap;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, LazyLock, RwLock};

use aion_base::{Error, ErrorKind, Result, SqlState};
use serde::{Deserialize, Serialize};

use crate::objects::{FIRST_TABLE, PUBLIC};

/// The distance of the labels that a type begins with.
pub const STEP: i64 = 1 << 44;
/// Labels of a type, at most.
pub const LABELS_MAX: usize = 100_000;
/// Bytes of a label, at most: PostgreSQL's limit.
pub const LABEL_BYTES_MAX: usize = 63;
/// States of types that one process keeps.
const KNOWN_MAX: usize = 1 << 20;
/// What the name of a type begins with where it stands for an entry of the list: no name that a person writes does.
const WORD: &str = "enum#";
/// States of types that have a zone which Arrow takes for one; see [`zone_of`].
const ZONES: usize = 4 * 23 * 40;
/// What the stored name of a type begins with.
const STORED: &str = "enum ";

/// What the catalog keeps of a type.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct EnumDescriptor {
    /// Given once, among the tables' ids.
    pub id: u32,
    /// Its schema.
    pub schema: String,
    /// Its name.
    pub name: String,
    /// In order.
    pub labels: Vec<Label>,
}

/// A label of a type.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Label {
    /// As it is written.
    pub text: String,
    /// What stands for it.
    pub position: i64,
}

/// Where a label is added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place<'a> {
    /// Behind all others.
    End,
    /// Before this one.
    Before(&'a str),
    /// Behind this one.
    After(&'a str),
}

impl EnumDescriptor {
    /// A type with these labels, whose id is to be given.
    ///
    /// # Errors
    /// 23505 for a label that is there twice, 42602 for one that is too long, 54000 for too many.
    pub fn new(schema: impl Into<String>, name: impl Into<String>, labels: &[String]) -> Result<Self> {
        let mut made = Self {
            id: 0,
            schema: schema.into(),
            name: name.into(),
            labels: Vec::new(),
        };
        let mut seen = std::collections::HashSet::new();
        for (text, at) in labels.iter().zip(0_i64..) {
            check_label(text)?;
            if !seen.insert(text) {
                return Err(Error::new(
                    ErrorKind::Conflict,
                    SqlState::UNIQUE_VIOLATION,
                    "duplicate key value violates unique constraint \"pg_enum_typid_label_index\"",
                )
                .with_detail(format!("The label \"{text}\" is there twice.")));
            }
            made.check_room()?;
            made.labels.push(Label {
                text: text.clone(),
                position: at * STEP,
            });
        }
        Ok(made)
    }

    /// With one more label.
    ///
    /// # Errors
    /// 42710 for one that is there, 22023 for a neighbour that is not, 42602 for one that is too long, 54000 where there is no room.
    pub fn with_label(&self, text: &str, place: Place<'_>) -> Result<Self> {
        check_label(text)?;
        if self.find(text).is_some() {
            return Err(taken(text));
        }
        self.check_room()?;
        let at = match place {
            Place::End => self.labels.len(),
            Place::Before(neighbour) => self.existing(neighbour)?,
            Place::After(neighbour) => self.existing(neighbour)? + 1,
        };
        let before = at.checked_sub(1).map(|before| self.labels[before].position);
        let behind = self.labels.get(at).map(|behind| behind.position);
        let position = match (before, behind) {
            (None, None) => Some(0),
            (Some(before), None) => before.checked_add(STEP),
            (None, Some(behind)) => behind.checked_sub(STEP),
            (Some(before), Some(behind)) => {
                let middle = (i128::from(before) + i128::from(behind)).div_euclid(2);
                i64::try_from(middle).ok().filter(|&middle| middle != before)
            }
        };
        let position = position.ok_or_else(|| {
            Error::exhausted(
                SqlState::PROGRAM_LIMIT_EXCEEDED,
                format!("there is no room for another label of type {} in this place", self.name),
            )
            .with_hint("Create a type with all labels, and let columns be of that: ALTER TABLE ... ALTER COLUMN ... TYPE ... USING.")
        })?;
        let mut more = self.clone();
        let label = Label {
            text: text.to_owned(),
            position,
        };
        more.labels.insert(at, label);
        Ok(more)
    }

    /// With another text for a label.
    ///
    /// # Errors
    /// 22023 for a label that is not there, 42710 for a text that is, 42602 for one that is too long.
    pub fn with_renamed(&self, old: &str, new: &str) -> Result<Self> {
        check_label(new)?;
        let at = self.existing(old)?;
        if self.find(new).is_some() {
            return Err(taken(new));
        }
        let mut renamed = self.clone();
        new.clone_into(&mut renamed.labels[at].text);
        Ok(renamed)
    }

    /// PostgreSQL's OID of the type.
    pub fn oid(&self) -> u32 {
        oid(self.id, 0)
    }

    fn find(&self, text: &str) -> Option<usize> {
        self.labels.iter().position(|label| label.text == text)
    }

    fn existing(&self, text: &str) -> Result<usize> {
        self.find(text).ok_or_else(|| {
            Error::invalid(
                SqlState::INVALID_PARAMETER_VALUE,
                format!("\"{text}\" is not an existing enum label"),
            )
        })
    }

    fn check_room(&self) -> Result<()> {
        match self.labels.len() < LABELS_MAX {
            true => Ok(()),
            false => Err(Error::exhausted(
                SqlState::PROGRAM_LIMIT_EXCEEDED,
                format!("a type can have at most {LABELS_MAX} enum labels"),
            )),
        }
    }
}

impl Label {
    /// `pg_enum.enumsortorder`: from 1 on, with fractions for what was put between.
    pub fn sort_order(&self) -> f32 {
        (self.position as f64 / STEP as f64 + 1.0) as f32
    }
}

fn taken(text: &str) -> Error {
    let message = format!("enum label \"{text}\" already exists");
    Error::new(ErrorKind::Conflict, SqlState::DUPLICATE_OBJECT, message)
}

fn check_label(text: &str) -> Result<()> {
    match text.len() <= LABEL_BYTES_MAX {
        true => Ok(()),
        false => Err(
            Error::invalid(SqlState::INVALID_NAME, format!("invalid enum label \"{text}\""))
                .with_detail(format!("Labels must be {LABEL_BYTES_MAX} bytes or less.")),
        ),
    }
}

/// The OID of what has a place among those of a type: the type itself at 0, its array at 1. As a table's (`sql::system::oids`).
fn oid(id: u32, slot: u32) -> u32 {
    const FIRST: u32 = 16_384;
    const EACH: u32 = 1_024;
    const BEYOND: u32 = 1 << 30;
    let by_rule = id
        .checked_sub(FIRST_TABLE.0)
        .and_then(|number| number.checked_mul(EACH))
        .and_then(|start| start.checked_add(FIRST + slot))
        .filter(|&oid| oid < BEYOND);
    // Ids are below 2^30, and half of those are never reached: see `objects::Catalog::next_id`.
    by_rule.unwrap_or(BEYOND | ((2 * id + slot) & (BEYOND - 1)))
}

/// A type as it was at one moment; see the module's header.
#[derive(Clone, Copy)]
pub struct EnumType(&'static Known);

struct Known {
    index: usize,
    oid: u32,
    array_oid: u32,
    /// The type's name alone.
    name: &'static str,
    array_name: &'static str,
    /// `pg_type.typname` of its arrays.
    array_type_name: &'static str,
    /// As PostgreSQL's messages write it: with its schema where that is not `public`.
    shown: &'static str,
    qualified: String,
    word: Arc<str>,
    zone: Arc<str>,
    descriptor: EnumDescriptor,
    /// Places of labels, by their texts.
    by_text: Vec<u32>,
}

#[derive(Default)]
struct Registry {
    all: Vec<&'static Known>,
    by_content: HashMap<EnumDescriptor, &'static Known>,
}

static REGISTRY: LazyLock<RwLock<Registry>> = LazyLock::new(RwLock::default);

impl Known {
    fn new(index: usize, descriptor: &EnumDescriptor) -> Self {
        let qualified = format!("{}.{}", quoted(&descriptor.schema), quoted(&descriptor.name));
        let mut by_text: Vec<u32> = (0_u32..).take(descriptor.labels.len()).collect();
        by_text.sort_by(|&one, &other| {
            descriptor.labels[one as usize]
                .text
                .cmp(&descriptor.labels[other as usize].text)
        });
        let shown = match descriptor.schema.as_str() {
            PUBLIC | "" => quoted(&descriptor.name),
            _ => qualified.clone(),
        };
        Self {
            index,
            oid: oid(descriptor.id, 0),
            array_oid: oid(descriptor.id, 1),
            name: Box::leak(descriptor.name.clone().into_boxed_str()),
            array_name: Box::leak(format!("{shown}[]").into_boxed_str()),
            array_type_name: Box::leak(format!("_{}", descriptor.name).into_boxed_str()),
            shown: Box::leak(shown.into_boxed_str()),
            qualified,
            word: format!("{WORD}{index}").into(),
            zone: zone_of(index).unwrap_or_else(|| format!("{WORD}{index}")).into(),
            by_text,
            descriptor: descriptor.clone(),
        }
    }
}

impl EnumType {
    /// The type as a descriptor has it.
    ///
    /// # Errors
    /// 54000 after more states of types than a process keeps.
    pub fn of(descriptor: &EnumDescriptor) -> Result<Self> {
        if let Some(known) = read().by_content.get(descriptor) {
            return Ok(Self(known));
        }
        let mut registry = REGISTRY.write().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(known) = registry.by_content.get(descriptor) {
            return Ok(Self(known));
        }
        if registry.all.len() >= KNOWN_MAX {
            return Err(Error::exhausted(
                SqlState::PROGRAM_LIMIT_EXCEEDED,
                format!("this process has seen {KNOWN_MAX} enum types"),
            )
            .with_hint("Restart it."));
        }
        // It is never given back: whoever holds the word may read the labels at any time.
        let known: &'static Known = Box::leak(Box::new(Known::new(registry.all.len(), descriptor)));
        registry.all.push(known);
        registry.by_content.insert(descriptor.clone(), known);
        Ok(Self(known))
    }

    /// What is stored of a type of an id: it has no labels until [`EnumType::of`] gives them.
    ///
    /// # Errors
    /// As [`EnumType::of`].
    pub fn unresolved(id: u32) -> Result<Self> {
        Self::of(&EnumDescriptor {
            id,
            schema: String::new(),
            name: format!("{STORED}{id}"),
            labels: Vec::new(),
        })
    }

    /// The type that a zone stands for, see [`EnumType::zone`].
    pub fn of_zone(zone: &str) -> Option<Self> {
        match index_of(zone) {
            Some(index) => read().all.get(index).copied().map(Self),
            None => Self::of_word(zone),
        }
    }

    /// The zone that stands for it in this process, of a timestamp.
    pub fn zone(self) -> &'static Arc<str> {
        &self.0.zone
    }

    /// Whether there are arrays of it.
    pub const fn has_arrays(self) -> bool {
        self.0.index < ZONES
    }

    /// The type that a word stands for, see [`EnumType::word`].
    pub fn of_word(word: &str) -> Option<Self> {
        let index: usize = word.strip_prefix(WORD)?.parse().ok()?;
        read().all.get(index).copied().map(Self)
    }

    /// The type that a stored name stands for, without labels; None for a name of another type.
    pub(crate) fn of_stored(name: &str) -> Option<Result<Self>> {
        let id = name.strip_prefix(STORED)?.parse().ok()?;
        Some(Self::unresolved(id))
    }

    /// The name that is stored of it.
    pub(crate) fn stored(self) -> String {
        format!("{STORED}{}", self.id())
    }

    /// A name that stands for it in this process, in the place of a type's name.
    pub fn word(self) -> &'static Arc<str> {
        &self.0.word
    }

    /// Its id.
    pub const fn id(self) -> u32 {
        self.0.descriptor.id
    }

    /// Its OID.
    pub const fn oid(self) -> u32 {
        self.0.oid
    }

    /// The OID of arrays of it.
    pub const fn array_oid(self) -> u32 {
        self.0.array_oid
    }

    /// Its name alone.
    pub const fn name(self) -> &'static str {
        self.0.name
    }

    /// Its name as messages write it.
    pub const fn shown(self) -> &'static str {
        self.0.shown
    }

    /// The name of arrays of it, as messages write it.
    pub const fn array_name(self) -> &'static str {
        self.0.array_name
    }

    /// PostgreSQL's internal name of arrays of it.
    pub const fn array_type_name(self) -> &'static str {
        self.0.array_type_name
    }

    /// Its name as SQL writes it, with its schema in any case.
    pub fn qualified(self) -> &'static str {
        &self.0.qualified
    }

    /// What the catalog says of it.
    pub fn descriptor(self) -> &'static EnumDescriptor {
        &self.0.descriptor
    }

    /// The labels, in order.
    pub fn labels(self) -> &'static [Label] {
        &self.0.descriptor.labels
    }

    /// The position of a label.
    pub fn find(self, text: &str) -> Option<i64> {
        let labels = self.labels();
        let found = self
            .0
            .by_text
            .binary_search_by(|&at| labels[at as usize].text.as_str().cmp(text));
        Some(labels[self.0.by_text[found.ok()?] as usize].position)
    }

    /// The label at a position; None for a position that no label has, as one of a damaged row.
    pub fn label(self, position: i64) -> Option<&'static str> {
        let labels = self.labels();
        let found = labels.binary_search_by_key(&position, |label| label.position);
        Some(&labels[found.ok()?].text)
    }

    /// Reads a label.
    ///
    /// # Errors
    /// 22P02 for a text that is none.
    pub fn text_in(self, text: &str) -> Result<i64> {
        self.find(text).ok_or_else(|| {
            Error::invalid(
                SqlState::INVALID_TEXT_REPRESENTATION,
                format!("invalid input value for enum {self}: \"{text}\""),
            )
        })
    }

    /// Appends the label at a position.
    pub fn text_out(self, position: i64, out: &mut String) {
        match self.label(position) {
            Some(label) => out.push_str(label),
            // A damaged row is shown rather than taken for another value.
            None => out.push_str(&format!("<{position}>")),
        }
    }
}

/// The zone of a state: `+00:60`, `-00:60`, `+0060`, `-0060`, `+00:61` and so on.
fn zone_of(index: usize) -> Option<String> {
    let (form, place) = (index % 4, index / 4);
    let sign = if form % 2 == 0 { '+' } else { '-' };
    let colon = if form < 2 { ":" } else { "" };
    let (hours, minutes) = (place / 40, 60 + place % 40);
    (index < ZONES).then(|| format!("{sign}{hours:02}{colon}{minutes}"))
}

/// The state that a zone stands for.
fn index_of(zone: &str) -> Option<usize> {
    let sign = match zone.as_bytes().first()? {
        b'+' => 0,
        b'-' => 1,
        _ => return None,
    };
    let (hours, minutes, colon) = match zone.len() {
        6 if zone.as_bytes()[3] == b':' => (zone.get(1..3)?, zone.get(4..)?, 0),
        5 => (zone.get(1..3)?, zone.get(3..)?, 2),
        _ => return None,
    };
    let (hours, minutes): (usize, usize) = (hours.parse().ok()?, minutes.parse().ok()?);
    let is_ours = hours < 23 && (60..100).contains(&minutes);
    is_ours.then(|| (hours * 40 + minutes - 60) * 4 + sign + colon)
}

fn read() -> std::sync::RwLockReadGuard<'static, Registry> {
    REGISTRY.read().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// A name as SQL writes it.
fn quoted(name: &str) -> String {
    let is_plain = name.bytes().enumerate().all(|(at, byte)| {
        byte.is_ascii_lowercase() || byte == b'_' || (at > 0 && (byte.is_ascii_digit() || byte == b'$'))
    });
    match is_plain && !name.is_empty() {
        true => name.to_owned(),
        false => format!("\"{}\"", name.replace('"', "\"\"")),
    }
}

impl fmt::Display for EnumType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.shown)
    }
}

impl fmt::Debug for EnumType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EnumType({} {})", self.0.word, self.0.shown)
    }
}

impl PartialEq for EnumType {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self.0, other.0)
    }
}

impl Eq for EnumType {}

impl Hash for EnumType {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.index.hash(state);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn mood(labels: &[&str]) -> EnumDescriptor {
        let labels: Vec<String> = labels.iter().map(|&label| label.to_owned()).collect();
        let made = EnumDescriptor::new("public", "mood", &labels).expect("three labels");
        EnumDescriptor { id: 1001, ..made }
    }

    fn texts(descriptor: &EnumDescriptor) -> Vec<&str> {
        descriptor.labels.iter().map(|label| label.text.as_str()).collect()
    }

    #[test]
    fn labels_are_added_in_their_places_and_keep_their_positions() {
        let first = mood(&["sad", "ok", "happy"]);
        let more = first.with_label("meh", Place::Before("ok")).expect("room");
        let more = more.with_label("worst", Place::Before("sad")).expect("room");
        let more = more.with_label("best", Place::End).expect("room");
        let more = more.with_label("fine", Place::After("ok")).expect("room");
        assert_eq!(texts(&more), ["worst", "sad", "meh", "ok", "fine", "happy", "best"]);
        assert!(more.labels.is_sorted_by_key(|label| label.position));
        let orders: Vec<f32> = more.labels.iter().map(Label::sort_order).collect();
        assert_eq!(orders, [0.0, 1.0, 1.5, 2.0, 2.5, 3.0, 4.0], "as PostgreSQL's");
        for label in &first.labels {
            assert!(more.labels.contains(label));
        }
    }

    #[test]
    fn a_gap_is_used_up_with_an_error() {
        let mut halved = mood(&["a", "b"]);
        let mut count = 0;
        let error = loop {
            match halved.with_label(&format!("x{count}"), Place::After("a")) {
                Ok(more) => halved = more,
                Err(error) => break error,
            }
            count += 1;
        };
        assert_eq!((count, error.state().as_str()), (44, "54000"));
        assert!(halved.labels.is_sorted_by(|one, other| one.position < other.position));
    }

    #[test]
    fn what_is_wrong_is_told() {
        let first = mood(&["sad", "ok"]);
        let state = |error: Error| error.state().as_str().to_owned();
        assert_eq!(state(first.with_label("ok", Place::End).expect_err("there")), "42710");
        assert_eq!(
            state(first.with_label("x", Place::After("y")).expect_err("no y")),
            "22023"
        );
        assert_eq!(state(first.with_renamed("y", "x").expect_err("no y")), "22023");
        assert_eq!(state(first.with_renamed("sad", "ok").expect_err("there")), "42710");
        assert_eq!(
            state(first.with_label(&"x".repeat(64), Place::End).expect_err("long")),
            "42602"
        );
        let twice = EnumDescriptor::new("public", "t", &["a".to_owned(), "a".to_owned()]);
        assert_eq!(state(twice.expect_err("twice")), "23505");
    }

    #[test]
    fn a_type_is_a_word() {
        let first = mood(&["sad", "ok"]);
        let one = EnumType::of(&first).expect("known");
        assert_eq!(EnumType::of(&first).expect("known"), one);
        assert_eq!(EnumType::of_word(one.word()), Some(one));
        assert_eq!(EnumType::of_word("mood"), None);
        let other = EnumType::of(&first.with_label("happy", Place::End).expect("room")).expect("known");
        assert_ne!(one, other);
        assert_eq!((one.oid(), other.oid(), one.array_oid()), (17_408, 17_408, 17_409));
        assert_eq!(one.find("ok").and_then(|position| other.label(position)), Some("ok"));
        let error = one.text_in("happy").expect_err("not yet");
        assert_eq!(error.message(), "invalid input value for enum mood: \"happy\"");
        assert_eq!(one.label(1), None);
        let stored = EnumType::of_stored(&one.stored()).expect("a type").expect("known");
        assert_eq!(stored.id(), one.id());
    }

    #[test]
    fn zones_are_told_apart() {
        for index in 0..ZONES {
            let zone = zone_of(index).expect("one of them");
            assert_eq!(index_of(&zone), Some(index), "{zone}");
        }
        assert_eq!(zone_of(ZONES), None);
        for other in [
            "UTC", "+00:00", "+02:00", "-0330", "+23:60", "", "+", "enum#1", "+1:60", "+ä60",
        ] {
            assert_eq!(index_of(other), None, "{other}");
        }
        let one = EnumType::of(&mood(&["a"])).expect("known");
        assert_eq!(EnumType::of_zone(one.zone()), Some(one));
    }

    proptest! {
        /// Beside a list of texts, into which labels are put at the same places.
        #[test]
        fn labels_are_ordered_as_a_list(places in prop::collection::vec((0..8usize, any::<bool>()), 0..30)) {
            let mut descriptor = mood(&["a", "b"]);
            let mut list = vec!["a".to_owned(), "b".to_owned()];
            for (number, (at, is_before)) in places.into_iter().enumerate() {
                let at = at % list.len();
                let neighbour = list[at].clone();
                let place = if is_before { Place::Before(&neighbour) } else { Place::After(&neighbour) };
                let text = format!("l{number}");
                descriptor = descriptor.with_label(&text, place)?;
                list.insert(if is_before { at } else { at + 1 }, text);
            }
            prop_assert_eq!(texts(&descriptor), list);
            prop_assert!(descriptor.labels.is_sorted_by(|one, other| one.position < other.position));
            let known = EnumType::of(&descriptor)?;
            for label in &descriptor.labels {
                prop_assert_eq!(known.find(&label.text), Some(label.position));
                prop_assert_eq!(known.label(label.position), Some(label.text.as_str()));
            }
        }
    }
}
