//! Applying a path to a document.
//!
//! 1. [`Evaluator::walk`] takes the items of a chain one by one. An item that gives one value goes on in a loop, one that gives several
//!    walks the rest of the chain for each of them.
//! 2. A chain that ended has found its value. Where nobody collects, the first one ends everything.
//! 3. An error is *quiet* or *hard*: a predicate turns a quiet one into unknown, and a silent evaluation stops at it with what was found.

use std::sync::Arc;

use aion_base::{Error, Result, SqlState};

use super::{Chain, Evaluation, Item, LAST_LEVEL, Method, Operator, Path, RECURSION_MAX};
use crate::json::number::Decimal;
use crate::json::{Jsonb, JsonbRef, Node, Number, Object, Tree, invalid_parameter};
use crate::text;

/// What `keyvalue()` multiplies the number of a document with, before it adds the place in it.
const ID_FACTOR: i64 = 10_000_000_000;

impl Path {
    /// Whether any item is found (`jsonb_path_exists`, `@?`); None after an error that is passed over.
    ///
    /// # Errors
    /// PostgreSQL's, of the classes 22 and 42704; 54000 beyond the steps.
    pub fn exists(&self, document: JsonbRef<'_>, evaluation: Evaluation<'_>) -> Result<Option<bool>> {
        let mut evaluator = Evaluator::new(self, document, evaluation)?;
        if evaluator.is_lax {
            let outcome = evaluator.walk_root(&self.chain, None);
            return evaluator.settle(outcome);
        }
        // All of them: an error at the end counts.
        let mut found = Vec::new();
        let outcome = evaluator.walk_root(&self.chain, Some(&mut found));
        Ok(evaluator.settle(outcome)?.map(|_| !found.is_empty()))
    }

    /// The answer of a predicate (`jsonb_path_match`, `@@`); None for unknown, and after an error that is passed over.
    ///
    /// # Errors
    /// 22038 for what is no predicate, unless silent; see [`Path::exists`].
    pub fn matches(&self, document: JsonbRef<'_>, evaluation: Evaluation<'_>) -> Result<Option<bool>> {
        let found = self.query(document, evaluation)?;
        match found.as_slice() {
            [answer] if matches!(answer.as_ref().node(), Node::Bool(_) | Node::Null) => {
                Ok(match answer.as_ref().node() {
                    Node::Bool(answer) => Some(answer),
                    _ => None,
                })
            }
            _ if evaluation.silent => Ok(None),
            _ => Err(Error::invalid(
                SqlState::SINGLETON_SQL_JSON_ITEM_REQUIRED,
                "single boolean result is expected",
            )),
        }
    }

    /// The items that are found, in order (`jsonb_path_query`); up to an error that is passed over.
    ///
    /// # Errors
    /// See [`Path::exists`].
    pub fn query(&self, document: JsonbRef<'_>, evaluation: Evaluation<'_>) -> Result<Vec<Jsonb>> {
        let mut evaluator = Evaluator::new(self, document, evaluation)?;
        let mut found = Vec::new();
        let outcome = evaluator.walk_root(&self.chain, Some(&mut found));
        evaluator.settle(outcome)?;
        Ok(found.iter().map(|value| value.document().to_owned()).collect())
    }

    /// The first item that is found (`jsonb_path_query_first`).
    ///
    /// # Errors
    /// See [`Path::exists`]; an error behind the first item is one, too.
    pub fn query_first(&self, document: JsonbRef<'_>, evaluation: Evaluation<'_>) -> Result<Option<Jsonb>> {
        Ok(self.query(document, evaluation)?.into_iter().next())
    }

    /// The items that are found as an array (`jsonb_path_query_array`).
    ///
    /// # Errors
    /// See [`Path::exists`].
    pub fn query_array(&self, document: JsonbRef<'_>, evaluation: Evaluation<'_>) -> Result<Jsonb> {
        let found = self.query(document, evaluation)?;
        Tree::Array(found.iter().map(|item| Tree::Stored(item.as_ref())).collect()).encode()
    }
}

/// Why an evaluation ends.
pub(super) enum Failure {
    /// A predicate, or the caller, may pass it over.
    Quiet(Error),
    Hard(Error),
}

/// Whether something was found.
pub(super) type Outcome = Result<bool, Failure>;

/// A value on the way: in the document, in a variable or in the path itself, or made by an operator.
#[derive(Clone)]
pub(super) struct Value<'a> {
    source: Source<'a>,
    /// The number of the document it lies in, and where: what `keyvalue()` numbers objects by.
    document: u32,
    start: usize,
}

