"""node-postgres, as `node/client.test.js` uses it."""

import os
import pathlib
import re
import shutil
import subprocess

import pytest

HERE = pathlib.Path(__file__).parent / "node"


def modules():
    """Where deploy/setup.sh has put the packages."""
    return pathlib.Path(os.environ.get("AION_CACHE", pathlib.Path.home() / ".cache/aion")) / "node"


@pytest.mark.skipif(not shutil.which("node"), reason="node is not there: apt-get install nodejs npm")
def test_node_postgres(server, tmp_path):
    packages = modules() / "node_modules"
    if not (packages / "pg").is_dir():
        pytest.skip(f"{packages} is not there: run deploy/setup.sh test")
    # Beside the packages, which node looks for in the folders above a file.
    (tmp_path / "node_modules").symlink_to(packages)
    script = tmp_path / "client.test.js"
    script.write_text((HERE / "client.test.js").read_text())
    where = {"PGHOST": server.host, "PGPORT": str(server.port), "PGUSER": "aion", "PGDATABASE": "aion"}
    done = subprocess.run(
        ["node", "--test", "--test-reporter=tap", "--preserve-symlinks", "--preserve-symlinks-main", str(script)],
        env={**os.environ, **where},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    failed = re.findall(r"^ *not ok \d+ - .*$", done.stdout, re.MULTILINE)
    assert done.returncode == 0 and not failed, done.stdout
    assert len(re.findall(r"^ *ok \d+ - ", done.stdout, re.MULTILINE)) >= 13, done.stdout
