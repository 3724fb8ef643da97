#!/usr/bin/env python3
"""Recomputes each verdict of an Aion demo from its raw samples, and checks the ledger's chain.

    python3 verify.py [DIR]      DIR is the folder with the evidence, by default the one this file lies in

Python 3.9 and its standard library are all it needs. It shares no code with Aion and never asks the database: what it prints
follows from five files, each of which can be read with a text editor.

    samples.csv      every execution that was measured, in milliseconds, in the order of measuring
    ledger.jsonl     every recommendation: its figures, its verdict, its budget, and the seed of its random draws
    evidence.jsonl   what the database stored beside each verdict: the pairs, in the very bytes that its decision is sealed with
    decisions.jsonl  every move of a recommendation from state to state, chained by hashes
    SHA256SUMS       the files as the demo left them; `sha256sum -c SHA256SUMS` checks it, too

A recommendation is a proposed change, such as an index. In its rehearsal the statements of the workload run on two copies of the
database: the *incumbent* is the database as it is, the *candidate* has the change.

How a verdict is recomputed
  1. Pairs. The k-th incumbent and the k-th candidate sample of a statement are its pair k: same literals, one after the other.
  2. Speed-up. A statement's is the median of its incumbent times over that of its candidate times. The workload's is the same over
     sums: each statement's median times how often it was called. Statements that the ledger calls excluded do not count.
  3. Interval. 1,000 times, each statement's pairs are drawn with replacement, as many as there are, and the speed-up is computed
     again; 2.5 % of the results lie below the lower bound and 2.5 % above the upper (a stratified bootstrap). The draws come from
     SplitMix64 with the ledger's seed, so the bounds must be the same to rounding.
  4. Worst statement. The one with the least speed-up; its interval is drawn with the seed + 1 + its place among those that count.
  5. Writes. How much longer the median of the candidate's writes takes, in per cent; and how many more bytes they put into the log,
     in per cent of the rows' own.
  6. Answers. Where the ledger says that answers were equal, each pair's row counts and hashes must be equal.
  7. Verdict. The rules of judge() below, in their order; verdict and reason must be the ledger's.
  8. Chain. Each decision's hash is the SHA-256 over its fields and the hash before it. The decisions must lead to the states that
     the ledger shows, and those that follow a rehearsal must carry its seed.
  9. Seal. The decision after a rehearsal carries the SHA-256 of its evidence. The evidence must have that hash, the pairs of
     samples.csv to the last digit, and the budget, the costs and the counts of the ledger.

Figures may differ by 1e-9 relative. What cannot be recomputed, and is taken from the evidence: bytes and build time of a change, the
bytes of its writes, the budget, why a statement was excluded, whether there was time for more pairs, and the one unmeasured execution with which each
statement begins. The samples of the phase `workload` decide nothing; only SHA256SUMS vouches for them. A forger who writes all
files anew is not found here: for that, run the demo yourself, and keep the last hash of the chain.

Exit code: 0 when all agrees, 1 when something does not, 2 when a file is missing or unreadable.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import math
import os
import re
import sys
from typing import Any, NamedTuple, Optional

RESAMPLES = 1000
LOW = RESAMPLES * 25 // 1000
TINY = sys.float_info.min
TOLERANCE = 1e-9
GENESIS = "0" * 64
READY, REJECTED, UNDECIDED = "ready", "rejected", "undecided"
# A recommendation stands here only after a rehearsal that ended well.
PROVEN_STATES = ("ready", "applying", "watching", "kept")


class Unreadable(Exception):
    """A file is missing, or is not what it should be."""


# --- Reading -------------------------------------------------------------------------------------------------------------------

SAMPLE_FIELDS = ["phase", "candidate_id", "template", "arm", "literal_hash", "ms", "rows", "result_hash"]
REHEARSAL_ARMS = ("incumbent", "candidate")
WORKLOAD_ARMS = ("before", "after", "by_hand", "duckdb")
WRITE = "write"

TEXT, WHOLE, NUMBER, FLAG, NULL = (str,), (int,), (int, float), (bool,), (type(None),)
LEDGER_FIELDS = {"id": WHOLE, "kind": TEXT, "command": TEXT, "state": TEXT, "rehearsed": FLAG}
REHEARSED_FIELDS = {
    "verdict": TEXT,
    "verdict_reason": TEXT + NULL,
    "before_ms": NUMBER + NULL,
    "after_ms": NUMBER + NULL,
    "speedup": NUMBER + NULL,
    "speedup_low": NUMBER + NULL,
    "speedup_high": NUMBER + NULL,
    "worst_queryid": WHOLE + NULL,
    "worst_speedup": NUMBER + NULL,
    "samples": WHOLE,
    "results_equal": FLAG,
    "write_cost_pct": NUMBER + NULL,
    "written_bytes": (list,) + NULL,
    "size_bytes": WHOLE,
    "memory_bytes": WHOLE,
    "build_ms": NUMBER,
    "seed": WHOLE,
    "had_time": FLAG,
    "budget": (dict,),
    "statements": (list,),
}
BUDGET_FIELDS = {
    "speedup_min": NUMBER,
    "slowdown_max": NUMBER,
    "pairs_min": WHOLE,
    "pairs_max": WHOLE,
    "size_bytes_max": WHOLE,
    "memory_bytes_max": WHOLE,
    "write_cost_pct_max": NUMBER,
    "write_bytes_pct_max": NUMBER,
}
STATEMENT_FIELDS = {"queryid": WHOLE, "calls": WHOLE, "compared": WHOLE, "equal": WHOLE, "excluded": TEXT + NULL}
# In the order in which they are hashed.
DECISION_FIELDS = {
    "seq": WHOLE,
    "at": WHOLE,
    "recommendation_id": WHOLE,
    "from_state": TEXT + NULL,
    "to_state": TEXT,
    "actor": TEXT,
    "reason": TEXT,
    "log_index": WHOLE,
    "version": TEXT,
    "seed": WHOLE,
    "evidence_sha256": TEXT + NULL,
    "prev_hash": TEXT,
}


class Execution(NamedTuple):
    """One sample of a rehearsal."""

    ms: float
    literal_hash: str
    rows: str
    result_hash: str

    @property
    def answer(self) -> tuple[str, str]:
        return self.rows, self.result_hash

    @property
    def is_answered(self) -> bool:
        """False for a write, and where the execution was given up."""
        return bool(self.result_hash)


class Samples(NamedTuple):
    """What samples.csv holds."""

    # By recommendation and statement (or "write"), then by arm.
    rehearsals: dict[tuple[str, str], dict[str, list[Execution]]]
    # By template, then by arm, in milliseconds.
    workload: dict[str, dict[str, list[float]]]


def read_text(path: str) -> str:
    try:
        with open(path, encoding="utf-8", newline="") as file:
            return file.read()
    except OSError as error:
        raise Unreadable(f"cannot read {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise Unreadable(f"{path} is not UTF-8: {error}") from error


def read_samples(path: str) -> Samples:
    lines = csv.reader(io.StringIO(read_text(path), newline=""), strict=True)
    samples = Samples({}, {})
    try:
        header = next(lines, [])
        if header != SAMPLE_FIELDS:
            raise Unreadable(f"{path}: the header is {','.join(header)}, not {','.join(SAMPLE_FIELDS)}")
        for line in lines:
            if not line:
                continue
            place = f"{path}, line {lines.line_num}"
            if len(line) != len(SAMPLE_FIELDS):
                raise Unreadable(f"{place}: {len(line)} fields, not {len(SAMPLE_FIELDS)}")
            phase, candidate_id, template, arm, literal_hash, ms, rows, result_hash = line
            if phase == "rehearsal" and arm in REHEARSAL_ARMS:
                arms = samples.rehearsals.setdefault((candidate_id, template), {arm: [] for arm in REHEARSAL_ARMS})
                arms[arm].append(Execution(milliseconds(ms, place), literal_hash, rows, result_hash))
            elif phase == "workload" and arm in WORKLOAD_ARMS:
                samples.workload.setdefault(template, {}).setdefault(arm, []).append(milliseconds(ms, place))
            else:
                raise Unreadable(f"{place}: no phase {phase!r} has an arm {arm!r}")
    except csv.Error as error:
        raise Unreadable(f"{path}, line {lines.line_num}: {error}") from error
    return samples


def milliseconds(text: str, place: str) -> float:
    try:
        ms = float(text)
    except ValueError:
        ms = math.nan
    if not 0.0 < ms < math.inf:
        raise Unreadable(f"{place}: {text!r} is no time in milliseconds")
    return ms


def read_objects(path: str) -> list[tuple[str, dict[str, Any]]]:
    """The JSON objects of a file, one a line, each with its place for messages."""
    objects = []
    # Not splitlines(): texts may hold other line separators than the newline.
    for number, line in enumerate(read_text(path).split("\n"), 1):
        if not line.strip():
            continue
        place = f"{path}, line {number}"
        try:
            value = json.loads(line)
        except ValueError as error:
            raise Unreadable(f"{place}: {error}") from error
        if not isinstance(value, dict):
            raise Unreadable(f"{place}: it is no JSON object")
        objects.append((place, value))
    return objects


def check_fields(value: Any, fields: dict[str, tuple[type, ...]], place: str) -> None:
    if not isinstance(value, dict):
        raise Unreadable(f"{place}: it is no JSON object")
    for name, types in fields.items():
        if name not in value:
            raise Unreadable(f"{place}: {name} is missing")
        if type(value[name]) not in types:
            raise Unreadable(f"{place}: {name} is {json.dumps(value[name])}, which is of the wrong type")


def read_ledger(path: str) -> list[dict[str, Any]]:
    lines, ids = [], set()
    for place, line in read_objects(path):
        check_fields(line, LEDGER_FIELDS, place)
        if line["id"] in ids:
            raise Unreadable(f"{place}: recommendation {line['id']} stands there twice")
        ids.add(line["id"])
        if line["rehearsed"]:
            check_fields(line, REHEARSED_FIELDS, place)
            check_fields(line["budget"], BUDGET_FIELDS, f"{place}, budget")
            written = line["written_bytes"]
            if written is not None and [type(bytes_of_arm) for bytes_of_arm in written] != [int, int, int]:
                raise Unreadable(f"{place}: written_bytes is {json.dumps(written)}, which is of the wrong type")
            if line["budget"]["slowdown_max"] <= 0:
                raise Unreadable(f"{place}, budget: slowdown_max is not above 0")
            for statement in line["statements"]:
                check_fields(statement, STATEMENT_FIELDS, f"{place}, statements")
            queryids = [statement["queryid"] for statement in line["statements"]]
            if len(set(queryids)) < len(queryids):
                raise Unreadable(f"{place}, statements: a queryid stands there twice")
        lines.append(line)
    return lines


def read_decisions(path: str) -> list[dict[str, Any]]:
    decisions = []
    for place, decision in read_objects(path):
        check_fields(decision, {**DECISION_FIELDS, "hash": TEXT}, place)
        decisions.append(decision)
    return decisions


EVIDENCE_FIELDS = {"id": WHOLE, "evidence": TEXT}
PROOF_FIELDS = {"seed": WHOLE, "had_time": FLAG, "budget": (dict,), "evidence": (dict,)}
MEASURED_FIELDS = {
    "statements": (list,),
    "writes": (list,),
    "written_bytes": (list,) + NULL,
    "size_bytes": WHOLE,
    "memory_bytes": WHOLE,
    "build_ms": NUMBER,
}
PAIR_FIELDS = {"incumbent_ms": NUMBER, "candidate_ms": NUMBER}


class Proof(NamedTuple):
    """What the database stored beside a verdict."""

    sha256: str
    content: dict[str, Any]


def read_evidence(path: str) -> dict[int, Proof]:
    proofs = {}
    for place, line in read_objects(path):
        check_fields(line, EVIDENCE_FIELDS, place)
        text = line["evidence"]
        try:
            content = json.loads(text)
        except ValueError as error:
            raise Unreadable(f"{place}: the evidence is no JSON: {error}") from error
        check_fields(content, PROOF_FIELDS, place)
        check_fields(content["evidence"], MEASURED_FIELDS, place)
        for statement in content["evidence"]["statements"]:
            check_fields(statement, {**STATEMENT_FIELDS, "pairs": (list,)}, place)
        for pair in pairs_of(content["evidence"]):
            check_fields(pair, PAIR_FIELDS, place)
        proofs[line["id"]] = Proof(hashlib.sha256(text.encode("utf-8", errors="replace")).hexdigest(), content)
    return proofs


def pairs_of(evidence: dict[str, Any]) -> list[Any]:
    return [*evidence["writes"], *(pair for statement in evidence["statements"] for pair in statement["pairs"])]


def check_sums(folder: str) -> list[str]:
    """Files that are not as the demo left them."""
    found, names = [], set()
    for number, line in enumerate(read_text(os.path.join(folder, "SHA256SUMS")).splitlines(), 1):
        match = re.fullmatch(r"([0-9a-f]{64})  ([A-Za-z0-9_.-]+)", line)
        if match is None:
            raise Unreadable(f"SHA256SUMS, line {number}: it is no hash and name")
        stated, name = match.groups()
        names.add(name)
        try:
            with open(os.path.join(folder, name), "rb") as file:
                actual = hashlib.sha256(file.read()).hexdigest()
        except OSError as error:
            raise Unreadable(f"cannot read {name}: {error.strerror}") from error
        if actual != stated:
            found.append(f"{name}: it is not as the demo left it, by SHA256SUMS")
    for name in ("samples.csv", "ledger.jsonl", "evidence.jsonl", "decisions.jsonl"):
        if name not in names:
            found.append(f"{name}: SHA256SUMS does not name it")
    return found


# --- Statistics ----------------------------------------------------------------------------------------------------------------


class SplitMix64:
    """The generator of Steele, Lea and Flood (2014): the same seed gives the same numbers, here as in Aion."""

    def __init__(self, seed: int) -> None:
        self.state = seed % 2**64

    def below(self, limit: int, count: int) -> list[int]:
        """The next `count` numbers below `limit`: the high 64 bits of 64 random bits times the limit."""
        state, mask, numbers = self.state, 2**64 - 1, []
        for _ in range(count):
            state = (state + 0x9E3779B97F4A7C15) & mask
            z = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & mask
            z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & mask
            numbers.append(((z ^ (z >> 31)) * limit) >> 64)
        self.state = state
        return numbers


class Stratum(NamedTuple):
    """The pairs of one statement: incumbent[k] and candidate[k] are pair k, in milliseconds."""

    calls: int
    incumbent: list[float]
    candidate: list[float]


class Speedup(NamedTuple):
    point: float
    low: float
    high: float


def median(values: list[float]) -> float:
    values = sorted(values)
    middle = len(values) // 2
    return values[middle] if len(values) % 2 else (values[middle - 1] + values[middle]) / 2.0


def weighted_ms(strata: list[Stratum]) -> tuple[float, float]:
    """The workload's time in each arm: each statement's median times its calls."""
    before = after = 0.0
    for calls, incumbent, candidate in strata:
        before += calls * median(incumbent)
        after += calls * median(candidate)
    return before, after


def ratio(strata: list[Stratum]) -> float:
    before, after = weighted_ms(strata)
    return before / max(after, TINY)


def bootstrap(strata: list[Stratum], seed: int) -> Speedup:
    random = SplitMix64(seed)
    ratios = []
    for _ in range(RESAMPLES):
        drawn_strata = []
        for calls, incumbent, candidate in strata:
            drawn = random.below(len(incumbent), len(incumbent))
            drawn_strata.append(Stratum(calls, [incumbent[k] for k in drawn], [candidate[k] for k in drawn]))
        ratios.append(ratio(drawn_strata))
    ratios.sort()
    return Speedup(ratio(strata), ratios[LOW], ratios[RESAMPLES - 1 - LOW])


# --- The verdict ---------------------------------------------------------------------------------------------------------------


class Figures(NamedTuple):
    """What follows from the samples of one recommendation, before it is judged."""

    before_ms: float
    after_ms: float
    # None where no statement could be compared, as is `worst`.
    speedup: Optional[Speedup]
    worst_queryid: Optional[int]
    worst: Optional[Speedup]
    samples: int
    results_equal: bool
    write_cost_pct: Optional[float]
    # The lower bound of its 95 % interval.
    write_cost_least_pct: Optional[float]
    # Pairs of the statement that has the fewest, and of writes.
    pairs_fewest: int
    pairs_of_writes: int


def compute(line: dict[str, Any], pairs: dict[int, Stratum], writes: Stratum) -> Figures:
    """The figures of a line of the ledger; `pairs` has the statements that count, by queryid, in the ledger's order."""
    strata = [stratum for stratum in pairs.values() if stratum.incumbent]
    alone = [(ratio([stratum]), place) for place, stratum in enumerate(pairs.values()) if stratum.incumbent]
    worst_queryid = worst = None
    if alone:
        # Of equal ones the first.
        _, place = min(alone)
        worst_queryid = list(pairs)[place]
        worst = bootstrap([pairs[worst_queryid]], line["seed"] + 1 + place)
    before_ms, after_ms = weighted_ms(strata)
    counted = [statement for statement in line["statements"] if statement["excluded"] is None]
    return Figures(
        before_ms=before_ms,
        after_ms=after_ms,
        speedup=bootstrap(strata, line["seed"]) if strata else None,
        worst_queryid=worst_queryid,
        worst=worst,
        samples=sum(len(stratum.incumbent) for stratum in strata),
        results_equal=all(statement["equal"] == statement["compared"] for statement in counted),
        write_cost_pct=(1.0 / ratio([writes]) - 1.0) * 100.0 if writes.incumbent else None,
        write_cost_least_pct=(1.0 / bootstrap([writes], line["seed"]).high - 1.0) * 100.0 if writes.incumbent else None,
        pairs_fewest=min((len(stratum.incumbent) for stratum in pairs.values()), default=0),
        pairs_of_writes=len(writes.incumbent),
    )


