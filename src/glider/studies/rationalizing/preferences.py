"""Write answer pairs as files for a preference stage, with a data card."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random
from typing import Any

from glider.core.base import Frozen
from glider.core.errors import EmptySplit, ReadError
from glider.corpus.examples import Preference, Turn, write_lines
from glider.formats.base import Format
from glider.store.atomic import write_json, write_whole
from glider.studies.rationalizing.asking import AskedExample, Prompts, SampledAnswers, read_answer
from glider.studies.rationalizing.pairing import (
    STEPS,
    ReadAnswer,
    majority,
    paired,
    right_levels,
)
from glider.studies.rationalizing.settings import Choice


@dataclass(frozen=True, kw_only=True)
class Pairing:
    """How answers are paired; these settings may change between runs over the same answers."""

    samples: int = 8
    """Our choice; the paper's N is unknown to us."""
    choose: Choice = "correct"
    margin: float = 2.0
    """In the paper, a margin of at least 2 beat a margin of at least 1."""
    pairs: int = 1
    """Maximum number of pairs per prompt."""
    seed: int = 0


class PairFigures(Frozen):
    """Statistics of one split."""

    prompts: int
    there: int
    """Number of examples available."""
    unaskable: dict[str, int]
    asked: int
    """Number of answers requested."""
    readable: int
    unreadable: dict[str, int]
    """Number of unreadable answers, by error code."""
    failed: dict[str, int]
    """Number of failed answers, by the engine's error code."""
    missing: int
    """Number of answers still missing: continue with --resume."""
    unconstrained: int
    """Number of answers from an engine that could not enforce the grammar."""
    right: int
    """Number of readable answers with a right score."""
    prompts_by: dict[str, int]
    """Number of prompts, by outcome."""
    pairs: int
    by_margin: dict[str, int]
    """Number of pairs, by the distance of the two scores as a share of the scale."""
    by_set: dict[str, tuple[int, int]]
    """Number of prompts and of pairs, by set."""
    place: tuple[float, float] | None
    """Mean score of preferred and of rejected answers, 0 to 1 of the scale. If they are far apart,
    the pairs teach leniency or severity."""
    characters: tuple[float, float] | None
    """Mean length in characters of preferred and of rejected answers."""


def preferences(
    asked: Prompts, answers: SampledAnswers, format: Format, pairing: Pairing
) -> tuple[list[Preference], PairFigures]:
    """Return the pairs of one split, in the order of its prompts, and their statistics."""
    made: list[Preference] = []
    sizes: list[tuple[float, float, int, int]] = []
    unreadable, failed, outcomes, margins = Counter[str](), Counter[str](), Counter[str](), []
    by_set: dict[str, tuple[int, int]] = {}
    there = readable = n_right = unconstrained = 0
    for question in asked.questions:
        example, rubric = question.example, question.task.criterion.rubric
        readable_answers: list[ReadAnswer] = []
        for answer in answers.of(example.id, pairing.samples):
            there += 1
            if answer.error is not None:
                failed[answer.error] += 1
                continue
            unconstrained += not answer.constrained
            try:
                readable_answers.append(read_answer(answer, question, format))
            except ReadError as exc:
                unreadable[exc.code] += 1
        right = right_levels(example, rubric.scores)
        if pairing.choose == "majority":
            right = majority(one.score for one in readable_answers)
        rng = Random(f"{pairing.seed}:pairs:{example.id}")
        found = paired(
            readable_answers,
            right,
            rubric.scores,
            margin=pairing.margin,
            most=pairing.pairs,
            rng=rng,
        )
        readable += len(readable_answers)
        n_right += sum(one.score in right for one in readable_answers)
        outcomes[found.outcome] += 1
        prompts, pairs = by_set.get(example.set, (0, 0))
        by_set[example.set] = prompts + 1, pairs + len(found.pairs)
        for number, two in enumerate(found.pairs):
            chosen, rejected = (rubric.normalize(one.score) for one in two)
            margins.append(f"{abs(chosen - rejected):.2f}")
            sizes.append((chosen, rejected, len(two[0].text), len(two[1].text)))
            made.append(_preference(question, number, *two))
    n_asked = len(asked.questions) * pairing.samples
    means = [round(sum(column) / len(sizes), 3) for column in zip(*sizes, strict=True)]
    return made, PairFigures(
        prompts=len(asked.questions),
        there=asked.there,
        unaskable=dict(asked.unaskable),
        asked=n_asked,
        readable=readable,
        unreadable=dict(unreadable),
        failed=dict(failed),
        missing=n_asked - there,
        unconstrained=unconstrained,
        right=n_right,
        prompts_by=dict(outcomes),
        pairs=len(made),
        by_margin=dict(sorted(Counter(margins).items())),
        by_set=dict(sorted(by_set.items())),
        place=(means[0], means[1]) if means else None,
        characters=(means[2], means[3]) if means else None,
    )


