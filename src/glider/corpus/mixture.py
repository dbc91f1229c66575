"""Labelled sets to one training and one development file; all that was left out is counted.

In order: load; leave out what a benchmark holds; cut off the development part; leave out what is
too long; make pairs of single outputs; balance levels; draw by sets (examples-proportional with a
cap, as FLAMe); limit pairs and languages; choose which answers are explained; change wordings,
names and scales; shuffle. The same data and settings give the same files: every draw has its own
seed, made of the settings' seed and a name, so one set more does not change how another one is
drawn.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random

from pydantic import Field

from glider.core.base import Frozen
from glider.core.errors import EmptySplit, LeakedBenchmark, SetupError, TaskError
from glider.corpus.augment import ALWAYS, Augment, augmented
from glider.corpus.derived import DerivedPairs, derived_pairs
from glider.corpus.examples import (
    Example,
    ExampleTask,
    Unusable,
    example_of,
    level_of,
    reason_of,
    task_of,
)
from glider.corpus.overlap import (
    Index,
    Overlap,
    Place,
    instructions_of,
    normalized,
    overlaps,
)
from glider.corpus.rationales import Unclear
from glider.formats import make_format
from glider.formats.base import Format
from glider.gold.items import Item
from glider.gold.sets import LabelledSet, known, load_set

_LEAKED = "in a benchmark"
LARGEST = 1 << 16
"""FLAMe's limit of examples from one task."""

Tokens = Callable[[str], int]
Say = Callable[[str], None]


class Share(Frozen):
    """How much of the mixture one set may be."""

    weight: float = Field(default=1.0, gt=0)
    cap: int | None = Field(default=None, ge=1)


class Mixture(Frozen):
    """What the files are made of."""

    format: str = "nano"
    order: str | None = None
    layout: str | None = None
    sets: Mapping[str, Share] = Field(default_factory=dict)
    """Name to share; without any, every set that may be trained on."""
    leave_out: tuple[str, ...] = ("hhh_alignment",)
    """Sets not taken even so: hhh_alignment is the source of the benchmark glider_hh."""
    allow: tuple[str, ...] = ()
    """Sets whose `use` is not `train`, taken on the user's own word."""
    cap: int = Field(default=LARGEST, ge=1)
    """Most items of any one set."""
    size: int | None = Field(default=None, ge=1)
    """Training items in all; without it, as many as shares and caps leave. A pair asked in both
    orders is one item and two examples."""
    pairs: float = Field(default=1.0, ge=0, le=1)
    """Largest share of examples that compare two outputs. Below 1, a `size` has as many while
    pairs last, and single outputs are the rest."""
    other_languages: float = Field(default=1.0, ge=0, le=1)
    """Largest share of items that are not English."""
    level_share: float = Field(default=0.6, gt=0, le=1)
    """Largest share of one level within a part of a set; a level that dominates is thinned out."""
    explained: float = Field(default=1.0, ge=0, le=1)
    """Largest share of items whose answer has quotes and a reason, where a bare score can stand."""
    copies: int = Field(default=1, ge=1)
    """Most uses of one item where the size asks for more than there is; each in other words."""
    repeats: int = Field(default=20, ge=1)
    """Most uses of one reason within a set; further ones have a bare score."""
    marks: bool = False
    """Learn score and quotes where people marked places and wrote no usable reason."""
    derived: DerivedPairs = DerivedPairs()
    """Training pairs made of the items' single outputs, beside all that shares and sizes limit."""
    both_orders: bool = True
    soft: bool = True
    """Keep several people's ratings, and labels between two levels, as a distribution."""
    max_prompt_tokens: int | None = Field(default=None, ge=64)
    dev: float = Field(default=0.1, ge=0, lt=1)
    """Share of each set's items that is kept for development."""
    augment: Augment = Augment()
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Source:
    """A set and the folder its data lies in."""

    labelled: LabelledSet
    folder: Path
    own: bool = False
    """The user's own file, which needs no leave."""