def judge(line: dict[str, Any], figures: Figures) -> tuple[str, Optional[str]]:
    """The verdict and its reason: of these rules, the first that holds."""
    budget, speedup, worst = line["budget"], figures.speedup, figures.worst
    if not figures.results_equal:
        counted = [statement for statement in line["statements"] if statement["excluded"] is None]
        differ = [str(statement["queryid"]) for statement in counted if statement["equal"] < statement["compared"]]
        return REJECTED, f"answers differ: statements {', '.join(differ)}"
    if speedup is None or worst is None:
        return REJECTED, "nothing to compare: no statement that can be rehearsed would run another way"
    size, memory, cost = line["size_bytes"], line["memory_bytes"], figures.write_cost_pct
    if size > budget["size_bytes_max"]:
        return REJECTED, f"it takes {size} bytes, {budget['size_bytes_max']} are allowed"
    if memory > budget["memory_bytes_max"]:
        return REJECTED, f"it takes {memory} bytes of memory, {budget['memory_bytes_max']} are allowed"
    written, more_max = line["written_bytes"], budget["write_bytes_pct_max"]
    if written and written[0] > 0:
        more = (written[2] - written[1]) / written[0] * 100.0
        if more > more_max:
            return REJECTED, f"writes put {more:.1f} % of their rows' bytes more into the log, {more_max:.1f} % are allowed"
    cost_max, least = budget["write_cost_pct_max"], figures.write_cost_least_pct
    costly = cost is not None and figures.pairs_of_writes >= budget["pairs_min"] and cost > cost_max
    too_costly = f"writes take {cost or 0:.1f} % longer, {cost_max:.1f} % are allowed"
    if costly and least is not None and least > cost_max:
        return REJECTED, too_costly
    if figures.pairs_fewest < budget["pairs_min"]:
        if line["had_time"]:
            return UNDECIDED, None
        return REJECTED, f"not shown: {figures.pairs_fewest} pairs of a statement, {budget['pairs_min']} are needed"
    floor = 1.0 / budget["slowdown_max"]
    loses, pays = worst.point < floor, speedup.low >= budget["speedup_min"]
    times = 1.0 / worst.point
    if loses and worst.high < floor:
        return REJECTED, f"statement {figures.worst_queryid} becomes {times:.2f} times slower"
    if pays and not loses and not costly:
        return READY, None
    if line["had_time"] and figures.pairs_fewest < budget["pairs_max"]:
        return UNDECIDED, None
    if costly:
        return REJECTED, too_costly
    if pays:
        return REJECTED, f"statement {figures.worst_queryid} may become {times:.2f} times slower"
    point, low, high = speedup
    wanted = f"at least {budget['speedup_min']:.2f} is asked for"
    return REJECTED, f"not shown to pay: {point:.2f}x ({low:.2f} to {high:.2f}), {wanted}"