#[derive(Clone)]
enum Source<'a> {
    Stored(JsonbRef<'a>),
    /// The bytes from the value's start to this end.
    Made(Arc<Jsonb>, usize),
}

/// The numbers of documents: the root, the variables, literals and results of operators; objects of `keyvalue()` come after them.
const ROOT: u32 = 0;
const VARIABLE: u32 = 1;
const NO_DOCUMENT: u32 = 2;

impl<'a> Value<'a> {
    fn stored(document: JsonbRef<'a>, number: u32) -> Self {
        Self {
            source: Source::Stored(document),
            document: number,
            start: 0,
        }
    }

    fn made(tree: &Tree<'_>, number: u32) -> Result<Self, Failure> {
        let document = tree.encode().map_err(Failure::Hard)?;
        let end = document.as_bytes().len();
        Ok(Self {
            source: Source::Made(Arc::new(document), end),
            document: number,
            start: 0,
        })
    }

    fn number(number: Number<'_>) -> Result<Self, Failure> {
        Self::made(&Tree::Number(number), NO_DOCUMENT)
    }

    pub(super) fn document(&self) -> JsonbRef<'_> {
        match &self.source {
            Source::Stored(document) => *document,
            Source::Made(document, end) => JsonbRef::new(&document.as_bytes()[self.start..*end]),
        }
    }

    /// A part of it.
    fn part(&self, find: impl for<'b> Fn(JsonbRef<'b>) -> Option<JsonbRef<'b>>) -> Option<Self> {
        let whole = self.document();
        let offset = |part: JsonbRef<'_>| part.as_bytes().as_ptr().addr() - whole.as_bytes().as_ptr().addr();
        let (source, start) = match &self.source {
            Source::Stored(document) => {
                let part = find(*document)?;
                (Source::Stored(part), self.start + offset(part))
            }
            Source::Made(document, _) => {
                let part = find(whole)?;
                let start = self.start + offset(part);
                (Source::Made(document.clone(), start + part.as_bytes().len()), start)
            }
        };
        Some(Self {
            source,
            document: self.document,
            start,
        })
    }

    /// An element, or the value of a member.
    fn child(&self, index: usize) -> Option<Self> {
        self.part(|document| match document.node() {
            Node::Array(array) => array.get(index),
            Node::Object(object) => object.value(index),
            _ => None,
        })
    }

    fn is_array(&self) -> bool {
        matches!(self.document().node(), Node::Array(_))
    }

    fn decimal(&self) -> Option<Decimal> {
        match self.document().node() {
            Node::Number(number) => Some(Decimal::of(&number)),
            _ => None,
        }
    }
}

/// Where values are collected that are found.
pub(super) type Found<'f, 'a> = Option<&'f mut Vec<Value<'a>>>;

pub(super) struct Evaluator<'a> {
    root: JsonbRef<'a>,
    variables: Option<Object<'a>>,
    pub(super) is_lax: bool,
    is_silent: bool,
    /// Whether structure that does not fit is no error: in lax mode, and behind `.**`.
    ignores_structure: bool,
    /// What `@` is.
    pub(super) current: Option<Value<'a>>,
    /// The length of the innermost array with a subscript, for `last`.
    array_length: usize,
    steps_left: u64,
    depth: usize,
    /// The number of the next object that `keyvalue()` makes.
    next_document: u32,
}

impl<'a> Evaluator<'a> {
    fn new(path: &'a Path, root: JsonbRef<'a>, evaluation: Evaluation<'a>) -> Result<Self> {
        let variables = match evaluation.variables.map(|variables| (variables.object(), variables)) {
            None => None,
            Some((Some(variables), _)) => Some(variables),
            Some((None, _)) => {
                return Err(invalid_parameter("\"vars\" argument is not an object")
                    .with_detail("Jsonpath parameters should be encoded as key-value pairs of \"vars\" object."));
            }
        };
        Ok(Self {
            root,
            variables,
            is_lax: !path.is_strict,
            is_silent: evaluation.silent,
            ignores_structure: !path.is_strict,
            current: None,
            array_length: 0,
            steps_left: evaluation.steps_max,
            depth: 0,
            next_document: NO_DOCUMENT + 1,
        })
    }

    fn walk_root(&mut self, chain: &'a [Item], found: Found<'_, 'a>) -> Outcome {
        let root = Value::stored(self.root, ROOT);
        self.current = Some(root.clone());
        self.walk(chain, root, found, self.is_lax)
    }

