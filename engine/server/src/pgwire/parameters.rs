//! Parameters: from the bytes of a Bind to values of the statement's types.

use aion_base::{Error, Result, SqlState};
use aion_catalog::{SqlType, Value, Zone, text};
use aion_db::ResultType;
use aion_db::binary::{self, utf8};
use bytes::Bytes;

use super::input::violation;
use super::rows::Format;

/// What a client's OID says of a parameter; None where it leaves the type to us. Of types that users made the catalog knows.
///
/// Types that PostgreSQL has, that are not here and whose values are plain text in both forms read as `text`.
///
/// # Errors
/// 42704 for a type that does not exist here.
pub(super) fn declared(oid: u32) -> Result<Option<SqlType>> {
    match oid {
        // Not given, and `unknown`.
        0 | 705 => Ok(None),
        // `name` and `character(n)`, and arrays of them.
        19 | 1042 => Ok(Some(SqlType::Text)),
        1003 | 1014 => Ok(SqlType::Text.array()),
        _ => SqlType::from_oid(oid, -1).map(Some).ok_or_else(|| {
            Error::not_found(
                SqlState::UNDEFINED_OBJECT,
                format!("a parameter's type with OID {oid} does not exist here"),
            )
            .with_hint("Leave the parameter's type open, or cast it in the statement.")
        }),
    }
}

/// The types of a statement's parameters.
#[derive(Clone, Copy)]
pub(super) struct Types<'a> {
    pub(super) types: &'a [SqlType],
    /// The OID that a parameter is shown by, counted from 0, where it is not its type's.
    pub(super) shown_oid: &'a dyn Fn(usize) -> Option<u32>,
}

/// The values of a Bind; times without an offset are in a zone.
///
/// # Errors
/// 08P01 for a wrong number of parameters or forms; 22P03 and the errors of [`Value::text_in`] for bytes that are no
/// value of the parameter's type.
pub(super) fn values(
    statement: &str,
    of: Types<'_>,
    codes: &[i16],
    parameters: &[Option<Bytes>],
    zone: Zone,
) -> Result<Vec<Value>> {
    let Types { types, shown_oid } = of;
    if parameters.len() != types.len() {
        return Err(violation(format!(
            "bind message supplies {} parameters, but prepared statement \"{statement}\" requires {}",
            parameters.len(),
            types.len()
        )));
    }
    let formats = Format::expand(codes, parameters.len(), || {
        format!(
            "bind message has {} parameter formats but {} parameters",
            codes.len(),
            parameters.len()
        )
    })?;
    let parameters = parameters.iter().zip(types).zip(formats).enumerate();
    parameters
        .map(|(at, ((bytes, sql_type), format))| {
            let sent = bytes.as_deref();
            match shown_oid(at).filter(|_| format == Format::Binary).zip(sent) {
                Some((oid, sent)) => of_oids(at + 1, oid, sent),
                None => value(at + 1, *sql_type, format, sent, zone),
            }
        })
        .collect()
}

/// The binary form of an `oid` or an `oid[]`.
fn of_oids(number: usize, oid: u32, bytes: &[u8]) -> Result<Value> {
    let is_list = oid == ResultType::OidArray.oid();
    let (name, value) = match is_list {
        true => ("oid[]", binary::take_oids(bytes)?),
        false => ("oid", binary::take_oid(bytes)),
    };
    value.ok_or_else(|| {
        Error::invalid(
            SqlState::INVALID_BINARY_REPRESENTATION,
            format!("incorrect binary data format in bind parameter {number} of type {name}"),
        )
    })
}

