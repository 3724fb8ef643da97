//! The binary format. `fixtures/kinds.pgcopy` is a file of PostgreSQL 15, whose statements are [`KINDS`] and [`ROWS`].

use bytes::Bytes;
use futures::SinkExt;

use super::{Bench, Complaint, complaint};

const FIXTURE: &[u8] = include_bytes!("../fixtures/kinds.pgcopy");

/// One column of each type that PostgreSQL has, too.
const KINDS: &str = "CREATE TABLE kinds (id bigint, b boolean, i2 smallint, i4 integer, r real, d double precision, \
     n numeric(12,3), t text, v varchar(5), c character(4), y bytea, da date, ts timestamp, tz timestamptz, iv interval, \
     u uuid, j json, jb jsonb, ai integer[], at text[])";

const ROWS: &str = "INSERT INTO kinds VALUES \
     (1, true, -7, 2147483647, 0.5, 0.1, 123.456, E'ä\\'\\\\ tab\\tend', 'five', 'ab', '\\x00ff27', '2013-02-28', \
      '2013-01-01 05:06:07.5', '2013-01-01 05:00+00', '1 mon -3 days 02:00:00.000005', \
      'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', '{\"a\" :  1}', '{\"b\": [1, null, 2.50], \"a\": \"x\"}', '{1,NULL,3}', \
      '{a,\"\",NULL,\"ä b\"}'), \
     (2, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL), \
     (-9223372036854775808, false, 32767, 0, '-Infinity', 'NaN', -99999.001, '', '', '', '', '1969-12-31', \
      '1969-12-31 23:59:59.999999', '9999-12-31 23:59:59+00', '-1 year', '00000000-0000-0000-0000-000000000000', '[]', '{}', \
      '{}', '{}'), \
     (3, true, 0, -1, 1e-30, 1e300, 0, 'x', 'xx', 'xxxx', '\\x', '0001-01-01', '0001-01-01', '1700-01-01+00', '0', \
      'ffffffff-ffff-ffff-ffff-ffffffffffff', '\"s\"', '-0.5', '{7}', '{NULL}')";

#[test]
fn a_file_of_postgres_comes_in_and_goes_out_to_the_byte() {
    let bench = Bench::new(KINDS);
    let there = bench.file("there", FIXTURE);
    assert_eq!(
        bench.run(&format!("COPY kinds FROM '{there}' (FORMAT binary)")),
        Ok(vec!["4".into()])
    );
    let all = "SELECT * FROM kinds ORDER BY id, t";
    let loaded = bench.run(all).expect("read");
    bench.run("TRUNCATE kinds").expect("emptied");
    bench.run(ROWS).expect("inserted");
    assert_eq!(loaded, bench.run(all).expect("read"));
    // The table has no key: its rows come back as they went in.
    let back = bench.path("back");
    bench
        .run(&format!("COPY kinds TO '{back}' WITH (FORMAT 'binary')"))
        .expect("written");
    assert_eq!(
        std::fs::read(&back).expect("there").escape_ascii().to_string(),
        FIXTURE.escape_ascii().to_string()
    );
    // Columns in another order, and what is no table.
    let some = bench.path("some");
    bench
        .run(&format!("COPY kinds (t, id) TO '{some}' BINARY"))
        .expect("written");
    bench
        .run("CREATE TABLE other (a bigint, b text DEFAULT 'd', c int DEFAULT 7)")
        .expect("made");
    bench
        .run(&format!("COPY other (b, a) FROM '{some}' BINARY"))
        .expect("loaded");
    assert_eq!(
        bench.run("SELECT a, b, c FROM other WHERE a = 3"),
        Ok(vec!["3|x|7".into()])
    );
    let query = bench.path("query");
    bench
        .run(&format!(
            "COPY (SELECT 1::bigint, 'pg_class'::regclass::oid, 'n'::name) TO '{query}' (FORMAT binary)"
        ))
        .expect("written");
    let found = std::fs::read(&query).expect("there");
    assert!(
        found.ends_with(b"\0\0\0\x04\0\0\x04\xeb\0\0\0\x01n\xff\xff"),
        "{}",
        found.escape_ascii()
    );
}

