//! Arrow batches as rows, byte for byte.

use std::sync::Arc;

use aion_catalog::SqlType;
use aion_catalog::json::Jsonb;
use aion_db::Column;
use arrow::array::{
    ArrayRef, BinaryArray, BinaryViewArray, BooleanArray, Date32Array, Decimal128Array, DictionaryArray,
    FixedSizeBinaryArray, FixedSizeListArray, Float32Array, Float64Array, Int8Array, Int16Array, Int32Array,
    Int64Array, IntervalMonthDayNanoArray, LargeBinaryArray, LargeStringArray, ListArray, NullArray, StringArray,
    StringViewArray, TimestampMicrosecondArray, TimestampNanosecondArray, UInt32Array, UInt64Array,
};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::datatypes::{DataType, Field, Int32Type, IntervalMonthDayNano, Schema};
use arrow::record_batch::RecordBatch;
use bytes::{Buf, BytesMut};

use super::super::rows::{Batch, Bounds, Format, describe};

/// The values of one column in one form, `NULL` or escaped.
fn rows(array: &ArrayRef, sql_type: SqlType, format: Format) -> Vec<String> {
    let schema = Arc::new(Schema::new(vec![Field::new("c", array.data_type().clone(), true)]));
    let batch = RecordBatch::try_new(schema, vec![Arc::clone(array)]).expect("one column");
    let columns = [Column::new("c", sql_type)];
    let mut batch = Batch::new(&batch, &columns).expect("the type holds the array");
    let bounds = Bounds {
        row_count_max: usize::MAX,
        bytes_full: usize::MAX,
        row_bytes_max: 1_000,
    };
    let mut out = BytesMut::new();
    let count = batch
        .put(&columns, &[format], &mut String::new(), &bounds, &mut out)
        .expect("short rows");
    assert_eq!((count, batch.remaining()), (array.len(), 0));
    let mut values = Vec::new();
    while out.has_remaining() {
        assert_eq!(out.get_u8(), b'D');
        let length = usize::try_from(out.get_u32()).expect("short");
        let mut row = out.split_to(length - 4);
        assert_eq!(row.get_i16(), 1);
        values.push(match usize::try_from(row.get_i32()) {
            Err(_) => "NULL".to_owned(),
            Ok(length) => row.split_to(length).escape_ascii().to_string(),
        });
        assert!(row.is_empty());
    }
    values
}

fn check(array: impl arrow::array::Array + 'static, sql_type: SqlType, text: &[&str], binary: &[&str]) {
    let array: ArrayRef = Arc::new(array);
    assert_eq!(rows(&array, sql_type, Format::Text), text, "{sql_type}");
    assert_eq!(rows(&array, sql_type, Format::Binary), binary, "{sql_type}");
    // The same values behind an offset.
    let sliced = array.slice(1, array.len() - 1);
    assert_eq!(rows(&sliced, sql_type, Format::Text), text[1..], "{sql_type}, sliced");
    assert_eq!(
        rows(&sliced, sql_type, Format::Binary),
        binary[1..],
        "{sql_type}, sliced"
    );
}

