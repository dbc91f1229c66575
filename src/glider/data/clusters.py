"""Clusters: rows that are not independent, because they share input and context, or a column.

Rows without input and context belong together if all their texts are the same.

Answers to one prompt, or summaries of one document, are alike, so they tell less than as many
independent ones. Every interval over rows, of a run, a calibration or a file of labels, asks here
what belongs together.
"""

from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Self

from glider.core.base import content_hash
from glider.core.errors import SetupError
from glider.core.samples import Sample
from glider.data.columns import value_at

ALONE = "none"
"""Asked for in place of a field: every row is its own cluster."""
ONE_INPUT = "All items share one input, so each counts as independent."


@dataclass(frozen=True, slots=True)
class Clusters:
    """What rows share."""

    keys: Mapping[int, int] = field(default_factory=dict)
    """By row, equal where rows belong together; a row without one is a cluster of its own."""
    asked: str | None = None
    """Field or column by which they do; input and context if not given."""
    note: str = ""
    """What a reader should know of them."""

    @classmethod
    def of(cls, samples: Iterable[tuple[int, Sample]], asked: str | None = None) -> Self:
        """Of (row, sample) pairs: all there are, so that every figure over them counts alike.

        Where all rows share one input and context, each is its own cluster: a fixed instruction
        is no reason for items to be alike.

        Raises:
            SetupError: no row has the field or column that was asked for.
        """
        rows, found = array("q"), array("q")
        row = -1
        for row, sample in samples:
            key = "" if asked == ALONE else cluster_key(sample, asked)
            if key:
                rows.append(row)
                found.append(int(key, 16) >> 1)  # 63 bits: a long run's hashes as text are heavy
        if asked not in (None, ALONE) and row >= 0 and not rows:
            raise SetupError(f"no sample has a field or column {asked!r}", hint="--cluster NAME")
        if asked is None and len(set(found)) == 1 < len(set(rows)):
            return cls({}, asked, ONE_INPUT)
        return cls(dict(zip(rows, found, strict=True)), asked)

    def codes(self, rows: Sequence[int]) -> list[int]:
        """The cluster of each of these rows, 0 and up."""
        keys = (("key", self.keys[row]) if row in self.keys else ("row", row) for row in rows)
        names: dict[tuple[str, int], int] = {}
        return [names.setdefault(key, len(names)) for key in keys]


def cluster_key(sample: Sample, asked: str | None) -> str:
    """What a sample shares with those of its cluster: 16 hexadecimal digits, or empty."""
    if asked is not None:
        try:
            return content_hash(sample[asked])
        except KeyError:
            value = value_at(sample.metadata, asked)
            return "" if value is None else content_hash(str(value))
    shared = [field.text for field in sample.fields if field.role in ("input", "context")]
    return content_hash(shared or [field.text for field in sample.fields])
