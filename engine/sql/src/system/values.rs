//! `VALUES` of which one row says the type of a column with a cast: literals of the other rows have it, too.
//!
//! PostgreSQL gives a literal in quotes the type of the others; DataFusion finds a date and a text that have none in common.

use datafusion::sql::sqlparser::ast::{self, Expr};

/// Casts the literals in quotes of a column whose other values are casts to one type.
pub fn settle(values: &mut ast::Values) {
    let width = values.rows.first().map_or(0, |row| row.len());
    if values.rows.len() < 2 || values.rows.iter().any(|row| row.len() != width) {
        return;
    }
    for at in 0..width {
        let Some(data_type) = one_type(values, at) else {
            continue;
        };
        for row in &mut values.rows {
            let expr = &mut row[at];
            if is_literal(expr) {
                *expr = Expr::Cast {
                    kind: ast::CastKind::DoubleColon,
                    expr: Box::new(expr.clone()),
                    data_type: data_type.clone(),
                    array: false,
                    format: None,
                };
            }
        }
    }
}

/// The type of all values of a column that have one, if they are casts and literals.
fn one_type(values: &ast::Values, at: usize) -> Option<ast::DataType> {
    let mut found = None;
    for row in &values.rows {
        match &row[at] {
            Expr::Cast { data_type, .. } => match &found {
                None => found = Some(data_type.clone()),
                Some(one) if one == data_type => {}
                Some(_) => return None,
            },
            expr if is_literal(expr) || is_null(expr) => {}
            _ => return None,
        }
    }
    found
}

fn is_literal(expr: &Expr) -> bool {
    matches!(expr, Expr::Value(value) if matches!(value.value, ast::Value::SingleQuotedString(_)))
}

fn is_null(expr: &Expr) -> bool {
    matches!(expr, Expr::Value(value) if value.value == ast::Value::Null)
}
