"""Values both ways: what goes in as a parameter comes out of a table the same."""

import array
import datetime
import decimal
import uuid

import pytest

import aiondb

D = decimal.Decimal
UTC = datetime.timezone.utc

ROUND = [
    ("boolean", [True, False]),
    ("smallint", [-32768, 32767]),
    ("integer", [-(2**31), 2**31 - 1]),
    ("bigint", [-(2**63), 2**63 - 1]),
    ("real", [0.5, -1.0, float("inf")]),
    ("double precision", [0.1, -1e300, float("-inf")]),
    ("numeric(38,10)", [D("1234567890123456789012345678.0123456789"), D("-0.0000000001")]),
    ("numeric(4,0)", [D("9999")]),
    ("text", ["", "ä€🦀", "it's", "$1"]),
    ("varchar(3)", ["äöü"]),
    ("bytea", [b"", b"\x00\xff'"]),
    ("date", [datetime.date(1, 1, 1), datetime.date(2026, 2, 28), datetime.date(9999, 12, 31)]),
    ("time", [datetime.time(0), datetime.time(23, 59, 59, 999999)]),
    ("timestamp", [datetime.datetime(1, 1, 1), datetime.datetime(1969, 12, 31, 23, 59, 59, 999999)]),
    ("timestamptz", [datetime.datetime(2026, 3, 29, 1, 30, 0, 1, tzinfo=UTC)]),
    ("interval", [datetime.timedelta(0), datetime.timedelta(days=-1, microseconds=1), datetime.timedelta(hours=25)]),
    ("uuid", [uuid.UUID("12345678-1234-5678-1234-567812345678")]),
    ("json", [{"a": [1, 2.5, None, {"b": "ä"}]}, [1, "two"], 5, True]),
    ("jsonb", [{"a": [1, 2.5, None, {"b": "ä"}]}, [1, "two"], 5, True]),
    ("vector(3)", [[0.5, -1.0, 2.0]]),
    ("vector", [[1.0], [1.0, 2.0]]),
]


@pytest.mark.parametrize(("sql_type", "values"), ROUND, ids=[name for name, _ in ROUND])
def test_round_trip(con, sql_type, values):
    con.sql(f"CREATE TABLE t (id bigint PRIMARY KEY, v {sql_type})")
    for number, value in enumerate([*values, None]):
        con.sql("INSERT INTO t VALUES ($1, $2)", [number, value])
    read = [value for (value,) in con.sql("SELECT v FROM t ORDER BY id").fetchall()]
    assert read == [*values, None]
    assert [type(value) for value in read] == [type(value) for value in [*values, None]]


@pytest.mark.parametrize(("sql_type", "values"), ROUND, ids=[name for name, _ in ROUND])
def test_a_cast_says_the_type_of_a_parameter(con, sql_type, values):
    for value in [*values, None]:
        assert con.sql(f"SELECT $1::{sql_type}", [value]).fetchone() == (value,)


def test_a_nan_is_a_nan(con):
    (value,) = con.sql("SELECT $1::double precision", [float("nan")]).fetchone()
    assert value != value


def test_a_moment_is_the_same_in_every_zone(con):
    given = datetime.datetime(2026, 7, 1, 14, 0, tzinfo=datetime.timezone(datetime.timedelta(hours=2)))
    (read,) = con.sql("SELECT $1::timestamptz", [given]).fetchone()
    assert read == given
    assert read.tzinfo is UTC


def test_what_else_is_taken(con):
    def one(sql_type, value):
        return con.sql(f"SELECT $1::{sql_type}", [value]).fetchone()[0]

    assert one("double precision", 5) == 5.0
    assert one("numeric(10,2)", 5) == D("5.00")
    assert one("numeric(10,2)", 0.1) == D("0.10")
    assert one("timestamp", datetime.date(2026, 1, 2)) == datetime.datetime(2026, 1, 2)
    assert one("bytea", bytearray(b"ab")) == b"ab"
    assert one("bytea", memoryview(b"abcd")[::2]) == b"ac"
    assert one("vector(2)", (1, 2)) == [1.0, 2.0]
    assert one("vector(2)", array.array("f", [1, 2.5])) == [1.0, 2.5]
    assert one("vector(2)", "[1,2]") == [1.0, 2.0]
    assert one("json", '{"a":  1}') == {"a": 1}
    assert one("jsonb", '{"a":  1}') == {"a": 1}
    assert one("time(1)", datetime.time(10, 20, 30, 250_000)) == datetime.time(10, 20, 30, 300_000)
    assert one("timestamp(3)", datetime.datetime(2026, 1, 2, 0, 0, 0, 1_500)) == datetime.datetime(2026, 1, 2, 0, 0, 0, 2_000)
    assert one("interval", "1 mon -1 day 01:00") == datetime.timedelta(days=29, hours=1)
    assert one("uuid", "12345678-1234-5678-1234-567812345678") == uuid.UUID("12345678-1234-5678-1234-567812345678")


