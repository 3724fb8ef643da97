//! Values of one type as those of another that are equal to them.

use aion_catalog::{SqlType, Value};

/// Whether columns of two types can be the two ends of a foreign key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparable {
    /// They can.
    Yes,
    /// In PostgreSQL they can.
    NotYet,
    /// They cannot: 42804.
    No,
}

/// Whether a column of type `child` can refer to one of type `parent`.
pub fn comparable(child: SqlType, parent: SqlType) -> Comparable {
    use SqlType as S;
    let is_moment = |sql_type| matches!(sql_type, S::Date | S::Timestamp(_) | S::TimestampTz(_));
    let is_float = |sql_type| matches!(sql_type, S::Real | S::Double);
    let is_numeric = |sql_type| matches!(sql_type, S::Numeric { .. });
    if !child.is_ordered() || !parent.is_ordered() {
        return Comparable::No;
    }
    if child.made().is_some() || parent.made().is_some() {
        return match child == parent {
            true => Comparable::Yes,
            false => Comparable::No,
        };
    }
    let is_plain = child.base_name() == parent.base_name()
        || (is_integer(child) && (is_integer(parent) || is_numeric(parent)))
        || (is_text(child) && is_text(parent));
    let is_known = (is_moment(child) && is_moment(parent))
        || ((is_float(child) || is_integer(child) || is_numeric(child)) && is_float(parent));
    match (is_plain, is_known) {
        (true, _) => Comparable::Yes,
        (false, true) => Comparable::NotYet,
        (false, false) => Comparable::No,
    }
}

fn is_integer(sql_type: SqlType) -> bool {
    matches!(sql_type, SqlType::SmallInt | SqlType::Integer | SqlType::BigInt)
}

fn is_text(sql_type: SqlType) -> bool {
    matches!(sql_type, SqlType::Text | SqlType::Varchar(_) | SqlType::Char(_))
}

/// Whether no two values of `child` are equal to one of `parent`: then a parent's value leads to its children's. Blanks at the end
/// count in texts, and not where one side is a `character(n)`.
pub fn is_one_to_one(child: SqlType, parent: SqlType) -> bool {
    let is_padded = |sql_type| matches!(sql_type, SqlType::Char(_));
    is_padded(child) == is_padded(parent)
}

/// The value of type `to` that is equal to a value of another one; None where there is none.
pub fn as_type(value: &Value, to: SqlType) -> Option<Value> {
    match (value, to) {
        (Value::Null, _) => Some(Value::Null),
        (Value::Decimal(unscaled, from), SqlType::Numeric { scale, .. }) => {
            rescaled(*unscaled, *from, scale).map(|unscaled| Value::Decimal(unscaled, scale))
        }
        (Value::Decimal(unscaled, from), _) if is_integer(to) => {
            of_width(i64::try_from(rescaled(*unscaled, *from, 0)?).ok()?, to)
        }
        (Value::I16(_) | Value::I32(_) | Value::I64(_), _) => {
            let number = match *value {
                Value::I16(number) => number.into(),
                Value::I32(number) => number.into(),
                Value::I64(number) => number,
                _ => return None,
            };
            match to {
                SqlType::Numeric { scale, .. } => {
                    rescaled(number.into(), 0, scale).map(|unscaled| Value::Decimal(unscaled, scale))
                }
                to => of_width(number, to),
            }
        }
        (Value::Text(text), SqlType::Char(_)) => Some(Value::Text(text.trim_end_matches(' ').to_owned())),
        (value, _) => Some(value.clone()),
    }
}

fn of_width(number: i64, to: SqlType) -> Option<Value> {
    match to {
        SqlType::SmallInt => i16::try_from(number).ok().map(Value::I16),
        SqlType::Integer => i32::try_from(number).ok().map(Value::I32),
        SqlType::BigInt => Some(Value::I64(number)),
        _ => None,
    }
}

/// The unscaled number with another scale, if no digit is lost.
fn rescaled(unscaled: i128, from: i8, to: i8) -> Option<i128> {
    let power = 10_i128.checked_pow(u32::from(from.abs_diff(to)))?;
    match from <= to {
        true => unscaled.checked_mul(power),
        false => (unscaled % power == 0).then(|| unscaled / power),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CENTS: SqlType = SqlType::Numeric {
        precision: Some(10),
        scale: 2,
    };

    #[test]
    fn values_become_what_is_equal_to_them_or_nothing() {
        for (value, to, wanted) in [
            (Value::I32(7), SqlType::BigInt, Some(Value::I64(7))),
            (Value::I64(5_000_000_000), SqlType::Integer, None),
            (Value::I64(-7), SqlType::SmallInt, Some(Value::I16(-7))),
            (Value::I32(7), CENTS, Some(Value::Decimal(700, 2))),
            (Value::Decimal(700, 2), SqlType::Integer, Some(Value::I32(7))),
            (Value::Decimal(701, 2), SqlType::Integer, None),
            (Value::Decimal(7_001, 3), CENTS, None),
            (Value::Decimal(7_010, 3), CENTS, Some(Value::Decimal(701, 2))),
            (Value::Decimal(i128::MAX, 0), CENTS, None),
            (
                Value::Text("a ".to_owned()),
                SqlType::Char(3),
                Some(Value::Text("a".to_owned())),
            ),
            (
                Value::Text("a ".to_owned()),
                SqlType::Text,
                Some(Value::Text("a ".to_owned())),
            ),
            (Value::Null, SqlType::Integer, Some(Value::Null)),
        ] {
            assert_eq!(as_type(&value, to), wanted, "{value:?} as {to}");
        }
    }

    #[test]
    fn types_refer_to_each_other_as_in_postgresql() {
        use SqlType as S;
        for (child, parent, wanted) in [
            (S::Integer, S::BigInt, Comparable::Yes),
            (S::BigInt, S::SmallInt, Comparable::Yes),
            (S::Integer, CENTS, Comparable::Yes),
            (CENTS, S::Integer, Comparable::No),
            (S::Varchar(Some(3)), S::Text, Comparable::Yes),
            (S::Text, S::Integer, Comparable::No),
            (S::Date, S::TIMESTAMP, Comparable::NotYet),
            (S::Integer, S::Double, Comparable::NotYet),
            (S::Double, S::Integer, Comparable::No),
            (S::Json, S::Json, Comparable::No),
        ] {
            assert_eq!(comparable(child, parent), wanted, "{child} to {parent}");
        }
        assert!(!is_one_to_one(S::Text, S::Char(3)) && is_one_to_one(S::Text, S::Varchar(None)));
    }
}
