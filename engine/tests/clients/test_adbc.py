"""ADBC's Flight SQL driver against the server."""

import datetime
import decimal
import threading

import adbc_driver_flightsql.dbapi as flightsql
import adbc_driver_manager
import pyarrow as pa
import pytest


@pytest.fixture
def connect(server):
    opened = []

    def connect(autocommit=True, **options):
        connection = flightsql.connect(
            f"grpc://127.0.0.1:{server.flight_port}", db_kwargs=options, autocommit=autocommit
        )
        opened.append(connection)
        return connection

    yield connect
    for connection in opened:
        connection.close()


def as_role(name):
    return {"username": name, "password": "any"}


def run(connection, sql, parameters=None):
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        return cursor.fetchall()


def test_select_keeps_the_types(connect):
    with connect().cursor() as cursor:
        cursor.execute(
            "SELECT 1::int AS i, 2::bigint AS b, 'ä' AS t, 1.50::numeric(10,2) AS n, NULL::real AS r,"
            " DATE '2024-02-29' AS d, TIMESTAMP '2024-02-29 12:34:56.7' AS ts, true AS yes"
        )
        table = cursor.fetch_arrow_table()
    assert table.schema.names == ["i", "b", "t", "n", "r", "d", "ts", "yes"]
    assert [str(kind) for kind in table.schema.types] == [
        "int32",
        "int64",
        "string",
        "decimal128(10, 2)",
        "float",
        "date32[day]",
        "timestamp[us]",
        "bool",
    ]
    assert table.to_pylist() == [
        {
            "i": 1,
            "b": 2,
            "t": "ä",
            "n": decimal.Decimal("1.50"),
            "r": None,
            "d": datetime.date(2024, 2, 29),
            "ts": datetime.datetime(2024, 2, 29, 12, 34, 56, 700000),
            "yes": True,
        }
    ]


def test_a_result_of_many_batches_is_whole(connect):
    with connect().cursor() as cursor:
        cursor.execute("SELECT id, 'row ' || id AS s FROM generate_series(1, 300000) AS g(id)")
        table = cursor.fetch_arrow_table()
    assert table.num_rows == 300000
    assert sum(table["id"].to_pylist()) == 300000 * 300001 // 2
    assert table["s"][299999].as_py().startswith("row ")


def test_statements_without_rows_are_done_when_execute_returns(connect):
    writer, reader = connect(), connect()
    with writer.cursor() as cursor:
        # Nothing is fetched: the statement must not wait for that.
        cursor.execute("CREATE TABLE adbc_done (id int PRIMARY KEY, s text)")
        cursor.execute("INSERT INTO adbc_done VALUES (1, 'a'), (2, NULL)")
        assert run(reader, "SELECT * FROM adbc_done ORDER BY id") == [(1, "a"), (2, None)]
        cursor.execute("INSERT INTO adbc_done VALUES (3, 'c') RETURNING id")
        assert run(reader, "SELECT count(*) FROM adbc_done") == [(3,)]
        assert cursor.fetchall() == [(3,)]


def test_parameters(connect):
    connection = connect()
    run(
        connection,
        "CREATE TABLE adbc_parameters (id int PRIMARY KEY, s text, x double precision, n numeric(10,2), d date,"
        " ts timestamp with time zone, u uuid, v vector(2), b bytea, i interval)",
    )
    moment = datetime.datetime(2024, 2, 29, 12, 0, tzinfo=datetime.timezone.utc)
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO adbc_parameters VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
            (
                1,
                "ä",
                1.5,
                decimal.Decimal("2.25"),
                datetime.date(2024, 2, 29),
                moment,
                "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",
                [1.0, -2.5],
                b"\x00\xff",
                "1 mon -2 days 00:00:01",
            ),
        )
        cursor.execute("INSERT INTO adbc_parameters (id, s) VALUES ($1, $2)", (2, None))
        cursor.execute("SELECT s, x, n, d, ts, v, b FROM adbc_parameters WHERE id = $1", (1,))
        assert cursor.fetchall() == [
            ("ä", 1.5, decimal.Decimal("2.25"), datetime.date(2024, 2, 29), moment, [1.0, -2.5], b"\x00\xff")
        ]
        cursor.execute("SELECT i, i::text FROM adbc_parameters WHERE id = $1", (1,))
        ((interval, text),) = cursor.fetchall()
        assert (interval.months, interval.days, interval.nanoseconds) == (1, -2, 10**9)
        assert text == "1 mon -2 days +00:00:01"
        cursor.execute("SELECT s FROM adbc_parameters WHERE id = $1", (2,))
        assert cursor.fetchall() == [(None,)]
        # A bigint that an integer does not hold is an error, not another number.
        with pytest.raises(adbc_driver_manager.Error, match="22003"):
            cursor.execute("INSERT INTO adbc_parameters (id) VALUES ($1)", (2**40,))
            cursor.fetchall()