    /// What the caller learns of the outcome.
    fn settle(&self, outcome: Outcome) -> Result<Option<bool>> {
        match outcome {
            Ok(found) => Ok(Some(found)),
            Err(Failure::Quiet(_)) if self.is_silent => Ok(None),
            Err(Failure::Quiet(error) | Failure::Hard(error)) => Err(error),
        }
    }

    pub(super) fn count_step(&mut self) -> Result<(), Failure> {
        let Some(left) = self.steps_left.checked_sub(1) else {
            return Err(Failure::Hard(Error::exhausted(
                SqlState::PROGRAM_LIMIT_EXCEEDED,
                "the evaluation of a jsonpath takes too many steps",
            )));
        };
        self.steps_left = left;
        Ok(())
    }

    /// Goes one level deeper.
    pub(super) fn descend<T>(&mut self, walk: impl FnOnce(&mut Self) -> Result<T, Failure>) -> Result<T, Failure> {
        if self.depth == RECURSION_MAX {
            return Err(Failure::Hard(Error::exhausted(
                SqlState::STATEMENT_TOO_COMPLEX,
                "stack depth limit exceeded",
            )));
        }
        self.depth += 1;
        let outcome = walk(self);
        self.depth -= 1;
        outcome
    }

    /// Applies a chain to a value; an array is unwrapped for the first item if that asks for it.
    pub(super) fn walk(&mut self, chain: &'a [Item], value: Value<'a>, found: Found<'_, 'a>, unwraps: bool) -> Outcome {
        self.descend(|this| this.walk_chain(chain, value, found, unwraps))
    }

    fn walk_chain(
        &mut self,
        mut chain: &'a [Item],
        mut value: Value<'a>,
        mut found: Found<'_, 'a>,
        mut unwraps: bool,
    ) -> Outcome {
        loop {
            self.count_step()?;
            let Some((item, rest)) = chain.split_first() else {
                if let Some(found) = found {
                    found.push(value);
                }
                return Ok(true);
            };
            if unwraps && unwraps_arrays(item) && value.is_array() {
                return self.walk_children(chain, &value, found, false);
            }
            let next = match item {
                Item::AnyKey => {
                    if value.document().object().is_some() {
                        return self.walk_children(rest, &value, found, self.is_lax);
                    }
                    self.misfit(
                        SqlState::SQL_JSON_OBJECT_NOT_FOUND,
                        "jsonpath wildcard member accessor can only be applied to an object",
                    )?
                }
                Item::AnyElement if value.is_array() => return self.walk_children(rest, &value, found, self.is_lax),
                Item::AnyElement if self.is_lax => Some(value),
                Item::AnyElement => self.misfit(
                    SqlState::SQL_JSON_ARRAY_NOT_FOUND,
                    "jsonpath wildcard array accessor can only be applied to an array",
                )?,
                Item::Elements(ranges) => return self.walk_elements(ranges, rest, value, found),
                Item::AnyLevel { first, last } => return self.walk_levels((*first, *last), rest, value, found),
                Item::Sign(operator, operand) => return self.walk_sign(*operator, operand, rest, value, found),
                Item::Method(Method::KeyValue) => return self.walk_pairs(rest, &value, found),
                _ => self.next(item, value)?,
            };
            let Some(next) = next else { return Ok(false) };
            // Borrowed anew for the next turn.
            found = found.map(|found| &mut *found);
            (chain, value, unwraps) = (rest, next, self.is_lax);
        }
    }