REASON_KINDS = [
    ("answers differ", r"answers differ: "),
    ("nothing to compare", r"nothing to compare"),
    ("too much memory", r"it takes \d+ bytes of memory, "),
    ("too many bytes", r"it takes \d+ bytes, "),
    ("writes too large", r"writes put "),
    ("writes too slow", r"writes take "),
    ("too few pairs", r"not shown: "),
    ("a statement slower", r"statement -?\d+ becomes "),
    ("a statement may be slower", r"statement -?\d+ may become "),
    ("not shown to pay", r"not shown to pay: "),
]


def kind_of(reason: Optional[str]) -> str:
    found = (kind for kind, pattern in REASON_KINDS if re.match(pattern, reason or ""))
    return next(found, "unknown")


# --- Comparing with the ledger -------------------------------------------------------------------------------------------------


class Checked(NamedTuple):
    """A rehearsed recommendation, recomputed."""

    line: dict[str, Any]
    figures: Figures
    verdict: str
    reason: Optional[str]
    disagreements: list[str]


def check_rehearsed(line: dict[str, Any], samples: Samples) -> Checked:
    disagreements: list[str] = []
    key = str(line["id"])
    nothing: dict[str, list[Execution]] = {arm: [] for arm in REHEARSAL_ARMS}
    pairs = {}
    for statement in line["statements"]:
        if statement["excluded"] is None:
            queryid = statement["queryid"]
            arms = samples.rehearsals.get((key, str(queryid)), nothing)
            disagreements += check_answers(statement, arms)
            pairs[queryid] = paired(max(statement["calls"], 1), arms, f"statement {queryid}", disagreements)
            if not pairs[queryid].incumbent:
                disagreements.append(f"statement {queryid}: no pair of it is in samples.csv")
    writes = paired(1, samples.rehearsals.get((key, WRITE), nothing), "writes", disagreements)
    figures = compute(line, pairs, writes)
    verdict, reason = judge(line, figures)
    disagreements += compare_figures(line, figures)
    disagreements += compare_verdict(line, verdict, reason)
    return Checked(line, figures, verdict, reason, disagreements)


