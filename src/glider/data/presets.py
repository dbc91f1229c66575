"""How other tools name their columns, and which are used where the user says nothing else.

A preset says how another tool writes its records; `--map output=answer` overrides it, and any
other name on the left becomes an extra field that is shown and not judged. What a file has and
nothing is made of is said once, with the `--map` that would use it.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pydantic import ValidationError

from glider.core.base import first_problem
from glider.core.errors import SetupError, UnknownName
from glider.core.samples import Field
from glider.data import foreign_shapes as shapes
from glider.data.columns import Columns, start_of, value_at

_TARGETS = ("id", "input", "context", "reference", "output", "outputs")


def _fields(**sources: str | tuple[str, ...]) -> dict[str, tuple[str, ...]]:
    return {name: (s,) if isinstance(s, str) else s for name, s in sources.items()}


_PLAIN = _fields(input="input", context="context", reference="reference", output="output")


def _one(shape: shapes.Shape, *columns: str) -> Columns:
    return Columns(fields=_PLAIN, reshape=shape, reshaped=columns)


def _two(shape: shapes.Shape, *columns: str) -> Columns:
    return Columns(fields=_PLAIN, outputs="outputs", reshape=shape, reshaped=columns)


PRESETS: dict[str, Columns] = {
    "record": Columns(
        fields=_PLAIN,
        outputs="outputs",
        kept=("label", "kind", "lang", "source", "annotators", "rationale", "meta"),
    ),
    "deepeval": Columns(
        fields=_fields(
            input="input",
            context=("retrieval_context", "context"),
            reference="expected_output",
            output="actual_output",
        )
    ),
    "ragas": Columns(
        fields=_fields(
            input="user_input",
            context="retrieved_contexts",
            reference="reference",
            output="response",
        )
    ),
    "ragas-0.1": Columns(
        fields=_fields(
            input="question",
            context=("contexts", "context"),
            reference=("ground_truth", "ground_truths", "reference"),
            output="answer",
        )
    ),
    "prometheus": Columns(
        fields=_fields(input="instruction", reference="reference_answer", output="response")
    ),
    "inspect": _one(shapes.inspect_sample, *shapes.INSPECT),
    "lm-eval": _one(shapes.lm_eval_sample, *shapes.LM_EVAL),
    "alpaca-eval": _two(shapes.alpaca_eval, *shapes.ALPACA_EVAL),
    "mt-bench": _two(shapes.arena, *shapes.ARENA),
    "trl": _two(shapes.preference, *shapes.PREFERENCE),
    "completion": _one(shapes.completion, *shapes.COMPLETION),
    "mlflow": Columns(fields=_fields(input="inputs", reference="expectations", output="outputs")),
    "openevals": Columns(
        fields=_fields(
            input="inputs", context="context", reference="reference_outputs", output="outputs"
        )
    ),
    "alpaca": Columns(
        fields=_fields(
            input="instruction",
            context=("input", "context"),
            reference=("reference", "reference_answer"),
            output="output",
        )
    ),
    "autoevals": Columns(
        fields=_fields(input="input", context="context", reference="expected", output="output")
    ),
    "glider": Columns(fields=_PLAIN, outputs="outputs"),
    "messages": _one(shapes.messages, *shapes.MESSAGES),
    "sharegpt": _one(shapes.sharegpt, *shapes.SHAREGPT),
}
"""How each tool writes what was asked, what it rests on, and what was answered."""

_FORMER = {"judgements": "record"}
"""Presets by the names they had."""

_SIGNS: tuple[tuple[str, frozenset[str]], ...] = (
    ("record", frozenset({"criterion", "label"})),
    ("deepeval", frozenset({"actual_output"})),
    ("ragas", frozenset({"user_input", "response"})),
    ("prometheus", frozenset({"instruction", "response"})),
    ("inspect", frozenset({"epoch", "target", "messages", "output"})),
    ("lm-eval", frozenset({"doc", "arguments", "resps"})),
    ("alpaca-eval", frozenset({"output_1", "output_2"})),
    ("mt-bench", frozenset({"conversation_a", "conversation_b"})),
    ("trl", frozenset({"chosen", "rejected"})),
    ("completion", frozenset({"prompt", "completion"})),
    ("mlflow", frozenset({"inputs", "outputs", "expectations"})),
    ("openevals", frozenset({"inputs", "outputs"})),
    ("alpaca", frozenset({"instruction", "output"})),
    ("autoevals", frozenset({"output", "expected"})),
    ("glider", frozenset({"output"})),
    ("glider", frozenset({"outputs"})),
    *(("ragas-0.1", frozenset({"question", "answer", told})) for told in
      ("ground_truth", "ground_truths", "contexts")),
    ("messages", frozenset({"messages"})),
    ("sharegpt", frozenset({"conversations"})),
    ("sharegpt", frozenset({"conversation"})),
)  # fmt: skip

_LIKELY = {
    "output": (
        "answer", "response", "completion", "prediction", "predicted", "generated", "generation",
        "generated_text", "model_output", "reply", "summary", "translation", "hypothesis", "text",
    ),
    "input": (
        "instruction", "question", "prompt", "query", "user_input", "request", "problem", "inputs",
        "messages",
    ),
    "context": (
        "contexts", "documents", "docs", "document", "passage", "article", "retrieved_contexts",
        "source_text", "system", "system_prompt",
    ),
    "reference": (
        "expected", "expected_output", "ground_truth", "ground_truths", "target", "gold", "ideal",
        "reference_answer", "references", "label_text",
    ),
}  # fmt: skip
"""Names under which others have what a field is, likeliest first."""


def guess_preset(columns: Collection[str]) -> str:
    """The preset whose marking columns are all there; the first of this order.

    record (criterion, label), deepeval (actual_output), ragas (user_input, response), prometheus
    (instruction, response), inspect (epoch, target, messages, output), lm-eval (doc, arguments,
    resps), alpaca-eval (output_1, output_2), mt-bench (conversation_a, conversation_b), trl
    (chosen, rejected), completion (prompt, completion), mlflow (inputs, outputs, expectations),
    openevals (inputs, outputs), alpaca (instruction, output), autoevals (output, expected), glider
    (output or outputs), ragas-0.1 (question, answer and ground_truth, ground_truths or contexts),
    messages (messages), sharegpt (conversations, conversation).

    Raises:
        SetupError: the columns fit none of them.
    """
    for name, signs in _SIGNS:
        if signs <= set(columns):
            return name
    likely = [f"{field}={column}" for field, column in _likely(columns) if field == "output"]
    hint = "name the column to judge with --map output=COLUMN, or a preset with --preset"
    if likely:
        hint = f"--map {likely[0]} judges that column; {hint}"
    listed = ", ".join(sorted(map(str, columns)))
    raise SetupError(f"no preset fits the columns {listed}", hint=hint)


def _likely(columns: Collection[str]) -> Iterator[tuple[str, str]]:
    for field, names in _LIKELY.items():
        found = next((name for name in names if name in columns), None)
        if found is not None:
            yield field, found


@dataclass(frozen=True, slots=True)
class Use:
    """What of a row's columns is used."""

    used: tuple[str, ...]
    """`output`, or `answer as output`."""
    unused: tuple[str, ...]
    advice: str = ""
    """The `--map` that would use more."""

    def __str__(self) -> str:
        unused = ", ".join(self.unused[:12]) + (", ..." if len(self.unused) > 12 else "")
        advice = f" ({self.advice})" if self.advice else ""
        return f"used: {', '.join(self.used)}; not used: {unused}{advice}"


