//! Expressions as PostgreSQL writes them: what `pg_get_expr`, `pg_get_constraintdef` and `\d` show.
//!
//! Descriptors keep the text that a user wrote. PostgreSQL keeps what it understood, and writes that: names folded, an operator and
//! its operands in parentheses, the type of a literal behind it. Tools compare these texts, so they are made here too:
//!
//! | a user wrote | [`Form::Full`] | [`Form::Pretty`] |
//! |---|---|---|
//! | `Price > 0` | `(price > (0)::numeric)` | `price > 0::numeric` |
//! | `a > 1 AND b = 'x'` | `((a > 1) AND (b = 'x'::text))` | `a > 1 AND b = 'x'::text` |
//! | `x BETWEEN 1 AND 5` | `((x >= 1) AND (x <= 5))` | `x >= 1 AND x <= 5` |
//! | `x IN (1, 2)` | `(x = ANY (ARRAY[1, 2]))` | `x = ANY (ARRAY[1, 2])` |
//!
//! All of these mean the same here as what was written. The types are those of the columns beside a literal. **Left out:** the casts
//! that PostgreSQL adds where both sides are computed, or columns of two types, and what it does not fold: an expression of a kind
//! that is not listed in `bare` stays as it was written.

use aion_catalog::descriptor::{ColumnDescriptor, TableDescriptor};
use aion_catalog::json::path::Path;
use aion_catalog::{SqlType, text};
use datafusion::sql::sqlparser::ast::{self, BinaryOperator, Expr, UnaryOperator, Value};

use super::facts::{Facts, quoted};
use super::sequences;
use crate::dml::normalize;
use crate::functions::written_interval;
use crate::parse::parse_expression;

/// How many parentheses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Each operator with its operands.
    Full,
    /// Where they change the meaning.
    Pretty,
}

/// An expression over the columns of a table, as PostgreSQL writes it; as it is where it does not parse.
pub fn expression(text: &str, table: Option<&TableDescriptor>, form: Form) -> String {
    match parse_expression(text) {
        Ok(expr) => Writer { table, form }.whole(&expr),
        Err(_) => text.to_owned(),
    }
}

/// The DEFAULT of a column, or what it is generated from; None for an identity column, whose sequence is no default to PostgreSQL.
pub fn default(facts: &Facts, table: &TableDescriptor, column: &ColumnDescriptor) -> Option<String> {
    if column.identity.is_some() {
        return None;
    }
    if let Some(generated) = &column.generated {
        return Some(facts.shortened(expression(generated, Some(table), Form::Full)));
    }
    let text = column.default.as_ref()?;
    let Ok(expr) = parse_expression(text) else {
        return Some(text.clone());
    };
    if let Some(sequence) = sequences::of_default(facts, &expr) {
        return Some(format!("nextval({}::regclass)", literal(&facts.shown(sequence))));
    }
    match plain_value(&expr) {
        Some(Value::Null) => None,
        Some(Value::SingleQuotedString(value)) => {
            let written = format!("{}::{}", literal(value), name_of(column.sql_type));
            Some(facts.shortened(written))
        }
        _ => {
            let (table, form) = (None, Form::Full);
            Some(facts.shortened(Writer { table, form }.whole(&expr)))
        }
    }
}

/// The name of a type that a literal is cast to: of one that a user made with its schema, which [`Facts::shortened`] takes away.
fn name_of(sql_type: SqlType) -> String {
    match sql_type.made() {
        Some(_) => sql_type.qualified(),
        None => sql_type.base_name().to_owned(),
    }
}

/// A text as SQL writes it.
fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// The value that an expression is, if it is one.
fn plain_value(expr: &Expr) -> Option<&Value> {
    match stripped(expr) {
        Expr::Value(value) => Some(&value.value),
        _ => None,
    }
}

/// Without the parentheses that a user wrote.
fn stripped(mut expr: &Expr) -> &Expr {
    while let Expr::Nested(inner) = expr {
        expr = inner;
    }
    expr
}

/// What an expression is to the one around it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shape {
    /// Never in parentheses.
    Simple,
    And,
    Or,
    Not,
    Sum,
    Product,
    /// A cast, as the expression around another.
    Cast,
    Operator,
}