def paired(calls: int, arms: dict[str, list[Execution]], what: str, disagreements: list[str]) -> Stratum:
    incumbent, candidate = ([execution.ms for execution in arms[arm]] for arm in REHEARSAL_ARMS)
    if len(incumbent) != len(candidate):
        disagreements.append(f"{what}: {len(incumbent)} incumbent and {len(candidate)} candidate samples make no pairs")
    for k, (one, two) in enumerate(zip(*(arms[arm] for arm in REHEARSAL_ARMS)), 1):
        if one.literal_hash != two.literal_hash:
            disagreements.append(f"{what}, pair {k}: the literals differ")
    count = min(len(incumbent), len(candidate))
    return Stratum(calls, incumbent[:count], candidate[:count])


def check_answers(statement: dict[str, Any], arms: dict[str, list[Execution]]) -> list[str]:
    queryid, compared, equal = statement["queryid"], statement["compared"], statement["equal"]
    found = []
    pairs = enumerate(zip(*(arms[arm] for arm in REHEARSAL_ARMS)), 1)
    answered = [(k, one, two) for k, (one, two) in pairs if one.is_answered and two.is_answered]
    differ = [(k, one, two) for k, one, two in answered if one.answer != two.answer]
    if len(differ) > compared - equal:
        k, one, two = differ[0]
        answers = f"{one.rows} rows with hash {one.result_hash} and {two.rows} rows with hash {two.result_hash}"
        found.append(f"statement {queryid}, pair {k}: the answers differ ({answers}), but {equal} of {compared} are called equal")
    # The unmeasured first execution of each statement is compared, too, unless it was given up.
    if not len(answered) <= compared <= len(answered) + 1:
        found.append(f"statement {queryid}: {len(answered)} pairs have answers, but {compared} are said to have been compared")
    if not 0 <= equal <= compared:
        found.append(f"statement {queryid}: {equal} of {compared} compared answers cannot be equal")
    return found


