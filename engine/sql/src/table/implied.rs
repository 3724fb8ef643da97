//! Whether a query's filter implies the condition of a partial index, so that the index has every row that is asked for.
//!
//! Each conjunct of the condition must follow from one conjunct of the filter: by being the same, or
//!
//! 1. of `a OR b`: from either; from `a OR b`: from both;
//! 2. of `x IS NOT NULL`: from what is not true of a NULL;
//! 3. of `x op constant`: from a comparison of the same x with a constant of the same type, or from a list of such.
//!
//! It is a naive prover: what it says holds, and what it does not find may hold all the same. Floats are left out but for what is the
//! same, since -0 and NaN compare in more than one way. As in a filter, an expression *is true* or is not: NULL is not.

use std::borrow::Cow;
use std::cmp::Ordering;

use datafusion::common::ScalarValue;
use datafusion::logical_expr::expr::{Between, InList};
use datafusion::logical_expr::{BinaryExpr, Cast, Expr, Like, Operator};

/// Steps of a proof, at most: beyond, it is not found.
const STEPS_MAX: usize = 10_000;
/// Expressions within each other that a proof goes into, at most.
const DEPTH_MAX: usize = 64;

/// The conjuncts of a filter that a condition follows from, which holds where all of `condition` do; None where it does not follow.
pub fn implied(condition: &[Expr], filter: &[&Expr]) -> Option<Vec<usize>> {
    let mut steps = STEPS_MAX;
    let mut used = Vec::with_capacity(condition.len());
    for wanted in condition {
        used.push(
            filter
                .iter()
                .position(|given| implies(given, wanted, DEPTH_MAX, &mut steps))?,
        );
    }
    used.sort_unstable();
    used.dedup();
    Some(used)
}

/// Whether, where `given` is true, `wanted` is.
fn implies(given: &Expr, wanted: &Expr, depth: usize, steps: &mut usize) -> bool {
    if given == wanted {
        return true;
    }
    let (Some(depth), Some(left)) = (depth.checked_sub(1), steps.checked_sub(1)) else {
        return false;
    };
    *steps = left;
    match (Atom::of(given), Atom::of(wanted)) {
        (_, Atom::All(parts)) => parts.iter().all(|part| implies(given, part, depth, steps)),
        (Atom::Any(parts), _) => parts.iter().all(|part| implies(part, wanted, depth, steps)),
        (Atom::All(parts), Atom::Any(its)) => {
            parts.iter().any(|part| implies(part, wanted, depth, steps))
                || its.iter().any(|part| implies(given, part, depth, steps))
        }
        (Atom::All(parts), Atom::Other(_)) => parts.iter().any(|part| implies(part, wanted, depth, steps)),
        (Atom::Other(_), Atom::Any(parts)) => parts.iter().any(|part| implies(given, part, depth, steps)),
        (Atom::Other(given), Atom::Other(wanted)) => given == wanted || simple(&given, &wanted),
    }
}

