"""Near-duplicate detection: MinHash (Broder 1997) over five-word shingles; on request, embeddings.

A text takes 64 four-byte numbers, so 100,000 texts take 26 MB; a query is compared with all of them
in the few numbers of which a near duplicate must share at least one, and whole with those that do.
The share of equal numbers estimates the Jaccard index of the shingles, with a standard
error of at most 0.06. Word vectors (`text/similarity.py`) find texts that say the same in other
words; they take another 512 bytes a text.
"""

import threading
import zlib
from collections.abc import Sequence
from math import ceil

import numpy as np
from numpy.typing import NDArray

from glider.text.similarity import vectors_of
from glider.text.words import words

_RUN = 5
_N = 64
_PRIME = np.uint64((1 << 31) - 1)
_FREE = np.uint32((1 << 32) - 1)
"""Marks an empty row; no hash is this large."""


def jaccard(one: str, other: str) -> float:
    """Return the Jaccard index of the five-word shingles of two texts, in 0..1."""
    a, b = _shingles(one), _shingles(other)
    return len(a & b) / len(a | b)


def _shingles(text: str) -> set[str]:
    found = words(text)
    return {" ".join(found[n : n + _RUN]) for n in range(max(1, len(found) - _RUN + 1))}


class TextIndex:
    """The judged texts of records that are kept or in progress. Safe to share between threads."""

    def __init__(self, threshold: float, similar: float | None = None) -> None:
        """Create an empty index.

        Args:
            threshold: share of equal numbers from which two texts are near duplicates.
            similar: cosine of word vectors from which they are, too; None compares no vectors.

        Raises:
            MissingExtra: `similar` is given without the `embedding` extra.
        """
        self._vectors_of = vectors_of() if similar is not None else None
        self._similar = similar or 1.0
        self._vectors: NDArray[np.float16] = np.zeros((256, 256), np.float16)
        rng = np.random.default_rng(0)
        self._a = rng.integers(1, int(_PRIME), _N, dtype=np.uint64)
        self._b = rng.integers(0, int(_PRIME), _N, dtype=np.uint64)
        self._table: NDArray[np.uint32] = np.full((_N, 256), _FREE, np.uint32)
        """One column for each text."""
        self._first = _N - ceil(threshold * _N - 1e-9) + 1
        """Two near duplicates share at least one of so many numbers, whichever those are."""
        self._free = list(range(255, -1, -1))
        self._claimed: dict[int, list[int]] = {}
        self._threshold = threshold
        self._lock = threading.Lock()

    def claim(self, record: int, texts: Sequence[str]) -> bool:
        """Register the texts of a record, or none and return False if one is a near duplicate.

        Registration is immediate, so of two concurrent records with one text only one continues.
        """
        signatures = [self._signature(text) for text in texts]
        vectors = self._vectors_of(texts) if self._vectors_of is not None else [None] * len(texts)
        with self._lock:
            if any(self._is_there(signature) for signature in signatures):
                return False
            if any(vector is not None and self._is_said(vector) for vector in vectors):
                return False
            self._claimed[record] = [
                self._add(signature, vector)
                for signature, vector in zip(signatures, vectors, strict=True)
            ]
            return True

    def settle(self, record: int, *, kept: bool) -> None:
        """End a record: its texts stay in the index only if it is kept."""
        with self._lock:
            rows = self._claimed.pop(record, [])
            if not kept:
                self._table[:, rows] = _FREE
                if self._vectors_of is not None:
                    self._vectors[rows] = 0
                self._free += rows

    def _is_there(self, signature: NDArray[np.uint32]) -> bool:
        some = (self._table[: self._first] == signature[: self._first, None]).any(axis=0)
        near = self._table[:, np.flatnonzero(some)] == signature[:, None]
        return bool((near.mean(axis=0) >= self._threshold).any())

    def _is_said(self, vector: NDArray[np.float32]) -> bool:
        # In blocks, since half precision is compared in single.
        return any(
            float((self._vectors[at : at + 4096].astype(np.float32) @ vector).max())
            >= self._similar
            for at in range(0, len(self._vectors), 4096)
        )

    def _add(self, signature: NDArray[np.uint32], vector: NDArray[np.float32] | None) -> int:
        if not self._free:
            size = self._table.shape[1]
            self._table = np.concatenate([self._table, np.full_like(self._table, _FREE)], axis=1)
            if self._vectors_of is not None:
                self._vectors = np.concatenate([self._vectors, np.zeros_like(self._vectors)])
            self._free = list(range(2 * size - 1, size - 1, -1))
        row = self._free.pop()
        self._table[:, row] = signature
        if vector is not None:
            self._vectors[row] = vector
        return row

    def _signature(self, text: str) -> NDArray[np.uint32]:
        hashed = np.array([zlib.crc32(run.encode()) for run in _shingles(text)], np.uint64)
        mixed = (hashed[:, None] % _PRIME * self._a + self._b) % _PRIME
        signature: NDArray[np.uint32] = mixed.min(axis=0).astype(np.uint32)
        return signature
