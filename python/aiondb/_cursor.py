"""Cursors of PEP 249 over the results of a connection."""

from ._errors import InterfaceError, ProgrammingError


class Cursor:
    """Runs statements and holds the result of the last one.

    arraysize  rows of a fetchmany() without a size, 1 at first
    """

    def __init__(self, connection):
        self.connection = connection
        self.arraysize = 1
        self._result = None
        self._rowcount = -1
        self._closed = False

    def _open(self):
        if self._closed:
            raise InterfaceError("the cursor is closed")

    def _rows(self):
        self._open()
        if self._result is None:
            raise ProgrammingError("there is no result: execute a query first", sqlstate="24000")
        return self._result

    @property
    def description(self):
        """(name, type, None, None, precision, scale, None) of each column, or None without rows."""
        return None if self._result is None else self._result.description

    @property
    def rowcount(self):
        """Rows that were changed, or that a query gave once all were read; -1 while nobody knows."""
        return self._rowcount if self._result is None else self._result.rowcount

    @property
    def columns(self):
        """The names of the columns."""
        return [] if self._result is None else self._result.columns

    def execute(self, query, params=None):
        """Runs a text as Connection.sql() does; returns the cursor."""
        self._open()
        self._result, self._rowcount = None, -1
        self._result = self.connection.sql(query, params)
        return self

    def executemany(self, query, params):
        """Runs one statement without rows for each set of parameters; outside of begin() all of it is one transaction."""
        self._open()
        self._result, self._rowcount = None, -1
        self._rowcount = self.connection._execute_many(query, params)
        return self

    def fetchone(self):
        """The next row as a tuple, None at the end."""
        return self._rows().fetchone()

    def fetchmany(self, size=None):
        """The next rows, as many as `size` or else `arraysize`, fewer at the end."""
        return self._rows().fetchmany(self.arraysize if size is None else size)

    def fetchall(self):
        """The remaining rows."""
        return self._rows().fetchall()

    def arrow(self):
        """The remaining rows as a pyarrow Table."""
        return self._rows().arrow()

    def df(self):
        """The remaining rows as a pandas DataFrame."""
        return self._rows().df()

    def pl(self):
        """The remaining rows as a polars DataFrame."""
        return self._rows().pl()

    def show(self, rows=20):
        """Prints the next rows and leaves them."""
        self._rows().show(rows)

    def __arrow_c_stream__(self, requested_schema=None):
        return self._rows().__arrow_c_stream__(requested_schema)

    def setinputsizes(self, sizes):
        """Does nothing, as PEP 249 allows."""

    def setoutputsize(self, size, column=None):
        """Does nothing, as PEP 249 allows."""

    def close(self):
        """Lets go of the result; the cursor is of no use afterwards."""
        self._result, self._closed = None, True

    def __iter__(self):
        return self

    def __next__(self):
        row = self.fetchone()
        if row is None:
            raise StopIteration
        return row

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.close()