def is_same(recomputed: Any, stated: Any) -> bool:
    if isinstance(recomputed, float) and type(stated) in NUMBER:
        # The absolute term is for percentages next to 0, which are differences of numbers next to 1.
        return math.isclose(recomputed, stated, rel_tol=TOLERANCE, abs_tol=1e-12)
    return recomputed == stated


def compare_figures(line: dict[str, Any], figures: Figures) -> list[str]:
    speedup, worst = figures.speedup, figures.worst
    recomputed = {
        "before_ms": figures.before_ms,
        "after_ms": figures.after_ms,
        "speedup": speedup and speedup.point,
        "speedup_low": speedup and speedup.low,
        "speedup_high": speedup and speedup.high,
        "worst_queryid": figures.worst_queryid,
        "worst_speedup": worst and worst.point,
        "samples": figures.samples,
        "results_equal": figures.results_equal,
        "write_cost_pct": figures.write_cost_pct,
    }
    found = []
    for name, value in recomputed.items():
        stated = line[name]
        # A workload of which nothing could be compared took no time, or an unknown one.
        is_unknown = speedup is None and stated is None and name in ("before_ms", "after_ms")
        if not is_same(value, stated) and not is_unknown:
            found.append(f"{name} is {json.dumps(stated)} in the ledger, and {json.dumps(value)} by the samples")
    return found


