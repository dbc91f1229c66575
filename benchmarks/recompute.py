"""Do committed results come out the same to the last digit? Every one that needs no model, anew.

    python benchmarks/recompute.py --data FOLDER
    python benchmarks/recompute.py --data FOLDER --only trust/results published

From the data and what is in results/ alone. Of the surveys in results/trust the runs' texts are not
here, so a judge's answers are not: what is made anew are the figures of every simple rule and of
people, on the very items that are named there, and the tests' corrected p-values. `published` and
`guarantees` run their own scripts into a temporary folder. Audits rest on a judge's answers
throughout and are not made anew.

Prints each number that differs, old and new. A survey that was made on another processor differs
in the last digits of sums (1e-15), and in vectors of 32 bits (1e-8): such are counted apart. Ends
with 1 where anything else differs.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from common import HERE, with_data

from glider.bench.baselines import BASELINES
from glider.bench.benchmark import FigureSettings
from glider.bench.ceiling import SYSTEM as PEOPLE
from glider.bench.ceiling import human
from glider.bench.highlights import FIRST_SENTENCE, RANDOM
from glider.bench.results import Figure, Results
from glider.bench.scored import Scored, item_id
from glider.bench.table import ALL, measure
from glider.gold.items import Item
from glider.gold.sets import LabelledSet, load_set
from glider.stats.estimates import Undefined
from glider.stats.multiplicity import holm

SURVEYS = ("results", "english", "pairs", "highlights", "orders", "ways", "reasons")
SCRIPTS = ("published", "guarantees")
_WHEN_AND_WHERE = ("facts", "settings", "table", "seconds")
_ROUNDING = 1e-7
"""Relative difference below which another processor may be the reason."""


def main() -> None:
    made = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    with_data(made)
    names = [*(f"trust/{name}" for name in SURVEYS), *SCRIPTS]
    made.add_argument("--only", nargs="*", choices=names, default=names)
    args = made.parse_args()
    n_differ = 0
    for name in args.only:
        old = json.loads((HERE / "results" / f"{name}.json").read_text("utf-8"))
        if name in SCRIPTS:
            new = of_script(name, args.data)
            places = {path: value for path, value in leaves(old) if not _is_when(path)}
            again = {path: value for path, value in leaves(new) if not _is_when(path)}
        else:
            places, again = survey(Results.model_validate(old), args.data)
        n_differ += tell(name, places, again)
    sys.exit(n_differ > 0)


def tell(name: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> int:
    """Print what differs; how many do."""
    shared = [place for place in old if place in new]
    lost = [place for place in old if place not in new]
    unequal = [place for place in shared if old[place] != new[place]]
    differ = [place for place in unequal if not nearly(old[place], new[place])]
    for place in differ:
        print(f"{name}: {place}: {old[place]!r} before, {new[place]!r} now")
    for place in (*lost, *(place for place in new if place not in old)):
        print(f"{name}: {place}: only {'before' if place in old else 'now'}")
    strange = len(old) + len(new) - 2 * len(shared)
    rounded = len(unequal) - len(differ)
    told = f"{rounded:,} differ by rounding, {len(differ):,} more, {strange:,} are on one side only"
    print(f"{name}: {len(shared):,} values compared, {told}", flush=True)
    return len(differ) + strange


def nearly(old: Any, new: Any) -> bool:
    """Two numbers that differ by rounding alone."""
    if not isinstance(old, float) or not isinstance(new, float):
        return False
    return abs(old - new) <= _ROUNDING * max(1.0, abs(old))


def leaves(data: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every value of plain data with its place."""
    if isinstance(data, dict):
        for key, value in data.items():
            yield from leaves(value, f"{path}.{key}" if path else key)
    elif isinstance(data, list):
        for number, value in enumerate(data):
            yield from leaves(value, f"{path}[{number}]")
    else:
        yield path, data


def _is_when(path: str) -> bool:
    return path.split(".")[0].split("[")[0] in _WHEN_AND_WHERE


def of_script(name: str, data: Path) -> Any:
    """What a script writes now."""
    with tempfile.TemporaryDirectory() as out:
        command = [sys.executable, str(HERE / f"{name}.py"), "--data", str(data), "--out", out]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        return json.loads((Path(out) / f"{name}.json").read_text("utf-8"))


# ---- surveys: everything that needs no judge's answers


def survey(results: Results, data: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Figures by place, as they are in the results and made anew."""
    drawn: dict[str, list[Item]] = {}
    sets: dict[str, LabelledSet] = {}
    for name, ids in results.samples.items():
        labelled = load_set(name)
        metrics = results.settings["benchmarks"][name]["metrics"]
        sets[name] = labelled.model_copy(update={"metrics": tuple(metrics)})
        found = {item_id(item): item for item in labelled.load(data).items}
        drawn[name] = [found[one] for one in ids if one in found]
        if len(drawn[name]) < len(ids):
            print(f"{name}: {len(ids) - len(drawn[name])} of its items are not in the data")
    kinds = {name: about["kind"] for name, about in results.settings["systems"].items()}
    scored: list[Scored] = []
    for name, items in drawn.items():
        there = {f.system for f in results.figures if f.benchmark == name}
        for rule in BASELINES.names():
            if rule in there:
                scored.append(Scored.of(name, rule, items, BASELINES.get(rule).scores(items)))
        ceiling = human(name, items, sets[name].kind)
        if PEOPLE in there and not isinstance(ceiling, Undefined):
            scored.append(ceiling)
    known = ("seed", "n_resamples", "n_permutations")
    made = measure(
        scored,
        sets,
        kinds=kinds,
        settings=FigureSettings(**{key: results.settings[key] for key in known}),
    )
    again = {(*_place(f), f.part): f for f in made.figures}
    old: dict[str, Any] = {}
    new: dict[str, Any] = {}
    for figure in results.figures:
        key = (*_place(figure), figure.part)
        if kinds.get(figure.system) == "judge" or (figure.benchmark == ALL and key not in again):
            continue  # its answers are not here, or an aggregate over groups that a judge defines
        if figure.system in (RANDOM, FIRST_SENTENCE):
            continue  # stand-ins for a judge's own quotes
        place = " / ".join(filter(None, key))
        old |= {f"{place}.{k}": v for k, v in _numbers(figure).items()}
        if key in again:
            new |= {f"{place}.{k}": v for k, v in _numbers(again[key]).items()}
    tested = [d for d in results.differences if d.p is not None]
    for difference, adjusted in zip(tested, holm([d.p or 0.0 for d in tested]), strict=True):
        place = f"{difference.benchmark} / {difference.a} - {difference.b} / {difference.metric}"
        old[f"{place}.p_adjusted"] = difference.p_adjusted
        new[f"{place}.p_adjusted"] = float(adjusted)
    return old, new


def _place(figure: Figure) -> tuple[str, str, str, str, str]:
    return figure.benchmark, figure.system, figure.metric, figure.protocol, figure.by


def _numbers(figure: Figure) -> dict[str, Any]:
    kept = ("value", "low", "high", "n", "asked", "judged", "method", "undefined")
    return {key: getattr(figure, key) for key in kept}


if __name__ == "__main__":
    main()
