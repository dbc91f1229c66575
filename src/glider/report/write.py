"""Recompute a run's figures and write its page: what `glider report` does."""

from pathlib import Path

from glider.report.html import build_report
from glider.report.summary import stored_summary, summarise
from glider.store.run import load_manifest, write_summary
from glider.store.targets import check_target, run_files


def write_report(run: str | Path, out: str | Path | None = None) -> Path:
    """Write a run as one self-contained HTML page, and recompute its `summary.json`.

    Facts known only to the run itself (its speed, whether it finished) are kept.

    Args:
        run: folder of the run.
        out: the page; `report.html` in the run's folder if not given.

    Returns:
        The page.

    Raises:
        SetupError: `out` is a file that makes the run.
        RunError: there is no run, or the page cannot be written.
        DataError: a line of the run is damaged.
    """
    run = Path(run)
    page = Path(out) if out is not None else run / "report.html"
    check_target(page, reads=run_files(run))
    load_manifest(run)
    before = stored_summary(run)
    kept = {key: before[key] for key in ("session", "finished") if key in before}
    write_summary(run, summarise(run) | {"finished": False} | kept)
    build_report(run, page)
    return page
