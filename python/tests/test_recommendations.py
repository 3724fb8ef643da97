"""Recommendations: listed as a result, asked by methods, rehearsed by the program aion.

The program is that of AION_PROGRAM, or the development build beside the extension.
"""

import os
import pathlib

import pytest

import aiondb

VERBS = ["approve", "dismiss", "revert", "pin", "unpin"]


@pytest.fixture
def program(monkeypatch):
    """Lets connections find the program under test."""
    library = (pathlib.Path(aiondb.__file__).parent / "_native.abi3.so").resolve()
    program = pathlib.Path(os.environ.get("AION_PROGRAM") or library.parent / "aion")
    if not program.exists():
        pytest.fail(f"there is no {program}: build it with `cargo xtask ci`, or name one in AION_PROGRAM")
    monkeypatch.setenv("AION_PROGRAM", str(program))
    return program


@pytest.fixture
def no_program(monkeypatch):
    """Whatever is installed on this machine."""
    monkeypatch.setattr(aiondb, "_program", lambda: None)


def advising(path):
    return aiondb.connect(path, config={"ai_mode": "advise", "threads": 2, "memory": "256MB"})


def fill(con):
    """Rows, and statements that read all of them to find few. The index that is there makes the cost of one more a small one."""
    con.sql("CREATE TABLE items (id bigint PRIMARY KEY, kind bigint, price double precision, colour bigint, note text)")
    con.sql("CREATE INDEX items_colour ON items (colour, note)")
    con.sql(
        "INSERT INTO items SELECT i, i % 1000, i * 0.37, i % 16, 'item ' || i || ' lies where it was put' FROM generate_series(1, 30000) AS s(i)"
    )
    con.sql("ANALYZE")
    for value in range(20):
        con.sql("SELECT count(*), sum(price) FROM items WHERE kind = $1", [value * 37]).fetchall()


def row(result):
    """The one row of a result, by column."""
    (values,) = result.fetchall()
    return dict(zip(result.columns, values, strict=True))


def test_at_first_the_list_is_empty_and_is_arrow():
    with aiondb.connect(config={"ai_mode": "advise"}) as con:
        listed = con.recommendations()
        assert {"id", "kind", "object", "state", "command", "speedup", "speedup_low", "verbs", "evidence"} <= set(listed.columns)
        assert listed.fetchall() == []
        assert con.recommendations().arrow().num_rows == 0
        assert con.sql("SHOW aion.ai_mode").fetchone() == ("advise",)


@pytest.mark.parametrize("mode", ["off", "shadow", "advise", "auto"])
def test_the_mode_is_the_configs(mode):
    with aiondb.connect(config={"ai_mode": mode}) as con:
        assert con.sql("SHOW aion.ai_mode").fetchone() == (mode,)


@pytest.mark.parametrize("verb", VERBS)
def test_what_does_not_exist_cannot_be_asked(verb):
    with aiondb.connect(config={"ai_mode": "advise"}) as con:
        for reason in (None, "because"):
            with pytest.raises(aiondb.ProgrammingError, match="recommendation 99 does not exist") as raised:
                getattr(con, verb)(99, reason)
            assert raised.value.sqlstate == "42704"
            assert raised.value.hint
        with pytest.raises(TypeError):
            getattr(con, verb)("99")


def test_a_number_is_rehearsed_as_an_id(program, tmp_path):
    with advising(tmp_path / "data") as con:
        with pytest.raises(aiondb.ProgrammingError) as raised:
            con.rehearse(99)
        assert raised.value.sqlstate == "42704"
        with pytest.raises(TypeError):
            con.rehearse(1.5)


def test_without_the_program_nothing_is_rehearsed_and_the_status_says_so(no_program, tmp_path):
    with advising(tmp_path / "data") as con:
        con.sql("CREATE TABLE items (id bigint PRIMARY KEY, kind bigint)")
        with pytest.raises(aiondb.OperationalError, match="does not know the program aion") as raised:
            con.rehearse("CREATE INDEX items_kind ON items (kind)")
        assert raised.value.sqlstate == "55000"
        assert "aion serve" in raised.value.hint
        value, hint = con.sql("SELECT value, hint FROM aion.ai_status WHERE name = 'rehearsals'").fetchone()
        assert value == "off" and "program aion" in hint


