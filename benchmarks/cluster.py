"""What a Ray cluster adds to an engine of 50 ms, and whether kills lose or double anything.

    python benchmarks/cluster.py                       # both, here
    python benchmarks/cluster.py --only speed --n 4000
    python benchmarks/cluster.py --only kills --actor-kills 50 --driver-kills 10
    python benchmarks/cluster.py --only memory --memory-rows 1000000
    python benchmarks/cluster.py --only http --http-rows 400   # beside ray.data.llm; when named

Speed: rows a second from the first outcome to the last, beside what the engine could do (each
actor answers eight requests at once, so 160 rows a second), with the same file on no cluster as a
reference. Kills: a run is judged while actors are killed at random and its driver is killed and
resumed with another number of actors; then every row must have exactly one outcome. Memory: what
the driver holds early in a long run, and at its last row.

Http: rows a second, and processor time a row of the driver and the actors, against one endpoint on
loopback that answers after 50 ms, beside `HttpRequestProcessorConfig` of `ray.data.llm` (which
imports with plain ray, torch and transformers). Both have two actors with eight requests at once
each: ray's sends a batch one by one, eight batches at once by default. The same prompts are asked
and the same answers read; ours also keeps every outcome on disk.
"""

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Any

from common import PEERS, facts, in_turn, machine, parser, save, settings, span, table

from glider.batch.file import judge_file
from glider.judging.settings import JudgeSettings
from glider.scale.settings import SharedRunSettings
from glider.store.run import outcomes
from glider.store.shards import journals
from glider.testing.server import FakeServer

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "tests"), str(PEERS)]

from load_generator import processor_s  # noqa: E402
from timed_engine import install  # noqa: E402

_AT_ONCE, _MS, _SLOW_MS = 8, 50, 200


def main() -> None:
    made = parser(__doc__)
    made.add_argument("--n", type=int, default=3000, help="rows of each run, per actor")
    made.add_argument("--actors", type=int, nargs="+", default=[1, 2, 4])
    made.add_argument("--kill-rows", type=int, default=6000, help="rows of the run that is killed")
    made.add_argument("--actor-kills", type=int, default=50)
    made.add_argument("--driver-kills", type=int, default=10)
    made.add_argument("--memory-rows", type=int, default=100_000)
    made.add_argument("--http-rows", type=int, default=400)
    made.add_argument("--only", choices=["speed", "kills", "memory", "http"])
    args = made.parse_args()
    result: dict[str, Any] = {"facts": facts(), "settings": settings(args)}
    with tempfile.TemporaryDirectory(prefix="glider-bench-") as place:
        folder = Path(place)
        install(folder / "plugin")
        (folder / "c.yaml").write_text("name: c\nquestion: Good?\nrubric:\n  0: bad\n  1: good\n")
        # The processes that judge find the engine there.
        paths = f"{folder / 'plugin'}:{ROOT / 'src'}"
        os.environ["PYTHONPATH"] = paths
        sys.path.insert(0, str(folder / "plugin"))
        os.chdir(folder)
        for name, measure in {"speed": speed, "memory": memory, "kills": kills}.items():
            if args.only in (None, name):
                result[name] = measure(args)
        if args.only == "http":
            result["http"] = http(args)
    path = save(args.out, "cluster" if args.only is None else f"cluster-{args.only}", result)
    print(machine(result["facts"]), "load", result["facts"]["load_at_start"], "\n")
    _show(result)
    print(path)


# ---- speed


def speed(args: argparse.Namespace) -> list[dict[str, Any]]:
    import ray

    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    began = time.monotonic()
    ray.init("local", num_cpus=max(args.actors), include_dashboard=False, log_to_driver=False)
    started_s = time.monotonic() - began
    found = []
    try:
        for rep in range(args.reps):
            for actors in [0, *args.actors]:
                found.append(_timed(rep, actors, args.n * max(actors, 1)) | {"ray_s": started_s})
    finally:
        ray.shutdown()
    return found


