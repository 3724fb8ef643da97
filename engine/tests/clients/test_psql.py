"""psql's own commands, which ask the system catalogs."""


def test_tables_are_listed(server, flights):
    assert server.psql("-At", "-c", r"\dt") == "public|flights|table|aion\n"
    listed = server.psql("-At", "-c", r"\d").splitlines()
    assert listed == ["public|flights|table|aion"]
    missing = 'Did not find any relation named "no_such*".'
    assert server.psql("-At", "-c", r"\dt no_such*", complaint=missing) == ""


def test_a_table_is_described(server, flights):
    lines = server.psql("-c", r"\d flights").splitlines()
    assert lines[0].strip() == 'Table "public.flights"'
    columns = [[cell.strip() for cell in line.split("|")] for line in lines[3:9]]
    assert columns == [
        ["id", "bigint", "", "not null", ""],
        ["day", "date", "", "not null", ""],
        ["origin", "character varying(3)", "", "not null", ""],
        ["delay", "numeric(6,1)", "", "", "0"],
        ["note", "text", "", "", ""],
        ["shape", "vector(2)", "", "", ""],
    ]
    assert lines[9:] == [
        "Indexes:",
        '    "flights_key" PRIMARY KEY, btree (id, day)',
        '    "flights_origin" btree (origin, delay DESC)',
        "    \"flights_shape\" hnsw (shape vector_cosine_ops) WITH (m='16', ef_construction='64')",
        "",
    ]


def test_verbose_forms_pass(server, flights):
    # `dt+`, `di+` and `l+` ask for pg_size_pretty, which is not there yet.
    for command in (r"\d+ flights", r"\dn+", r"\d pg_catalog.pg_class", r"\dS pg_type"):
        assert server.psql("-c", command)


def test_indexes_schemas_databases_functions_and_roles(server, flights):
    indexes = server.psql("-At", "-c", r"\di").splitlines()
    assert indexes == [
        "public|flights_key|index|aion|flights",
        "public|flights_origin|index|aion|flights",
        "public|flights_shape|index|aion|flights",
    ]
    assert "public|aion" in server.psql("-At", "-c", r"\dn").splitlines()
    assert server.psql("-At", "-c", r"\l").startswith("aion|aion|UTF8|")
    assert server.psql("-At", "-c", r"\df") == ""
    assert server.psql("-At", "-c", r"\df aion.*").startswith("aion|forget|")
    assert server.psql("-At", "-c", r"\du").startswith("aion|Superuser")
    assert "vector|0.8.0|public|" in server.psql("-At", "-c", r"\dx").splitlines()


def test_a_query_is_described_without_running(server, flights):
    described = server.psql("-At", text=r"SELECT id, delay, shape, 'x' AS t, count(*) FROM flights GROUP BY 1, 2, 3 \gdesc")
    assert described.splitlines() == [
        "id|bigint",
        "delay|numeric(6,1)",
        "shape|vector(2)",
        "t|text",
        "count|bigint",
    ]


def test_a_schema_of_ones_own_is_seen(server):
    server.psql("-c", "CREATE SCHEMA planes", "-c", "CREATE TABLE planes.model (name text)")
    assert server.psql("-At", "-c", r"\dt planes.*") == "planes|model|table|aion\n"
    missing = 'Did not find any relation named "model".'
    assert server.psql("-At", "-c", r"\dt model", complaint=missing) == ""
    path = ["-At", "-c", "SET search_path = planes", "-c", "SELECT current_schema, 'model'::regclass"]
    assert server.psql(*path).splitlines() == ["SET", "planes|model"]
    server.psql("-c", "DROP TABLE planes.model")
