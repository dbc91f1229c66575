"""Bad days: an endpoint that fails in eleven ways, a process that is killed, a disk that is full.

    python benchmarks/faults.py

Exit code 1 if anything that was asked is missing, doubled, or was asked again after it had been
recorded. Three parts:

(a) requests of which a share fails; every input must end as one Judgment or one typed Failure.
(b) `glider judge` killed with SIGKILL at seeded moments and resumed each time; every (row,
    criterion) must be in the journal exactly once. The server sees each question it answers, so an
    outcome that was recorded and asked for again would show. What was in flight at a kill may be
    asked again, and there is never more of it than the connections allow.
(c) a limit on file size, which ends a write like a full disk; exit code 3, a hint, and a
    resume that loses nothing once the limit is gone.
"""

import json
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from common import (
    HERE,
    facts,
    numbered_tasks,
    ours_environment,
    parser,
    save,
    settings,
    span,
    table,
)

from glider.backends.openai_http import OpenAIBackend
from glider.core.judgments import Failure
from glider.judging.judge import Judge
from glider.testing.server import FAULTS, FakeServer

_ANSWER = json.dumps({"reasoning": "It says what to do.", "highlights": ["the parcel"], "score": 4})
_CRITERIA = ("clarity", "conciseness")
_CODES = {
    *("unavailable", "timeout", "rate_limited", "bad_response", "refused"),
    *("truncated", "missing_part", "score_outside_rubric", "unreadable"),
}
"""What a Failure of these faults may be called."""


class Checks:
    """What must hold; remembers what did not."""

    def __init__(self) -> None:
        self.broken: list[str] = []

    def expect(self, holds: bool, what: str) -> None:
        if not holds:
            self.broken.append(what)
            print(f"BROKEN: {what}", file=sys.stderr)


# ---- (a) faults


def faulty_endpoint(n: int, rate: float, seed: int, checks: Checks) -> dict[str, Any]:
    """`n` requests, a share of them spoilt; a dripping reply costs a timeout of 2 s."""
    tasks = numbered_tasks(n, seed)
    seen: Counter[int] = Counter()
    codes: Counter[str] = Counter()
    with FakeServer(
        answer=_ANSWER, delay_s=0.01, fault_rate=rate, seed=seed, process=True
    ) as server:
        backend = OpenAIBackend("m", base_url=server.url, max_in_flight=128, timeout_s=2.0)
        started = time.perf_counter()
        with Judge(backend, format="chat-json") as judge:
            for number, outcome in judge.stream(enumerate(tasks)):
                seen[number] += 1
                checks.expect(
                    outcome.sample_id == tasks[number].sample.id, f"outcome {number} is another's"
                )
                if isinstance(outcome, Failure):
                    codes[f"{outcome.stage}/{outcome.code}"] += 1
                    checks.expect(outcome.code in _CODES, f"untyped failure {outcome.code}")
                else:
                    codes["judged"] += 1
        seconds = time.perf_counter() - started
        stats = server.stats()
    checks.expect(
        len(seen) == n and set(seen.values()) <= {1}, "(a) an input has no outcome, or two"
    )
    checks.expect(stats["request_ids"] == n, "(a) not every input was asked")
    return {
        "n": n,
        "seconds": seconds,
        "outcomes": dict(codes.most_common()),
        "retries": stats["duplicates"],
        "requests": stats["requests"],
        "server_faults": {name: count for name, count in stats["faults"].items() if count},
        "server_answered": stats["answered"],
        "abandoned": stats["abandoned"],
    }


# ---- the command under test


@dataclass
class Endpoint:
    """Answers, and keeps which questions it answered while which outcomes were recorded."""

    recorded: frozenset[tuple[int, str]] = frozenset()
    asked_again: int = 0
    answered: Counter[tuple[int, str]] = field(default_factory=Counter)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def __call__(self, request: dict[str, Any]) -> str:
        prompt = request["messages"][-1]["content"]
        number = re.search(r"text (\d+):", prompt)
        heading = re.match(r"Criterion: (\w+)", prompt)
        assert number is not None
        assert heading is not None
        key = int(number[1]), heading[1].lower()
        with self.lock:
            self.answered[key] += 1
            self.asked_again += key in self.recorded
        return _ANSWER