def _timed(rep: int, actors: int, n: int) -> dict[str, Any]:
    rows = _rows(n)
    times: list[float] = []
    began, cpu = time.monotonic(), time.process_time()
    judge_file(
        rows, "c.yaml", Path(f"speed-{rep}-{actors}"),
        settings=JudgeSettings(model=f"timed/{_MS}"),
        cluster=SharedRunSettings(on="ray", actors=actors) if actors else None,
        on_outcome=lambda row, outcome: times.append(time.monotonic()),
    )  # fmt: skip
    seconds = times[-1] - times[0]
    return {
        "actors": actors,
        "rows": n,
        "start_s": round(times[0] - began, 2),
        "rows_per_s": round((n - 1) / seconds, 1),
        "ideal": max(actors, 1) * _AT_ONCE * 1000 / _MS,
        "driver_cpu_ms_per_row": round(1000 * (time.process_time() - cpu) / n, 3),
        "memory_mb": _memory_mb("VmRSS"),
    }


def _rows(n: int) -> Path:
    path = Path(f"rows-{n}.jsonl")
    if not path.exists():
        with path.open("w") as file:
            for row in range(n):
                texts = {"input": f"question {row // 4}", "output": f"answer {row} " + "x " * 200}
                file.write(json.dumps(texts) + "\n")
    return path


def _memory_mb(what: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) // 1024 for line in lines if line.startswith(what))


# ---- http


_HTTP_ACTORS = 2


def http(args: argparse.Namespace) -> list[dict[str, Any]]:
    """Measure ours and ray's own processor in turn, in a Ray that has run both once before."""
    import ray

    os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "OPENAI_API_KEY": "none"}
    answer = json.dumps({"reasoning": "It says so.", "highlights": ["answer"], "score": 1})
    ray.init("local", num_cpus=_HTTP_ACTORS + 2, include_dashboard=False, log_to_driver=False)
    subjects = {"glider --on ray": _http_glider, "ray.data.llm": _http_ray}
    found = []
    try:
        with FakeServer(answer=answer, delay_s=_MS / 1000, process=True) as server:
            for rep in range(-1, args.reps):
                for name in in_turn(list(subjects), rep):
                    rows = args.http_rows if rep >= 0 else 4 * _AT_ONCE
                    one = subjects[name](server.url, _rows(rows), rep)
                    if rep >= 0:
                        found.append({"subject": name, "rep": rep, "rows": rows, **one})
            asked = server.stats()["requests"]
    finally:
        ray.shutdown()
    assert asked == 2 * (args.reps * args.http_rows + 4 * _AT_ONCE), asked
    return found


def _http_glider(url: str, rows: Path, rep: int) -> dict[str, Any]:
    with _Meter() as meter:
        judge_file(
            rows, "c.yaml", Path(f"http-{rep}"),
            settings=JudgeSettings(
                model="openai/m", base_url=url, format="chat-json", max_connections=_AT_ONCE
            ),
            cluster=SharedRunSettings(on="ray", actors=_HTTP_ACTORS),
            on_outcome=lambda row, outcome: meter.row(),
        )  # fmt: skip
    return meter.figures()


def _http_ray(url: str, rows: Path, rep: int) -> dict[str, Any]:
    import ray
    from ray.data.llm import HttpRequestProcessorConfig, build_processor

    from glider.data.library import load_criterion
    from glider.scale.ray import from_row, to_row

    made = {"criterion": load_criterion("c.yaml"), "format": "chat-json"}

    def asked(row: dict[str, Any]) -> dict[str, Any]:
        row = to_row(row, **made)
        return row | {"payload": {"model": "m", "messages": row["messages"]}}

    def judged(row: dict[str, Any]) -> dict[str, Any]:
        answer = row["http_response"]["choices"][0]["message"]["content"]
        return from_row(row | {"generated_text": answer}, judge="openai/m", **made)

    config = HttpRequestProcessorConfig(
        url=f"{url}/chat/completions", batch_size=_AT_ONCE, concurrency=_HTTP_ACTORS
    )
    process = build_processor(config, preprocess=asked, postprocess=judged)
    with _Meter() as meter:
        for row in process(ray.data.read_json(str(rows), lines=True)).iter_rows():
            assert row["kind"] == "judgment", row
            meter.row()
    return meter.figures()


