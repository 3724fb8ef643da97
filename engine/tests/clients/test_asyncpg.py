"""asyncpg: statements in binary, transactions, cursors, many rows at once, COPY, pools, cancelling and notifications."""

import asyncio
import datetime
import decimal
import functools
import uuid

import asyncpg
import pytest

UTC = datetime.timezone.utc


def with_connection(test):
    """Runs a coroutine with a connection of its own."""

    @functools.wraps(test)
    def run(server):
        async def body():
            connection = await asyncpg.connect(host=server.host, port=server.port, user="aion", database="aion")
            try:
                await asyncio.wait_for(test(connection, server), 60)
            finally:
                await connection.close()

        asyncio.run(body())

    # pytest is to see the fixture, not the coroutine's arguments.
    del run.__wrapped__
    return run


@with_connection
async def test_values_go_in_and_come_out(connection, _):
    values = [
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
        ("timestamp", datetime.datetime(2013, 1, 1, 5, 6, 7, 500000)),
        ("timestamptz", datetime.datetime(2013, 1, 1, 5, tzinfo=UTC)),
        ("uuid", uuid.UUID("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11")),
        ("jsonb", '{"a": [1, null]}'),
    ]
    for at, (sql_type, value) in enumerate(values):
        # A name of its own: statements are kept by their texts.
        await connection.execute(f"CREATE TABLE one{at} (id integer PRIMARY KEY, v {sql_type})")
        await connection.execute(f"INSERT INTO one{at} VALUES (1, $1), (2, NULL)", value)
        rows = await connection.fetch(f"SELECT v FROM one{at} ORDER BY id")
        assert [row["v"] for row in rows] == [value, None], sql_type
        assert await connection.fetchval(f"SELECT id FROM one{at} WHERE v = $1", value) == 1, sql_type
        await connection.execute(f"DROP TABLE one{at}")


@with_connection
async def test_a_statement_is_described_and_run_again(connection, _):
    await connection.execute("CREATE TABLE planes (tail text, seats integer)")
    statement = await connection.prepare("SELECT tail, seats FROM planes WHERE seats > $1")
    assert [parameter.name for parameter in statement.get_parameters()] == ["int4"]
    assert [(one.name, one.type.name) for one in statement.get_attributes()] == [("tail", "text"), ("seats", "int4")]
    many = await connection.prepare("INSERT INTO planes VALUES ($1, $2)")
    await many.executemany([(f"N{n}", n) for n in range(10)])
    assert len(await statement.fetch(4)) == 5
    assert await statement.fetchval(8) == "N9"
    returned = await connection.fetchmany("INSERT INTO planes VALUES ($1, 0) RETURNING tail", [("a",), ("b",)])
    assert [row["tail"] for row in returned] == ["a", "b"]
    await connection.execute("DROP TABLE planes")


@with_connection
async def test_transactions_have_their_levels_and_nest(connection, _):
    await connection.execute("CREATE TABLE counted (n integer)")
    for level in ("read_committed", "repeatable_read", "serializable", "read_uncommitted"):
        async with connection.transaction(isolation=level):
            assert await connection.fetchval("SHOW transaction_isolation") == level.replace("_", " ")
            await connection.execute("INSERT INTO counted VALUES (1)")
            with pytest.raises(asyncpg.DivisionByZeroError):
                async with connection.transaction():
                    await connection.execute("INSERT INTO counted VALUES (2)")
                    await connection.execute("SELECT 1 / 0")
    async with connection.transaction(isolation="serializable", readonly=True, deferrable=True):
        assert await connection.fetchval("SELECT sum(n) FROM counted") == 4
    with pytest.raises(asyncpg.ReadOnlySQLTransactionError):
        async with connection.transaction(readonly=True):
            await connection.execute("DELETE FROM counted")
    await connection.execute("DROP TABLE counted")


@with_connection
async def test_cursors_read_some_rows_at_a_time(connection, _):
    async with connection.transaction():
        query = "SELECT n::integer AS n FROM generate_series(1, $1::integer) AS s (n)"
        assert [row["n"] async for row in connection.cursor(query, 1000, prefetch=64)] == list(range(1, 1001))
        cursor = await connection.cursor(query, 10)
        assert len(await cursor.fetch(3)) == 3
        assert (await cursor.fetchrow())["n"] == 4
        assert [row["n"] for row in await cursor.fetch(100)] == [5, 6, 7, 8, 9, 10]
        cursor = await connection.cursor(query, 10)
        assert await cursor.forward(2) == 2
        assert (await cursor.fetchrow())["n"] == 3
        assert await cursor.forward(3) == 3
        assert [row["n"] for row in await cursor.fetch(2)] == [7, 8]
        assert await cursor.forward(100) == 2
        assert await cursor.fetchrow() is None


@with_connection
async def test_a_statement_is_given_up(connection, _):
    with pytest.raises(asyncio.TimeoutError):
        await connection.execute("SELECT pg_sleep(60)", timeout=0.2)
    assert await connection.fetchval("SELECT 'still there'") == "still there"
    await connection.execute("SET statement_timeout = 100")
    with pytest.raises(asyncpg.QueryCanceledError):
        await connection.execute("SELECT pg_sleep(60)")


