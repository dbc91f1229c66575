"""Find texts that occur, exactly or nearly, in both training data and benchmarks.

Texts are compared as word sequences, without case, spacing or punctuation. Two texts are *near* if
at least half of the 8-grams of either one occur in the other. 8-grams are counted exactly: the
shipped sets have a few million, which numpy sorts in a second, so no sketch such as MinHash and no
further library is needed. A text of fewer than eight words is compared only as part of its item,
because a text such as "Yes." occurs in every data set.
"""

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from glider.core.base import Frozen
from glider.core.samples import Sample
from glider.gold.items import Item
from glider.text.words import words

Kind = Literal["exact", "near"]
Place = Literal["prompt", "answer", "item"]

RUN = 8
SHARE = 0.5
MOST_USES = 5
"""An input with more contexts than this is a fixed instruction, not a prompt of its own."""

_ASCII_WORD = re.compile(r"[a-z0-9]+")
_Hashes = NDArray[np.uint64]
_FACTOR = 0x9E3779B97F4A7C15


class Overlap(Frozen):
    """Items of a training set that overlap a benchmark set."""

    train: str
    benchmark: str
    place: Place
    """`prompt`: an input or context; `answer`: a judged text; `item`: all short texts together."""
    kind: Kind
    items: int


@dataclass(frozen=True, slots=True)
class Match:
    """Where an item was found."""

    benchmark: str
    place: Place
    kind: Kind


@lru_cache(maxsize=1 << 14)  # texts recur in records: one for each criterion, rating, model
def normalized(text: str) -> str:
    """Reduce a text to its words for comparison."""
    # For plain ASCII this finds the same words five times as fast.
    return " ".join(_ASCII_WORD.findall(text.lower()) if text.isascii() else words(text))


def texts_of(sample: Sample, instructions: frozenset[str] = frozenset()) -> dict[Place, list[str]]:
    """Group a sample's normalized texts by place, leaving out fixed instructions."""
    prompt = [normalized(f.text) for f in sample.fields if f.role in ("input", "context")]
    answer = [normalized(f.text) for f in sample.judged]
    own = [text for text in prompt if text and text not in instructions]
    return {"prompt": own, "answer": answer}


def instructions_of(samples: Iterable[Sample]) -> frozenset[str]:
    """Find inputs with many contexts; every sample has them, so they identify none."""
    contexts: dict[str, set[str]] = {}
    for sample in samples:
        asked, context = sample.with_role("input"), sample.with_role("context")
        if asked is not None and context is not None:
            seen = contexts.setdefault(normalized(asked.text), set())
            if len(seen) <= MOST_USES:
                seen.add(normalized(context.text))
    return frozenset(text for text, seen in contexts.items() if len(seen) > MOST_USES)


