"""What simple rules score: a judge that does not beat them has not read the text.

None asks a language model, none learns from the labels but `majority`. Each gives one score per
item on the scale of its labels; of a pair, P(the second is better). None where the rule has
nothing to go by (no text to compare with); such items count as not judged.

A similarity is put on the scale as it is: 0 is the lowest label, 1 the highest. Of a pair the
output with the greater similarity is better (0 or 1; 0.5 where they are alike).

A baseline that says the same of every item has no correlation with anything: metrics must call it
undefined, never 0.
"""

import random
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from functools import cache, lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from glider.bench.scored import item_id
from glider.core.errors import MissingExtra
from glider.core.plugins import Registry
from glider.gold.items import Item
from glider.text.words import words

Scores = list[float | None]
Pairs = Sequence[tuple[str, str]]
"""(judged text, text it is held against)"""


class Baseline(Protocol):
    """A rule that scores items."""

    name: str
    title: str

    def scores(self, items: Sequence[Item]) -> Scores:
        """One score (or None) per item, on the scale of its labels."""


class Majority:
    """The most frequent label of the part; the lower one of equals.

    It is counted on the very items that it is then measured on, as the field does: the best that
    one answer for all can reach, and so a bar that is a little too high rather than too low.
    """

    name = "majority"
    title = "Most frequent label"

    def scores(self, items: Sequence[Item]) -> Scores:
        counts: dict[str, Counter[float]] = {}
        for item in items:
            counts.setdefault(item.part, Counter())[item.gold] += 1
        leaders = {
            part: min(labels, key=lambda label: (-labels[label], label))
            for part, labels in counts.items()
        }
        return [leaders[item.part] for item in items]


class Length:
    """Longer is better: characters of the judged text, by their rank inside the part.

    The shortest text of a part gets the lowest label, the longest the highest, equals the middle of
    their ranks. That longer is better is stated, not learned; where shorter is better, as in
    readability, the correlation comes out negative.
    """

    name = "length"
    title = "Length (longer is better)"

    def scores(self, items: Sequence[Item]) -> Scores:
        scores: Scores = [None] * len(items)
        parts: dict[str, list[int]] = {}
        for number, item in enumerate(items):
            sizes = [len(field.text) for field in item.sample.judged]
            if item.is_pair:
                scores[number] = _second_is_better(*sizes)
            else:
                parts.setdefault(item.part, []).append(number)
        for numbers in parts.values():
            lengths = np.array([len(items[n].sample.judged[0].text) for n in numbers])
            for n, share in zip(numbers, _rank_shares(lengths), strict=True):
                low, high = items[n].scale
                scores[n] = low + (high - low) * share
        return scores


def _rank_shares(values: NDArray[np.int64]) -> list[float]:
    """Mid-ranks in 0..1; 0.5 where there is one value only."""
    if len(values) < 2:
        return [0.5] * len(values)
    _, code, count = np.unique(values, return_inverse=True, return_counts=True)
    below = np.cumsum(count) - count
    shares = (below + (count - 1) / 2)[code] / (len(values) - 1)
    return [float(share) for share in shares]


class Random:
    """One of the criterion's levels, all alike likely; of a pair one of the two.

    The draw hangs on the seed and the item's id, so an item has one score in any selection. It
    stands for the zero of scales on which a judge is placed between chance and people.
    """

    name = "random"
    title = "Random level"

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed

    def scores(self, items: Sequence[Item]) -> Scores:
        return [self._drawn(item) for item in items]

    def _drawn(self, item: Item) -> float:
        rng = random.Random(f"{self.seed}:{item_id(item)}")
        if item.is_pair:
            return float(rng.randrange(2))
        return item.on_gold_scale(rng.choice(item.criterion.rubric.scores))


class Similarity:
    """How alike the judged text is to the reference; without one to the context; else the input."""

    def __init__(self, name: str, title: str, measure: Callable[[Pairs], list[float]]) -> None:
        """Name the rule.

        Args:
            measure: similarity in 0..1 of each (judged text, target).
        """
        self.name, self.title = name, title
        self._measure = measure

    def scores(self, items: Sequence[Item]) -> Scores:
        targets = [target(item) for item in items]
        # One text is often judged under several criteria: it is measured once.
        wanted = dict.fromkeys(
            (field.text, goal)
            for item, goal in zip(items, targets, strict=True)
            if goal is not None
            for field in item.sample.judged
        )
        pairs = list(wanted)
        alike = dict(zip(pairs, self._measure(pairs), strict=True))
        scores: Scores = []
        for item, goal in zip(items, targets, strict=True):
            if goal is None:
                scores.append(None)
                continue
            values = [alike[field.text, goal] for field in item.sample.judged]
            low, high = item.scale
            scores.append(
                _second_is_better(*values) if item.is_pair else low + (high - low) * values[0]
            )
        return scores