def test_executemany_is_all_or_nothing(connect):
    connection = connect()
    run(connection, "CREATE TABLE adbc_many (id int PRIMARY KEY, s text)")
    with connection.cursor() as cursor:
        cursor.executemany("INSERT INTO adbc_many VALUES ($1, $2)", [(i, f"row {i}") for i in range(50)])
        assert cursor.rowcount == 50
        with pytest.raises(adbc_driver_manager.Error, match="23505"):
            cursor.executemany("INSERT INTO adbc_many VALUES ($1, $2)", [(100, "a"), (7, "b"), (101, "c")])
    assert run(connection, "SELECT count(*), min(s) FROM adbc_many") == [(50, "row 0")]


def test_transactions_commit_and_roll_back(connect):
    connection, other = connect(autocommit=False), connect()
    run(connection, "CREATE TABLE adbc_transaction (id int PRIMARY KEY)")
    connection.commit()
    run(connection, "INSERT INTO adbc_transaction VALUES (1)")
    assert run(other, "SELECT count(*) FROM adbc_transaction") == [(0,)]
    assert run(connection, "SELECT count(*) FROM adbc_transaction") == [(1,)]
    connection.rollback()
    run(connection, "INSERT INTO adbc_transaction VALUES (2)")
    connection.commit()
    assert run(other, "SELECT id FROM adbc_transaction") == [(2,)]


def test_a_failed_transaction_says_so_until_it_is_rolled_back(connect):
    connection = connect(autocommit=False)
    with pytest.raises(adbc_driver_manager.Error, match="42P01"):
        run(connection, "SELECT * FROM adbc_nowhere")
    with pytest.raises(adbc_driver_manager.Error, match="25P02"):
        run(connection, "SELECT 1")
    connection.rollback()
    assert run(connection, "SELECT 1") == [(1,)]
    with pytest.raises(adbc_driver_manager.Error, match="22012"):
        run(connection, "SELECT 1 / 0")
    # It does not pretend to have committed. The driver has no transaction then, and wants a new connection.
    with pytest.raises(adbc_driver_manager.Error, match="25P02"):
        connection.commit()


def test_two_transactions_conflict(connect):
    one, two = connect(autocommit=False), connect(autocommit=False)
    run(one, "CREATE TABLE adbc_conflict (id int PRIMARY KEY, n int)")
    run(one, "INSERT INTO adbc_conflict VALUES (1, 0)")
    one.commit()
    two.rollback()
    # Both read, so neither may write what the other one has seen: the second would have waited for the row's lock before that.
    assert run(one, "SELECT n FROM adbc_conflict") == run(two, "SELECT n FROM adbc_conflict") == [(0,)]
    run(one, "UPDATE adbc_conflict SET n = n + 1 WHERE id = 1")
    one.commit()
    with pytest.raises(adbc_driver_manager.Error, match="40001"):
        run(two, "UPDATE adbc_conflict SET n = n + 1 WHERE id = 1")
        two.commit()


def test_a_login_keeps_a_session(connect):
    connection = connect(**as_role("aion"))
    run(connection, "CREATE TABLE adbc_login (id int)")
    run(connection, "SET statement_timeout = '5min'")
    assert run(connection, "SHOW statement_timeout") == [("5min",)]
    run(connection, "BEGIN")
    run(connection, "INSERT INTO adbc_login VALUES (1)")
    assert run(connect(), "SELECT count(*) FROM adbc_login") == [(0,)]
    run(connection, "COMMIT")
    assert run(connect(), "SELECT count(*) FROM adbc_login") == [(1,)]
    # A transaction has its login's settings.
    connection.adbc_connection.set_autocommit(False)
    assert run(connection, "SHOW statement_timeout") == [("5min",)]


def test_without_a_login_nothing_pretends_to_be_kept(connect):
    connection = connect()
    with pytest.raises(adbc_driver_manager.Error, match="25P01"):
        run(connection, "BEGIN")
    with pytest.raises(adbc_driver_manager.Error, match="no session that could keep"):
        run(connection, "SET statement_timeout = '5min'")


