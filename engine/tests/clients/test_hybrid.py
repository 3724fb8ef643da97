"""Rows, graph and vectors in one statement, by each edge of the server: the same rows as a brute force in this process."""

import json
import random
import urllib.request

import adbc_driver_flightsql.dbapi as flightsql
import pytest

DIMENSIONS = 4
# The demo's hybrid query, over smaller tables.
HYBRID = """
SELECT v.id, a.name, p.maker, v.shape <-> $2 AS distance
FROM visits v JOIN airports a ON a.code = v.dest JOIN planes p USING (tail)
WHERE v.dest IN (SELECT g.code FROM GRAPH_TABLE (routes
         MATCH (x IS airport WHERE x.code = $1)<-[IS flew]-(t IS plane)-[IS flew]->(y IS airport)
         COLUMNS (y.code AS code)) AS g)
  AND p.maker = $3 AND v.shape IS NOT NULL
ORDER BY v.shape <-> $2, v.id LIMIT 10
"""


class World:
    """The data, and the answer computed without the database."""

    def __init__(self):
        draw = random.Random(7)
        self.airports = [f"A{i}" for i in range(12)]
        self.planes = {f"N{i}": draw.choice(["BOEING", "AIRBUS"]) for i in range(30)}
        # Tails fly among four airports each, so that not everything reaches everything.
        homes = {tail: draw.sample(self.airports, 4) for tail in self.planes}
        self.visits = []
        for id in range(2000):
            tail = draw.choice(list(self.planes))
            shape = [draw.randrange(64) / 8 for _ in range(DIMENSIONS)] if id % 17 else None
            self.visits.append((id, tail, draw.choice(homes[tail]), shape))

    def answer(self, airport, query, maker):
        tails = {tail for _, tail, dest, _ in self.visits if dest == airport}
        reached = {dest for _, tail, dest, _ in self.visits if tail in tails}
        found = [
            (sum((a - b) ** 2 for a, b in zip(shape, query)) ** 0.5, id, dest, self.planes[tail])
            for id, tail, dest, shape in self.visits
            if shape and dest in reached and self.planes[tail] == maker
        ]
        return [(id, f"Airport {dest}", maker, distance) for distance, id, dest, maker in sorted(found)[:10]]


@pytest.fixture(scope="module")
def world(server):
    world = World()
    with server.connect(autocommit=True) as connection:
        connection.execute("CREATE TABLE airports (code text PRIMARY KEY, name text NOT NULL)")
        connection.execute("CREATE TABLE planes (tail text PRIMARY KEY, maker text NOT NULL)")
        connection.execute(
            f"CREATE TABLE visits (id integer PRIMARY KEY, tail text, dest text, shape vector({DIMENSIONS}))"
        )
        with connection.cursor() as cursor:
            cursor.executemany(
                "INSERT INTO airports VALUES (%s, %s)", [(code, f"Airport {code}") for code in world.airports]
            )
            cursor.executemany("INSERT INTO planes VALUES (%s, %s)", list(world.planes.items()))
            with cursor.copy("COPY visits FROM STDIN") as copy:
                for id, tail, dest, shape in world.visits:
                    copy.write_row((id, tail, dest, json.dumps(shape) if shape else None))
        connection.execute(
            "CREATE PROPERTY GRAPH routes VERTEX TABLES (airports KEY (code) LABEL airport, planes KEY (tail) LABEL plane)"
            " EDGE TABLES (visits KEY (id) SOURCE KEY (tail) REFERENCES planes (tail)"
            " DESTINATION KEY (dest) REFERENCES airports (code) LABEL flew)"
        )
        connection.execute("CREATE INDEX visits_shape ON visits USING hnsw (shape vector_l2_ops)")
        connection.execute("CREATE INDEX visits_dest ON visits (dest, tail)")
        connection.execute("ANALYZE")
    return world


def by_psycopg(server, parameters):
    text = HYBRID.replace("$1", "%(airport)s").replace("$2", "%(shape)s").replace("$3", "%(maker)s")
    names = dict(zip(("airport", "shape", "maker"), parameters))
    with server.connect(autocommit=True) as connection:
        return connection.execute(text, names, prepare=True).fetchall()


def by_adbc(server, parameters):
    airport, shape, maker = parameters
    with flightsql.connect(f"grpc://127.0.0.1:{server.flight_port}", autocommit=True) as connection:
        with connection.cursor() as cursor:
            cursor.execute(HYBRID, (airport, json.loads(shape), maker))
            return cursor.fetchall()