/// What an expression is made of, as far as it matters when it is true.
enum Atom<'a> {
    All(Vec<Cow<'a, Expr>>),
    Any(Vec<Cow<'a, Expr>>),
    Other(Cow<'a, Expr>),
}

impl<'a> Atom<'a> {
    fn of(expr: &'a Expr) -> Self {
        match expr {
            Expr::BinaryExpr(BinaryExpr {
                left,
                op: Operator::And,
                right,
            }) => Self::All(vec![Cow::Borrowed(left), Cow::Borrowed(right)]),
            Expr::BinaryExpr(BinaryExpr {
                left,
                op: Operator::Or,
                right,
            }) => Self::Any(vec![Cow::Borrowed(left), Cow::Borrowed(right)]),
            Expr::Between(Between {
                expr,
                negated: false,
                low,
                high,
            }) => Self::All(vec![
                compared(expr, Operator::GtEq, low),
                compared(expr, Operator::LtEq, high),
            ]),
            Expr::Between(Between {
                expr,
                negated: true,
                low,
                high,
            }) => Self::Any(vec![
                compared(expr, Operator::Lt, low),
                compared(expr, Operator::Gt, high),
            ]),
            Expr::InList(InList {
                expr,
                list,
                negated: false,
            }) => Self::Any(
                list.iter()
                    .map(|element| compared(expr, Operator::Eq, element))
                    .collect(),
            ),
            Expr::InList(InList {
                expr,
                list,
                negated: true,
            }) => Self::All(
                list.iter()
                    .map(|element| compared(expr, Operator::NotEq, element))
                    .collect(),
            ),
            Expr::IsTrue(inner) => Self::Other(Cow::Borrowed(inner)),
            Expr::IsFalse(inner) => Self::Other(Cow::Owned(Expr::Not(inner.clone()))),
            Expr::Not(inner) => match &**inner {
                Expr::IsNull(inner) => Self::Other(Cow::Owned(Expr::IsNotNull(inner.clone()))),
                _ => Self::Other(Cow::Borrowed(expr)),
            },
            Expr::BinaryExpr(BinaryExpr {
                left,
                op: Operator::IsNotDistinctFrom,
                right,
            }) if is_constant(left) || is_constant(right) => Self::Other(compared(left, Operator::Eq, right)),
            other => Self::Other(Cow::Borrowed(other)),
        }
    }
}

fn compared<'a>(left: &Expr, op: Operator, right: &Expr) -> Cow<'a, Expr> {
    let compared = BinaryExpr::new(Box::new(left.clone()), op, Box::new(right.clone()));
    Cow::Owned(Expr::BinaryExpr(compared))
}

/// Whether `wanted` follows from `given`, of which neither is made of others by AND and OR.
fn simple(given: &Expr, wanted: &Expr) -> bool {
    if let Expr::IsNotNull(of) = wanted {
        return match given {
            Expr::IsNotNull(given) => is_strict(given, of),
            given => is_strict(given, of),
        };
    }
    let (Some(given), Some(wanted)) = (Comparison::of(given), Comparison::of(wanted)) else {
        return false;
    };
    if given.of != wanted.of {
        return false;
    }
    // Of the value that is given, against the one that is wanted.
    let Some(order) = order(given.value, wanted.value) else {
        return false;
    };
    let (below, equal, above) = (
        order == Ordering::Less,
        order == Ordering::Equal,
        order == Ordering::Greater,
    );
    use Operator as O;
    match (given.op, wanted.op) {
        (O::Eq, O::Eq) => equal,
        (O::Eq, O::NotEq) => !equal,
        (O::Eq, O::Lt) => below,
        (O::Eq, O::LtEq) => below || equal,
        (O::Eq, O::Gt) => above,
        (O::Eq, O::GtEq) => above || equal,
        (O::NotEq, O::NotEq) => equal,
        (O::Lt, O::Lt | O::LtEq | O::NotEq) | (O::LtEq, O::LtEq) => below || equal,
        (O::LtEq, O::Lt | O::NotEq) => below,
        (O::Gt, O::Gt | O::GtEq | O::NotEq) | (O::GtEq, O::GtEq) => above || equal,
        (O::GtEq, O::Gt | O::NotEq) => above,
        _ => false,
    }
}

/// `of op value`.
struct Comparison<'a> {
    of: &'a Expr,
    op: Operator,
    value: &'a ScalarValue,
}

impl<'a> Comparison<'a> {
    fn of(expr: &'a Expr) -> Option<Self> {
        let Expr::BinaryExpr(BinaryExpr { left, op, right }) = expr else {
            return None;
        };
        match (&**left, &**right) {
            (Expr::Literal(..), Expr::Literal(..)) => None,
            (of, Expr::Literal(value, _)) => Some(Self { of, op: *op, value }),
            (Expr::Literal(value, _), of) => Some(Self {
                of,
                op: op.swap()?,
                value,
            }),
            _ => None,
        }
    }
}

fn is_constant(expr: &Expr) -> bool {
    matches!(expr, Expr::Literal(value, _) if !value.is_null())
}

/// How two constants of one type compare; None where that is not plain.
fn order(one: &ScalarValue, other: &ScalarValue) -> Option<Ordering> {
    use ScalarValue as S;
    match (one, other) {
        (S::Decimal128(Some(one), _, scale), S::Decimal128(Some(other), _, its)) if scale == its => {
            Some(one.cmp(other))
        }
        (S::Boolean(Some(_)), S::Boolean(Some(_)))
        | (S::Int8(Some(_)), S::Int8(Some(_)))
        | (S::Int16(Some(_)), S::Int16(Some(_)))
        | (S::Int32(Some(_)), S::Int32(Some(_)))
        | (S::Int64(Some(_)), S::Int64(Some(_)))
        | (S::UInt64(Some(_)), S::UInt64(Some(_)))
        | (S::Date32(Some(_)), S::Date32(Some(_)))
        | (S::Time64Microsecond(Some(_)), S::Time64Microsecond(Some(_)))
        | (S::Utf8(Some(_)), S::Utf8(Some(_)))
        | (S::Binary(Some(_)), S::Binary(Some(_))) => one.partial_cmp(other),
        (S::TimestampMicrosecond(Some(one), zone), S::TimestampMicrosecond(Some(other), its))
            if zone.is_some() == its.is_some() =>
        {
            Some(one.cmp(other))
        }
        (S::FixedSizeBinary(width, Some(one)), S::FixedSizeBinary(its, Some(other))) if width == its => {
            Some(one.cmp(other))
        }
        _ => None,
    }
}

/// Functions that give NULL for a NULL.
const STRICT_FUNCTIONS: [&str; 10] = [
    "lower",
    "upper",
    "abs",
    "character_length",
    "length",
    "btrim",
    "ltrim",
    "rtrim",
    "date_part",
    "date_trunc",
];

/// Whether `expr` is NULL where `of` is; so where it is true, `of` is not NULL.
fn is_strict(expr: &Expr, of: &Expr) -> bool {
    if expr == of {
        return true;
    }
    match expr {
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => match op {
            Operator::And | Operator::Or | Operator::IsDistinctFrom | Operator::IsNotDistinctFrom => false,
            Operator::Eq
            | Operator::NotEq
            | Operator::Lt
            | Operator::LtEq
            | Operator::Gt
            | Operator::GtEq
            | Operator::Plus
            | Operator::Minus
            | Operator::Multiply
            | Operator::Divide
            | Operator::Modulo
            | Operator::LikeMatch
            | Operator::ILikeMatch
            | Operator::RegexMatch
            | Operator::RegexIMatch => is_strict(left, of) || is_strict(right, of),
            _ => false,
        },
        Expr::Cast(Cast { expr, .. }) | Expr::Not(expr) | Expr::Negative(expr) => is_strict(expr, of),
        Expr::Like(Like { expr, pattern, .. }) => is_strict(expr, of) || is_strict(pattern, of),
        Expr::ScalarFunction(call) if STRICT_FUNCTIONS.contains(&call.name()) => {
            call.args.iter().any(|argument| is_strict(argument, of))
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use datafusion::arrow::array::{Array, BooleanArray, Int32Array};
    use datafusion::arrow::datatypes::{DataType, Field, Schema};
    use datafusion::arrow::record_batch::RecordBatch;
    use datafusion::common::DFSchema;
    use datafusion::execution::context::SessionContext;
    use datafusion::logical_expr::{col, lit, not};

    use super::*;

    fn one(given: &Expr, wanted: &Expr) -> bool {
        implied(std::slice::from_ref(wanted), &[given]).is_some()
    }

    #[test]
    fn what_a_condition_follows_from_is_found() {
        let (x, y) = (col("x"), col("y"));
        let null = || Expr::Literal(ScalarValue::Int32(None), None);
        for (given, wanted) in [
            (x.clone().eq(lit(5)), x.clone().gt(lit(3))),
            (lit(5).eq(x.clone()), x.clone().not_eq(lit(3))),
            (x.clone().gt(lit(5)), x.clone().gt(lit(3))),
            (x.clone().gt(lit(5)), x.clone().gt_eq(lit(5))),
            (x.clone().lt_eq(lit(2)), x.clone().lt(lit(3))),
            (x.clone().lt(lit(3)), x.clone().not_eq(lit(3))),
            (x.clone().eq(lit(1)), x.clone().is_not_null()),
            (x.clone().eq(y.clone()), y.clone().is_not_null()),
            ((x.clone() + lit(1)).lt(lit(1)), x.clone().is_not_null()),
            (not(x.clone().is_null()), x.clone().is_not_null()),
            (x.clone().in_list(vec![lit(1), lit(2)], false), x.clone().lt(lit(3))),
            (x.clone().eq(lit(1)), x.clone().in_list(vec![lit(1), lit(2)], false)),
            (
                x.clone().in_list(vec![lit(1), lit(2)], false),
                x.clone().in_list(vec![lit(2), lit(3), lit(1)], false),
            ),
            (x.clone().eq(lit(7)), x.clone().in_list(vec![lit(1), lit(2)], true)),
            (x.clone().eq(lit(2)), x.clone().between(lit(1), lit(3))),
            (x.clone().between(lit(2), lit(3)), x.clone().gt(lit(1))),
            (x.clone().eq(lit(1)), y.clone().eq(lit(1)).or(x.clone().eq(lit(1)))),
            (
                x.clone().eq(lit(1)).or(x.clone().eq(lit(2))),
                x.clone().lt(lit(3)).or(y.clone().is_null()),
            ),
            (x.clone().eq(lit(1)).and(y.clone().eq(lit(1))), y.clone().gt(lit(0))),
        ] {
            assert!(one(&given, &wanted), "{given} implies {wanted}");
        }
        for (given, wanted) in [
            (x.clone().gt(lit(3)), x.clone().gt(lit(5))),
            (x.clone().eq(lit(5)), y.clone().eq(lit(5))),
            (x.clone().eq(lit(5_i64)), x.clone().gt(lit(3))),
            (
                compared(&x, Operator::IsNotDistinctFrom, &y).into_owned(),
                x.clone().is_not_null(),
            ),
            (not(x.clone().is_not_null()), x.clone().is_not_null()),
            (x.clone().gt(lit(1.0)), x.clone().gt(lit(0.0))),
            (x.clone().eq(null()), x.clone().gt(lit(0))),
            (x.clone().eq(lit(1)).or(y.clone().eq(lit(1))), x.clone().eq(lit(1))),
        ] {
            // The seventh is true of nothing, and would imply all; it is not looked for.
            assert!(!one(&given, &wanted), "{given} does not imply {wanted}");
        }
        let filter = [y.clone().eq(lit(1)), x.clone().eq(lit(5)), x.clone().is_not_null()];
        let filter: Vec<&Expr> = filter.iter().collect();
        assert_eq!(
            implied(&[x.clone().gt(lit(1)), y.is_not_null()], &filter),
            Some(vec![0, 1])
        );
        assert_eq!(implied(&[], &filter), Some(Vec::new()));
    }

    #[test]
    fn a_proof_has_an_end() {
        let parts = (0..1_000).map(|value| col("x").eq(lit(value)));
        let chain = parts.reduce(|left, right| left.or(right)).expect("parts");
        assert!(!one(&chain, &col("x").lt(lit(2_000))), "it is deeper than a proof goes");
        let list = col("x").in_list((0..100_000).map(lit).collect(), false);
        assert!(
            !one(&list, &col("x").lt(lit(200_000))),
            "it is longer than a proof takes"
        );
        let short = col("x").in_list((0..1_000).map(lit).collect(), false);
        assert!(one(&short, &col("x").lt(lit(2_000))));
    }

    /// Random pairs over two small columns: what is said to be implied is true in every row where the other one is.
    #[test]
    fn nothing_is_implied_that_does_not_follow() {
        let values: Vec<Option<i32>> = std::iter::once(None).chain((0..5).map(Some)).collect();
        let pairs: Vec<_> = values
            .iter()
            .flat_map(|&x| values.iter().map(move |&y| (x, y)))
            .collect();
        let schema = Schema::new(vec![
            Field::new("x", DataType::Int32, true),
            Field::new("y", DataType::Int32, true),
        ]);
        let columns: Vec<Arc<dyn Array>> = vec![
            Arc::new(pairs.iter().map(|(x, _)| *x).collect::<Int32Array>()),
            Arc::new(pairs.iter().map(|(_, y)| *y).collect::<Int32Array>()),
        ];
        let batch = RecordBatch::try_new(Arc::new(schema.clone()), columns).expect("rows");
        let over = DFSchema::try_from(schema).expect("a schema");
        let context = SessionContext::new();
        let truths = |expr: &Expr| -> Vec<bool> {
            let physical = context.create_physical_expr(expr.clone(), &over).expect("planned");
            let found = physical
                .evaluate(&batch)
                .and_then(|value| value.into_array(batch.num_rows()));
            let found = found.expect("evaluated");
            let found = found.as_any().downcast_ref::<BooleanArray>().expect("booleans").clone();
            (0..found.len())
                .map(|at| found.is_valid(at) && found.value(at))
                .collect()
        };
        let mut random = Random(7);
        let mut implied_count = 0;
        for _ in 0..20_000 {
            let (given, wanted) = (expression(&mut random, 2), expression(&mut random, 2));
            if one(&given, &wanted) {
                implied_count += 1;
                let is_so = truths(&given)
                    .into_iter()
                    .zip(truths(&wanted))
                    .all(|(given, wanted)| !given || wanted);
                assert!(is_so, "{given} does not imply {wanted}");
            }
        }
        assert!(implied_count > 500, "{implied_count} of 20000");
    }

    struct Random(u64);

    impl Random {
        fn below(&mut self, limit: u64) -> u64 {
            self.0 = self
                .0
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (self.0 >> 33) % limit
        }
    }

    fn expression(random: &mut Random, depth: u64) -> Expr {
        let column = |random: &mut Random| col(if random.below(3) == 0 { "y" } else { "x" });
        let number = |random: &mut Random| match random.below(12) {
            0 => Expr::Literal(ScalarValue::Int32(None), None),
            _ => lit(i32::try_from(random.below(5)).expect("small")),
        };
        if depth > 0 && random.below(3) == 0 {
            let (left, right) = (expression(random, depth - 1), expression(random, depth - 1));
            return match random.below(3) {
                0 => left.and(right),
                1 => left.or(right),
                _ => not(left),
            };
        }
        let of = match random.below(5) {
            0 => column(random) + column(random),
            _ => column(random),
        };
        let op = [
            Operator::Eq,
            Operator::NotEq,
            Operator::Lt,
            Operator::LtEq,
            Operator::Gt,
            Operator::GtEq,
        ];
        match random.below(9) {
            0 => of.is_null(),
            1 => of.is_not_null(),
            2 => of.in_list(vec![number(random), number(random)], random.below(2) == 0),
            3 => of.between(number(random), number(random)),
            4 => compared(&of, Operator::IsNotDistinctFrom, &number(random)).into_owned(),
            5 => column(random).eq(column(random)),
            _ => compared(&of, op[random.below(6) as usize], &number(random)).into_owned(),
        }
    }
}
