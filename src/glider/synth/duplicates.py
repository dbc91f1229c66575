"""Is a text nearly one that is there? MinHash (Broder 1997) over runs of five words.

A text is 64 numbers of four bytes, so 100,000 texts are 26 MB; a question compares with all of them
at once. The share of equal numbers estimates the Jaccard index of the runs, with a standard error
of at most 0.06.
"""

import threading
import zlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from glider.text.words import words

_RUN = 5
_N = 64
_PRIME = np.uint64((1 << 31) - 1)
_FREE = np.uint32((1 << 32) - 1)
"""In a row without a text; no hash is as large."""


class TextIndex:
    """The judged texts of records that are kept or still being made. Threads may share it."""

    def __init__(self, threshold: float) -> None:
        """Start with none.

        Args:
            threshold: share of equal numbers from which two texts are near duplicates.
        """
        rng = np.random.default_rng(0)
        self._a = rng.integers(1, int(_PRIME), _N, dtype=np.uint64)
        self._b = rng.integers(0, int(_PRIME), _N, dtype=np.uint64)
        self._table: NDArray[np.uint32] = np.full((256, _N), _FREE, np.uint32)
        self._free = list(range(255, -1, -1))
        self._claimed: dict[int, list[int]] = {}
        self._threshold = threshold
        self._lock = threading.Lock()

    def claim(self, record: int, texts: Sequence[str]) -> bool:
        """Take in the texts of a record; False, and none is taken in, where one is there already.

        They are there at once, so that of two records under way with one text only one goes on.
        """
        signatures = [self._signature(text) for text in texts]
        with self._lock:
            if any(self._is_there(signature) for signature in signatures):
                return False
            self._claimed[record] = [self._add(signature) for signature in signatures]
            return True

    def settle(self, record: int, *, kept: bool) -> None:
        """A record has ended: its texts stay if it is kept."""
        with self._lock:
            rows = self._claimed.pop(record, [])
            if not kept:
                self._table[rows] = _FREE
                self._free += rows

    def _is_there(self, signature: NDArray[np.uint32]) -> bool:
        return bool((self._table == signature).mean(axis=1).max() >= self._threshold)

    def _add(self, signature: NDArray[np.uint32]) -> int:
        if not self._free:
            size = len(self._table)
            self._table = np.concatenate([self._table, np.full_like(self._table, _FREE)])
            self._free = list(range(2 * size - 1, size - 1, -1))
        row = self._free.pop()
        self._table[row] = signature
        return row

    def _signature(self, text: str) -> NDArray[np.uint32]:
        found = words(text)
        runs = range(max(1, len(found) - _RUN + 1))
        hashed = np.array(
            [zlib.crc32(" ".join(found[n : n + _RUN]).encode()) for n in runs], np.uint64
        )
        mixed = (hashed[:, None] % _PRIME * self._a + self._b) % _PRIME
        signature: NDArray[np.uint32] = mixed.min(axis=0).astype(np.uint32)
        return signature
