"""Opening, sharing, closing, transactions, read only, configuration."""

import gc
import subprocess
import sys
import threading

import pytest

import aiondb


def test_a_database_is_kept_on_disk(tmp_path):
    path = tmp_path / "data"
    with aiondb.connect(path) as con:
        con.sql("CREATE TABLE t (id bigint PRIMARY KEY)")
        con.sql("INSERT INTO t VALUES (1)")
    with aiondb.connect(str(path)) as con:
        assert con.sql("SELECT id FROM t").fetchall() == [(1,)]


def test_each_database_in_memory_is_its_own():
    with aiondb.connect() as one, aiondb.connect(":memory:") as two:
        one.sql("CREATE TABLE t (id bigint)")
        with pytest.raises(aiondb.ProgrammingError) as raised:
            two.sql("SELECT * FROM t")
        assert raised.value.sqlstate == "42P01"


def test_connections_of_one_process_share_a_directory(tmp_path):
    one, two = aiondb.connect(tmp_path / "data"), aiondb.connect(tmp_path / "x" / ".." / "data")
    one.sql("CREATE TABLE t (id bigint PRIMARY KEY)")
    one.begin()
    one.sql("INSERT INTO t VALUES (1)")
    assert two.sql("SELECT count(*) FROM t").fetchone() == (0,)
    one.commit()
    assert two.sql("SELECT count(*) FROM t").fetchone() == (1,)
    one.close()
    assert two.sql("SELECT count(*) FROM t").fetchone() == (1,)
    two.close()
    aiondb.connect(tmp_path / "data").close()


def test_a_shared_directory_has_one_config(tmp_path):
    with aiondb.connect(tmp_path / "data", config={"memory": "256MB"}):
        aiondb.connect(tmp_path / "data").close()
        aiondb.connect(tmp_path / "data", config={"memory": 256 << 20}).close()
        with pytest.raises(aiondb.OperationalError, match="another config"):
            aiondb.connect(tmp_path / "data", config={"memory": "512MB"})


@pytest.mark.parametrize(
    ("config", "error", "words"),
    [
        ({"memori": "2GB"}, aiondb.ProgrammingError, ["memori", "ai_mode, copy_dir, memory, threads"]),
        ({"memory": "two"}, aiondb.DataError, ["two", "2GB"]),
        ({"memory": "1MB"}, aiondb.DataError, ["64MB"]),
        ({"memory": "99999999999TB"}, aiondb.DataError, ["99999999999TB"]),
        ({"threads": 0}, aiondb.DataError, ["1 to 1024"]),
        ({"ai_mode": "on"}, aiondb.DataError, ["\"on\"", "off, shadow, advise and auto"]),
        ({"copy_dir": "/does/not/exist"}, aiondb.OperationalError, ["/does/not/exist"]),
    ],
)
def test_a_wrong_config_says_what_is_right(config, error, words):
    with pytest.raises(error) as raised:
        aiondb.connect(config=config)
    assert all(word in str(raised.value) for word in words), str(raised.value)


def test_copy_stays_below_its_directory(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "rows.csv").write_text("1\n2\n")
    (tmp_path / "outside.csv").write_text("3\n")
    with aiondb.connect(config={"copy_dir": tmp_path / "in"}) as con:
        con.sql("CREATE TABLE t (id bigint)")
        assert con.sql(f"COPY t FROM '{tmp_path}/in/rows.csv' WITH (FORMAT csv)").rowcount == 2
        with pytest.raises(aiondb.Error) as raised:
            con.sql(f"COPY t FROM '{tmp_path}/outside.csv' WITH (FORMAT csv)")
        assert raised.value.sqlstate == "42501"


def test_read_only_refuses_writes_and_makes_nothing(tmp_path):
    with pytest.raises(aiondb.OperationalError, match="there is no database"):
        aiondb.connect(tmp_path / "data", read_only=True)
    assert not (tmp_path / "data").exists()
    with aiondb.connect(tmp_path / "data") as con:
        con.sql("CREATE TABLE t (id bigint PRIMARY KEY); INSERT INTO t VALUES (1)")
    with aiondb.connect(tmp_path / "data", read_only=True) as con:
        assert con.read_only
        assert con.sql("SELECT * FROM t").fetchall() == [(1,)]
        for statement in [
            "INSERT INTO t VALUES (2)",
            "UPDATE t SET id = 2",
            "DELETE FROM t",
            "CREATE TABLE u (id bigint)",
            "DROP TABLE t",
            "COPY t FROM '/rows.csv'",
        ]:
            with pytest.raises(aiondb.ProgrammingError) as raised:
                con.sql(statement)
            assert raised.value.sqlstate == "25006", statement
        con.begin()
        assert con.sql("SELECT count(*) FROM t").fetchone() == (1,)
        con.commit()


HOLD = """
import sys, aiondb
con = aiondb.connect(sys.argv[1])
print("open", flush=True)
sys.stdin.readline()
con.close()
print("closed", flush=True)
sys.stdin.readline()
"""


def test_a_directory_that_another_process_holds(tmp_path, child):
    holder = child(HOLD, tmp_path / "data")
    holder.expect("open")
    with pytest.raises(aiondb.OperationalError) as raised:
        aiondb.connect(tmp_path / "data")
    assert raised.value.sqlstate == "55006"
    assert f"process {holder.process.pid}" in str(raised.value)
    assert "aion serve" in raised.value.hint
    holder.process.stdin.write("\n")
    holder.process.stdin.flush()
    holder.expect("closed")
    # It still runs, and yet the directory is free.
    aiondb.connect(tmp_path / "data").close()


