#!/usr/bin/env python3
"""Runs the demo for several seeds, and says how the learned loop did in each.

    python3 deploy/measure-loop.py build/aion OUT [--seeds 10] [--first 1] [--demo=--start=expert]

For each seed: what the promoted indexes gain of what those made by hand gain, of the exact templates and of all; the template that
became slowest, beside before; the states of what was planted; whether verify.py agrees, and whether it still does when one sample is
changed (it must not); whether the revert came. The folders stay below OUT; lines go to OUT/loop.jsonl as well. All figures are
computed from samples.csv and ledger.jsonl, not read from the demo's screen.
"""

from __future__ import annotations

import argparse
import csv
import json
import random
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Optional

# Answers through a vector index are approximate: nobody may recommend one.
APPROXIMATE = ("vector_nearest", "vector_filtered", "hybrid")


def medians(samples: Path) -> dict[str, dict[str, float]]:
    """Milliseconds, by arm and template."""
    times: dict[str, dict[str, list[float]]] = {}
    with samples.open(newline="") as file:
        for row in csv.DictReader(file):
            if row["phase"] == "workload":
                times.setdefault(row["arm"], {}).setdefault(row["template"], []).append(float(row["ms"]))
    return {arm: {name: statistics.median(ms) for name, ms in of_arm.items()} for arm, of_arm in times.items()}


def share(arms: dict[str, dict[str, float]], skipped: tuple[str, ...]) -> Optional[float]:
    """Of the gain by hand, what the promoted indexes gain; None where nothing was promoted or gained by hand."""
    if "after" not in arms:
        return None
    total = {arm: sum(ms for name, ms in arms[arm].items() if name not in skipped) for arm in ("before", "after", "by_hand")}
    by_hand = total["before"] - total["by_hand"]
    # Where the workload begins with the indexes made by hand, their gain is noise.
    return (total["before"] - total["after"]) / by_hand if by_hand > 0.2 * total["before"] else None


def saved(arms: dict[str, dict[str, float]]) -> Optional[float]:
    """Of the time before, what the promoted indexes save; None where nothing was promoted."""
    total = lambda arm: sum(ms for name, ms in arms[arm].items() if name not in APPROXIMATE)
    return 1.0 - total("after") / total("before") if "after" in arms else None


def verify(folder: Path) -> bool:
    return subprocess.run([sys.executable, folder / "verify.py"], capture_output=True).returncode == 0


def is_change_found(folder: Path, seed: int) -> bool:
    """Makes one sample of a rehearsal, drawn at random, longer in its last digit, and looks whether that is noticed."""
    path = folder / "samples.csv"
    before = path.read_text()
    lines = before.split("\n")
    at = random.Random(seed).choice([k for k, line in enumerate(lines) if line.startswith("rehearsal,")])
    fields = lines[at].split(",")
    fields[5] = str(float(fields[5]) + 0.000001)
    lines[at] = ",".join(fields)
    try:
        path.write_text("\n".join(lines))
        return not verify(folder)
    finally:
        path.write_text(before)


def look_at(folder: Path, seed: int) -> dict[str, Any]:
    arms = medians(folder / "samples.csv")
    ledger = [json.loads(line) for line in (folder / "ledger.jsonl").read_text().splitlines()]
    slowest = max(((arms["after"][name] / ms, name) for name, ms in arms["before"].items()), default=None) if "after" in arms else None
    indexes = [line for line in ledger if line["kind"] == "index"]
    ours = [line for line in indexes if line["origin"] == "advisor"]
    return {
        "seed": seed,
        "share_exact": share(arms, APPROXIMATE),
        "share_all": share(arms, ()),
        "saved_exact": saved(arms),
        "slowest": slowest,
        "planted": [(line["state"], line["state_reason"]) for line in indexes if line["origin"] == "planted"],
        "promoted": sum(line["state"] in ("watching", "kept", "ready") for line in ours),
        "rejected": sum(line["state"] in ("rejected", "failed") for line in ours),
        "reverted": sum(line["state"] == "reverted" for line in indexes),
        "verified": verify(folder),
        "change_found": is_change_found(folder, seed),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--first", type=int, default=1)
    parser.add_argument("--demo", action="append", default=[], metavar="ARGUMENT", help="of the demo, such as --demo=--start=expert")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    found = []
    for seed in range(arguments.first, arguments.first + arguments.seeds):
        folder = arguments.out / f"seed-{seed}"
        begin = time.monotonic()
        command = [arguments.program, "demo", "--seed", str(seed), "--out", folder, *arguments.demo]
        ran = subprocess.run(command, capture_output=True, text=True)
        (folder / "screen.txt").write_text(ran.stdout + ran.stderr)
        one = {**look_at(folder, seed), "seconds": round(time.monotonic() - begin, 1), "exit": ran.returncode}
        found.append(one)
        with (arguments.out / "loop.jsonl").open("a") as file:
            file.write(json.dumps(one) + "\n")
        part = lambda value: "-" if value is None else f"{value * 100:.0f} %"
        slowest = "-" if one["slowest"] is None else f"{one['slowest'][1]} {one['slowest'][0]:.2f}x"
        planted = ", ".join(state for state, _ in one["planted"])
        print(
            f"seed {seed}: {part(one['share_exact'])} of the gain by hand (all templates: {part(one['share_all'])}), {part(one['saved_exact'])} of the time saved, slowest {slowest}, "
            f"{one['promoted']} promoted, {one['rejected']} rejected, planted {planted}, {one['reverted']} reverted, "
            f"verify.py {'agrees' if one['verified'] else 'DISAGREES'}, a changed sample is {'found' if one['change_found'] else 'NOT FOUND'}, "
            f"{one['seconds']} s, exit {one['exit']}",
            flush=True,
        )
    for name in ("share_exact", "share_all"):
        shares = [one[name] for one in found if one[name] is not None]
        if shares:
            print(f"{name}: median {statistics.median(shares) * 100:.0f} %, least {min(shares) * 100:.0f} % of {len(shares)} seeds")
    slower = [one["seed"] for one in found if one["slowest"] and one["slowest"][0] > 1.1]
    print(f"seeds with a template more than 1.1 times slower than before: {slower or 'none'}")
    return 0 if all(one["exit"] == 0 and one["verified"] and one["change_found"] for one in found) else 1


if __name__ == "__main__":
    sys.exit(main())
