//! What a statement says of its parameters before it is planned: types that they are cast to, arguments of functions that are always of one type, LIMIT and OFFSET.
//!
//! PostgreSQL looks at the function that is called; DataFusion tells nothing of them. Functions whose arguments may be of several types tell nothing here either, and a
//! parameter of which nothing is told is a text.
//!
//! `oid` and `oid[]` are no types of columns: parameters of them have the values of `bigint` and `bigint[]`, and are shown to clients by the OIDs that
//! PostgreSQL has for them ([`shown_oids`]). Drivers that look types up ask for rows of `pg_type` with such a list.

use std::ops::ControlFlow;

use aion_catalog::SqlType;
use datafusion::sql::sqlparser::ast::{self, Expr, Visit, Visitor};

use super::rewrite::{last_name, plain_type};
use crate::response::ResultType;

/// The types of arguments of functions, by place; None where they are texts or may be of several types.
const ARGUMENTS: [(&str, &[Option<SqlType>]); 24] = {
    const INT: Option<SqlType> = Some(SqlType::Integer);
    const BIG: Option<SqlType> = Some(SqlType::BigInt);
    const DOUBLE: Option<SqlType> = Some(SqlType::Double);
    const BOOL: Option<SqlType> = Some(SqlType::Boolean);
    [
        ("chr", &[INT]),
        ("left", &[None, INT]),
        ("right", &[None, INT]),
        ("repeat", &[None, INT]),
        ("lpad", &[None, INT]),
        ("rpad", &[None, INT]),
        ("split_part", &[None, None, INT]),
        ("substr", &[None, INT, INT]),
        ("make_date", &[INT, INT, INT]),
        ("make_time", &[INT, INT, DOUBLE]),
        ("make_timestamp", &[INT, INT, INT, INT, INT, DOUBLE]),
        ("power", &[DOUBLE, DOUBLE]),
        ("sqrt", &[DOUBLE]),
        ("exp", &[DOUBLE]),
        ("ln", &[DOUBLE]),
        ("setseed", &[DOUBLE]),
        ("width_bucket", &[DOUBLE, DOUBLE, DOUBLE, INT]),
        ("setval", &[None, BIG, BOOL]),
        ("set_config", &[None, None, BOOL]),
        ("current_setting", &[None, BOOL]),
        ("pg_sleep", &[DOUBLE]),
        ("pg_cancel_backend", &[INT]),
        ("pg_terminate_backend", &[INT, BIG]),
        ("pg_blocking_pids", &[INT]),
    ]
};

/// What a statement says of each parameter; the first place decides, as in PostgreSQL.
pub fn told_types(statement: &ast::Statement) -> Vec<Option<SqlType>> {
    let mut told = Told::default();
    let _: ControlFlow<()> = statement.visit(&mut told);
    told.types
}

/// The OIDs of parameters that are shown by another one than that of their values' type, by number from 0.
pub fn shown_oids(statement: &ast::Statement) -> Vec<(usize, u32)> {
    let mut told = Told::default();
    let _: ControlFlow<()> = statement.visit(&mut told);
    told.oids
}

#[derive(Default)]
struct Told {
    types: Vec<Option<SqlType>>,
    oids: Vec<(usize, u32)>,
}

impl Told {
    fn tell(&mut self, at: usize, sql_type: SqlType) -> bool {
        if self.types.len() <= at {
            self.types.resize(at + 1, None);
        }
        let is_first = self.types[at].is_none();
        self.types[at].get_or_insert(sql_type);
        is_first
    }
}

impl Visitor for Told {
    type Break = ();

    fn pre_visit_query(&mut self, query: &ast::Query) -> ControlFlow<()> {
        if let Some(ast::LimitClause::LimitOffset { limit, offset, .. }) = &query.limit_clause {
            let counts = limit.iter().chain(offset.iter().map(|offset| &offset.value));
            for at in counts.filter_map(parameter) {
                self.tell(at, SqlType::BigInt);
            }
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        match expr {
            Expr::Cast { expr, data_type, .. } => {
                if let Some(at) = parameter(expr) {
                    let name = plain_type(data_type);
                    let shown = match name.as_str() {
                        "oid" => Some((SqlType::BigInt, ResultType::Oid)),
                        "oid[]" => SqlType::BigInt.array().map(|array| (array, ResultType::OidArray)),
                        _ => None,
                    };
                    if let Some((carrier, shown)) = shown {
                        if self.tell(at, carrier) {
                            self.oids.push((at, shown.oid()));
                        }
                    } else if let Ok(sql_type) = name.parse::<SqlType>() {
                        self.tell(at, sql_type);
                    }
                }
            }
            Expr::Function(ast::Function {
                name,
                args: ast::FunctionArguments::List(list),
                ..
            }) => {
                let name = last_name(name);
                let known = ARGUMENTS.iter().find(|(known, _)| name.as_deref() == Some(*known));
                let types = known.map_or(&[][..], |(_, types)| types);
                for (argument, sql_type) in list.args.iter().zip(types) {
                    if let ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Expr(expr)) = argument
                        && let Some((at, sql_type)) = parameter(expr).zip(*sql_type)
                    {
                        self.tell(at, sql_type);
                    }
                }
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }
}

/// The number of a parameter, from 0.
fn parameter(expr: &Expr) -> Option<usize> {
    let value = match expr {
        Expr::Value(value) => value,
        Expr::Nested(inner) => return parameter(inner),
        _ => return None,
    };
    let ast::Value::Placeholder(name) = &value.value else {
        return None;
    };
    let number: u16 = name.strip_prefix('$')?.parse().ok()?;
    usize::from(number).checked_sub(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse::parse;

    fn told(text: &str) -> (Vec<Option<SqlType>>, Vec<(usize, u32)>) {
        let statement = &parse(text).expect("SQL")[0].ast;
        (told_types(statement), shown_oids(statement))
    }

    #[test]
    fn a_cast_says_what_a_parameter_is() {
        assert_eq!(
            told("SELECT $2::integer, CAST($1 AS pg_catalog.text), $2::bigint, $3").0,
            [Some(SqlType::Text), Some(SqlType::Integer)]
        );
    }

    #[test]
    fn casts_and_functions_tell_types() {
        let integer = Some(SqlType::Integer);
        assert_eq!(
            told("SELECT repeat($1, $2), pg_sleep($3)"),
            (vec![None, integer, Some(SqlType::Double)], vec![])
        );
        assert_eq!(
            told("SELECT $1::pg_catalog.int4, left('a', $1)"),
            (vec![integer], vec![])
        );
        assert_eq!(
            told("SELECT left('a', $1), $1::bigint"),
            (vec![integer], vec![]),
            "the first decides"
        );
        assert_eq!(
            told("SELECT 1 FROM pg_type WHERE oid = any($1::oid[]) OR oid = $2::oid"),
            (
                vec![SqlType::BigInt.array(), Some(SqlType::BigInt)],
                vec![(0, 1028), (1, 26)]
            )
        );
        assert_eq!(told("SELECT $1::text, $1::oid"), (vec![Some(SqlType::Text)], vec![]));
    }
}
