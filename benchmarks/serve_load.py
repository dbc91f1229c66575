"""What does `glider serve` cost beside the model? Load over loopback on a scripted engine.

    python benchmarks/serve_load.py --fastapi PYTHON

The engine answers each request after 5 ms, whatever else it does. The server, the load generator
and this script are three processes. Each connection sends its next request when the last is
answered; the body has 1.4 kB, the answer is a bare score with its distribution. `glider` is
`/v1/judge`; `glider, policy and log` the same under a policy, each verdict written into a run
folder; `fastapi` the same judge behind FastAPI and uvicorn, without deadlines, bounds and metrics
(a Python that has fastapi, uvicorn and Glider's needs). `--soak SECONDS` loads one server for so
long and reads its memory at ten moments.

Subjects take turns within a repetition. CPU is the server process's processor time a request.
"""

import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from common import PEERS, facts, ours_environment, parser, save, settings, span, table

_ENVIRONMENT = {"PYTHONUNBUFFERED": "1", "NO_PROXY": "127.0.0.1"}


def main() -> None:
    made = parser(__doc__)
    made.add_argument("--connections", type=int, nargs="*", default=[8, 64, 1000])
    made.add_argument("--seconds", type=float, default=10.0, help="of load, each time")
    made.add_argument("--delay", type=float, default=0.005, help="the engine's, in seconds")
    made.add_argument("--fastapi", type=Path, help="Python with fastapi and uvicorn")
    made.add_argument("--soak", type=float, help="seconds of load with memory read ten times")
    args = made.parse_args()
    subjects = ["glider", "glider, policy and log"] + ["fastapi"] * (args.fastapi is not None)
    runs = []
    for rep in range(args.reps):
        for subject in subjects if rep % 2 == 0 else reversed(subjects):
            with served(subject, args.delay, args.fastapi) as (port, pid):
                for connections in args.connections:
                    found = loaded(port, pid, subject, connections, args.seconds)
                    runs.append({"subject": subject, "rep": rep, **found})
    soak = []
    if args.soak:
        with served("glider", args.delay, None) as (port, pid):
            for _ in range(10):
                found = loaded(port, pid, "glider", 64, args.soak / 10)
                soak.append({"requests": found["requests"], "rss_mb": found["rss_mb"]})
    text = tables(subjects, args.connections, runs, soak)
    if args.fastapi is not None:
        args.fastapi = Path(args.fastapi.name)
    save(
        args.out,
        "serve_load",
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


def tables(
    subjects: list[str], connections: list[int], runs: list[dict[str, Any]], soak: list[Any]
) -> str:
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
    text = table(heads, rows)
    if soak:
        memory = ", ".join(f"{one['rss_mb']:.0f}" for one in soak)
        total = sum(one["requests"] for one in soak)
        text += f"\nMemory over {total:,} requests at 64 connections, MB: {memory}\n"
    return text


if __name__ == "__main__":
    main()
