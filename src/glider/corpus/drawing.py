"""Choose which items become examples, and which of these get a reason."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from random import Random

from glider.corpus.candidates import Candidate, CandidateCounts
from glider.corpus.from_items import level_of, reason_of
from glider.corpus.mixture import Mixture, SetShare
from glider.corpus.rationales import Unclear
from glider.formats.base import Format


def balanced(drawn: list[Candidate], settings: Mixture, counts: CandidateCounts) -> list[Candidate]:
    """Thin out levels that exceed their share of a part; both orders already balance pairs."""
    levels: dict[tuple[str, str], dict[int, list[int]]] = {}
    for number, one in enumerate(drawn):
        if not one.item.is_pair:
            of_part = levels.setdefault((one.labelled.name, one.item.part), {})
            of_part.setdefault(level_of(one.item)[0], []).append(number)
    gone: set[int] = set()
    share = settings.level_share
    for (name, part), by_level in levels.items():
        if len(by_level) < 2 or share >= 1:
            continue
        numbers = max(by_level.values(), key=len)
        others = sum(map(len, by_level.values())) - len(numbers)
        most = max(int(share / (1 - share) * others + 1e-9), max(
            len(n) for n in by_level.values() if n is not numbers
        ))  # fmt: skip
        if len(numbers) > most:
            rng = Random(f"{settings.seed}:balance:{name}:{part}")
            gone.update(rng.sample(numbers, len(numbers) - most))
            counts.drop(name, "of a level that dominates its part", len(numbers) - most)
    return [one for number, one in enumerate(drawn) if number not in gone]


def sized(
    drawn: list[Candidate], settings: Mixture, counts: CandidateCounts, *, is_train: bool
) -> list[Candidate]:
    """Draw as many items from each set as its cap, its weight and the total size allow."""
    pools: dict[str, list[Candidate]] = {}
    for one in drawn:
        pools.setdefault(one.labelled.name, []).append(one)
    size = settings.size
    if size is not None and not is_train:
        size = max(1, round(size * settings.dev))
    pairs = {name for name, pool in pools.items() if pool[0].item.is_pair}
    copies = settings.copies if is_train and size is not None else 1
    available = {n: min(len(pool) * copies, _cap(n, settings)) for n, pool in pools.items()}
    if size is not None and settings.pairs < 1:
        # A pair gives two examples, so its share of the items is smaller than of the examples.
        twice = 2 if settings.both_orders else 1
        for_pairs = round(size * settings.pairs / (twice - (twice - 1) * settings.pairs))
        quota = _quota({n: k for n, k in available.items() if n in pairs}, settings, for_pairs)
        rest = size - sum(quota.values())
        quota |= _quota({n: k for n, k in available.items() if n not in pairs}, settings, rest)
    else:
        quota = _quota(available, settings, size)
    chosen: list[Candidate] = []
    for name, pool in pools.items():
        rng = Random(f"{settings.seed}:draw:{name}")
        times, more = divmod(quota[name], len(pool))
        once_more = set(rng.sample(range(len(pool)), more))
        counts.drop(name, "beyond the set's share", 0 if times else len(pool) - more)
        for number, one in enumerate(pool):
            uses = times + (number in once_more)
            chosen += [replace(one, copy=copy) for copy in range(uses)]
    chosen = _limited(
        chosen,
        settings.other_languages,
        lambda one: one.item.lang != "en",
        "languages",
        settings,
        counts,
    )
    twice = 2 if settings.both_orders else 1
    share = settings.pairs / (twice - (twice - 1) * settings.pairs)
    return _limited(chosen, share, lambda d: d.item.is_pair, "pairs", settings, counts)


def _cap(name: str, settings: Mixture) -> int:
    own = settings.sets.get(name, SetShare()).cap
    return min(settings.cap, own) if own is not None else settings.cap


def _quota(available: Mapping[str, int], settings: Mixture, size: int | None) -> dict[str, int]:
    """Compute how many items to draw from each set: proportional to weight times available items.

    No quota exceeds the available items. Without a size, the set with the largest weight is used
    whole.
    """
    if not available:
        return {}
    weights = {name: settings.sets.get(name, SetShare()).weight for name in available}
    if size is None:
        largest = max(weights.values())
        return {name: int(n * weights[name] / largest) for name, n in available.items()}
    quota = dict.fromkeys(available, 0)
    open_sets = dict.fromkeys(available)  # in a fixed order, so that sums are the same
    left = min(size, sum(available.values()))
    while open_sets:
        total = sum(weights[name] * available[name] for name in open_sets)
        full = {n for n in open_sets if left * weights[n] * available[n] / total >= available[n]}
        if not full:
            shares = {name: left * weights[name] * available[name] / total for name in open_sets}
            quota |= {name: int(share) for name, share in shares.items()}
            short = left - sum(map(int, shares.values()))
            by_rest = sorted(open_sets, key=lambda n: (int(shares[n]) - shares[n], n))
            for name in by_rest[:short]:
                quota[name] += 1
            break
        for name in full:
            quota[name] = available[name]
            left -= available[name]
            del open_sets[name]
    return quota


def _limited(
    drawn: list[Candidate],
    share: float,
    is_one: Callable[[Candidate], bool],
    what: str,
    settings: Mixture,
    counts: CandidateCounts,
) -> list[Candidate]:
    """Subsample the candidates for which `is_one` holds to at most a share of the total."""
    ones = [number for number, one in enumerate(drawn) if is_one(one)]
    others = len(drawn) - len(ones)
    if share >= 1 or not ones:
        return drawn
    most = int(share / (1 - share) * others + 1e-9)
    if len(ones) <= most:
        return drawn
    gone = set(Random(f"{settings.seed}:{what}").sample(ones, len(ones) - most))
    for number in gone:
        counts.drop(drawn[number].labelled.name, f"beyond the share of {what}")
    return [one for number, one in enumerate(drawn) if number not in gone]


def explained(
    drawn: list[Candidate], format: Format, settings: Mixture, counts: CandidateCounts
) -> frozenset[str]:
    """Return the names of the items whose answers include a reason."""
    if not format.explains:
        return frozenset()
    usable: list[str] = []
    used: Counter[tuple[str, str]] = Counter()
    for one in drawn:
        name = one.labelled.name
        try:
            reason = reason_of(one.item, one.labelled, format)
        except Unclear as exc:
            counts.keep_bare(name, str(exc))
            continue
        if reason is None:
            continue
        used[name, reason] += 1
        if used[name, reason] > settings.repeats and format.bare() is not None:
            counts.keep_bare(name, "a reason that was used often enough")
        else:
            usable.append(one.name)
    most = int(settings.explained * len(drawn))
    if format.bare() is None or len(usable) <= most:
        return frozenset(usable)
    kept = frozenset(Random(f"{settings.seed}:explained").sample(usable, most))
    for name in usable:
        if name not in kept:
            counts.keep_bare(name.partition(":")[0], "beyond the share of explained answers")
    return kept
