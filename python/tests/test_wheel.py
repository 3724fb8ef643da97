"""deploy/wheel.py makes a wheel that pip installs and that runs, from the development build."""

import os
import pathlib
import platform
import shutil
import subprocess
import sys
import venv
import zipfile

import pytest

import aiondb

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent


def test_a_wheel_installs_and_runs(tmp_path):
    library = (pathlib.Path(aiondb.__file__).parent / "_native.abi3.so").resolve()
    program = pathlib.Path(os.environ.get("AION_BIN", library.parent / "aion"))
    if not program.exists():
        pytest.fail(f"there is no {program}: build it with `cargo xtask ci`, or name one in AION_BIN")
    # Debug information makes the development build a dozen times larger; nobody asks the wheel for it here.
    for source in (library, program):
        subprocess.run(["strip", "--strip-debug", "-o", tmp_path / source.name, source], check=True)
    packer = [sys.executable, ROOT / "deploy" / "wheel.py", "--out", tmp_path / "wheels"]
    packer += ["--library", tmp_path / library.name, "--program", tmp_path / program.name]
    subprocess.run(packer, check=True, capture_output=True)
    (wheel,) = (tmp_path / "wheels").iterdir()
    assert wheel.name == f"aiondb-{aiondb.__version__}-cp310-abi3-linux_{platform.machine()}.whl"
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        assert archive.testzip() is None
    assert {"aiondb/__init__.py", "aiondb/__init__.pyi", "aiondb/py.typed", "aiondb/_native.abi3.so"} <= set(names)
    assert not [name for name in names if "__pycache__" in name]

    venv.create(tmp_path / "venv", with_pip=True)
    python = tmp_path / "venv" / "bin" / "python"
    clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    install = [python, "-m", "pip", "install", "--no-index", "--no-deps", "--quiet", wheel]
    subprocess.run(install, check=True, env=clean)
    query = "import aiondb; print(aiondb.connect().sql('SELECT 6 * 7').fetchone()[0], aiondb.__file__)"
    answer = subprocess.run([python, "-c", query], check=True, env=clean, capture_output=True, text=True).stdout
    assert answer.startswith("42 ") and str(tmp_path) in answer
    version = subprocess.run([tmp_path / "venv" / "bin" / "aion", "--version"], check=True, capture_output=True, text=True)
    assert aiondb.__version__ in version.stdout
    shutil.rmtree(tmp_path / "venv")


def test_what_is_no_program_is_not_packed(tmp_path):
    (tmp_path / "text").write_text("no program")
    packer = [sys.executable, ROOT / "deploy" / "wheel.py", "--out", tmp_path / "wheels"]
    for path in (tmp_path / "text", tmp_path / "missing"):
        run = subprocess.run([*packer, "--library", path, "--program", path], capture_output=True, text=True)
        assert run.returncode != 0
        assert str(path) in run.stderr
    assert not (tmp_path / "wheels").exists()