fn shape(expr: &Expr) -> Shape {
    match stripped(expr) {
        Expr::BinaryOp { op, .. } => match op {
            BinaryOperator::And => Shape::And,
            BinaryOperator::Or => Shape::Or,
            BinaryOperator::Plus | BinaryOperator::Minus => Shape::Sum,
            BinaryOperator::Multiply | BinaryOperator::Divide | BinaryOperator::Modulo => Shape::Product,
            _ => Shape::Operator,
        },
        Expr::Between { negated, .. } => match negated {
            false => Shape::And,
            true => Shape::Or,
        },
        Expr::UnaryOp { op, expr } => match op {
            UnaryOperator::Not => Shape::Not,
            // A negative number is a literal.
            UnaryOperator::Minus if matches!(plain_value(expr), Some(Value::Number(..))) => Shape::Simple,
            _ => Shape::Operator,
        },
        Expr::IsNull(_)
        | Expr::IsNotNull(_)
        | Expr::IsTrue(_)
        | Expr::IsNotTrue(_)
        | Expr::IsFalse(_)
        | Expr::IsNotFalse(_)
        | Expr::IsUnknown(_)
        | Expr::IsNotUnknown(_)
        | Expr::IsDistinctFrom(..)
        | Expr::IsNotDistinctFrom(..)
        | Expr::InList { .. }
        | Expr::Like { .. }
        | Expr::ILike { .. }
        | Expr::SimilarTo { .. }
        | Expr::AnyOp { .. }
        | Expr::AllOp { .. } => Shape::Operator,
        _ => Shape::Simple,
    }
}

/// Whether an operand needs no parentheses for its meaning, by PostgreSQL's rules.
fn fits(parent: Shape, child: Shape, is_left: bool) -> bool {
    use Shape::{And, Not, Operator, Or, Product, Simple, Sum};
    match (parent, child) {
        (_, Simple) | (Simple, _) | (And | Or, And | Not) | (Or, Or) => true,
        (And | Or | Not, Sum | Product | Operator) | (Sum, Product) => true,
        (Sum, Sum) | (Product, Product) => is_left,
        _ => false,
    }
}

struct Writer<'a> {
    table: Option<&'a TableDescriptor>,
    form: Form,
}

