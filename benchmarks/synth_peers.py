"""What making data costs beside the teacher, and what a kill in the middle costs.

    benchmarks/peers/setup.sh PEERS
    python benchmarks/synth_peers.py --peers PEERS

A scripted teacher in a process of its own answers each call after --delay seconds and counts which
prompts it has seen before. Every subject makes the same records: a text, and three readings of it
(blind, right, wrong), --calls calls in all, at most --concurrency at a time; the peers get
Glider's own prompts as templates. A subject is a whole process with its children, start included;
a run of a few records first, subtracted, gives the cost of one more call. Memory is the highest
sum of the shares of its processes (PSS), seen every 0.2 s.

For the kill, all of a subject's processes get SIGKILL once half the calls have arrived; it is
started again in the way its documentation gives; if it then makes no call for half a minute,
it has not gone on, and begins anew without what it had. Calls paid twice are those whose
prompt had been seen before, by the server's count; what was under way at the kill is among them.
"""

import argparse
import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

from common import (
    HERE,
    PEERS,
    facts,
    in_turn,
    ours_environment,
    parser,
    peer_python,
    save,
    span,
    table,
)
from common import settings as options_of

from glider.backends.scripted import ScriptedBackend
from glider.formats import make_format
from glider.synth.blind import Verifier
from glider.synth.chain import chain
from glider.synth.plan import Plan
from glider.synth.records import CallRecord
from glider.synth.synthesize import open_plan, records_in
from glider.testing.server import FakeServer

sys.path.insert(0, str(HERE.parent / "tests"))
from synth_teacher import answer

_PLAN = "kinds: {single: 1}\ncode: 0\nwords: [60, 120]\nduplicates: 1\n"
_STEPS = {"material": "text", "blind-0": "blind", "right": "right", "wrong": "wrong"}
_FEW = 16
_IDLE = 30.0
_OURS = "glider synth"


@dataclass
class Subject:
    """A program that makes records."""

    name: str
    command: list[str]
    environment: dict[str, str] = field(default_factory=dict)

    def start(self, folder: Path, url: str, n: int, *, resume: bool) -> list[str]:
        given = {
            "folder": str(folder / "made"),
            "url": url,
            "n": str(n),
            "inputs": str(folder.parent),
        }
        words = [word.format(**given) for word in self.command]
        return [*words, *(["--resume"] if resume else [])]


def main() -> None:
    made = parser(__doc__)
    made.add_argument("--calls", type=int, default=5000)
    made.add_argument("--concurrency", type=int, default=64)
    made.add_argument("--delay", type=float, default=0.05, help="seconds of every answer")
    made.add_argument("--peers", type=Path, help="folder made by peers/setup.sh")
    made.add_argument("--only", action="append", help="a subject, by the start of its name")
    made.add_argument("--add", action="store_true", help="to the result that is there")
    made.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    args = made.parse_args()
    if args.serve:
        _serve(args.delay)
        return
    n = args.calls // len(_STEPS)
    subjects = _subjects(args)
    result: dict[str, Any] = {
        "settings": options_of(args),
        "facts": [],
        "versions": {},
        "runs": [],
        "kills": [],
    }
    there = args.out / "synth_peers.json"
    if args.add and there.exists():
        result |= json.loads(there.read_text("utf-8"))
    result["facts"].append(facts())
    with tempfile.TemporaryDirectory(prefix="glider-bench-") as inputs:
        characters = _inputs(Path(inputs), n)
        result["prompt_characters_a_record"] = characters
        for repetition in range(args.reps):
            for name in in_turn(list(subjects), repetition):
                result["versions"][name] = _version(subjects[name])
                few, many = (_made(subjects[name], Path(inputs), size, args) for size in (_FEW, n))
                run = {"subject": name, "load": os.getloadavg()[0], "few": few, **many}
                result["runs"].append(run)
                print(json.dumps(run), file=sys.stderr)
                kill = _killed(subjects[name], Path(inputs), n, args)
                result["kills"].append({"subject": name, **kill})
                print(json.dumps(result["kills"][-1]), file=sys.stderr)
    result["table"] = _table(result, list(result["versions"]), n, args.concurrency / args.delay)
    print(result["table"])
    print(save(args.out, "synth_peers", result), file=sys.stderr)


def _subjects(args: argparse.Namespace) -> dict[str, Subject]:
    at_once = ["--concurrency", str(args.concurrency)]
    found = [
        Subject(
            _OURS,
            [
                *(sys.executable, "-m", "glider.cli.main", "synth", "{inputs}/plan.yaml"),
                *("--teacher", "openai/t", "--base-url", "{url}", "--run", "{folder}"),
                *("--size", "{n}", "--max-connections", str(args.concurrency)),
            ],
            ours_environment(),
        )
    ]
    for name, script, more in (
        ("data-designer", "synth_data_designer.py", ()),
        ("data-designer, buffer 100", "synth_data_designer.py", ("--buffer", "100")),
        ("distilabel", "synth_distilabel.py", ()),
    ):
        python = peer_python(args.peers, name.partition(",")[0])
        if python is not None:
            command = [str(python.absolute()), str(PEERS / script), "--rows", "{inputs}/{n}.jsonl"]
            command += ["--folder", "{folder}", "--base-url", "{url}", *at_once, *more]
            found.append(Subject(name, command))
    return {
        one.name: one
        for one in found
        if not args.only or any(one.name.startswith(start) for start in args.only)
    }


