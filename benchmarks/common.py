"""What the benchmark scripts share: texts to judge, subjects in processes of their own, results.

A subject is a program that judges a file of tasks and writes one JSON object (`peers/worker.py`
has the form). It measures its own clock and processor time around the judging alone, so that
imports and loading a model do not count; the parent only starts it and waits.

Every figure is the median over repetitions with the smallest and largest in brackets; a ratio is
taken within each repetition first, since subjects of one repetition run next to each other.
"""

import argparse
import gzip
import json
import os
import platform
import random
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from glider._version import __version__
from glider.core.criteria import Criterion
from glider.core.samples import Sample
from glider.core.tasks import JudgeTask
from glider.data.library import load_criterion
from glider.data.own_criteria import criterion_of
from glider.data.rows import Row
from glider.formats.nano import NanoFormat
from glider.store.manifest import code_sha256

HERE = Path(__file__).resolve().parent
PEERS = HERE / "peers"
_LIBRARIES = ("aiohttp", "pydantic", "xllamacpp", "llguidance", "torch", "transformers", "numpy")
_OFFLINE = {
    # Each of these is the peer's own, documented switch.
    "DEEPEVAL_TELEMETRY_OPT_OUT": "1",
    "DEEPEVAL_DISABLE_DOTENV": "1",
    "LITELLM_TELEMETRY": "False",
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "HF_HUB_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "INSPECT_DISPLAY": "none",
    # No key of ours and no proxy: the endpoint is on this machine.
    "OPENAI_API_KEY": "none",
    "NO_PROXY": "127.0.0.1",
}


# ---- arguments and results


def parser(script_doc: str | None) -> argparse.ArgumentParser:
    """The options that every script has."""
    made = argparse.ArgumentParser(
        description=script_doc, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    made.add_argument("--reps", type=int, default=3, help="repetitions of everything")
    made.add_argument("--seed", type=int, default=7)
    made.add_argument("--out", type=Path, default=HERE / "results", help="folder for the JSON")
    return made


def with_data(made: argparse.ArgumentParser) -> None:
    """Add the option that says where the judgement data lie."""
    default = HERE.parent.parent / "shared" / "data"
    made.add_argument("--data", type=Path, default=default, help="folder of *.jsonl.gz")


def facts() -> dict[str, Any]:
    """When and where: what a reader needs in order to compare figures."""
    libraries = {}
    for name in _LIBRARIES:
        try:
            libraries[name] = version(name)
        except PackageNotFoundError:
            continue
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        # Folders are the reader's own business.
        "command": " ".join(Path(word).name if "/" in word else word for word in sys.argv),
        "glider": __version__,
        "code_sha256": code_sha256(),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()}",
        "cpu": _cpu(),
        "cores": len(os.sched_getaffinity(0)),
        "load_at_start": round(os.getloadavg()[0], 2),
        "libraries": libraries,
    }


def machine(made: Mapping[str, Any]) -> str:
    """The processor of some `facts`, in words."""
    return f"{made['cpu']}, {made['cores']} core{'s' * (made['cores'] != 1)}"


def settings(args: argparse.Namespace) -> dict[str, Any]:
    """The options of a script; of a folder only its name."""
    return {
        key: value.name if isinstance(value, Path) else value for key, value in vars(args).items()
    }


def _cpu() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def save(out: Path, name: str, result: Mapping[str, Any]) -> Path:
    """Write a script's result; an earlier one of the same name is replaced."""
    out.mkdir(parents=True, exist_ok=True)
    path = out / f"{name}.json"
    path.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n", "utf-8")
    return path


# ---- figures


def span(values: Sequence[float], digits: int = 1) -> str:
    """`median (min..max)`, or a dash where nothing was measured."""
    if not values:
        return "-"
    low, middle, high = min(values), statistics.median(values), max(values)
    return f"{middle:,.{digits}f} ({low:,.{digits}f}..{high:,.{digits}f})"


