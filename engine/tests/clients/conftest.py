"""A server for the tests of real clients.

AION_PROGRAM names the `aion` binary. The server is started once for all tests, on free ports; a test makes the
tables that it needs under names of its own.
"""

import os
import pathlib
import re
import signal
import subprocess
from dataclasses import dataclass

import pytest

PATTERNS = {
    "pg_port": re.compile(r"psql -h 127\.0\.0\.1 -p (\d+) "),
    "flight_port": re.compile(r"grpc://127\.0\.0\.1:(\d+)"),
    "http_port": re.compile(r"curl http://127\.0\.0\.1:(\d+)/"),
}


@dataclass
class Server:
    """The ports of a running server."""

    pg_port: int
    flight_port: int
    http_port: int


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    program = os.environ.get("AION_PROGRAM")
    if not program or not pathlib.Path(program).is_file():
        pytest.fail("AION_PROGRAM has to name the aion binary")
    data = tmp_path_factory.mktemp("aion") / "data"
    arguments = [program, "serve", "--data", str(data)]
    for edge in ("--pg", "--flight", "--http"):
        arguments += [edge, "127.0.0.1:0"]
    process = subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True)
    try:
        ports = {}
        for line in process.stdout:
            for name, pattern in PATTERNS.items():
                if found := pattern.search(line):
                    ports[name] = int(found[1])
            if line.startswith("Ready"):
                break
        else:
            pytest.fail(f"aion serve ended with {process.wait()} before it was ready")
        yield Server(**ports)
        process.send_signal(signal.SIGTERM)
        output, _ = process.communicate(timeout=60)
        assert process.returncode == 0, "SIGTERM is a clean stop"
        assert "everything is durable" in output
    finally:
        process.kill()
        process.wait()
