"""`$name` in the text, and errors with their places."""

import pickle

import pytest

import aiondb


@pytest.mark.parametrize(
    ("query", "params", "row"),
    [
        ("SELECT $a::bigint + $b::bigint + $a::bigint", {"a": 1, "b": 20}, (22,)),
        ("SELECT '$a', $a::text", {"a": "x"}, ("$a", "x")),
        ("SELECT 'it''s $a' || $a::text", {"a": "x"}, ("it's $ax",)),
        (r"SELECT E'\'$a' || $a::text", {"a": "x"}, ("'$ax",)),
        ('SELECT $a::text AS "$b"', {"a": "x"}, ("x",)),
        ("SELECT $a::text -- $b\n, 2", {"a": "x"}, ("x", 2)),
        ("SELECT /* $b /* $c */ $d */ $a::text", {"a": "x"}, ("x",)),
        ("SELECT $$ $a $$, $t$ $b $$ $t$, $a::text", {"a": "x"}, (" $a ", " $b $$ ", "x")),
        ("SELECT $größe::bigint", {"größe": 3}, (3,)),
        ("SELECT $_1::bigint, $a1::bigint", {"_1": 1, "a1": 2, "unused": 3}, (1, 2)),
        ("SELECT 1", {}, (1,)),
        ("SELECT $1::bigint", (7,), (7,)),
        ("SELECT $2::bigint - $1::bigint", [1, 10], (9,)),
        ("SELECT 1", [], (1,)),
    ],
)
def test_names(con, query, params, row):
    assert con.sql(query, params).fetchone() == row


@pytest.mark.parametrize(
    ("query", "params", "words"),
    [
        ("SELECT $a::bigint", {}, "no value for the parameter $a"),
        ("SELECT $a::bigint + $1::bigint", {"a": 1}, "sequence"),
        ("SELECT $1::bigint", [], "1 parameters; 0"),
        ("SELECT $1::bigint", [1, 2], "1 parameters; 2"),
        ("SELECT $1::bigint", None, "none were given"),
        ("SELECT 1; SELECT $1::bigint", [1], "one statement"),
    ],
)
def test_wrong_parameters(con, query, params, words):
    with pytest.raises(aiondb.ProgrammingError) as raised:
        con.sql(query, params)
    assert words in str(raised.value)


@pytest.mark.parametrize("params", ["abc", b"abc", 5, {1, 2}])
def test_what_holds_no_parameters(con, params):
    with pytest.raises(TypeError, match="params is a sequence"):
        con.sql("SELECT $1::text", params)


def test_an_error_has_its_fields(con):
    with pytest.raises(aiondb.ProgrammingError) as raised:
        con.sql("SELECT nothing FROM (VALUES (1)) AS t (something)")
    error = raised.value
    assert (error.sqlstate, error.position) == ("42703", 8)
    assert "something" in error.hint
    assert "HINT" in str(error)
    copy = pickle.loads(pickle.dumps(error))
    assert (type(copy), copy.sqlstate, copy.position, str(copy)) == (type(error), "42703", 8, str(error))


def test_a_place_is_one_of_the_text_as_given(con):
    for query, params in [
        ("SELECT $long_name::bigint + $b::bigint, nothing FROM (VALUES (1)) AS t (x)", {"long_name": 1, "b": 2}),
        ("SELECT $1::bigint + $2::bigint, nothing FROM (VALUES (1)) AS t (x)", [1, 2]),
    ]:
        with pytest.raises(aiondb.ProgrammingError) as raised:
            con.sql(query, params)
        assert raised.value.position == query.index("nothing") + 1


@pytest.mark.parametrize(
    ("query", "error", "state"),
    [
        ("SELEC 1", aiondb.ProgrammingError, "42601"),
        ("SELECT * FROM missing", aiondb.ProgrammingError, "42P01"),
        ("SELECT 1 / 0", aiondb.DataError, "22012"),
        ("SELECT 'x'::bigint", aiondb.DataError, "22P02"),
        ("LISTEN x", aiondb.NotSupportedError, "0A000"),
        ("INSERT INTO t VALUES (1)", aiondb.IntegrityError, "23505"),
        ("INSERT INTO t VALUES (NULL)", aiondb.IntegrityError, "23502"),
    ],
)
def test_classes_follow_the_sqlstate(con, query, error, state):
    con.sql("CREATE TABLE t (id bigint PRIMARY KEY); INSERT INTO t VALUES (1)")
    with pytest.raises(error) as raised:
        con.sql(query).fetchall()
    assert raised.value.sqlstate == state
    assert isinstance(raised.value, aiondb.DatabaseError)


def test_a_conflict_is_operational(tmp_path):
    with aiondb.connect(tmp_path / "data") as one, aiondb.connect(tmp_path / "data") as two:
        one.sql("CREATE TABLE t (id bigint PRIMARY KEY, n bigint); INSERT INTO t VALUES (1, 0)")
        one.begin()
        two.begin()
        # Both read, so neither may write what the other one has seen: the second would have waited for the row's lock before that.
        assert one.sql("SELECT n FROM t").fetchall() == two.sql("SELECT n FROM t").fetchall() == [(0,)]
        one.sql("UPDATE t SET n = n + 1")
        one.commit()
        with pytest.raises(one.OperationalError) as raised:
            two.sql("UPDATE t SET n = n + 1")
            two.commit()
        assert raised.value.sqlstate == "40001"
        two.rollback()
