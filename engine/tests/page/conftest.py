"""A server with recommendations for the tests of the page, and a browser to look at it with.

The server is the program at AION_PROGRAM, in the mode advise, on a free port over an empty directory; it is started once. Tests share it:
each works on recommendations of its own, which it makes with `rehearse`; one that changes what rehearsals measure has another server. The browser is Debian's chromium, or the one at AION_CHROMIUM.

Each test's page is watched. At its end nothing may have been asked of another origin, no script may have failed, and the console may hold
no complaint but those that the test said it would cause.
"""

import contextlib
import json
import os
import pathlib
import re
import subprocess
import urllib.error
import urllib.parse
import urllib.request

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import sync_playwright

# The address as the server prints it when it is ready to be reached.
ADDRESS = re.compile(r"curl (http://127\.0\.0\.1:\d+)/")

CHROMIUM = "/usr/bin/chromium"
SWITCHES = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

# A rehearsal clones the data and runs its pairs: seconds on a fast machine, more under a debug build.
REHEARSAL_SECONDS_MAX = 300

# A name that is markup, a string and an identifier with quotes at once.
HOSTILE_TABLE = """<script>alert("1")</script>'s & co"""


class Server:
    """`aion serve` as a process, asked over HTTP."""

    def __init__(self, url):
        self.url = url

    def ask(self, path, body=None, seconds=60):
        """A status, and the JSON that came with it. A body makes it a POST."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data=data, headers={"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=seconds) as response:
                return response.status, json.load(response)
        except urllib.error.HTTPError as refusal:
            return refusal.code, json.load(refusal)

    def sql(self, sql):
        status, answer = self.ask("/v1/sql", {"sql": sql}, seconds=120)
        assert status == 200, f"{sql}: {answer}"
        return answer["rows"]

    def rehearse(self, command):
        """The recommendation that a person's own idea becomes."""
        status, answer = self.ask("/v1/recommendations", {"sql": command}, seconds=REHEARSAL_SECONDS_MAX)
        assert status == 200, f"{command}: {answer}"
        return answer["recommendation"]

    def recommendation(self, number):
        status, answer = self.ask(f"/v1/recommendations/{number}")
        assert status == 200, answer
        return answer


def program():
    path = os.environ.get("AION_PROGRAM")
    if not path:
        pytest.exit("AION_PROGRAM is not set: it names the program to test; `make test` sets it", returncode=2)
    if not pathlib.Path(path).is_file():
        pytest.exit(f"AION_PROGRAM is {path}, and no file is there: build it, or run `make test`", returncode=2)
    return path


def chromium():
    path = os.environ.get("AION_CHROMIUM", CHROMIUM)
    if not pathlib.Path(path).is_file():
        pytest.exit(f"{path} is not there: apt-get install chromium, or set AION_CHROMIUM", returncode=2)
    return path


@contextlib.contextmanager
def serving(data):
    """A server over an empty directory, with rows and the statements that ran on them."""
    command = [program(), "serve", "--data", str(data / "db"), "--ai-mode", "advise"]
    command += ["--pg", "127.0.0.1:0", "--flight", "off", "--http", "127.0.0.1:0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        url = None
        for line in process.stdout:
            if found := ADDRESS.search(line):
                url = found.group(1)
            if line.startswith("Ready"):
                break
        assert url, "the server ended before it was ready"
        server = Server(url)
        load(server)
        yield server
    finally:
        process.terminate()
        process.wait(timeout=60)
        process.stdout.close()


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    with serving(tmp_path_factory.mktemp("data")) as server:
        yield server


@pytest.fixture
def another_server(tmp_path):
    """For who changes what rehearsals measure: what is ready on a table, or made on it, is part of all later ones on it."""
    with serving(tmp_path) as server:
        yield server


def load(server):
    """The verdict on an index is on the whole workload, so one statement is all of it that can be compared: without an index it reads
    50,000 rows to find 50, which pays by more than a busy machine can hide. The rows are wide and have two indexes already, because the
    cost of writes is relative. There are no statistics: without them the advisor proposes nothing of its own, whose rehearsal would keep
    those of the tests waiting and whose moves would be told on the page."""
    server.sql(
        "CREATE TABLE items (id integer PRIMARY KEY, kind integer, shelf integer, price double precision, colour integer, note text)"
    )
    server.sql("CREATE INDEX items_colour ON items (colour, note)")
    server.sql("CREATE INDEX items_note ON items (note, colour)")
    server.sql(
        "INSERT INTO items SELECT i, i % 1000, (i * 7) % 997, i * 0.37, i % 16,"
        " 'item ' || i || ' lies where it was put and is as wide as rows are' FROM generate_series(1, 50000) AS s(i)"
    )
    server.sql(f"CREATE TABLE {quoted(HOSTILE_TABLE)} (id integer PRIMARY KEY, kind integer)")
    server.sql(f"INSERT INTO {quoted(HOSTILE_TABLE)} SELECT i, i % 10 FROM generate_series(1, 100) AS s(i)")
    for value in range(20):
        server.sql(f"SELECT count(*), sum(price) FROM items WHERE kind = {value * 37}")


def quoted(name):
    return '"' + name.replace('"', '""') + '"'


@pytest.fixture(scope="session")
def evidence(server):
    """What most tests look at and none changes: an index that pays, and one that no statement asks for."""
    useful = server.rehearse("CREATE INDEX items_kind_price ON items (kind, price)")
    useless = server.rehearse("CREATE INDEX items_price ON items (price)")
    assert useful["state"] == "ready", useful
    assert useless["state"] == "rejected", useless
    return useful, useless


@pytest.fixture(scope="session")
def browser():
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), headless=True, args=SWITCHES)
        yield browser
        browser.close()


class Watch:
    """What a page did that nobody sees."""

    def __init__(self, page, origin):
        self.origin = origin
        self.requested = []
        self.complaints = []
        # Parts of what the test provokes: the browser notes each refusal on its console, whatever the page makes of it.
        self.expected = set()
        page.on("request", lambda request: self.requested.append(request.url))
        page.on("pageerror", lambda error: self.complaints.append(f"a script failed: {error}"))
        page.on("console", self.hear)
        page.on("dialog", self.refuse)

    def hear(self, message):
        if message.type in ("error", "warning"):
            self.complaints.append(message.text)

    def refuse(self, dialog):
        self.complaints.append(f"the page opened a box: {dialog.message}")
        dialog.dismiss()

    def check(self):
        here = urllib.parse.urlsplit(self.origin)
        for url in self.requested:
            there = urllib.parse.urlsplit(url)
            assert there.scheme == "data" or (there.scheme, there.netloc) == (here.scheme, here.netloc), f"{url} was asked for"
        unexpected = [text for text in self.complaints if not any(part in text for part in self.expected)]
        assert not unexpected, unexpected


@pytest.fixture
def open_page(browser, server):
    """Opens the page in a window of its own, and checks at the end what it did. With `clock`, `page.clock` lets its time pass at once."""
    opened = []

    def open_page(path="", clock=False, of=server, **options):
        page_url = of.url + "/"
        options.setdefault("viewport", {"width": 1280, "height": 900})
        context = browser.new_context(**options)
        page = context.new_page()
        page.watch = Watch(page, page_url)
        opened.append((context, page))
        if clock:
            page.clock.install()
        page.goto(page_url + path)
        return page

    yield open_page
    for context, _ in opened:
        context.close()
    for _, page in opened:
        page.watch.check()


@pytest.fixture
def assert_accessible():
    def assert_accessible(page, what):
        results = Axe().run(page)
        assert results.violations_count == 0, f"{what}: {results.generate_report()}"

    return assert_accessible
