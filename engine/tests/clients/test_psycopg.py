"""psycopg 3: parameters and results of every type in both forms, errors, transactions."""

import datetime
import decimal
import uuid
import zoneinfo

import psycopg
import pytest
from psycopg.types import TypeInfo
from psycopg.types.json import Json, Jsonb

UTC = datetime.timezone.utc

EVERY_TYPE = [
    ("boolean", True),
    ("smallint", -7),
    ("integer", 2**31 - 1),
    ("bigint", -(2**63)),
    ("real", 0.5),
    ("double precision", 0.1),
    ("numeric(12,3)", decimal.Decimal("123.456")),
    ("text", "ä'\\\n"),
    ("varchar(5)", "five"),
    ("bytea", b"\x00\xff'"),
    ("date", datetime.date(2013, 2, 28)),
    ("time", datetime.time(5, 6, 7, 500000)),
    ("timestamp", datetime.datetime(2013, 1, 1, 5, 6, 7, 500000)),
    ("timestamp(3)", datetime.datetime(2013, 1, 1, 5, 6, 7, 501000)),
    ("timestamp(0) with time zone", datetime.datetime(2013, 1, 1, 5, tzinfo=UTC)),
    ("timestamptz", datetime.datetime(2013, 1, 1, 5, tzinfo=UTC)),
    ("interval", datetime.timedelta(days=-3, seconds=7200, microseconds=5)),
    ("uuid", uuid.UUID("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11")),
]


@pytest.mark.parametrize("binary", [False, True], ids=["text", "binary"])
@pytest.mark.parametrize("sql_type, value", EVERY_TYPE, ids=[name for name, _ in EVERY_TYPE])
def test_a_value_goes_in_and_comes_out(connection, sql_type, value, binary):
    connection.execute(f"CREATE TABLE one (id integer PRIMARY KEY, v {sql_type})")
    try:
        with connection.cursor(binary=binary) as cursor:
            placeholder = "%b" if binary else "%s"
            cursor.execute(f"INSERT INTO one VALUES (1, {placeholder}), (2, NULL)", [value])
            rows = cursor.execute("SELECT v FROM one ORDER BY id").fetchall()
            assert rows == [(value,), (None,)]
            # As what it is compared with.
            assert cursor.execute(f"SELECT id FROM one WHERE v = {placeholder}", [value]).fetchall() == [(1,)]
            cursor.execute(f"UPDATE one SET v = {placeholder} WHERE id = 2", [value])
            assert cursor.execute("SELECT count(*) FROM one WHERE v IS NOT NULL").fetchone() == (2,)
    finally:
        connection.execute("DROP TABLE one")


def test_intervals(connection):
    hour = datetime.timedelta(hours=1)
    moment = datetime.datetime(2024, 1, 31, 12, tzinfo=UTC)
    for binary in [False, True]:
        with connection.cursor(binary=binary) as cursor:
            row = cursor.execute(
                "SELECT %s::timestamptz + %s, %s::timestamp - %s, %s * 2, %s > interval '59 minutes'",
                [moment, hour, datetime.datetime(2024, 1, 1), hour, hour, hour],
            ).fetchone()
            assert row == (moment + hour, datetime.datetime(2023, 12, 31, 23), 2 * hour, True)
            # A timedelta has no months; the driver takes a month for 30 days.
            assert cursor.execute("SELECT interval '1 year 1 mon -1 day'").fetchone() == (datetime.timedelta(days=394),)
            (difference,) = cursor.execute("SELECT %s - %s::timestamptz", [moment + hour, moment]).fetchone()
            assert difference == hour


def test_prepared_statements_are_run_again(connection):
    for number in range(10):
        row = connection.execute("SELECT %s::integer + 1, %s::text", [number, "x"], prepare=True).fetchone()
        assert row == (number + 1, "x")


