"""Rows to train on, as the database exports them: JSON lines, each with features, log2_ratio, censored, at and queryid."""

import hashlib
import json
from dataclasses import dataclass

import numpy

RATIO_MAX = 64.0
FIELDS = {"features", "log2_ratio", "censored", "at", "queryid"}


@dataclass
class Rows:
    """Columns of equal length, in the order of time."""

    features: numpy.ndarray
    log2_ratio: numpy.ndarray
    censored: numpy.ndarray
    at: numpy.ndarray
    queryid: numpy.ndarray
    sha256: str = ""

    def __len__(self):
        return len(self.at)

    def take(self, which):
        """The rows that an index or a mask names."""
        return Rows(
            self.features[which], self.log2_ratio[which], self.censored[which], self.at[which], self.queryid[which]
        )


def read_rows(lines):
    """Reads JSON lines (bytes). Raises ValueError with the number of a line that is no row."""
    parsed = []
    width = None
    for number, line in enumerate(lines.split(b"\n"), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            if not isinstance(row, dict) or set(row) != FIELDS:
                raise ValueError(f"its fields are not {sorted(FIELDS)}")
            if not isinstance(row["censored"], bool):
                raise ValueError("censored is neither true nor false")
            row["features"] = [float(value) for value in row["features"]]
            row["log2_ratio"] = float(row["log2_ratio"])
            if not numpy.isfinite(row["features"] + [row["log2_ratio"]]).all():
                raise ValueError("a number is not finite")
            width = len(row["features"]) if width is None else width
            if len(row["features"]) != width:
                raise ValueError(f"it has {len(row['features'])} features, not {width}")
        except (ValueError, TypeError) as error:
            raise ValueError(f"line {number}: {error}") from error
        parsed.append(row)
    if not parsed:
        raise ValueError("there are no rows")
    parsed.sort(key=lambda row: row["at"])
    return Rows(
        numpy.array([row["features"] for row in parsed], dtype=numpy.float64),
        numpy.clip(numpy.array([row["log2_ratio"] for row in parsed], dtype=numpy.float64), -RATIO_MAX, RATIO_MAX),
        numpy.array([row["censored"] for row in parsed], dtype=bool),
        numpy.array([row["at"] for row in parsed], dtype=numpy.int64),
        numpy.array([row["queryid"] for row in parsed], dtype=numpy.int64),
        hashlib.sha256(lines).hexdigest(),
    )