/// Texts and bytes of PostgreSQL 15, and of pgvector for vectors.
#[test]
fn golden() {
    check(
        BooleanArray::from(vec![Some(true), None, Some(false)]),
        SqlType::Boolean,
        &["t", "NULL", "f"],
        &["\\x01", "NULL", "\\x00"],
    );
    check(
        Int16Array::from(vec![Some(-2), None]),
        SqlType::SmallInt,
        &["-2", "NULL"],
        &["\\xff\\xfe", "NULL"],
    );
    check(
        Int32Array::from(vec![-2, i32::MIN]),
        SqlType::Integer,
        &["-2", "-2147483648"],
        &["\\xff\\xff\\xff\\xfe", "\\x80\\x00\\x00\\x00"],
    );
    check(
        Int64Array::from(vec![-2, 65]),
        SqlType::BigInt,
        &["-2", "65"],
        &[
            "\\xff\\xff\\xff\\xff\\xff\\xff\\xff\\xfe",
            "\\x00\\x00\\x00\\x00\\x00\\x00\\x00A",
        ],
    );
    check(
        Float32Array::from(vec![0.1, 1e6, f32::NAN]),
        SqlType::Real,
        &["0.1", "1e+06", "NaN"],
        &["=\\xcc\\xcc\\xcd", "It$\\x00", "\\x7f\\xc0\\x00\\x00"],
    );
    check(
        Float64Array::from(vec![0.1, 1e15, 1e-5, -0.0, f64::NEG_INFINITY]),
        SqlType::Double,
        &["0.1", "1e+15", "1e-05", "-0", "-Infinity"],
        &[
            "?\\xb9\\x99\\x99\\x99\\x99\\x99\\x9a",
            "C\\x0ck\\xf5&4\\x00\\x00",
            ">\\xe4\\xf8\\xb5\\x88\\xe3h\\xf1",
            "\\x80\\x00\\x00\\x00\\x00\\x00\\x00\\x00",
            "\\xff\\xf0\\x00\\x00\\x00\\x00\\x00\\x00",
        ],
    );
    check(
        Decimal128Array::from(vec![Some(110), Some(-5), None])
            .with_precision_and_scale(10, 2)
            .expect("valid"),
        SqlType::Numeric {
            precision: Some(10),
            scale: 2,
        },
        &["1.10", "-0.05", "NULL"],
        &[
            "\\x00\\x02\\x00\\x00\\x00\\x00\\x00\\x02\\x00\\x01\\x03\\xe8",
            "\\x00\\x01\\xff\\xff@\\x00\\x00\\x02\\x01\\xf4",
            "NULL",
        ],
    );
    check(
        Date32Array::from(vec![Some(0), Some(19_782), None]),
        SqlType::Date,
        &["1970-01-01", "2024-02-29", "NULL"],
        &["\\xff\\xff\\xd53", "\\x00\\x00\\\"y", "NULL"],
    );
    let micros = vec![1_709_210_096_700_000, 0, 946_684_799_999_999];
    let binary = [
        "\\x00\\x02\\xb5\\x83Aq*`",
        "\\xff\\xfc\\xa2\\xfe\\xc4\\xc8 \\x00",
        "\\xff\\xff\\xff\\xff\\xff\\xff\\xff\\xff",
    ];
    check(
        TimestampMicrosecondArray::from(micros.clone()),
        SqlType::TIMESTAMP,
        &[
            "2024-02-29 12:34:56.7",
            "1970-01-01 00:00:00",
            "1999-12-31 23:59:59.999999",
        ],
        &binary,
    );
    check(
        TimestampMicrosecondArray::from(micros).with_timezone("+00:00"),
        SqlType::TIMESTAMPTZ,
        &[
            "2024-02-29 12:34:56.7+00",
            "1970-01-01 00:00:00+00",
            "1999-12-31 23:59:59.999999+00",
        ],
        &binary,
    );
    check(
        IntervalMonthDayNanoArray::from(vec![
            Some(IntervalMonthDayNano::new(1, -2, 11_045_000_006_000)),
            Some(IntervalMonthDayNano::new(0, 0, 0)),
            None,
        ]),
        SqlType::Interval,
        &["1 mon -2 days +03:04:05.000006", "00:00:00", "NULL"],
        &[
            "\\x00\\x00\\x00\\x02\\x92USF\\xff\\xff\\xff\\xfe\\x00\\x00\\x00\\x01",
            "\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00",
            "NULL",
        ],
    );
    let uuid = *b"\xa0\xee\xbc\x99\x9c\x0b\x4e\xf8\xbb\x6d\x6b\xb9\xbd\x38\x0a\x11";
    check(
        FixedSizeBinaryArray::try_from_sparse_iter_with_size([Some(uuid), None].into_iter(), 16)
            .expect("16 bytes each"),
        SqlType::Uuid,
        &["a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "NULL"],
        &["\\xa0\\xee\\xbc\\x99\\x9c\\x0bN\\xf8\\xbbmk\\xb9\\xbd8\\n\\x11", "NULL"],
    );
}

#[test]
fn golden_of_varying_length() {
    let words = vec![Some("a"), None, Some(""), Some("ä\n")];
    let expected = ["a", "NULL", "", "\\xc3\\xa4\\n"];
    check(StringArray::from(words.clone()), SqlType::Text, &expected, &expected);
    check(
        LargeStringArray::from(words.clone()),
        SqlType::Varchar(Some(9)),
        &expected,
        &expected,
    );
    check(StringViewArray::from(words), SqlType::Text, &expected, &expected);
    let json = "{\"a\": 1}";
    check(
        StringArray::from(vec![json; 2]),
        SqlType::Json,
        &["{\\\"a\\\": 1}"; 2],
        &["{\\\"a\\\": 1}"; 2],
    );
    // As a result brings it, and as it lies in a table.
    let documents = ["{\\\"a\\\": 1}", "NULL", "[]"];
    let binary = ["\\x01{\\\"a\\\": 1}", "NULL", "\\x01[]"];
    let texts = [Some("{\"a\": 1}"), None, Some("[]")];
    check(StringArray::from(texts.to_vec()), SqlType::Jsonb, &documents, &binary);
    let stored = texts.map(|text| text.map(|text| Jsonb::parse(text).expect("JSON").into_bytes()));
    let stored: LargeBinaryArray = stored.iter().map(Option::as_deref).collect();
    check(stored, SqlType::Jsonb, &documents, &binary);
    let bytes: Vec<Option<&[u8]>> = vec![Some(b"\x00\xff\x10"), None, Some(b"")];
    let (text, binary) = (["\\\\x00ff10", "NULL", "\\\\x"], ["\\x00\\xff\\x10", "NULL", ""]);
    check(BinaryArray::from(bytes.clone()), SqlType::Bytea, &text, &binary);
    check(BinaryViewArray::from(bytes), SqlType::Bytea, &text, &binary);
    let elements = Float32Array::from(vec![1.0, -2.5, 0.0, 0.0, 3.0, 1e-5]);
    let item = Arc::new(Field::new_list_field(DataType::Float32, true));
    let nulls = NullBuffer::from(vec![true, false, true]);
    let fixed = FixedSizeListArray::new(Arc::clone(&item), 2, Arc::new(elements.clone()), Some(nulls.clone()));
    let text = ["[1,-2.5]", "NULL", "[3,1e-05]"];
    let binary = [
        "\\x00\\x02\\x00\\x00?\\x80\\x00\\x00\\xc0 \\x00\\x00",
        "NULL",
        "\\x00\\x02\\x00\\x00@@\\x00\\x007\\'\\xc5\\xac",
    ];
    check(fixed, SqlType::Vector(Some(2)), &text, &binary);
    let list = ListArray::new(
        item,
        OffsetBuffer::new(vec![0, 2, 4, 6].into()),
        Arc::new(elements),
        Some(nulls),
    );
    check(list, SqlType::Vector(None), &text, &binary);
}

/// Layouts that queries produce beside the canonical ones.
#[test]
fn other_layouts_are_brought_into_form() {
    let text = |array: ArrayRef, sql_type| rows(&array, sql_type, Format::Text);
    assert_eq!(text(Arc::new(Int8Array::from(vec![-1])), SqlType::SmallInt), ["-1"]);
    assert_eq!(
        text(Arc::new(UInt32Array::from(vec![u32::MAX])), SqlType::BigInt),
        ["4294967295"]
    );
    let unsigned = SqlType::Numeric {
        precision: Some(20),
        scale: 0,
    };
    assert_eq!(
        text(Arc::new(UInt64Array::from(vec![u64::MAX])), unsigned),
        ["18446744073709551615"]
    );
    let dictionary: DictionaryArray<Int32Type> = [Some("x"), None, Some("x")].into_iter().collect();
    assert_eq!(text(Arc::new(dictionary), SqlType::Text), ["x", "NULL", "x"]);
    let nanos = TimestampNanosecondArray::from(vec![1_500_000_000]);
    assert_eq!(text(Arc::new(nanos), SqlType::TIMESTAMP), ["1970-01-01 00:00:01.5"]);
    assert_eq!(text(Arc::new(NullArray::new(2)), SqlType::Text), ["NULL", "NULL"]);
    let schema = Arc::new(Schema::new(vec![Field::new("c", DataType::Utf8, true)]));
    let batch = RecordBatch::try_new(schema, vec![Arc::new(StringArray::from(vec!["x"]))]).expect("one column");
    let wrong = [Column::new("c", SqlType::Uuid)];
    let error = Batch::new(&batch, &wrong).err().expect("text is no uuid");
    assert_eq!(error.state().as_str(), "XX000");
}

#[test]
fn columns_are_described_as_by_postgres() {
    let numeric = SqlType::Numeric {
        precision: Some(10),
        scale: 2,
    };
    let columns = [
        Column::new("a", SqlType::Integer),
        Column::new("b", numeric),
        Column::new("c", SqlType::Vector(Some(12))),
    ];
    let description = describe(&columns, &[Format::Text, Format::Binary]).expect("three columns");
    let fields: Vec<_> = description
        .fields
        .iter()
        .map(|field| {
            (
                field.name.as_str(),
                field.type_id,
                field.type_size,
                field.type_modifier,
                field.format_code,
            )
        })
        .collect();
    assert_eq!(
        fields,
        [
            ("a", 23, 4, -1, 0),
            ("b", 1700, -1, 655_366, 1),
            ("c", 16_400, -1, 12, 0)
        ]
    );
    let many = vec![columns[0].clone(); 1_665];
    assert_eq!(describe(&many, &[]).expect_err("too many").state().as_str(), "54000");
}

#[test]
fn rows_stop_where_they_are_told_to() {
    let array: ArrayRef = Arc::new(Int32Array::from(vec![1; 100]));
    let schema = Arc::new(Schema::new(vec![Field::new("c", DataType::Int32, true)]));
    let batch = RecordBatch::try_new(schema, vec![array]).expect("one column");
    let columns = [Column::new("c", SqlType::Integer)];
    let mut batch = Batch::new(&batch, &columns).expect("integers");
    let mut out = BytesMut::new();
    let mut put = |row_count_max, bytes_full, out: &mut BytesMut| {
        let bounds = Bounds {
            row_count_max,
            bytes_full,
            row_bytes_max: 1_000,
        };
        batch
            .put(&columns, &[], &mut String::new(), &bounds, out)
            .expect("short rows")
    };
    assert_eq!(put(3, usize::MAX, &mut out), 3);
    assert_eq!(put(usize::MAX, out.len() + 1, &mut out), 1, "a row is 12 bytes");
    assert_eq!(put(usize::MAX, out.len(), &mut out), 0);
    out.clear();
    assert_eq!(put(usize::MAX, usize::MAX, &mut out), 96);
}
