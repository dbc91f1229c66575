"""The model card: how a judge was made, its benchmark results, and its intended use.

The card is generated from the files of the training run and benchmark results, never by hand. It
marks unknown facts as unknown. Every figure has its interval and n, or the reason why it is
missing. The card contains no local paths.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from glider.corpus.data_card import DataRecord
from glider.stats.estimates import Estimate, Undefined
from glider.training.folder import TrainingManifest

_HIDDEN = {"name", "base", "revision", "start", "stages", "lora", "seed", "processes", "threads"}
_STAGE_HIDDEN = {"train", "dev", "evaluate", "checkpoint"}


IN_LANGUAGE = "items in "
"""Prefix of the name of a figure for one language; the language code follows."""


@dataclass(frozen=True, slots=True)
class CardFigure:
    """One benchmark figure."""

    benchmark: str
    system: str
    metric: str
    figure: Estimate | Undefined


@dataclass(frozen=True, slots=True, kw_only=True)
class CardFacts:
    """All the facts a card can state; None means unknown."""

    name: str
    base: str
    base_licence: str | None = None
    kind: str
    """What the card describes: adapter, hf or gguf."""
    manifest: TrainingManifest | None = None
    kept: dict[str, Any] | None = None
    """`result.json` of the training: stage, step and figures of the selected checkpoint."""
    hours: float | None = None
    data: DataRecord | None = None
    measured: Sequence[CardFigure] = ()
    check: str = ""
    """Result of the export's own check, as text."""
    sha256: str = ""
    """SHA-256 of the adapter."""


def hours(lines: Iterable[dict[str, Any]]) -> float:
    """Sum the hours spent on updates and evaluation, from the lines of a training's metrics."""
    seconds = 0.0
    for line in lines:
        if line.get("tokens_per_s"):
            seconds += line["tokens"] / line["tokens_per_s"]
        seconds += line.get("eval_seconds", 0.0)
    return seconds / 3600


def model_card(about: CardFacts) -> str:
    """Render the card as Markdown, with the header that model hubs read."""
    parts = [
        _header(about),
        [f"# {about.name}", "", *_what(about)],
        ["## Use", "", *_use(about)],
        ["## Figures", "", *_figures(about)],
        ["## Training data", "", *_data(about.data)],
        ["## Training", "", *_training(about)],
        ["## Limits", "", *_limits(about)],
        ["## Licences", "", *_licences(about)],
    ]
    return "\n\n".join("\n".join(part).rstrip() for part in parts) + "\n"


def _header(about: CardFacts) -> list[str]:
    lines = ["---", "library_name: " + ("peft" if about.kind == "adapter" else "transformers")]
    if about.base.count("/") == 1:
        lines.append(f"base_model: {about.base}")
    if about.data is not None:
        lines += ["language:", *(f"- {lang}" for lang in about.data.train.by_language)]
    return [*lines, "tags:", "- llm-as-a-judge", "- glider", "---"]


def _what(about: CardFacts) -> list[str]:
    kinds = {
        "adapter": "a LoRA adapter on",
        "hf": "all weights, merged, of a judge trained from",
        "gguf": "a file for llama.cpp of a judge trained from",
    }
    return [
        f"A judge of text: {kinds[about.kind]} **{about.base}**. Asked with a criterion and its "
        "levels it gives each level's probability, and where asked quotes and a reason.",
    ]


def _use(about: CardFacts) -> list[str]:
    model = {"adapter": "FOLDER", "hf": "hf/FOLDER", "gguf": "FILE.gguf"}[about.kind]
    return [
        "```sh",
        f"glider judge data.jsonl --criterion helpfulness --model {model}",
        "```",
        "",
        "Ask it in the format it was trained in; Glider does. Meant for scoring many texts under "
        "stated criteria, where somebody has compared it with people on texts of that kind first "
        "(`glider bench`, `glider calibrate`).",
    ]


def _figures(about: CardFacts) -> list[str]:
    lines: list[str] = []
    if about.measured:
        lines += _table(
            ("benchmark", "judge", "metric", "value [95 % interval]", "n"),
            [
                (m.benchmark, m.system, m.metric, _value(m.figure), m.figure.n)
                for m in about.measured
            ],
        )
    else:
        lines += ["No benchmark was run on it.", ""]
    if about.kept and about.kept.get("metrics"):
        kept = about.kept
        values = ", ".join(
            f"{name.replace('_', ' ')} {value:.4g}" for name, value in kept["metrics"].items()
        )
        lines += [
            f"On the training's own development part, at the kept update ({kept['step']}): "
            f"{values}. The kept update was chosen on these examples, so they flatter.",
            "",
        ]
    if about.check:
        lines += [f"Export: {about.check}.", ""]
    return lines