def table(heads: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """A Markdown table; the first column is text, the others are figures."""
    lines = [f"| {' | '.join(heads)} |", "|" + "---|" + "--:|" * (len(heads) - 1)]
    lines += [f"| {' | '.join(map(str, row))} |" for row in rows]
    return "\n".join(lines) + "\n"


# ---- tasks


def numbered_tasks(n: int, seed: int) -> list[JudgeTask]:
    """`n` texts of about 150 words, all different, each with its number, under one criterion."""
    rng = random.Random(seed)
    words = (
        "parcel left neighbour signed Tuesday driver noted time customer asked refund days the a"
    )
    criterion = load_criterion("customer-support-resolution")
    return [
        JudgeTask(
            Sample.of(
                f"text {number}: " + "the parcel " + " ".join(rng.choices(words.split(), k=150)),
                input="Where is my parcel, and what can I do now?",
                id=f"row-{number}",
            ),
            criterion,
        )
        for number in range(n)
    ]


def records(data: Path, name: str) -> list[dict[str, Any]]:
    """Every record of one of the data files."""
    with gzip.open(data / f"{name}.jsonl.gz", "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def task_of(record: Mapping[str, Any], criterion: Criterion | None = None) -> JudgeTask:
    """A record as a task, under `criterion` or the one the record brings."""
    brought = criterion or criterion_of(Row(index=0, line=1, data=dict(record)))
    assert brought is not None, "the record brings no criterion"
    given = {key: record[key] for key in ("input", "context", "reference") if record[key]}
    return JudgeTask(Sample.of(record["output"], id=record["id"], **given), brought)


def drawn_tasks(data: Path, name: str, n: int, seed: int) -> list[JudgeTask]:
    """`n` records drawn with a seed, in a shuffled order, as tasks.

    Short answers are put to the shipped criterion, all others to the one they bring.
    """
    chosen = random.Random(seed).sample(records(data, name), n)
    shipped = load_criterion("short-answer-grade") if name.startswith("saf") else None
    return [task_of(record, shipped) for record in chosen]


def write_tasks(path: Path, tasks: Iterable[JudgeTask]) -> None:
    """Tasks as JSON Lines: whole for us, and in plain words for programs that know no Glider.

    `messages` and `opening` are what our nano form says, for a loop that uses the same prompt.
    """
    nano = NanoFormat()
    with path.open("w", encoding="utf-8") as file:
        for task in tasks:
            sample, criterion = task.sample, task.criterion
            prompt = nano.render(task)
            plain = {
                "sample": sample.model_dump(mode="json"),
                "criterion": criterion.model_dump(mode="json"),
                "name": criterion.heading,
                "question": criterion.question_for(sample, {f.name: f.name for f in sample.fields}),
                "levels": {str(s): text for s, text in criterion.rubric.levels.items()},
                "messages": [{"role": m.role, "content": m.content} for m in prompt.messages],
                "opening": prompt.opening,
                **{
                    role: field.text
                    for role in ("input", "context", "reference")
                    if (field := sample.with_role(role)) is not None
                },
                "output": sample.judged[0].text,
            }
            file.write(json.dumps(plain, ensure_ascii=False) + "\n")


# ---- subjects


def run_subject(
    python: str | Path, script: str, *options: str, environment: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Run a program of `peers/` in a Python of its own; returns what it measured.

    Raises:
        RuntimeError: it failed, with the end of what it printed.
    """
    with tempfile.TemporaryDirectory(prefix="glider-bench-") as folder:
        result = Path(folder) / "result.json"
        # A home of its own: a peer's settings file or cache must not come in, nor be left behind.
        home = {"HOME": folder, "INSPECT_LOG_DIR": f"{folder}/logs"}
        done = subprocess.run(
            # Not resolved: a link into another Python is that one's.
            [str(Path(python).absolute()), str(PEERS / script), *options, f"--out={result}"],
            env=os.environ | _OFFLINE | home | dict(environment or {}),
            cwd=folder,
            capture_output=True,
            text=True,
        )
        if done.returncode or not result.exists():
            raise RuntimeError(f"{script} ended with {done.returncode}:\n{done.stderr[-3000:]}")
        return dict(json.loads(result.read_text("utf-8")))


def ours_environment(source: Path = HERE.parent / "src") -> dict[str, str]:
    """For our own programs in any Python: this source, and the model cache of this user."""
    from glider.models.catalog import cache_dir

    return {"PYTHONPATH": str(source), "GLIDER_CACHE": str(cache_dir())}


def peer_python(folder: Path | None, name: str) -> Path | None:
    """The Python of a peer set up by peers/setup.sh; None where it is not there."""
    python = folder / name / "bin" / "python" if folder else None
    if python is not None and not python.exists():
        print(f"no {name}: peers/setup.sh makes {python.parent.parent}", file=sys.stderr)
        return None
    return python


def in_turn(names: Sequence[str], repetition: int) -> list[str]:
    """The subjects of a repetition, every other time backwards, so that drift favours nobody."""
    return list(names) if repetition % 2 == 0 else list(reversed(names))
