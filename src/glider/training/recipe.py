"""A training as a YAML file: which model, which examples, which stages, with which numbers.

Every setting says what it means and where its number comes from. An unknown key is an error that
offers the near one. The resolved recipe, defaults filled in, is what a run's manifest keeps, so a
run can be asked again from its folder alone.

    base: smollm2-135m-instruct
    lora: {rank: 32}
    stages:
      - kind: sft
        learning_rate: 1e-3
"""

from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from glider.core.errors import RecipeError, UnknownName
from glider.data.yaml_files import mapping, read_text

SHIPPED = Path(__file__).parent / "recipes"
"""Where the recipes are that come with the package, and in `accelerate` the files for it."""

Positive = Annotated[float, Field(gt=0)]
Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=1)]
Loss = Literal["apo_zero", "apo_down", "sigmoid", "sft"]


class _Settings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class Lora(_Settings):
    """Train low-rank additions to the linear layers and nothing else (Hu et al. 2021)."""

    rank: Count = 32
    """Rank of each addition. 32 for nano; `benchmarks/ablation.py` puts 8 beside it."""
    alpha: Positive = 64
    """The addition is scaled by alpha / rank; twice the rank is the usual choice."""
    dropout: Share = 0.0
    """Of the input of each addition, while training. EvalYaks used 0.1 at rank 256."""
    targets: str | tuple[str, ...] = "all-linear"
    """Names of the layers that get one; `all-linear` is every linear layer but the output's."""


class Evaluate(_Settings):
    """Measure on examples that are not trained on, keep the best, stop when it gets no better."""

    every: Count = 100
    """Updates from one measurement to the next; the first is before any update."""
    examples: Count = 256
    """How many of the development part, drawn once with the recipe's seed."""
    metric: Literal["loss", "bench", "pearson", "accuracy"] = "loss"
    """What is best. `bench`: as `glider bench` has it, each set's own metric between random (0) and
    perfect (1), the mean over sets. `pearson`, `accuracy`: of the score read where serving reads
    it, the mean over sets. A preference stage has `loss`, and `accuracy`: chosen above rejected."""
    patience: int = Field(default=0, ge=0)
    """Measurements in a row without a new best after which the stage ends; 0 never ends it."""


class Checkpoint(_Settings):
    """What a killed training goes on from."""

    every: Count = 100
    """Updates from one to the next; also at each new best and at the end."""
    keep: Count = 2
    """How many of the newest stay; the best one stays too."""


class _Stage(_Settings):
    train: str = "train.jsonl.gz"
    """File of examples in the data folder, made by `glider data`."""
    dev: str | None = "dev.jsonl.gz"
    """File to measure on, not trained on; null for none."""
    limit: Count | None = None
    """Train on this many, drawn with the recipe's seed; null for all."""
    epochs: Positive = 1.0
    """Times each example is seen. GLIDER: 1 in both stages (script)."""
    learning_rate: Positive
    """Peak, after the warmup. GLIDER: 5e-5 for sft, 5e-7 for apo_zero (paper and script)."""
    batch: Count = 32
    """Examples of one update, over all processes. It decides the result."""
    batch_tokens: Count = 4096
    """Most tokens of one pass in one process, padding and both answers of a pair included. It
    decides memory and speed, not the result: an update is made of as many passes as it needs."""
    schedule: Literal["cosine", "linear", "constant_with_warmup"] = "cosine"
    """How the learning rate falls after the warmup. GLIDER: cosine."""
    warmup: Share = 0.03
    """Share of the updates in which the rate rises. GLIDER: 0.03 for sft, 0.05 for apo_zero."""
    weight_decay: float = Field(default=0.0, ge=0)
    """AdamW's, of the matrices. GLIDER: 0.01 for sft (script)."""
    max_grad_norm: Positive = 1.0
    """Longer gradients are cut to this length. GLIDER: 1.0 (script)."""
    evaluate: Evaluate = Evaluate()
    checkpoint: Checkpoint = Checkpoint()


class SftStage(_Stage):
    """Learn the answers that examples give; the score with its own weight and a soft label."""

    kind: Literal["sft"]
    """Supervised fine-tuning."""
    score_weight: float | None = Field(default=1.0, ge=0)
    """w_score of L = w_score CE(score) + w_text CE(text), each a mean over its tokens in the
    update. Null: the score's token is one of the text's, and L is the plain mean over the answer,
    as TRL and GLIDER have it."""
    text_weight: float = Field(default=1.0, ge=0)
    """w_text of the same (Themis' multi-objective, 2502.02988, has exact cross-entropy on scores
    beside a softer one on text)."""
    soft: bool = True
    """Learn the annotators' distribution over levels where an example has one, not its mode."""

    @model_validator(mode="after")
    def _learns(self) -> "SftStage":
        if not (self.score_weight is None or self.score_weight) and not self.text_weight:
            raise ValueError("score_weight and text_weight cannot both be 0")
        return self