    /// What an item gives that gives one value, or none.
    fn next(&mut self, item: &'a Item, value: Value<'a>) -> Result<Option<Value<'a>>, Failure> {
        match item {
            Item::Root => Ok(Some(Value::stored(self.root, ROOT))),
            Item::Current => Ok(self.current.clone()),
            Item::Last => Value::number((self.array_length as i64 - 1).into()).map(Some),
            Item::Literal(literal) => Ok(Some(Value::stored(literal.as_ref(), NO_DOCUMENT))),
            Item::Variable(name) => self.variable(name).map(Some),
            Item::Key(key) => self.member(key, &value),
            Item::Filter(predicate) => {
                let before = self.current.replace(value.clone());
                let answer = self.predicate(predicate, &value);
                self.current = before;
                Ok((answer? == Some(true)).then_some(value))
            }
            Item::Binary(operator, left, right) if operator.priority() > Operator::StartsWith.priority() => {
                self.arithmetic(*operator, left, right, &value).map(Some)
            }
            Item::Binary(..) | Item::Not(_) | Item::IsUnknown(_) | Item::Exists(_) | Item::LikeRegex(_) => {
                let answer = self.predicate_item(item, &value)?;
                Value::made(&answer.map_or(Tree::Null, Tree::Bool), NO_DOCUMENT).map(Some)
            }
            Item::Method(method) => self.method(*method, value),
            Item::AnyKey | Item::AnyElement | Item::Elements(_) | Item::AnyLevel { .. } | Item::Sign(..) => {
                unreachable!("walk has taken the items with several values")
            }
        }
    }

    /// The error of a value that an accessor does not fit, or nothing where that is none.
    fn misfit(&self, state: SqlState, message: impl Into<String>) -> Result<Option<Value<'a>>, Failure> {
        if self.ignores_structure {
            return Ok(None);
        }
        Err(Failure::Quiet(Error::invalid(state, message)))
    }

    fn variable(&self, name: &str) -> Result<Value<'a>, Failure> {
        let value = self.variables.and_then(|variables| variables.get(name));
        value.map(|value| Value::stored(value, VARIABLE)).ok_or_else(|| {
            Failure::Hard(Error::not_found(
                SqlState::UNDEFINED_OBJECT,
                format!("could not find jsonpath variable \"{name}\""),
            ))
        })
    }

    fn member(&self, key: &str, value: &Value<'a>) -> Result<Option<Value<'a>>, Failure> {
        const STATE: SqlState = SqlState::SQL_JSON_MEMBER_NOT_FOUND;
        if value.document().object().is_none() {
            return self.misfit(STATE, "jsonpath member accessor can only be applied to an object");
        }
        match value.part(|document| document.get(key)) {
            Some(member) => Ok(Some(member)),
            None => self.misfit(STATE, format!("JSON object does not contain key \"{key}\"")),
        }
    }

    /// Walks a chain for each element, or the value of each member.
    pub(super) fn walk_children(
        &mut self,
        chain: &'a [Item],
        value: &Value<'a>,
        mut found: Found<'_, 'a>,
        unwraps: bool,
    ) -> Outcome {
        let mut any = false;
        let mut index = 0;
        while let Some(child) = value.child(index) {
            any |= self.walk(chain, child, found.as_deref_mut(), unwraps)?;
            if any && found.is_none() {
                break;
            }
            index += 1;
        }
        Ok(any)
    }

    fn walk_elements(
        &mut self,
        ranges: &'a [(Chain, Option<Chain>)],
        rest: &'a [Item],
        value: Value<'a>,
        mut found: Found<'_, 'a>,
    ) -> Outcome {
        let length = match value.document().array() {
            Some(array) => array.len(),
            None if self.is_lax => 1,
            None => {
                let message = "jsonpath array accessor can only be applied to an array";
                return self.misfit(SqlState::SQL_JSON_ARRAY_NOT_FOUND, message).map(|_| false);
            }
        };
        let is_array = value.is_array();
        let outer_length = std::mem::replace(&mut self.array_length, length);
        let mut any = false;
        let outcome = ranges.iter().try_for_each(|(from, to)| {
            let from = self.subscript(from, &value)?;
            let to = to.as_ref().map_or(Ok(from), |to| self.subscript(to, &value))?;
            if !self.ignores_structure && (from < 0 || from > to || to >= length as i64) {
                return Err(Failure::Quiet(subscript_error(
                    "jsonpath array subscript is out of bounds",
                )));
            }
            for index in from.max(0)..=to.min(length as i64 - 1) {
                let element = if is_array {
                    value.child(index as usize)
                } else {
                    Some(value.clone())
                };
                let element = element.expect("the range is cut to the length");
                any |= self.walk(rest, element, found.as_deref_mut(), self.is_lax)?;
                if any && found.is_none() {
                    break;
                }
            }
            Ok(())
        });
        self.array_length = outer_length;
        outcome.map(|()| any)
    }

    fn subscript(&mut self, chain: &'a [Item], value: &Value<'a>) -> Result<i64, Failure> {
        let mut found = Vec::new();
        self.walk(chain, value.clone(), Some(&mut found), self.is_lax)?;
        let number = match found.as_slice() {
            [only] => only.decimal(),
            _ => None,
        };
        let error = |message| Failure::Quiet(subscript_error(message));
        let number = number.ok_or_else(|| error("jsonpath array subscript is not a single numeric value"))?;
        let index = number.truncated();
        Ok(index
            .ok_or_else(|| error("jsonpath array subscript is out of integer range"))?
            .into())
    }

    /// Walks the rest for the values of these levels, parents before their children. An explicit stack: documents are deep.
    fn walk_levels(
        &mut self,
        (first, last): (u32, u32),
        rest: &'a [Item],
        value: Value<'a>,
        mut found: Found<'_, 'a>,
    ) -> Outcome {
        let before = std::mem::replace(&mut self.ignores_structure, true);
        let mut any = false;
        let mut outcome = Ok(());
        // Containers, and the next child of each; the value itself is of level 0.
        let mut stack: Vec<(Value<'a>, usize)> = Vec::new();
        let mut next = Some(value);
        while outcome.is_ok() && !(any && found.is_none()) {
            let Some(value) = next.take() else {
                let Some((parent, index)) = stack.last_mut() else { break };
                next = parent.child(*index);
                *index += 1;
                if next.is_none() {
                    stack.pop();
                }
                continue;
            };
            let level = stack.len() as u32;
            let is_leaf = value.document().is_scalar();
            let are_leaves_wanted = level > 0 && (first, last) == (LAST_LEVEL, LAST_LEVEL);
            if level >= first || is_leaf && are_leaves_wanted {
                match self.walk(rest, value.clone(), found.as_deref_mut(), self.is_lax) {
                    Ok(one) => any |= one,
                    Err(failure) => outcome = Err(failure),
                }
            } else {
                outcome = self.count_step();
            }
            if level < last && !is_leaf {
                stack.push((value, 0));
            }
        }
        self.ignores_structure = before;
        outcome.map(|()| any)
    }

    fn walk_sign(
        &mut self,
        operator: Operator,
        operand: &'a [Item],
        rest: &'a [Item],
        value: Value<'a>,
        mut found: Found<'_, 'a>,
    ) -> Outcome {
        let mut any = false;
        for value in self.unwrapped(operand, value)? {
            let Some(number) = value.decimal() else {
                if found.is_none() && rest.is_empty() {
                    continue;
                }
                return Err(Failure::Quiet(Error::invalid(
                    SqlState::SQL_JSON_NUMBER_NOT_FOUND,
                    format!(
                        "operand of unary jsonpath operator {} is not a numeric value",
                        operator.text()
                    ),
                )));
            };
            let number = if operator == Operator::Subtract {
                number.negate()
            } else {
                number
            };
            let value = Value::number(number.number().map_err(Failure::Quiet)?)?;
            any |= self.walk(rest, value, found.as_deref_mut(), self.is_lax)?;
            if any && found.is_none() {
                break;
            }
        }
        Ok(any)
    }

    /// The values of a chain; in lax mode the elements of those that are arrays.
    pub(super) fn unwrapped(&mut self, chain: &'a [Item], value: Value<'a>) -> Result<Vec<Value<'a>>, Failure> {
        let mut values = Vec::new();
        self.walk(chain, value, Some(&mut values), self.is_lax)?;
        if !self.is_lax || !values.iter().any(Value::is_array) {
            return Ok(values);
        }
        let mut elements = Vec::new();
        for value in values {
            if value.is_array() {
                self.walk_children(&[], &value, Some(&mut elements), false)?;
            } else {
                elements.push(value);
            }
        }
        Ok(elements)
    }

    fn arithmetic(
        &mut self,
        operator: Operator,
        left: &'a [Item],
        right: &'a [Item],
        value: &Value<'a>,
    ) -> Result<Value<'a>, Failure> {
        let left = self.unwrapped(left, value.clone())?;
        let right = self.unwrapped(right, value.clone())?;
        let single = |values: &[Value<'_>], side: &str| {
            let number = match values {
                [only] => only.decimal(),
                _ => None,
            };
            number.ok_or_else(|| {
                Failure::Quiet(Error::invalid(
                    SqlState::SINGLETON_SQL_JSON_ITEM_REQUIRED,
                    format!(
                        "{side} operand of jsonpath operator {} is not a single numeric value",
                        operator.text()
                    ),
                ))
            })
        };
        let (left, right) = (single(&left, "left")?, single(&right, "right")?);
        let result = match operator {
            Operator::Add => Ok(left.add(&right)),
            Operator::Subtract => Ok(left.add(&right.negate())),
            Operator::Multiply => Ok(left.multiply(&right)),
            Operator::Divide => left.divide(&right),
            Operator::Modulo => left.remainder(&right),
            _ => unreachable!("the other operators are predicates"),
        };
        Value::number(result.and_then(|result| result.number()).map_err(Failure::Quiet)?)
    }

    fn method(&mut self, method: Method, value: Value<'a>) -> Result<Option<Value<'a>>, Failure> {
        let name = method.name();
        if method == Method::Type {
            let name = value.document().type_name();
            return Value::made(&name.into(), NO_DOCUMENT).map(Some);
        }
        if method == Method::Size {
            let length = match value.document().array() {
                Some(array) => array.len(),
                None if self.is_lax => 1,
                None => {
                    let message = format!("jsonpath item method .{name}() can only be applied to an array");
                    return self.misfit(SqlState::SQL_JSON_ARRAY_NOT_FOUND, message);
                }
            };
            return Value::number((length as i64).into()).map(Some);
        }
        if method == Method::Double {
            return double(value).map(Some);
        }
        let Some(number) = value.decimal() else {
            return Err(not_numeric(format!(
                "jsonpath item method .{name}() can only be applied to a numeric value"
            )));
        };
        let result = match method {
            Method::Abs => number.abs(),
            Method::Floor => number.floor(),
            _ => number.ceiling(),
        };
        Value::number(result.number().map_err(Failure::Quiet)?).map(Some)
    }

    /// `keyvalue()`: an object of key, value and the number of the object for each member.
    fn walk_pairs(&mut self, rest: &'a [Item], value: &Value<'a>, mut found: Found<'_, 'a>) -> Outcome {
        let document = value.document();
        let Some(object) = document.object() else {
            return Err(Failure::Quiet(Error::invalid(
                SqlState::SQL_JSON_OBJECT_NOT_FOUND,
                "jsonpath item method .keyvalue() can only be applied to an object",
            )));
        };
        let id = i64::from(value.document) * ID_FACTOR + value.start as i64;
        let mut any = false;
        for (key, member) in object.iter() {
            let pair = Tree::Object(vec![
                ("key".into(), key.into()),
                ("value".into(), member.into()),
                ("id".into(), id.into()),
            ]);
            let pair = Value::made(&pair, self.next_document)?;
            self.next_document = self.next_document.saturating_add(1);
            any |= self.walk(rest, pair, found.as_deref_mut(), self.is_lax)?;
            if any && found.is_none() {
                break;
            }
        }
        Ok(any)
    }
}