def _preference(
    question: AskedExample, number: int, chosen: ReadAnswer, rejected: ReadAnswer
) -> Preference:
    example, prompt = question.example, question.prompt
    labels = prompt.labels
    return Preference(
        id=f"{example.id}-{number}" if number else example.id,
        set=example.set,
        part=example.part,
        cluster=example.cluster,
        lang=example.lang,
        licence=example.licence,
        criterion=question.task.criterion.content_id,
        messages=tuple(Turn(role=m.role, content=m.content) for m in prompt.messages),
        opening=prompt.opening,
        labels=labels.texts if labels else None,
        after=labels.after if labels else "",
        weight=example.weight,
        score=chosen.score,
        chosen=chosen.text,
        rejected=rejected.text,
    )


class Rationalized(Frozen):
    """Contents and origin of a folder of pairs."""

    version: int = 1
    model: str
    """Model with revision, and format with its options."""
    temperature: float
    pairing: dict[str, Any]
    splits: dict[str, PairFigures]
    licences: dict[str, int]
    """Number of training pairs, by licence."""


def write_pairs(
    folder: Path,
    asked: Mapping[str, Prompts],
    answers: SampledAnswers,
    format: Format,
    pairing: Pairing,
    *,
    model: str,
    temperature: float,
) -> Rationalized:
    """Pair the answers and replace the files of any earlier pairing.

    Raises:
        EmptySplit: the answers yield no pair to train on; nothing is written.
        RunError: the disk is full or cannot be written.
    """
    made = {
        split: preferences(prompts, answers, format, pairing) for split, prompts in asked.items()
    }
    if not made["train"][0]:
        came_to = made["train"][1].prompts_by
        raise EmptySplit(
            "train",
            "no prompt gave a pair: " + ", ".join(f"{n} {why}" for why, n in came_to.items()),
            hint="the answers are kept; continue with --resume and more --samples, a smaller "
            "--margin or more prompts",
        )
    result = Rationalized(
        model=model,
        temperature=temperature,
        pairing=asdict(pairing),
        splits={split: figures for split, (_, figures) in made.items()},
        licences=dict(sorted(Counter(pair.licence for pair in made["train"][0]).items())),
    )
    for split, (pairs, _) in made.items():
        path = folder / f"preferences-{split}.jsonl.gz"
        if pairs:
            write_lines(path, pairs)
        else:
            path.unlink(missing_ok=True)
    write_whole(folder / "card.md", card(result))
    write_json(folder / "result.json", result.model_dump(mode="json"))
    return result


def card(result: Rationalized) -> str:
    """Describe the pairs as Markdown; a training stores it as its data card."""
    how = result.pairing
    splits = result.splits
    right = "the people's level" if how["choose"] == "correct" else "the most common of the answers"
    rows: list[tuple[str, Callable[[PairFigures], object]]] = [
        ("prompts", lambda f: f"{f.prompts} of {f.there}"),
        ("answers", lambda f: f.asked - f.missing),
        ("read", lambda f: f.readable),
        ("right", lambda f: f.right),
        ("not readable", lambda f: _listed(f.unreadable)),
        ("no answer", lambda f: _listed(f.failed)),
        ("not held to the grammar", lambda f: f.unconstrained),
        ("prompts that came to", lambda f: _listed(f.prompts_by)),
        ("pairs", lambda f: f.pairs),
        ("pairs by distance, share of the scale", lambda f: _listed(f.by_margin)),
        ("mean place on the scale, preferred and other", lambda f: _two(f.place)),
        ("mean characters, preferred and other", lambda f: _two(f.characters)),
    ]
    sets = sorted({name for figures in splits.values() for name in figures.by_set})
    lines = [
        "# Pairs of a judge's own answers",
        "",
        f"{how['samples']} answers of `{result.model}` to each prompt at temperature "
        f"{result.temperature:g}. Right is {right}; wrong is at least "
        f"{how['margin'] / STEPS:.0%} of the scale away from it. At most {how['pairs']} pairs of "
        "a prompt.",
        "",
        "| | " + " | ".join(splits) + " |",
        "|---|" + "---|" * len(splits),
        *[
            f"| {name} | " + " | ".join(str(figure(f)) for f in splits.values()) + " |"
            for name, figure in rows
        ],
        "",
        "Where preferred answers stand much higher or lower on the scale, or are much longer, than "
        "the others, a judge learns to be kind, harsh or wordy.",
        "",
        "| set | " + " | ".join(f"{split} prompts | pairs" for split in splits) + " |",
        "|---|" + "---|---|" * len(splits),
        *[
            f"| {name} | "
            + " | ".join("{} | {}".format(*f.by_set.get(name, (0, 0))) for f in splits.values())
            + " |"
            for name in sets
        ],
        "",
        "| licence of the labelled text | pairs |",
        "|---|---|",
        *[f"| {licence} | {n} |" for licence, n in result.licences.items()],
    ]
    return "\n".join(lines) + "\n"


def _listed(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {n}" for name, n in counts.items()) or "none"


def _two(values: tuple[float, float] | None) -> str:
    return "{:g}, {:g}".format(*values) if values else "none"
