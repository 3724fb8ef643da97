//! Telling an observer what ran.
//!
//! **Fingerprint.** As `pg_stat_statements` does, a statement is known by its text with `$n` for each literal, numbered after the
//! parameters that it has. So that statements which differ in nothing else are one:
//!
//! - a list of nothing but literals in parentheses is one literal and `/*, ... */`; so is a list of such lists, as in VALUES;
//! - white space and comments are one space;
//! - the number that it is known by is the 64-bit FNV-1a hash of that text with its unquoted words in lower case.
//!
//! Numbers that are no values stay: those after ORDER BY and GROUP BY that stand for a column, and those within braces, which are a
//! pattern's quantifiers.
//!
//! **Cost.** Nothing, where there is no observer or the mode is off. A prepared statement is fingerprinted once, and a text
//! without literals once while it is known. Operators are gathered, and a model asked, after the last row. The direct path is
//! not observed.

use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use aion_base::Result;
use aion_base::clock::{Clock, SystemClock};
use aion_base::observation::{Fingerprint, Observation, Observer};
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::sql::sqlparser::tokenizer::{Location, Token, TokenWithSpan};
use futures::{Stream, StreamExt};

use crate::parse::tokens;
use crate::session::{PlanNode, operators_of, predict};

/// Texts of several statements are observed up to this size: each is found in it anew.
const SCRIPT_BYTES_MAX: usize = 64 << 10;

/// One statement of a text: without its literals, and its place in the text.
///
/// None for a text that cannot be taken apart, or is too long for that.
pub fn fingerprint(text: &str, ordinal: usize) -> Option<(Fingerprint, Range<usize>)> {
    let tokens = tokens(text, text).ok()?;
    let is_end = |token: &TokenWithSpan| token.token == Token::SemiColon;
    let parts = tokens.split(is_end).filter(|part| part.iter().any(is_significant));
    let parts: Vec<&[TokenWithSpan]> = parts.collect();
    if parts.len() > 1 && text.len() > SCRIPT_BYTES_MAX {
        return None;
    }
    let part = *parts.get(ordinal)?;
    let first = part.iter().position(is_significant)?;
    let last = part.iter().rposition(is_significant)?;
    let part = &part[first..=last];
    let start = offset(text, part.first()?.span.start)?;
    let end = offset(text, part.last()?.span.end)?;
    let query = render(&merge(pieces(part)));
    let queryid = hash(&query);
    let fingerprint = Fingerprint {
        queryid,
        query: query.into(),
    };
    Some((fingerprint, start..end))
}

fn is_significant(token: &TokenWithSpan) -> bool {
    !matches!(token.token, Token::Whitespace(_) | Token::EOF)
}

/// The byte that a place in a text is at.
fn offset(text: &str, place: Location) -> Option<usize> {
    let mut lines = text.split_inclusive('\n');
    let before: usize = lines.by_ref().take(place.line as usize - 1).map(str::len).sum();
    let line = lines.next().unwrap_or_default();
    let mut chars = line.char_indices().map(|(at, _)| at).chain([line.len()]);
    Some(before + chars.nth(place.column as usize - 1)?)
}

/// A piece of a statement.
#[derive(Clone, Debug, PartialEq)]
enum Piece {
    /// As it is written.
    Text(String),
    /// A literal.
    Literal,
    /// Literals with commas between.
    Literals,
}

/// A piece, and whether it follows at once on the one before.
type Spaced = (Piece, bool);