def _start(
    source: Path,
    rows: Path,
    run: Path,
    url: str,
    connections: int,
    *,
    resume: bool,
    file_limit: int | None = None,
) -> "subprocess.Popen[bytes]":
    limit = ""
    if file_limit is not None:
        # Python ignores SIGXFSZ, so a write past the limit is an OSError, as on a full disk.
        limit = (
            "import resource; "
            f"resource.setrlimit(resource.RLIMIT_FSIZE, ({file_limit}, resource.RLIM_INFINITY)); "
        )
    criteria = [option for name in _CRITERIA for option in ("-c", name)]
    return subprocess.Popen(
        [
            *(sys.executable, "-c", f"{limit}from glider.cli.main import main; main()"),
            *("judge", str(rows), *criteria, "-m", "openai/m", "--base-url", url),
            *("--run", str(run), "--max-connections", str(connections)),
            *(("--resume",) if resume else ()),
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env=os.environ | ours_environment(source) | {"OPENAI_API_KEY": "none"},
    )


def _source(folder: Path) -> Path:
    """A copy of the package: a file edited half-way would make every resume another run."""
    copy = folder / "src"
    shutil.copytree(HERE.parent / "src" / "glider", copy / "glider")
    return copy


def _write_rows(path: Path, n: int, seed: int) -> None:
    with path.open("w", encoding="utf-8") as file:
        for task in numbered_tasks(n, seed):
            texts = {f.name: f.text for f in task.sample.fields}
            file.write(json.dumps({"id": task.sample.id, **texts}) + "\n")


def _journal(run: Path) -> Counter[tuple[int, str]]:
    """(row, criterion) of every whole line."""
    path = run / "journal.jsonl"
    found: Counter[tuple[int, str]] = Counter()
    if path.exists():
        for line in path.read_bytes().split(b"\n")[:-1]:
            data = json.loads(line)
            found[data["row"], data["outcome"]["criterion"]] += 1
    return found


def _check_journal(run: Path, n: int, checks: Checks, part: str) -> dict[str, int]:
    found = _journal(run)
    wanted = {(row, name) for row in range(n) for name in _CRITERIA}
    lost = len(wanted - found.keys())
    doubled = sum(count - 1 for count in found.values())
    strange = len(found.keys() - wanted)
    checks.expect(not (lost or doubled or strange), f"{part} lost {lost}, doubled {doubled}")
    return {"wanted": len(wanted), "lost": lost, "doubled": doubled, "strange": strange}


# ---- (b) kills


def kills(
    n: int,
    count: int,
    seed: int,
    longest_s: float,
    connections: int,
    delay_s: float,
    checks: Checks,
) -> dict[str, Any]:
    """Kill and resume `count` times, then let it end."""
    rng = random.Random(seed)
    endpoint = Endpoint()
    log: list[dict[str, Any]] = []
    unusable = 0
    with (
        tempfile.TemporaryDirectory(prefix="glider-bench-") as folder,
        FakeServer(answer=endpoint, delay_s=delay_s) as server,
    ):
        source, rows, run = _source(Path(folder)), Path(folder, "rows.jsonl"), Path(folder, "run")
        _write_rows(rows, n, seed)

        def start() -> "subprocess.Popen[bytes]":
            nonlocal unusable
            resume = (run / "manifest.json").exists()
            if not resume and run.exists() and any(run.iterdir()):
                # Killed before there was a manifest: nothing was judged, but nothing can go on.
                unusable += 1
                shutil.rmtree(run)
            endpoint.recorded = frozenset(_journal(run))
            return _start(source, rows, run, server.url, connections, resume=resume)

        for number in range(count):
            after_s = rng.uniform(0.05, longest_s)
            before, asked_before = len(_journal(run)), server.stats()["requests"]
            process = start()
            try:
                process.wait(after_s)
                ended = True
            except subprocess.TimeoutExpired:
                process.kill()
                ended = False
            said = process.communicate()[1].decode(errors="replace")
            if ended:
                checks.expect(process.returncode == 0, f"(b) session {number}: {said[-400:]}")
            journal = _journal(run)
            path = run / "journal.jsonl"
            torn = path.exists() and not path.read_bytes().endswith(b"\n") and path.stat().st_size
            asked = server.stats()["requests"] - asked_before
            unrecorded = asked - (len(journal) - before)
            log.append(
                {
                    "after_s": round(after_s, 3),
                    "outcomes": len(journal),
                    "asked": asked,
                    "unrecorded": unrecorded,
                    "torn_line": bool(torn),
                    "ended_by_itself": ended,
                }
            )
            checks.expect(
                0 <= unrecorded <= connections,
                f"(b) kill {number}: {unrecorded} asked and not recorded, {connections} open",
            )
            checks.expect(set(journal.values()) <= {1}, f"(b) kill {number}: doubled outcomes")
        last = start()
        said = last.communicate(timeout=600)[1].decode(errors="replace")
        checks.expect(last.returncode == 0, f"(b) the last resume ended badly: {said[-400:]}")
        result = _check_journal(run, n, checks, "(b)")
        stats = server.stats()
    checks.expect(
        endpoint.asked_again == 0, f"(b) {endpoint.asked_again} recorded outcomes asked again"
    )
    return result | {
        "kills": sum(not entry["ended_by_itself"] for entry in log),
        "torn_lines": sum(entry["torn_line"] for entry in log),
        "kills_that_lost_work_in_flight": sum(entry["unrecorded"] > 0 for entry in log),
        "most_in_flight_at_a_kill": max(entry["unrecorded"] for entry in log),
        "recorded_and_asked_again": endpoint.asked_again,
        "requests": stats["requests"],
        "unusable_folders": unusable,
        "log": log,
    }


# ---- (c) full disk


def full_disk(n: int, seed: int, share: float, checks: Checks) -> dict[str, Any]:
    """A run whose files may grow to a share of what they need."""
    with (
        tempfile.TemporaryDirectory(prefix="glider-bench-") as folder,
        FakeServer(answer=_ANSWER, process=True) as server,
    ):
        source, rows, run = _source(Path(folder)), Path(folder, "rows.jsonl"), Path(folder, "run")
        _write_rows(rows, n, seed)
        # The samples are written first; an outcome takes a bit more than a row.
        limit = int(rows.stat().st_size * share)
        full = _start(source, rows, run, server.url, 16, resume=False, file_limit=limit)
        said = full.communicate(timeout=600)[1].decode(errors="replace")
        kept = len(_journal(run))
        checks.expect(
            full.returncode == 3, f"(c) exit code {full.returncode}, not 3: {said[-400:]}"
        )
        checks.expect("--resume" in said, f"(c) no hint to resume: {said[-400:]}")
        checks.expect(0 < kept < n * len(_CRITERIA), f"(c) {kept} outcomes kept")
        again = _start(source, rows, run, server.url, 16, resume=True)
        rest = again.communicate(timeout=600)[1].decode(errors="replace")
        checks.expect(again.returncode == 0, f"(c) resume ended with {again.returncode}: {rest}")
        result = _check_journal(run, n, checks, "(c)")
    return result | {
        "limit_bytes": limit,
        "exit_code": full.returncode,
        "kept": kept,
        "message": said.strip().splitlines()[-2:],
    }


def main() -> None:
    made = parser(__doc__)
    made.set_defaults(reps=1)
    made.add_argument("--n", type=int, default=10_000, help="(a) requests")
    made.add_argument("--rate", type=float, default=0.3, help="(a) share of requests that fail")
    made.add_argument("--rows", type=int, default=3_000, help="(b) rows, each under two criteria")
    made.add_argument("--kills", type=int, default=50)
    made.add_argument("--longest", type=float, default=2.5, help="(b) latest kill, seconds")
    made.add_argument("--connections", type=int, default=16, help="(b) requests at once")
    made.add_argument("--delay", type=float, default=0.2, help="(b) seconds of every answer")
    made.add_argument("--disk-rows", type=int, default=500, help="(c) rows")
    args = made.parse_args()
    checks = Checks()
    result: dict[str, Any] = {
        "facts": facts(),
        "settings": settings(args),
    }
    result["a"] = [
        faulty_endpoint(args.n, args.rate, args.seed + i, checks) for i in range(args.reps)
    ]
    result["b"] = kills(
        args.rows, args.kills, args.seed, args.longest, args.connections, args.delay, checks
    )
    result["c"] = full_disk(args.disk_rows, args.seed, 0.6, checks)
    result["broken"] = checks.broken
    result["table"] = _tables(result, args.rate)
    print(result["table"])
    print(save(args.out, "faults", result), file=sys.stderr)
    sys.exit(1 if checks.broken else 0)


def _tables(result: dict[str, Any], rate: float) -> str:
    runs, kill, disk = result["a"], result["b"], result["c"]
    codes = sorted({code for run in runs for code in run["outcomes"]}, key=lambda c: c != "judged")
    rows = [(code, span([run["outcomes"].get(code, 0) for run in runs], 0)) for code in codes]
    rows.append(("retries", span([run["retries"] for run in runs], 0)))
    rows.append(("seconds", span([run["seconds"] for run in runs])))
    counts = [entry["outcomes"] for entry in kill["log"]]
    return "\n".join(
        [
            f"(a) {runs[0]['n']:,} requests, {rate:.0%} of replies spoilt in {len(FAULTS)} ways, "
            f"n = {len(runs)}\n",
            table(("outcome", "count"), rows),
            "(b) kills\n",
            table(
                ("what", "count"),
                [
                    ("(row, criterion) asked for", kill["wanted"]),
                    ("SIGKILLs, each followed by --resume", kill["kills"]),
                    ("outcomes at the kills", f"{min(counts)}..{max(counts)}"),
                    ("kills with work in flight", kill["kills_that_lost_work_in_flight"]),
                    ("most in flight at a kill", kill["most_in_flight_at_a_kill"]),
                    ("broken last lines", kill["torn_lines"]),
                    ("lost", kill["lost"]),
                    ("doubled", kill["doubled"]),
                    ("recorded and asked again", kill["recorded_and_asked_again"]),
                    ("folders that could not be gone on with", kill["unusable_folders"]),
                ],
            ),
            "(c) full disk\n",
            table(
                ("what", "value"),
                [
                    ("exit code", disk["exit_code"]),
                    ("outcomes kept", disk["kept"]),
                    ("after --resume: lost", disk["lost"]),
                    ("after --resume: doubled", disk["doubled"]),
                ],
            ),
        ]
    )


if __name__ == "__main__":
    main()