impl Writer<'_> {
    fn whole(&self, expr: &Expr) -> String {
        self.operand(expr, Shape::Simple, true)
    }

    /// In parentheses where the form asks for them.
    fn operand(&self, expr: &Expr, parent: Shape, is_left: bool) -> String {
        let child = shape(expr);
        let is_bare = match self.form {
            Form::Full => child == Shape::Simple,
            Form::Pretty => fits(parent, child, is_left),
        };
        match is_bare {
            true => self.bare(expr),
            false => format!("({})", self.bare(expr)),
        }
    }

    fn bare(&self, expr: &Expr) -> String {
        let expr = stripped(expr);
        let test = |inner: &Expr, words: &str| format!("{} {words}", self.operand(inner, Shape::Operator, true));
        match expr {
            Expr::Identifier(name) => quoted(&normalize(name)),
            // There is one table.
            Expr::CompoundIdentifier(parts) => parts.last().map(|name| quoted(&normalize(name))).unwrap_or_default(),
            Expr::Value(value) => match &value.value {
                Value::SingleQuotedString(text) => format!("{}::text", literal(text)),
                value => value.to_string(),
            },
            Expr::UnaryOp { op, expr: inner } => match (op, plain_value(inner)) {
                (UnaryOperator::Minus, Some(Value::Number(number, _))) => negative(&number.to_string()),
                (UnaryOperator::Not, _) => format!("NOT {}", self.operand(inner, Shape::Not, true)),
                _ => format!("{op} {}", self.operand(inner, Shape::Operator, false)),
            },
            Expr::BinaryOp {
                left,
                op: op @ (BinaryOperator::And | BinaryOperator::Or),
                right,
            } => self.connected(left, op, right),
            Expr::BinaryOp { left, op, right } => self.operator(left, op, right, shape(expr)),
            Expr::Between {
                expr,
                negated,
                low,
                high,
            } => self.between(expr, *negated, low, high),
            Expr::InList { expr, list, negated } => self.in_list(expr, list, *negated),
            Expr::Like {
                negated,
                any: false,
                expr,
                pattern,
                escape_char: None,
            } => {
                let op = match negated {
                    false => BinaryOperator::PGLikeMatch,
                    true => BinaryOperator::PGNotLikeMatch,
                };
                self.operator(expr, &op, pattern, Shape::Operator)
            }
            Expr::ILike {
                negated,
                any: false,
                expr,
                pattern,
                escape_char: None,
            } => {
                let op = match negated {
                    false => BinaryOperator::PGILikeMatch,
                    true => BinaryOperator::PGNotILikeMatch,
                };
                self.operator(expr, &op, pattern, Shape::Operator)
            }
            Expr::IsNull(inner) => test(inner, "IS NULL"),
            Expr::IsNotNull(inner) => test(inner, "IS NOT NULL"),
            Expr::IsTrue(inner) => test(inner, "IS TRUE"),
            Expr::IsNotTrue(inner) => test(inner, "IS NOT TRUE"),
            Expr::IsFalse(inner) => test(inner, "IS FALSE"),
            Expr::IsNotFalse(inner) => test(inner, "IS NOT FALSE"),
            Expr::IsUnknown(inner) => test(inner, "IS UNKNOWN"),
            Expr::IsNotUnknown(inner) => test(inner, "IS NOT UNKNOWN"),
            Expr::AnyOp {
                left,
                compare_op,
                right,
                ..
            } => format!(
                "{} {compare_op} ANY ({})",
                self.operand(left, Shape::Operator, true),
                self.bare(right)
            ),
            Expr::AllOp {
                left,
                compare_op,
                right,
            } => format!(
                "{} {compare_op} ALL ({})",
                self.operand(left, Shape::Operator, true),
                self.bare(right)
            ),
            Expr::Array(array) => {
                let items: Vec<_> = array.elem.iter().map(|item| self.whole(item)).collect();
                format!("ARRAY[{}]", items.join(", "))
            }
            Expr::Cast {
                expr: inner, data_type, ..
            } => self.cast(inner, data_type),
            Expr::TypedString(typed) => match &typed.value.value {
                Value::SingleQuotedString(text) => format!("{}::{}", literal(text), type_name(&typed.data_type)),
                _ => expr.to_string(),
            },
            Expr::Interval(interval) => match written_interval(interval) {
                Some(text) => format!("{}::interval", literal(&text)),
                None => expr.to_string(),
            },
            Expr::Function(function) => self.call(function).unwrap_or_else(|| expr.to_string()),
            other => other.to_string(),
        }
    }

    /// AND and OR, as many as follow each other.
    fn connected(&self, left: &Expr, op: &BinaryOperator, right: &Expr) -> String {
        let parent = match op {
            BinaryOperator::And => Shape::And,
            _ => Shape::Or,
        };
        let mut parts = vec![right];
        let mut rest = stripped(left);
        while let Expr::BinaryOp { left, op: inner, right } = rest
            && inner == op
        {
            parts.push(right);
            rest = stripped(left);
        }
        parts.push(rest);
        let parts = parts.into_iter().rev().map(|part| self.operand(part, parent, true));
        parts.collect::<Vec<_>>().join(&format!(" {op} "))
    }

    fn operator(&self, left: &Expr, op: &BinaryOperator, right: &Expr, parent: Shape) -> String {
        let (mut of_left, mut of_right) = (self.type_of(left), self.type_of(right));
        // Beside || a literal in quotes is a text, whatever the other operand is, but for a document.
        let is_text = |expr: &Expr, other: Option<SqlType>| {
            *op == BinaryOperator::StringConcat
                && other != Some(SqlType::Jsonb)
                && matches!(plain_value(expr), Some(Value::SingleQuotedString(_)))
        };
        if is_text(left, of_right) {
            of_right = Some(SqlType::Text);
        }
        if is_text(right, of_left) {
            of_left = Some(SqlType::Text);
        }
        if let Some(written) = of_left.and_then(|sql_type| beside_document(sql_type, op, right)) {
            return format!("{} {op} {written}", self.operand(left, parent, true));
        }
        format!(
            "{} {op} {}",
            self.beside(left, of_right, parent, true),
            self.beside(right, of_left, parent, false)
        )
    }

    /// An operand, with the cast that the type of the other operand makes.
    fn beside(&self, expr: &Expr, other: Option<SqlType>, parent: Shape, is_left: bool) -> String {
        if let (Some(text), Some(other)) = (self.literal_as(expr, other), other) {
            return match other {
                // Compared as text.
                SqlType::Varchar(_) => self.literal_as(expr, Some(SqlType::Text)).unwrap_or(text),
                _ => text,
            };
        }
        match self.type_of(expr) {
            Some(SqlType::Varchar(_)) => self.cast_to(&self.bare(expr), "text"),
            _ => self.operand(expr, parent, is_left),
        }
    }

    /// A literal of a type; None for what is no literal.
    fn literal_as(&self, expr: &Expr, sql_type: Option<SqlType>) -> Option<String> {
        let sql_type = sql_type?;
        let number = match stripped(expr) {
            Expr::Value(value) => match &value.value {
                Value::SingleQuotedString(text) => {
                    return Some(format!("{}::{}", literal_of(text, sql_type), name_of(sql_type)));
                }
                Value::Number(number, _) => number.to_string(),
                _ => return None,
            },
            Expr::UnaryOp {
                op: UnaryOperator::Minus,
                expr: inner,
            } => match plain_value(inner)? {
                Value::Number(number, _) => format!("-{number}"),
                _ => return None,
            },
            _ => return None,
        };
        let is_whole = !number.contains(['.', 'e', 'E']);
        let written = match number.strip_prefix('-') {
            Some(number) => negative(number),
            None => number,
        };
        Some(match sql_type {
            SqlType::Numeric { .. } if is_whole => self.cast_to(&written, "numeric"),
            SqlType::Real | SqlType::Double => self.cast_to(&written, "double precision"),
            _ => written,
        })
    }

    /// A cast of what has no operator.
    fn cast_to(&self, written: &str, type_name: &str) -> String {
        match self.form {
            Form::Full => format!("({written})::{type_name}"),
            Form::Pretty => format!("{written}::{type_name}"),
        }
    }

    fn cast(&self, inner: &Expr, data_type: &ast::DataType) -> String {
        let name = type_name(data_type);
        match (plain_value(inner), self.form) {
            (Some(Value::SingleQuotedString(text)), _) if name == "interval" => {
                format!("{}::{name}", literal_of(text, SqlType::Interval))
            }
            (Some(Value::SingleQuotedString(text)), _) => format!("{}::{name}", literal(text)),
            (_, Form::Full) => format!("({})::{name}", self.bare(inner)),
            (_, Form::Pretty) => format!("{}::{name}", self.operand(inner, Shape::Cast, true)),
        }
    }

    fn between(&self, expr: &Expr, negated: bool, low: &Expr, high: &Expr) -> String {
        let (first, between, second) = match negated {
            false => (BinaryOperator::GtEq, "AND", BinaryOperator::LtEq),
            true => (BinaryOperator::Lt, "OR", BinaryOperator::Gt),
        };
        let [first, second] = [(first, low), (second, high)].map(|(op, end)| {
            let text = self.operator(expr, &op, end, Shape::Operator);
            match self.form {
                Form::Full => format!("({text})"),
                Form::Pretty => text,
            }
        });
        format!("{first} {between} {second}")
    }

    fn in_list(&self, expr: &Expr, list: &[Expr], negated: bool) -> String {
        let (op, of) = match negated {
            false => (BinaryOperator::Eq, "ANY"),
            true => (BinaryOperator::NotEq, "ALL"),
        };
        if let [one] = list {
            return self.operator(expr, &op, one, Shape::Operator);
        }
        let sql_type = self.type_of(expr);
        let items = list.iter().map(|item| {
            let text = self.literal_as(item, sql_type);
            text.unwrap_or_else(|| self.whole(item))
        });
        let array = format!("ARRAY[{}]", items.collect::<Vec<_>>().join(", "));
        let array = match sql_type {
            Some(SqlType::Varchar(_)) => self.cast_to(&array, "text[]"),
            _ => array,
        };
        format!("{} {op} {of} ({array})", self.beside(expr, None, Shape::Operator, true))
    }

    /// A call of a function; None for one that has more than arguments.
    fn call(&self, function: &ast::Function) -> Option<String> {
        let [ast::ObjectNamePart::Identifier(name)] = &function.name.0[..] else {
            return None;
        };
        let is_plain = function.over.is_none() && function.filter.is_none() && function.within_group.is_empty();
        match &function.args {
            // `CURRENT_TIMESTAMP` and its like.
            ast::FunctionArguments::None => Some(name.value.to_uppercase()),
            ast::FunctionArguments::List(list)
                if is_plain && list.clauses.is_empty() && list.duplicate_treatment.is_none() =>
            {
                let arguments = list.args.iter().map(|argument| match argument {
                    ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Expr(expr)) => {
                        Some(self.beside(expr, None, Shape::Simple, true))
                    }
                    _ => None,
                });
                let arguments: Vec<String> = arguments.collect::<Option<_>>()?;
                let name = normalize(name);
                let shown = match name.as_str() {
                    // Words of the language to PostgreSQL, no functions.
                    "coalesce" | "greatest" | "least" | "nullif" => name.to_uppercase(),
                    name => quoted(name),
                };
                Some(format!("{shown}({})", arguments.join(", ")))
            }
            _ => None,
        }
    }

    /// The type of a column; None for anything else.
    fn type_of(&self, expr: &Expr) -> Option<SqlType> {
        let name = match stripped(expr) {
            Expr::Identifier(name) => name,
            Expr::CompoundIdentifier(parts) => parts.last()?,
            Expr::BinaryOp { left, op, .. } => return of_document(self.type_of(left)?, op),
            _ => return None,
        };
        let table = self.table?;
        let position = table.position(&normalize(name))?;
        Some(table.columns[position].sql_type)
    }
}