fn value(number: usize, sql_type: SqlType, format: Format, bytes: Option<&[u8]>, zone: Zone) -> Result<Value> {
    let Some(bytes) = bytes else {
        return Ok(Value::Null);
    };
    match format {
        Format::Text => Value::text_in_zone(&sql_type, text::parse_text(utf8(bytes)?)?, zone),
        Format::Binary => binary::take_value(sql_type, bytes)?.ok_or_else(|| {
            Error::invalid(
                SqlState::INVALID_BINARY_REPRESENTATION,
                format!("incorrect binary data format in bind parameter {number} of type {sql_type}"),
            )
        }),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ALL: [SqlType; 18] = [
        SqlType::Boolean,
        SqlType::SmallInt,
        SqlType::Integer,
        SqlType::BigInt,
        SqlType::Real,
        SqlType::Double,
        SqlType::NUMERIC,
        SqlType::Text,
        SqlType::Varchar(Some(3)),
        SqlType::Bytea,
        SqlType::Date,
        SqlType::TIMESTAMP,
        SqlType::TIMESTAMPTZ,
        SqlType::Interval,
        SqlType::Uuid,
        SqlType::Json,
        SqlType::Jsonb,
        SqlType::Vector(Some(2)),
    ];

    fn values(
        statement: &str,
        types: &[SqlType],
        codes: &[i16],
        parameters: &[Option<Bytes>],
        zone: Zone,
    ) -> Result<Vec<Value>> {
        let shown_oid = &|_| None;
        super::values(statement, Types { types, shown_oid }, codes, parameters, zone)
    }

    #[test]
    fn oids_have_four_bytes() {
        let types = [SqlType::BigInt, SqlType::BigInt.array().expect("an array")];
        let of = Types {
            types: &types,
            shown_oid: &|at| Some([26, 1028][at]),
        };
        let list = b"\0\0\0\x01\0\0\0\0\0\0\0\x1a\0\0\0\x01\0\0\0\x01\0\0\0\x04\xff\xff\xff\xff";
        let sent = [Some(Bytes::from_static(b"\0\0\0\x17")), Some(Bytes::from_static(list))];
        let read = super::values("s", of, &[1], &sent, Zone::UTC).expect("oids");
        assert_eq!(read[0], Value::I64(23));
        assert_eq!(read[1], Value::text_in(&types[1], "{4294967295}").expect("a list"));
        let short = [Some(Bytes::from_static(b"\0\0\x17")), None];
        let error = super::values("s", of, &[1], &short, Zone::UTC).expect_err("three bytes");
        assert_eq!(error.state(), SqlState::INVALID_BINARY_REPRESENTATION);
        let text = [Some(Bytes::from_static(b"23")), Some(Bytes::from_static(b"{1,2}"))];
        let read = super::values("s", of, &[0], &text, Zone::UTC).expect("oids");
        assert_eq!(read[0], Value::I64(23));
    }

    fn one(sql_type: SqlType, format: i16, bytes: &'static [u8]) -> Result<Value> {
        values(
            "s",
            &[sql_type],
            &[format],
            &[Some(Bytes::from_static(bytes))],
            Zone::UTC,
        )
        .map(|mut values| values.remove(0))
    }

    #[test]
    fn both_forms_give_the_same_value() {
        let uuid = *b"\xa0\xee\xbc\x99\x9c\x0b\x4e\xf8\xbb\x6d\x6b\xb9\xbd\x38\x0a\x11";
        for (sql_type, text, binary, value) in [
            (SqlType::Boolean, &b"t"[..], &b"\x01"[..], Value::Bool(true)),
            (SqlType::SmallInt, b"-2", b"\xff\xfe", Value::I16(-2)),
            (SqlType::Integer, b"-2", b"\xff\xff\xff\xfe", Value::I32(-2)),
            (
                SqlType::BigInt,
                b"-2",
                b"\xff\xff\xff\xff\xff\xff\xff\xfe",
                Value::I64(-2),
            ),
            (SqlType::Real, b"0.1", b"\x3d\xcc\xcc\xcd", Value::F32(0.1)),
            (
                SqlType::Double,
                b"0.1",
                b"\x3f\xb9\x99\x99\x99\x99\x99\x9a",
                Value::F64(0.1),
            ),
            (
                SqlType::Numeric {
                    precision: Some(10),
                    scale: 2,
                },
                b"1.1",
                b"\0\x02\0\0\0\0\0\x02\0\x01\x03\xe8",
                Value::Decimal(110, 2),
            ),
            (SqlType::Text, "ä".as_bytes(), "ä".as_bytes(), Value::Text("ä".into())),
            (SqlType::Varchar(Some(3)), b"abc", b"abc", Value::Text("abc".into())),
            (
                SqlType::Bytea,
                b"\\x00ff10",
                b"\x00\xff\x10",
                Value::Bytes(vec![0, 255, 16]),
            ),
            (SqlType::Date, b"2024-02-29", b"\0\0\x22\x79", Value::Date(19_782)),
            (
                SqlType::TIMESTAMP,
                b"2024-02-29 12:34:56.7",
                b"\x00\x02\xb5\x83\x41\x71\x2a\x60",
                Value::Timestamp(1_709_210_096_700_000),
            ),
            (
                SqlType::TIMESTAMPTZ,
                b"2024-02-29 12:34:56.7+02",
                b"\x00\x02\xb5\x81\x94\x49\xe2\x60",
                Value::Timestamp(1_709_202_896_700_000),
            ),
            (
                SqlType::Uuid,
                b"a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",
                &uuid.clone(),
                Value::Uuid(uuid),
            ),
            (
                SqlType::Jsonb,
                b"{\"a\":1}",
                b"\x01{\"a\": 1}",
                Value::Jsonb(aion_catalog::json::Jsonb::parse("{\"a\":1}").expect("JSON")),
            ),
            (
                SqlType::Json,
                b"{\"a\": 1}",
                b"{\"a\": 1}",
                Value::Json("{\"a\": 1}".into()),
            ),
            (
                SqlType::Vector(Some(2)),
                b"[1,-2.5]",
                b"\0\x02\0\0\x3f\x80\0\0\xc0\x20\0\0",
                Value::Vector(vec![1.0, -2.5]),
            ),
        ] {
            let of = |format, bytes: &[u8]| {
                values(
                    "s",
                    &[sql_type],
                    &[format],
                    &[Some(Bytes::copy_from_slice(bytes))],
                    Zone::UTC,
                )
                .expect("a value")
                .remove(0)
            };
            assert_eq!(of(0, text), value, "{sql_type}");
            assert_eq!(of(1, binary), value, "{sql_type}");
            assert_eq!(
                values("s", &[sql_type], &[], &[None], Zone::UTC).expect("NULL"),
                [Value::Null]
            );
        }
    }

    #[test]
    fn refuses_what_is_no_value() {
        for (sql_type, format, bytes, state) in [
            (SqlType::Integer, 0, &b"x"[..], "22P02"),
            (SqlType::Integer, 1, b"\0\0\x01", "22P03"),
            (SqlType::Integer, 2, b"1", "22023"),
            (SqlType::Text, 0, b"\xff", "22021"),
            (SqlType::Text, 1, b"\xff", "22021"),
            (SqlType::Text, 1, b"a\0b", "22021"),
            (SqlType::Varchar(Some(3)), 1, b"abcd", "22001"),
            (SqlType::Json, 1, b"{", "22P02"),
            (SqlType::Jsonb, 1, b"\x01{", "22P02"),
            (SqlType::Jsonb, 1, b"\x02{}", "XX000"),
            (SqlType::Jsonb, 1, b"", "22P03"),
            (SqlType::Date, 1, b"\x7f\xff\xff\xff", "22P03"),
            (SqlType::NUMERIC, 1, b"\0\0\0\0\xc0\0\0\0", "22003"),
            (SqlType::Vector(Some(2)), 1, b"\0\x01\0\0\x3f\x80\0\0", "22000"),
            (SqlType::Vector(None), 1, b"\0\x01\0\0", "22P03"),
        ] {
            let error = one(sql_type, format, bytes).expect_err("no value");
            assert_eq!(error.state().as_str(), state, "{sql_type}: {error}");
        }
    }

    #[test]
    fn counts_must_fit() {
        let one = Some(Bytes::from_static(b"1"));
        let error = values("s", &[SqlType::Integer], &[], &[], Zone::UTC).expect_err("too few");
        assert_eq!(
            error.message(),
            "bind message supplies 0 parameters, but prepared statement \"s\" requires 1"
        );
        let two = [one.clone(), one.clone(), one];
        let error = values("s", &[SqlType::Integer; 3], &[0, 1], &two, Zone::UTC).expect_err("two forms for three");
        assert_eq!(error.message(), "bind message has 2 parameter formats but 3 parameters");
        assert_eq!(error.state(), SqlState::PROTOCOL_VIOLATION);
    }

    #[test]
    fn oids() {
        assert_eq!(declared(0).expect("open"), None);
        assert_eq!(declared(23).expect("integer"), Some(SqlType::Integer));
        assert_eq!(declared(1042).expect("as text"), Some(SqlType::Text));
        assert_eq!(declared(1700).expect("numeric"), Some(SqlType::NUMERIC));
        assert_eq!(declared(3802).expect("jsonb"), Some(SqlType::Jsonb));
        assert_eq!(declared(1266).expect_err("timetz").state(), SqlState::UNDEFINED_OBJECT);
    }

    proptest! {
        #[test]
        fn noise_never_panics(
            which in 0..ALL.len(),
            format in 0i16..2,
            bytes in proptest::collection::vec(any::<u8>(), 0..30),
        ) {
            let _ = values("s", &[ALL[which]], &[format], &[Some(Bytes::from(bytes))], Zone::UTC);
        }
    }
}
