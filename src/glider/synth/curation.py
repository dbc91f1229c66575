"""Curate kept records: leave out what benchmarks contain and what is over-represented.

A drawn plan does not come out even: some levels are lost more often than others. So the kept
records are balanced afterwards, by capping each value at a multiple of the median count. Before
that, records are left out that overlap a benchmark set, by the comparison that `glider data` makes.
Both are stages of the funnel, after those that a record passes while it is made.
"""

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from math import log2
from pathlib import Path
from random import Random
from statistics import median

from glider.corpus.overlap import Index, Match, Place
from glider.corpus.sources import benchmarks
from glider.store.journal import read_journal
from glider.synth.checks import Rejected
from glider.synth.records import SynthRecord
from glider.synth.settings import CurationSettings
from glider.synth.steps import sample_of
from glider.text.words import words

DECONTAMINATED, BALANCED = "decontaminated", "balanced"


@dataclass(frozen=True, slots=True)
class Curation:
    """Which kept records are left out again, and why."""

    stages: tuple[str, ...] = ()
    """The stages that were applied, in order."""
    rejected: Mapping[int, Rejected] = field(default_factory=dict)
    """By record number."""
    compared: int = 0
    """Number of labelled sets that the records were compared with."""

    def keeps(self, record: SynthRecord) -> bool:
        """Whether the record was kept and is not left out."""
        return record.kept and record.number not in self.rejected


def curate(
    run: Path,
    settings: CurationSettings,
    *,
    seed: int = 0,
    notify: Callable[[str], None] = lambda _text: None,
) -> Curation:
    """Curate the kept records of a synthesis; memory holds their numbers and values.

    Args:
        seed: of the draw of what is too much.
        notify: receives a line on what the records were compared with.

    Raises:
        SetupError: the settings are invalid.
        DataError: a line of the records is damaged.
    """
    settings.check()
    stages: list[str] = []
    rejected: dict[int, Rejected] = {}
    found = _benchmarks(settings.data)
    if found is None:
        notify("compared with no benchmark: --data FOLDER names the folder of the sets")
    else:
        notify(f"compared with {len(found.index.names)} labelled sets")
        stages.append(DECONTAMINATED)
        rejected |= {
            record.number: overlap
            for record in _kept(run)
            if (overlap := found.overlap(record)) is not None
        }
    if settings.balance:
        stages.append(BALANCED)
        _balance(run, settings, seed, rejected)
    return Curation(tuple(stages), rejected, len(found.index.names) if found else 0)


def _kept(run: Path) -> Iterator[SynthRecord]:
    return (r for r in read_journal(run / "records.jsonl", SynthRecord) if r.kept)


# Decontamination


@dataclass(frozen=True, slots=True)
class _Benchmarks:
    """The texts of every labelled set that is installed."""

    index: Index
    unseen: frozenset[str]
    """Sets that must be new to a judge, so that not even their prompts may occur."""

    def overlap(self, record: SynthRecord) -> Rejected | None:
        """Return where a record's texts occur in a benchmark, if they do."""
        places: set[Place] = {"answer", "item"}
        for text in record.texts:
            sample = sample_of(record.draw, text.material, id="0")
            matches = [
                match
                for match in self.index.find(sample)
                if match.place in places or match.benchmark in self.unseen
            ]
            if matches:
                match: Match = min(matches, key=lambda m: (m.benchmark, m.place))
                seen = f"{match.place}, {match.kind}: {sample.judged[0].text[:120]}"
                return Rejected(DECONTAMINATED, f"in the benchmark {match.benchmark}", seen)
        return None


def _benchmarks(data: Path | None) -> _Benchmarks | None:
    folder = data or (Path(os.environ["GLIDER_DATA"]) if "GLIDER_DATA" in os.environ else None)
    index, unseen = Index(), set()
    for source in benchmarks((), folder):
        index.add(source.labelled.name, [i.sample for i in source.labelled.items(source.folder)])
        if source.labelled.use == "unseen":
            unseen.add(source.labelled.name)
    return _Benchmarks(index, frozenset(unseen)) if index.names else None


# Balance


def _balance(
    run: Path, settings: CurationSettings, seed: int, rejected: dict[int, Rejected]
) -> None:
    """Cap each value of each property at a multiple of the median count, one after the other."""
    values = {
        record.number: {name: value_of(record, name) for name in settings.balance}
        for record in _kept(run)
        if record.number not in rejected
    }
    for name in settings.balance:
        by_value: dict[str, list[int]] = {}
        for number, found in values.items():
            if number not in rejected:
                by_value.setdefault(found[name], []).append(number)
        if not by_value:
            return
        most = max(1, round(settings.most * median(map(len, by_value.values()))))
        for value, members in sorted(by_value.items()):
            draw = Random(f"{seed}:{name}:{value}")
            for number in draw.sample(sorted(members), max(0, len(members) - most)):
                rejected[number] = Rejected(
                    BALANCED,
                    f"too many of one {name}",
                    f"{value}: {len(members)} records, at most {most}",
                )


def value_of(record: SynthRecord, name: str) -> str:
    """Return a kept record's value of a property in `settings.BALANCED`."""
    draw = record.draw
    if name == "domain":
        return draw.domain_group
    if name == "criterion":
        return draw.criterion_group
    text = record.texts[0]
    if name == "length":
        n = max(len(words(text.material[field])) for field in draw.judged_names)
        low = 2 ** int(log2(max(n, 1)))
        return f"{low} to {2 * low - 1} words"
    if draw.kind == "pair":
        return f"of two: {text.right.score}"
    return f"{draw.criterion.rubric.low} to {draw.criterion.rubric.high}: {text.right.score}"