def test_strangers_are_refused(connect):
    with pytest.raises(adbc_driver_manager.Error, match='role "bob" does not exist .28000'):
        connect(**as_role("bob"))


def test_ingest(connect):
    connection = connect()
    table = pa.table(
        {
            "id": pa.array(range(5000), pa.int64()),
            "Name": pa.array([None if i % 7 == 0 else f"row {i}" for i in range(5000)]),
            "x": pa.array([i / 4 for i in range(5000)], pa.float64()),
            "at": pa.array([datetime.datetime(2024, 1, 1)] * 5000, pa.timestamp("us")),
        }
    )
    with connection.cursor() as cursor:
        assert cursor.adbc_ingest("adbc_ingest", table, mode="create") == 5000
        with pytest.raises(adbc_driver_manager.Error, match="42P07"):
            cursor.adbc_ingest("adbc_ingest", table, mode="create")
        assert cursor.adbc_ingest("adbc_ingest", table.slice(0, 3), mode="append") == 3
        with pytest.raises(adbc_driver_manager.Error, match="42P01"):
            cursor.adbc_ingest("adbc_missing", table, mode="append")
        cursor.execute('SELECT count(*), count("Name"), sum(id), max(x), min(at) FROM adbc_ingest')
        names = sum(1 for i in range(5000) if i % 7) + 2
        expected = (5003, names, sum(range(5000)) + 3, 4999 / 4, datetime.datetime(2024, 1, 1))
        assert cursor.fetchall() == [expected]
        assert cursor.adbc_ingest("adbc_ingest", table.slice(0, 10), mode="replace") == 10
        assert cursor.adbc_ingest("adbc_ingest", table.slice(10, 5), mode="create_append") == 5
    assert run(connection, "SELECT count(*) FROM adbc_ingest") == [(15,)]


def test_documents_are_texts(connect):
    connection = connect()
    run(connection, "CREATE TABLE documents (id integer PRIMARY KEY, b jsonb, j json)")
    with connection.cursor() as cursor:
        given = pa.table(
            {
                "id": pa.array([1, 2], pa.int32()),
                "b": pa.array(['{"b" : [1.50]}', None], pa.string()),
                "j": pa.array(['{"b" : [1.50]}', None], pa.string()),
            }
        )
        cursor.adbc_ingest("documents", given, mode="append")
        cursor.execute("INSERT INTO documents VALUES ($1, $2, $3)", (3, "[1, 2]", "[1, 2 ]"))
        cursor.execute("SELECT id, b, j FROM documents ORDER BY id")
        table = cursor.fetch_arrow_table()
    assert [str(kind) for kind in table.schema.types] == ["int32", "string", "string"]
    assert table.column("b").to_pylist() == ['{"b": [1.50]}', None, "[1, 2]"]
    assert table.column("j").to_pylist() == ['{"b" : [1.50]}', None, "[1, 2 ]"]
    assert table.schema.field("b").metadata == {b"aion.type": b"jsonb"}
    # What came out goes in again, as a table of its own.
    with connection.cursor() as cursor:
        cursor.adbc_ingest("again", table, mode="create")
    assert run(connection, "SELECT id FROM again WHERE b @> '{\"b\": [1.5]}'") == [(1,)]
    assert run(connection, "SELECT id FROM documents WHERE b = $1", ("[1.0,2]",)) == [(3,)]
    run(connection, "DROP TABLE documents")
    run(connection, "DROP TABLE again")
    with pytest.raises(adbc_driver_manager.Error, match="invalid input syntax for type json"):
        run(connection, "SELECT $1::jsonb", ("{x}",))


def test_ingest_is_part_of_a_transaction(connect):
    # The driver does not say in which (arrow-adbc 1.13): it is the connection's only one.
    connection, other = connect(autocommit=False), connect()
    table = pa.table({"id": [1, 2, 3]})
    with connection.cursor() as cursor:
        cursor.adbc_ingest("adbc_ingest_rolled_back", table, mode="create")
        connection.rollback()
        with pytest.raises(adbc_driver_manager.Error, match="42P01"):
            run(other, "SELECT * FROM adbc_ingest_rolled_back")
        cursor.adbc_ingest("adbc_ingest_rolled_back", table, mode="create")
        connection.commit()
    assert run(other, "SELECT count(*) FROM adbc_ingest_rolled_back") == [(3,)]


