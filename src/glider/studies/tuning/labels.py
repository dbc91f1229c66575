"""Split a user's labels into folds by prompt: items that share a prompt are in one fold."""

from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random

from glider.core.base import content_hash
from glider.core.errors import DataError, OneSidedLabels, TooFewLabels
from glider.corpus.candidates import Candidate
from glider.corpus.examples import Example
from glider.corpus.from_items import Unusable, example_of, level_of
from glider.corpus.splits import components
from glider.formats import make_format
from glider.gold.items import Item
from glider.gold.records import OUTSIDE_SCALE
from glider.gold.sets import LabelledSet
from glider.training.tokens import Coder, Encoded

FEWEST = 50
"""Minimum number of labels; with fewer, neither a gain nor its absence could be shown."""
MAX_TOKENS = 2048
FORMAT = {"format": "nano"}
"""Format of a tuning's prompts."""


@dataclass(frozen=True, slots=True)
class TuningLabels:
    """A user's labels, split into folds and encoded as prompts."""

    labelled: LabelledSet
    items: tuple[Item, ...]
    """The labelled items; items with the same prompt have the same cluster."""
    fold: tuple[int, ...]
    """Fold number of each item, from 0."""
    asked: tuple[tuple[Encoded, ...], ...]
    """Encoded bare-score prompts of each item; both orders for a pair."""
    notes: tuple[str, ...]

    @property
    def n_prompts(self) -> int:
        """Number of distinct prompts."""
        return len({item.cluster for item in self.items})

    @property
    def n_tokens(self) -> int:
        """Number of tokens in all prompts."""
        return sum(len(one) for asked in self.asked for one in asked)

    @property
    def n_examples(self) -> int:
        """Number of examples; a pair counts as two."""
        return sum(map(len, self.asked))

    def examples(self, numbers: Sequence[int]) -> list[Example]:
        """Return the training examples of these items, with the annotators' reason if usable."""
        format = make_format(FORMAT["format"])
        return [
            example_of(item, format, self.labelled, swapped=swapped)
            for item in (self.items[number] for number in numbers)
            for swapped in _orders(item)
        ]


def read_labels(
    labelled: LabelledSet, folder: Path, coder: Coder, *, folds: int, seed: int = 0
) -> TuningLabels:
    """Read labels that are suitable for training and measuring.

    Raises:
        DataError: the file cannot be read, or a label is not on its scale.
        TooFewLabels: fewer than 50 labels, fewer prompts than folds, or a level with fewer prompts
            than folds.
        OneSidedLabels: all labels are the same.
    """
    loaded = labelled.load(folder)
    for note in loaded.notes:
        if OUTSIDE_SCALE in note:
            raise DataError(
                note.removeprefix("left out, "),
                path=labelled.data,
                hint="correct them, or say with `scale: [lowest, highest]` what they are on",
            )
    pools = {labelled.name: [Candidate(labelled, item) for item in loaded.items]}
    groups = components(pools)
    items: list[Item] = []
    asked: list[tuple[Encoded, ...]] = []
    left_out: Counter[str] = Counter()
    for item, group in zip(loaded.items, groups, strict=True):
        try:
            asked.append(_asked(item, labelled, coder))
        except Unusable as exc:
            left_out[str(exc)] += 1
        else:
            items.append(replace(item, cluster=content_hash(group)))
    notes = (*loaded.notes, *(f"left out, {why}: {n}" for why, n in left_out.items()))
    _check(items, folds, labelled, notes)
    levels = [(item.part, level_of(item)[0]) for item in items]
    fold = folds_of([item.cluster for item in items], levels, folds, seed=seed)
    return TuningLabels(labelled, tuple(items), tuple(fold), tuple(asked), notes)


def _orders(item: Item) -> tuple[bool, ...]:
    return (False, True) if item.is_pair else (False,)


def _asked(item: Item, labelled: LabelledSet, coder: Coder) -> tuple[Encoded, ...]:
    format = make_format(FORMAT["format"])
    asked = []
    for swapped in _orders(item):
        example = example_of(item, format, labelled, explained=False, swapped=swapped)
        encoded = coder.example(example)
        if len(encoded) > MAX_TOKENS:
            raise Unusable(f"longer than {MAX_TOKENS} tokens")
        if encoded.score is None or not encoded.score.label_ids:
            raise Unusable("a rubric with a level of more than one token")
        asked.append(encoded)
    return tuple(asked)


def _check(items: Sequence[Item], folds: int, labelled: LabelledSet, notes: Sequence[str]) -> None:
    counted = [item for item in items if not (item.is_pair and item.gold == 0.5)]
    if len(counted) < FEWEST:
        ties = " with a winner" if labelled.kind == "pairs" else ""
        hint = "; ".join(notes) or "judge some more texts; `glider plan-labels` says how many"
        raise TooFewLabels(len(counted), FEWEST, f"labels{ties}", hint=hint)
    prompts = {item.cluster for item in counted}
    if len(prompts) < folds:
        raise TooFewLabels(
            len(prompts),
            folds,
            f"prompts, which are to be cut into {folds} folds",
            hint="labels of more prompts, or fewer --folds",
        )
    if labelled.kind == "pairs":
        return  # Each pair is trained and asked in both orders.
    prompts_of: dict[float, set[str]] = {}
    for item in counted:
        settled = item.on_gold_scale(item.criterion.rubric.scores[level_of(item)[0]])
        prompts_of.setdefault(settled, set()).add(item.cluster)
    if len(prompts_of) == 1:
        raise OneSidedLabels(next(iter(prompts_of)), len(counted))
    # A class absent from a fold's training data cannot be learned; graded labels need two levels.
    common = sorted(prompts_of, key=lambda level: -len(prompts_of[level]))
    for level in common if labelled.kind == "classes" else common[:2]:
        if len(prompts_of[level]) < folds:
            raise TooFewLabels(
                len(prompts_of[level]),
                folds,
                f"prompts with the label {level:g}, which is to be in each of {folds} folds",
                hint="more labels of that level, or fewer --folds",
            )


def folds_of(
    groups: Sequence[str], levels: Sequence[Hashable], n: int, *, seed: int = 0
) -> list[int]:
    """Assign whole groups to n folds of similar size and level counts; one fold number per item.

    Groups are placed largest first, each in the fold that keeps the folds most similar. Base rates
    are therefore similar across folds; otherwise differences in base rate would look like a gain or
    a loss.
    """
    of_group: dict[str, Counter[Hashable]] = {}
    for group, level in zip(groups, levels, strict=True):
        of_group.setdefault(group, Counter())[level] += 1
    total = Counter(levels)
    names = sorted(of_group)
    Random(f"{seed}:folds").shuffle(names)
    names.sort(key=lambda name: -of_group[name].total())
    have: list[Counter[Hashable]] = [Counter() for _ in range(n)]
    place: dict[str, int] = {}

    def cost(fold: int, own: Counter[Hashable]) -> float:
        size = own.total() * (own.total() + 2 * have[fold].total()) / len(levels)
        return size + sum(
            k * (k + 2 * have[fold][level]) / total[level] for level, k in own.items()
        )

    for name in names:
        place[name] = min(range(n), key=lambda fold: (cost(fold, of_group[name]), fold))
        have[place[name]] += of_group[name]
    return [place[group] for group in groups]
