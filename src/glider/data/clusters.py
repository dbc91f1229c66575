"""Which rows are not independent: those of one input and context, or of one value of a column.

Answers to one prompt, or summaries of one document, are alike, so they tell less than as many
independent ones. Every interval over the rows of a run asks here what belongs together.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Self

from glider.core.base import content_hash
from glider.core.errors import SetupError
from glider.core.samples import Sample
from glider.data.columns import value_at

ALONE = "none"
"""Asked for in place of a field: every row is its own cluster."""


@dataclass(frozen=True, slots=True)
class Clusters:
    """What rows share."""

    keys: Mapping[int, str] = field(default_factory=dict)
    """By row, equal where rows belong together; a row without one is a cluster of its own."""
    asked: str | None = None
    """Field or column by which they do; input and context if not given."""

    @classmethod
    def of(cls, samples: Iterable[tuple[int, Sample]], asked: str | None = None) -> Self:
        """Of (row, sample) pairs."""
        return cls({row: cluster_key(sample, asked) for row, sample in samples}, asked)

    def codes(self, rows: Sequence[int]) -> tuple[list[int], str]:
        """The cluster of each of these rows, 0 and up, and what a reader should know of them.

        Raises:
            SetupError: no row has the field or column that was asked for.
        """
        found: list[str | int] = [self.keys.get(row) or row for row in rows]
        note = ""
        if self.asked == ALONE:
            found = list(rows)
        elif self.asked is not None and rows and not any(isinstance(key, str) for key in found):
            raise SetupError(
                f"no sample has a field or column {self.asked!r}", hint="--cluster NAME"
            )
        elif self.asked is None and len(set(found)) == 1 < len(set(rows)):
            # A fixed instruction is no reason for items to be alike.
            note, found = "All items share one input, so each counts as independent.", list(rows)
        names = {key: code for code, key in enumerate(dict.fromkeys(found))}
        return [names[key] for key in found], note


def cluster_key(sample: Sample, asked: str | None) -> str:
    """What a sample shares with those of its cluster; empty where it has nothing to share."""
    if asked is not None:
        try:
            return content_hash(sample[asked])
        except KeyError:
            value = value_at(sample.metadata, asked)
            return "" if value is None else content_hash(str(value))
    shared = [field.text for field in sample.fields if field.role in ("input", "context")]
    return content_hash(shared) if shared else ""
