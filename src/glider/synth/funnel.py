"""The funnel of a synthesis: where records were lost, and how noisy the labels are.

Counts accumulate as records end and can be recomputed from `records.jsonl`; what is left out
afterwards, to stay clear of benchmarks or for balance, is counted with them. Label noise is
the confusion matrix of the target score and the blind reading's score, over
all texts that were read blind, kept or not.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from glider.core.judgments import Usage
from glider.stats.estimates import Estimate, proportion
from glider.store.atomic import write_json
from glider.synth.curation import Curation, value_of
from glider.synth.draw import Draw
from glider.synth.records import STAGES, SynthRecord


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

    def count(self, record: SynthRecord) -> None:
        """Add one ended record."""
        self.drawn += 1
        self.usage = self.usage + record.usage
        draw = record.draw
        scale = "pair" if draw.kind == "pair" else _scale(draw.criterion.rubric.scores)
        for target, check in record.checks:
            self.verdicts.setdefault(check.by, Counter())[check.verdict] += 1
            of_kind = self.verdicts_by_kind.setdefault(check.by, Counter())
            of_kind[_kind_of(draw), check.verdict] += 1
            if check.score is not None:
                cell = (scale, target, check.score)
                self.confusion.setdefault(check.by, Counter())[cell] += 1
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
            **({"writer": record.writer} if record.writer else {}),
        }.items():
            self.by.setdefault(key, Counter())[value] += 1

    @classmethod
    def of(cls, records: Iterable[SynthRecord], curation: Curation | None = None) -> "Funnel":
        """Build the funnel of these records."""
        funnel = cls(curation or Curation())
        for record in records:
            funnel.count(record)
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
                    "confusion": [
                        {"scale": scale, "target": target, "read": read, "texts": n}
                        for (scale, target, read), n in sorted(self.confusion.get(by, {}).items())
                    ],
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

    def matrix(self, verifier: str) -> list[str]:
        """Format target (rows) against blind score (columns), one table per scale."""
        cells = self.confusion.get(verifier, Counter())
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


def _kind_of(draw: Draw) -> str:
    """Return a record's kind; of a real text whose label was kept, the label is people's own."""
    if draw.original is None:
        return draw.kind
    return "adapted, label kept" if draw.original.score == draw.target else "adapted, flipped"


def _shares(agreement: Mapping[str, Estimate]) -> dict[str, dict[str, float]]:
    return {
        verdict: {"share": share.value, "low": share.low, "high": share.high, "n": share.n}
        for verdict, share in agreement.items()
    }


def _scale(scores: tuple[int, ...]) -> str:
    return f"{scores[0]} to {scores[-1]}"
