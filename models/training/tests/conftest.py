"""The package under test is the one beside this folder."""

import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))


@pytest.fixture(scope="session")
def lines():
    from synthetic import lines_of

    return lines_of(2000, 1)
