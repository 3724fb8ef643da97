"""The exceptions of PEP 249, with what PostgreSQL says about an error.

Which class an error has follows from its SQLSTATE: 0A NotSupportedError, 22 DataError, 23 IntegrityError, 42 and other
mistakes of the program ProgrammingError, XX InternalError, the rest OperationalError.
"""


class Warning(Exception):  # noqa: A001, the name is PEP 249's
    """An important warning. Not raised today: notices are read with Connection.notices()."""


class Error(Exception):
    """Any error of the database.

    sqlstate  five characters (PostgreSQL's Appendix A), None for a wrong use of the interface
    detail    facts beyond the message, or None
    hint      what to do, or None
    position  where in the statement, in characters, the first is 1; or None
    """

    def __init__(self, message="", *, sqlstate=None, detail=None, hint=None, position=None):
        super().__init__(message)
        self.sqlstate = sqlstate
        self.detail = detail
        self.hint = hint
        self.position = position

    def __str__(self):
        lines = [super().__str__() if self.sqlstate is None else f"{super().__str__()} ({self.sqlstate})"]
        if self.detail:
            lines.append(f"DETAIL: {self.detail}")
        if self.hint:
            lines.append(f"HINT: {self.hint}")
        return "\n".join(lines)


class InterfaceError(Error):
    """A wrong use of the interface: something closed, or opened in another process."""


class DatabaseError(Error):
    """An error of the database itself."""


class DataError(DatabaseError):
    """A value that its type does not take: out of range, malformed."""


class OperationalError(DatabaseError):
    """Not the program's fault: a conflict to retry (40001), a limit, a cancelled statement, a directory in use."""


class IntegrityError(DatabaseError):
    """A constraint is violated."""


class InternalError(DatabaseError):
    """A defect of the database, or damaged data."""


class ProgrammingError(DatabaseError):
    """A mistake of the program: syntax, a missing table, a wrong kind of parameter."""


class NotSupportedError(DatabaseError):
    """A statement or option that the database knows and does not do."""


for _error in list(globals().values()):
    if isinstance(_error, type) and issubclass(_error, Exception):
        # They are imported from, and shown as, aiondb.
        _error.__module__ = "aiondb"