/// A literal in quotes to the right of a document and an operator that takes something else there; None for others.
fn beside_document(document: SqlType, op: &BinaryOperator, right: &Expr) -> Option<String> {
    use BinaryOperator as B;
    let Value::SingleQuotedString(text) = plain_value(right)? else {
        return None;
    };
    if !matches!(document, SqlType::Json | SqlType::Jsonb) {
        return None;
    }
    Some(match op {
        B::Arrow | B::LongArrow | B::Question | B::Minus => format!("{}::text", literal(text)),
        B::HashArrow | B::HashLongArrow | B::QuestionPipe | B::QuestionAnd | B::HashMinus => {
            format!("{}::text[]", literal(text))
        }
        B::AtQuestion | B::AtAt => {
            let path = Path::parse(text).map_or_else(|_| text.clone(), |path| path.to_string());
            format!("{}::jsonpath", literal(&path))
        }
        _ => return None,
    })
}

/// The type of what an operator makes of a document on its left.
fn of_document(document: SqlType, op: &BinaryOperator) -> Option<SqlType> {
    use BinaryOperator as B;
    match op {
        _ if !matches!(document, SqlType::Json | SqlType::Jsonb) => None,
        B::LongArrow | B::HashLongArrow => Some(SqlType::Text),
        B::Arrow | B::HashArrow | B::StringConcat | B::Minus | B::HashMinus => Some(document),
        _ => None,
    }
}

