"""Queries in the form that JDBC drivers and database browsers send; and what every tool expects to find."""

import psycopg
import pytest


def test_columns_as_jdbc_asks_for_them(connection, flights):
    rows = connection.execute(
        """
        SELECT * FROM (SELECT current_database() AS current_database, n.nspname, c.relname, a.attname, a.atttypid,
            a.attnotnull OR (t.typtype = 'd' AND t.typnotnull) AS attnotnull, a.atttypmod, a.attlen, t.typtypmod,
            row_number() OVER (PARTITION BY a.attrelid ORDER BY a.attnum) AS attnum,
            nullif(a.attidentity, '') as attidentity, nullif(a.attgenerated, '') as attgenerated,
            pg_catalog.pg_get_expr(def.adbin, def.adrelid) AS adsrc, dsc.description, t.typbasetype, t.typtype
        FROM pg_catalog.pg_namespace n
            JOIN pg_catalog.pg_class c ON (c.relnamespace = n.oid)
            JOIN pg_catalog.pg_attribute a ON (a.attrelid = c.oid)
            JOIN pg_catalog.pg_type t ON (a.atttypid = t.oid)
            LEFT JOIN pg_catalog.pg_attrdef def ON (a.attrelid = def.adrelid AND a.attnum = def.adnum)
            LEFT JOIN pg_catalog.pg_description dsc ON (c.oid = dsc.objoid AND a.attnum = dsc.objsubid)
            LEFT JOIN pg_catalog.pg_class dc ON (dc.oid = dsc.classoid AND dc.relname = 'pg_class')
            LEFT JOIN pg_catalog.pg_namespace dn ON (dc.relnamespace = dn.oid AND dn.nspname = 'pg_catalog')
        WHERE c.relkind in ('r','p','v','f','m') and a.attnum > 0 AND NOT a.attisdropped AND n.nspname LIKE 'public'
            AND c.relname LIKE 'flights') c WHERE true ORDER BY nspname, c.relname, attnum
        """
    ).fetchall()
    assert [(row[3], row[4], row[5], row[9], row[12]) for row in rows] == [
        ("id", 20, True, 1, None),
        ("day", 1082, True, 2, None),
        ("origin", 1043, True, 3, None),
        ("delay", 1700, False, 4, "0"),
        ("note", 25, False, 5, None),
        ("shape", 16400, False, 6, None),
    ]


def test_tables_as_jdbc_asks_for_them(connection, flights):
    rows = connection.execute(
        """
        SELECT current_database() AS TABLE_CAT, n.nspname AS TABLE_SCHEM, c.relname AS TABLE_NAME,
            CASE n.nspname ~ '^pg_' OR n.nspname = 'information_schema'
                WHEN true THEN CASE WHEN n.nspname = 'pg_catalog' OR n.nspname = 'information_schema'
                    THEN CASE c.relkind WHEN 'r' THEN 'SYSTEM TABLE' WHEN 'v' THEN 'SYSTEM VIEW' ELSE NULL END
                    ELSE NULL END
                WHEN false THEN CASE c.relkind WHEN 'r' THEN 'TABLE' WHEN 'i' THEN 'INDEX' ELSE NULL END
                ELSE NULL END AS TABLE_TYPE, d.description AS REMARKS
        FROM pg_catalog.pg_namespace n, pg_catalog.pg_class c
            LEFT JOIN pg_catalog.pg_description d ON
                (c.oid = d.objoid AND d.objsubid = 0 and d.classoid = 'pg_class'::regclass)
        WHERE c.relnamespace = n.oid AND c.relname LIKE 'flights%' ORDER BY TABLE_TYPE, TABLE_SCHEM, TABLE_NAME
        """
    ).fetchall()
    assert [row[1:4] for row in rows] == [
        ("public", "flights_key", "INDEX"),
        ("public", "flights_origin", "INDEX"),
        ("public", "flights_shape", "INDEX"),
        ("public", "flights", "TABLE"),
    ]


