"""Aion, embedded: one database for rows, graphs, vectors, time series and keys, in this process.

    import aiondb

    with aiondb.connect("shop.aion") as con:
        con.sql("CREATE TABLE IF NOT EXISTS item (id bigint PRIMARY KEY, name text)")
        con.sql("INSERT INTO item VALUES ($1, $2)", [1, "anvil"])
        print(con.sql("SELECT * FROM item").fetchall())

PEP 249, with two choices of its own: parameters are `$1` with a sequence or `$name` with a mapping, and a connection
commits each statement unless `begin()` was called or `autocommit` is False. Results are also Arrow, pandas and polars.
"""

import atexit as _atexit
import datetime as _datetime
import operator as _operator
import os as _os
import shutil as _shutil
import sysconfig as _sysconfig
import time as _time

from . import _native
from ._cursor import Cursor
from ._errors import (
    DatabaseError,
    DataError,
    Error,
    IntegrityError,
    InterfaceError,
    InternalError,
    NotSupportedError,
    OperationalError,
    ProgrammingError,
    Warning,
)
from ._native import Result, __version__

# Connections that are still open are closed before the interpreter takes its threads down.
_atexit.register(_native.close_all)

apilevel = "2.0"
threadsafety = 2  # Threads may share the module and connections.
paramstyle = "numeric_dollar"  # $1; PEP 249 has no name for it, others call it this. $name works as well.


class Connection(_native.Connection):
    __doc__ = _native.Connection.__doc__

    Warning, Error, InterfaceError, DatabaseError = Warning, Error, InterfaceError, DatabaseError
    DataError, OperationalError, IntegrityError = DataError, OperationalError, IntegrityError
    InternalError, ProgrammingError, NotSupportedError = InternalError, ProgrammingError, NotSupportedError

    def cursor(self):
        """A cursor of PEP 249."""
        if self.closed:
            raise InterfaceError("the connection is closed")
        return Cursor(self)

    def execute(self, query, params=None):
        """Runs a text with a new cursor, and returns that."""
        return self.cursor().execute(query, params)

    def executemany(self, query, params):
        """Runs one statement for each set of parameters with a new cursor, and returns that."""
        return self.cursor().executemany(query, params)

    def recommendations(self):
        """What the database recommends, by id, with the columns of `aion.recommendations`."""
        return self.sql("SELECT * FROM aion.recommendations ORDER BY id")

    def rehearse(self, sql_or_id):
        """Tries a change on a clone, with the statements that ran: the recommendation's row with the verdict.

        A text is an idea of one's own, a CREATE INDEX, DROP INDEX or ANALYZE, and becomes a recommendation; a number is that of one that
        is there. Takes up to minutes; the database itself is not changed. Needs the config's ai_mode "advise" or "auto", a database in a
        directory, and the command `aion`.
        """
        if isinstance(sql_or_id, str):
            return self._sql_alone("SELECT * FROM aion.rehearse($1)", [sql_or_id])
        # A parameter of rehearse is text; an id stands in the statement itself.
        return self._sql_alone(f"SELECT * FROM aion.rehearse({_operator.index(sql_or_id)})", None)

    def approve(self, id, reason=None):
        """Makes the change of a recommendation that is ready; its row. It is watched, and taken back if it breaks its promise."""
        return self._ask("approve", id, reason)

    def dismiss(self, id, reason=None):
        """Says that a recommendation is not wanted, for good; its row. Dismissals are learnt from."""
        return self._ask("dismiss", id, reason)

    def revert(self, id, reason=None):
        """Takes back a change that was made; the recommendation's row."""
        return self._ask("revert", id, reason)

    def pin(self, id, reason=None):
        """Keeps a change that was made whatever the watch says; the recommendation's row."""
        return self._ask("pin", id, reason)

    def unpin(self, id, reason=None):
        """Lets the watch decide again about a change that was pinned; the recommendation's row."""
        return self._ask("unpin", id, reason)

    def _ask(self, verb, id, reason):
        # No transaction is begun: what is asked is decided at once, and cannot be rolled back.
        given = [_operator.index(id)] if reason is None else [_operator.index(id), str(reason)]
        places = ", ".join(f"${place + 1}" for place in range(len(given)))
        return self._sql_alone(f"SELECT * FROM aion.{verb}({places})", given)


def connect(path=":memory:", read_only=False, config=None):
    """Opens a database and returns a Connection.

    path       a directory, made where nothing is; ":memory:" is a database that ends with the connection
    read_only  refuse what changes rows or definitions (25006), and a directory that is not there
    config     memory (bytes, or "2GB"), threads, copy_dir (COPY reads files below it only), ai_mode ("off"; "shadow": what runs
               is noted in aion.statements; "advise": changes are tried on clones as well, and made when they are approved;
               "auto": those of aion.auto_kinds are made without asking; what the database has stored, else "shadow", if it is
               left out); for the process's first connection to the directory

    Connections of one process to one directory share the open database. Raises OperationalError while another process
    has it, naming that process and how to connect.
    """
    return Connection(path, bool(read_only), dict(config or {}), _program())


def _program():
    """The command aion, which rehearses: that of AION_PROGRAM, else the one beside this interpreter, else the first in PATH."""
    if named := _os.environ.get("AION_PROGRAM"):
        return named
    beside = _os.path.join(_sysconfig.get_path("scripts"), "aion")
    return _shutil.which(beside) or _shutil.which("aion")


class _Type:
    """Compares equal to the type codes of a description that belong to it."""

    def __init__(self, *names):
        self._names = frozenset(names)

    def __eq__(self, other):
        if isinstance(other, _Type):
            return self._names == other._names
        return isinstance(other, str) and other.split("(")[0] in self._names

    def __hash__(self):
        return hash(self._names)


STRING = _Type("text", "character varying", "uuid", "json")
BINARY = _Type("bytea")
NUMBER = _Type("smallint", "integer", "bigint", "real", "double precision", "numeric")
DATETIME = _Type("date", "timestamp without time zone", "timestamp with time zone")
ROWID = _Type()

Date = _datetime.date
Time = _datetime.time
Timestamp = _datetime.datetime
Binary = bytes


def DateFromTicks(ticks):
    """The local date of a number of seconds since 1970."""
    return Date(*_time.localtime(ticks)[:3])


def TimeFromTicks(ticks):
    """The local time of day of a number of seconds since 1970."""
    return Time(*_time.localtime(ticks)[3:6])


def TimestampFromTicks(ticks):
    """The local date and time of a number of seconds since 1970."""
    return Timestamp(*_time.localtime(ticks)[:6])


__all__ = [
    "BINARY",
    "DATETIME",
    "NUMBER",
    "ROWID",
    "STRING",
    "Binary",
    "Connection",
    "Cursor",
    "DataError",
    "DatabaseError",
    "Date",
    "DateFromTicks",
    "Error",
    "IntegrityError",
    "InterfaceError",
    "InternalError",
    "NotSupportedError",
    "OperationalError",
    "ProgrammingError",
    "Result",
    "Time",
    "TimeFromTicks",
    "Timestamp",
    "TimestampFromTicks",
    "Warning",
    "__version__",
    "apilevel",
    "connect",
    "paramstyle",
    "threadsafety",
]