def test_numpy(con):
    numpy = pytest.importorskip("numpy", reason="numpy is not installed: its arrays are not tested")
    vector = numpy.array([0.5, 1.5], dtype=numpy.float32)
    assert con.sql("SELECT $1::vector(2)", [vector]).fetchone() == ([0.5, 1.5],)
    assert con.sql("SELECT $1::vector", [numpy.arange(3)]).fetchone() == ([0.0, 1.0, 2.0],)
    assert con.sql("SELECT $1::integer", [numpy.int64(7)]).fetchone() == (7,)
    assert con.sql("SELECT $1::numeric(5,0)", [numpy.int64(7)]).fetchone() == (D(7),)
    assert con.sql("SELECT $1::real", [numpy.float32(0.5)]).fetchone() == (0.5,)
    assert con.sql("SELECT $1::boolean", [numpy.bool_(True)]).fetchone() == (True,)
    with pytest.raises(aiondb.ProgrammingError):
        con.sql("SELECT $1::vector(2)", [numpy.zeros((2, 2))])


REFUSED = [
    ("smallint", 32768, "22003"),
    ("integer", 2**31, "22003"),
    ("bigint", 2**63, "22003"),
    ("bigint", -(10**400), "22003"),
    ("bigint", True, "42804"),
    ("bigint", 1.0, "42804"),
    ("bigint", "1", "42804"),
    ("boolean", 1, "42804"),
    ("real", 1e39, "22003"),
    ("double precision", 10**400, "22003"),
    ("double precision", "1.5", "42804"),
    ("numeric(4,2)", D("100"), "22003"),
    ("numeric(4,2)", D("NaN"), "22003"),
    ("numeric(4,2)", "1", "42804"),
    ("text", 1, "42804"),
    ("text", b"a", "42804"),
    ("text", "a\0b", "22021"),
    ("bytea", "a", "42804"),
    ("date", datetime.datetime(2026, 1, 1), "42804"),
    ("date", "2026-01-01", "42804"),
    ("timestamp", datetime.datetime(2026, 1, 1, tzinfo=UTC), "42804"),
    ("timestamptz", datetime.datetime(2026, 1, 1), "42804"),
    ("timestamptz", datetime.date(2026, 1, 1), "42804"),
    ("time", datetime.datetime(2026, 1, 1), "42804"),
    ("time", datetime.time(1, tzinfo=UTC), "42804"),
    ("interval", 5, "42804"),
    ("interval", "one", "22007"),
    ("uuid", "not one", "22P02"),
    ("uuid", 5, "42804"),
    ("json", "{", "22P02"),
    ("json", float("nan"), "22P02"),
    ("vector(3)", [1, 2], "22000"),
    ("vector", [], "22000"),
    ("vector", [1, float("nan")], "22000"),
    ("vector", [1, 1e39], "22003"),
    ("vector", [1, "2"], "42804"),
    ("vector", {1, 2}, "42804"),
    ("vector", b"12", "42804"),
]


@pytest.mark.parametrize(("sql_type", "value", "state"), REFUSED)
def test_a_wrong_value_is_refused(con, sql_type, value, state):
    with pytest.raises(aiondb.DatabaseError) as raised:
        con.sql(f"SELECT $1::{sql_type}", [value])
    assert raised.value.sqlstate == state, str(raised.value)
    assert "parameter $1" in str(raised.value)
    assert con.sql("SELECT 1").fetchone() == (1,)


def test_what_json_does_not_take_is_pythons_error(con):
    with pytest.raises(TypeError, match="set"):
        con.sql("SELECT $1::json", [{"a": {1}}])


def test_a_date_beyond_pythons(con, tmp_path):
    (tmp_path / "late.csv").write_text("10000-01-01,10000-01-01,10000-01-01 00:00:00+00\n")
    con.sql("CREATE TABLE t (d date, ts timestamp, tz timestamptz)")
    con.sql(f"COPY t FROM '{tmp_path}/late.csv' WITH (FORMAT csv)")
    for column in ["d", "ts", "tz"]:
        with pytest.raises(aiondb.DataError) as raised:
            con.sql(f"SELECT {column} FROM t").fetchall()
        assert raised.value.sqlstate == "22008"
        assert "10000-01-01" in str(raised.value)


def test_the_column_decides(con):
    con.sql("CREATE TABLE t (id bigint PRIMARY KEY, doc json, at timestamptz, x real)")
    at = datetime.datetime(2026, 1, 1, tzinfo=UTC)
    con.sql("INSERT INTO t (doc, id, x, at) VALUES ($1, $2, $3, $4)", [["a", 1], 5, 1, at])
    con.sql("UPDATE t SET doc = $1 WHERE id = $2", [{"b": 2}, 5])
    assert con.sql("SELECT * FROM t WHERE at = $1", [at]).fetchall() == [(5, {"b": 2}, at, 1.0)]
