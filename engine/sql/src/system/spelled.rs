//! What PostgreSQL has more than one spelling for, in the one that DataFusion plans.
//!
//! | written | read as |
//! |---|---|
//! | `mod(a, b)`, `a ^@ b`, `@ a`, `|/ a`, `||/ a` | `a % b`, `starts_with(a, b)`, `abs(a)`, `sqrt(a)`, `cbrt(a)` |
//! | `localtimestamp(n)`, `current_timestamp(n)`, `localtime(n)`, `current_time(n)` | the same without digits, cast to the type with these |
//! | `substring(a from 'pattern')` | `regexp_substring(a, 'pattern')` |
//! | `a LIKE ANY (array)`, `a ILIKE ANY (array)` | `like_any(a, array)`, `ilike_any(a, array)` |
//! | `a SIMILAR TO p` | `a ~ similar_to_escape(p)`: DataFusion takes the pattern for a regular expression |
//! | `(a, b) = (x, y)`, `(a, b) < (x, y)`, ... | `a = x AND b = y`, `a <= x AND (a < x OR b < y)`, ... |
//! | `GROUP BY ROLLUP (1, 2)` | the columns of the list in the place of their numbers |
//!
//! Rows are compared column by column, and unknown where what decides is unknown. Written out, the first column can be looked up in an index.

use datafusion::sql::sqlparser::ast::{self, BinaryOperator as Op, Expr, UnaryOperator};

use super::rewrite::{call, null};

/// Puts an expression in its place in another one's.
pub fn settle(expr: &mut Expr) {
    let settled = match expr {
        Expr::BinaryOp { left, op, right } => match (&**left, op, &**right) {
            (_, Op::PGStartsWith, _) => Some(call("starts_with", vec![taken(left), taken(right)])),
            (left, op, right) => match (row(left), row(right)) {
                (Some(one), Some(other)) if one.len() == other.len() && !one.is_empty() => compared(one, op, other),
                _ => None,
            },
        },
        Expr::UnaryOp { op, expr: operand } => {
            let name = match op {
                UnaryOperator::PGAbs => "abs",
                UnaryOperator::PGSquareRoot => "sqrt",
                UnaryOperator::PGCubeRoot => "cbrt",
                _ => return,
            };
            Some(call(name, vec![taken(operand)]))
        }
        Expr::Substring {
            expr: of,
            substring_from: Some(from),
            substring_for: None,
            ..
        } if is_text(from) => Some(call("regexp_substring", vec![taken(of), taken(from)])),
        Expr::SimilarTo {
            negated,
            expr: of,
            pattern,
            escape_char,
        } => {
            let op = match negated {
                true => Op::PGRegexNotMatch,
                false => Op::PGRegexMatch,
            };
            let escape = escape_char.clone().map(Expr::Value);
            let pattern = [taken(pattern)].into_iter().chain(escape).collect();
            Some(nested(binary(
                nested(taken(of)),
                op,
                call("similar_to_escape", pattern),
            )))
        }
        Expr::Like {
            negated: false,
            any: true,
            expr: of,
            pattern,
            escape_char: None,
        } if !matches!(**pattern, Expr::Subquery(_)) => Some(call("like_any", vec![taken(of), taken(pattern)])),
        Expr::ILike {
            negated: false,
            any: true,
            expr: of,
            pattern,
            escape_char: None,
        } if !matches!(**pattern, Expr::Subquery(_)) => Some(call("ilike_any", vec![taken(of), taken(pattern)])),
        Expr::Function(function) => called(function),
        _ => None,
    };
    if let Some(settled) = settled {
        *expr = settled;
    }
}

fn taken(expr: &mut Expr) -> Expr {
    std::mem::replace(expr, null())
}

fn is_text(expr: &Expr) -> bool {
    matches!(
        expr,
        Expr::Value(value) if matches!(
            value.value,
            ast::Value::SingleQuotedString(_) | ast::Value::EscapedStringLiteral(_) | ast::Value::DollarQuotedString(_)
        )
    )
}

/// The arguments of a call that has nothing but these.
fn arguments(function: &ast::Function) -> Option<Vec<&Expr>> {
    let ast::FunctionArguments::List(list) = &function.args else {
        return None;
    };
    let is_plain = list.clauses.is_empty()
        && list.duplicate_treatment.is_none()
        && function.over.is_none()
        && function.filter.is_none()
        && function.within_group.is_empty();
    let args = list.args.iter().map(|arg| match arg {
        ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Expr(expr)) => Some(expr),
        _ => None,
    });
    is_plain.then(|| args.collect::<Option<Vec<_>>>()).flatten()
}

