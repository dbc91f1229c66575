"""FLAMe's bundles and weights of the patched sets, as a table and as a data mixture.

A set weighs 100,000 if its ratings sum to at least one per category, plus 30,000 for each category
rated +2; all other sets weigh 3,000. The two best sets of a boosted category weigh 200,000.
"""

import json
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

from glider.core.base import Frozen
from glider.corpus.data_card import record_file
from glider.studies.tail_patching.effects import PatchEffect

_GENERAL, _SPECIFIC, _OTHERS, _BOOSTED = 100_000, 30_000, 3_000, 200_000
_BEST = 2
"""Number of sets with extra weight in a boosted category."""


class PatchedSet(Frozen):
    """One training set: its effects and its weight in a mixture."""

    examples: int
    updates: int
    own: PatchEffect | None
    """Effect on the set's own development split."""
    effects: dict[str, PatchEffect]
    """Effects by category, excluding the set's own development split."""
    total: int
    """Sum of the ratings."""
    bundles: tuple[str, ...]
    draws: int
    """FLAMe's weight."""


def bundles_of(ratings: Mapping[str, int]) -> tuple[str, ...]:
    """Return a set's bundles: `general`, one per category rated +2, or `others`."""
    found = [f"for {category}" for category, rating in ratings.items() if rating == 2]
    if ratings and sum(ratings.values()) >= len(ratings):
        found.insert(0, "general")
    return tuple(found) or ("others",)


def draws_of(bundles: Collection[str], *, boosted: bool = False) -> int:
    """Return FLAMe's weight: the sum over bundles, or that of a boosted category's best sets."""
    if boosted:
        return _BOOSTED
    if "others" in bundles:
        return _OTHERS
    return _GENERAL * ("general" in bundles) + _SPECIFIC * sum(b != "general" for b in bundles)


def best_of(effects: Mapping[str, Mapping[str, PatchEffect]], category: str) -> list[str]:
    """Return the sets that helped a category most, at most two."""
    helped = {
        name: of[category].value or 0.0
        for name, of in effects.items()
        if category in of and of[category].rating > 0
    }
    return sorted(helped, key=lambda name: (-helped[name], name))[:_BEST]


class TailPatch(Frozen):
    """The complete results of a tail-patch."""

    version: int = 1
    checkpoint: str
    metric: str
    steps: int
    categories: dict[str, tuple[str, ...]]
    """Development sets by category."""
    left_out: dict[str, str]
    boosted: tuple[str, ...]
    sets: dict[str, PatchedSet]
    """Best first."""


def table(found: TailPatch) -> str:
    """Render the results as Markdown."""
    families = list(found.categories)
    lines = [
        "# Tail-patch",
        "",
        f"`{found.checkpoint}`, trained up to {found.steps} updates more on each set alone. "
        f"Differences of {found.metric}{' (sign turned)' if found.metric == 'loss' else ''}, "
        "paired, with 95 % intervals over clusters; above 0 is better. In brackets the rating.",
        "",
        "| set | examples | updates | own development part | "
        + " | ".join(families)
        + " | total | bundles | weight |",
        "|---|--:|--:|--:|" + "--:|" * len(families) + "--:|---|--:|",
    ]
    for name, one in found.sets.items():
        cells = [
            f"{one.effects[family]} ({one.effects[family].rating:+d})"
            if family in one.effects
            else ""
            for family in families
        ]
        own = str(one.own) if one.own else ""
        row = [name, one.examples, one.updates, own, *cells]
        lines.append(
            "| " + " | ".join(map(str, [*row, one.total, ", ".join(one.bundles), one.draws])) + " |"
        )
    lines += ["", "| category | development sets |", "|---|---|"]
    lines += [f"| {family} | {', '.join(sets)} |" for family, sets in found.categories.items()]
    if found.left_out:
        lines += ["", "| left out | why |", "|---|---|"]
        lines += [f"| {name} | {why} |" for name, why in found.left_out.items()]
    return "\n".join(lines) + "\n"


def mixture(found: TailPatch, data: Path, sets: Iterable[str]) -> str:
    """Return the data settings with new weights, as `glider data` reads them.

    A set's share is proportional to its weight times its size, and the current sample was drawn
    with its old weight. The new weight is therefore the old one times FLAMe's weight over the
    number drawn, scaled so that the factors average 1. Sets that were not patched keep their
    weight.

    Args:
        sets: all sets of the data. User-supplied sets are given as file names relative to this
            file.
    """
    import yaml

    from glider.corpus.mixture import Mixture

    try:
        made: dict[str, Any] = json.loads(record_file(data).read_text("utf-8"))
        settings = {k: v for k, v in made["settings"].items() if k in Mixture.model_fields}
    except (OSError, ValueError, KeyError):
        made, settings = {}, {}
    shares: dict[str, dict[str, Any]] = {name: {} for name in sets} | settings.get("sets", {})
    rates = {name: one.draws / one.examples for name, one in found.sets.items()}
    mean = sum(rates.values()) / max(1, len(rates))
    for name, rate in rates.items():
        weight = shares[name].get("weight", 1.0) * rate / mean
        shares[name] = {**shares[name], "weight": float(f"{weight:.3g}")}
    own = made.get("own", {})
    settings["sets"] = {own.get(name, name): share for name, share in shares.items()}
    written: str = yaml.safe_dump(settings, sort_keys=False, allow_unicode=True)
    return written