def use_of(data: Mapping[str, Any], columns: Columns, also: Collection[str] = ()) -> Use:
    """What is used of a row, and what is not.

    Args:
        also: columns that are used for something else than the texts.
    """
    fields: dict[str, str] = {}
    for name, source in columns.sources():
        there = source in data or value_at(data, source) is not None
        if there and (not name or name not in fields.values()):
            fields.setdefault(source, name)
    used = {source if source in data else start_of(source) for source in fields}
    unused = [
        str(name) for name in data if name not in used and name not in {*columns.kept, *also, "id"}
    ]
    taken = {*fields.values(), *(columns.fields if columns.reshape else ())}
    advice = [
        f"--map {field}={name}"
        for field, name in _likely(unused)
        if field not in taken and field != "output"
    ]
    shown = [
        source if name in ("", source) else f"{source} as {name}"
        for source, name in fields.items()
        if name != "id"
    ]
    return Use(tuple(shown), tuple(unused), " ".join(advice))


def parse_maps(maps: Sequence[str]) -> dict[str, str]:
    """`["output=answer", "persona=card"]` as field to column.

    Raises:
        SetupError: not of the form field=column, a field named twice or oddly.
    """
    parsed: dict[str, str] = {}
    for written in maps:
        target, equals, source = (part.strip() for part in written.partition("="))
        if not (target and equals and source):
            raise SetupError(f"--map {written!r} is not of the form field=column")
        if target in parsed:
            raise SetupError(f"--map gives {target!r} twice")
        if target not in _TARGETS and target.casefold() in _TARGETS:
            raise SetupError(f"--map has no field {target!r}; write {target.casefold()!r}")
        _check_name(target)
        parsed[target] = source
    if "output" in parsed and "outputs" in parsed:
        raise SetupError("--map gives both output and outputs: one to judge, or some to compare?")
    return parsed


def columns_for(
    seen: Collection[str],
    *,
    preset: str | None = None,
    maps: Mapping[str, str] | None = None,
    judged: Sequence[str] = (),
) -> Columns:
    """The columns to read, from what the user said and, for the rest, from what is there.

    Args:
        seen: column names of the first row; used only where no preset is named.
        preset: a name from PRESETS; guessed from `seen` if not given.
        maps: what `parse_maps` gives.
        judged: fields to judge in place of `output`; one that is not mapped is a column's name.

    Raises:
        UnknownName: no such preset.
        SetupError: no preset fits and nothing says what to judge.
    """
    maps = maps or {}
    if preset is None:
        said = bool(judged) or "output" in maps or "outputs" in maps
        try:
            preset = guess_preset(seen)
        except SetupError:
            if not said:
                raise
            preset = "glider"
    preset = _FORMER.get(preset, preset)
    if preset not in PRESETS:
        raise UnknownName("preset", preset, list(PRESETS))
    base = PRESETS[preset]
    fields = dict(base.fields)
    fields |= {name: (source,) for name, source in maps.items() if name not in ("id", "outputs")}
    for name in judged:
        _check_name(name)
        fields.setdefault(name, (name,))
    outputs = maps.get("outputs", base.outputs)
    if judged or "output" in maps:
        outputs = None
    if "outputs" in maps or (judged and "output" not in (*judged, *maps)):
        fields.pop("output", None)
    return replace(
        base,
        fields=fields,
        judged=tuple(judged) or (() if "outputs" in maps else base.judged),
        outputs=outputs,
        id=maps.get("id", base.id),
        mapped=frozenset(maps) | (frozenset(judged) - frozenset(base.fields)),
    )


def _check_name(name: str) -> None:
    try:
        Field(name=name, text="")
    except ValidationError as exc:
        raise SetupError(first_problem(exc).what) from exc
