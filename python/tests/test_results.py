"""Results: PEP 249's fetching, Arrow, frames, streaming, transactions; and frames that are registered."""

import contextlib
import io
import sys

import pytest

import aiondb


def series(count):
    return f"SELECT n FROM generate_series(1, {count}) AS n"


def test_fetching(con):
    result = con.sql(series(20_000))
    assert result.columns == ["n"]
    assert result.types == ["bigint"]
    assert result.description == [("n", "bigint", None, None, None, None, None)]
    assert result.description[0][1] == aiondb.NUMBER
    assert result.description[0][1] != aiondb.STRING
    assert (result.rowcount, result.status) == (-1, None)
    assert result.fetchone() == (1,)
    assert result.fetchmany() == [(2,)]
    assert result.fetchmany(3) == [(3,), (4,), (5,)]
    # Across the borders of batches, too.
    assert result.fetchmany(10_000) == [(n,) for n in range(6, 10_006)]
    assert next(result) == (10_006,)
    assert result.fetchall() == [(n,) for n in range(10_007, 20_001)]
    assert result.fetchone() is None
    assert result.fetchall() == []
    assert (result.rowcount, result.status) == (20_000, "SELECT 20000")


def test_a_result_keeps_its_connection():
    # The connection of `connect().sql(...)` had no reference left, was closed, and its result with it.
    assert aiondb.connect().sql("SELECT 6 * 7").fetchone() == (42,)
    pyarrow = pytest.importorskip("pyarrow", reason="pyarrow is not installed: streams are not tested")
    assert pyarrow.table(aiondb.connect().sql("SELECT 6 * 7 AS n"))["n"].to_pylist() == [42]


def test_numerics_are_described(con):
    result = con.sql("SELECT 1::numeric(10,2) AS n, 'x' AS t")
    assert result.description[0] == ("n", "numeric(10,2)", None, None, 10, 2, None)
    assert result.description[1][1] == aiondb.STRING


def test_a_statement_without_rows(con):
    result = con.sql("CREATE TABLE t (id bigint)")
    assert (result.columns, result.description, result.status) == ([], None, "CREATE TABLE")
    assert con.sql("INSERT INTO t VALUES (1), (2)").rowcount == 2
    for fetch in [result.fetchone, result.fetchall, result.arrow]:
        with pytest.raises(aiondb.ProgrammingError, match="gave no rows"):
            fetch()


def test_returning(con):
    con.sql("CREATE TABLE t (id bigint PRIMARY KEY, name text)")
    result = con.sql("INSERT INTO t VALUES (1, 'a'), (2, 'b') RETURNING id, name")
    assert sorted(result.fetchall()) == [(1, "a"), (2, "b")]
    assert result.rowcount == 2


def test_several_statements(con):
    result = con.sql("CREATE TABLE t (id bigint); INSERT INTO t VALUES (1); SELECT id FROM t; SELECT id + 1 FROM t")
    assert result.fetchall() == [(2,)]
    with pytest.raises(aiondb.DataError) as raised:
        con.sql("INSERT INTO t VALUES (2); SELECT 1 / (id - 1) FROM t; INSERT INTO t VALUES (3)")
    assert raised.value.sqlstate == "22012"
    assert con.sql("SELECT id FROM t ORDER BY id").fetchall() == [(1,), (2,)]
    with pytest.raises(aiondb.ProgrammingError, match="no statement"):
        con.sql(" -- nothing")


def test_cursors(con):
    cursor = con.cursor()
    with pytest.raises(aiondb.ProgrammingError):
        cursor.fetchone()
    cursor.execute("CREATE TABLE t (id bigint PRIMARY KEY, name text)")
    assert cursor.executemany("INSERT INTO t VALUES ($1, $2)", [[1, "a"], (2, "b")]).rowcount == 2
    assert cursor.executemany("INSERT INTO t VALUES ($id, $name)", ({"id": n, "name": None} for n in (3, 4))).rowcount == 2
    assert cursor.executemany("INSERT INTO t VALUES ($1, $2)", []).rowcount == 0
    assert con.execute("SELECT count(*) FROM t").fetchone() == (4,)
    cursor.execute("SELECT id FROM t ORDER BY id")
    cursor.arraysize = 2
    assert cursor.fetchmany() == [(1,), (2,)]
    assert list(cursor) == [(3,), (4,)]
    assert cursor.rowcount == 4
    assert cursor.description[0][0] == "id"
    cursor.close()
    with pytest.raises(aiondb.InterfaceError):
        cursor.execute("SELECT 1")
    assert cursor.connection is con


