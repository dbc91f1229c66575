"""Measure how quantisation changes a judge's scores on the same prompts."""

import random
from itertools import zip_longest
from pathlib import Path

import numpy as np

from glider.bench.shift import Shift, answers, shift
from glider.core.errors import EmptySplit
from glider.core.generation import Decoding, GenerationRequest, Labels, Message
from glider.corpus.examples import Example, read_examples


def score_requests(path: Path, n: int, *, seed: int) -> list[tuple[GenerationRequest, str]]:
    """Make requests for comparing scores from examples' prompts, each with its cluster.

    If an answer reasons before its score, the request includes the example's own reasoning. At most
    `n` requests are sampled, spread over as many clusters as possible.

    Raises:
        DataError: the file is missing, damaged or holds no examples.
        EmptySplit: no example asks for a numeric score.
    """
    clusters: dict[str, list[GenerationRequest]] = {}
    for example in read_examples(path):
        if (request := _request(example)) is not None:
            clusters.setdefault(example.cluster, []).append(request)
    if not clusters:
        raise EmptySplit("dev", f"{path.name} has no example with a score to read")
    rng = random.Random(seed)
    heaps = [(cluster, rng.sample(heap, len(heap))) for cluster, heap in sorted(clusters.items())]
    rng.shuffle(heaps)
    # The first request of each cluster, then the second of each.
    rounds = zip_longest(*([(request, name) for request in heap] for name, heap in heaps))
    return [one for around in rounds for one in around if one is not None][:n]


def _request(example: Example) -> GenerationRequest | None:
    labels, opening = example.labels, example.opening
    if not labels or not all(label.lstrip("-").isdigit() for label in labels):
        return None
    if not opening.endswith(example.after):
        before, after, _ = example.completion.rpartition(example.after)
        if not after:
            return None
        opening += before + after
    return GenerationRequest(
        id=example.id,
        messages=tuple(Message(turn.role, turn.content) for turn in example.messages),
        opening=opening,
        labels=Labels(texts=labels, after=example.after),
        decoding=Decoding(max_tokens=max(map(len, labels))),
    )


def compared(
    plain: Path, made: Path, asked: list[tuple[GenerationRequest, str]], *, seed: int
) -> Shift:
    """Compare the scores of the GGUF `made` with those of the less quantised GGUF `plain`."""
    from glider.backends.embedded import EmbeddedBackend

    found = []
    for path in (plain, made):
        # Bare scores need one slot; more would only use memory.
        with EmbeddedBackend(str(path), slots=1) as engine:
            found.append(answers(engine, [request for request, _ in asked]))
    before, after = found
    rng = np.random.default_rng(seed)
    return shift(before, after, [cluster for _, cluster in asked], rng=rng)