def compare_verdict(line: dict[str, Any], verdict: str, reason: Optional[str]) -> list[str]:
    stated, stated_reason = line["verdict"], line["verdict_reason"]
    if verdict != stated:
        because = f" ({reason})" if reason else ""
        return [f"the verdict is {stated} in the ledger, and {verdict}{because} by the rules"]
    if verdict == REJECTED and kind_of(reason) != kind_of(stated_reason):
        kinds = f"{kind_of(stated_reason)} in the ledger, and {kind_of(reason)} by the rules"
        return [f"the reason of the verdict is of the kind: {kinds} ({reason})"]
    if verdict == REJECTED and reason != stated_reason:
        return [f'the reason of the verdict is "{stated_reason}" in the ledger, and "{reason}" by the rules']
    return []


def check_seal(
    line: dict[str, Any], samples: Samples, proof: Optional[Proof], decisions: Optional[list[dict[str, Any]]]
) -> list[str]:
    """What the evidence says otherwise than ledger and samples, and than the decisions, where their chain is intact."""
    if proof is None:
        return ["evidence.jsonl has no evidence of it"]
    found = []
    about = (one for one in decisions or [] if one["recommendation_id"] == line["id"])
    sealed = [one["evidence_sha256"] for one in about if one["evidence_sha256"]]
    if decisions is not None and sealed[-1:] != [proof.sha256]:
        found.append("its evidence is not the one that its decision is sealed with")
    content, evidence = proof.content, proof.content["evidence"]
    for name in ("seed", "had_time", "budget"):
        if content[name] != line[name]:
            found.append(f"{name} is {json.dumps(line[name])} in the ledger, and {json.dumps(content[name])} in the evidence")
    for name in ("size_bytes", "memory_bytes", "build_ms", "written_bytes"):
        if evidence[name] != line[name]:
            found.append(f"{name} is {json.dumps(line[name])} in the ledger, and {json.dumps(evidence[name])} in the evidence")
    stated = [{name: one[name] for name in STATEMENT_FIELDS} for one in evidence["statements"]]
    if stated != [{name: one[name] for name in STATEMENT_FIELDS} for one in line["statements"]]:
        found.append("the statements are counted otherwise in the ledger than in the evidence")
    stored = {str(one["queryid"]): one["pairs"] for one in evidence["statements"] if one["excluded"] is None}
    nothing: dict[str, list[Execution]] = {arm: [] for arm in REHEARSAL_ARMS}
    for template, pairs in [*stored.items(), (WRITE, evidence["writes"])]:
        arms = samples.rehearsals.get((str(line["id"]), template), nothing)
        for arm in REHEARSAL_ARMS:
            stored_ms, sampled_ms = [pair[f"{arm}_ms"] for pair in pairs], [one.ms for one in arms[arm]]
            if stored_ms == sampled_ms:
                continue
            what = f"{template}, {arm}: samples.csv has other times than the evidence"
            differ = [k for k, (one, two) in enumerate(zip(stored_ms, sampled_ms), 1) if one != two]
            found.append(f"{what}, first in pair {differ[0]}" if differ else f"{what}, and not as many")
    return found