def _version(subject: Subject) -> str:
    package = subject.name.partition(",")[0]
    if subject.name == _OURS:
        return str(facts()["glider"])
    code = f"from importlib.metadata import version; print(version({package!r}))"
    done = subprocess.run([subject.command[0], "-c", code], capture_output=True, text=True)
    return done.stdout.strip()


# ---- what is made


def _inputs(folder: Path, n: int) -> float:
    """Write the plan, and the peers' rows: our prompts, with the text left out where it stands.

    Returns:
        Mean number of characters of a record's prompts.
    """
    (folder / "plan.yaml").write_text(_PLAN)
    drawer = open_plan(folder / "plan.yaml")
    rows, characters = [], 0
    for number in range(n):
        prompts = _prompts(drawer.draw(number), drawer.plan)
        characters += sum(map(len, prompts.values()))
        material = answer({"messages": [{"role": "user", "content": prompts["material"]}]})
        row: dict[str, Any] = {"number": number}
        for step, name in _STEPS.items():
            row[f"ask_{name}"] = _without(prompts[step], material)
        rows.append(json.dumps(row))
    for size in (_FEW, n):
        (folder / f"{size}.jsonl").write_text("\n".join(rows[:size]) + "\n")
    return characters / n


def _prompts(draw: Any, plan: Plan) -> dict[str, str]:
    """Return the prompts of a record by step, as the teacher would get them."""
    reader = Verifier(ScriptedBackend(lambda _request: ""), make_format("chat-json"))
    steps = chain(draw, plan, [reader], lambda _texts: True)
    prompts: dict[str, str] = {}
    call = next(steps)
    while True:
        messages = [{"role": m.role, "content": m.content} for m in call.prompt.messages]
        prompts[call.step] = "\n\n".join(message["content"] for message in messages)
        said = answer({"messages": messages})
        if not said.startswith("{"):
            said = call.prompt.opening + said.removeprefix(call.prompt.opening)
        try:
            call = steps.send(CallRecord(number=draw.number, step=call.step, text=said))
        except StopIteration as end:
            if not end.value.kept:
                raise RuntimeError(f"record {draw.number}: {end.value.reason}") from end
            return prompts


def _without(prompt: str, material: str) -> str:
    """A prompt without the texts in it, which a peer's template adds at its end."""
    for tag, text in re.findall(r"<([^>\n]+)>\n(.*?)\n</\1>", material, re.DOTALL):
        prompt = prompt.replace(f"<{tag}>\n{text}\n</{tag}>", "").replace(text, "")
    return prompt


def _records(subject: Subject, folder: Path, said: str) -> int:
    """How many whole records a subject's result has."""
    if subject.name == _OURS:
        return len({record.number for record in records_in(folder / "made") if record.kept})
    return int(json.loads(said.strip().splitlines()[-1])["records"])


# ---- the teacher


def _plain(message: dict[str, Any]) -> dict[str, Any]:
    """A message whose content is one text, where a client sends a list of parts."""
    content = message["content"]
    if isinstance(content, list):
        content = "".join(part.get("text", "") for part in content)
    return {**message, "content": content}


def _serve(delay: float) -> None:
    seen: Counter[bytes] = Counter()

    def counting(body: dict[str, Any]) -> str:
        seen[hashlib.sha256(json.dumps(body["messages"]).encode()).digest()] += 1
        return answer({"messages": [*map(_plain, body["messages"])]})

    with FakeServer(answer=counting, delay_s=delay) as server:
        print(server.url, flush=True)
        for _ in sys.stdin:
            print(json.dumps({"calls": seen.total(), "distinct": len(seen)}), flush=True)