class _Meter:
    """Time and processor time from the first row to the last: this process, Ray's workers below.

    What comes before the first row is starting: processes, imports.
    """

    def __init__(self) -> None:
        self._times: list[float] = []
        self._began: dict[int, float] = {}
        self._latest: dict[int, float] = {}
        self._ended = threading.Event()
        self._reading = threading.Thread(target=self._read)

    def row(self) -> None:
        """Note that a row is there."""
        if not self._times:
            self._began = _processes_s()
        self._times.append(time.monotonic())

    def figures(self) -> dict[str, Any]:
        """Rows a second, and CPU ms a row."""
        n, seconds = len(self._times) - 1, self._times[-1] - self._times[0]
        spent = sum(s - self._began.get(pid, 0.0) for pid, s in self._latest.items())
        return {"rows_per_s": round(n / seconds, 1), "cpu_ms_per_row": round(1000 * spent / n, 2)}

    def _read(self) -> None:
        while not self._ended.wait(0.2):  # workers may end before the last row is taken
            self._latest.update(_processes_s())

    def __enter__(self) -> "_Meter":
        self._reading.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._reading.join()
        self._latest.update(_processes_s())


def _processes_s() -> dict[int, float]:
    """Processor seconds so far of this process and each of Ray's workers that it has started."""
    parents: dict[int, int] = {}
    for file in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            parents[int(file.parent.name)] = int(file.read_text().rpartition(")")[2].split()[1])
    found = {os.getpid(): time.process_time()}
    for pid in parents:
        above = pid
        while above in parents and above != os.getpid():
            above = parents[above]
        with suppress(OSError):
            if above == os.getpid() and b"ray::" in Path(f"/proc/{pid}/cmdline").read_bytes():
                found[pid] = processor_s(pid)
    return found


# ---- memory