def check_unrehearsed(line: dict[str, Any]) -> list[str]:
    found = []
    if line.get("verdict") == READY:
        found.append("the verdict is ready in the ledger, and it was not rehearsed")
    if line["state"] in PROVEN_STATES:
        found.append(f"it is {line['state']}, and it was not rehearsed")
    return found


def find_strays(ledger: list[dict[str, Any]], samples: Samples) -> list[str]:
    """Samples of a rehearsal that no line of the ledger counts."""
    known = {str(line["id"]) for line in ledger}
    counted = set()
    for line in ledger:
        if line["rehearsed"]:
            counted.add((str(line["id"]), WRITE))
            of_line = (one for one in line["statements"] if one["excluded"] is None)
            counted |= {(str(line["id"]), str(statement["queryid"])) for statement in of_line}
    strays = []
    for (candidate_id, template), arms in samples.rehearsals.items():
        if (candidate_id, template) not in counted:
            count = sum(len(executions) for executions in arms.values())
            why = "them" if candidate_id in known else "that recommendation"
            of = f"recommendation {candidate_id}: samples.csv has {count} samples of {template}"
            strays.append(f"{of}, and no rehearsal of the ledger counts {why}")
    return strays


# --- The chain -----------------------------------------------------------------------------------------------------------------


def hash_of(decision: dict[str, Any]) -> str:
    fields = [decision[name] for name in DECISION_FIELDS]
    line = json.dumps(fields, separators=(",", ":"), ensure_ascii=False)
    # A half of a surrogate pair is no text; replaced, it has another hash.
    return hashlib.sha256(line.encode("utf-8", errors="replace")).hexdigest()


def first_broken(decisions: list[dict[str, Any]]) -> Optional[tuple[int, str]]:
    """The `seq` of the first decision that does not belong where it stands, and why."""
    expected, last_hash = 1, GENESIS
    for decision in decisions:
        seq = decision["seq"]
        if seq != expected:
            return seq, f"decision {expected} is missing before it"
        if decision["prev_hash"] != last_hash:
            return seq, "it does not follow the decision before it"
        if decision["hash"] != hash_of(decision):
            return seq, "its fields are not those that it was made with"
        expected, last_hash = seq + 1, decision["hash"]
    return None


def check_decisions(ledger: list[dict[str, Any]], decisions: list[dict[str, Any]]) -> dict[int, list[str]]:
    """What the decisions on each recommendation say otherwise than the ledger."""
    by_id: dict[int, list[dict[str, Any]]] = {line["id"]: [] for line in ledger}
    found: dict[int, list[str]] = {}
    for decision in decisions:
        by_id.setdefault(decision["recommendation_id"], []).append(decision)
    lines = {line["id"]: line for line in ledger}
    for recommendation_id, about in by_id.items():
        complaints = found.setdefault(recommendation_id, [])
        line = lines.get(recommendation_id)
        if line is None:
            complaints.append(f"decision {about[0]['seq']} is on it, and the ledger does not have it")
            continue
        if not about:
            complaints.append("no decision is on it")
            continue
        last = about[-1]
        if last["to_state"] != line["state"]:
            complaints.append(f"it is {line['state']} in the ledger, and {last['to_state']} by decision {last['seq']}")
        if line["rehearsed"]:
            judged = [one for one in about if one["from_state"] == "rehearsing" and one["seed"] == line["seed"]]
            if not judged:
                complaints.append(f"no decision after a rehearsal carries its seed, {line['seed']}")
            elif judged[-1]["to_state"] == READY and line["verdict"] != READY:
                complaints.append(f"decision {judged[-1]['seq']} made it ready, and the verdict is {line['verdict']}")
    return found


# --- The report ----------------------------------------------------------------------------------------------------------------


