"""The JDBC driver, as `jdbc/Client.java` uses it."""

import pathlib
import shutil
import subprocess

import pytest

HERE = pathlib.Path(__file__).parent / "jdbc"
# What fails, and why. One that passes is to be taken from here.
KNOWN = {}
DRIVER = pathlib.Path("/usr/share/java/postgresql.jar")


@pytest.mark.skipif(not shutil.which("javac"), reason="a JDK is not there: apt-get install default-jdk-headless")
@pytest.mark.skipif(not DRIVER.exists(), reason="the driver is not there: apt-get install libpostgresql-jdbc-java")
def test_jdbc(server):
    url = f"jdbc:postgresql://{server.host}:{server.port}/aion?user=aion"
    command = ["java", "-cp", str(DRIVER), str(HERE / "Client.java"), url]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    found = {line.removeprefix("not ").split()[1].rstrip(":"): line for line in done.stdout.splitlines()}
    wrong = {name for name, line in found.items() if not line.startswith("ok ")}
    assert wrong == set(KNOWN), done.stdout + done.stderr
    assert len(found) == 28, done.stdout + done.stderr