fn called(function: &ast::Function) -> Option<Expr> {
    let [ast::ObjectNamePart::Identifier(name)] = function.name.0.as_slice() else {
        return None;
    };
    let name = name.value.to_ascii_lowercase();
    let args = arguments(function)?;
    match (name.as_str(), args.as_slice()) {
        ("mod", [one, other]) => Some(nested(binary(
            nested((*one).clone()),
            Op::Modulo,
            nested((*other).clone()),
        ))),
        ("localtimestamp" | "current_timestamp" | "localtime" | "current_time", [digits]) => {
            let digits: u64 = digits.to_string().parse().ok()?;
            let (called, data_type) = match name.as_str() {
                "localtimestamp" => (
                    "localtimestamp",
                    ast::DataType::Timestamp(Some(digits), ast::TimezoneInfo::None),
                ),
                "current_timestamp" => (
                    "now",
                    ast::DataType::Timestamp(Some(digits), ast::TimezoneInfo::WithTimeZone),
                ),
                _ => ("localtime", ast::DataType::Time(Some(digits), ast::TimezoneInfo::None)),
            };
            Some(Expr::Cast {
                kind: ast::CastKind::Cast,
                expr: Box::new(call(called, Vec::new())),
                data_type,
                array: false,
                format: None,
            })
        }
        _ => None,
    }
}

fn nested(expr: Expr) -> Expr {
    match expr {
        Expr::Identifier(_) | Expr::CompoundIdentifier(_) | Expr::Value(_) | Expr::Nested(_) => expr,
        other => Expr::Nested(Box::new(other)),
    }
}

pub(super) fn binary(left: Expr, op: Op, right: Expr) -> Expr {
    Expr::BinaryOp {
        left: Box::new(left),
        op,
        right: Box::new(right),
    }
}

/// The parts of a row that is written as one.
fn row(expr: &Expr) -> Option<Vec<Expr>> {
    match expr {
        Expr::Tuple(parts) => Some(parts.clone()),
        Expr::Function(function) if function.name.to_string().eq_ignore_ascii_case("row") => {
            arguments(function).map(|parts| parts.into_iter().cloned().collect())
        }
        _ => None,
    }
}

fn compared(one: Vec<Expr>, op: &Op, other: Vec<Expr>) -> Option<Expr> {
    let pairs = one.into_iter().map(nested).zip(other.into_iter().map(nested));
    let each = |op: &Op, by: Op| {
        let parts = pairs.clone().map(|(one, other)| binary(one, op.clone(), other));
        parts.reduce(|all, part| binary(all, by.clone(), part)).map(nested)
    };
    let (strict, or_equal) = match op {
        Op::Eq => return each(&Op::Eq, Op::And),
        Op::NotEq => return each(&Op::NotEq, Op::Or),
        Op::Lt | Op::LtEq => (Op::Lt, Op::LtEq),
        Op::Gt | Op::GtEq => (Op::Gt, Op::GtEq),
        _ => return None,
    };
    // From the last column to the first.
    let mut pairs: Vec<(Expr, Expr)> = pairs.collect();
    let (one, other) = pairs.pop()?;
    let mut compared = binary(one, op.clone(), other);
    while let Some((one, other)) = pairs.pop() {
        let at_most = binary(one.clone(), or_equal.clone(), other.clone());
        let before = binary(one, strict.clone(), other);
        compared = binary(at_most, Op::And, nested(binary(before, Op::Or, nested(compared))));
    }
    Some(nested(compared))
}

/// Puts columns in the place of their numbers in GROUPING SETS, ROLLUP and CUBE.
pub fn settle_groups(select: &mut ast::Select) {
    let ast::GroupByExpr::Expressions(groups, _) = &mut select.group_by else {
        return;
    };
    let items: Vec<Option<Expr>> = select
        .projection
        .iter()
        .map(|item| match item {
            ast::SelectItem::UnnamedExpr(expr) | ast::SelectItem::ExprWithAlias { expr, .. } => Some(expr.clone()),
            _ => None,
        })
        .collect();
    for group in groups {
        if let Expr::Rollup(sets) | Expr::Cube(sets) | Expr::GroupingSets(sets) = group {
            for expr in sets.iter_mut().flatten() {
                let Expr::Value(value) = expr else { continue };
                let ast::Value::Number(number, _) = &value.value else {
                    continue;
                };
                let at = number.parse::<usize>().ok().and_then(|number| number.checked_sub(1));
                if let Some(Some(item)) = at.and_then(|at| items.get(at)) {
                    *expr = item.clone();
                }
            }
        }
    }
}