def test_in_memory_nothing_is_rehearsed_and_the_status_says_so(program):
    with aiondb.connect(config={"ai_mode": "advise"}) as con:
        value, hint = con.sql("SELECT value, hint FROM aion.ai_status WHERE name = 'rehearsals'").fetchone()
        assert value == "off" and "memory" in hint


def test_from_an_idea_to_an_index_and_back(program, tmp_path):
    with advising(tmp_path / "data") as con:
        fill(con)
        assert con.sql("SELECT value FROM aion.ai_status WHERE name = 'rehearsals'").fetchone() == ("possible",)
        ready = row(con.rehearse("CREATE INDEX items_kind ON items (kind)"))
        assert ready["state"] == "ready", ready
        assert ready["results_equal"] is True
        assert 1.1 <= ready["speedup_low"] <= ready["speedup"] <= ready["speedup_high"]
        number = ready["id"]
        made = row(con.approve(number, "it pays"))
        assert made["state"] in ("watching", "kept"), made
        assert made["decided_by"] in ("aion", "pipeline")
        assert con.sql("SELECT count(*) FROM pg_indexes WHERE indexname = 'items_kind'").fetchone() == (1,)
        assert row(con.pin(number))["pinned"] is True
        assert row(con.unpin(number))["pinned"] is False
        with pytest.raises(aiondb.OperationalError) as raised:
            con.dismiss(number)
        assert raised.value.sqlstate == "55000"
        assert "revert" in raised.value.hint
        assert row(con.revert(number, "changed my mind"))["state_reason"] == "changed my mind"
        assert con.sql("SELECT count(*) FROM pg_indexes WHERE indexname = 'items_kind'").fetchone() == (0,)
        assert row(con.dismiss(number, "not wanted"))["state"] == "dismissed"
        listed = con.recommendations().arrow().to_pylist()
        assert [(one["id"], one["state"]) for one in listed] == [(number, "dismissed")]
        reasons = [reason for (reason,) in con.sql("SELECT reason FROM aion.decisions ORDER BY seq")]
        assert {"it pays", "changed my mind", "not wanted"} <= set(reasons)


def test_nothing_is_asked_in_a_transaction(no_program, tmp_path):
    with advising(tmp_path / "data") as con:
        con.begin()
        with pytest.raises(aiondb.ProgrammingError, match="transaction block") as raised:
            con.dismiss(1)
        assert raised.value.sqlstate == "25001"
        con.rollback()
        # Without autocommit the first statement begins a transaction; these do not.
        con.autocommit = False
        with pytest.raises(aiondb.ProgrammingError) as raised:
            con.dismiss(1)
        assert raised.value.sqlstate == "42704"
        assert not con.in_transaction


def test_who_only_reads_asks_for_nothing(no_program, tmp_path):
    with advising(tmp_path / "data") as con, aiondb.connect(tmp_path / "data", read_only=True) as reader:
        con.sql("CREATE TABLE items (id bigint PRIMARY KEY, kind bigint)")
        assert reader.recommendations().fetchall() == []
        for ask in (lambda: reader.rehearse("CREATE INDEX items_kind ON items (kind)"), lambda: reader.approve(1)):
            with pytest.raises(aiondb.ProgrammingError) as raised:
                ask()
            assert raised.value.sqlstate == "25006"


def test_the_program_is_the_named_one_then_that_beside_the_interpreter_then_that_of_the_path(monkeypatch, tmp_path):
    def put(folder):
        (tmp_path / folder).mkdir()
        program = tmp_path / folder / "aion"
        program.write_text("#!/bin/sh\n")
        program.chmod(0o755)
        return str(program)

    beside, elsewhere = put("scripts"), put("path")
    monkeypatch.setattr(aiondb._sysconfig, "get_path", lambda name: str(tmp_path / name))
    monkeypatch.setenv("PATH", str(tmp_path / "path"))
    monkeypatch.setenv("AION_PROGRAM", "/named/aion")
    assert aiondb._program() == "/named/aion"
    monkeypatch.delenv("AION_PROGRAM")
    assert aiondb._program() == beside
    os.chmod(beside, 0o644)
    assert aiondb._program() == elsewhere
    os.remove(elsewhere)
    assert aiondb._program() is None