@dataclass
class Index:
    """Searchable index of the texts of benchmark sets."""

    names: list[str] = field(default_factory=list)
    _exact: dict[str, int] = field(default_factory=dict)
    _sizes: list[int] = field(default_factory=list)
    _owners: list[int] = field(default_factory=list)
    _runs: list[_Hashes] = field(default_factory=list)
    _sorted: tuple[_Hashes, NDArray[np.int64]] | None = None

    def add(self, name: str, samples: Sequence[Sample]) -> None:
        """Add a set; equal texts are stored once."""
        owner = len(self.names)
        self.names.append(name)
        instructions = instructions_of(samples)
        for sample in samples:
            texts = texts_of(sample, instructions)
            self._exact.setdefault(_whole(texts), owner)
            for text in (*texts["prompt"], *texts["answer"]):
                if text not in self._exact and len(split := text.split(" ")) >= RUN:
                    self._exact[text] = owner
                    self._owners.append(owner)
                    runs = _runs(split)
                    self._sizes.append(len(runs))
                    self._runs.append(runs)
        self._sorted = None

    def find(self, sample: Sample, instructions: frozenset[str] = frozenset()) -> list[Match]:
        """Find all matches of a sample, at most one per benchmark set and place.

        Args:
            instructions: fixed instructions of the sample's set to ignore (`instructions_of`).
        """
        texts = texts_of(sample, instructions)
        found: dict[tuple[int, Place], Kind] = {}
        if (owner := self._exact.get(_whole(texts))) is not None:
            found[owner, "item"] = "exact"
        for place, listed in texts.items():
            for text in listed:
                split = text.split(" ")
                if len(split) < RUN:
                    continue
                if (owner := self._exact.get(text)) is not None:
                    found[owner, place] = "exact"
                for owner in self._near(split):
                    found.setdefault((owner, place), "near")
        return [Match(self.names[owner], place, kind) for (owner, place), kind in found.items()]

    def _near(self, split: list[str]) -> set[int]:
        if not self._runs:
            return set()
        if self._sorted is None:
            every = np.concatenate(self._runs)
            documents = np.repeat(np.arange(len(self._runs)), self._sizes)
            order = np.argsort(every, kind="stable")
            self._sorted = every[order], documents[order]
        hashes, documents = self._sorted
        runs = _runs(split)
        low = np.searchsorted(hashes, runs, "left")
        high = np.searchsorted(hashes, runs, "right")
        hit = low < high
        if not hit.any():
            return set()
        shared = Counter(
            int(document)
            for a, b in zip(low[hit], high[hit], strict=True)
            for document in documents[a:b]
        )
        return {
            self._owners[document]
            for document, n in shared.items()
            if n >= SHARE * min(len(runs), self._sizes[document])
        }


def _whole(texts: Mapping[Place, list[str]]) -> str:
    return "\n".join([*sorted(texts["prompt"]), "", *sorted(texts["answer"])])


@lru_cache(maxsize=1 << 18)
def _word_hash(word: str) -> int:
    # Not `hash`, which differs between processes.
    return int.from_bytes(hashlib.blake2b(word.encode("utf-8", "replace"), digest_size=8).digest())


def _runs(split: Sequence[str]) -> _Hashes:
    """Hash every distinct 8-gram."""
    words_ = np.array([_word_hash(word) for word in split], dtype=np.uint64)
    n = len(words_) - RUN + 1
    total = np.zeros(n, dtype=np.uint64)
    for place in range(RUN):
        factor = np.uint64(pow(_FACTOR, place + 1, 1 << 64))
        total += words_[place : place + n] * factor
    return np.unique(total)


def overlaps(
    train: Mapping[str, Sequence[Item]], index: Index, *, places: frozenset[Place] | None = None
) -> tuple[list[Overlap], dict[str, set[int]]]:
    """Find the training items that overlap the index, and count them by pair of sets.

    Args:
        places: places in which a match marks an item as found; other matches are only counted.

    Returns:
        The counts, and for each training set the list indices of the items found.
    """
    counts: Counter[tuple[str, str, Place, Kind]] = Counter()
    hit: dict[str, set[int]] = {}
    for name, items in train.items():
        instructions = instructions_of(item.sample for item in items)
        for number, matches in _matches(items, index, instructions):
            if places is None or any(match.place in places for match in matches):
                hit.setdefault(name, set()).add(number)
            counts.update({(name, m.benchmark, m.place, m.kind) for m in matches})
    found = [
        Overlap(train=name, benchmark=benchmark, place=place, kind=kind, items=n)
        for (name, benchmark, place, kind), n in sorted(counts.items())
    ]
    return found, hit


def _matches(
    items: Sequence[Item], index: Index, instructions: frozenset[str]
) -> Iterator[tuple[int, list[Match]]]:
    # One sample may have several criteria; search for it only once.
    known: dict[str, list[Match]] = {}
    for number, item in enumerate(items):
        key = item.sample.content_id
        if key not in known:
            known[key] = index.find(item.sample, instructions)
        if known[key]:
            yield number, known[key]
