"""The README's examples run as they stand, and the stubs know every public name."""

import ast
import pathlib
import re

import pytest

import aiondb

PYTHON = pathlib.Path(__file__).resolve().parent.parent
EXAMPLES = [
    example
    for page in (PYTHON / "README.md", PYTHON.parent / "README.md")
    for example in re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL)
]


@pytest.mark.parametrize("example", EXAMPLES, ids=range(len(EXAMPLES)))
def test_an_example_runs(example, tmp_path, monkeypatch):
    if "polars" in example:
        for package in ("polars", "pandas", "pyarrow"):
            pytest.importorskip(package, reason=f"{package} is not installed: this example is not run")
    monkeypatch.chdir(tmp_path)
    exec(compile(example, "README.md", "exec"), {})


def test_there_are_examples():
    assert len(EXAMPLES) >= 5


def _members(body):
    names = set()
    for node in body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef):
            names.add(node.name)
        elif isinstance(node, ast.AnnAssign):
            names.add(node.target.id)
        elif isinstance(node, ast.Assign):
            names.update(target.id for target in node.targets)
    return names


def test_the_stubs_are_complete():
    stub = ast.parse((PYTHON / "aiondb" / "__init__.pyi").read_text())
    assert set(aiondb.__all__) <= _members(stub.body)
    classes = {node.name: _members(node.body) for node in stub.body if isinstance(node, ast.ClassDef)}
    for name in ("Connection", "Cursor", "Result"):
        public = {member for member in dir(getattr(aiondb, name)) if not member.startswith("_")}
        assert public - {"with_traceback", "add_note"} <= classes[name], name
        for member in public:
            there = getattr(getattr(aiondb, name), member)
            assert getattr(there, "__doc__", "x"), f"{name}.{member} says nothing"