fn load(bench: &Bench, statement: &str, data: &[u8]) -> Result<u64, Complaint> {
    bench.server.runtime.block_on(async {
        let sink = bench.client.copy_in::<_, Bytes>(statement).await.expect("begun");
        let mut sink = std::pin::pin!(sink);
        for piece in data.chunks(1 << 16) {
            if sink.send(Bytes::copy_from_slice(piece)).await.is_err() {
                break;
            }
        }
        sink.finish().await.map_err(|error| complaint(&error))
    })
}

const HEAD: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";

fn tuple(values: &[Option<&[u8]>]) -> Vec<u8> {
    let mut bytes = (values.len() as i16).to_be_bytes().to_vec();
    for value in values {
        bytes.extend_from_slice(&value.map_or(-1, |value| value.len() as i32).to_be_bytes());
        bytes.extend_from_slice(value.unwrap_or_default());
    }
    bytes
}

/// SQLSTATE, message and place are PostgreSQL 15's, but for a number that is cut off (08P01 there).
#[test]
fn what_is_wrong_is_told_and_nothing_is_loaded() {
    let bench = Bench::new("CREATE TABLE t (id int PRIMARY KEY, s varchar(5))");
    let one: &[u8] = &[0, 0, 0, 1];
    let row = tuple(&[Some(one), Some(b"a")]);
    let with_head = |rest: &[u8]| [HEAD, rest].concat();
    let flags = |flags: &[u8]| [&HEAD[..11], flags].concat();
    let line = "COPY t, line 1";
    let (id, s) = ("COPY t, line 1, column id", "COPY t, line 1, column s");
    let wrong: Vec<(Vec<u8>, &str, &str, &str)> = vec![
        (vec![], "22P04", "COPY file signature not recognized", ""),
        (HEAD[..7].to_vec(), "22P04", "COPY file signature not recognized", ""),
        (vec![b'x'; 30], "22P04", "COPY file signature not recognized", ""),
        (
            HEAD[..11].to_vec(),
            "22P04",
            "invalid COPY file header (missing flags)",
            "",
        ),
        (
            flags(&[0, 1, 0, 0]),
            "22P04",
            "invalid COPY file header (WITH OIDS)",
            "",
        ),
        (
            flags(&[0, 4, 0, 0]),
            "22P04",
            "unrecognized critical flags in COPY file header",
            "",
        ),
        (flags(&[0; 4]), "22P04", "invalid COPY file header (missing length)", ""),
        (
            flags(&[0, 0, 0, 0, 255, 255, 255, 255]),
            "22P04",
            "invalid COPY file header (missing length)",
            "",
        ),
        (
            flags(&[0, 0, 0, 0, 0, 0, 0, 5, 1]),
            "22P04",
            "invalid COPY file header (wrong length)",
            "",
        ),
        (
            with_head(b"\xff\xffx"),
            "22P04",
            "received copy data after EOF marker",
            line,
        ),
        (
            with_head(&tuple(&[Some(one)])),
            "22P04",
            "row field count is 1, expected 2",
            line,
        ),
        (
            with_head(b"\xff\xfe"),
            "22P04",
            "row field count is -2, expected 2",
            line,
        ),
        (
            with_head(&row[..row.len() - 1]),
            "22P04",
            "unexpected EOF in COPY data",
            s,
        ),
        (with_head(&row[..8]), "22P04", "unexpected EOF in COPY data", id),
        (with_head(b"\0\x02\xff\xff\xff\xfe"), "22P04", "invalid field size", id),
        (
            with_head(&tuple(&[Some(&[0, 0, 1]), None])),
            "22P03",
            "incorrect binary data format",
            id,
        ),
        (
            with_head(&tuple(&[Some(&[0; 8]), None])),
            "22P03",
            "incorrect binary data format",
            id,
        ),
        (
            with_head(b"\0\x02\x10\0\0\0"),
            "54000",
            "the record on line 1 is longer than 16777216 bytes",
            id,
        ),
        (
            with_head(&tuple(&[Some(one), Some(b"\xff")])),
            "22021",
            "invalid byte sequence for encoding \"UTF8\": 0xff",
            s,
        ),
        (
            with_head(&tuple(&[Some(one), Some(b"a\0")])),
            "22021",
            "invalid byte sequence for encoding \"UTF8\": 0x00",
            s,
        ),
        (
            with_head(&tuple(&[Some(one), Some(b"abcdef")])),
            "22001",
            "value too long for type character varying(5)",
            s,
        ),
        (
            with_head(&[&row[..], &row].concat()),
            "23505",
            "duplicate key value violates unique constraint \"t_pkey\"",
            "Key (id)=(1) already exists.\nCOPY t, line 2",
        ),
    ];
    for (data, state, message, detail) in wrong {
        let found = load(&bench, "COPY t FROM STDIN (FORMAT binary)", &data).expect_err(message);
        let found = (found.state.as_str(), found.message.as_str(), found.detail.as_str());
        assert_eq!(found, (state, message, detail), "{}", data.escape_ascii());
    }
    let null = load(&bench, "COPY t FROM STDIN BINARY", &with_head(&tuple(&[None, None]))).expect_err("a key");
    assert_eq!(null.state, "23502");
    assert_eq!(bench.run("SELECT count(*) FROM t"), Ok(vec!["0".into()]));

    // No trailer, an extension, and no rows are no errors.
    assert_eq!(load(&bench, "COPY t FROM STDIN BINARY", &with_head(&row)), Ok(1));
    let extended = [
        &HEAD[..11],
        &[0, 0, 255, 255, 0, 0, 0, 2, 7, 7],
        &tuple(&[Some(&[0; 4]), None])[..],
        &[255, 255],
    ]
    .concat();
    assert_eq!(load(&bench, "COPY t FROM STDIN BINARY", &extended), Ok(1));
    assert_eq!(load(&bench, "COPY t FROM STDIN BINARY", &with_head(b"\xff\xff")), Ok(0));
    assert_eq!(
        bench.run("SELECT * FROM t ORDER BY id"),
        Ok(vec!["0|NULL".into(), "1|a".into()])
    );
}