def test_executemany_is_one_transaction(con):
    con.sql("CREATE TABLE t (id bigint PRIMARY KEY)")
    with pytest.raises(aiondb.IntegrityError):
        con.executemany("INSERT INTO t VALUES ($1)", [[1], [2], [1]])
    assert con.sql("SELECT count(*) FROM t").fetchone() == (0,)
    assert not con.in_transaction
    with pytest.raises(aiondb.ProgrammingError, match=r"\$1 of set 2"):
        con.executemany("INSERT INTO t VALUES ($1)", [[1], ["x"]])
    with pytest.raises(aiondb.NotSupportedError):
        con.executemany("SELECT $1::bigint", [[1]])


def test_show_leaves_the_rows(con):
    result = con.sql("SELECT n, CASE WHEN n > 1 THEN 'text' END AS t FROM (" + series(30) + ") ORDER BY n")
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        result.show(2)
    assert printed.getvalue().splitlines() == [" n | t", "---+------", " 1 | NULL", " 2 | text", "(the first 2 rows)"]
    assert len(result.fetchall()) == 30
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        con.sql("SELECT 'a' AS x").show()
        con.sql("CREATE TABLE t (id bigint)").show()
    assert printed.getvalue().splitlines() == [" x", "---", " a", "(1 row)", "CREATE TABLE"]


def test_arrow(con):
    pyarrow = pytest.importorskip("pyarrow", reason="pyarrow is not installed: arrow() is not tested")
    table = con.sql(series(20_000)).arrow()
    assert table.num_rows == 20_000
    assert table.schema.field("n").type == pyarrow.int64()
    rest = con.sql(series(10))
    rest.fetchmany(4)
    assert rest.arrow()["n"].to_pylist() == [5, 6, 7, 8, 9, 10]
    empty = con.sql("SELECT 1::numeric(5,2) AS x, 'a'::text AS t WHERE false").arrow()
    assert (empty.num_rows, empty.schema.names) == (0, ["x", "t"])
    with pytest.raises(aiondb.DataError) as raised:
        con.sql(f"SELECT 1 / (n - 5) FROM ({series(10)})").arrow()
    assert raised.value.sqlstate == "22012"


def test_a_result_is_a_stream_of_arrow(con):
    pyarrow = pytest.importorskip("pyarrow", reason="pyarrow is not installed: streams are not tested")
    # A trillion rows: whoever gathers them before giving the first out never answers.
    result = con.sql("SELECT a.a FROM generate_series(1, 1000000) a, generate_series(1, 1000000) b")
    reader = pyarrow.RecordBatchReader.from_stream(result)
    assert reader.read_next_batch().num_rows > 0
    with pytest.raises(aiondb.InterfaceError, match="handed out"):
        result.fetchone()
    # The connection is free meanwhile.
    assert con.sql("SELECT 1").fetchone() == (1,)
    del reader
    failing = pyarrow.RecordBatchReader.from_stream(con.sql(f"SELECT 1 / (n - 5) AS x FROM ({series(10)})"))
    with pytest.raises(Exception, match="22012"):
        failing.read_all()


def test_frames(con):
    pandas = pytest.importorskip("pandas", reason="pandas is not installed: df() is not tested")
    polars = pytest.importorskip("polars", reason="polars is not installed: pl() is not tested")
    query = "SELECT n, CASE WHEN n > 1 THEN 'text' END AS t FROM (" + series(2) + ") ORDER BY n"
    frame = con.sql(query).df()
    assert isinstance(frame, pandas.DataFrame)
    assert frame["n"].tolist() == [1, 2]
    frame = con.sql(query).pl()
    assert isinstance(frame, polars.DataFrame)
    assert frame.rows() == [(1, None), (2, "text")]
    assert polars.DataFrame(con.sql(query)).rows() == [(1, None), (2, "text")]