@dataclass(frozen=True, slots=True)
class Drawn:
    """An item on its way."""

    labelled: LabelledSet
    item: Item
    copy: int = 0
    """0 the first time it is used, 1 the second, ..."""
    derived: bool = False
    """A pair that was made of single outputs; its wording is not changed."""

    @property
    def name(self) -> str:
        """What its draws are seeded with."""
        again = f":{self.copy}" if self.copy else ""
        return f"{self.labelled.name}:{self.item.sample.id}:{self.item.criterion.name}{again}"


@dataclass
class Counts:
    """What was left out or changed, by set."""

    loaded: Counter[str] = field(default_factory=Counter)
    left_out: dict[str, Counter[str]] = field(default_factory=dict)
    changed: Counter[str] = field(default_factory=Counter)
    bare: dict[str, Counter[str]] = field(default_factory=dict)
    """Why an answer with a reason at hand is a bare score."""

    def drop(self, name: str, why: str, n: int = 1) -> None:
        """`n` more items of a set that are not taken."""
        if n:
            self.left_out.setdefault(name, Counter())[why] += n

    def keep_bare(self, name: str, why: str) -> None:
        """One more reason that is not used."""
        self.bare.setdefault(name, Counter())[why] += 1


@dataclass(frozen=True, slots=True)
class Mixed:
    """The two splits and their history."""

    train: list[Example]
    dev: list[Example]
    counts: Counts
    overlaps: list[Overlap]
    notes: dict[str, tuple[str, ...]]
    held_out: dict[str, list[str]]
    """For each set of which there is anything, the clusters of its development part, whether the
    examples were drawn from them or not: items to bench on."""
    posed: list[ExampleTask]
    """What each example of both splits asks."""


# Which sets


def sources(settings: Mixture, folder: Path | None, own: Sequence[Source] = ()) -> list[Source]:
    """The sets to train on.

    Args:
        folder: where the data of all but a person's own files lies.
        own: a person's own files as sets.

    Raises:
        SetupError: a set that may not be trained on, or no set at all.
        UnknownName: with near names.
    """
    named = {source.labelled.name for source in own}
    wanted = [name for name in settings.sets if name not in named]
    if not settings.sets and not own:
        wanted = [name for name in known() if load_set(name).use == "train"]
    chosen: list[Source] = list(own)
    for kind, derived in settings.derived:
        strange = [name for name in derived.sets if name not in settings.sets] if derived else []
        if settings.sets and strange:
            raise SetupError(
                f"derived: {kind} names {strange[0]!r}, which is not among the sets",
                hint="name the set under `sets` too; cap or weight say how much of it is taken",
            )
    for name in wanted:
        labelled = load_set(name)
        if labelled.name in settings.leave_out and name not in settings.sets:
            continue
        if labelled.use != "train" and labelled.name not in settings.allow:
            why = (
                "is kept out of training, to see what a judge does on tasks that are new to it"
                if labelled.use == "unseen"
                else f"may not be trained on under its licence: {labelled.licence}"
            )
            raise SetupError(
                f"set {labelled.name!r} {why}",
                hint=f"--allow {labelled.name} takes it on your own word, for your own use",
            )
        if folder is None:
            raise SetupError("no data folder", hint="--data FOLDER or $GLIDER_DATA names it")
        chosen.append(Source(labelled, folder))
    if not chosen:
        raise SetupError("no set to train on", hint="`glider bench --list` shows the sets")
    return chosen


def benchmarks(chosen: Sequence[Source], folder: Path | None) -> list[Source]:
    """Every set whose data is there and that is not trained on."""
    taken = {source.labelled.name for source in chosen if not source.own}
    found = []
    for name in known():
        labelled = load_set(name)
        here = folder is not None and (folder / labelled.data.partition("::")[0]).exists()
        if here and folder is not None and labelled.name not in taken:
            found.append(Source(labelled, folder))
    return found


# The way of the data


