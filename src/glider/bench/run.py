"""Judge labelled sets into run folders, one per system and set; safe to kill.

A folder holds all there is to score it again: the items with their gold go into the samples'
metadata under `item`, so neither the data nor the model is needed later. Gold is never shown to
the judge: a sample's metadata is never part of a prompt.

A system is a judge, or anything else with an `id` that takes (key, work) pairs and gives
(key, outcome) pairs, as the test-time strategies do. It is opened by the caller, once for all sets.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from glider.batch.run import OnOutcome
from glider.bench.scored import Reading, Scored, scored
from glider.core.base import content_hash
from glider.core.criteria import Criterion
from glider.core.errors import RunError
from glider.core.judgments import Comparison, Failure, Judgment, Span
from glider.core.samples import Sample
from glider.core.tasks import JudgeTask
from glider.gold.items import Item
from glider.judging.judge import Work
from glider.judging.pairs import PairTask
from glider.store.manifest import Manifest
from glider.store.run import RunFolder, load_criteria, outcomes, samples

Outcome = Judgment | Failure | Comparison
READINGS: tuple[Reading, ...] = ("expected", "greedy")


class Streams(Protocol):
    """The interface of a system: a `Judge`, or a strategy around one."""

    @property
    def id(self) -> str:
        """Identity of the system, complete enough to ask again."""
        ...

    def stream(self, items: Iterable[tuple[int, Work]], /) -> Iterator[tuple[int, Outcome]]:
        """Yield one outcome for each piece of work, in any order."""
        ...


def run_folder(out: Path, system: str, benchmark: str) -> Path:
    """Return the folder of a system's run on a set, below `out`."""
    return out / "runs" / _plain(system) / _plain(benchmark)


def judge_items(
    system: Streams,
    items: Sequence[Item],
    folder: Path,
    *,
    settings: Mapping[str, Any],
    on_outcome: OnOutcome = lambda row, outcome: None,
    resume: bool = False,
) -> None:
    """Judge every item into `folder`; with `resume`, only those without an outcome.

    Args:
        settings: all that decides the outcomes beside `system.id`: benchmark, limit, seed, ...
        on_outcome: called with each item's number and outcome once it is recorded.
        resume: continue what the folder contains; a missing folder is created.

    Raises:
        ManifestMismatch: the folder belongs to other items, settings, judge or code.
        RunError: a run exists and `resume` was not set, or it cannot be written.
    """
    criteria = {item.criterion.content_id: item.criterion for item in items}
    manifest = Manifest.of(
        run_id=folder.name,
        judge=system.id,
        settings=dict(settings),
        criteria={content_id: c.name for content_id, c in criteria.items()},
        input_path=str(settings.get("benchmark", folder.name)),
        input_sha256=items_hash(items),
    )
    begun = resume and (folder / "manifest.json").exists()
    with (
        RunFolder.resume(folder, manifest)
        if begun
        else RunFolder.create(folder, manifest, list(criteria.values()))
    ) as run:
        # Written first, so that whatever is judged later can be scored from the folder alone.
        for row, item in enumerate(items):
            run.record_sample(row, _with_gold(item))
        missing = (
            (row, work)
            for row, item in enumerate(items)
            for work in [_work(item)]
            if not run.is_done(row, item.criterion.name, *_names(work))
        )
        for row, outcome in system.stream(missing):
            run.record(row, outcome)
            on_outcome(row, outcome)


def items_hash(items: Sequence[Item]) -> str:
    """Hash of texts, criteria and gold, in order: the same items give the same hash."""
    return content_hash(
        [[i.sample.content_id, i.criterion.content_id, i.gold, i.part, i.cluster] for i in items]
    )


def items_from_run(folder: Path) -> list[Item]:
    """Return the items of a run, without the data they came from.

    Raises:
        RunError: the folder is not a run of `glider bench`.
    """
    try:
        criteria = {c.content_id: c for c in load_criteria(folder)}
        return [_item(sample, criteria) for _, sample in samples(folder)]
    except (OSError, KeyError) as exc:
        raise RunError(f"{folder} is no run of `glider bench`: {exc}") from exc


def scored_run(
    folder: Path,
    benchmark: str,
    system: str,
    readings: Sequence[Reading] = READINGS,
    *,
    items: Sequence[Item] | None = None,
) -> list[Scored]:
    """Return a run's answers with their gold: one `Scored` for each way of reading it.

    Where no outcome has probabilities, all readings are one and the system keeps its plain name.

    Args:
        items: the run's, where they have been read already.
    """
    items = items_from_run(folder) if items is None else items
    # A long run's texts would fill the memory; scores do not need them.
    found = {row: _lean(outcome) for row, outcome in outcomes(folder)}
    if len(readings) > 1 and not any(map(_has_spread, found.values())):
        readings = ("greedy",)
    several = len(readings) > 1
    return [
        scored(benchmark, f"{system}, {reading}" if several else system, items, found, reading)
        for reading in readings
    ]


def _work(item: Item) -> Work:
    if item.is_pair:
        first, second = (field.name for field in item.sample.judged)
        return PairTask(item.sample, item.criterion, first, second)
    return JudgeTask(item.sample, item.criterion)


def _names(work: Work) -> tuple[str, ...]:
    return (work.first, work.second) if isinstance(work, PairTask) else ()


def _with_gold(item: Item) -> Sample:
    kept = {
        "criterion": item.criterion.content_id,
        "gold": item.gold,
        "scale": list(item.scale),
        "part": item.part,
        "cluster": item.cluster,
        "ratings": list(item.ratings),
        "spans": [span.model_dump() for span in item.spans],
        "reason": item.reason,
        "lang": item.lang,
        "group": item.group,
        "as_written": item.as_written,
    }
    return item.sample.model_copy(update={"metadata": {**item.sample.metadata, "item": kept}})


def _item(sample: Sample, criteria: Mapping[str, Criterion]) -> Item:
    others = dict(sample.metadata)
    kept = others.pop("item")
    low, high = kept["scale"]
    return Item(
        sample=sample.model_copy(update={"metadata": others}),
        criterion=criteria[kept["criterion"]],
        gold=kept["gold"],
        scale=(low, high),
        part=kept["part"],
        cluster=kept["cluster"],
        ratings=tuple(kept["ratings"]),
        spans=tuple(Span(**span) for span in kept["spans"]),
        reason=kept["reason"],
        lang=kept["lang"],
        group=kept["group"],
        as_written=kept["as_written"],
    )


def _lean(outcome: Outcome) -> Outcome:
    if isinstance(outcome, Judgment):
        return outcome.model_copy(update={"raw_text": "", "reasoning": None, "highlights": ()})
    if isinstance(outcome, Comparison):
        orders = tuple(_lean(order) for order in outcome.orders)
        return outcome.model_copy(update={"orders": orders})
    return outcome


def _has_spread(outcome: Outcome) -> bool:
    if isinstance(outcome, Comparison):
        return any(map(_has_spread, outcome.orders))
    return isinstance(outcome, Judgment) and outcome.expected is not None


def _plain(name: str) -> str:
    """Return a name that is valid on any file system."""
    return re.sub(r"[^\w.-]+", "-", name).strip("-.") or "unnamed"