class PreferenceStage(_Stage):
    """Learn which of two answers is better (recipes.md 2; APO: 2408.06266)."""

    kind: Literal["preference"]
    """TRL's DPOTrainer with the losses below."""
    train: str = "preferences-train.jsonl.gz"
    """File of preferences in the data folder."""
    dev: str | None = "preferences-dev.jsonl.gz"
    """File to measure on, not trained on; null for none."""
    loss: tuple[Loss, ...] = ("apo_zero", "sft")
    """Summed with `loss_weights`. apo_zero: chosen is better than what the model writes now;
    apo_down: it is worse; sigmoid: DPO; sft: cross-entropy of chosen, mean over an update's tokens.
    GLIDER: apo_zero with sft (its script's rpo_alpha=1)."""
    loss_weights: tuple[float, ...] = (1.0, 1.0)
    """One per loss. GLIDER: 1 and 1."""
    beta: Positive = 0.1
    """Pull towards the reference: larger stays nearer. GLIDER: 0.1."""

    @model_validator(mode="after")
    def _one_weight_each(self) -> "PreferenceStage":
        if len(self.loss) != len(self.loss_weights):
            raise ValueError(f"{len(self.loss)} losses, {len(self.loss_weights)} loss_weights")
        if self.evaluate.metric in ("pearson", "bench"):
            raise ValueError(
                f"a preference stage has no {self.evaluate.metric}; take accuracy or loss"
            )
        return self


Stage = Annotated[SftStage | PreferenceStage, Field(discriminator="kind")]


class Recipe(_Settings):
    """One training: a model, and stages that each go on from the one before."""

    name: str = "own"
    """What the result is called."""
    base: str
    """Model to start from: a catalogue name, a .gguf file, a Hugging Face folder or hub id."""
    revision: str | None = None
    """Of a hub id; null is its main branch."""
    start: str | None = None
    """Folder of an adapter, or of a finished run with one, to go on training; null for none. It
    keeps its own `lora`; a recipe that says something else is refused."""
    seed: int = 0
    """Of the draw and order of examples, of new adapters and of dropout."""
    max_tokens: Count = 2048
    """Longest example, answer included. A longer one is left out and counted, never cut: a cut
    prompt is not what serving asks. GLIDER: 8192."""
    lora: Lora | None = None
    """Train an adapter; null trains the model's own weights."""
    frozen_layers: int = Field(default=0, ge=0)
    """Lowest layers that are not trained. They need no backward pass, which is most of the time."""
    precision: Literal["auto", "bf16", "fp32"] = "auto"
    """Of the matrix products. auto: bf16 where the device has instructions for it, else fp32."""
    attention: Literal["auto", "blocks", "eager", "sdpa", "flash_attention_2"] = "auto"
    """How attention is computed. blocks: as plain matrix products over blocks, ours, quicker on
    processors; auto: blocks there, where the model's attention is plain, else sdpa."""
    recompute_activations: bool = False
    """Compute a layer's inside again in the backward pass: a third more time, far less memory."""
    compile: bool = False
    """torch.compile. Minutes at the first pass of each shape: not worth it for short runs."""
    threads: Count | None = None
    """Processor threads of one process; null is torch's own choice."""
    processes: Count = 1
    """How many the recipe is made for. With `threads`, for processors, `glider train` starts them;
    else `accelerate launch` does."""
    stages: tuple[Stage, ...]
    """In order; each starts from what the one before ended with."""

    @model_validator(mode="after")
    def _enough_examples(self) -> "Recipe":
        if not self.stages:
            raise ValueError("a recipe has one stage at least")
        for stage in self.stages:
            if stage.batch < self.processes:
                raise ValueError(f"batch {stage.batch} is less than one example per process")
        return self


def shipped() -> list[str]:
    """Names of the recipes that come with the package."""
    return sorted(path.stem for path in SHIPPED.glob("*.yaml"))


def load_recipe(source: str | Path, changes: Sequence[str] = ()) -> Recipe:
    """A recipe from a file, or a shipped one by name.

    Args:
        changes: `key=value`, the value as in YAML; `stages.0.batch=8` reaches inside.

    Raises:
        UnknownName: no such file, and no shipped recipe of that name.
        RecipeError: not YAML, or a setting that is unknown or not of its kind.
    """
    path, where = Path(source), str(source)
    if not path.is_file():
        if where not in shipped():
            raise UnknownName("recipe", where, shipped(), hint="or give a YAML file")
        path = SHIPPED / f"{source}.yaml"
        where = path.name
    data = mapping(read_text(path, RecipeError), where, RecipeError)
    return parse_recipe(data, changes, where=where)


