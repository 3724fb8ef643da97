"""A server for the client tests: the program at AION_PROGRAM, on a port of its own, over an empty directory.

Each test gets a schema's worth of fresh tables by dropping what it made; the server is started once for each module.
"""

import os
import pathlib
import re
import subprocess

import psycopg
import pytest


# What the server prints when it is ready to be reached.
PATTERNS = {
    "pg_port": re.compile(r"psql -h 127\.0\.0\.1 -p (\d+) "),
    "flight_port": re.compile(r"grpc://127\.0\.0\.1:(\d+)"),
    "http_port": re.compile(r"curl http://127\.0\.0\.1:(\d+)/"),
}


class Server:
    """`aion serve` as a process, and how to reach it."""

    def __init__(self, process, pg_port, flight_port, http_port):
        self.process = process
        self.pg_port = self.port = pg_port
        self.flight_port = flight_port
        self.http_port = http_port
        self.host = "127.0.0.1"

    @property
    def url(self):
        return f"postgresql+psycopg://aion@{self.host}:{self.port}/aion"

    def connect(self, **options):
        return psycopg.connect(host=self.host, port=self.port, user="aion", dbname="aion", **options)

    def psql(self, *arguments, text="", complaint=""):
        """Runs psql; gives what it printed. Fails where psql complains of anything else than it is expected to."""
        command = ["psql", "-X", "-h", self.host, "-p", str(self.port), "-U", "aion", *arguments, "aion"]
        done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr.strip()) == (0, complaint), done.stderr
        return done.stdout


def program():
    path = os.environ.get("AION_PROGRAM")
    if not path:
        pytest.exit("AION_PROGRAM is not set: it names the program to test; `make test` sets it", returncode=2)
    if not pathlib.Path(path).is_file():
        pytest.exit(f"AION_PROGRAM is {path}, and no file is there: build it, or run `make test`", returncode=2)
    return path


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    data = tmp_path_factory.mktemp("data")
    command = [program(), "serve", "--data", str(data / "db")]
    for edge in ("--pg", "--flight", "--http"):
        command += [edge, "127.0.0.1:0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        ports = {}
        for line in process.stdout:
            for name, pattern in PATTERNS.items():
                if found := pattern.search(line):
                    ports[name] = int(found.group(1))
            if line.startswith("Ready"):
                break
        assert len(ports) == len(PATTERNS), f"the server ended before it was ready: {ports}"
        yield Server(process, **ports)
    finally:
        process.terminate()
        process.wait(timeout=60)
        process.stdout.close()


@pytest.fixture
def connection(server):
    with server.connect(autocommit=True) as connection:
        yield connection


@pytest.fixture
def flights(server):
    """A table with a key of two columns, a default, and an index of each kind."""
    with server.connect(autocommit=True) as connection:
        connection.execute(
            "CREATE TABLE flights (id bigint, day date, origin varchar(3) NOT NULL, delay numeric(6,1) DEFAULT 0,"
            " note text, shape vector(2), CONSTRAINT flights_key PRIMARY KEY (id, day))"
        )
        connection.execute("CREATE INDEX flights_origin ON flights (origin, delay DESC)")
        connection.execute("CREATE INDEX flights_shape ON flights USING hnsw (shape vector_cosine_ops)")
        connection.execute("INSERT INTO flights VALUES (1, '2013-01-01', 'EWR', 2.5, 'first', '[1,2]')")
        yield "flights"
        connection.execute("DROP TABLE flights")