@pytest.mark.parametrize(("method", "package"), [("arrow", "pyarrow"), ("df", "pandas"), ("pl", "polars")])
def test_a_missing_package_is_named(con, monkeypatch, method, package):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ImportError, match=f"pip install {package}"):
        getattr(con.sql("SELECT 1"), method)()


def test_rows_of_a_transaction_do_not_outlive_it(con):
    con.sql("CREATE TABLE t (id bigint PRIMARY KEY)")
    con.executemany("INSERT INTO t VALUES ($1)", [[n] for n in range(100)])
    outside = con.sql("SELECT id FROM t")
    con.begin()
    within = con.sql("SELECT id FROM t")
    assert len(con.sql("SELECT id FROM t").fetchall()) == 100
    con.sql("INSERT INTO t VALUES (100)")
    with pytest.raises(aiondb.ProgrammingError) as raised:
        within.fetchall()
    assert raised.value.sqlstate == "24000"
    within = con.sql("SELECT id FROM t")
    con.commit()
    with pytest.raises(aiondb.ProgrammingError):
        within.fetchall()
    with pytest.raises(aiondb.InterfaceError):
        within.fetchall()
    # Outside of a transaction a result has a snapshot of its own.
    assert len(outside.fetchall()) == 100


def test_an_error_while_reading_fails_the_transaction(con):
    con.begin()
    with pytest.raises(aiondb.DataError):
        con.sql(f"SELECT 1 / (n - 5) FROM ({series(10)})").fetchall()
    with pytest.raises(aiondb.ProgrammingError) as raised:
        con.sql("SELECT 1")
    assert raised.value.sqlstate == "25P02"
    con.rollback()


def test_register(con):
    pyarrow = pytest.importorskip("pyarrow", reason="pyarrow is not installed: frames are not registered")
    con.register("frame", pyarrow.table({"id": [1, 2, 3], "name": ["a", None, "c"]}))
    assert con.sql("SELECT * FROM frame").fetchall() == [(1, "a"), (2, None), (3, "c")]
    con.sql("CREATE TABLE t (id bigint PRIMARY KEY, name text)")
    assert con.sql("INSERT INTO t SELECT * FROM frame WHERE id > $1", [1]).rowcount == 2
    assert con.sql("SELECT count(*) FROM t JOIN frame USING (id)").fetchone() == (2,)
    # Before the table of that name, in this connection alone; and as the rows were.
    con.register("t", pyarrow.table({"x": [9]}))
    assert con.sql("SELECT * FROM t").fetchall() == [(9,)]
    assert con.sql("SELECT count(*) FROM public.t").fetchone() == (2,)
    con.unregister("t")
    assert con.sql("SELECT count(*) FROM t").fetchone() == (2,)
    with pytest.raises(aiondb.ProgrammingError) as raised:
        con.unregister("t")
    assert raised.value.sqlstate == "42P01"
    con.register("frame", con.sql("SELECT id + 10 AS id FROM frame"))
    assert con.sql("SELECT id FROM frame ORDER BY id").fetchall() == [(11,), (12,), (13,)]


def test_a_registered_frame_is_seen_by_its_connection_alone(tmp_path):
    pyarrow = pytest.importorskip("pyarrow", reason="pyarrow is not installed: frames are not registered")
    with aiondb.connect(tmp_path / "data") as one, aiondb.connect(tmp_path / "data") as two:
        one.register("frame", pyarrow.table({"id": [1]}))
        with pytest.raises(aiondb.ProgrammingError) as raised:
            two.sql("SELECT * FROM frame")
        assert raised.value.sqlstate == "42P01"


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO frame VALUES (1)",
        "UPDATE frame SET id = 1",
        "DELETE FROM frame",
        "DROP TABLE frame",
        "DROP TABLE IF EXISTS frame",
        "COPY frame FROM '/rows.csv' WITH (FORMAT csv)",
    ],
)
def test_a_registered_frame_is_only_read(con, statement):
    pyarrow = pytest.importorskip("pyarrow", reason="pyarrow is not installed: frames are not registered")
    # Also where it hides a table, which a change would otherwise reach while queries see the frame.
    con.sql("CREATE TABLE frame (id bigint)")
    con.register("frame", pyarrow.table({"id": [1]}))
    with pytest.raises(aiondb.ProgrammingError) as raised:
        con.sql(statement)
    assert raised.value.sqlstate == "42809"


