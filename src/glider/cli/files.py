"""A whole file through a judge into a run folder, with progress: what `judge` and `demo` share."""

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from glider.cli import options
from glider.cli.settings import JudgeSettings
from glider.cli.show import RunProgress, flush, print_line, say
from glider.cli.sinks import Sink, as_json
from glider.core.criteria import Criterion
from glider.core.errors import GliderError, SetupError
from glider.core.judgments import Comparison, Failure, Judgment

if TYPE_CHECKING:
    from glider.data.columns import Columns
    from glider.data.rows import BadRow, Row


@dataclass(frozen=True, kw_only=True)
class Source:
    """Where the rows come from and how they are read."""

    path: str
    """A file, a dataset folder, or "-"."""
    encoding: str = "utf-8"
    maps: tuple[str, ...] = ()
    judged: tuple[str, ...] = ()
    preset: str | None = None
    limit: int | None = None
    seed: int | None = None
    """Draws the rows of `limit` at random."""
    both_orders: bool = True

    def recorded(self) -> dict[str, Any]:
        """What decides which questions are asked, for the manifest."""
        settings = json.loads(json.dumps(asdict(self)))
        del settings["path"]
        return dict(settings)


def opened(source: Source) -> "tuple[Columns, Iterator[Row | BadRow]]":
    """The columns to read and all rows from the start.

    Raises:
        DataError: no row can be read, and nothing else says what to judge.
        SetupError: no preset fits and nothing says what to judge.
    """
    from glider.data.columns import columns_for, parse_maps
    from glider.data.rows import BadRow, open_rows, peeked

    first, rows = peeked(open_rows(source.path, encoding=source.encoding))
    try:
        columns = columns_for(
            first.data if first else (),
            preset=source.preset,
            maps=parse_maps(source.maps),
            judged=source.judged,
        )
    except SetupError:
        if first is None and isinstance(row := next(rows, None), BadRow):
            raise row.error from None
        raise
    return columns, rows


def judge_file(
    settings: JudgeSettings,
    source: Source,
    criteria: Sequence[Criterion],
    folder: Path,
    *,
    resume: bool = False,
    retry_failures: bool = False,
    out: Path | None = None,
    json_lines: bool = False,
) -> dict[str, Any]:
    """Judge every row into `folder`; each new outcome is printed, or all are written to `out`.

    Returns:
        The run's summary, as written beside its journal.
    """
    from glider.batch.run import Plan, execute
    from glider.data.rows import content_hash_of, sampled
    from glider.report.summary import summarise
    from glider.store.manifest import Manifest
    from glider.store.run import RunFolder, outcomes, write_summary

    columns, rows = opened(source)
    from_stdin = source.path == "-"
    with Sink(out) if out else nullcontext() as sink, settings.open() as judge:
        manifest = Manifest.of(
            run_id=folder.name,
            judge=judge.id,
            settings=settings.recorded() | {"source": source.recorded()},
            criteria={c.name: c.content_id for c in criteria} or {"(record)": ""},
            input_path=source.path,
            input_sha256=None if from_stdin else content_hash_of(source.path),
        )
        run = (
            RunFolder.resume(folder, manifest, retry_failures=retry_failures)
            if resume
            else RunFolder.create(folder, manifest, criteria)
        )
        if resume:
            # It tells of before; a run that is stopped now must not pass for finished.
            (folder / "summary.json").unlink(missing_ok=True)
            say("resuming", f"{folder}: {run.n_done} outcomes are there already")
        plan = Plan(
            rows=sampled(rows, source.limit, source.seed),
            columns=columns,
            criteria=criteria,
            both_orders=source.both_orders,
        )
        before, started = run.n_done, time.monotonic()
        expected = source.limit * len(criteria) - before if source.limit and criteria else None
        progress = RunProgress(expected)

        def seen(row: int, outcome: Judgment | Failure | Comparison) -> None:
            progress.add(outcome)
            if sink is not None:
                sink.write(row, outcome)
            elif json_lines:
                print(as_json(row, outcome))
            else:
                print_line(outcome)

        with run:
            if sink is not None:
                for row, outcome in outcomes(folder):
                    sink.write(row, outcome)
            try:
                execute(judge, plan, run, seen)
            except (KeyboardInterrupt, GliderError):
                progress.close()
                say("[yellow]stopped[/];", f"{run.n_done} outcomes are kept. To go on:")
                say("", "  " + options.resume_line(folder, "--run"))
                raise
            finally:
                progress.close()
                flush()
            summary = summarise(folder)
            summary["session"] = _session(run.n_done - before, time.monotonic() - started)
            summary["finished"] = True
            write_summary(folder, summary)
    return summary


def _session(n: int, seconds: float) -> dict[str, Any]:
    figures: dict[str, Any] = {
        "outcomes": n,
        "seconds": round(seconds, 2),
        "per_minute": round(60 * n / seconds, 1) if seconds else None,
    }
    peak = _peak_memory_mb()
    if peak is not None:
        figures["peak_memory_mb"] = peak
    return figures


def _peak_memory_mb() -> int | None:
    """Most memory this process ever held, where the system tells it of this process alone."""
    # getrusage will not do: a child starts with its parent's peak.
    try:
        status = Path("/proc/self/status").read_text()
    except OSError:
        return None
    peak = next(line for line in status.splitlines() if line.startswith("VmHWM"))
    return round(int(peak.split()[1]) / 1024)


def asked_criteria(names: Sequence[str]) -> list[Criterion]:
    """The criteria behind `--criterion`; none for `record`, where each row brings its own.

    Raises:
        SetupError: none is named, or one twice.
    """
    from glider.data.library import load_criteria

    if not names:
        raise SetupError(
            "no criterion given", hint="--criterion NAME; `glider criteria` lists the shipped ones"
        )
    if list(names) == ["record"]:
        return []
    found = [criterion for name in names for criterion in load_criteria(name)]
    repeated = {c.name for c in found if sum(o.name == c.name for o in found) > 1}
    if repeated:
        raise SetupError(f"criterion given twice: {', '.join(sorted(repeated))}")
    return found