def test_an_error_has_its_state_and_place(connection):
    with pytest.raises(psycopg.errors.UndefinedTable) as caught:
        connection.execute("SELECT * FROM no_such_table")
    assert caught.value.sqlstate == "42P01"
    with pytest.raises(psycopg.errors.SyntaxError) as caught:
        connection.execute("SELEC 1")
    assert caught.value.diag.statement_position == "1"
    connection.execute("CREATE TABLE one (id integer PRIMARY KEY)")
    try:
        connection.execute("INSERT INTO one VALUES (1)")
        with pytest.raises(psycopg.errors.UniqueViolation) as caught:
            connection.execute("INSERT INTO one VALUES (1)")
        diagnostic = caught.value.diag
        assert (diagnostic.table_name, diagnostic.constraint_name) == ("one", "one_pkey")
        with pytest.raises(psycopg.errors.InvalidTextRepresentation):
            connection.execute("SELECT 'no number'::integer")
    finally:
        connection.execute("DROP TABLE one")


def test_transactions(server):
    with server.connect() as connection:
        connection.execute("CREATE TABLE one (id integer PRIMARY KEY)")
        connection.commit()
        with pytest.raises(ZeroDivisionError), connection.transaction():
            connection.execute("INSERT INTO one VALUES (1)")
            raise ZeroDivisionError
        connection.execute("INSERT INTO one VALUES (2)")
        connection.rollback()
        with connection.transaction():
            connection.execute("INSERT INTO one VALUES (3)")
        assert connection.execute("SELECT id FROM one").fetchall() == [(3,)]
        connection.rollback()
        with pytest.raises(psycopg.errors.UndefinedColumn):
            connection.execute("SELECT nothing FROM one")
        with pytest.raises(psycopg.errors.InFailedSqlTransaction):
            connection.execute("SELECT 1")
        connection.rollback()
        connection.execute("DROP TABLE one")
        connection.commit()


def test_many_rows_at_once(connection):
    connection.execute("CREATE TABLE many (id integer PRIMARY KEY, name text)")
    try:
        with connection.cursor() as cursor:
            cursor.executemany("INSERT INTO many VALUES (%s, %s)", [(n, f"n{n}") for n in range(500)])
            assert cursor.rowcount == 500
        assert connection.execute("SELECT count(*), max(name) FROM many").fetchone() == (500, "n99")
    finally:
        connection.execute("DROP TABLE many")


def test_types_are_looked_up(connection):
    vector = TypeInfo.fetch(connection, "vector")
    assert (vector.name, vector.oid, vector.array_oid) == ("vector", 16400, 16401)
    assert TypeInfo.fetch(connection, "int4").regtype == "integer"
    assert TypeInfo.fetch(connection, "no_such_type") is None


def test_names_and_oids_have_their_types(connection):
    cursor = connection.execute("SELECT oid, relname, relkind, oid::regclass FROM pg_class WHERE relname = 'pg_type'")
    assert [column.type_code for column in cursor.description] == [26, 19, 18, 25]
    assert cursor.fetchone() == (1247, "pg_type", "r", "pg_type")


@pytest.mark.parametrize("binary", [False, True], ids=["text", "binary"])
def test_arrays_are_lists(connection, binary):
    with connection.cursor(binary=binary) as cursor:
        row = cursor.execute(
            "SELECT ARRAY['a', NULL, 'b c', ''], ARRAY[1, 2], array_agg(x) FROM (VALUES (1.5), (2.5)) v(x)"
        ).fetchone()
    assert row == (["a", None, "b c", ""], [1, 2], [decimal.Decimal("1.5"), decimal.Decimal("2.5")])


DOCUMENTS = [{"a": [1, 2.5, None, {"b": "ä\"\\"}], "e": {}}, [], "text", 5, True, None]


