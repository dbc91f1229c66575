"""Choose the examples of an update, and split an update into forward passes.

An update is a random draw of `batch` examples, independent of their lengths. Within an update,
examples are sorted by length and split into passes of at most `batch_tokens` tokens, padding
included, to keep padding low. Widths are multiples of 32, because every new shape costs memory that
is never released.

The seed and the update's number determine everything: any process can compute any other's part of
any update, and a resumed training needs only the number of finished updates. All processes make the
same number of passes, as sharded training requires; a process with no example left for a pass
repeats one with weight 0.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby

import numpy as np

WIDTH = 32


@dataclass(frozen=True, slots=True)
class BatchRow:
    """One example in a pass."""

    index: int
    counts: bool
    """False for a filler row, which keeps processes in step and does not affect the loss."""


class Updates:
    """The updates of a stage, as indices of examples."""

    def __init__(
        self,
        lengths: Sequence[int],
        *,
        batch: int,
        batch_tokens: int,
        epochs: float = 1.0,
        seed: int = 0,
        shuffle: bool = True,
        rank: int = 0,
        processes: int = 1,
        together: Sequence[float] | None = None,
    ) -> None:
        """Plan the updates.

        Args:
            lengths: tokens in each example.
            batch: examples per update, over all processes.
            batch_tokens: maximum tokens per pass of one process; a pass has at least one example,
                whatever its length.
            epochs: passes over the data; 0.5 uses half of the examples.
            together: one value per example; only examples with equal values share a pass.
        """
        self._lengths, self._batch, self._batch_tokens = lengths, batch, batch_tokens
        self._seed, self._shuffle = seed, shuffle
        self._rank, self._processes = rank, processes
        self._together = together if together is not None else [0.0] * len(lengths)
        self._total = max(1, round(len(lengths) * epochs))
        self._order = lru_cache(maxsize=2)(self._epoch)

    def __len__(self) -> int:
        return math.ceil(self._total / self._batch)

    def examples(self, update: int) -> list[int]:
        """Return the indices of an update's examples over all processes."""
        first = update * self._batch
        places = range(first, min(first + self._batch, self._total))
        n = len(self._lengths)
        return [int(self._order(place // n)[place % n]) for place in places]

    def passes(self, update: int) -> list[list[BatchRow]]:
        """Return this process's passes of an update, longest examples first."""
        return [self._share(group) for group in self._groups(self.examples(update))]

    def padded_tokens(self, update: int) -> int:
        """Return the number of tokens this process computes in an update, padding included."""
        passes = self.passes(update)
        return sum(len(rows) * self.width([row.index for row in rows]) for rows in passes)

    def width(self, indices: Sequence[int]) -> int:
        """Return the padded length of examples that share a pass."""
        return padded(max(self._lengths[index] for index in indices))

    def _epoch(self, epoch: int) -> "np.ndarray[tuple[int], np.dtype[np.intp]]":
        n = len(self._lengths)
        if not self._shuffle:
            return np.arange(n)
        return np.random.default_rng([self._seed, epoch]).permutation(n)

    def _groups(self, indices: list[int]) -> Iterator[list[int]]:
        """Yield groups of examples of similar length: one pass over all processes each."""
        for _, alike in groupby(sorted(indices, key=self._together.__getitem__),
                                key=self._together.__getitem__):  # fmt: skip
            by_length = sorted(alike, key=lambda index: (-self._lengths[index], index))
            while by_length:
                each = max(1, self._batch_tokens // self.width(by_length[:1]))
                n = each * self._processes
                yield by_length[:n]
                del by_length[:n]

    def _share(self, group: list[int]) -> list[BatchRow]:
        own = [BatchRow(index, True) for index in group[self._rank :: self._processes]]
        return own or [BatchRow(group[0], False)]


def padded(length: int) -> int:
    """Round a length up to a multiple of 32."""
    return -(-length // WIDTH) * WIDTH
