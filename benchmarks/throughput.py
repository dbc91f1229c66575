"""Judgments a minute with one small model on this machine: ours, a plain loop, and peers.

    benchmarks/peers/setup.sh PEERS
    python benchmarks/throughput.py --peers PEERS --torch TORCH_PYTHON

TORCH_PYTHON is a Python with torch, transformers and Glider's other needs. All systems have the
same weights (the default model: q8_0 for llama.cpp, dequantised for torch), the same records, the
whole machine for themselves, and take turns in every round. Loading is not counted. Systems that
read only the score judge --n records, those that also write --slow-n, the plain loop --plain-n and
each peer --peer-n.

The peers ask one llama.cpp server with four slots. A small model often answers what
they cannot read; such an attempt took its time and is counted as an attempt, not as a judgment.
"""

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from common import (
    PEERS,
    drawn_tasks,
    facts,
    in_turn,
    ours_environment,
    parser,
    peer_python,
    records,
    run_subject,
    save,
    settings,
    span,
    table,
    task_of,
    with_data,
    write_tasks,
)

from glider.core.tasks import JudgeTask
from glider.models.catalog import DEFAULT, cache_dir, find

_DATA_SETS = ("saf_short_answers", "summeval")
_EMBEDDED = "--model=embedded"
_FAST = f"--model=fast/{DEFAULT}"
_BARE = "--no-explain"
_OURS: dict[str, tuple[str, ...]] = {
    "ours, embedded, score first, explained": (_EMBEDDED,),
    "ours, embedded, reason first": (_EMBEDDED, "--order=reason-first"),
    "ours, embedded, bare": (_EMBEDDED, _BARE),
    "ours, embedded, bare, not ordered": (_EMBEDDED, _BARE, "--as-given"),
    "ours, fast, bare": (_FAST, _BARE),
}
_LAYOUTS: dict[str, tuple[str, ...]] = {
    f"{engine}, {layout}": (model, _BARE, f"--layout={layout}")
    for engine, model in (("embedded", _EMBEDDED), ("fast", _FAST))
    for layout in ("criterion-first", "sample-first")
}
_PEERS = {"prometheus-eval": "prometheus_absolute.py", "deepeval": "deepeval_geval.py"}
_PLAIN = ("bfloat16", "float32")
_FOUR = "summeval, 4 criteria a text"


def main() -> None:
    made = parser(__doc__)
    with_data(made)
    made.add_argument("--n", type=int, default=300, help="records for bare scores")
    made.add_argument("--slow-n", type=int, default=60, help="records for explained judgments")
    made.add_argument("--plain-n", type=int, default=20, help="records for the plain loop")
    made.add_argument("--peer-n", type=int, default=20, help="records for each peer")
    made.add_argument("--peers", type=Path, help="folder made by peers/setup.sh")
    made.add_argument("--torch", type=Path, help="a Python with torch and transformers")
    made.add_argument("--only", default="", help="only systems whose name has one of these|in it")
    made.add_argument("--tries", type=int, default=3, help="of each raw prefill timing")
    args = made.parse_args()
    result: dict[str, Any] = {
        "facts": facts(),
        "settings": settings(args),
    }
    with tempfile.TemporaryDirectory(prefix="glider-bench-") as name:
        bench = Bench(args, Path(name))
        systems = [s for s in bench.systems() if any(o in s for o in args.only.split("|"))]
        limits: list[dict[str, dict[str, Any]]] = []
        runs: list[dict[str, Any]] = []
        for repetition in range(args.reps):
            limits.append({engine: bench.raw(engine) for engine in bench.engines(systems)})
            for system in in_turn(systems, repetition):
                sets = (_FOUR,) if system in _LAYOUTS else _DATA_SETS
                for data_set in sets:
                    run = bench.run(system, data_set)
                    run |= {"system": system, "data": data_set, "repetition": repetition}
                    runs.append(run)
                    rate = 60 * run["n"] / run["seconds"]
                    print(f"{repetition} {system}, {data_set}: {rate:.1f}/min", file=sys.stderr)
                    # After each, since an hour of measuring may be cut short.
                    result |= {"raw_prefill": limits, "runs": runs}
                    result["table"] = _tables(runs, limits)
                    save(args.out, "throughput", result)
    print(result["table"])


