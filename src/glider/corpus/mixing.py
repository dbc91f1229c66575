"""Mix labelled sets into a training and a development split, and count everything left out.

The steps, in order: load; remove items that overlap a benchmark; split off the development part;
remove items that are too long; mark what minimal pairs differ in; make pairs from single outputs;
balance levels; sample each set (examples-proportional with a cap, as in FLAMe); limit pairs and
languages; choose which answers get a reason; vary wordings, names and scales; shuffle. The same
data and settings give the same files.
Each draw derives its own seed from the settings' seed and a name, so that adding a set does not
change how another is sampled.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from random import Random

from glider.core.errors import EmptySplit
from glider.corpus.augment import ALWAYS, augmented
from glider.corpus.candidates import Candidate, CandidateCounts
from glider.corpus.derived import derived_pairs
from glider.corpus.drawing import balanced, explained, sized
from glider.corpus.examples import Example, ExampleTask
from glider.corpus.from_items import Unusable, example_of, task_of
from glider.corpus.lengths import TOO_LONG, Tokens, estimated_tokens, n_tokens, why_not_askable
from glider.corpus.minimal_pairs import marked_by_pairs
from glider.corpus.mixture import Mixture, format_for
from glider.corpus.overlap import Overlap
from glider.corpus.sources import Source
from glider.corpus.splits import decontaminate, refuse_leaks, split
from glider.formats.base import Format
from glider.gold.items import Item
from glider.gold.sets import LabelledSet

Notify = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Mixed:
    """The two splits, and how they were made."""

    train: list[Example]
    dev: list[Example]
    counts: CandidateCounts
    overlaps: list[Overlap]
    notes: dict[str, tuple[str, ...]]
    held_out: dict[str, list[str]]
    """Clusters of the development split of each non-empty set, for benchmarking; they include
    clusters from which no example was drawn."""
    tasks: list[ExampleTask]
    """The task of each example in both splits."""


def mix(
    chosen: Sequence[Source],
    against: Sequence[Source],
    settings: Mixture,
    *,
    tokens: Tokens | None = None,
    notify: Notify = lambda _what: None,
) -> Mixed:
    """Make both splits.

    Args:
        against: benchmark sets that the training data must not overlap.
        tokens: counts the tokens of a text; estimated from its letters by default.
        notify: called with each step, and with each reason for leaving items out and its count.

    Raises:
        EmptySplit: a split has no items left.
        LeakedBenchmark: a user's file overlaps benchmarks entirely.
        DataError: a set's data is missing or empty.
        SetupError: the format does not support the settings.
    """
    format = format_for(settings)
    counts = CandidateCounts()
    notes: dict[str, tuple[str, ...]] = {}
    pools: dict[str, list[Candidate]] = {}
    for source in chosen:
        notify(f"reading {source.labelled.name}")
        loaded = source.labelled.load(source.folder)
        name = source.labelled.name
        notes[name] = loaded.notes
        counts.loaded[name] = len(loaded.items)
        pools[name] = [Candidate(source.labelled, item) for item in loaded.items]
    notify("comparing with the benchmarks")
    found = decontaminate(pools, against, counts)
    refuse_leaks(chosen, pools, found)
    train, dev = split(pools, settings, counts)
    measure = tokens or estimated_tokens
    sides = []
    tasks: list[ExampleTask] = []
    for side, drawn in (("train", train), ("dev", dev)):
        notify(f"making the {side} split")
        train_side = side == "train"
        sides.append(
            _examples(drawn, format, settings, measure, counts, tasks, notify, is_train=train_side)
        )
    own = [source.labelled.name for source in chosen if source.own]
    for line in _left_out(own, counts, notes):
        notify(line)
    if not sides[0]:
        raise EmptySplit("train", _why(counts), hint="what was left out, and why, is printed above")
    if settings.dev and not sides[1]:
        raise EmptySplit(
            "dev",
            "no prompt is left for it",
            hint="more data, or --dev 0 for no development part",
        )
    drawn_on = {drawn.labelled.name for drawn in (*train, *dev)}
    held_out: dict[str, set[str]] = {name: set() for name in sorted(drawn_on)}
    for kept in dev:
        held_out[kept.labelled.name].add(kept.item.cluster)
    listed = {name: sorted(clusters) for name, clusters in held_out.items()}
    return Mixed(sides[0], sides[1], counts, found, notes, listed, tasks)


def _why(counts: CandidateCounts) -> str:
    return "; ".join(f"{why}: {n}" for why, n in counts.reasons()) or "there were no items"


def _left_out(
    own: Sequence[str], counts: CandidateCounts, notes: Mapping[str, Sequence[str]]
) -> Iterator[str]:
    """Yield a line per reason, then notes on left-out records of own files."""
    for why, n in counts.reasons():
        yield f"left out: {n} {why}"
    for name in own:
        for note in notes[name]:
            if note.startswith("left out"):
                yield f"{name}: {note}"


def _examples(
    drawn: list[Candidate],
    format: Format,
    settings: Mixture,
    tokens: Tokens,
    counts: CandidateCounts,
    tasks: list[ExampleTask],
    notify: Notify,
    *,
    is_train: bool,
) -> list[Example]:
    limit = settings.max_prompt_tokens
    if limit is not None:
        drawn = _short_enough(drawn, format, limit, tokens, counts)
    if settings.minimal_pairs:
        drawn = _marked(drawn, counts)
    made_pairs = _derived(drawn, settings, format, tokens, notify) if is_train else []
    if is_train:
        drawn = balanced(drawn, settings, counts)
    drawn = sized(drawn, settings, counts, is_train=is_train) + made_pairs
    with_reason = explained(drawn, format, settings, counts)
    examples: list[Example] = []
    for one in drawn:
        item = one.item
        changes: tuple[str, ...] = ()
        if is_train and not one.derived:
            rng = Random(f"{settings.seed}:augment:{one.name}")
            item, changes = augmented(item, settings.augment, rng, set_name=one.labelled.name)
            if one.copy and not changes:
                item, changes = augmented(item, ALWAYS, rng, set_name=one.labelled.name)
        orders = (False, True) if item.is_pair and settings.both_orders else (False,)
        try:
            made = [
                example_of(
                    item,
                    format,
                    one.labelled,
                    explained=one.name in with_reason,
                    swapped=swapped,
                    copy=one.copy,
                    soft=settings.soft,
                    marks=settings.marks,
                    highlights=settings.highlights,
                )
                for swapped in orders
            ]
        except Unusable as exc:
            counts.drop(one.labelled.name, str(exc))
            continue
        if limit is not None and any(n_tokens(e, tokens) > limit for e in made):
            counts.drop(one.labelled.name, TOO_LONG)
            continue
        counts.changed.update(changes)
        examples += made
        for example, swapped in zip(made, orders, strict=True):
            task = task_of(item, swapped=swapped)
            sample = task.sample.model_copy(update={"metadata": {}})
            tasks.append(ExampleTask(id=example.id, sample=sample, criterion=task.criterion))
    Random(f"{settings.seed}:shuffle").shuffle(examples)
    return examples


def _short_enough(
    drawn: list[Candidate], format: Format, limit: int, tokens: Tokens, counts: CandidateCounts
) -> list[Candidate]:
    kept = []
    for one in drawn:
        if why := why_not_askable(one.item, format, limit=limit, tokens=tokens):
            counts.drop(one.labelled.name, why)
        else:
            kept.append(one)
    return kept


def _marked(drawn: list[Candidate], counts: CandidateCounts) -> list[Candidate]:
    """Mark the worse texts of minimal pairs."""
    places: dict[str, list[int]] = {}
    for place, one in enumerate(drawn):
        places.setdefault(one.labelled.name, []).append(place)
    found = list(drawn)
    for of_set in places.values():
        items = marked_by_pairs([drawn[place].item for place in of_set])
        for place, item in zip(of_set, items, strict=True):
            if item is not drawn[place].item:
                counts.changed["marked by a minimal pair"] += 1
                found[place] = replace(drawn[place], item=item)
    return found


def _derived(
    drawn: Sequence[Candidate], settings: Mixture, format: Format, tokens: Tokens, notify: Notify
) -> list[Candidate]:
    """Make pairs from single outputs, skipping those whose prompt would be too long."""
    pools: dict[str, list[Item]] = {}
    labelled: dict[str, LabelledSet] = {}
    for one in drawn:
        pools.setdefault(one.labelled.name, []).append(one.item)
        labelled[one.labelled.name] = one.labelled

    def fits(item: Item) -> bool:
        limit = settings.max_prompt_tokens
        return why_not_askable(item, format, limit=limit, tokens=tokens) is None

    made = derived_pairs(pools, settings.derived, seed=settings.seed, fits=fits)
    found = Counter(item.part for _, item in made)
    for kind, wanted in settings.derived:
        if wanted is not None and found[kind] < wanted.pairs:
            notify(f"derived: {found[kind]} of {wanted.pairs} {kind} pairs; the sets give no more")
    return [Candidate(labelled[name], item, derived=True) for name, item in made]
