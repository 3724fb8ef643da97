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
        let Some(mut data_type) = one_type(values, at) else {
            unite(values, at);
            continue;
        };
        // A length is the cast's own: `('ab'::varchar(1)), ('cde')` gives a and cde.
        let has_other = values.rows.iter().any(|row| is_literal(&row[at]));
        if let Some(kind) = Kind::of(&data_type).filter(|_| has_other) {
            unite(values, at);
            data_type = kind.without_length();
        }
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

/// Takes lengths away from values that are casts to types with different ones, or to such a type beside others: their one type has none. Beside
/// a `numeric` without a scale all numbers are of it. (DataFusion asks for the same mark of a type in all rows.)
fn unite(values: &mut ast::Values, at: usize) {
    let has = |kind: Kind| values.rows.iter().any(|row| kind_of(&row[at]) == Some(kind));
    let are_numbers = || values.rows.iter().all(|row| is_null(&row[at]) || is_number(&row[at]));
    let kind = match (has(Kind::Text), has(Kind::Numeric)) {
        (true, false) => Kind::Text,
        (false, true) if are_numbers() => Kind::Numeric,
        _ => return,
    };
    for row in &mut values.rows {
        let expr = &mut row[at];
        let is_meant = match kind {
            Kind::Text => kind_of(expr) == Some(Kind::Text),
            Kind::Numeric => true,
        };
        if is_meant {
            let value = Box::new(expr.clone());
            *expr = match kind {
                // A cast to text would be none.
                Kind::Text => Expr::BinaryOp {
                    left: value,
                    op: ast::BinaryOperator::StringConcat,
                    right: Box::new(Expr::Value(
                        ast::Value::SingleQuotedString(String::new()).with_empty_span(),
                    )),
                },
                Kind::Numeric => Expr::Cast {
                    kind: ast::CastKind::DoubleColon,
                    expr: value,
                    data_type: kind.without_length(),
                    array: false,
                    format: None,
                },
            };
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// A text of some length, or a `varchar`.
    Text,
    /// A numeric without a scale.
    Numeric,
}

impl Kind {
    fn of(data_type: &ast::DataType) -> Option<Self> {
        use ast::DataType as D;
        match data_type {
            D::Varchar(Some(_)) | D::CharacterVarying(Some(_)) | D::Char(_) | D::Character(_) => Some(Self::Text),
            D::Numeric(ast::ExactNumberInfo::None) | D::Decimal(ast::ExactNumberInfo::None) => Some(Self::Numeric),
            _ => None,
        }
    }

    fn without_length(self) -> ast::DataType {
        match self {
            Self::Text => ast::DataType::Text,
            Self::Numeric => ast::DataType::Numeric(ast::ExactNumberInfo::None),
        }
    }
}

fn kind_of(expr: &Expr) -> Option<Kind> {
    let data_type = match expr {
        Expr::Cast {
            data_type,
            array: false,
            ..
        } => data_type,
        Expr::TypedString(typed) => &typed.data_type,
        _ => return None,
    };
    use ast::DataType as D;
    match data_type {
        // A `varchar` beside a text of another kind.
        D::Varchar(None) | D::CharacterVarying(None) => Some(Kind::Text),
        data_type => Kind::of(data_type),
    }
}

/// A literal of a number, or a cast to a numeric, with any sign.
fn is_number(expr: &Expr) -> bool {
    use ast::DataType as D;
    match expr {
        Expr::Value(value) => matches!(value.value, ast::Value::Number(..)),
        Expr::Cast {
            data_type,
            array: false,
            ..
        } => matches!(data_type, D::Numeric(_) | D::Decimal(_)),
        Expr::TypedString(typed) => matches!(typed.data_type, D::Numeric(_) | D::Decimal(_)),
        Expr::UnaryOp {
            op: ast::UnaryOperator::Minus | ast::UnaryOperator::Plus,
            expr,
        } => is_number(expr),
        Expr::Nested(inner) => is_number(inner),
        _ => false,
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
