//! The predicates of a path: true, false, or unknown, which is None.
//!
//! A comparison is of every pair of its operands' values. In lax mode the first true pair decides; in strict mode an unknown pair
//! makes all of it unknown.

use super::evaluate::{Evaluator, Failure, Value};
use super::{Chain, Item, Operator};
use crate::json::{JsonbRef, Node};

/// True, false or unknown; a failure is one that no predicate passes over.
type Answer = Result<Option<bool>, Failure>;

impl<'a> Evaluator<'a> {
    pub(super) fn predicate(&mut self, chain: &'a Chain, value: &Value<'a>) -> Answer {
        // The parser gives predicates no accessors: with one they are expressions.
        self.predicate_item(&chain[0], value)
    }

    pub(super) fn predicate_item(&mut self, item: &'a Item, value: &Value<'a>) -> Answer {
        self.descend(|this| this.answer(item, value))
    }

    fn answer(&mut self, item: &'a Item, value: &Value<'a>) -> Answer {
        match item {
            Item::Binary(operator @ (Operator::And | Operator::Or), left, right) => {
                let decisive = *operator == Operator::Or;
                let left = self.predicate(left, value)?;
                if left == Some(decisive) {
                    return Ok(left);
                }
                let right = self.predicate(right, value)?;
                Ok(if right == Some(!decisive) { left } else { right })
            }
            Item::Not(operand) => Ok(self.predicate(operand, value)?.map(|answer| !answer)),
            Item::IsUnknown(operand) => Ok(Some(self.predicate(operand, value)?.is_none())),
            Item::Exists(operand) => self.exists(operand, value),
            Item::LikeRegex(like) => {
                let Some(texts) = self.values(&like.text, value, true)? else {
                    return Ok(None);
                };
                let matches = |text: JsonbRef<'_>| match text.node() {
                    Node::String(text) => Some(like.regex.is_match(text)),
                    _ => None,
                };
                self.any_pair(&texts, std::slice::from_ref(value), |text, _| matches(text))
            }
            Item::Binary(operator, left, right) => {
                let Some(left) = self.values(left, value, true)? else {
                    return Ok(None);
                };
                let unwraps = *operator != Operator::StartsWith;
                let Some(right) = self.values(right, value, unwraps)? else {
                    return Ok(None);
                };
                self.any_pair(&left, &right, |left, right| compare(*operator, left, right))
            }
            _ => unreachable!("the parser puts predicates only where one is wanted"),
        }
    }

    /// The values of an operand; None after an error that makes the predicate unknown.
    fn values(
        &mut self,
        chain: &'a [Item],
        value: &Value<'a>,
        unwraps: bool,
    ) -> Result<Option<Vec<Value<'a>>>, Failure> {
        let mut values = Vec::new();
        let outcome = if unwraps {
            self.unwrapped(chain, value.clone()).map(|unwrapped| values = unwrapped)
        } else {
            self.walk(chain, value.clone(), Some(&mut values), self.is_lax)
                .map(drop)
        };
        match outcome {
            Ok(()) => Ok(Some(values)),
            Err(Failure::Quiet(_)) => Ok(None),
            Err(hard) => Err(hard),
        }
    }

    fn exists(&mut self, operand: &'a [Item], value: &Value<'a>) -> Answer {
        if !self.is_lax {
            let values = self.values(operand, value, false)?;
            return Ok(values.map(|values| !values.is_empty()));
        }
        match self.walk(operand, value.clone(), None, true) {
            Ok(found) => Ok(Some(found)),
            Err(Failure::Quiet(_)) => Ok(None),
            Err(hard) => Err(hard),
        }
    }

    fn any_pair(
        &mut self,
        left: &[Value<'a>],
        right: &[Value<'a>],
        holds: impl Fn(JsonbRef<'_>, JsonbRef<'_>) -> Option<bool>,
    ) -> Answer {
        let (mut any, mut is_unknown) = (false, false);
        for left in left {
            for right in right {
                self.count_step()?;
                match holds(left.document(), right.document()) {
                    Some(true) if self.is_lax => return Ok(Some(true)),
                    Some(true) => any = true,
                    Some(false) => {}
                    None if !self.is_lax => return Ok(None),
                    None => is_unknown = true,
                }
            }
        }
        Ok(if any || !is_unknown { Some(any) } else { None })
    }
}

fn compare(operator: Operator, left: JsonbRef<'_>, right: JsonbRef<'_>) -> Option<bool> {
    let order = match (left.node(), right.node()) {
        (Node::String(left), Node::String(right)) if operator == Operator::StartsWith => {
            return Some(left.starts_with(right));
        }
        _ if operator == Operator::StartsWith => return None,
        (Node::Null, Node::Null) => std::cmp::Ordering::Equal,
        (Node::Bool(left), Node::Bool(right)) => left.cmp(&right),
        (Node::Number(left), Node::Number(right)) => left.compare(&right),
        (Node::String(left), Node::String(right)) => left.cmp(right),
        // A null differs from everything else, and is neither less nor greater.
        (Node::Null, _) | (_, Node::Null) => return Some(operator == Operator::NotEqual),
        _ => return None,
    };
    Some(match operator {
        Operator::Equal => order.is_eq(),
        Operator::NotEqual => order.is_ne(),
        Operator::Less => order.is_lt(),
        Operator::LessOrEqual => order.is_le(),
        Operator::Greater => order.is_gt(),
        _ => order.is_ge(),
    })
}
