"""The data of a run's page: one table line per judgment, and the texts in blocks.

Reads a run once and keeps one line of figures per outcome and the embedded texts, never the whole
run. The text of a run is untrusted: it becomes JSON that cannot end its script block.
"""

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any, BinaryIO, Self

from markupsafe import Markup
from pydantic import ValidationError

from glider.core.base import first_problem
from glider.core.criteria import Criterion, Rubric
from glider.core.errors import BadRecord
from glider.core.judgments import Comparison, Failure, Judgment, outcome_from
from glider.pages.words import brief
from glider.report.failures import FAILURE_HELP, NO_HELP
from glider.report.planted import planted_figures
from glider.report.summary import Tallies, Tally, failure_of, judgments_of, winner
from glider.store.run import AskedCriteria
from glider.store.shards import Marks, journals, key_of

_BLOCK_BYTES = 262_144
"""The browser reads one such block when a row is opened: small enough not to be felt."""
_LOW_MASS = 0.5
_MOST_OPEN = 128
MOST_VARIANTS = 12
"""Criteria of one name that have a card each; where rows bring more, the name has one card."""
_NOT_TOLD = "not told"
"""Stands for the description of a level that the run does not have."""
_UNSAFE = re.compile("[<>&\u2028\u2029\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Omitted:
    """Rows that are listed without their texts, to keep the page light."""

    kept: int
    """Rows that have theirs."""
    others: int
    first: int
    """The first row without."""
    limit: str


class PageData:
    """Reads a run once through, row by row, into table lines, text blocks and tallies."""

    def __init__(self, run: Path, text_budget: int) -> None:
        self._asked = AskedCriteria(run)
        self.criteria = self._asked.criteria
        self.tallies = Tallies(c.name for c in self.criteria)
        self.variants = _variants(self.criteria)
        """Content id to tally, where several criteria have one name and each has a card."""
        self.rows: list[bytes] = []
        self._texts: list[bytes] = []
        names = dict.fromkeys(c.name for c in self.criteria)
        self._order = {name: number for number, name in enumerate(names)}
        self._number = {c.content_id: number for number, c in enumerate(self.criteria)}
        self._budget = text_budget
        self._block: list[bytes] = []
        self._block_bytes = 0
        self._text_bytes = 0
        self._full_from: int | None = None
        self._with = 0
        self.n_rows = 0
        self.planted = planted_figures(run)
        self._read(run)

    def _read(self, run: Path) -> None:
        all_journals, samples = journals(run), run / "samples.jsonl"
        places: dict[tuple[int, int, str, str], tuple[Path, int]] = {}
        seen = Marks()
        for journal in all_journals:
            for start, line in _lines(journal, "outcome"):
                outcome = line["outcome"]
                name, *pair = key_of(outcome)
                # As everywhere: of several processes, the first that answered.
                if len(all_journals) > 1 and not seen.add(line["row"], (name, *pair)):
                    continue
                place = line["row"], self._order.get(name, -1), pair[0], pair[1]
                places[place] = journal, start
        texts_at = {line["row"]: start for start, line in _lines(samples, "fields")}
        with _OpenFiles() as files, samples.open("rb") as texts:
            for row, keys in groupby(sorted(places), key=lambda key: key[0]):
                found = [
                    (journal, _at(files[journal], start)["outcome"])
                    for journal, start in map(places.__getitem__, keys)
                ]
                sample = None
                if self._full_from is None and row in texts_at:
                    sample = _at(texts, texts_at[row])
                block = self._embed(row, sample, [data for _, data in found])
                for journal, data in found:
                    self._list(row, data, block, journal)
                self.n_rows += 1
        self._close_block()

    def _not_told(self, outcome: Judgment | Comparison | Failure) -> Criterion:
        """Stands for a row's own criterion in a run of Glider 0.1, which did not keep it."""
        question = "This run does not record the criterion of this row."
        levels = dict.fromkeys((0, 1), _NOT_TOLD)
        if isinstance(outcome, Judgment):
            levels = dict.fromkeys((outcome.score - 1, outcome.score), _NOT_TOLD)
        criterion = Criterion(
            name=outcome.criterion, question=question, rubric=Rubric(levels=levels)
        )
        if criterion.content_id not in self._number:
            self._number[criterion.content_id] = len(self.criteria)
            self.criteria.append(criterion)
        return criterion

    def _embed(self, row: int, sample: Mapping[str, Any] | None, outcomes: list[Any]) -> int | None:
        """Put a row's texts into a block, if the budget has room; the block's number."""
        if self._full_from is None:
            packed = _pack(
                {
                    "fields": sample["fields"] if sample else None,
                    "metadata": sample.get("metadata", {}) if sample else {},
                    "outcomes": outcomes,
                }
            )
            if self._text_bytes + len(packed) <= self._budget:
                if self._block_bytes and self._block_bytes + len(packed) > _BLOCK_BYTES:
                    self._close_block()
                self._block.append(b'"%d":%s' % (row, packed))
                self._block_bytes += len(packed)
                self._text_bytes += len(packed)
                self._with += 1
                return len(self._texts)
            # From here on none, so that the page can say in one line which rows have texts.
            self._full_from = row
        return None

    def _close_block(self) -> None:
        if self._block:
            self._texts.append(b"{" + b",\n".join(self._block) + b"}")
            self._block, self._block_bytes = [], 0

    def _list(self, row: int, data: dict[str, Any], block: int | None, journal: Path) -> None:
        """Count one outcome and write its line of the table."""
        try:
            outcome = outcome_from(data)
        except ValidationError as exc:
            raise BadRecord(
                f"row {row} has an outcome that cannot be read: {first_problem(exc).what}",
                path=str(journal),
                hint="was it written by a newer Glider?",
            ) from exc
        failure = failure_of(outcome)
        criterion = self._asked.of(row, outcome)
        self.tallies.add(outcome, row, criterion)
        if criterion is not None and criterion.content_id in self.variants:
            self.variants[criterion.content_id].add(outcome, row, criterion)
        if criterion is None and failure is None:
            if outcome.criterion not in self._order:
                raise BadRecord(
                    f"row {row} has an outcome for {outcome.criterion!r}, which is not among the "
                    "run's criteria",
                    path=str(journal),
                )
            criterion = self._not_told(outcome)
        number = -1 if criterion is None else self._number[criterion.content_id]
        parts = judgments_of(outcome)
        value: int | str | None = None
        expected = doubt = probs = None
        flags = ""
        if failure is not None:
            said = failure.message
        elif isinstance(outcome, Judgment):
            value, expected, doubt = outcome.score, outcome.expected, outcome.doubt
            said = outcome.reasoning or ""
            flags = "u" if outcome.unsure else ""
            if outcome.score_probs:
                probs = [round(100 * p) for _, p in sorted(outcome.score_probs.items())]
        else:
            assert isinstance(outcome, Comparison)
            value, expected = winner(outcome), outcome.p_first
            doubts = [part.doubt for part in parts if part.doubt is not None]
            doubt = sum(doubts) / len(doubts) if doubts else None
            said = parts[0].reasoning or ""
            flags = "f" if outcome.flipped else ""
        if any(part.mass is not None and part.mass < _LOW_MASS for part in parts):
            flags += "m"
        if any(part.cuts for part in parts):
            flags += "c"
        self.rows.append(
            _pack(
                [
                    row,
                    outcome.sample_id,
                    number,
                    value,
                    None if expected is None else round(expected, 4),
                    None if doubt is None else round(doubt, 4),
                    brief(said),
                    sum(len(part.highlights) for part in parts),
                    failure.code if failure else None,
                    flags,
                    [outcome.first, outcome.second] if isinstance(outcome, Comparison) else None,
                    probs,
                    block,
                ]
            )
        )

    @property
    def head(self) -> Markup:
        """What the page's script must know of the criteria and of failures, as JSON."""
        labels = labelled(self.criteria)
        criteria = [
            {
                "name": c.name,
                "heading": c.heading,
                "title": labels[c.content_id],
                "question": c.question,
                "levels": c.rubric.levels,
            }
            for c in self.criteria
        ]
        planted = {v.fault.sample: v.fault.model_dump() | {"found": v.found}
                   for v in self.planted.verdicts} if self.planted else {}  # fmt: skip
        head = {
            "criteria": criteria, "help": FAILURE_HELP, "unknown": NO_HELP, "planted": planted,
        }  # fmt: skip
        return Markup(_pack(head).decode())

    def lines(self) -> Iterator[Markup]:
        """The lines of the table, as JSON."""
        return (Markup(row.decode()) for row in self.rows)

    def texts(self) -> Iterator[Markup]:
        """The blocks of texts, as JSON."""
        return (Markup(block.decode()) for block in self._texts)

    @property
    def omitted(self) -> Omitted | None:
        """Which rows have no texts; None if all do."""
        if self._full_from is None:
            return None
        return Omitted(
            kept=self._with,
            others=self.n_rows - self._with,
            first=self._full_from,
            limit=_megabytes(self._budget),
        )


def labelled(criteria: Sequence[Criterion]) -> dict[str, str]:
    """Content id to what tells a criterion from others of its name: `Quality, 2 of 3`."""
    by_name: dict[str, dict[str, Criterion]] = {}
    for criterion in criteria:
        by_name.setdefault(criterion.name, {})[criterion.content_id] = criterion
    return {
        key: c.heading if len(alike) == 1 else f"{c.heading}, {n} of {len(alike)}"
        for alike in by_name.values()
        for n, (key, c) in enumerate(alike.items(), start=1)
    }


def _variants(criteria: Sequence[Criterion]) -> dict[str, Tally]:
    n_of = Counter(c.name for c in criteria)
    return {c.content_id: Tally() for c in criteria if 1 < n_of[c.name] <= MOST_VARIANTS}


# Files ------------------------------------------------------------------------------------------


def _loads(line: bytes) -> Any:
    # NaN and Infinity, which JSON does not have, would make the page's block unreadable.
    return json.loads(line, parse_constant=lambda _: None)


def _lines(path: Path, part: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """Where each line of a JSONL file begins, in bytes, and what it says of a row."""
    start = 0
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            try:
                record = _loads(line)
            except ValueError:
                if not line.endswith(b"\n"):
                    return
                raise BadRecord("not a line of JSON", path=str(path), line=number) from None
            if not isinstance(record, dict) or not {"row", part} <= record.keys():
                raise BadRecord(f"no row with {part}", path=str(path), line=number)
            yield start, record
            start += len(line)


class _OpenFiles(dict[Path, BinaryIO]):
    """Files that are read here and there. A run may have more shards than can be open at once."""

    def __missing__(self, path: Path) -> BinaryIO:
        if len(self) >= _MOST_OPEN:
            self.pop(next(iter(self))).close()
        self[path] = file = path.open("rb")
        return file

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for file in self.values():
            file.close()


def _at(file: Any, start: int) -> Any:
    file.seek(start)
    return _loads(file.readline())


def _pack(value: Any) -> bytes:
    """JSON that cannot end its script block; a lone surrogate stays one code point."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=dict)
    return _UNSAFE.sub(lambda match: f"\\u{ord(match[0]):04x}", text).encode()


def _megabytes(size: int) -> str:
    return f"{size / 1e6:,.0f}\N{NBSP}MB" if size >= 1e6 else f"{size / 1e3:,.0f}\N{NBSP}kB"
