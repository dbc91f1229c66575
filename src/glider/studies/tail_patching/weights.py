"""FLAMe's bundles and weights of the patched sets, as a table and as a mixture.

100,000 where the ratings sum to one per category or more, 30,000 for each category with +2, summed;
3,000 for all others; of a category that is to be boosted the two best sets get 200,000.
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
"""Sets of a boosted category."""


class PatchedSet(Frozen):
    """One training set: what it did, and its place in a mixture."""

    examples: int
    updates: int
    own: PatchEffect | None
    """On its own development part."""
    effects: dict[str, PatchEffect]
    """Category to effect, its own development part left out."""
    total: int
    """Sum of the ratings."""
    bundles: tuple[str, ...]
    draws: int
    """FLAMe's weight."""


def bundles_of(ratings: Mapping[str, int]) -> tuple[str, ...]:
    """What a set belongs to: `general`, one bundle for each category with +2, `others`."""
    found = [f"for {category}" for category, rating in ratings.items() if rating == 2]
    if ratings and sum(ratings.values()) >= len(ratings):
        found.insert(0, "general")
    return tuple(found) or ("others",)


def draws_of(bundles: Collection[str], *, boosted: bool = False) -> int:
    """FLAMe's weight: summed over bundles, or that of a boosted category's best."""
    if boosted:
        return _BOOSTED
    if "others" in bundles:
        return _OTHERS
    return _GENERAL * ("general" in bundles) + _SPECIFIC * sum(b != "general" for b in bundles)


def best_of(effects: Mapping[str, Mapping[str, PatchEffect]], category: str) -> list[str]:
    """The sets that helped a category most, at most two."""
    helped = {
        name: of[category].value or 0.0
        for name, of in effects.items()
        if category in of and of[category].rating > 0
    }
    return sorted(helped, key=lambda name: (-helped[name], name))[:_BEST]


class TailPatch(Frozen):
    """The whole table."""

    version: int = 1
    checkpoint: str
    metric: str
    steps: int
    categories: dict[str, tuple[str, ...]]
    """Category to its development sets."""
    left_out: dict[str, str]
    boosted: tuple[str, ...]
    sets: dict[str, PatchedSet]
    """Best first."""


def table(found: TailPatch) -> str:
    """The result as Markdown."""
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
    """The settings of the data with new weights, as `glider data` reads them.

    A set's share is in proportion to its weight there times what it has, and what was drawn of it
    was by its old weight; so the old one is multiplied by FLAMe's over what was drawn. On average
    weights stay what they were, as do those of sets that were not patched.

    Args:
        sets: all sets of the data. A person's own are named as files, to be found beside this one.
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