fn pieces(tokens: &[TokenWithSpan]) -> Vec<Spaced> {
    let mut pieces: Vec<Spaced> = Vec::new();
    let mut has_space = false;
    let (mut depth, mut braces) = (0_usize, 0_usize);
    // The depth of the last BY whose list goes on.
    let mut list_at: Option<usize> = None;
    let mut begins_item = false;
    for TokenWithSpan { token, .. } in tokens {
        if matches!(token, Token::Whitespace(_)) {
            has_space = true;
            continue;
        }
        let is_ordinal = begins_item && list_at == Some(depth) && matches!(token, Token::Number(..));
        let is_by =
            matches!(token, Token::Word(word) if word.quote_style.is_none() && word.value.eq_ignore_ascii_case("by"));
        begins_item = is_by || *token == Token::Comma;
        match token {
            Token::LParen => depth += 1,
            Token::RParen => {
                depth = depth.saturating_sub(1);
                list_at = list_at.filter(|&at| at <= depth);
            }
            Token::LBrace => braces += 1,
            Token::RBrace => braces = braces.saturating_sub(1),
            Token::Word(_) if is_by => list_at = Some(depth),
            Token::Word(word) if ENDS_LIST.iter().any(|end| word.value.eq_ignore_ascii_case(end)) => list_at = None,
            _ => {}
        }
        let piece = match token {
            Token::Number(..) if is_ordinal || braces > 0 => Piece::Text(token.to_string()),
            token if is_literal(token) => Piece::Literal,
            token => Piece::Text(token.to_string()),
        };
        pieces.push((piece, !has_space));
        has_space = false;
    }
    pieces
}

/// Words after which numbers are values again.
const ENDS_LIST: &[&str] = &[
    "limit",
    "offset",
    "fetch",
    "having",
    "window",
    "union",
    "except",
    "intersect",
    "where",
];

fn is_literal(token: &Token) -> bool {
    matches!(
        token,
        Token::Number(..)
            | Token::SingleQuotedString(_)
            | Token::DollarQuotedString(_)
            | Token::EscapedStringLiteral(_)
            | Token::UnicodeStringLiteral(_)
            | Token::NationalStringLiteral(_)
            | Token::HexStringLiteral(_)
            | Token::SingleQuotedByteStringLiteral(_)
    )
}

/// Lists of nothing but literals, in parentheses, as one piece, and lists of such lists.
fn merge(pieces: Vec<Spaced>) -> Vec<Spaced> {
    let is = |piece: &Spaced, wanted: &str| matches!(&piece.0, Piece::Text(text) if text == wanted);
    let mut merged: Vec<Spaced> = Vec::new();
    for piece in pieces {
        let closes = is(&piece, ")");
        merged.push(piece);
        if !closes {
            continue;
        }
        let list = merged.len()
            - 1
            - merged[..merged.len() - 1]
                .iter()
                .rev()
                .take_while(|piece| !matches!(piece.0, Piece::Text(_)) || is(piece, ","))
                .count();
        let has_open = list > 0 && is(&merged[list - 1], "(");
        let literals = merged.len() - 1 - list;
        if !has_open || literals == 0 {
            continue;
        }
        if literals > 1 {
            merged[list].0 = Piece::Literals;
            merged.drain(list + 1..merged.len() - 1);
        }
        // After a list of its kind and a comma, it is one more of a list of lists.
        let is_group = |open: &Spaced, values: &Spaced, close: &Spaced| {
            is(open, "(") && !matches!(values.0, Piece::Text(_)) && is(close, ")")
        };
        if let [.., open, values, close, comma, _, _, _] = &mut merged[..]
            && is_group(open, values, close)
            && is(comma, ",")
        {
            values.0 = Piece::Literals;
            merged.truncate(merged.len() - 4);
        }
    }
    merged
}

fn render(pieces: &[Spaced]) -> String {
    let parameters = pieces.iter().filter_map(|(piece, _)| match piece {
        Piece::Text(text) => text.strip_prefix('$')?.parse::<usize>().ok(),
        _ => None,
    });
    let mut number = parameters.max().unwrap_or(0);
    let mut query = String::new();
    for (at, (piece, follows)) in pieces.iter().enumerate() {
        if at > 0 && !follows {
            query.push(' ');
        }
        match piece {
            Piece::Text(text) => query.push_str(text),
            Piece::Literal | Piece::Literals => {
                number += 1;
                query.push_str(&format!("${number}"));
                if *piece == Piece::Literals {
                    query.push_str(" /*, ... */");
                }
            }
        }
    }
    query
}