def by_http(server, parameters):
    body = json.dumps({"sql": HYBRID, "params": list(parameters)}).encode()
    request = urllib.request.Request(
        f"http://127.0.0.1:{server.http_port}/v1/sql", body, {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request) as answer:
        return [tuple(row) for row in json.load(answer)["rows"]]


@pytest.mark.parametrize("ask", [by_psycopg, by_adbc, by_http], ids=["pgwire", "flight", "http"])
def test_the_hybrid_query_is_a_brute_force_by_every_edge(server, world, ask):
    draw = random.Random(11)
    for _ in range(5):
        query = [draw.randrange(64) / 8 for _ in range(DIMENSIONS)]
        airport, maker = draw.choice(world.airports), draw.choice(["BOEING", "AIRBUS"])
        wanted = world.answer(airport, query, maker)
        found = ask(server, (airport, json.dumps(query), maker))
        assert [row[:3] for row in found] == [row[:3] for row in wanted]
        assert [row[3] for row in found] == pytest.approx([row[3] for row in wanted], rel=1e-9)


def test_parameters_within_a_pattern_are_described(server, world):
    with server.connect(autocommit=True) as connection:
        pg = connection.pgconn
        result = pg.prepare(b"hybrid", HYBRID.encode())
        assert result.error_message == b""
        described = pg.describe_prepared(b"hybrid")
        # text, vector (which has no number of PostgreSQL's own), text
        kinds = [described.param_type(at) for at in range(described.nparams)]
        assert (kinds[0], kinds[2], len(kinds)) == (25, 25, 3)
        assert [described.fname(at) for at in range(described.nfields)] == [b"id", b"name", b"maker", b"distance"]


def explain(connection, sql, *options):
    rows = connection.execute(f"EXPLAIN ({', '.join(('FORMAT JSON', *options))}) {sql}").fetchall()
    # One row, one value, of type json: psycopg has read it already.
    [[document]] = rows
    [plan] = document
    return plan["Plan"]


def nodes(plan):
    yield plan
    for child in plan.get("Plans", []):
        yield from nodes(child)


def test_explain_as_json_has_postgresqls_keys(server, world):
    with server.connect(autocommit=True) as connection:
        sql = "SELECT p.maker, count(*) FROM visits v JOIN planes p USING (tail) WHERE v.dest = 'A1' GROUP BY p.maker"
        plan = explain(connection, sql, "ANALYZE")
        kinds = [node["Node Type"] for node in nodes(plan)]
        assert "Hash Join" in kinds and "Aggregate" in kinds
        expected = sum(1 for visit in world.visits if visit[2] == "A1")
        [scan] = [node for node in nodes(plan) if node.get("Relation Name") == "visits"]
        assert scan["Node Type"] in ("Index Scan", "Index Only Scan") and scan["Index Name"] == "visits_dest"
        assert scan["Actual Rows"] == expected
        # ANALYZE counted them: the estimate is near.
        assert expected / 2 <= scan["Plan Rows"] <= expected * 2


def test_estimates_come_from_analyze_and_choose_the_index(connection):
    connection.execute("CREATE TABLE skewed (id integer PRIMARY KEY, kind integer NOT NULL, note text)")
    # Kind 1 is almost all; each other kind is one row.
    connection.execute(
        "INSERT INTO skewed SELECT i, CASE WHEN i < 3000 THEN 1 ELSE i END, 'x' FROM generate_series(1, 4000) AS s(i)"
    )
    connection.execute("CREATE INDEX skewed_kind ON skewed (kind)")
    connection.execute("ANALYZE skewed")
    rare = explain(connection, "SELECT note FROM skewed WHERE kind = 3500")
    common = explain(connection, "SELECT note FROM skewed WHERE kind = 1")
    assert (rare["Node Type"], rare.get("Index Name")) == ("Index Scan", "skewed_kind")
    assert rare["Plan Rows"] <= 10
    assert common["Node Type"] == "Seq Scan"
    assert 1500 <= common["Plan Rows"] <= 4000
    connection.execute("DELETE FROM skewed WHERE kind = 1")
    connection.execute("ANALYZE skewed")
    fewer = explain(connection, "SELECT note FROM skewed WHERE kind = 1")
    assert fewer["Plan Rows"] < common["Plan Rows"] / 10
    connection.execute("DROP TABLE skewed")
