"""DuckDB as a peer: one JSON request a line on stdin, one JSON answer a line on stdout.

Requests
    {"open": {"threads": n, "path": "..."}}       -> {"version": "..."}    (":memory:" keeps nothing)
    {"sql": "...", "parameters": [...]}           -> {"ms": f, "rows": n, "columns": m, "values": [[text or null, ...]]}

A parameter is {"integer": n}, {"double": x}, {"text": s}, {"time": "2013-01-01T10:00:00Z"} or {"vector": [x, ...]}.
Time is from the statement's text to its rows as an Arrow table, as it is for Aion to its Arrow batches. Values come as PostgreSQL's
text; a failure is {"error": "..."}.
"""

import datetime
import decimal
import json
import sys
import time

import duckdb


def parameter(value):
    ((kind, value),) = value.items()
    if kind == "time":
        return datetime.datetime.fromisoformat(value.replace("Z", "+00:00"))
    return value


def text(value):
    if value is None:
        return None
    if isinstance(value, bool):
        return "t" if value else "f"
    if isinstance(value, datetime.datetime):
        utc = value.astimezone(datetime.timezone.utc) if value.tzinfo else value
        whole = utc.strftime("%Y-%m-%d %H:%M:%S")
        if utc.microsecond:
            whole += f".{utc.microsecond:06d}".rstrip("0")
        return whole + ("+00" if value.tzinfo else "")
    if isinstance(value, decimal.Decimal):
        return format(value, "f")
    if isinstance(value, float):
        return repr(value)
    return str(value)


def answer(state, request):
    if "open" in request:
        state["connection"] = duckdb.connect(request["open"]["path"], config={"threads": request["open"]["threads"]})
        state["connection"].execute("SET TimeZone = 'UTC'")
        # It would be drawn into our answers once a statement takes long.
        state["connection"].execute("SET enable_progress_bar = false")
        return {"version": duckdb.__version__}
    parameters = [parameter(value) for value in request.get("parameters", [])]
    begin = time.perf_counter()
    table = state["connection"].execute(request["sql"], parameters).to_arrow_table()
    milliseconds = (time.perf_counter() - begin) * 1000
    rows = [[text(value) for value in row.values()] for row in table.to_pylist()]
    return {"ms": milliseconds, "rows": table.num_rows, "columns": table.num_columns, "values": rows}


def main():
    state = {}
    for line in sys.stdin:
        try:
            reply = answer(state, json.loads(line))
        except Exception as error:  # the other side shows it
            reply = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(reply), flush=True)


main()