@pytest.mark.parametrize("binary", [False, True], ids=["text", "binary"])
@pytest.mark.parametrize("prepare", [False, True], ids=["once", "prepared"])
def test_documents_go_in_and_come_out(connection, binary, prepare):
    placeholder = "%b" if binary else "%s"
    connection.execute("CREATE TABLE docs (id integer PRIMARY KEY, b jsonb, j json)")
    try:
        with connection.cursor(binary=binary) as cursor:
            for number, document in enumerate(DOCUMENTS):
                insert = f"INSERT INTO docs VALUES ({placeholder}, {placeholder}, {placeholder})"
                cursor.execute(insert, [number, Jsonb(document), Json(document)], prepare=prepare)
            rows = cursor.execute("SELECT b, j FROM docs ORDER BY id").fetchall()
            assert rows == [(document, document) for document in DOCUMENTS]
            assert [column.type_code for column in cursor.description] == [3802, 114]
            for number, document in enumerate(DOCUMENTS):
                found = cursor.execute(f"SELECT b, j FROM docs WHERE id = {placeholder}", [number], prepare=prepare)
                assert found.fetchall() == [(document, document)]
                equal = cursor.execute(f"SELECT id FROM docs WHERE b = {placeholder}", [Jsonb(document)], prepare=prepare)
                assert equal.fetchall() == [(number,)]
            within = f"SELECT id FROM docs WHERE b @> {placeholder}"
            assert cursor.execute(within, [Jsonb({"e": {}})], prepare=prepare).fetchall() == [(0,)]
            change = f"UPDATE docs SET b = b || {placeholder}, j = {placeholder} WHERE id = 0 RETURNING b -> 'n', j"
            assert cursor.execute(change, [Jsonb({"n": 7}), Json([1])], prepare=prepare).fetchall() == [(7, [1])]
            key = cursor.execute(f"SELECT b -> 'a' -> {placeholder}, b ->> %s FROM docs WHERE id = 0", [1, "n"])
            assert key.fetchall() == [(2.5, "7")]
            shown = cursor.execute(f"SELECT to_jsonb({placeholder}), pg_typeof({placeholder})", [Json([1]), Jsonb({})])
            assert shown.fetchall() == [([1], "jsonb")]
            lists = cursor.execute("SELECT ARRAY['{\"a\": 1}'::jsonb, NULL], array_agg(b ORDER BY id) FROM docs WHERE id > 2")
            assert lists.fetchall() == [([{"a": 1}, None], DOCUMENTS[3:])]
    finally:
        connection.execute("DROP TABLE docs")


# As psycopg names them; the others have the names of EVERY_TYPE.
COPIED_AS = {
    "double precision": "float8",
    "numeric(12,3)": "numeric",
    "varchar(5)": "varchar",
    "timestamp(3)": "timestamp",
    "timestamp(0) with time zone": "timestamptz",
}


def test_every_type_is_copied_in_binary(connection):
    columns = ", ".join(f"c{at} {name}" for at, (name, _) in enumerate(EVERY_TYPE))
    types = ["integer", *(COPIED_AS.get(name, name) for name, _ in EVERY_TYPE)]
    rows = [(1, *(value for _, value in EVERY_TYPE)), (2, *(None for _ in EVERY_TYPE))]
    connection.execute(f"CREATE TABLE copied (id integer, {columns})")
    try:
        with connection.cursor() as cursor:
            with cursor.copy("COPY copied FROM STDIN (FORMAT BINARY)") as copy:
                copy.set_types(types)
                for row in rows:
                    copy.write_row(row)
            assert cursor.rowcount == 2
            assert cursor.execute("SELECT * FROM copied ORDER BY id").fetchall() == rows
            with cursor.copy("COPY (SELECT * FROM copied ORDER BY id) TO STDOUT (FORMAT BINARY)") as copy:
                copy.set_types(types)
                assert list(copy.rows()) == rows
            with pytest.raises(psycopg.errors.InvalidBinaryRepresentation) as caught:
                with cursor.copy("COPY copied (id) FROM STDIN (FORMAT BINARY)") as copy:
                    copy.set_types(["bigint"])
                    copy.write_row([1])
            assert "COPY copied, line 1, column id" in caught.value.diag.message_detail
    finally:
        connection.execute("DROP TABLE copied")


def test_documents_are_copied(connection):
    connection.execute("CREATE TABLE docs (id integer, b jsonb, j json)")
    try:
        with connection.cursor() as cursor:
            with cursor.copy("COPY docs FROM STDIN") as copy:
                copy.write_row((1, Jsonb({"a": "tab\t\\"}), Json({"a": 1})))
                copy.write_row((2, None, None))
            with cursor.copy("COPY docs TO STDOUT (FORMAT csv)") as copy:
                text = b"".join(bytes(part) for part in copy).decode()
            assert text == '1,"{""a"": ""tab\\t\\\\""}","{""a"": 1}"\n2,,\n'
            with cursor.copy("COPY docs FROM STDIN (FORMAT csv)") as copy:
                copy.write('3,"{""b"" : [ 1 ]}","{""b"" : [ 1 ]}"\n')
            assert cursor.execute("SELECT b::text, j::text FROM docs WHERE id = 3").fetchone() == (
                '{"b": [1]}',
                '{"b" : [ 1 ]}',
            )
            with pytest.raises(psycopg.errors.InvalidTextRepresentation) as caught:
                with cursor.copy("COPY docs FROM STDIN") as copy:
                    copy.write("4\t{x}\t1\n")
            assert "COPY docs, line 1, column b" in caught.value.diag.message_detail
    finally:
        connection.execute("DROP TABLE docs")


