"""Rate all patched sets: the effect of each on every category of development sets."""

from collections.abc import Collection, Mapping, Sequence

from glider.studies.tail_patching.effects import PatchEffect, effect
from glider.studies.tail_patching.measuring import Development, Scores
from glider.studies.tail_patching.settings import PatchSettings
from glider.studies.tail_patching.weights import PatchedSet, best_of, bundles_of, draws_of


def rated_sets(
    before: Scores,
    after: Mapping[str, Scores],
    dev: Development,
    families: Mapping[str, Sequence[str]],
    settings: PatchSettings,
    *,
    sizes: Mapping[str, tuple[int, int]],
) -> dict[str, PatchedSet]:
    """Compute effects, ratings and weights of the patched sets, best first.

    Args:
        after: scores of the development examples after each patch, by training set.
        families: development sets of each category.
        sizes: number of examples and of updates, by training set.
    """

    def changed(name: str, sets: Collection[str]) -> PatchEffect:
        return effect(before, after[name], dev, sets, settings.metric, seed=settings.seed)

    own: dict[str, PatchEffect | None] = {}
    effects: dict[str, dict[str, PatchEffect]] = {}
    measured = {name for sets in families.values() for name in sets}
    for name in after:
        own[name] = changed(name, [name]) if name in measured else None
        others = {family: [s for s in sets if s != name] for family, sets in families.items()}
        effects[name] = {family: changed(name, sets) for family, sets in others.items() if sets}
    boosted = {name for family in settings.boost for name in best_of(effects, family)}
    rated: dict[str, PatchedSet] = {}
    for name, (examples, updates) in sizes.items():
        ratings = {family: one.rating for family, one in effects[name].items()}
        bundles = bundles_of(ratings)
        rated[name] = PatchedSet(
            examples=examples,
            updates=updates,
            own=own[name],
            effects=effects[name],
            total=sum(ratings.values()),
            bundles=bundles,
            draws=draws_of(bundles, boosted=name in boosted),
        )

    def best_first(name: str) -> tuple[float, float, str]:
        values = [one.value or 0.0 for one in effects[name].values()]
        return -rated[name].total, -sum(values) / max(1, len(values)), name

    return {name: rated[name] for name in sorted(rated, key=best_first)}