def _value(figure: Estimate | Undefined) -> str:
    if isinstance(figure, Undefined):
        return f"none: {figure.reason}"
    return f"{figure.value:.3f} [{figure.low:.3f}, {figure.high:.3f}]"


def _data(data: DataRecord | None) -> list[str]:
    if data is None:
        return ["Not known: the folder that `glider data` made was not given (`--data`)."]
    train = data.train
    return [
        f"{train.examples} examples to draw from (how many were taken stands under Training), "
        f"{train.explained} with a reason, {train.pairs} of pairs, {train.soft} with a "
        f"distribution as label; {data.dev.examples} more for development. What a benchmark holds "
        "was left out; the data card has the counts.",
        "",
        *_table(
            ("set", "examples", "what it is, labels by, licence"),
            [(name, count, data.titles.get(name, "")) for name, count in train.by_set.items()],
        ),
    ]


def _training(about: CardFacts) -> list[str]:
    manifest = about.manifest
    if manifest is None:
        return ["Not known: exported from an adapter alone.", *_hash(about)]
    recipe = manifest.recipe
    spent = f" {about.hours:.1f} hours," if about.hours is not None else ""
    lines = [
        f"From {manifest.base['name']} at {manifest.base['revision']}, seed {recipe['seed']},"
        f"{spent} {manifest.processes} process{'es' if manifest.processes > 1 else ''}."
        + (f" It went on from the adapter {manifest.start}." if manifest.start else ""),
        "",
        *_table(("setting", "value"), _settings(recipe)),
    ]
    for number, stage in enumerate(recipe["stages"], start=1):
        chosen = {k: v for k, v in stage.items() if k not in _STAGE_HIDDEN and v is not None}
        lines += [f"Stage {number}:", "", *_table(("setting", "value"), chosen.items())]
    lines += _table(
        ("file", "examples", "too long", "SHA-256"),
        [
            (name, file["examples"], file.get("too_long", 0), file["sha256"])
            for name, file in manifest.data.items()
        ],
    )
    versions = ", ".join(f"{name} {version}" for name, version in manifest.libraries.items())
    lines += [f"Glider {manifest.glider} (code {manifest.code_sha256}), {versions}."]
    return [*lines, *_hash(about)]


def _settings(recipe: dict[str, Any]) -> list[tuple[str, object]]:
    rows: list[tuple[str, object]] = [
        (key, value)
        for key, value in recipe.items()
        if key not in _HIDDEN and value not in (None, False, 0)
    ]
    if recipe.get("lora"):
        rows += [(f"lora {key}", value) for key, value in recipe["lora"].items()]
    else:
        rows.append(("trained", "all weights"))
    return rows


def _hash(about: CardFacts) -> list[str]:
    return ["", f"Adapter: SHA-256 {about.sha256}."] if about.sha256 else []


def _limits(about: CardFacts) -> list[str]:
    langs = ", ".join(about.data.train.by_language) if about.data else "not known"
    good = [
        m.benchmark.removeprefix(IN_LANGUAGE)
        for m in about.measured
        if m.benchmark.startswith(IN_LANGUAGE)
        and isinstance(m.figure, Estimate)
        and m.figure.low > 0
    ]
    lines = [
        "- A judge repeats what its labels teach, their mistakes and tastes included.",
        f"- Languages it was trained on: {langs}. In others nobody measured it"
        + ("." if not about.measured else ", but for the figures above."),
        "- Under a criterion or on texts unlike those above it may be no better than its base. "
        "Compare it with 50 labels of your own before you rely on it.",
        "- Judged text can try to sway it. `glider audit` measures by how much.",
        "- Not for decisions about people without a person: grading, hiring, moderation appeals.",
    ]
    if good:
        lines.append(
            f"- Languages with a figure whose whole interval is above chance: {', '.join(good)}."
        )
    if not about.measured:
        lines.append("- It was not measured on any benchmark.")
    return lines


def _licences(about: CardFacts) -> list[str]:
    lines = [f"- Base, {about.base}: {about.base_licence or 'see its own card'}."]
    if about.data is not None:
        lines += [
            f"- Data, {count} examples: {licence}."
            for licence, count in about.data.train.by_licence.items()
        ]
    return lines


def _table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> list[str]:
    listed = [[str(cell).replace("|", "\\|") for cell in row] for row in rows]
    return [
        "| " + " | ".join(head) + " |",
        "|" + "---|" * len(head),
        *["| " + " | ".join(row) + " |" for row in listed],
        "",
    ]