def test_who_and_where(connection):
    row = connection.execute(
        "SELECT current_database(), current_user, session_user, current_schema, pg_backend_pid(),"
        " current_setting('server_encoding')"
    ).fetchone()
    assert row == ("aion", "aion", "aion", "public", connection.info.backend_pid, "UTF8")
    connection.execute("SELECT set_config('application_name', 'tests', false)")
    assert connection.info.parameter_status("application_name") == "tests"


@pytest.mark.parametrize("binary", [False, True], ids=["text", "binary"])
def test_cursors_that_the_server_keeps(server, binary):
    query = "SELECT i::integer, 'row ' || i FROM generate_series(1, 1000) AS i WHERE i >= %s ORDER BY i"
    with server.connect() as connection:
        with connection.cursor("rows", binary=binary, scrollable=True) as cursor:
            cursor.execute(query, [1])
            assert [column.type_code for column in cursor.description] == [23, 25]
            assert cursor.fetchone() == (1, "row 1")
            assert [number for number, _ in cursor.fetchmany(3)] == [2, 3, 4]
            cursor.scroll(500, mode="absolute")
            assert cursor.fetchone() == (501, "row 501")
            cursor.scroll(-2)
            assert cursor.fetchone() == (500, "row 500")
            cursor.itersize = 7
            assert sum(number for number, _ in cursor) == sum(range(501, 1001))
            assert cursor.fetchone() is None
        with connection.cursor("held", withhold=True) as cursor:
            cursor.execute(query, [998])
            connection.commit()
            assert [number for number, _ in cursor.fetchall()] == [998, 999, 1000]
        connection.commit()
        assert connection.execute("SELECT count(*) FROM pg_cursors").fetchone() == (0,)


def test_notifications(server):
    with server.connect(autocommit=True) as listens, server.connect(autocommit=True) as speaks:
        listens.execute("LISTEN news")
        speaks.execute("NOTIFY news, 'first'")
        with speaks.transaction():
            speaks.execute("SELECT pg_notify('news', %s)", ["zwölf"])
        found = list(listens.notifies(timeout=60, stop_after=2))
        assert [(one.channel, one.payload) for one in found] == [("news", "first"), ("news", "zwölf")]
        assert {one.pid for one in found} == {speaks.info.backend_pid}
        # One that comes while a statement runs is told with its answer.
        told = []
        listens.add_notify_handler(told.append)
        speaks.execute("NOTIFY news, 'third'")
        listens.execute("SELECT 1")
        assert [one.payload for one in told] == ["third"]


def test_prepared_statements_have_one_namespace(connection):
    connection.execute("PREPARE twice (integer) AS SELECT $1 * 2")
    assert connection.execute("EXECUTE twice(21)").fetchone() == (42,)
    with pytest.raises(psycopg.errors.DuplicatePreparedStatement):
        connection.execute("PREPARE twice AS SELECT 1")
    for _ in range(2):
        connection.execute("SELECT %s::integer", [1], prepare=True)
    rows = connection.execute("SELECT name, from_sql FROM pg_prepared_statements ORDER BY from_sql").fetchall()
    assert [from_sql for _, from_sql in rows] == [False, True]
    connection.execute("DISCARD ALL", prepare=False)
    assert connection.execute("SELECT count(*) FROM pg_prepared_statements", prepare=False).fetchone() == (0,)


