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


def connect(path=":memory:", read_only=False, config=None):
    """Opens a database and returns a Connection.

    path       a directory, made where nothing is; ":memory:" is a database that ends with the connection
    read_only  refuse what changes rows or definitions (25006), and a directory that is not there
    config     memory (bytes, or "2GB"), threads, copy_dir (COPY reads files below it only), ai_mode ("off", or "shadow":
               what runs is noted in aion.statements); for the process's first connection to the directory

    Connections of one process to one directory share the open database. Raises OperationalError while another process
    has it, naming that process and how to connect.
    """
    return Connection(path, bool(read_only), dict(config or {}))


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