def parse_recipe(
    data: dict[str, Any], changes: Sequence[str] = (), *, where: str = "recipe"
) -> Recipe:
    """A recipe from plain data, with changes as `load_recipe` takes them.

    Raises:
        RecipeError: names every setting that is wrong, with the near name of an unknown one.
    """
    for change in changes:
        _set(data, change)
    try:
        return Recipe.model_validate(data)
    except ValidationError as exc:
        problems = list(_problems(exc))
        raise RecipeError(
            f"{where}: " + "; ".join(text for _, text in problems),
            key=problems[0][0],
            hint="docs/training.md lists every setting",
        ) from exc


def _problems(error: ValidationError) -> Iterator[tuple[str, str]]:
    for problem in error.errors():
        # The kind of a stage stands in the location, and is not part of what a user wrote.
        place = [str(part) for part in problem["loc"] if part not in ("sft", "preference")]
        key = ".".join(place)
        if problem["type"] != "extra_forbidden":
            said = problem["msg"].removeprefix("Value error, ")
            yield key, f"{key}: {said}" if key else said
            continue
        near = get_close_matches(place[-1], _known(problem["loc"]), n=2, cutoff=0.5)
        near = near or [
            n for n in _stage_settings() if get_close_matches(place[-1], [n], cutoff=0.8)
        ]
        meant = f"; did you mean {' or '.join(map(repr, near))}?" if near else ""
        yield key, f"no setting called {key!r}{meant}"


_PARTS: dict[str, type[_Settings]] = {
    "lora": Lora,
    "evaluate": Evaluate,
    "checkpoint": Checkpoint,
    "sft": SftStage,
    "preference": PreferenceStage,
}


def _stage_settings() -> list[str]:
    return sorted({*SftStage.model_fields, *PreferenceStage.model_fields})


def _known(place: tuple[int | str, ...]) -> list[str]:
    parts = [_PARTS[part] for part in place[:-1] if isinstance(part, str) and part in _PARTS]
    return list((parts[-1] if parts else Recipe).model_fields)


def _set(data: dict[str, Any], change: str) -> None:
    """Put one `key=value` into plain data; an unknown key is found when the whole is read."""
    key, equals, text = change.partition("=")
    if not equals:
        raise RecipeError(f"--set needs key=value, got {change!r}")
    *way, last = key.strip().split(".")
    try:
        value = yaml.safe_load(text)
        here: Any = data
        for part in way:
            if isinstance(here, list):
                here = here[int(part)]
            else:
                if here.get(part) is None:
                    here[part] = {}
                here = here[part]
        if isinstance(here, list):
            here[int(last)] = value
        else:
            here[last] = value
    except (yaml.YAMLError, ValueError, IndexError, TypeError, AttributeError) as exc:
        raise RecipeError(f"there is no place {key!r} to set", key=key) from exc


def described() -> str:
    """Every setting, its default and its meaning, as Markdown: docs/training.md has it."""
    lines: list[str] = []
    parts: list[type[_Settings]] = [Recipe, Lora, SftStage, PreferenceStage, Evaluate, Checkpoint]
    names = ["the recipe", "`lora:`", "a stage of kind `sft`", "a stage of kind `preference`"]
    names += ["`evaluate:` of a stage", "`checkpoint:` of a stage"]
    shown: set[tuple[str, str, str]] = set()
    for part, name in zip(parts, names, strict=True):
        lines += [f"### {name[0].upper()}{name[1:]}", "", "| setting | default | meaning |"]
        lines.append("|---|---|---|")
        for key, field in part.model_fields.items():
            meaning = " ".join((field.description or "").split()).replace("|", "\\|")
            told = (key, _default(field), meaning)
            if told in shown:
                continue  # of every stage, said once
            shown.add(told)
            lines.append(f"| `{key}` | {told[1]} | {meaning or _of(field)} |")
        lines.append("")
    return "\n".join(lines)


def _default(field: Any) -> str:
    if field.is_required():
        return "needed"
    value = field.default
    if isinstance(value, _Settings):
        return "see below"
    if isinstance(value, tuple):
        return f"`[{', '.join(map(str, value))}]`"
    return f"`{yaml.safe_dump(value).strip().removesuffix('...').strip()}`"


def _of(field: Any) -> str:
    kinds = [field.annotation, *get_args(field.annotation)]
    return next(" ".join((k.__doc__ or "").split()) for k in kinds if k in _PARTS.values())
