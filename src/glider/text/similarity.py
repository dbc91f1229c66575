"""Text similarity in 0..1 without a model: ROUGE-L, chrF, word vectors."""

from collections.abc import Callable, Iterable, Sequence
from functools import cache, lru_cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from glider.core.errors import MissingExtra
from glider.text.words import words

Pairs = Sequence[tuple[str, str]]
"""(text, reference text)"""


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

    Signature: case mixed, effective order, six characters, no words, no spaces. It does not depend
    on word boundaries, so it works as well in Chinese as in English.
    """
    try:
        from sacrebleu.metrics.chrf import CHRF
    except ImportError as exc:
        raise MissingExtra("chrF", "bench") from exc
    metric = CHRF()
    return [metric.sentence_score(text, [goal]).score / 100 for text, goal in pairs]


def embedding(pairs: Pairs) -> list[float]:
    """Cosine of the mean word-piece vectors of two texts; below 0 counts as 0.

    The vectors are WordLlama's (256 dimensions, mostly English). Their 16 MB table ships in the
    `wordllama` package, so nothing is fetched and no text leaves the machine.
    """
    table = vectors_of()
    texts = dict.fromkeys(text for pair in pairs for text in pair)
    vectors = dict(zip(texts, table(texts), strict=True))
    return [max(0.0, min(1.0, float(vectors[a] @ vectors[b]))) for a, b in pairs]


@cache
def vectors_of() -> Callable[[Iterable[str]], list[NDArray[np.float32]]]:
    """Return a function from texts to unit vectors, shape (256,); zero without word pieces.

    Raises:
        MissingExtra: the `embedding` extra is not installed.
    """
    # We read the two files ourselves: the package's loader configures global logging and looks
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
