"""What judging costs beside the model: judgments a second and processor time a judgment.

    benchmarks/peers/setup.sh PEERS
    python benchmarks/overhead.py --peers PEERS

A fake server in a process of its own answers each request after --delay seconds, so the most that
can be had is concurrency / delay. Every subject judges the same texts under the same criterion with
the same concurrency and gets an answer in the form it expects; a judgment is counted when it has
been read. All subjects run one after another in each repetition. The server has the second core.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import yaml
from common import (
    facts,
    in_turn,
    numbered_tasks,
    ours_environment,
    parser,
    peer_python,
    run_subject,
    save,
    settings,
    span,
    table,
    write_tasks,
)

from glider.core.tasks import JudgeTask
from glider.testing.server import FakeServer

_REASON = "The text says where the parcel is and who signed, but not what the customer can do now."
_OURS_ANSWER = json.dumps({"reasoning": _REASON, "highlights": ["the parcel"], "score": 4})
_PEERS: dict[str, tuple[str, str, tuple[str, ...], str]] = {
    "deepeval GEval": (
        "deepeval",
        "deepeval_geval.py",
        (),
        json.dumps({"reason": _REASON, "score": 4}),
    ),
    "deepeval GEval, criteria": (
        "deepeval",
        "deepeval_geval.py",
        ("--criteria",),
        # The first call of two asks for steps, the second for the score: one text answers both.
        json.dumps({"steps": ["Read the text."], "reason": _REASON, "score": 4}),
    ),
    "prometheus-eval": (
        "prometheus-eval",
        "prometheus_absolute.py",
        (),
        f"Feedback: {_REASON} [RESULT] 4",
    ),
    "inspect-ai model_graded_qa": (
        "inspect-ai",
        "inspect_grader.py",
        (),
        f"{_REASON}\n\nGRADE: 4",
    ),
}
"""Name to (environment, program, options, answer)."""
_API, _CLI = "glider, Judge.stream", "glider, `glider judge`"


def main() -> None:
    made = parser(__doc__)
    made.add_argument("--n", type=int, default=20_000, help="judgments of ours, a repetition")
    made.add_argument("--peer-n", type=int, default=2_000, help="judgments of each peer")
    made.add_argument("--concurrency", type=int, default=256)
    made.add_argument("--delay", type=float, default=0.05, help="seconds of every answer")
    made.add_argument("--peers", type=Path, help="folder made by peers/setup.sh")
    args = made.parse_args()

    pythons = {name: peer_python(args.peers, spec[0]) for name, spec in _PEERS.items()}
    names = [_API, _CLI, *(name for name, python in pythons.items() if python)]
    result: dict[str, Any] = {"facts": facts(), "settings": settings(args), "runs": []}
    with tempfile.TemporaryDirectory(prefix="glider-bench-") as folder:
        tasks = numbered_tasks(max(args.n, args.peer_n), args.seed)
        ours, theirs = Path(folder, "ours.jsonl"), Path(folder, "theirs.jsonl")
        write_tasks(ours, tasks[: args.n])
        write_tasks(theirs, tasks[: args.peer_n])
        rows = _rows_for_cli(Path(folder), tasks[: args.n])
        for repetition in range(args.reps):
            for name in in_turn(names, repetition):
                answer = _PEERS[name][3] if name in _PEERS else _OURS_ANSWER
                with FakeServer(answer=answer, delay_s=args.delay, process=True) as server:
                    common = (f"--base-url={server.url}", f"--concurrency={args.concurrency}")
                    if name == _CLI:
                        run = _cli(rows, Path(folder, f"run-{repetition}"), common)
                    elif name == _API:
                        run = run_subject(
                            sys.executable,
                            "ours.py",
                            f"--tasks={ours}",
                            "--model=openai/m",
                            "--format=chat-json",
                            *common,
                            environment=ours_environment(),
                        )
                    else:
                        _, script, options, _ = _PEERS[name]
                        python = pythons[name]
                        assert python is not None
                        run = run_subject(python, script, f"--tasks={theirs}", *options, *common)
                    requests = server.stats()["requests"]
                run.pop("scores", None)
                run |= {"subject": name, "repetition": repetition, "requests": requests}
                result["runs"].append(run)
                print(f"{name}: {run['n'] / run['seconds']:.0f}/s", file=sys.stderr)
    result["table"] = _table(result["runs"], names, args.concurrency / args.delay)
    print(result["table"])
    print(save(args.out, "overhead", result), file=sys.stderr)


def _rows_for_cli(folder: Path, tasks: list[JudgeTask]) -> Path:
    rows = folder / "rows.jsonl"
    with rows.open("w", encoding="utf-8") as file:
        for task in tasks:
            fields = {field.name: field.text for field in task.sample.fields}
            file.write(json.dumps({"id": task.sample.id, **fields}) + "\n")
    criterion = tasks[0].criterion.model_dump(mode="json")
    criterion["rubric"] = criterion["rubric"]["levels"]
    (folder / "criterion.yaml").write_text(yaml.safe_dump(criterion, sort_keys=False), "utf-8")
    return rows


def _cli(rows: Path, folder: Path, common: tuple[str, str]) -> dict[str, Any]:
    """The whole command from start to exit: imports, reading rows, run folder, summary."""
    base_url, concurrency = common
    started = time.perf_counter()
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "glider.cli.main", "judge", str(rows)),
            *("-c", str(rows.with_name("criterion.yaml")), "-m", "openai/m", "--run", str(folder)),
            *(base_url, concurrency.replace("--concurrency", "--max-connections")),
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env=os.environ | ours_environment() | {"OPENAI_API_KEY": "none"},
    )
    # By wait4, since it tells the processor time of this child alone.
    assert process.stderr is not None
    said = process.stderr.read()
    _, status, used = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(
            f"glider judge ended with {process.returncode}:\n{said.decode()[-3000:]}"
        )
    summary = json.loads((folder / "summary.json").read_text("utf-8"))
    return {
        "n": summary["asked"],
        "judged": summary["judged"],
        "seconds": seconds,
        "cpu_seconds": used.ru_utime + used.ru_stime,
        "peak_mb": used.ru_maxrss / 1024,
        "session": summary["session"],
    }


def _table(runs: list[dict[str, Any]], names: list[str], ideal: float) -> str:
    rate = {(r["subject"], r["repetition"]): r["n"] / r["seconds"] for r in runs}
    cpu = {(r["subject"], r["repetition"]): 1000 * r["cpu_seconds"] / r["n"] for r in runs}
    repetitions = sorted({r["repetition"] for r in runs})
    rows = []
    for name in names:
        mine = [run for run in runs if run["subject"] == name]
        rows.append(
            (
                name,
                span([rate[name, i] for i in repetitions], 0),
                span([cpu[name, i] for i in repetitions], 2),
                span([rate[_API, i] / rate[name, i] for i in repetitions]),
                span([cpu[name, i] / cpu[_API, i] for i in repetitions]),
                f"{sum(r['requests'] for r in mine) / sum(r['n'] for r in mine):.2f}",
                f"{100 * sum(r['judged'] for r in mine) / sum(r['n'] for r in mine):.1f} %",
                span([run["peak_mb"] for run in mine], 0),
                mine[0]["n"],
            )
        )
    heads = (
        "subject",
        "judgments/s",
        "client CPU ms/judgment",
        "ours is faster by",
        "ours needs less CPU by",
        "requests/judgment",
        "judged",
        "peak MB",
        "n",
    )
    return f"Ideal rate: {ideal:,.0f}/s.\n\n" + table(heads, rows)


if __name__ == "__main__":
    main()