def print_table(rows: list[list[str]]) -> None:
    """Columns flush right but the first."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        cells = [cell.rjust(width) for cell, width in zip(row, widths)]
        print("  " + "  ".join([row[0].ljust(widths[0])] + cells[1:]).rstrip())


def shown(value: Optional[float], pattern: str) -> str:
    return "-" if value is None else pattern.format(value)


def print_workload(workload: dict[str, dict[str, list[float]]]) -> None:
    print("Workload: medians of each template, in ms; the total is the sum of the medians")
    rows = [["template", "before ms", "after ms", "by_hand ms", "duckdb ms", "before/after", "before/by_hand"]]
    totals: dict[str, Optional[float]] = {}
    medians = {template: {arm: median(ms) for arm, ms in arms.items()} for template, arms in workload.items()}
    for arm in WORKLOAD_ARMS:
        # A total of some of the templates would be compared with one of all.
        is_whole = all(arm in arms for arms in medians.values())
        totals[arm] = sum(arms[arm] for arms in medians.values()) if is_whole else None
    for name, arms in [*medians.items(), ("total", totals)]:
        before = arms.get("before")
        over = [before / arms[arm] if before and arms.get(arm) else None for arm in ("after", "by_hand")]
        cells = [shown(arms.get(arm), "{:.3f}") for arm in WORKLOAD_ARMS] + [shown(one, "{:.2f}x") for one in over]
        rows.append([name] + cells)
    print_table(rows)
    before, after, by_hand = totals["before"], totals["after"], totals["by_hand"]
    if before is None or after is None or by_hand is None:
        print("  The share of the by-hand gain needs the arms before, after and by_hand of each template.")
    elif before <= by_hand:
        print("  The indexes made by hand gained nothing in total.")
    else:
        share = (before - after) / (before - by_hand) * 100.0
        print(f"  `after` reaches {share:.1f} % of the gain by hand: {before - after:.3f} ms of {before - by_hand:.3f} ms.")
    print()


def print_rehearsals(checked: list[Checked], unrehearsed: list[dict[str, Any]]) -> None:
    print(f"Rehearsals, recomputed: intervals of 95 % by {RESAMPLES} resamples; before and after are medians times calls")
    rows = [["id", "kind", "verdict", "speed-up", "interval", "worst", "pairs", "before ms", "after ms", "writes", "ledger"]]
    for one in checked:
        figures, speedup = one.figures, one.figures.speedup
        interval = f"{speedup.low:.2f} to {speedup.high:.2f}" if speedup else "-"
        worst = figures.worst and figures.worst.point
        cells = [shown(speedup and speedup.point, "{:.2f}x"), interval, shown(worst, "{:.2f}x"), str(figures.samples)]
        cells += [f"{figures.before_ms:.3f}", f"{figures.after_ms:.3f}", shown(figures.write_cost_pct, "{:+.1f} %")]
        agrees = "disagrees" if one.disagreements else "agrees"
        rows.append([str(one.line["id"]), one.line["kind"], one.verdict] + cells + [agrees])
    print_table(rows)
    for one in checked:
        because = f": {one.reason}" if one.reason else ""
        print(f"  {one.line['id']}  {one.line['command']}")
        print(f"     {one.verdict}{because}")
    for line in unrehearsed:
        print(f"  {line['id']}  {line['command']}")
        reason = line.get("state_reason") or line.get("verdict_reason") or "no reason is given"
        print(f"     not rehearsed, {line['state']}: {reason}")
    print()


def verify(folder: str) -> int:
    samples = read_samples(os.path.join(folder, "samples.csv"))
    ledger = read_ledger(os.path.join(folder, "ledger.jsonl"))
    proofs = read_evidence(os.path.join(folder, "evidence.jsonl"))
    decisions = read_decisions(os.path.join(folder, "decisions.jsonl"))
    edited = check_sums(folder)

    broken = first_broken(decisions)
    # What an edited chain says of a recommendation is not worth comparing.
    trusted = decisions if broken is None else None
    decided = check_decisions(ledger, trusted) if trusted is not None else {}
    checked = [check_rehearsed(line, samples) for line in ledger if line["rehearsed"]]
    for one in checked:
        one.disagreements.extend(decided.pop(one.line["id"], []))
        one.disagreements.extend(check_seal(one.line, samples, proofs.get(one.line["id"]), trusted))
    unrehearsed = [line for line in ledger if not line["rehearsed"]]

    disagreements = [f"recommendation {one.line['id']}: {what}" for one in checked for what in one.disagreements]
    disagreements += [f"recommendation {line['id']}: {what}" for line in unrehearsed for what in check_unrehearsed(line)]
    disagreements += [f"recommendation {one}: {what}" for one, complaints in decided.items() for what in complaints]
    disagreements += find_strays(ledger, samples)
    disagreements += edited
    chain = f"chain of {len(decisions)} decisions intact"
    if broken:
        disagreements.append(f"decision {broken[0]}: {broken[1]}")
        chain = f"chain of {len(decisions)} decisions broken at decision {broken[0]}"

    if samples.workload:
        print_workload(samples.workload)
    print_rehearsals(checked, unrehearsed)
    if decisions:
        print(f"Decisions: {len(decisions)}; the last hash is {decisions[-1]['hash']}\n")
    agree = sum(not one.disagreements for one in checked)
    closing = f"verify: {len(checked)} verdicts recomputed, {agree} agree; {chain}"
    if not disagreements:
        print(closing)
        return 0
    print("Disagreements:")
    for what in disagreements:
        print(f"  {what}")
    print(f"{closing}; {len(disagreements)} {'disagreement' if len(disagreements) == 1 else 'disagreements'}")
    return 1


def main(arguments: list[str]) -> int:
    if len(arguments) > 1 or any(argument.startswith("-") for argument in arguments):
        print("usage: python3 verify.py [DIR]\n\n" + (__doc__ or ""), file=sys.stderr)
        return 0 if arguments in (["-h"], ["--help"]) else 2
    folder = arguments[0] if arguments else os.path.dirname(os.path.abspath(__file__))
    for stream in (sys.stdout, sys.stderr):
        # A terminal that cannot show a letter of a reason is no cause to fail.
        stream.reconfigure(errors="replace")
    try:
        return verify(folder)
    except Unreadable as error:
        print(f"verify: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