def memory(args: argparse.Namespace) -> dict[str, Any]:
    rows, held = args.memory_rows, dict[int, int]()

    numbers = count(1)

    def look(row: int, outcome: Any) -> None:
        if (n := next(numbers)) in (rows // 10, rows):
            held[n] = _memory_mb("VmRSS")

    began = time.monotonic()
    judge_file(
        _rows(rows), "c.yaml", Path("memory"), settings=JudgeSettings(model="timed/1"),
        cluster=SharedRunSettings(on="ray", actors=2), on_outcome=look,
    )  # fmt: skip
    return {
        "rows": rows,
        "mb_after_a_tenth": held[rows // 10],
        "mb_at_the_last_row": held[rows],
        "peak_mb_with_the_summary": _memory_mb("VmHWM"),
        "seconds": round(time.monotonic() - began),
    }


# ---- kills


def kills(args: argparse.Namespace) -> dict[str, Any]:
    rng = random.Random(args.seed)
    rows, run = _rows(args.kill_rows), Path("killed")
    log: list[dict[str, Any]] = []
    killed_actors = killed_drivers = 0
    began = time.monotonic()
    for session in range(args.driver_kills + 1):
        last = session == args.driver_kills
        actors = 4 if last else rng.randint(1, 4)
        before = _lines(run)
        driver = _driver(rows, run, actors)
        _until(lambda before=before: _lines(run) > before, driver)
        due = args.actor_kills * (session + 1) // (args.driver_kills + 1) - killed_actors
        while due and driver.poll() is None:
            time.sleep(rng.uniform(0.2, 1.5))
            if alive := _actors(run):
                with suppress(ProcessLookupError):
                    os.kill(rng.choice(alive), signal.SIGKILL)
                    killed_actors, due = killed_actors + 1, due - 1
        if not last and driver.poll() is None:
            time.sleep(rng.uniform(0.2, 1.5))
            driver.kill()
            killed_drivers += 1
        said = driver.communicate()[1].decode()
        log.append({"actors": actors, "outcomes": len(_rows_of(run)), "code": driver.returncode})
        if driver.returncode not in (0, -signal.SIGKILL):
            log[-1]["said"] = said[-600:]
    found = outcomes(run)
    rows_found = [row for row, _ in found]
    return {
        "rows": args.kill_rows,
        "actor_kills": killed_actors,
        "driver_kills": killed_drivers,
        "lost": args.kill_rows - len(set(rows_found)),
        "doubled": len(rows_found) - len(set(rows_found)),
        "failed": sum(outcome.kind == "failure" for _, outcome in found),
        "answered_twice_on_disk": found.n_doubled,
        "shards": len(journals(run)) - 1,
        "seconds": round(time.monotonic() - began),
        "sessions": log,
    }


def _driver(rows: Path, run: Path, actors: int) -> "subprocess.Popen[bytes]":
    words = ["judge", rows, "-c", "c.yaml", "-m", f"timed/{_SLOW_MS}", "--run", run, "--on", "ray"]
    words += ["--actors", actors, *(["--resume"] if (run / "manifest.json").exists() else [])]
    return subprocess.Popen(
        [sys.executable, "-m", "glider.cli.main", *map(str, words)],
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
    )  # fmt: skip


def _until(true: Any, driver: "subprocess.Popen[bytes]") -> None:
    until = time.monotonic() + 300
    while driver.poll() is None and not true():
        if time.monotonic() > until:
            raise TimeoutError("no actor wrote anything")
        time.sleep(0.1)


def _actors(run: Path) -> list[int]:
    """Processes that hold a shard: its name ends in theirs."""
    found = [int(file.stem.rpartition("-")[2]) for file in run.glob("shards/*.lock")]
    return [pid for pid in found if Path(f"/proc/{pid}").exists()]


def _lines(run: Path) -> int:
    return sum(path.read_bytes().count(b"\n") for path in journals(run) if path.exists())


def _rows_of(run: Path) -> set[int]:
    return {row for row, _ in outcomes(run)}


# ---- what is printed


def _show(result: dict[str, Any]) -> None:
    if "speed" in result:
        by_actors: dict[int, list[dict[str, Any]]] = {}
        for one in result["speed"]:
            by_actors.setdefault(one["actors"], []).append(one)
        lines = [
            [
                f"{actors} actor{'s' * (actors != 1)}" if actors else "no cluster",
                span([one["rows_per_s"] for one in ones]),
                f"{ones[0]['ideal']:,.0f}",
                span([100 * one["rows_per_s"] / one["ideal"] for one in ones], 0) + " %",
                span([one["start_s"] for one in ones]),
                span([one["driver_cpu_ms_per_row"] for one in ones], 2),
                max(one["memory_mb"] for one in ones),
                f"{ones[0]['rows']} x {len(ones)}",
            ]
            for actors, ones in by_actors.items()
        ]
        heads = ["what", "rows/s", "ideal", "of ideal", "s to the first outcome",
                 "driver CPU ms/row", "driver MB", "n"]  # fmt: skip
        print(table(heads, lines))
    if "http" in result:
        names = sorted({one["subject"] for one in result["http"]})
        ideal = _HTTP_ACTORS * _AT_ONCE * 1000 / _MS
        lines = []
        for name in names:
            ones = [one for one in result["http"] if one["subject"] == name]
            rates, cpu = ([one[key] for one in ones] for key in ("rows_per_s", "cpu_ms_per_row"))
            sizes = f"{ones[0]['rows']} x {len(ones)}"
            lines.append([name, span(rates), f"{ideal:,.0f}", span(cpu, 2), sizes])
        print(table(["what", "rows/s", "ideal", "driver and actor CPU ms/row", "n"], lines))
    for name in ("memory", "kills"):
        shown = {key: n for key, n in result.get(name, {}).items() if key != "sessions"}
        if shown:
            print(table([name, "n"], [[key.replace("_", " "), n] for key, n in shown.items()]))


if __name__ == "__main__":
    main()