def test_what_is_closed_is_of_no_use(tmp_path):
    con = aiondb.connect(tmp_path / "data")
    cursor = con.cursor()
    result = con.sql("SELECT 1")
    con.close()
    con.close()
    assert con.closed
    for use in [
        lambda: con.sql("SELECT 1"),
        lambda: con.cursor(),
        lambda: con.commit(),
        lambda: con.interrupt(),
        lambda: con.unregister("x"),
        lambda: cursor.execute("SELECT 1"),
        lambda: result.fetchall(),
        lambda: result.arrow(),
        lambda: con.in_transaction,
    ]:
        with pytest.raises(aiondb.InterfaceError, match="closed"):
            use()


def test_a_connection_that_nobody_closes_is_closed_when_it_goes(tmp_path):
    con = aiondb.connect(tmp_path / "data")
    result = con.sql("SELECT * FROM generate_series(1, 100000)")
    result.fetchone()
    del con, result
    gc.collect()
    subprocess.run(
        [sys.executable, "-c", f"import aiondb; aiondb.connect({str(tmp_path / 'data')!r}).close()"],
        check=True,
        timeout=60,
    )


def test_an_unread_result_does_not_keep_the_directory(tmp_path):
    # A result has a snapshot, and tasks that fill its buffers: closing waits for them, or the next open finds RocksDB's lock.
    for _ in range(5):
        con = aiondb.connect(tmp_path / "data")
        con.sql("CREATE TABLE IF NOT EXISTS t (id bigint)")
        kept = con.sql("SELECT a.a FROM generate_series(1, 1000) a, generate_series(1, 1000) b, t")
        unread = con.sql("SELECT * FROM t")
        con.close()
        with pytest.raises(aiondb.InterfaceError):
            unread.fetchall()
        del kept


def test_transactions(con):
    con.sql("CREATE TABLE t (id bigint PRIMARY KEY)")
    assert not con.in_transaction
    con.begin()
    assert con.in_transaction
    con.sql("INSERT INTO t VALUES (1)")
    con.rollback()
    assert con.sql("SELECT count(*) FROM t").fetchone() == (0,)
    con.begin()
    with pytest.raises(aiondb.ProgrammingError) as raised:
        con.begin()
    assert raised.value.sqlstate == "25001"
    con.sql("INSERT INTO t VALUES (2)")
    con.commit()
    con.commit()
    con.rollback()
    assert con.sql("SELECT id FROM t").fetchall() == [(2,)]


def test_a_failed_transaction_is_not_committed_in_silence(con):
    con.sql("CREATE TABLE t (id bigint PRIMARY KEY)")
    con.begin()
    con.sql("INSERT INTO t VALUES (1)")
    with pytest.raises(aiondb.IntegrityError):
        con.sql("INSERT INTO t VALUES (1)")
    with pytest.raises(aiondb.ProgrammingError) as raised:
        con.sql("SELECT 1")
    assert raised.value.sqlstate == "25P02"
    with pytest.raises(aiondb.ProgrammingError) as raised:
        con.commit()
    assert raised.value.sqlstate == "25P02"
    assert not con.in_transaction
    assert con.sql("SELECT count(*) FROM t").fetchone() == (0,)


def test_without_autocommit_the_first_statement_begins(con):
    con.sql("CREATE TABLE t (id bigint PRIMARY KEY)")
    con.autocommit = False
    con.execute("INSERT INTO t VALUES ($1)", [1])
    assert con.in_transaction
    con.rollback()
    con.executemany("INSERT INTO t VALUES ($1)", [[1], [2]])
    con.commit()
    assert con.sql("SELECT count(*) FROM t").fetchone() == (2,)
    con.rollback()


def test_with_commits_or_rolls_back(tmp_path):
    with aiondb.connect(tmp_path / "data") as con:
        con.sql("CREATE TABLE t (id bigint PRIMARY KEY)")
        con.begin()
        con.sql("INSERT INTO t VALUES (1)")
    with pytest.raises(ZeroDivisionError), aiondb.connect(tmp_path / "data") as con:
        con.begin()
        con.sql("INSERT INTO t VALUES (2)")
        1 / 0
    with aiondb.connect(tmp_path / "data") as con:
        assert con.sql("SELECT id FROM t").fetchall() == [(1,)]


def test_threads_share_a_connection(con):
    con.sql("CREATE TABLE t (id bigint PRIMARY KEY)")
    failures = []

    def insert(first):
        try:
            for number in range(first, first + 20):
                con.sql("INSERT INTO t VALUES ($1)", [number])
        except Exception as failure:
            failures.append(failure)

    threads = [threading.Thread(target=insert, args=(first,)) for first in (0, 100, 200, 300)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert con.sql("SELECT count(*) FROM t").fetchone() == (80,)


def test_notices(con):
    con.sql("CREATE TABLE t (id bigint)")
    con.sql("CREATE TABLE IF NOT EXISTS t (id bigint)")
    assert any("already exists" in notice for notice in con.notices())
    assert con.notices() == []


def test_the_extension_and_the_package_agree():
    assert aiondb.__version__
    assert aiondb.apilevel == "2.0"
    assert aiondb.threadsafety == 2