class Bench:
    """Which systems there are here, and how each is run."""

    def __init__(self, args: Any, folder: Path) -> None:
        self._args, self._folder = args, folder
        self._pythons = {name: peer_python(args.peers, name) for name in _PEERS}
        file = find(DEFAULT)
        self._gguf = file.path
        self._hf = cache_dir() / "benchmarks" / f"{DEFAULT}.{file.sha256[:12]}.bf16"
        if args.torch:
            self._make_hf_folder()

    def systems(self) -> list[str]:
        """Every system that can run here."""
        names = [n for n, o in (_OURS | _LAYOUTS).items() if _EMBEDDED in o or self._args.torch]
        if self._args.torch:
            names += [f"plain loop, {dtype}" for dtype in _PLAIN]
        return names + [name for name, python in self._pythons.items() if python]

    def engines(self, systems: list[str]) -> list[str]:
        """Engines of ours that read bare scores among these systems."""
        ours = _OURS | _LAYOUTS
        used = {"embedded" if _EMBEDDED in ours[s] else "fast" for s in systems if s in ours}
        return sorted(used)

    def run(self, system: str, data_set: str) -> dict[str, Any]:
        """One system over one data set, in a process of its own."""
        if system in _PEERS:
            return self._run_peer(system, data_set)
        if system.startswith("plain loop"):
            return run_subject(
                self._args.torch,
                "plain_loop.py",
                f"--tasks={self._tasks(data_set, self._args.plain_n)}",
                f"--folder={self._hf}",
                f"--dtype={system.rpartition(' ')[2]}",
                "--max-tokens=150",
            )
        options = (_OURS | _LAYOUTS)[system]
        n = self._args.n if _BARE in options else self._args.slow_n
        return run_subject(
            self._args.torch if _FAST in options else sys.executable,
            "ours.py",
            f"--tasks={self._tasks(data_set, n)}",
            *options,
            environment=ours_environment(),
        )

    def raw(self, engine: str) -> dict[str, Any]:
        """Prompt tokens a second at the most."""
        return run_subject(
            self._args.torch if engine == "fast" else sys.executable,
            "raw_prefill.py",
            f"--engine={engine}",
            f"--folder={self._hf}",
            f"--tries={self._args.tries}",
            environment=ours_environment(),
        )

    def _run_peer(self, system: str, data_set: str) -> dict[str, Any]:
        python = self._pythons[system]
        assert python is not None
        with _llama_server() as url:
            return run_subject(
                python,
                _PEERS[system],
                f"--tasks={self._tasks(data_set, self._args.peer_n)}",
                f"--base-url={url}",
                "--concurrency=4",
                "--max-tokens=256",
            )

    def _tasks(self, data_set: str, n: int) -> Path:
        path = self._folder / f"{data_set.partition(',')[0]}-{len(data_set)}-{n}.jsonl"
        if not path.exists():
            if data_set == _FOUR:
                tasks = _four_criteria(self._args.data, n, self._args.seed)
            else:
                tasks = drawn_tasks(self._args.data, data_set, n, self._args.seed)
            write_tasks(path, tasks)
        return path

    def _make_hf_folder(self) -> None:
        """The plain loop's weights: ours, dequantised by the torch Python."""
        subprocess.run(
            [
                str(self._args.torch),
                "-c",
                "import sys; from pathlib import Path; "
                "from glider.models.dequantise import to_hf_folder; "
                "to_hf_folder(Path(sys.argv[1]), Path(sys.argv[2]))",
                *(str(self._gguf), str(self._hf)),
            ],
            env=ours_environment(),
            check=True,
            capture_output=True,
        )


def _four_criteria(data: Path, n: int, seed: int) -> list[JudgeTask]:
    """`n` tasks of summeval in the file's order: each text under its four criteria in a row."""
    import random

    groups: dict[str, list[dict[str, Any]]] = {}
    for record in records(data, "summeval"):
        groups.setdefault(record["id"].rpartition("-")[0], []).append(record)
    chosen = random.Random(seed).sample([g for g in groups.values() if len(g) == 4], -(-n // 4))
    return [task_of(record) for group in chosen for record in group][:n]


@contextmanager
def _llama_server() -> Iterator[str]:
    process = subprocess.Popen(
        [sys.executable, str(PEERS / "llama_server.py")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=ours_environment(),
    )
    try:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        if not url:
            raise RuntimeError("the llama.cpp server did not start")
        yield url
    finally:
        process.communicate()


def _tables(runs: list[dict[str, Any]], limits: list[dict[str, dict[str, Any]]]) -> str:
    keys = list(dict.fromkeys((run["system"], run["data"]) for run in runs))
    plain: dict[tuple[str, int], float] = {}
    for run in runs:
        if run["system"].startswith("plain loop"):
            key = run["data"], run["repetition"]
            plain[key] = max(plain.get(key, 0.0), run["n"] / run["seconds"])
    rows = []
    for system, data in keys:
        mine = [run for run in runs if (run["system"], run["data"]) == (system, data)]
        rates = [run["n"] / run["seconds"] for run in mine]
        ratios = [
            rate / plain[data, run["repetition"]]
            for rate, run in zip(rates, mine, strict=True)
            if (data, run["repetition"]) in plain
        ]
        rows.append(
            (
                system,
                data,
                span([60 * rate for rate in rates]),
                span([60 * run["judged"] / run["seconds"] for run in mine]),
                span(ratios),
                f"{100 * sum(r['judged'] for r in mine) / sum(r['n'] for r in mine):.1f} %",
                _share(mine, limits),
                span([run["peak_mb"] for run in mine], 0),
                f"{mine[0]['n']} x {len(mine)}",
            )
        )
    heads = (
        "system",
        "data",
        "attempts/min",
        "judged/min",
        "times the best plain loop",
        "coverage",
        "share of raw prefill",
        "peak MB",
        "n",
    )
    text = table(heads, rows)
    for engine in limits[0]:
        rates = [limit[engine]["limit"] for limit in limits]
        text += f"\nRaw prefill, {engine}: {span(rates, 0)} tokens/s.\n"
    return text


def _share(mine: list[dict[str, Any]], limits: list[dict[str, dict[str, Any]]]) -> str:
    """Tokens that had to be read, a second, over what the engine can read; bare scores only."""
    options = (_OURS | _LAYOUTS).get(mine[0]["system"], ())
    if _BARE not in options:
        return "-"
    engine = "embedded" if _EMBEDDED in options else "fast"
    shares = []
    for run in mine:
        limit = limits[run["repetition"]][engine]["limit"]
        usage = run["usage"]
        computed = usage["prompt_tokens"] - usage["cached_tokens"]
        run["tokens_computed"], run["share"] = computed, computed / run["seconds"] / limit
        shares.append(100 * run["share"])
    return span(shares) + " %"


if __name__ == "__main__":
    main()