/// 64-bit FNV-1a, letters in lower case but for those within double quotes.
fn hash(query: &str) -> i64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    let mut is_quoted = false;
    for byte in query.bytes() {
        is_quoted ^= byte == b'"';
        let byte = if is_quoted { byte } else { byte.to_ascii_lowercase() };
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    }
    hash as i64
}

/// An execution that will be told of: when it is over, or given up.
#[derive(Debug)]
pub struct Observing {
    observer: Arc<dyn Observer>,
    /// Taken when it is told.
    observation: Option<Observation>,
    /// Asked for its operators in the end.
    physical: Option<Arc<dyn ExecutionPlan>>,
    clock: SystemClock,
}

impl Observing {
    /// Begins with what is known before it runs. `physical` is the plan, where it is to be told of.
    pub fn new(
        observer: Arc<dyn Observer>,
        observation: Observation,
        physical: Option<Arc<dyn ExecutionPlan>>,
    ) -> Self {
        Self {
            observer,
            observation: Some(observation),
            physical,
            clock: SystemClock::default(),
        }
    }

    /// What observing took before the statement runs.
    pub fn added(&mut self, time: Duration) {
        if let Some(observation) = &mut self.observation {
            observation.added = time;
        }
    }

    /// A monotonic time.
    pub fn now(&self) -> Duration {
        self.clock.monotonic()
    }

    /// Adds the time since then, and rows that were given or changed in it.
    pub fn took(&mut self, since: Duration, rows: usize) {
        let now = self.now();
        if let Some(observation) = &mut self.observation {
            observation.execution += now.saturating_sub(since);
            observation.rows += rows as u64;
        }
    }

    /// All of it was run.
    pub fn complete(&mut self) {
        if let Some(observation) = &mut self.observation {
            observation.is_complete = true;
        }
        self.tell();
    }

    fn tell(&mut self) {
        let Some(mut observation) = self.observation.take() else {
            return;
        };
        let begin = self.now();
        if let Some(plan) = self.physical.take().filter(|_| observation.is_complete) {
            // In shadow a prediction changes nothing, so it need not hold up the plan: what it is made of was known before.
            let tree = PlanNode::expected(plan.as_ref());
            let predicts = self.observer.predicts();
            let predicted = predicts.then(|| predict(&*self.observer, &tree)).flatten();
            observation.model = predicted.as_ref().map(|predicted| predicted.model.clone());
            observation.operators = operators_of(tree, plan.as_ref(), predicted.as_ref());
        }
        observation.told = self.now().saturating_sub(begin);
        self.observer.observe(observation);
    }
}

impl Drop for Observing {
    fn drop(&mut self) {
        self.tell();
    }
}

