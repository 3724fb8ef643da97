"""A pytest plugin for suites of others that run unmodified: the failures that are expected, each with its reason.

AION_EXPECTED names a file of groups. A group is a line `# reason`, and below it the tests that fail for it, one a line: the id that
pytest prints, without the folder of its file and without the backend that SQLAlchemy writes behind a class, or with `*` in the place
of anything. An expected failure that passes fails the run, and so does a line that matches no test of a run of the whole file.
AION_COUNTS names a file that gets the counts of the run and of each group.
"""

import collections
import fnmatch
import json
import os
import pathlib
import re

import pytest

BACKEND = re.compile(r"_(postgresql|asyncpg|psycopg)[+\w]*?_\d+_\d+(?=::)")


def short(nodeid):
    """`FetchLimitOffsetTest_postgresql+psycopg_15_0::test_x` is `FetchLimitOffsetTest::test_x`, whichever file it is in."""
    return BACKEND.sub("", nodeid.rsplit("/", 1)[-1])


class Expected:
    def __init__(self, path):
        self.reasons = {}
        self.patterns = {}
        self.matched = set()
        reason = None
        for number, line in enumerate(pathlib.Path(path).read_text().splitlines(), 1):
            line = line.strip()
            if line.startswith("# "):
                reason = line[2:]
            elif line:
                assert reason, f"{path}:{number}: a test without a reason"
                assert line not in self.reasons and line not in self.patterns, f"{path}:{number}: {line} is there twice"
                (self.patterns if "*" in line else self.reasons)[line] = reason

    def reason(self, nodeid):
        name = short(nodeid)
        if name in self.reasons:
            self.matched.add(name)
            return self.reasons[name]
        for pattern, reason in self.patterns.items():
            # Brackets are of parameters, not of characters.
            if fnmatch.fnmatchcase(name, pattern.replace("[", "[[]")):
                self.matched.add(pattern)
                return reason
        return None

    def unmatched(self, files):
        names = [name for name in (*self.reasons, *self.patterns) if name not in self.matched]
        return [name for name in names if name.split("::")[0] in files]


class Plugin:
    def __init__(self, expected, counts):
        self.expected = expected
        self.counts = counts
        self.outcomes = collections.Counter()
        self.groups = collections.Counter()
        self.left = []
        self.whole = False

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, config, items):
        self.whole = not (config.option.keyword or any("::" in argument for argument in config.args))
        for item in items:
            reason = self.expected.reason(item.nodeid)
            if reason:
                item.add_marker(pytest.mark.xfail(reason=reason, strict=True))
        if self.whole:
            self.left = self.expected.unmatched({short(item.nodeid).split("::")[0] for item in items})

    def pytest_runtest_logreport(self, report):
        if hasattr(report, "wasxfail") and report.skipped:
            self.outcomes["expected failures"] += 1
            self.groups[report.wasxfail.removeprefix("reason: ")] += 1
        elif report.failed:
            self.outcomes["failed"] += 1
        elif report.skipped:
            self.outcomes["skipped"] += 1
        elif report.when == "call":
            self.outcomes["passed"] += 1

    def pytest_sessionfinish(self, session):
        if self.left:
            session.exitstatus = 1
        if self.counts:
            found = {**self.outcomes, "reasons": dict(self.groups.most_common())}
            pathlib.Path(self.counts).write_text(json.dumps(found, indent=1))

    def pytest_terminal_summary(self, terminalreporter):
        for name in self.left:
            terminalreporter.write_line(f"expected to fail, and not in the suite: {name}", red=True)
        for reason, count in self.groups.most_common():
            terminalreporter.write_line(f"{count:5} failed as expected: {reason}")


def pytest_configure(config):
    config.pluginmanager.register(Plugin(Expected(os.environ["AION_EXPECTED"]), os.environ.get("AION_COUNTS")), "aion-expected")


@pytest.hookimpl(tryfirst=True)
def pytest_sessionstart(session):
    """SQLAlchemy's provisioning creates hstore and citext, which are not there; whether they are is what its requirements ask for."""
    try:
        from sqlalchemy.dialects.postgresql import provision
    except ImportError:
        return
    provision._extensions.clear()