/// A literal of a type, as PostgreSQL writes its value: an interval in the form of its output, anything else as it was written.
fn literal_of(text: &str, sql_type: SqlType) -> String {
    match (sql_type, text::parse_interval(text)) {
        (SqlType::Interval, Ok(interval)) => {
            let mut written = String::new();
            text::write_interval(interval, &mut written);
            literal(&written)
        }
        _ => literal(text),
    }
}

/// The name of a type that is cast to, as PostgreSQL writes it where it is one of ours.
fn type_name(data_type: &ast::DataType) -> String {
    let name = data_type.to_string().to_ascii_lowercase();
    match name.parse::<SqlType>() {
        Ok(sql_type) => sql_type.to_string(),
        Err(_) => match data_type {
            ast::DataType::Custom(name, _) => {
                let parts = name.0.iter().filter_map(ast::ObjectNamePart::as_ident);
                let parts = parts.map(|part| quoted(&normalize(part)));
                parts.collect::<Vec<_>>().join(".")
            }
            _ => name,
        },
    }
}

/// PostgreSQL has no negative literals but those of a type.
fn negative(number: &str) -> String {
    let type_name = match (number.parse::<i32>(), number.parse::<i64>()) {
        (Ok(_), _) => "integer",
        (_, Ok(_)) => "bigint",
        _ => "numeric",
    };
    format!("'-{number}'::{type_name}")
}

#[cfg(test)]
mod tests {
    use aion_catalog::descriptor::ColumnId;

    use super::*;

