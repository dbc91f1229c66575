"""What does `glider serve` cost beside the model? Load over loopback on a scripted engine.

    python benchmarks/serve_load.py --fastapi PYTHON

The engine answers each request after 5 ms, whatever else it does. The server, the load generator
and this script are three processes. Each connection sends its next request when the last is
answered; the body has 1.4 kB, the answer is a bare score with its distribution. `glider` is
`/v1/judge`; `glider, policy and log` the same under a policy, each verdict written into a run
folder; `fastapi` the same judge behind FastAPI and uvicorn, without deadlines, bounds and metrics
(a Python that has fastapi, uvicorn and Glider's needs).

`--soak SECONDS` loads one `glider` for so long, with connections made anew every minute, and reads
its resident memory all the while (`--soak-only`: nothing else). Readings of the first tenth are
left out; the rest is cut into twenty parts, and the slope of their means is Theil and Sen's, with
its 95 % interval (extra `bench`).

Subjects take turns within a repetition. CPU is the server process's processor time a request.
"""

import json
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from common import PEERS, facts, ours_environment, parser, save, settings, span, table

sys.path.insert(0, str(PEERS))

from load_generator import memory_mb

_SOAK_CONNECTIONS, _SOAK_PARTS = 64, 20
_ENVIRONMENT = {"PYTHONUNBUFFERED": "1", "NO_PROXY": "127.0.0.1"}


def main() -> None:
    made = parser(__doc__)
    made.add_argument("--connections", type=int, nargs="*", default=[8, 64, 1000])
    made.add_argument("--seconds", type=float, default=10.0, help="of load, each time")
    made.add_argument("--delay", type=float, default=0.005, help="the engine's, in seconds")
    made.add_argument("--fastapi", type=Path, help="Python with fastapi and uvicorn")
    made.add_argument("--soak", type=float, help="seconds of load while memory is read")
    made.add_argument("--soak-only", action="store_true", help="only that")
    args = made.parse_args()
    if args.soak_only and not args.soak:
        made.error("--soak-only needs --soak SECONDS")
    subjects = ["glider", "glider, policy and log"] + ["fastapi"] * (args.fastapi is not None)
    runs = []
    for rep in range(0 if args.soak_only else args.reps):
        for subject in subjects if rep % 2 == 0 else reversed(subjects):
            with served(subject, args.delay, args.fastapi) as (port, pid):
                for connections in args.connections:
                    found = loaded(port, pid, subject, connections, args.seconds)
                    runs.append({"subject": subject, "rep": rep, **found})
    soak = None
    if args.soak:
        with served("glider", args.delay, None) as (port, pid):
            soak = soaked(port, pid, args.soak)
    text = tables(subjects, args.connections, runs) if runs else ""
    text += soak_told(soak) if soak else ""
    if args.fastapi is not None:
        args.fastapi = Path(args.fastapi.name)
    save(
        args.out,
        "serve_soak" if args.soak_only else "serve_load",
        {"facts": facts(), "settings": settings(args), "runs": runs, "soak": soak, "table": text},
    )
    print(text)


@contextmanager
def served(subject: str, delay: float, fastapi: Path | None) -> Iterator[tuple[int, int]]:
    """Start a server; gives its port and process."""
    python, script = sys.executable, "serve_glider.py"
    if subject == "fastapi":
        assert fastapi is not None
        python, script = str(fastapi.absolute()), "serve_fastapi.py"
    with tempfile.TemporaryDirectory(prefix="glider-bench-") as folder:
        more = [folder] if "log" in subject else []
        process = subprocess.Popen(
            [python, str(PEERS / script), str(delay), *more],
            stdout=subprocess.PIPE,
            text=True,
            env=_ENVIRONMENT | ours_environment(),
        )
        try:
            assert process.stdout is not None
            port = process.stdout.readline()
            if not port:
                raise RuntimeError(f"{script} ended with {process.wait()}")
            yield int(port), process.pid
        finally:
            process.terminate()
            process.wait(20)


