//! `jsonpath`: PostgreSQL's path language (SQL/JSON, ISO/IEC 9075-2:2016, 9.39) over documents.
//!
//! **Vocabulary.** A *path* is a mode and an expression. An *expression* is a *chain*: a *primary* (`$`, `@`, a literal, an operator with its
//! operands), followed by *accessors* (`.key`, `[*]`, `?(...)`, `.size()`). A *predicate* is an expression that is true, false or
//! unknown. An *item* is one primary or accessor. In *lax* mode structure that does not fit is no error, and arrays are unwrapped and
//! scalars wrapped where an accessor wants it; in *strict* mode all of that is an error.
//!
//! ```text
//! path       ['strict' | 'lax'] (expression | predicate)
//! primary    '$' | '@' | 'last' | $name | $"name" | "text" | number | true | false | null | '(' expression or predicate ')'
//! accessor   .key | ."key" | .* | .** | .**{n} | .**{n to m} | [*] | [i, j to k] | ?(predicate)
//!            | .type() | .size() | .double() | .ceiling() | .floor() | .abs() | .keyvalue()
//! operator   + - (also before one operand) * / %
//! predicate  == != <> < <= > >= | && || !() | exists() | () is unknown | starts with "text" | like_regex "text" [flag "ismxq"]
//! ```
//!
//! **How it works.** [`Path::parse`] reads text to a tree of at most [`DEPTH_MAX`] levels, [`OPERATORS_MAX`] operators and [`TEXT_BYTES_MAX`] bytes of text. Evaluation
//! walks the chain for every value that an accessor gives: in a loop where there is one, by recursion where there are several. An
//! error inside a predicate makes it unknown; elsewhere it ends the evaluation, and is passed over if that is [`Evaluation::silent`].
//! Not so an unknown variable, more than [`Evaluation::steps_max`] steps, and more than [`RECURSION_MAX`] levels of recursion.
//!
//! **Guarantees.** It prints, answers and fails as PostgreSQL 15 does. Answers of which only the first is wanted stop at it.
//!
//! **Otherwise than there.** `(1 + 2).type()` keeps its parentheses within another operator, without which it reads as something else; a
//! comment behind a key does not swallow it. **Left out.** `datetime()` (0A000). `like_regex` matches with the syntax of the crate `regex`, in linear time: without back
//! references (2201B). The `id` of `keyvalue()` tells objects of one evaluation apart, but is not PostgreSQL's number: it counts in our bytes.

mod evaluate;
mod lex;
mod parse;
mod predicate;
mod print;

use regex::Regex;

use super::{Jsonb, JsonbRef};

/// How deep expressions nest at most.
pub const DEPTH_MAX: usize = 100;

/// How many operators of two operands a path has at most.
pub const OPERATORS_MAX: usize = 250;

/// How deep the evaluation recurses at most: into operands, and into each value of several.
pub const RECURSION_MAX: usize = 300;

/// How long the text of a path is at most.
pub const TEXT_BYTES_MAX: usize = 64 << 10;

/// A path.
#[derive(Clone, Debug)]
pub struct Path {
    is_strict: bool,
    chain: Chain,
}

/// How a path is evaluated.
#[derive(Clone, Copy, Debug)]
pub struct Evaluation<'a> {
    /// The variables, an object; None for none.
    pub variables: Option<JsonbRef<'a>>,
    /// Whether errors of structure and of numbers are passed over, as the operators `@?` and `@@` do.
    pub silent: bool,
    /// How many items are applied to values, and pairs of values compared, at most (54000).
    pub steps_max: u64,
}

impl Default for Evaluation<'_> {
    fn default() -> Self {
        Self {
            variables: None,
            silent: false,
            steps_max: 4_000_000,
        }
    }
}

/// A primary and its accessors; never empty.
type Chain = Vec<Item>;

#[derive(Clone, Debug)]
enum Item {
    Root,
    Current,
    Last,
    /// A scalar.
    Literal(Jsonb),
    Variable(String),
    Binary(Operator, Chain, Chain),
    Sign(Operator, Chain),
    Not(Chain),
    IsUnknown(Chain),
    Exists(Chain),
    LikeRegex(Box<LikeRegex>),
    Key(String),
    AnyKey,
    AnyElement,
    /// `[from to to]`, several of them.
    Elements(Vec<(Chain, Option<Chain>)>),
    /// `.**{first to last}`; [`LAST_LEVEL`] for `last`.
    AnyLevel {
        first: u32,
        last: u32,
    },
    Filter(Chain),
    Method(Method),
}

const LAST_LEVEL: u32 = u32::MAX;

#[derive(Clone, Debug)]
struct LikeRegex {
    text: Chain,
    pattern: String,
    flags: Flags,
    regex: Regex,
}

/// The flags of `like_regex`, by PostgreSQL's letters.
#[derive(Clone, Copy, Debug, Default)]
struct Flags {
    ignores_case: bool,
    dot_is_all: bool,
    many_lines: bool,
    quoted: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operator {
    Or,
    And,
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    StartsWith,
    Add,
    Subtract,
    Multiply,
    Divide,
    Modulo,
}

impl Operator {
    /// As it is written.
    fn text(self) -> &'static str {
        match self {
            Self::Or => "||",
            Self::And => "&&",
            Self::Equal => "==",
            Self::NotEqual => "!=",
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
            Self::StartsWith => "starts with",
            Self::Add => "+",
            Self::Subtract => "-",
            Self::Multiply => "*",
            Self::Divide => "/",
            Self::Modulo => "%",
        }
    }

    /// The operator of an expression that begins in this way.
    fn of(text: &str) -> Option<Self> {
        let all = [
            Self::Or,
            Self::And,
            Self::Equal,
            Self::NotEqual,
            Self::Less,
            Self::LessOrEqual,
            Self::Greater,
            Self::GreaterOrEqual,
            Self::Add,
            Self::Subtract,
            Self::Multiply,
            Self::Divide,
            Self::Modulo,
        ];
        all.into_iter().find(|operator| operator.text() == text)
    }

    /// How tightly it binds.
    fn priority(self) -> u8 {
        match self {
            Self::Or => 0,
            Self::And => 1,
            Self::Equal
            | Self::NotEqual
            | Self::Less
            | Self::LessOrEqual
            | Self::Greater
            | Self::GreaterOrEqual
            | Self::StartsWith => 2,
            Self::Add | Self::Subtract => 3,
            Self::Multiply | Self::Divide | Self::Modulo => 4,
        }
    }
}

/// The priority of `+` and `-` before one operand, and of everything that needs no parentheses.
const SIGN_PRIORITY: u8 = 5;
const PRIMARY_PRIORITY: u8 = 6;

impl Item {
    fn priority(&self) -> u8 {
        match self {
            Self::Binary(operator, ..) => operator.priority(),
            Self::Sign(..) => SIGN_PRIORITY,
            _ => PRIMARY_PRIORITY,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Method {
    Type,
    Size,
    Double,
    Ceiling,
    Floor,
    Abs,
    KeyValue,
}

impl Method {
    const ALL: [Self; 7] = [
        Self::Type,
        Self::Size,
        Self::Double,
        Self::Ceiling,
        Self::Floor,
        Self::Abs,
        Self::KeyValue,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Type => "type",
            Self::Size => "size",
            Self::Double => "double",
            Self::Ceiling => "ceiling",
            Self::Floor => "floor",
            Self::Abs => "abs",
            Self::KeyValue => "keyvalue",
        }
    }
}

#[cfg(test)]
mod tests;