def target(item: Item) -> str | None:
    """The text that outputs are held against; None where there is nothing but outputs."""
    for role in ("reference", "context", "input"):
        field = item.sample.with_role(role)
        if field is not None and field.text.strip():
            return field.text
    return None


def _second_is_better(first: float, second: float) -> float:
    return 0.5 if first == second else float(second > first)


def rouge_l(pairs: Pairs) -> list[float]:
    """ROUGE-L F1 (Lin 2004, eq. 2-4 with beta 1) over words, no stemming, in 0..1."""
    try:
        from rapidfuzz.distance import LCSseq
    except ImportError as exc:
        raise MissingExtra("ROUGE-L", "bench") from exc
    tokens = lru_cache(maxsize=4096)(words)
    values = []
    for text, goal in pairs:
        mine, theirs = tokens(text), tokens(goal)
        common = LCSseq.similarity(mine, theirs)
        values.append(2 * common / (len(mine) + len(theirs)) if common else 0.0)
    return values


def chrf(pairs: Pairs) -> list[float]:
    """chrF2 of sacrebleu (Popović 2015) for each text alone, in 0..1.

    Signature: case mixed, effective order, six characters, no words, no spaces. It needs no words,
    so it is as good in Chinese as in English.
    """
    try:
        from sacrebleu.metrics.chrf import CHRF
    except ImportError as exc:
        raise MissingExtra("chrF", "bench") from exc
    metric = CHRF()
    return [metric.sentence_score(text, [goal]).score / 100 for text, goal in pairs]


def embedding(pairs: Pairs) -> list[float]:
    """Cosine of the mean word-piece vectors of two texts; below 0 counts as 0.

    The vectors are WordLlama's (256 dimensions, mostly English): a table of 16 MB that comes inside
    the `wordllama` package, so nothing is fetched and no text leaves the machine.
    """
    table = _table()
    texts = dict.fromkeys(text for pair in pairs for text in pair)
    vectors = dict(zip(texts, table(texts), strict=True))
    return [max(0.0, min(1.0, float(vectors[a] @ vectors[b]))) for a, b in pairs]


@cache
def _table() -> Callable[[Iterable[str]], list[NDArray[np.float32]]]:
    """Texts to vectors of length 1 (of 0 for a text without word pieces)."""
    # The two files are read here: the package's own loader sets up the program's logging and looks
    # for its tokenizer on the network, though it is in the package (0.4.0).
    spec = find_spec("wordllama")
    if spec is None or spec.origin is None:
        raise MissingExtra("embedding similarity", "embedding")
    from safetensors.numpy import load_file
    from tokenizers import Tokenizer

    folder = Path(spec.origin).parent
    matrix = load_file(folder / "weights" / "l2_supercat_256.safetensors")["embedding.weight"]
    tokenizer = Tokenizer.from_file(
        str(folder / "tokenizers" / "l2_supercat_tokenizer_config.json")
    )
    tokenizer.no_padding()

    def vectors(texts: Iterable[str]) -> list[NDArray[np.float32]]:
        return [_mean(matrix, tokenizer.encode(t, add_special_tokens=False).ids) for t in texts]

    return vectors


def _mean(matrix: NDArray[np.floating], ids: Sequence[int]) -> NDArray[np.float32]:
    if not ids:
        return np.zeros(matrix.shape[1], np.float32)
    taken = matrix[np.minimum(ids, len(matrix) - 1)].astype(np.float32)
    mean: NDArray[np.float32] = taken.mean(axis=0)
    return mean / np.float32(max(float(np.linalg.norm(mean)), 1e-12))


MAJORITY = Majority()
LENGTH = Length()
RANDOM = Random()
ROUGE_L = Similarity("rouge_l", "ROUGE-L", rouge_l)
CHRF = Similarity("chrf", "chrF", chrf)
EMBEDDING = Similarity("embedding", "Embedding similarity", embedding)

BASELINES: Registry[Baseline] = Registry(
    kind="baseline",
    group="glider.baselines",
    builtin={
        "majority": "glider.bench.baselines:MAJORITY",
        "length": "glider.bench.baselines:LENGTH",
        "random": "glider.bench.baselines:RANDOM",
        "rouge_l": "glider.bench.baselines:ROUGE_L",
        "chrf": "glider.bench.baselines:CHRF",
        "embedding": "glider.bench.baselines:EMBEDDING",
    },
)