def test_registered_values_are_a_copy(con):
    numpy = pytest.importorskip("numpy", reason="numpy is not installed: copies are not tested")
    pyarrow = pytest.importorskip("pyarrow", reason="pyarrow is not installed: frames are not registered")
    values = numpy.arange(3)
    con.register("frame", pyarrow.table({"n": pyarrow.array(values)}))
    values[:] = 7
    assert con.sql("SELECT n FROM frame").fetchall() == [(0,), (1,), (2,)]


def test_frames_of_every_library(con):
    pandas = pytest.importorskip("pandas", reason="pandas is not installed: its frames are not registered")
    polars = pytest.importorskip("polars", reason="polars is not installed: its frames are not registered")
    columns = {"n": [1, 2], "t": ["a", None], "f": [0.5, 1.5]}
    con.register("p", pandas.DataFrame(columns).assign(c=pandas.Categorical(["u", "v"])))
    assert con.sql("SELECT n, t, f, c FROM p").fetchall() == [(1, "a", 0.5, "u"), (2, None, 1.5, "v")]
    con.register("l", polars.DataFrame(columns))
    assert con.sql("SELECT * FROM l").fetchall() == [(1, "a", 0.5), (2, None, 1.5)]


def test_a_large_frame(con):
    pyarrow = pytest.importorskip("pyarrow", reason="pyarrow is not installed: frames are not registered")
    con.register("frame", pyarrow.table({"n": list(range(100_000))}))
    assert con.sql("SELECT sum(n), count(DISTINCT n) FROM frame").fetchone() == (4999950000, 100_000)
    assert con.sql("SELECT n FROM frame ORDER BY n DESC LIMIT 2").fetchall() == [(99_999,), (99_998,)]


def test_what_is_no_frame_is_refused(con):
    pyarrow = pytest.importorskip("pyarrow", reason="pyarrow is not installed: frames are not registered")
    with pytest.raises(TypeError, match="__arrow_c_stream__"):
        con.register("frame", [1, 2])
    with pytest.raises(aiondb.NotSupportedError, match='column "s"'):
        con.register("frame", pyarrow.table({"s": [{"a": 1}]}))
    with pytest.raises(aiondb.ProgrammingError):
        con.register("", pyarrow.table({"n": [1]}))
    twice = pyarrow.Table.from_arrays([pyarrow.array([1]), pyarrow.array([2])], names=["n", "n"])
    with pytest.raises(aiondb.ProgrammingError, match="more than once"):
        con.register("frame", twice)
    far = pyarrow.table({"s": pyarrow.array([2**62], pyarrow.timestamp("s"))})
    with pytest.raises(aiondb.DatabaseError):
        con.register("frame", far)


def test_a_frame_counts_in_the_memory_of_queries():
    pyarrow = pytest.importorskip("pyarrow", reason="pyarrow is not installed: frames are not registered")
    numpy = pytest.importorskip("numpy", reason="numpy is not installed: a large frame is not made")
    with aiondb.connect(config={"memory": "64MB"}) as con:
        frame = pyarrow.table({"n": pyarrow.array(numpy.zeros(3 << 20))})  # 24 MiB of the 32
        con.register("one", frame)
        with pytest.raises(aiondb.OperationalError) as raised:
            con.register("two", frame)
        assert raised.value.sqlstate == "53200"
        con.unregister("one")
        con.register("two", frame)
        assert con.sql("SELECT count(*) FROM two").fetchone() == (3 << 20,)
