"""Write the model card of an export or tuning from the files of its training run."""

import json
from collections.abc import Sequence
from pathlib import Path

from pydantic import ValidationError

from glider.bench.results import Difference, Figure, Results, estimate_of
from glider.bench.standing import Standings
from glider.bench.table import BY_LANGUAGE
from glider.core.errors import DataError
from glider.corpus.data_card import DataRecord
from glider.models.adapters import sha256
from glider.models.catalog import CATALOG, base_named, is_adapter
from glider.release.model_card import IN_LANGUAGE, CardFacts, CardFigure, hours, model_card
from glider.training.folder import curve, load_manifest

_MOST_ROWS = 40
_AGGREGATE = "aggregate: 0 random, 1 perfect"
"""Maximum number of figures listed one by one; a card with more shows means."""


def card_of(
    weights: Path,
    *,
    name: str,
    base: str,
    kind: str,
    run: Path | None,
    data: DataRecord | None = None,
    measured: Sequence[CardFigure] = (),
    check: str = "",
) -> str:
    """Return the card as Markdown.

    Args:
        base: name of the base model in the training; empty if unknown.
        kind: adapter, hf or gguf.
        run: folder of the training run, if known.
        data: record of the training data.
        measured: benchmark figures.
        check: result of the export's own check.
    """
    known = base_named(base)
    return model_card(
        CardFacts(
            name=name,
            # For a local folder, publish only the last part of its path.
            base=known or _plain_name(base) or "a model that is not named",
            base_licence=CATALOG[known].licence if known else None,
            kind=kind,
            manifest=load_manifest(run) if run else None,
            kept=json.loads((run / "result.json").read_text("utf-8")) if run else None,
            hours=hours(curve(run)) if run else None,
            data=data,
            measured=measured,
            check=check,
            sha256=sha256(weights) if is_adapter(weights) else "",
        )
    )


def _plain_name(name: str) -> str:
    return Path(name).name if Path(name).is_absolute() else name


def bench_results(path: Path) -> Results:
    """Read the results of `glider bench` from a file.

    Raises:
        DataError: the file is unreadable or does not hold bench results.
    """
    try:
        return Results.model_validate_json(path.read_bytes())
    except OSError as exc:
        raise DataError(f"cannot be read: {exc.strerror}", path=str(path)) from exc
    except ValidationError as exc:
        raise DataError("no results of `glider bench`", path=str(path)) from exc


def main_figures(results: Results) -> list[CardFigure]:
    """Return the main metric of each benchmark; if there are many, the means of all systems.

    The means come with the differences between the best judge and every other system. The best
    judge's figures by language are included in either case.
    """

    def mean(one: Figure | Difference, system: str, what: str) -> CardFigure:
        # Systems may skip benchmarks; the method starts with the number averaged over.
        over = one.method.partition(",")[0] or "mean"
        return CardFigure(over, system, what, estimate_of(one))

    standings = Standings(results)
    found = [
        CardFigure(one.benchmark, one.system, one.metric, estimate_of(one))
        for benchmark in standings.benchmarks
        for system in standings.systems
        if (one := standings.main(benchmark, system)) is not None
    ]
    means = [
        one for system in standings.systems if (one := standings.aggregate(system)) is not None
    ]
    spoken = [
        CardFigure(f"{IN_LANGUAGE}{one.part}", one.system, _AGGREGATE, estimate_of(one))
        for one in results.figures
        if one.metric == BY_LANGUAGE and one.system == standings.lead
    ]
    if len(found) <= _MOST_ROWS or not means:
        return [*found, *spoken]
    apart = [one for one in results.overall if not one.part and standings.lead in (one.a, one.b)]
    return [
        *(mean(one, one.system, _AGGREGATE) for one in means),
        *(mean(one, f"{one.a} less {one.b}", "difference of aggregates") for one in apart),
        *spoken,
    ]