/// The stream, with its time and rows told of.
pub fn observed<S>(stream: S, observing: Observing) -> impl Stream<Item = Result<RecordBatch>> + Send + 'static
where
    S: Stream<Item = Result<RecordBatch>> + Send + 'static,
{
    let stream: Pin<Box<S>> = Box::pin(stream);
    futures::stream::unfold((stream, observing), |(mut stream, mut observing)| async move {
        let since = observing.now();
        let next = stream.next().await;
        let rows = match &next {
            Some(Ok(batch)) => batch.num_rows(),
            _ => 0,
        };
        observing.took(since, rows);
        match next {
            Some(batch) => Some((batch, (stream, observing))),
            None => {
                observing.complete();
                None
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(text: &str) -> String {
        let (fingerprint, _) = fingerprint(text, 0).expect("it can be taken apart");
        fingerprint.query.to_string()
    }

    fn queryid(text: &str) -> i64 {
        fingerprint(text, 0).expect("it can be taken apart").0.queryid
    }

    #[test]
    fn literals_become_parameters() {
        for (text, expected) in [
            ("SELECT 1", "SELECT $1"),
            (
                "SELECT a FROM t WHERE b = 'x' AND c > -1.5",
                "SELECT a FROM t WHERE b = $1 AND c > -$2",
            ),
            (
                "SELECT a FROM t WHERE b = $2 AND c = 7",
                "SELECT a FROM t WHERE b = $2 AND c = $3",
            ),
            ("select  1 -- one\n , /* two */ 2.0", "select $1 , $2"),
            ("SELECT E'a\\n', $$x$$, 'it''s'", "SELECT $1, $2, $3"),
            (
                "SELECT f(1, 2, a), g(1, 2), h()",
                "SELECT f($1, $2, a), g($3 /*, ... */), h()",
            ),
            ("SELECT a IN (1,2 , 3) FROM t", "SELECT a IN ($1 /*, ... */) FROM t"),
            (
                "INSERT INTO t VALUES (1, 'a'), (2, 'b'), (3, 'c')",
                "INSERT INTO t VALUES ($1 /*, ... */)",
            ),
            ("INSERT INTO t VALUES (1), (2)", "INSERT INTO t VALUES ($1 /*, ... */)"),
            (
                "INSERT INTO t VALUES (1, now()), (2, now())",
                "INSERT INTO t VALUES ($1, now()), ($2, now())",
            ),
            (
                "SELECT a, count(*) FROM t GROUP BY 1 ORDER BY 2 DESC, f(a, 3) LIMIT 10",
                "SELECT a, count(*) FROM t GROUP BY 1 ORDER BY 2 DESC, f(a, $1) LIMIT $2",
            ),
            (
                "MATCH (a)-[e]->{1,3}(b WHERE b.x = 5)",
                "MATCH (a)-[e]->{1,3}(b WHERE b.x = $1)",
            ),
            ("SELECT \"A\".\"b 1\" FROM \"A\"", "SELECT \"A\".\"b 1\" FROM \"A\""),
            ("SELECT true, NULL", "SELECT true, NULL"),
        ] {
            assert_eq!(query(text), expected);
        }
    }

    #[test]
    fn what_differs_in_literals_case_or_space_is_one_statement() {
        let one = queryid("SELECT a FROM t WHERE b = 1");
        for same in [
            "select A\n from T where B=2".replace("B=2", "B = 2"),
            "SELECT a FROM t WHERE b = 'x'; ".to_owned(),
            "  SELECT a FROM t /* c */ WHERE b = $$y$$".to_owned(),
        ] {
            assert_eq!(queryid(&same), one, "{same}");
        }
        for other in [
            "SELECT a FROM t WHERE c = 1",
            "SELECT \"A\" FROM t WHERE b = 1",
            "SELECT a FROM t WHERE b = 1 ORDER BY 1",
        ] {
            assert_ne!(queryid(other), one, "{other}");
        }
        assert_ne!(
            queryid("SELECT a FROM t ORDER BY 1"),
            queryid("SELECT a FROM t ORDER BY 2")
        );
        assert_eq!(queryid("SELECT a IN (1, 2)"), queryid("SELECT a IN (1, 2, 3)"));
    }

    #[test]
    fn each_statement_of_a_text_has_its_place() {
        let text = "SELECT 'ü;1';\n -- two\n SELECT 2\n FROM t ;; SELECT $1";
        let places: Vec<_> = (0..4)
            .map(|ordinal| fingerprint(text, ordinal).map(|(_, place)| &text[place]))
            .collect();
        assert_eq!(
            places,
            [Some("SELECT 'ü;1'"), Some("SELECT 2\n FROM t"), Some("SELECT $1"), None]
        );
        assert!(fingerprint("SELECT 'open", 0).is_none());
        let script = "SELECT 1;".repeat(SCRIPT_BYTES_MAX / 9 + 1);
        assert!(fingerprint(&script, 1).is_none());
        // One statement may be as long as it likes.
        let long = format!("SELECT '{}'", "x".repeat(SCRIPT_BYTES_MAX));
        assert_eq!(query(&long), "SELECT $1");
    }
}
