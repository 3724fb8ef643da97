"""A server for the client tests: the program at AION_PROGRAM, on a port of its own, over an empty directory.

Each test gets a schema's worth of fresh tables by dropping what it made; the server is started once for each module.
"""

import pytest
from serving import NoProgram, serving

# Suites of others, which `deploy/test-clients.sh --whole` runs.
collect_ignore = ["suites"]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    try:
        with serving(tmp_path_factory.mktemp("data") / "db") as running:
            yield running
    except NoProgram as missing:
        pytest.exit(str(missing), returncode=2)


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