def mix(
    chosen: Sequence[Source],
    against: Sequence[Source],
    settings: Mixture,
    *,
    tokens: Tokens | None = None,
    say: Say = lambda _what: None,
) -> Mixed:
    """Make both splits.

    Args:
        against: benchmark sets that must not be in training.
        tokens: how many tokens a text is; estimated from its letters if not given.
        say: told what is going on, and how much was left out for which reason.

    Raises:
        EmptySplit: nothing is left of one.
        LeakedBenchmark: a file of the user's is in benchmarks from end to end.
        DataError: a set's data is not there or holds nothing.
        SetupError: the format does not take the settings.
    """
    form = form_for(settings)
    counts = Counts()
    notes: dict[str, tuple[str, ...]] = {}
    pools: dict[str, list[Drawn]] = {}
    for source in chosen:
        say(f"reading {source.labelled.name}")
        loaded = source.labelled.load(source.folder)
        name = source.labelled.name
        notes[name] = loaded.notes
        counts.loaded[name] = len(loaded.items)
        pools[name] = [Drawn(source.labelled, item) for item in loaded.items]
    say("comparing with the benchmarks")
    found = _decontaminate(pools, against, counts)
    _refuse_leaks(chosen, pools, found)
    train, dev = _split(pools, settings, counts)
    measure = tokens or estimated_tokens
    sides = []
    posed: list[ExampleTask] = []
    for side, drawn in (("train", train), ("dev", dev)):
        say(f"making the {side} split")
        train_side = side == "train"
        sides.append(
            _examples(drawn, form, settings, measure, counts, posed, say, is_train=train_side)
        )
    own = [source.labelled.name for source in chosen if source.own]
    for line in _left_out(own, counts, notes):
        say(line)
    if not sides[0]:
        raise EmptySplit("train", _why(counts), hint="what was left out, and why, is told above")
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
    return Mixed(sides[0], sides[1], counts, found, notes, listed, posed)


def _total(counts: Counts) -> list[tuple[str, int]]:
    """Why items were left out of any set, and how many; benchmarks first, then the most."""
    total: Counter[str] = Counter()
    for reasons in counts.left_out.values():
        total.update(reasons)
    return sorted(total.items(), key=lambda one: (not one[0].startswith(_LEAKED), -one[1]))


def _why(counts: Counts) -> str:
    return "; ".join(f"{why}: {n}" for why, n in _total(counts)) or "there were no items"


def _left_out(
    own: Sequence[str], counts: Counts, notes: Mapping[str, Sequence[str]]
) -> Iterator[str]:
    """A line for each reason; the card has them set by set. Of own files also the records."""
    for why, n in _total(counts):
        yield f"left out: {n} {why}"
    for name in own:
        for note in notes[name]:
            if note.startswith("left out"):
                yield f"{name}: {note}"


def _refuse_leaks(
    chosen: Sequence[Source], pools: Mapping[str, list[Drawn]], found: Sequence[Overlap]
) -> None:
    for name in (source.labelled.name for source in chosen if source.own):
        if not pools[name]:
            of_it = [one for one in found if one.train == name]
            raise LeakedBenchmark(
                sorted({f"{name} has {o.items} of {o.benchmark} ({o.place})" for o in of_it}),
                hint="nothing of it is left to train on; take other labels, or measure with it",
            )


def form_for(settings: Mixture) -> Format:
    """The form that is asked in.

    Raises:
        UnknownName: no such format.
        SetupError: the format does not take the settings.
    """
    options = {"order": settings.order, "layout": settings.layout}
    given = {name: value for name, value in options.items() if value is not None}
    if given and settings.format != "nano":
        raise SetupError(f"order and layout are for the nano format, not {settings.format!r}")
    return make_format(settings.format, **given)