/// Whether an item is applied to the elements of an array, not to the array, in lax mode.
fn unwraps_arrays(item: &Item) -> bool {
    matches!(
        item,
        Item::Key(_)
            | Item::AnyKey
            | Item::Filter(_)
            | Item::Method(Method::Double | Method::Ceiling | Method::Floor | Method::Abs | Method::KeyValue)
    )
}

/// `double()`: a number that a double can hold stays as it is, a string is read.
fn double(value: Value<'_>) -> Result<Value<'_>, Failure> {
    match value.document().node() {
        Node::Number(number) => match text::parse_f64(number.as_str()) {
            Ok(_) => Ok(value),
            Err(_) => Err(not_numeric(
                "numeric argument of jsonpath item method .double() is out of range for type double precision",
            )),
        },
        Node::String(digits) => match text::parse_f64(digits).ok().filter(|double| double.is_finite()) {
            // PostgreSQL makes a numeric of a double with fifteen digits.
            Some(double) => {
                let digits = format!("{double:.14e}");
                let (mantissa, exponent) = digits.split_once('e').expect("the notation has an exponent");
                let mantissa = mantissa.trim_end_matches('0').trim_end_matches('.');
                let shortest = format!("{mantissa}e{exponent}");
                let number = Number::parse(&shortest).map_err(Failure::Quiet)?;
                Value::number(number.expect("a mantissa and an exponent are a number"))
            }
            None => Err(not_numeric(
                "string argument of jsonpath item method .double() is not a valid representation of a double precision \
                 number",
            )),
        },
        _ => Err(not_numeric(
            "jsonpath item method .double() can only be applied to a string or numeric value",
        )),
    }
}

#[cold]
fn not_numeric(message: impl Into<String>) -> Failure {
    Failure::Quiet(Error::invalid(SqlState::NON_NUMERIC_SQL_JSON_ITEM, message))
}

#[cold]
fn subscript_error(message: &str) -> Error {
    Error::invalid(SqlState::INVALID_SQL_JSON_SUBSCRIPT, message)
}
