"""Split items into training and development data, and remove overlaps with benchmarks.

Items that share a cluster or a prompt text are in the same split, even across sets.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from random import Random

from glider.core.errors import LeakedBenchmark
from glider.corpus.candidates import IN_BENCHMARK, Candidate, CandidateCounts
from glider.corpus.mixture import Mixture
from glider.corpus.overlap import Index, Overlap, Place, instructions_of, normalized, overlaps
from glider.corpus.sources import Source
from glider.gold.items import Item


def decontaminate(
    pools: dict[str, list[Candidate]], against: Sequence[Source], counts: CandidateCounts
) -> list[Overlap]:
    """Remove items that overlap a benchmark.

    For unseen sets, a shared prompt counts as overlap, because the task would no longer be unseen.
    For all other benchmarks, the prompt may be known, but a judged text may not.
    """
    found: list[Overlap] = []
    for use in ("unseen", "licence"):
        index = Index()
        for source in against:
            if (source.labelled.use == "unseen") == (use == "unseen"):
                items = source.labelled.items(source.folder)
                index.add(source.labelled.name, [item.sample for item in items])
        places: frozenset[Place] | None = None
        if use == "licence":
            places = frozenset({"answer", "item"})
        listed, hit = overlaps(
            {name: [d.item for d in drawn] for name, drawn in pools.items()}, index, places=places
        )
        found += listed
        for name, numbers in hit.items():
            pools[name] = [d for n, d in enumerate(pools[name]) if n not in numbers]
            counts.drop(name, f"{IN_BENCHMARK} ({use})", len(numbers))
    return found


def refuse_leaks(
    chosen: Sequence[Source], pools: Mapping[str, list[Candidate]], found: Sequence[Overlap]
) -> None:
    """Refuse to continue if removing overlaps leaves nothing of a user's file.

    Raises:
        LeakedBenchmark: the file overlaps benchmarks entirely.
    """
    for name in (source.labelled.name for source in chosen if source.own):
        if not pools[name]:
            of_it = [one for one in found if one.train == name]
            raise LeakedBenchmark(
                sorted({f"{name} has {o.items} of {o.benchmark} ({o.place})" for o in of_it}),
                hint="nothing of it is left to train on; take other labels, or measure with it",
            )


def split(
    pools: Mapping[str, list[Candidate]], settings: Mixture, counts: CandidateCounts
) -> tuple[list[Candidate], list[Candidate]]:
    """Split by prompt: items sharing a cluster or prompt text stay together, across sets."""
    every = [drawn for pool in pools.values() for drawn in pool]
    if not settings.dev:
        return every, []
    of_item = components(pools)
    size: Counter[str] = Counter()
    within: dict[str, dict[str, int]] = {}
    for drawn, component in zip(every, of_item, strict=True):
        size[component] += 1
        sizes = within.setdefault(drawn.labelled.name, {})
        sizes[component] = sizes.get(component, 0) + 1
    for_dev: set[str] = set()
    for name in sorted(within):
        sizes = within[name]
        wanted = settings.dev * sum(sizes.values())
        have = sum(n for component, n in sizes.items() if component in for_dev)
        order = sorted(set(sizes) - for_dev)
        Random(f"{settings.seed}:dev:{name}").shuffle(order)
        for component in order:
            # A single prompt with a fifth of all answers would exceed the requested share.
            fits = have + sizes[component] <= wanted * 1.25 or not have
            if fits and len(sizes) > 1 and sizes[component] <= sum(sizes.values()) / 2:
                for_dev.add(component)
                have += sizes[component]
            if have >= wanted:
                break
    train = [d for d, component in zip(every, of_item, strict=True) if component not in for_dev]
    dev = [d for d, component in zip(every, of_item, strict=True) if component in for_dev]
    return _without_near(train, dev, counts), dev


def components(pools: Mapping[str, list[Candidate]]) -> list[str]:
    """Name each item's connected component; links are shared clusters or prompt texts."""
    parent: dict[str, str] = {}

    def root(key: str) -> str:
        while (above := parent.setdefault(key, key)) != key:
            parent[key] = parent[above]
            key = above
        return key

    first: list[str] = []
    for name, pool in pools.items():
        instructions = instructions_of(drawn.item.sample for drawn in pool)
        for drawn in pool:
            keys = [f"cluster:{name}:{drawn.item.cluster}"]
            for text_field in drawn.item.sample.fields:
                if text_field.role in ("input", "context"):
                    text = normalized(text_field.text)
                    if text and text not in instructions:
                        keys.append(f"text:{text}")
            low, *others = sorted({root(key) for key in keys})
            for other in others:
                parent[other] = low
            first.append(keys[0])
    return [root(key) for key in first]


def _without_near(
    train: list[Candidate], dev: list[Candidate], counts: CandidateCounts
) -> list[Candidate]:
    """Drop training items whose prompt is a near duplicate of a development prompt."""
    index = Index()
    index.add("dev", [drawn.item.sample for drawn in dev])
    by_set: dict[str, list[Item]] = {}
    for drawn in train:
        by_set.setdefault(drawn.labelled.name, []).append(drawn.item)
    _, hit = overlaps(by_set, index, places=frozenset({"prompt", "item"}))
    kept: list[Candidate] = []
    seen: Counter[str] = Counter()
    for drawn in train:
        name = drawn.labelled.name
        if seen[name] in hit.get(name, ()):
            counts.drop(name, "nearly the prompt of a development item")
        else:
            kept.append(drawn)
        seen[name] += 1
    return kept
