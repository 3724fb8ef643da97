"""Signals, threads, forks, kills and the interpreter's end, each in a child process where it may end badly."""

import os
import signal
import threading

import pytest

import aiondb

# Rows by the trillion, none of which comes out. Not a cross join: those compute for minutes between two looks at
# the cancellation.
ENDLESS = "SELECT count(*) FROM generate_series(1, 1000000000000) AS a WHERE a < 0"

# A slow query is running once its connection no longer answers another thread; here one thread runs it, and another says so
# as soon as Python runs again: the GIL is free, so the engine has the statement.
INTERRUPTED = """
import sys, threading, aiondb
con = aiondb.connect()
con.sql("CREATE TABLE t (id bigint PRIMARY KEY); INSERT INTO t VALUES (1)")
main = threading.main_thread()

def say_when_it_waits():
    while True:
        frame = sys._current_frames()[main.ident]
        while frame is not None:
            if frame.f_code.co_name == "run":
                print("running", flush=True)
                return
            frame = frame.f_back

def run():
    return ACTION

threading.Thread(target=say_when_it_waits).start()
try:
    run()
except KeyboardInterrupt:
    print("interrupted", flush=True)
print(con.sql("SELECT id FROM t").fetchall(), flush=True)
con.sql("INSERT INTO t VALUES (2)")
con.close()
"""


@pytest.mark.parametrize(
    "action",
    [
        f"con.sql({ENDLESS!r}).fetchall()",
        f"con.sql({ENDLESS!r}).arrow()",
        f"con.sql({'INSERT INTO t ' + ENDLESS!r})",
        f"con.execute({ENDLESS!r}).fetchone()",
    ],
)
def test_ctrl_c_ends_a_query_and_the_connection_goes_on(child, action):
    program = child(INTERRUPTED.replace("ACTION", action))
    program.expect("running")
    program.process.send_signal(signal.SIGINT)
    program.expect("interrupted")
    program.expect("[(1,)]")
    status, _, errors = program.finish()
    assert (status, errors) == (0, "")


def test_ctrl_c_ends_a_stream_that_somebody_else_reads(child):
    pytest.importorskip("pyarrow", reason="pyarrow is not installed: streams are not tested")
    action = f"__import__('pyarrow').table(con.sql({ENDLESS!r}))"
    program = child(INTERRUPTED.replace("ACTION", action))
    program.expect("running")
    program.process.send_signal(signal.SIGINT)
    program.expect("interrupted")
    program.expect("[(1,)]")
    assert program.finish()[0] == 0


def test_python_runs_while_a_query_does(con):
    outcome = []

    def query():
        try:
            con.sql(ENDLESS).fetchall()
        except aiondb.Error as error:
            outcome.append(error.sqlstate)

    thread = threading.Thread(target=query)
    thread.start()
    # With the GIL held by the query this loop would not run, and nobody would end it.
    for _ in range(100_000):
        pass
    assert thread.is_alive()
    while thread.is_alive():
        con.interrupt()
        thread.join(0.01)
    assert outcome == ["57014"]
    assert con.sql("SELECT 1").fetchone() == (1,)


def test_closing_ends_what_runs():
    con = aiondb.connect(config={"threads": 2})
    started, outcome = threading.Event(), []

    def query():
        started.set()
        try:
            con.sql(ENDLESS).fetchall()
        except aiondb.Error as error:
            outcome.append(type(error))

    thread = threading.Thread(target=query)
    thread.start()
    started.wait()
    con.close()
    thread.join()
    # Cancelled, or closed before it began.
    assert outcome in ([aiondb.OperationalError], [aiondb.InterfaceError])


KILLED = """
import sys, aiondb
con = aiondb.connect(sys.argv[1])
con.sql("CREATE TABLE t (id bigint PRIMARY KEY)")
con.begin()
con.sql("INSERT INTO t VALUES (1)")
con.commit()
con.executemany("INSERT INTO t VALUES ($1)", [[2], [3]])
con.begin()
con.sql("INSERT INTO t VALUES (4)")
print("committed", flush=True)
sys.stdin.readline()
"""


def test_what_was_committed_survives_a_kill(child, tmp_path):
    program = child(KILLED, tmp_path / "data")
    program.expect("committed")
    program.process.kill()
    program.process.wait()
    with aiondb.connect(tmp_path / "data") as con:
        assert con.sql("SELECT id FROM t ORDER BY id").fetchall() == [(1,), (2,), (3,)]


FORKED = """
import os, sys, aiondb
con = aiondb.connect(sys.argv[1])
con.sql("CREATE TABLE t (id bigint PRIMARY KEY); INSERT INTO t VALUES (1)")
result = con.sql("SELECT id FROM t")
child = os.fork()
if child == 0:
    refused = 0
    for use in (lambda: con.sql("SELECT 1"), result.fetchall, con.close, aiondb.connect, con.interrupt):
        try:
            use()
        except aiondb.InterfaceError as error:
            refused += str(os.getppid()) in str(error)
    print("refused", refused, flush=True)
    del con, result
    # As multiprocessing does: RocksDB's destructors at a plain exit do not survive a fork.
    os._exit(0)
_, status = os.waitpid(child, 0)
print("child", os.waitstatus_to_exitcode(status), flush=True)
print(result.fetchall(), con.sql("SELECT count(*) FROM t").fetchall(), flush=True)
con.close()
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_forked_child_is_refused(child, tmp_path):
    program = child(FORKED, tmp_path / "data")
    program.expect("refused 5")
    program.expect("child 0")
    program.expect("[(1,)] [(1,)]")
    assert program.finish()[0] == 0


END = """
import sys, threading, aiondb
con = aiondb.connect(sys.argv[1])
con.sql("CREATE TABLE t (id bigint PRIMARY KEY); INSERT INTO t VALUES (1)")
unread = con.sql("SELECT * FROM generate_series(1, 1000000)")
unread.fetchone()
con.begin()
con.sql("INSERT INTO t VALUES (2)")
other = aiondb.connect()
started = threading.Event()

def endless():
    started.set()
    other.sql(ENDLESS).fetchall()

threading.Thread(target=endless, daemon=True).start()
started.wait()
HOW
"""


@pytest.mark.parametrize("how", ["pass", "sys.exit(0)"])
def test_the_interpreter_ends_with_open_connections(child, tmp_path, how):
    program = child(END.replace("ENDLESS", repr(ENDLESS)).replace("HOW", how), tmp_path / "data")
    status, out, errors = program.finish()
    assert (status, out) == (0, "")
    # The thread's own exception may be reported, depending on when it comes; nothing else is.
    assert "panicked" not in errors and "Fatal" not in errors
    with aiondb.connect(tmp_path / "data") as con:
        assert con.sql("SELECT id FROM t").fetchall() == [(1,)]


def test_a_result_is_read_by_one_thread_at_a_time(con):
    result = con.sql(ENDLESS)
    outcome = []

    def read():
        try:
            result.fetchall()
        except aiondb.Error as error:
            outcome.append(error)

    threads = [threading.Thread(target=read) for _ in range(2)]
    for thread in threads:
        thread.start()
    # The one that came second is told so; the first reads until it is stopped.
    while all(thread.is_alive() for thread in threads):
        threads[0].join(0.01)
    assert [type(error) for error in outcome] == [aiondb.InterfaceError]
    assert "another thread" in str(outcome[0])
    while any(thread.is_alive() for thread in threads):
        con.interrupt()
        threads[0].join(0.01)
        threads[1].join(0.01)
    assert outcome[1].sqlstate == "57014"