def test_times_are_in_the_zone_of_the_session(server):
    berlin, tokyo = zoneinfo.ZoneInfo("Europe/Berlin"), zoneinfo.ZoneInfo("Asia/Tokyo")
    moment = datetime.datetime(2024, 7, 1, 10, tzinfo=UTC)
    with server.connect(options="-c timezone=Europe/Berlin", autocommit=True) as connection:
        connection.execute("CREATE TABLE moments (id integer PRIMARY KEY, ts timestamptz)")
        try:
            assert connection.info.timezone.key == "Europe/Berlin"
            naive = datetime.datetime(2024, 7, 1, 12)
            connection.execute("INSERT INTO moments VALUES (1, %s), (2, '2024-07-01 12:00'), (3, %s)", [naive, moment])
            for binary in [False, True]:
                with connection.cursor(binary=binary) as cursor:
                    for (ts,) in cursor.execute("SELECT ts FROM moments").fetchall():
                        assert ts == moment and ts.tzinfo == berlin
            # The client is told of a change, and of its end with the block.
            with connection.transaction(force_rollback=True):
                connection.execute("SET TIME ZONE 'Asia/Tokyo'")
                (ts,) = connection.execute("SELECT ts FROM moments WHERE id = 1", prepare=True).fetchone()
                assert ts == moment and ts.tzinfo == tokyo
            assert connection.info.timezone == berlin
            with connection.cursor().copy("COPY moments TO STDOUT") as copy:
                assert b"".join(copy).startswith(b"1\t2024-07-01 12:00:00+02\n")
            with connection.cursor().copy("COPY moments FROM STDIN") as copy:
                copy.write("4\t2024-01-01 12:00\n5\t2024-01-01 12:00Z\n")
            query = "SELECT ts::text, ts::date::text FROM moments WHERE id > 3 ORDER BY id"
            connection.execute("SET timezone = 'Asia/Tokyo'")
            rows = connection.execute(query).fetchall()
            assert rows == [("2024-01-01 20:00:00+09", "2024-01-01"), ("2024-01-01 21:00:00+09", "2024-01-01")]
            # What the session began with is what it returns to.
            connection.execute("DISCARD ALL")
            assert connection.execute("SHOW timezone").fetchone() == ("Europe/Berlin",)
            for name in ["at", "of"]:
                connection.execute(f"SET timezone = {'7' if name == 'at' else 'DEFAULT'}")
                rows = connection.execute("SELECT id FROM moments WHERE ts = %s", ["2024-07-01 12:00"], prepare=True)
                assert rows.fetchall() == ([] if name == "at" else [(1,), (2,), (3,)])
        finally:
            connection.execute("DROP TABLE moments")


def test_columns_say_which_tables_they_are_of(connection):
    connection.execute("CREATE TABLE origin (id integer PRIMARY KEY, gone integer, v text)")
    connection.execute("ALTER TABLE origin DROP COLUMN gone")
    connection.execute("INSERT INTO origin VALUES (1, 'x'), (2, 'y')")
    try:
        table = connection.execute("SELECT 'origin'::regclass::oid").fetchone()[0]
        for path in ["on", "off"]:
            connection.execute(f"SET aion.direct_path = {path}")
            for query, expected in [
                ("SELECT id, v, id + 1 FROM origin WHERE id = %s", [1, 3, 0]),
                ("SELECT v, id FROM origin WHERE id = %s", [3, 1]),
                ("SELECT v AS t, id FROM origin WHERE id >= %s ORDER BY id LIMIT 1", [3, 1]),
                ("SELECT v FROM origin WHERE v <> %s::text FOR UPDATE", [3]),
                ("UPDATE origin SET v = v WHERE id = %s RETURNING v, id", [3, 1]),
            ]:
                # As text with its literals, and as a prepared statement more than once.
                for prepare in [False, True, True]:
                    with connection.transaction():
                        result = connection.execute(query, [1], prepare=prepare).pgresult
                    found = [(result.ftable(at), result.ftablecol(at)) for at in range(result.nfields)]
                    assert found == [(table if number else 0, number) for number in expected], query
        with connection.transaction():
            connection.execute("DECLARE of_origin CURSOR FOR SELECT v, 1 FROM origin")
            result = connection.execute("FETCH FROM of_origin").pgresult
            assert [(result.ftable(at), result.ftablecol(at)) for at in range(2)] == [(table, 3), (0, 0)]
    finally:
        connection.execute("RESET aion.direct_path")
        connection.execute("DROP TABLE origin")