def loaded(port: int, pid: int, subject: str, connections: int, seconds: float) -> dict[str, Any]:
    """Load a server from another process; returns what was measured, latencies in short."""
    words = "We open at nine in the morning, every day but Sunday, and close at five. " * 18
    body = {"input": "When do you open?", "output": words}
    body |= (
        {"policy": "logged", "reasons": "none"}
        if "policy" in subject
        else {"criterion": "helpfulness", "reasons": "none"}
    )
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        file.write(json.dumps(body))
        file.flush()
        done = subprocess.run(
            [
                sys.executable, str(PEERS / "load_generator.py"), str(port), str(pid), file.name,
                str(connections), str(seconds),
            ],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
    found = json.loads(done.stdout)
    ms, statuses = found["latencies_ms"], found["statuses"]
    answered = statuses.get("200", 0)
    return {
        "connections": connections,
        "requests": len(ms),
        "answered": answered,
        "others": {name: n for name, n in statuses.items() if name != "200" and n},
        "per_s": answered / found["seconds"],
        "cpu_ms": 1000 * found["server_cpu_s"] / max(1, len(ms)),
        "p50_ms": statistics.median(ms),
        "p99_ms": ms[min(len(ms) - 1, int(0.99 * len(ms)))],
        "generator_cpu": found["generator_cpu_s"] / found["seconds"],
        "rss_mb": found["server_rss_mb"],
    }


def soaked(port: int, pid: int, seconds: float) -> dict[str, Any]:
    """Load a server for so long; returns what it answered and its memory over time."""
    memory: list[tuple[float, float]] = []
    began, ended = time.monotonic(), threading.Event()

    def read() -> None:
        while not ended.wait(max(0.05, seconds / 720)):
            memory.append((round(time.monotonic() - began, 2), round(memory_mb(pid), 2)))

    reading = threading.Thread(target=read)
    reading.start()
    loads = []
    try:
        while (left := began + seconds - time.monotonic()) > 0.1:
            part = min(60.0, seconds / 10, left)
            loads.append(loaded(port, pid, "glider", _SOAK_CONNECTIONS, part))
    finally:
        ended.set()
        reading.join()
    slope, low, high = slope_per_hour(memory)
    return {
        "seconds": time.monotonic() - began,
        "requests": sum(load["requests"] for load in loads),
        "answered": sum(load["answered"] for load in loads),
        "per_s": [load["per_s"] for load in loads],
        "p99_ms": [load["p99_ms"] for load in loads],
        "memory_mb": memory,
        "mb_per_hour": slope,
        "mb_per_hour_95": (low, high),
    }


def slope_per_hour(memory: list[tuple[float, float]]) -> tuple[float, float, float]:
    """The slope of (second, MB) after the first tenth, in MB an hour, with its 95 % interval."""
    from scipy.stats import theilslopes

    rest = memory[len(memory) // 10 :]
    parts = [
        rest[len(rest) * n // _SOAK_PARTS : len(rest) * (n + 1) // _SOAK_PARTS]
        for n in range(_SOAK_PARTS)
    ]
    # Readings follow one another too closely to be independent; means of parts are nearly so.
    means = [[statistics.fmean(one) for one in zip(*part, strict=True)] for part in parts if part]
    found = theilslopes([mb for _, mb in means], [second for second, _ in means], 0.95)
    return (
        3600 * float(found.slope),
        3600 * float(found.low_slope),
        3600 * float(found.high_slope),
    )


def soak_told(soak: dict[str, Any]) -> str:
    """What the soak came to, in words."""
    memory, (low, high) = soak["memory_mb"], soak["mb_per_hour_95"]
    rest = [mb for _, mb in memory[len(memory) // 10 :]]
    return (
        f"\nUnder load for {soak['seconds']:,.0f} s at {_SOAK_CONNECTIONS} connections: "
        f"{soak['requests']:,} requests, {soak['requests'] - soak['answered']:,} not answered, "
        f"{span(soak['per_s'], 0)} a second. Memory {memory[0][1]:.1f} MB at the start, "
        f"{rest[0]:.1f} after a tenth, {rest[-1]:.1f} at the end, {max(rest):.1f} at most; slope "
        f"after the first tenth {soak['mb_per_hour']:+.2f} MB an hour "
        f"[{low:+.2f}, {high:+.2f}], n {len(rest)} readings.\n"
    )


def tables(subjects: list[str], connections: list[int], runs: list[dict[str, Any]]) -> str:
    heads = ["server", "connections", "requests a second", "CPU ms a request", "p50 ms", "p99 ms",
             "not answered"]  # fmt: skip
    rows = []
    for n in connections:
        for subject in subjects:
            here = [r for r in runs if (r["subject"], r["connections"]) == (subject, n)]
            rows.append(
                [
                    subject,
                    n,
                    span([r["per_s"] for r in here], 0),
                    *(
                        span([r[key] for r in here], 2 if key == "cpu_ms" else 1)
                        for key in ("cpu_ms", "p50_ms", "p99_ms")
                    ),
                    sum(r["requests"] - r["answered"] for r in here),
                ]
            )
    return table(heads, rows)


if __name__ == "__main__":
    main()