    /// What PostgreSQL 15 answers for CHECKs of these texts.
    #[test]
    fn expressions_are_written_as_postgresql_writes_them() {
        let columns = [
            ("x", SqlType::Integer),
            ("b", SqlType::BigInt),
            ("price", SqlType::NUMERIC),
            ("name", SqlType::Varchar(Some(10))),
            ("w", SqlType::Text),
            ("d", SqlType::Date),
            ("f", SqlType::Double),
            ("flag", SqlType::Boolean),
        ];
        let columns = columns.into_iter().zip(1..);
        let table = TableDescriptor {
            columns: columns
                .map(|((name, sql_type), id)| ColumnDescriptor::new(ColumnId(id), name, sql_type))
                .collect(),
            ..TableDescriptor::new("public", "t")
        };
        for (text, full, pretty) in [
            ("Price > 0", "(price > (0)::numeric)", "price > 0::numeric"),
            (
                "x > 1 AND x < 5 AND b <> 3",
                "((x > 1) AND (x < 5) AND (b <> 3))",
                "x > 1 AND x < 5 AND b <> 3",
            ),
            (
                "(x > 1 OR x < 5) AND b <> 3",
                "(((x > 1) OR (x < 5)) AND (b <> 3))",
                "(x > 1 OR x < 5) AND b <> 3",
            ),
            ("Coalesce(w, 'x')", "COALESCE(w, 'x'::text)", "COALESCE(w, 'x'::text)"),
            ("x NOT BETWEEN 1 AND 5", "((x < 1) OR (x > 5))", "x < 1 OR x > 5"),
            (
                "x IN (1, 2, 3)",
                "(x = ANY (ARRAY[1, 2, 3]))",
                "x = ANY (ARRAY[1, 2, 3])",
            ),
            ("x NOT IN (1, 2)", "(x <> ALL (ARRAY[1, 2]))", "x <> ALL (ARRAY[1, 2])"),
            (
                "w IN ('a','b')",
                "(w = ANY (ARRAY['a'::text, 'b'::text]))",
                "w = ANY (ARRAY['a'::text, 'b'::text])",
            ),
            (
                "name IN ('a','b')",
                "((name)::text = ANY ((ARRAY['a'::character varying, 'b'::character varying])::text[]))",
                "name::text = ANY (ARRAY['a'::character varying, 'b'::character varying]::text[])",
            ),
            (
                "name LIKE 'a%'",
                "((name)::text ~~ 'a%'::text)",
                "name::text ~~ 'a%'::text",
            ),
            ("w NOT ILIKE 'a%'", "(w !~~* 'a%'::text)", "w !~~* 'a%'::text"),
            (
                "length(name) > 3",
                "(length((name)::text) > 3)",
                "length(name::text) > 3",
            ),
            ("LENGTH(w) > 3", "(length(w) > 3)", "length(w) > 3"),
            (
                "x IS NULL OR x > -1",
                "((x IS NULL) OR (x > '-1'::integer))",
                "x IS NULL OR x > '-1'::integer",
            ),
            ("NOT flag", "(NOT flag)", "NOT flag"),
            ("flag", "flag", "flag"),
            ("(x + 1) * 2 > b", "(((x + 1) * 2) > b)", "((x + 1) * 2) > b"),
            (
                "x + 1 - (b - 2) > 0",
                "(((x + 1) - (b - 2)) > 0)",
                "(x + 1 - (b - 2)) > 0",
            ),
            ("f > 0.5", "(f > (0.5)::double precision)", "f > 0.5::double precision"),
            (
                "price > -1",
                "(price > ('-1'::integer)::numeric)",
                "price > '-1'::integer::numeric",
            ),
            (
                "w || 'x' = 'ax'",
                "((w || 'x'::text) = 'ax'::text)",
                "(w || 'x'::text) = 'ax'::text",
            ),
            (
                "d >= '2020-01-01' AND d < DATE '2021-01-01'",
                "((d >= '2020-01-01'::date) AND (d < '2021-01-01'::date))",
                "d >= '2020-01-01'::date AND d < '2021-01-01'::date",
            ),
            ("(x > 1) = flag", "((x > 1) = flag)", "(x > 1) = flag"),
            ("x::numeric > 1.5", "((x)::numeric > 1.5)", "x::numeric > 1.5"),
            (
                "price > 0 AND NOT flag",
                "((price > (0)::numeric) AND (NOT flag))",
                "price > 0::numeric AND NOT flag",
            ),
        ] {
            assert_eq!(expression(text, Some(&table), Form::Full), full, "{text}");
            assert_eq!(expression(text, Some(&table), Form::Pretty), pretty, "{text}");
            // What was written fully is made pretty without its table.
            assert_eq!(expression(full, None, Form::Pretty), pretty, "{full}");
        }
        assert_eq!(expression("x >", Some(&table), Form::Full), "x >");
    }
}
