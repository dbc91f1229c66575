"""What quantisation does to a judge's scores, and to its speed: f16, q8_0 and q4_0 of one model.

    python benchmarks/quantisation.py                   # about ten minutes on two cores
    python benchmarks/quantisation.py --model qwen2.5-coder-0.5b-instruct --n 60
    python benchmarks/quantisation.py --model my-judge.gguf

Scores: --n records of two sets, the score alone, read from the embedded engine; each file against
f16. All three are made of the model's file. Where that is q8_0 itself, as the catalogue's are, its
f16 has the same weights, so that q8_0 against f16 is the engine's own rounding of what it
multiplies, and q4_0 is that and the rounding of weights.

Speed: reading, tokens a second over prompts that share nothing; writing, tokens a second of one
answer and of eight at once. The files take turns in every repetition.
"""

import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from common import drawn_tasks, facts, parser, save, settings, span, table, with_data

from glider.backends.embedded import EmbeddedBackend
from glider.bench.shift import answers, shift
from glider.core.generation import Decoding, GenerationRequest, Message
from glider.core.tasks import JudgeTask
from glider.formats.nano import NanoFormat
from glider.models.catalog import DEFAULT, find
from glider.models.requantise import requantise
from glider.stats.estimates import Estimate

_KINDS = ("f16", "q8_0", "q4_0")
_SETS = ("saf_short_answers", "summeval")
_WRITTEN = 96


