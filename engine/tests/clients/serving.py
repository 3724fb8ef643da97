"""The program at AION_PROGRAM as a server of its own, on free ports, over an empty directory."""

import contextlib
import os
import pathlib
import re
import subprocess

import psycopg

# What the server prints when it is ready to be reached.
PATTERNS = {
    "pg_port": re.compile(r"psql -h 127\.0\.0\.1 -p (\d+) "),
    "flight_port": re.compile(r"grpc://127\.0\.0\.1:(\d+)"),
    "http_port": re.compile(r"curl http://127\.0\.0\.1:(\d+)/"),
}


class Server:
    """`aion serve` as a process, and how to reach it."""

    def __init__(self, process, pg_port, flight_port, http_port):
        self.process = process
        self.pg_port = self.port = pg_port
        self.flight_port = flight_port
        self.http_port = http_port
        self.host = "127.0.0.1"

    @property
    def url(self):
        return f"postgresql+psycopg://aion@{self.host}:{self.port}/aion"

    def connect(self, **options):
        return psycopg.connect(host=self.host, port=self.port, user="aion", dbname="aion", **options)

    def psql(self, *arguments, text="", complaint=""):
        """Runs psql; gives what it printed. Fails where psql complains of anything else than it is expected to."""
        command = ["psql", "-X", "-h", self.host, "-p", str(self.port), "-U", "aion", *arguments, "aion"]
        done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr.strip()) == (0, complaint), done.stderr
        return done.stdout


class NoProgram(Exception):
    """There is nothing to test."""


def program():
    path = os.environ.get("AION_PROGRAM")
    if not path:
        raise NoProgram("AION_PROGRAM is not set: it names the program to test; `make test` sets it")
    if not pathlib.Path(path).is_file():
        raise NoProgram(f"AION_PROGRAM is {path}, and no file is there: build it, or run `make test`")
    return path


@contextlib.contextmanager
def serving(data):
    """A server over the directory `data`."""
    command = [program(), "serve", "--data", str(data)]
    for edge in ("--pg", "--flight", "--http"):
        command += [edge, "127.0.0.1:0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        ports = {}
        for line in process.stdout:
            for name, pattern in PATTERNS.items():
                if found := pattern.search(line):
                    ports[name] = int(found.group(1))
            if line.startswith("Ready"):
                break
        assert len(ports) == len(PATTERNS), f"the server ended before it was ready: {ports}"
        yield Server(process, **ports)
    finally:
        process.terminate()
        process.wait(timeout=60)
        process.stdout.close()
