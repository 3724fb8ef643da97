//! What a run believes to be there: tables with their columns, views and sequences.
//!
//! It follows PostgreSQL's answers: a change is believed once PostgreSQL took it. A block keeps what was believed at BEGIN and
//! at each savepoint, to go back to it.

use aion_base::rng::SeededRng;

/// A type, as far as drawing values of it goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    SmallInt,
    Integer,
    BigInt,
    Numeric,
    Double,
    Boolean,
    Text,
    Date,
    Timestamp,
}

impl Kind {
    pub const ALL: [Self; 9] = [
        Self::SmallInt,
        Self::Integer,
        Self::BigInt,
        Self::Numeric,
        Self::Double,
        Self::Boolean,
        Self::Text,
        Self::Date,
        Self::Timestamp,
    ];

    /// A type as a column declares it.
    pub fn declared(self, rng: &mut SeededRng) -> &'static str {
        match self {
            Self::SmallInt => "smallint",
            Self::Integer => "integer",
            Self::BigInt => "bigint",
            Self::Numeric => pick(rng, &["numeric(10,2)", "numeric(6,3)", "numeric(20,0)"]),
            Self::Double => "double precision",
            Self::Boolean => "boolean",
            Self::Text => pick(rng, &["text", "text", "varchar(12)", "varchar", "character(4)"]),
            Self::Date => "date",
            Self::Timestamp => "timestamp",
        }
    }

    /// A type that holds all its values.
    pub fn wide(self) -> &'static str {
        match self {
            Self::SmallInt => "smallint",
            Self::Integer => "integer",
            Self::BigInt => "bigint",
            Self::Numeric => "numeric(20,4)",
            Self::Double => "double precision",
            Self::Boolean => "boolean",
            Self::Text => "text",
            Self::Date => "date",
            Self::Timestamp => "timestamp",
        }
    }

    pub fn is_whole(self) -> bool {
        matches!(self, Self::SmallInt | Self::Integer | Self::BigInt)
    }
}

#[derive(Clone, Debug)]
pub struct Column {
    pub name: String,
    pub kind: Kind,
    /// Numbers itself, so that no statement gives a value.
    pub is_serial: bool,
}

#[derive(Clone, Debug)]
pub struct Table {
    pub name: String,
    pub columns: Vec<Column>,
    /// Columns of keys and unique indexes, each of which ON CONFLICT may name.
    pub keys: Vec<Vec<String>>,
    pub constraints: Vec<String>,
    pub indexes: Vec<String>,
}

impl Table {
    pub fn is_key(&self, column: &str) -> bool {
        self.keys.iter().flatten().any(|name| name == column)
    }
}

#[derive(Clone, Debug, Default)]
pub struct World {
    pub tables: Vec<Table>,
    /// Views, with their columns.
    pub views: Vec<Table>,
    pub sequences: Vec<String>,
    /// So that each name is given once.
    pub names: usize,
}

impl World {
    pub fn name(&mut self, prefix: &str) -> String {
        self.names += 1;
        format!("{prefix}{}", self.names)
    }

    /// Tables and views: whatever has rows.
    pub fn relations(&self) -> Vec<&Table> {
        self.tables.iter().chain(&self.views).collect()
    }
}

/// One of these.
pub fn pick<T: Copy>(rng: &mut SeededRng, from: &[T]) -> T {
    from[index(rng, from.len())]
}

/// A number below `length`.
pub fn index(rng: &mut SeededRng, length: usize) -> usize {
    usize::try_from(rng.below(length as u64)).expect("below a length")
}

/// A constant of this type, seldom NULL.
pub fn literal(rng: &mut SeededRng, kind: Kind) -> String {
    if rng.chance(1, 12) {
        return format!("NULL::{}", kind.wide());
    }
    let small = i64::try_from(rng.below(12)).expect("small") - 3;
    match kind {
        Kind::SmallInt | Kind::Integer | Kind::BigInt if rng.chance(1, 40) => match kind {
            Kind::SmallInt => "32767".to_owned(),
            Kind::Integer => "2147483647".to_owned(),
            _ => "9223372036854775807".to_owned(),
        },
        Kind::SmallInt | Kind::Integer => small.to_string(),
        Kind::BigInt => (small * 1_000_000_007).to_string(),
        Kind::Numeric => format!("{small}.{}", rng.below(100)),
        Kind::Double => format!(
            "{}::double precision",
            pick(rng, &["0.5", "-2.25", "3", "1e10", "0", "100.125"])
        ),
        Kind::Boolean => pick(rng, &["true", "false"]).to_owned(),
        Kind::Text => format!(
            "'{}'",
            pick(
                rng,
                &["", "a", "ab", "Ab", "b c", "ä", "%", "a_b", "10", "it''s", "zz "]
            )
        ),
        Kind::Date => format!(
            "'20{:02}-{:02}-{:02}'::date",
            rng.below(30),
            1 + rng.below(12),
            1 + rng.below(28)
        ),
        Kind::Timestamp => format!(
            "'20{:02}-{:02}-{:02} {:02}:{:02}:00'::timestamp",
            rng.below(30),
            1 + rng.below(12),
            1 + rng.below(28),
            rng.below(24),
            rng.below(60)
        ),
    }
}