def main() -> None:
    made = parser(__doc__)
    with_data(made)
    made.add_argument("--model", default=DEFAULT, help="a name of the catalogue, or a .gguf file")
    made.add_argument("--n", type=int, default=100, help="records, half of each set")
    made.add_argument("--read-n", type=int, default=12, help="prompts to time reading with")
    args = made.parse_args()
    name, source = args.model, Path(args.model)
    if source.suffix == ".gguf":
        name, args.model = source.stem, source
    else:
        source = find(name).path
    stem = "quantisation" if name == DEFAULT else f"quantisation-{name}"
    tasks = [t for name in _SETS for t in drawn_tasks(args.data, name, args.n // 2, args.seed)]
    result: dict[str, Any] = {"facts": facts(), "settings": settings(args)}
    with tempfile.TemporaryDirectory(prefix="glider-bench-") as folder:
        files = {kind: Path(folder, f"{kind}.gguf") for kind in _KINDS}
        for kind, path in files.items():
            requantise(source, path, kind, lambda *_: None)
        result["scores"] = _scores(files, tasks, args.seed)
        result["table"] = _table(result)
        save(args.out, stem, result)
        speeds: list[dict[str, Any]] = []
        for repetition in range(args.reps):
            order = _KINDS[repetition % 3 :] + _KINDS[: repetition % 3]
            for kind in order:
                speeds.append({"kind": kind, **_speed(files[kind], tasks[: args.read_n])})
                print(repetition, speeds[-1], file=sys.stderr)
        result["speed"], result["load_at_end"] = speeds, facts()["load_at_start"]
        result["bytes"] = {kind: path.stat().st_size for kind, path in files.items()}
    result["table"] = _table(result)
    save(args.out, stem, result)
    print(result["table"])


def _scores(files: dict[str, Path], tasks: list[JudgeTask], seed: int) -> list[dict[str, Any]]:
    form = NanoFormat(explain=False)
    requests = []
    for task in tasks:
        prompt = form.render(task)
        requests.append(
            GenerationRequest(
                id=task.id,
                messages=prompt.messages,
                opening=prompt.opening,
                labels=prompt.labels,
                decoding=Decoding(max_tokens=prompt.max_tokens),
            )
        )
    found = {}
    for kind, path in files.items():
        with EmbeddedBackend(str(path), slots=1) as engine:
            found[kind] = answers(engine, requests)
    # Four criteria of one summary are not independent.
    clusters = [task.sample.content_id for task in tasks]
    parts = {"both": range(len(tasks))} | {
        name: range(n * len(tasks) // 2, (n + 1) * len(tasks) // 2) for n, name in enumerate(_SETS)
    }
    rows = []
    for kind in _KINDS[1:]:
        for part, places in parts.items():
            moved = shift(
                [found["f16"][n] for n in places],
                [found[kind][n] for n in places],
                [clusters[n] for n in places],
                rng=np.random.default_rng(seed),
            )
            rows.append({"kind": kind, "set": part, "n": moved.n, "largest": moved.largest,
                         "mean": _plain(moved.mean), "changed": _plain(moved.changed)})  # fmt: skip
            print(kind, part, moved, file=sys.stderr)
    return rows


def _plain(figure: Any) -> dict[str, Any]:
    if not isinstance(figure, Estimate):
        return {"undefined": figure.reason}
    return {"value": figure.value, "low": figure.low, "high": figure.high, "method": figure.method}


def _speed(path: Path, tasks: list[JudgeTask]) -> dict[str, float]:
    form = NanoFormat(explain=False)
    prompts = [form.render(task).messages[-1].content for task in tasks]
    with EmbeddedBackend(str(path), slots=8) as engine:
        engine.generate([_asked("warm", prompts[0], 1)])
        began = time.perf_counter()
        # A number in front, so that no prompt goes on from another.
        reads = [engine.generate([_asked(f"{n}", p, 1)])[0] for n, p in enumerate(prompts)]
        reading = time.perf_counter() - began
        tokens = sum(r.usage.prompt_tokens - r.usage.cached_tokens for r in reads)
        rates = {"read": tokens / reading, "read_tokens": tokens}
        for at_once in (1, 8):
            asked = [_asked(f"{n}", "Tell a long story.", _WRITTEN) for n in range(at_once)]
            engine.generate([_asked("0", "Tell a long story.", 1)])
            began = time.perf_counter()
            written = engine.generate(asked)
            took = time.perf_counter() - began
            rates[f"write_{at_once}"] = sum(w.usage.completion_tokens for w in written) / took
    return rates


def _asked(number: str, text: str, tokens: int) -> GenerationRequest:
    return GenerationRequest(
        id=number,
        messages=(Message("system", f"{number}."), Message("user", text)),
        decoding=Decoding(max_tokens=tokens),
    )


def _table(result: dict[str, Any]) -> str:
    def shown(figure: dict[str, Any], percent: bool = False) -> str:
        if "value" not in figure:
            return str(figure["undefined"])
        form = "{:.0%} [{:.0%}, {:.0%}]" if percent else "{:.4f} [{:.4f}, {:.4f}]"
        return form.format(figure["value"], figure["low"], figure["high"])

    text = table(
        ("against f16", "records", "n", "mean shift, 0..1", "largest", "another level"),
        [
            (r["kind"], r["set"], r["n"], shown(r["mean"]), f"{r['largest']:.3f}",
             shown(r["changed"], percent=True))
            for r in result["scores"]
        ],
    )  # fmt: skip
    speeds = result.get("speed", [])
    if not speeds:
        return text
    rows = []
    for kind in _KINDS:
        here = [one for one in speeds if one["kind"] == kind]
        cells = [span([one[key] for one in here], 0) for key in ("read", "write_1", "write_8")]
        rows.append((kind, f"{result['bytes'][kind] / 1e6:.0f}", *cells))
    text += "\n" + table(
        ("file", "MB", "reads, tokens/s", "writes one, tokens/s", "writes eight, tokens/s"), rows
    )
    ratios = []
    for key in ("read", "write_1", "write_8"):
        by_kind = {k: [one[key] for one in speeds if one["kind"] == k] for k in _KINDS}
        pairs = zip(by_kind["q4_0"], by_kind["q8_0"], strict=True)
        ratios.append(f"{key} {statistics.median(a / b for a, b in pairs):.2f}")
    return text + "\nq4_0 over q8_0, within each repetition: " + ", ".join(ratios) + "\n"


if __name__ == "__main__":
    main()