def _decontaminate(
    pools: dict[str, list[Drawn]], against: Sequence[Source], counts: Counts
) -> list[Overlap]:
    """Take out what a benchmark holds; of one kept out for its licence only, what it judges.

    A prompt that is in an unseen set is no unseen task any more. For the others the prompt may be
    known; a judged text with its label may not.
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
            counts.drop(name, f"{_LEAKED} ({use})", len(numbers))
    return found


# Development part


def _split(
    pools: Mapping[str, list[Drawn]], settings: Mixture, counts: Counts
) -> tuple[list[Drawn], list[Drawn]]:
    """Cut by prompt: items that share a cluster or a prompt text are on one side, across sets."""
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
            # One prompt with a fifth of all answers would be more than was asked for.
            fits = have + sizes[component] <= wanted * 1.25 or not have
            if fits and len(sizes) > 1 and sizes[component] <= sum(sizes.values()) / 2:
                for_dev.add(component)
                have += sizes[component]
            if have >= wanted:
                break
    train = [d for d, component in zip(every, of_item, strict=True) if component not in for_dev]
    dev = [d for d, component in zip(every, of_item, strict=True) if component in for_dev]
    return _without_near(train, dev, counts), dev


def components(pools: Mapping[str, list[Drawn]]) -> list[str]:
    """For each item, a name that all items have which are linked by cluster or prompt text."""
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


def _without_near(train: list[Drawn], dev: list[Drawn], counts: Counts) -> list[Drawn]:
    """The training items whose prompt is not nearly that of a development item."""
    index = Index()
    index.add("dev", [drawn.item.sample for drawn in dev])
    by_set: dict[str, list[Item]] = {}
    for drawn in train:
        by_set.setdefault(drawn.labelled.name, []).append(drawn.item)
    _, hit = overlaps(by_set, index, places=frozenset({"prompt", "item"}))
    kept: list[Drawn] = []
    seen: Counter[str] = Counter()
    for drawn in train:
        name = drawn.labelled.name
        if seen[name] in hit.get(name, ()):
            counts.drop(name, "nearly the prompt of a development item")
        else:
            kept.append(drawn)
        seen[name] += 1
    return kept


# Choosing


def _examples(
    drawn: list[Drawn],
    form: Format,
    settings: Mixture,
    tokens: Tokens,
    counts: Counts,
    posed: list[ExampleTask],
    say: Say,
    *,
    is_train: bool,
) -> list[Example]:
    limit = settings.max_prompt_tokens
    if limit is not None:
        drawn = _short_enough(drawn, form, limit, tokens, counts)
    made_pairs = _derived(drawn, settings, form, tokens, say) if is_train else []
    if is_train:
        drawn = _balanced(drawn, settings, counts)
    drawn = _sized(drawn, settings, counts, is_train=is_train) + made_pairs
    explained = _explained(drawn, form, settings, counts)
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
                    form,
                    one.labelled,
                    explained=one.name in explained,
                    swapped=swapped,
                    copy=one.copy,
                    soft=settings.soft,
                    marks=settings.marks,
                )
                for swapped in orders
            ]
        except Unusable as exc:
            counts.drop(one.labelled.name, str(exc))
            continue
        if limit is not None and any(_n_tokens(e, tokens) > limit for e in made):
            counts.drop(one.labelled.name, _TOO_LONG)
            continue
        counts.changed.update(changes)
        examples += made
        for example, swapped in zip(made, orders, strict=True):
            task = task_of(item, swapped=swapped)
            sample = task.sample.model_copy(update={"metadata": {}})
            posed.append(ExampleTask(id=example.id, sample=sample, criterion=task.criterion))
    Random(f"{settings.seed}:shuffle").shuffle(examples)
    return examples


_TOO_LONG = "a prompt that is too long"


def estimated_tokens(text: str) -> int:
    """Tokens of a text, about: 3.5 Latin letters each, and up to two for a letter of other scripts.

    Of 600 English prompts SmolLM2's tokenizer made 0.8 to 1.1 times as many.
    """
    other = sum(char > "\u024f" for char in text) if not text.isascii() else 0
    return round((len(text) - other) / 3.5 + 1.7 * other)


_TEMPLATE_TOKENS = 14
"""What a chat template adds."""


def _n_tokens(example: Example, tokens: Tokens) -> int:
    return sum(tokens(turn.content) for turn in example.messages) + _TEMPLATE_TOKENS


def _short_enough(
    drawn: list[Drawn], form: Format, limit: int, tokens: Tokens, counts: Counts
) -> list[Drawn]:
    kept = []
    for one in drawn:
        if why := _asked_within(limit, one.item, form, tokens):
            counts.drop(one.labelled.name, why)
        else:
            kept.append(one)
    return kept


def _asked_within(limit: int | None, item: Item, form: Format, tokens: Tokens) -> str | None:
    """Why an item cannot be asked in a prompt of at most so many tokens; None where it can."""
    asking = form.bare() or form  # its prompt is the same, and no grammar of quotes is made
    try:
        prompt = asking.render(task_of(item))
    except (TaskError, SetupError) as exc:
        return f"cannot be asked in the form {form.name} ({exc.code})"
    size = sum(tokens(m.content) for m in prompt.messages) + _TEMPLATE_TOKENS
    return _TOO_LONG if limit is not None and size > limit else None


def _derived(
    drawn: Sequence[Drawn], settings: Mixture, form: Format, tokens: Tokens, say: Say
) -> list[Drawn]:
    """The pairs made of single outputs, none longer than a prompt may be."""
    pools: dict[str, list[Item]] = {}
    labelled: dict[str, LabelledSet] = {}
    for one in drawn:
        pools.setdefault(one.labelled.name, []).append(one.item)
        labelled[one.labelled.name] = one.labelled

    def fits(item: Item) -> bool:
        return _asked_within(settings.max_prompt_tokens, item, form, tokens) is None

    made = derived_pairs(pools, settings.derived, seed=settings.seed, fits=fits)
    found = Counter(item.part for _, item in made)
    for kind, wanted in settings.derived:
        if wanted is not None and found[kind] < wanted.pairs:
            say(f"derived: {found[kind]} of {wanted.pairs} {kind} pairs; the sets give no more")
    return [Drawn(labelled[name], item, derived=True) for name, item in made]


def _balanced(drawn: list[Drawn], settings: Mixture, counts: Counts) -> list[Drawn]:
    """Thin out a level that has more than its share of a part; orders balance pairs anyway."""
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


def _sized(drawn: list[Drawn], settings: Mixture, counts: Counts, *, is_train: bool) -> list[Drawn]:
    """Draw from each set what its cap, its weight and the size of the whole allow."""
    pools: dict[str, list[Drawn]] = {}
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
    chosen: list[Drawn] = []
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
    own = settings.sets.get(name, Share()).cap
    return min(settings.cap, own) if own is not None else settings.cap


def _quota(available: Mapping[str, int], settings: Mixture, size: int | None) -> dict[str, int]:
    """How many of each set: in proportion to weight times what is there, never more than there is.

    Without a size, the set of the largest weight is taken whole.
    """
    if not available:
        return {}
    weights = {name: settings.sets.get(name, Share()).weight for name in available}
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
    drawn: list[Drawn],
    share: float,
    is_one: Callable[[Drawn], bool],
    what: str,
    settings: Mixture,
    counts: Counts,
) -> list[Drawn]:
    """Draw from those that `is_one` so many that they are at most a share of all."""
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


def _explained(
    drawn: list[Drawn], form: Format, settings: Mixture, counts: Counts
) -> frozenset[str]:
    """Names of the items whose answer gets its reason."""
    if not form.explains:
        return frozenset()
    usable: list[str] = []
    used: Counter[tuple[str, str]] = Counter()
    for one in drawn:
        name = one.labelled.name
        try:
            reason = reason_of(one.item, one.labelled, form)
        except Unclear as exc:
            counts.keep_bare(name, str(exc))
            continue
        if reason is None:
            continue
        used[name, reason] += 1
        if used[name, reason] > settings.repeats and form.bare() is not None:
            counts.keep_bare(name, "a reason that was used often enough")
        else:
            usable.append(one.name)
    most = int(settings.explained * len(drawn))
    if form.bare() is None or len(usable) <= most:
        return frozenset(usable)
    kept = frozenset(Random(f"{settings.seed}:explained").sample(usable, most))
    for name in usable:
        if name not in kept:
            counts.keep_bare(name.partition(":")[0], "beyond the share of explained answers")
    return kept