@with_connection
async def test_errors_have_their_fields(connection, _):
    await connection.execute("CREATE TABLE keyed (id integer CONSTRAINT only_one PRIMARY KEY)")
    await connection.execute("INSERT INTO keyed VALUES (1)")
    with pytest.raises(asyncpg.UniqueViolationError) as caught:
        await connection.execute("INSERT INTO keyed VALUES ($1)", 1)
    assert (caught.value.constraint_name, caught.value.table_name) == ("only_one", "keyed")
    assert caught.value.detail == "Key (id)=(1) already exists."
    with pytest.raises(asyncpg.UndefinedColumnError) as caught:
        await connection.fetch("SELECT nothing FROM keyed")
    assert caught.value.position == "8"
    await connection.execute("DROP TABLE keyed")


@with_connection
async def test_copy_of_texts(connection, _):
    await connection.execute("CREATE TABLE copied (a integer, b text)")

    async def lines():
        yield b"1\tone\n"
        yield b"2\t\\N\n"

    assert await connection.copy_to_table("copied", source=lines()) == "COPY 2"
    out = bytearray()

    async def collect(data):
        out.extend(data)

    assert await connection.copy_from_query("SELECT * FROM copied ORDER BY a", output=collect, format="csv") == "COPY 2"
    assert bytes(out) == b"1,one\n2,\n"
    await connection.execute("DROP TABLE copied")


@with_connection
async def test_copy_of_records(connection, _):
    await connection.execute("CREATE TABLE records (a integer, b text, c timestamptz, d numeric(8,2))")
    moment = datetime.datetime(2024, 1, 31, 12, tzinfo=UTC)
    records = [(at, f"row {at}", moment, decimal.Decimal("12.50")) for at in range(5_000)]
    records.append((None, None, None, None))
    assert await connection.copy_records_to_table("records", records=records) == "COPY 5001"
    rows = await connection.fetch("SELECT * FROM records ORDER BY a NULLS LAST")
    assert [tuple(row) for row in rows] == records
    out = bytearray()

    async def collect(data):
        out.extend(data)

    assert await connection.copy_from_table("records", output=collect, format="binary") == "COPY 5001"

    async def pieces():
        for at in range(0, len(out), 1_000):
            yield bytes(out[at : at + 1_000])

    await connection.execute("CREATE TABLE again (a integer, b text, c timestamptz, d numeric(8,2))")
    assert await connection.copy_to_table("again", source=pieces(), format="binary") == "COPY 5001"
    assert await connection.fetchval("SELECT count(*) FROM (SELECT * FROM again EXCEPT SELECT * FROM records) s") == 0
    await connection.execute("DROP TABLE records")
    await connection.execute("DROP TABLE again")


@with_connection
async def test_notifications_arrive(connection, _):
    arrived = asyncio.Queue()
    await connection.add_listener("landed", lambda *found: arrived.put_nowait(found[2:]))
    await connection.execute("NOTIFY landed, 'N1'")
    assert await arrived.get() == ("landed", "N1")


@with_connection
async def test_a_pool_resets_what_it_lends(_, server):
    options = {"host": server.host, "port": server.port, "user": "aion", "database": "aion"}
    async with asyncpg.create_pool(min_size=1, max_size=3, **options) as pool:
        numbers = await asyncio.gather(*(pool.fetchval("SELECT $1::integer", n) for n in range(30)))
        assert numbers == list(range(30))
        async with pool.acquire() as connection:
            await connection.execute("SET statement_timeout = 12345")
        async with pool.acquire() as connection:
            assert await connection.fetchval("SHOW statement_timeout") == "0"


@with_connection
async def test_arrays(connection, _):
    """A value of an array's type ended in a RecursionError: the driver looks such types up with a list of oids, which came as a text."""
    assert await connection.fetchval("SELECT '{1,2,NULL}'::int[]") == [1, 2, None]
    await connection.execute("CREATE TYPE shade AS ENUM ('dark', 'light')")
    await connection.execute("CREATE TABLE lists (id integer PRIMARY KEY, n bigint[], t text[], s shade[])")
    await connection.execute("INSERT INTO lists VALUES (1, $1, $2, $3)", [1, None, 3], ["a", "b'"], ["dark", "light"])
    row = await connection.fetchrow("SELECT n, t, s FROM lists")
    assert dict(row) == {"n": [1, None, 3], "t": ["a", "b'"], "s": ["dark", "light"]}
    assert await connection.fetchval("SELECT id FROM lists WHERE id = ANY($1)", [1, 2]) == 1
    assert await connection.fetchval("SELECT array_agg(oid ORDER BY oid) FROM pg_type WHERE oid = ANY($1::oid[])", [25, 23]) == [23, 25]
    await connection.execute("DROP TABLE lists")
    await connection.execute("DROP TYPE shade")


@with_connection
async def test_parameters_have_the_types_of_functions_and_of_returning(connection, server):
    assert await connection.fetchval("SELECT repeat($1, $2)", "ab", 3) == "ababab"
    assert await connection.fetchval("SELECT left($1, $2) FROM generate_series(1, 3) LIMIT $3 OFFSET $4", "abc", 2, 1, 1) == "ab"
    assert await connection.fetchval("SELECT pg_blocking_pids($1)", connection.get_server_pid()) == []
    await connection.execute("CREATE TABLE given_back (id integer PRIMARY KEY, v integer)")
    made = await connection.fetchrow("INSERT INTO given_back VALUES ($1, $2) RETURNING id, v + $3 AS more", 1, 10, 5)
    assert dict(made) == {"id": 1, "more": 15}
    await connection.execute("DROP TABLE given_back")
    # The database that every PostgreSQL has is the one that is there.
    other = await asyncpg.connect(host=server.host, port=server.port, user="aion", database="postgres")
    assert await other.fetchval("SELECT current_database()") == "aion"
    await other.close()
