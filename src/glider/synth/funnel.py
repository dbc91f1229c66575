"""The funnel of a synthesis: where records were lost, and how noisy the labels are.

Counts accumulate as records end and can be recomputed from `records.jsonl`; what is left out
afterwards, to stay clear of benchmarks or for balance, is counted with them. Label noise is
the confusion matrix of the target score and the blind reading's score, over
all texts that were read blind, kept or not.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from glider.core.judgments import Usage
from glider.stats.estimates import Estimate, proportion
from glider.store.atomic import write_json
from glider.synth.curation import Curation, value_of
from glider.synth.draw import Draw
from glider.synth.records import STAGES, LaterReading, SynthRecord


@dataclass
class Funnel:
    """Counts over ended records."""

    curation: Curation = field(default_factory=Curation)
    """What is left out after the records ended."""
    drawn: int = 0
    kept: int = 0
    lost: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Records lost, by (stage, reason)."""
    examples: dict[tuple[str, str], tuple[int, str]] = field(default_factory=dict)
    """Number and excerpt of the first record lost, by (stage, reason)."""
    lost_parts: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Criteria lost of kept profiles, by (stage, reason)."""
    usage: Usage = field(default_factory=Usage)
    by: dict[str, Counter[str]] = field(default_factory=dict)
    """Kept records by value, for each property: kind, domain group, criterion group, target, ..."""
    domains: set[str] = field(default_factory=set)
    criteria: set[str] = field(default_factory=set)
    verdicts: dict[str, Counter[str]] = field(default_factory=dict)
    """Verdict counts by verifier."""
    verdicts_by_kind: dict[str, Counter[tuple[str, str]]] = field(default_factory=dict)
    """Counts of (kind, verdict) by verifier."""
    confusion: dict[str, Counter[tuple[str, int, int]]] = field(default_factory=dict)
    """Counts of (scale, target, blind score) by verifier."""
    against_people: dict[str, Counter[tuple[str, int, int]]] = field(default_factory=dict)
    """The same, only of real texts and of those whose label people gave to the real one."""

    def count(self, record: SynthRecord, later: Sequence[LaterReading] = ()) -> None:
        """Add one ended record.

        Args:
            later: blind readings of its texts that were made afterwards.
        """
        self.drawn += 1
        self.usage = self.usage + record.usage
        draw = record.draw
        scale = "pair" if draw.kind == "pair" else _scale(draw.criterion.rubric.scores)
        read = [(target, check.by, check) for target, check in record.checks]
        read += [(r.target, f"{r.check.by}, {AFTERWARDS}", r.check) for r in later]
        for target, by, check in read:
            self.verdicts.setdefault(by, Counter())[check.verdict] += 1
            of_kind = self.verdicts_by_kind.setdefault(by, Counter())
            of_kind[_kind_of(draw, target), check.verdict] += 1
            if check.score is not None:
                cell = (scale, target, check.score)
                self.confusion.setdefault(by, Counter())[cell] += 1
                if draw.original is not None and target == draw.original.score:
                    self.against_people.setdefault(by, Counter())[cell] += 1
        left_out = self.curation.rejected.get(record.number)
        lost = record if left_out is None else left_out
        if not self.curation.keeps(record):
            why = (lost.stage, lost.reason)
            self.lost[why] += 1
            self.examples.setdefault(why, (record.number, lost.seen))
            return
        self.kept += 1
        self.domains.add(draw.domain)
        for text in record.texts:
            self.criteria.add(record.criterion_of(text).name)
            self.by.setdefault("target", Counter())[f"{scale}: {text.target}"] += 1
        for part in record.lost_parts:
            self.lost_parts[part.stage, part.reason] += 1
        for key, value in {
            "kind": draw.kind,
            "scale": scale,
            "domain group": draw.domain_group,
            "criterion group": draw.criterion_group,
            "fault": draw.fault,
            "language": draw.language,
            "length": value_of(record, "length"),
            **_writer(record),
        }.items():
            self.by.setdefault(key, Counter())[value] += 1

    @classmethod
    def of(
        cls,
        records: Iterable[SynthRecord],
        curation: Curation | None = None,
        later: Mapping[int, Sequence[LaterReading]] | None = None,
    ) -> "Funnel":
        """Build the funnel of these records.

        Args:
            later: blind readings that were made afterwards, by record number.
        """
        funnel = cls(curation or Curation())
        for record in records:
            funnel.count(record, (later or {}).get(record.number, ()))
        return funnel

    def left(self) -> list[tuple[str, int]]:
        """Return each stage and the number of records that passed it, from `drawn` on."""
        found = [("drawn", self.drawn)]
        n = self.drawn
        for stage in (*STAGES, *self.curation.stages):
            n -= sum(count for (at, _), count in self.lost.items() if at == stage)
            found.append((stage, n))
        return found

    def agreement(self, verifier: str, kind: str | None = None) -> dict[str, Estimate]:
        """Return the share of texts by verdict, each with a Wilson interval.

        Args:
            kind: only texts of this kind, one of `kinds_read`; all by default.
        """
        counts: Counter[str] = Counter(self.verdicts[verifier])
        if kind is not None:
            read = self.verdicts_by_kind[verifier]
            counts = Counter({verdict: n for (of, verdict), n in read.items() if of == kind})
        n = sum(counts.values())
        shares = {verdict: proportion(counts[verdict], n) for verdict in _VERDICTS}
        return {name: share for name, share in shares.items() if isinstance(share, Estimate)}

    def kinds_read(self, verifier: str) -> list[str]:
        """Return the kinds of which this verifier read texts, in alphabetical order."""
        return sorted({kind for kind, _ in self.verdicts_by_kind[verifier]})

    def data(self) -> dict[str, Any]:
        """Return everything as plain data."""
        return {
            "version": 1,
            "benchmarks compared": self.curation.compared,
            "stages": [{"stage": stage, "records": n} for stage, n in self.left()],
            "lost": [
                {
                    "stage": stage,
                    "reason": reason,
                    "records": n,
                    "example": self.examples[stage, reason][0],
                    "seen": self.examples[stage, reason][1],
                }
                for (stage, reason), n in self.lost.most_common()
            ],
            "kept": {
                "records": self.kept,
                "domains": len(self.domains),
                "criteria": len(self.criteria),
                "criteria lost": [
                    {"stage": stage, "reason": reason, "criteria": n}
                    for (stage, reason), n in self.lost_parts.most_common()
                ],
                **{key: dict(counts.most_common()) for key, counts in self.by.items()},
            },
            "usage": self.usage.model_dump(),
            "per kept record": {
                "tokens": round(self.tokens / self.kept) if self.kept else None,
                "cost": self.usage.cost / self.kept if self.kept and self.usage.cost else None,
            },
            "noise": {
                by: {
                    "verdicts": _shares(self.agreement(by)),
                    "kinds": {
                        kind: _shares(self.agreement(by, kind)) for kind in self.kinds_read(by)
                    },
                    "confusion": _cells(self.confusion.get(by)),
                    "confusion with people's labels": _cells(self.against_people.get(by)),
                }
                for by in self.verdicts
            },
        }

    def write(self, folder: Path) -> None:
        """Write `funnel.json`.

        Raises:
            RunError: it cannot be written.
        """
        write_json(folder / "funnel.json", self.data())

    def matrix(self, verifier: str, *, of_people: bool = False) -> list[str]:
        """Format target (rows) against blind score (columns), one table per scale.

        Args:
            of_people: only texts whose target is a label that people gave.
        """
        counts = self.against_people if of_people else self.confusion
        cells = counts.get(verifier, Counter())
        lines: list[str] = []
        for scale in sorted({scale for scale, _, _ in cells}):
            here = {(t, r): n for (s, t, r), n in cells.items() if s == scale}
            scores = sorted({score for cell in here for score in cell})
            lines.append(f"{scale:>9} | " + " ".join(f"{score:>4}" for score in scores))
            lines += [
                f"{target:>9} | " + " ".join(f"{here.get((target, r), 0):>4}" for r in scores)
                for target in scores
            ]
        return lines

    @property
    def tokens(self) -> int:
        """Total tokens of prompts and answers."""
        return self.usage.prompt_tokens + self.usage.completion_tokens


_VERDICTS = ("agrees", "off by one", "contradicts", "cannot tell")


AFTERWARDS = "kept texts, afterwards"
"""Marks a verifier that read only what was kept."""


def _kind_of(draw: Draw, target: int) -> str:
    """Return a text's kind; of a real text whose label was kept, the label is people's own."""
    if draw.original is None:
        return draw.kind
    kept = draw.original.score == target
    if draw.kind == "edited":
        return "real, people's label" if kept else "real, edited"
    return "adapted, label kept" if kept else "adapted, flipped"


def _cells(counts: Counter[tuple[str, int, int]] | None) -> list[dict[str, Any]]:
    return [
        {"scale": scale, "target": target, "read": read, "texts": n}
        for (scale, target, read), n in sorted((counts or {}).items())
    ]


def _writer(record: SynthRecord) -> dict[str, str]:
    if record.second_writer is not None:
        both = (record.writer or "teacher", record.second_writer or "teacher")
        return {"writer": " and ".join(both)}
    return {"writer": record.writer} if record.writer else {}


def _shares(agreement: Mapping[str, Estimate]) -> dict[str, dict[str, float]]:
    return {
        verdict: {"share": share.value, "low": share.low, "high": share.high, "n": share.n}
        for verdict, share in agreement.items()
    }


def _scale(scores: tuple[int, ...]) -> str:
    return f"{scores[0]} to {scores[-1]}"
