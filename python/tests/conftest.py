"""The package under test: the built extension beside a copy of python/aiondb.

AION_PYTHON_LIB names the extension; otherwise it is the development build's, in CARGO_TARGET_DIR or ~/.cache/aion/target.
"""

import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import threading

import pytest

PYTHON = pathlib.Path(__file__).resolve().parent.parent


def _extension():
    named = os.environ.get("AION_PYTHON_LIB")
    if named:
        return pathlib.Path(named)
    cache = pathlib.Path(os.environ.get("AION_CACHE", pathlib.Path.home() / ".cache" / "aion"))
    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", cache / "target"))
    return target / "debug" / "libaiondb.so"


def _make_package():
    extension = _extension()
    if not extension.exists():
        pytest.exit(f"there is no {extension}: build it with `cargo xtask ci`, or name one in AION_PYTHON_LIB", 2)
    folder = pathlib.Path(tempfile.mkdtemp(prefix="aiondb-package-"))
    shutil.copytree(PYTHON / "aiondb", folder / "aiondb", ignore=shutil.ignore_patterns("__pycache__"))
    # A link where possible: the development build has hundreds of megabytes.
    (folder / "aiondb" / "_native.abi3.so").symlink_to(extension.resolve())
    return folder


PACKAGE = _make_package()
sys.path.insert(0, str(PACKAGE))
# Children find it too.
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(PACKAGE), os.environ.get("PYTHONPATH")]))


def pytest_sessionfinish():
    shutil.rmtree(PACKAGE, ignore_errors=True)


@pytest.fixture
def con():
    """A connection to a database in memory."""
    import aiondb

    with aiondb.connect(config={"threads": 2}) as connection:
        yield connection


# A shell lets its background jobs ignore Ctrl-C, their children inherit that, and the tests of Ctrl-C waited for ever.
INTERRUPTIBLE = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"

# How long a child may take to a line.
SILENCE_MAX_S = 120


@pytest.fixture
def child():
    """Starts a Python program; whatever becomes of the test, it ends. Its lines are read with `expect`."""
    children = []

    class Child:
        def __init__(self, program, *arguments):
            self.process = subprocess.Popen(
                [sys.executable, "-c", INTERRUPTIBLE + program, *map(str, arguments)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            children.append(self.process)

        def expect(self, line):
            # A program that says nothing is ended, and then its output is at its end.
            watchdog = threading.Timer(SILENCE_MAX_S, self.process.kill)
            watchdog.start()
            read = self.process.stdout.readline().rstrip("\n")
            watchdog.cancel()
            if read != line:
                self.process.kill()
                rest, errors = self.process.communicate()
                pytest.fail(f"expected {line!r}, read {read!r}\n{rest}\n{errors}")

        def finish(self):
            """Waits for the end; returns the exit status and what it wrote to both streams."""
            out, errors = self.process.communicate(timeout=120)
            return self.process.returncode, out, errors

    yield Child
    for process in children:
        if process.poll() is None:
            process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout, process.stderr):
            stream.close()