/// More than the transaction holds goes into a storage of its own, as with text; defaults, checks and indexes are met.
#[test]
fn many_rows_load_as_text_does() {
    const COUNT: i32 = 200_000;
    let bench = Bench::new(
        "CREATE TABLE t (id int PRIMARY KEY, s text NOT NULL); \
         CREATE TABLE checked (id int, s text, d int DEFAULT 3, g int GENERATED ALWAYS AS (id * 2) STORED, CHECK (id < 199000))",
    );
    let mut data = HEAD.to_vec();
    for id in 0..COUNT {
        let text = format!("a text of some length, the {id}th");
        data.extend_from_slice(&tuple(&[Some(&id.to_be_bytes()), Some(text.as_bytes())]));
    }
    data.extend_from_slice(&[255, 255]);
    assert_eq!(load(&bench, "COPY t FROM STDIN (FORMAT binary)", &data), Ok(200_000));
    assert_eq!(
        bench.run("SELECT count(*), sum(id), min(s), count(DISTINCT s) FROM t"),
        Ok(vec!["200000|19999900000|a text of some length, the 0th|200000".into()])
    );
    let error = load(&bench, "COPY checked (id, s) FROM STDIN (FORMAT binary)", &data).expect_err("the check");
    assert_eq!(error.state, "23514");
    let few = [&data[..HEAD.len()], &data[HEAD.len()..][..2 + 4 + 4 + 4 + 30]].concat();
    assert_eq!(
        load(&bench, "COPY checked (id, s) FROM STDIN (FORMAT binary)", &few),
        Ok(1)
    );
    assert_eq!(
        bench.run("SELECT id, s, d, g FROM checked"),
        Ok(vec!["0|a text of some length, the 0th|3|0".into()])
    );
}
