"""Figures of checks over the `results.json` of `glider bench`.

`pearson:summeval >= 0.3` is the benchmark's figure over all its parts under the protocol `strict`;
`pearson:summeval/coherence` is one part. If a file has several systems, the caller names one.
"""

from pathlib import Path

from pydantic import ValidationError

from glider.bench.results import Figure, Results, estimate_of
from glider.core.base import first_problem
from glider.core.errors import DataError, SetupError, UnknownName
from glider.gate.checks import Check, CheckFigure
from glider.gate.outcomes import count
from glider.stats.clustered import clustered_share

_COUNTED = ("coverage", "failed")


class ResultsFigures:
    """Figures of one system of a bench."""

    def __init__(self, path: Path, system: str | None = None) -> None:
        """Read the file.

        Raises:
            DataError: it is not a results file.
            SetupError: no such system.
        """
        self.name = path.resolve().parent.name if path.stem == "results" else path.stem
        try:
            results = Results.model_validate_json(path.read_bytes())
        except OSError as exc:
            raise DataError(f"cannot be read: {exc.strerror}", path=str(path)) from exc
        except ValidationError as exc:
            said = f"no results of a bench: {first_problem(exc).what}"
            raise DataError(said, path=str(path)) from exc
        systems = sorted({figure.system for figure in results.figures})
        if system is not None and system not in systems:
            raise UnknownName("system", system, systems)
        self._system = system
        self._figures = [f for f in results.figures if f.protocol == "strict"]

    def measure(self, check: Check) -> CheckFigure:
        """Return the figure of a check.

        Raises:
            SetupError: no such figure, or several.
        """
        if check.op == "no worse than":
            raise SetupError(
                f"{check.text!r}: a bench's results have no scores of single samples to pair",
                hint="the bench's own table of differences compares its systems",
            )
        benchmark, _, part = check.of.partition("/")
        found = [f for f in self._figures if self._system in (None, f.system)]
        found = _named("benchmark", benchmark, found)
        found = [f for f in found if f.part == part]
        metrics = {f.metric for f in found}
        if check.metric in _COUNTED and check.metric not in metrics:
            # Every figure of a system has the counts of items asked and judged.
            figure = _one(list({f.system: f for f in found}.values()), check)
            failed = figure.asked - figure.judged
            if check.metric == "failed":
                return CheckFigure(figure=count(failed, figure.asked))
            each = range(figure.asked)  # results do not say which items share a cluster
            judged = [n < figure.judged for n in each]
            return CheckFigure(figure=clustered_share(judged, each, skipped=failed))
        if found and check.metric not in metrics:
            raise UnknownName("metric of this bench", check.metric, sorted(metrics | {*_COUNTED}))
        found = [f for f in found if f.metric == check.metric]
        return CheckFigure(figure=estimate_of(_one(found, check)))


def _named(kind: str, name: str, figures: list[Figure]) -> list[Figure]:
    names = sorted({f.benchmark for f in figures})
    if name and name not in names:
        raise UnknownName(kind, name, names)
    if not name and len(names) > 1:
        raise SetupError(f"which {kind} is meant?", hint=f"METRIC:NAME, one of {', '.join(names)}")
    return [f for f in figures if f.benchmark == (name or names[0])]


def _one(figures: list[Figure], check: Check) -> Figure:
    if not figures:
        raise SetupError(f"{check.text!r}: there is no such part in these results")
    systems = sorted({f.system for f in figures})
    if len(systems) > 1:
        raise SetupError(
            f"{check.text!r}: which system is meant?",
            hint=f"--system, one of {', '.join(map(repr, systems))}",
        )
    return figures[0]
