"""SQLAlchemy 2 over psycopg, and pandas over both."""

import datetime
import decimal

import pandas
import pytest
import sqlalchemy as sa


# It knows no vectors, and says so.
pytestmark = pytest.mark.filterwarnings("ignore:Did not recognize type 'vector'")


@pytest.fixture
def engine(server):
    engine = sa.create_engine(server.url)
    yield engine
    engine.dispose()


def test_core_writes_and_reads(engine):
    metadata = sa.MetaData()
    planes = sa.Table(
        "planes",
        metadata,
        sa.Column("tail", sa.Text, primary_key=True),
        sa.Column("seats", sa.Integer, nullable=False),
        sa.Column("built", sa.Date),
    )
    metadata.create_all(engine)
    # There already, and seen to be.
    metadata.create_all(engine)
    try:
        with engine.begin() as connection:
            connection.execute(
                planes.insert(),
                [
                    {"tail": "N1", "seats": 120, "built": datetime.date(1999, 1, 1)},
                    {"tail": "N2", "seats": 80, "built": None},
                ],
            )
        with engine.connect() as connection:
            query = sa.select(planes.c.tail).where(planes.c.seats > 100)
            assert connection.execute(query).scalars().all() == ["N1"]
            count = connection.execute(sa.select(sa.func.count()).select_from(planes)).scalar_one()
            assert count == 2
    finally:
        metadata.drop_all(engine)
    assert not sa.inspect(engine).has_table("planes")


def test_a_table_is_inspected(engine, flights):
    inspector = sa.inspect(engine)
    assert inspector.get_table_names() == ["flights"]
    assert inspector.has_table("flights") and not inspector.has_table("no_such")
    assert "public" in inspector.get_schema_names()
    assert inspector.default_schema_name == "public"
    columns = {column["name"]: column for column in inspector.get_columns("flights") if column["name"] != "shape"}
    assert list(columns) == ["id", "day", "origin", "delay", "note"]
    assert isinstance(columns["id"]["type"], sa.BIGINT)
    assert not columns["id"]["nullable"] and columns["note"]["nullable"]
    assert columns["origin"]["type"].length == 3
    delay = columns["delay"]
    assert (delay["type"].precision, delay["type"].scale, delay["default"]) == (6, 1, "0")
    key = inspector.get_pk_constraint("flights")
    assert (key["name"], key["constrained_columns"]) == ("flights_key", ["id", "day"])
    indexes = {index["name"]: index for index in inspector.get_indexes("flights")}
    assert sorted(indexes) == ["flights_origin", "flights_shape"]
    assert indexes["flights_origin"]["column_names"] == ["origin", "delay"]
    assert indexes["flights_origin"]["column_sorting"] == {"delay": ("desc",)}
    assert not indexes["flights_origin"]["unique"]
    assert inspector.get_foreign_keys("flights") == []
    assert inspector.get_unique_constraints("flights") == []
    assert inspector.get_check_constraints("flights") == []
    assert inspector.get_view_names() == []


def test_constraints_identities_and_comments_are_inspected(engine):
    with engine.begin() as connection:
        for statement in (
            "CREATE TABLE parts (id serial PRIMARY KEY, n bigint GENERATED ALWAYS AS IDENTITY (START WITH 10),"
            " name varchar(10) UNIQUE, price numeric(10,2) CHECK (price > 0))",
            "COMMENT ON TABLE parts IS 'a table'",
            "COMMENT ON COLUMN parts.name IS 'a name'",
        ):
            connection.execute(sa.text(statement))
    try:
        inspector = sa.inspect(engine)
        columns = {column["name"]: column for column in inspector.get_columns("parts")}
        assert columns["id"]["default"] == "nextval('parts_id_seq'::regclass)"
        assert columns["id"]["autoincrement"] is True
        assert columns["name"]["comment"] == "a name"
        identity = columns["n"]["identity"]
        assert (identity["always"], identity["start"], identity["increment"]) == (True, 10, 1)
        assert inspector.get_table_comment("parts") == {"text": "a table"}
        checks = inspector.get_check_constraints("parts")
        assert [(check["name"], check["sqltext"]) for check in checks] == [("parts_price_check", "price > 0::numeric")]
        unique = inspector.get_unique_constraints("parts")
        assert [(one["name"], one["column_names"]) for one in unique] == [("parts_name_key", ["name"])]
        assert inspector.get_sequence_names() == ["parts_id_seq", "parts_n_seq"]
    finally:
        with engine.begin() as connection:
            connection.execute(sa.text("DROP TABLE parts"))


def test_a_table_is_loaded_by_its_name(engine, flights):
    table = sa.Table("flights", sa.MetaData(), autoload_with=engine)
    assert [column.name for column in table.primary_key] == ["id", "day"]
    with engine.connect() as connection:
        row = connection.execute(sa.select(table.c.origin, table.c.delay)).one()
    assert row == ("EWR", decimal.Decimal("2.5"))


def test_pandas_reads(engine, flights):
    frame = pandas.read_sql("SELECT id, origin, day FROM flights", engine)
    assert frame.to_dict("records") == [{"id": 1, "origin": "EWR", "day": datetime.date(2013, 1, 1)}]
    frame = pandas.read_sql(sa.text("SELECT id FROM flights WHERE origin = :origin"), engine, params={"origin": "JFK"})
    assert frame.empty


def test_pandas_writes_and_reads_a_table(engine):
    frame = pandas.DataFrame({"n": [1, 2], "s": ["a", None]})
    frame.to_sql("framed", engine, index=False)
    try:
        assert pandas.read_sql_table("framed", engine)["n"].tolist() == [1, 2]
    finally:
        with engine.begin() as connection:
            connection.execute(sa.text("DROP TABLE framed"))
