"""`glider gate` as a function: check a run's or bench's figures by their whole interval."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from glider.core.errors import RunError, SetupError
from glider.gate.checks import Check, CheckedFigure, parse_check, parse_checks
from glider.gate.results import ResultsFigures
from glider.gate.runs import RunFigures


@dataclass(frozen=True, slots=True)
class GateAnswer:
    """The answers to all checks."""

    name: str
    """Name of the run or the bench."""
    answers: tuple[CheckedFigure, ...]

    def passes(self, *, lenient: bool = False) -> bool:
        """Whether every check holds by its whole interval; `lenient`: none is broken.

        An undefined figure never passes.
        """
        return all(answer.passes(lenient=lenient) for answer in self.answers)


def gate_run(
    path: str | Path,
    checks: Sequence[str | Check],
    *,
    baseline: str | Path | None = None,
    cluster: str | None = None,
    system: str | None = None,
) -> GateAnswer:
    """Check figures against bounds by their whole interval.

    Args:
        path: folder of a finished run, or `results.json` of a bench (or its folder).
        checks: such as `mean_score:tone >= 3.5`; see `glider.gate.checks`.
        baseline: run over the same samples, for checks with `no worse than`.
        cluster: for a run: field or column shared by rows that are not independent; their input
            and context if not given; `none`: all are independent.
        system: for a bench with several systems: the one to check.

    Raises:
        SetupError: a check cannot be read, or asks for something that does not exist.
        RunError: `path` is neither a run nor a bench, or the run is incomplete.
        DataError: the results of the bench cannot be read.
    """
    asked = [parse_check(c) if isinstance(c, str) else c for c in checks] or parse_checks(())
    figures = _figures(Path(path), None if baseline is None else Path(baseline), cluster, system)
    answers = [CheckedFigure(check=check, measured=figures.measure(check)) for check in asked]
    return GateAnswer(figures.name, tuple(answers))


def _figures(
    path: Path, baseline: Path | None, cluster: str | None, system: str | None
) -> RunFigures | ResultsFigures:
    if (path / "manifest.json").exists():
        if system is not None:
            raise SetupError("--system is for the results of a bench; a run has one judge")
        return RunFigures(path, baseline, cluster=cluster)
    if baseline is not None:
        raise SetupError("--baseline compares two runs", hint="give run folders, not results.json")
    if cluster is not None:
        raise SetupError("--cluster is for a run; a bench has the clusters of its sets")
    file = path / "results.json" if path.is_dir() else path
    if not file.exists():
        raise RunError(f"{path} is neither a run nor the results of a bench")
    return ResultsFigures(file, system)