def test_objects(connect):
    connection = connect()
    run(connection, "CREATE TABLE adbc_objects (id int PRIMARY KEY, s varchar(10), v vector(3))")
    found = connection.adbc_get_objects(depth="all", table_name_filter="adbc_objects").read_all().to_pylist()
    (catalog,) = found
    assert catalog["catalog_name"] == "aion"
    (schema,) = [schema for schema in catalog["catalog_db_schemas"] if schema["db_schema_tables"]]
    assert schema["db_schema_name"] == "public"
    (table,) = schema["db_schema_tables"]
    assert (table["table_name"], table["table_type"]) == ("adbc_objects", "TABLE")
    columns = [(column["column_name"], column["xdbc_type_name"]) for column in table["table_columns"]]
    assert [name for name, _ in columns] == ["id", "s", "v"]
    schema = connection.adbc_get_table_schema("adbc_objects")
    assert schema.names == ["id", "s", "v"]
    assert schema.field("id").type == pa.int32()
    assert connection.adbc_get_table_types() == ["TABLE", "VIEW"]
    info = connection.adbc_get_info()
    assert info["vendor_name"] == "Aion"


def test_errors_say_what_and_where(connect):
    connection = connect()
    with pytest.raises(adbc_driver_manager.ProgrammingError) as failed:
        run(connection, "SELEC 1")
    assert "(42601)" in str(failed.value)
    details = dict(failed.value.details)
    assert details[b"aion-sqlstate"] == b"42601"
    assert details[b"aion-position"] == b"1"
    run(connection, "CREATE TABLE adbc_errors (id int PRIMARY KEY)")
    run(connection, "INSERT INTO adbc_errors VALUES (1)")
    with pytest.raises(adbc_driver_manager.Error) as failed:
        run(connection, "INSERT INTO adbc_errors VALUES (1)")
    assert "(23505)" in str(failed.value) and "DETAIL: Key (id)=(1)" in str(failed.value)
    # An error while rows are on their way.
    with pytest.raises(adbc_driver_manager.Error, match="22012"):
        run(connection, "SELECT 1 / (id - 200000) FROM generate_series(1, 300000) AS g(id)")
    assert run(connection, "SELECT 1") == [(1,)]


def test_cancel(connect):
    connection = connect()
    with connection.cursor() as cursor:
        cursor.execute("SELECT id FROM generate_series(1, 1000000000000) AS g(id)")
        reader = cursor.fetch_record_batch()
        assert reader.read_next_batch().num_rows > 0
        cursor.adbc_cancel()
        with pytest.raises((adbc_driver_manager.Error, pa.ArrowException, OSError)):
            while True:
                reader.read_next_batch()
    assert run(connection, "SELECT 1") == [(1,)]


def test_connections_work_side_by_side(connect):
    run(connect(), "CREATE TABLE adbc_threads (id int PRIMARY KEY)")
    failed = []

    def work(at):
        try:
            connection = connect()
            for i in range(10):
                run(connection, "INSERT INTO adbc_threads VALUES ($1)", (at * 10 + i,))
        except Exception as error:
            failed.append(error)

    threads = [threading.Thread(target=work, args=(at,)) for at in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed
    assert run(connect(), "SELECT count(*) FROM adbc_threads") == [(40,)]


def test_ingest_fits_the_columns_of_a_table(connect):
    connection = connect()
    run(connection, "CREATE TABLE adbc_fitted (id int PRIMARY KEY, d date, v vector(2))")
    table = pa.table(
        {
            "v": pa.array([[1.0, 2.0], None], pa.list_(pa.float64())),
            "id": pa.array([1, 2], pa.int64()),
            "d": pa.array(["2024-02-29", None]),
        }
    )
    with connection.cursor() as cursor:
        assert cursor.adbc_ingest("adbc_fitted", table, mode="append") == 2
        with pytest.raises(adbc_driver_manager.Error, match="22003"):
            too_big = pa.table({"id": pa.array([2**40], pa.int64())})
            cursor.adbc_ingest("adbc_fitted", too_big, mode="append")
        cursor.execute("SELECT id, d, v FROM adbc_fitted ORDER BY id")
        assert cursor.fetchall() == [(1, datetime.date(2024, 2, 29), [1.0, 2.0]), (2, None, None)]