def test_the_standards_views(connection, flights):
    rows = connection.execute(
        "SELECT column_name, ordinal_position, is_nullable, data_type, numeric_precision, udt_name"
        " FROM information_schema.columns WHERE table_name = 'flights' ORDER BY ordinal_position"
    ).fetchall()
    assert rows == [
        ("id", 1, "NO", "bigint", 64, "int8"),
        ("day", 2, "NO", "date", None, "date"),
        ("origin", 3, "NO", "character varying", None, "varchar"),
        ("delay", 4, "YES", "numeric", 6, "numeric"),
        ("note", 5, "YES", "text", None, "text"),
        ("shape", 6, "YES", "USER-DEFINED", None, "vector"),
    ]
    keys = connection.execute(
        "SELECT k.column_name FROM information_schema.table_constraints t JOIN information_schema.key_column_usage k"
        " USING (constraint_schema, constraint_name) WHERE t.constraint_type = 'PRIMARY KEY' AND t.table_name = 'flights'"
        " ORDER BY k.ordinal_position"
    ).fetchall()
    assert keys == [("id",), ("day",)]


def test_every_system_table_can_be_read(connection, flights):
    names = connection.execute(
        "SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
        " WHERE n.nspname IN ('pg_catalog', 'information_schema') AND c.relkind IN ('r', 'v')"
    ).fetchall()
    assert len(names) > 60
    for schema, name in names:
        connection.execute(f"SELECT * FROM {schema}.{name}").fetchall()


def test_a_transaction_sees_its_own_definitions(server):
    with server.connect() as one, server.connect(autocommit=True) as other:
        one.execute("CREATE TABLE unseen (id integer PRIMARY KEY)")
        count = "SELECT count(*) FROM pg_class WHERE relname = 'unseen'"
        assert one.execute(count).fetchone() == (1,)
        assert other.execute(count).fetchone() == (0,)
        one.rollback()
        assert one.execute(count).fetchone() == (0,)


def test_system_tables_are_not_written(connection):
    for statement in (
        "INSERT INTO pg_class VALUES (1)",
        "UPDATE pg_catalog.pg_type SET typname = 'x'",
        "DELETE FROM information_schema.tables",
        "DROP TABLE pg_class",
    ):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute(statement)


def test_views_and_graphs_are_shown_with_the_columns_they_have(connection, flights, server):
    connection.execute("CREATE VIEW late AS SELECT id AS flight, delay, shape FROM flights WHERE delay > 15")
    connection.execute("CREATE VIEW described AS SELECT attname FROM pg_attribute")
    connection.execute("CREATE PROPERTY GRAPH air VERTEX TABLES (flights KEY (id, day))")
    try:
        kinds = connection.execute(
            "SELECT relname, relkind FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
            " WHERE nspname = 'public' AND relkind IN ('v', 'g') ORDER BY relname"
        ).fetchall()
        assert kinds == [("air", "g"), ("described", "v"), ("late", "v")]
        columns = connection.execute(
            "SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute"
            " WHERE attrelid = 'late'::regclass ORDER BY attnum"
        ).fetchall()
        assert columns == [("flight", "bigint"), ("delay", "numeric(6,1)"), ("shape", "vector(2)")]
        names = connection.execute(
            "SELECT column_name FROM information_schema.columns WHERE table_name = 'late' ORDER BY ordinal_position"
        ).fetchall()
        assert names == [("flight",), ("delay",), ("shape",)]
        assert connection.execute("SELECT count(*) > 100 FROM described").fetchone() == (True,)
        definition = connection.execute("SELECT pg_get_viewdef('late'::regclass)").fetchone()[0]
        assert definition.startswith("SELECT id AS flight, delay, shape FROM flights")
        assert 'View "public.late"' in server.psql("-c", r"\d late")
    finally:
        connection.execute("DROP VIEW late")
        connection.execute("DROP VIEW described")
        connection.execute("DROP PROPERTY GRAPH air")
