"""pgbench: its tables in each of its ways, its scripts in each protocol, and scripts of one's own."""

import shutil
import subprocess

import pytest

pytestmark = pytest.mark.skipif(not shutil.which("pgbench"), reason="pgbench is not there: apt-get install postgresql-contrib")


@pytest.fixture(scope="module")
def pgbench(server):
    def run(*arguments, complaint=None):
        command = ["pgbench", "-h", server.host, "-p", str(server.port), "-U", "aion", *arguments, "aion"]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
        if complaint is None:
            assert done.returncode == 0, done.stderr
            assert "number of failed transactions" not in done.stdout or "failed transactions: 0 " in done.stdout
        else:
            assert done.returncode != 0 and complaint in done.stderr, done.stderr
        return done.stdout

    run("-i", "-q")
    return run


@pytest.mark.parametrize("mode", ["simple", "extended", "prepared"])
@pytest.mark.parametrize("script", ["tpcb-like", "simple-update", "select-only"])
def test_a_script_of_its_own(pgbench, mode, script):
    printed = pgbench("-n", "-b", script, "-M", mode, "-t", "20")
    assert "number of transactions actually processed: 20/20" in printed


def test_many_clients_keep_the_sums(pgbench, connection):
    sums = "SELECT (SELECT sum(abalance) FROM pgbench_accounts), (SELECT sum(tbalance) FROM pgbench_tellers)"
    accounts, tellers = connection.execute(sums).fetchone()
    # More tries than there are clients: the others' changes of the one branch are waited for, or refused and done again.
    pgbench("-n", "-c", "4", "-j", "2", "-t", "10", "-M", "prepared", "--max-tries", "100")
    after = connection.execute(sums).fetchone()
    assert after[0] - accounts == after[1] - tellers


def test_a_script_with_variables(pgbench, connection, tmp_path):
    connection.execute("CREATE TABLE scripted (client integer, n integer, taken integer)")
    script = tmp_path / "script.sql"
    script.write_text(
        # Transactions are serializable: what counts rows meets who adds them, and is done again.
        "\\set aid random(1, 100000 * :scale)\n"
        "\\set double :aid * 2\n"
        "\\if :aid > 0\n"
        "SELECT abalance AS taken FROM pgbench_accounts WHERE aid = :aid \\gset\n"
        "\\endif\n"
        "\\startpipeline\n"
        "INSERT INTO scripted VALUES (:client_id, :double, :taken);\n"
        "SELECT count(*) FROM scripted WHERE n = :double;\n"
        "\\endpipeline\n"
    )
    pgbench("-n", "-f", str(script), "-M", "extended", "-t", "10", "-c", "2", "-D", "unused=1", "--max-tries", "100")
    assert connection.execute("SELECT count(*), min(n) > 0 FROM scripted WHERE n % 2 = 0").fetchone() == (20, True)
    connection.execute("DROP TABLE scripted")


@pytest.mark.parametrize("steps", ["dtgvpf", "dtGvp", "dtgp"])
def test_the_steps_of_initialising(pgbench, connection, steps):
    pgbench("-i", "-q", "-I", steps)
    assert connection.execute("SELECT count(*), sum(abalance) FROM pgbench_accounts").fetchone() == (100_000, 0)
    keys = connection.execute("SELECT count(*) FROM pg_constraint WHERE contype = 'f'").fetchone()
    assert keys == (5 if "f" in steps else 0,)


def test_tables_may_be_unlogged(pgbench):
    pgbench("-i", "-q", "--unlogged-tables")


def test_partitions_are_refused(pgbench):
    pgbench("-i", "-q", "--partitions", "2", complaint="a partitioned table is not there yet")