class Teacher:
    """The scripted teacher in a process of its own."""

    def __init__(self, delay: float) -> None:
        self._process = subprocess.Popen(
            [sys.executable, __file__, "--serve", "--delay", str(delay)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.url = self._line()

    def _line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    def counts(self) -> dict[str, int]:
        """Calls that arrived, and distinct prompts among them."""
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return dict(json.loads(self._line()))

    def __enter__(self) -> "Teacher":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(30)


# ---- running


def _begin(subject: Subject, folder: Path, command: list[str]) -> "subprocess.Popen[str]":
    quiet = {
        # Each is the peer's own, documented switch.
        "NEMO_TELEMETRY_ENABLED": "false",
        "HF_HUB_OFFLINE": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "DISTILABEL_LOG_LEVEL": "WARNING",
        "OPENAI_API_KEY": "none",
        "NO_PROXY": "127.0.0.1",
        "HOME": str(folder),
    }
    return subprocess.Popen(
        command,
        cwd=folder,
        env=os.environ | quiet | subject.environment,
        stdout=(folder / "stdout").open("w"),
        stderr=(folder / "stderr").open("w"),
        start_new_session=True,
        text=True,
    )


def _processes(session: int) -> list[Path]:
    """The processes of a session, by its leader's id."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if int((process / "stat").read_text().rpartition(")")[2].split()[3]) == session:
                found.append(process)
        except (OSError, ValueError, IndexError):
            continue
    return found


def _share_mb(process: Path) -> float:
    try:
        rollup = (process / "smaps_rollup").read_text()
    except OSError:
        return 0.0
    found = re.search(r"^Pss:\s+(\d+) kB", rollup, re.MULTILINE)
    return int(found[1]) / 1024 if found else 0.0


def _made(subject: Subject, inputs: Path, n: int, args: argparse.Namespace) -> dict[str, Any]:
    """Make `n` records without a disturbance."""
    with (
        tempfile.TemporaryDirectory(dir=inputs) as place,
        Teacher(args.delay) as teacher,
    ):
        folder = Path(place)
        started = time.perf_counter()
        process = _begin(subject, folder, subject.start(folder, teacher.url, n, resume=False))
        peak, looked = 0.0, started
        while True:
            pid, status, used = os.wait4(process.pid, os.WNOHANG)
            if pid:
                break
            if time.perf_counter() - looked > 0.2:
                peak = max(peak, sum(map(_share_mb, _processes(process.pid))))
                looked = time.perf_counter()
            time.sleep(0.02)
        seconds = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise RuntimeError(f"{subject.name}: {(folder / 'stderr').read_text()[-3000:]}")
        return {
            "records": _records(subject, folder, (folder / "stdout").read_text()),
            **teacher.counts(),
            "seconds": seconds,
            "cpu_seconds": used.ru_utime + used.ru_stime,
            "peak_mb": peak,
        }


def _killed(subject: Subject, inputs: Path, n: int, args: argparse.Namespace) -> dict[str, Any]:
    """Make `n` records, killed once in the middle."""
    with (
        tempfile.TemporaryDirectory(dir=inputs) as place,
        Teacher(args.delay) as teacher,
    ):
        folder = Path(place)
        process = _begin(subject, folder, subject.start(folder, teacher.url, n, resume=False))
        while teacher.counts()["calls"] < args.calls / 2:
            if process.poll() is not None:
                raise RuntimeError(f"{subject.name}: {(folder / 'stderr').read_text()[-3000:]}")
            time.sleep(0.02)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        time.sleep(0.5)
        before = teacher.counts()
        process = _begin(subject, folder, subject.start(folder, teacher.url, n, resume=True))
        ended = _ends(process, teacher)
        if not ended:
            fresh = [*subject.start(folder, teacher.url, n, resume=False), "--fresh"]
            process = _begin(subject, folder, fresh)
            if not _ends(process, teacher):
                raise RuntimeError(f"{subject.name} makes no calls when it begins anew")
        if process.returncode:
            raise RuntimeError(f"{subject.name}: {(folder / 'stderr').read_text()[-3000:]}")
        after = teacher.counts()
        records = _records(subject, folder, (folder / "stdout").read_text())
        return {
            "went_on": ended,
            "calls_before": before["calls"],
            "calls": after["calls"],
            "paid_twice": after["calls"] - after["distinct"],
            "records": records,
            "records_lost": n - records,
        }


def _ends(process: "subprocess.Popen[str]", teacher: Teacher) -> bool:
    """Wait for the end; a process that makes no call for `_IDLE` seconds is killed."""
    calls, since = -1, time.monotonic()
    while process.poll() is None:
        now = teacher.counts()["calls"]
        if now > calls:
            calls, since = now, time.monotonic()
        elif time.monotonic() - since > _IDLE:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            process.returncode = 0
            return False
        time.sleep(0.1)
    return True


def _table(result: dict[str, Any], names: list[str], n: int, ideal: float) -> str:
    rows = []
    for name in names:
        runs = [run for run in result["runs"] if run["subject"] == name]
        kills = [kill for kill in result["kills"] if kill["subject"] == name]

        def a_call(key: str, runs: list[dict[str, Any]] = runs) -> list[float]:
            return [(r[key] - r["few"][key]) / (r["calls"] - r["few"]["calls"]) for r in runs]

        rows.append(
            (
                f"{name} {result['versions'][name]}",
                span([1 / seconds for seconds in a_call("seconds")], 0),
                span([1000 * seconds for seconds in a_call("cpu_seconds")], 2),
                span([run["few"]["cpu_seconds"] for run in runs], 1),
                span([run["peak_mb"] for run in runs], 0),
                span([kill["paid_twice"] for kill in kills], 0),
                span([kill["records_lost"] for kill in kills], 0),
                f"{sum(kill['went_on'] for kill in kills)} of {len(kills)}",
                runs[0]["records"],
            )
        )
    heads = (
        "subject",
        "calls/s",
        "client CPU ms/call",
        f"CPU s to start and make {_FEW}",
        "peak MB",
        "killed: calls paid twice",
        "killed: records lost",
        "killed: went on",
        "records",
    )
    return f"Ideal rate: {ideal:,.0f} calls/s; {n} records.\n\n" + table(heads, rows)


if __name__ == "__main__":
    main()
