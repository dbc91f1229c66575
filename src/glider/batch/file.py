"""`glider judge FILE` as a function: judge a whole file into a run folder."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from glider.batch.run import JudgingPlan, OnOutcome, execute
from glider.core.criteria import Criterion
from glider.core.errors import SetupError
from glider.core.judgments import Comparison, Failure, Judgment
from glider.data.library import criteria_asked
from glider.data.rows import content_hash_of, sampled
from glider.data.settings import RowSettings
from glider.data.table import OWN_CRITERION, open_table
from glider.judging.judge import Judge
from glider.judging.settings import JudgeSettings, Progress
from glider.report.summary import summarise
from glider.scale.cluster import Cluster
from glider.scale.settings import SharedRunSettings
from glider.store.atomic import refuse_address
from glider.store.folder import claim_folder
from glider.store.manifest import Manifest
from glider.store.run import RunFolder, outcomes, write_summary

OnStart = Callable[[RunFolder, int | None], None]


@dataclass(frozen=True)
class JudgedFile:
    """A judged file: its run folder and figures."""

    run: Path
    """Folder of the run."""
    summary: Mapping[str, Any]
    """The content of `summary.json`."""

    @property
    def asked(self) -> int:
        """Number of outcomes: one per row and criterion, or per pair."""
        return int(self.summary["asked"])

    @property
    def failed(self) -> int:
        """Number of failures."""
        return int(self.summary["failed"])

    def outcomes(self) -> Iterator[tuple[int, Judgment | Failure | Comparison]]:
        """(row, outcome) pairs, in the order they were made; rows count from 0."""
        return iter(outcomes(self.run))


def judge_file(
    data: str | Path,
    criteria: str | Criterion | Sequence[str | Criterion],
    run: str | Path | None = None,
    *,
    settings: JudgeSettings | None = None,
    rows: RowSettings | None = None,
    cluster: SharedRunSettings | None = None,
    both_orders: bool = True,
    resume: bool = False,
    retry_failures: bool = False,
    name: str | None = None,
    on_start: OnStart | None = None,
    on_outcome: OnOutcome | None = None,
    progress: Progress | None = None,
    notify: Callable[[str], None] | None = None,
) -> JudgedFile:
    """Judge every row of a file into a run folder; a killed run can be resumed.

    Args:
        data: a JSONL, JSON, CSV, Parquet or Arrow file, a dataset folder, or "-" for JSON Lines on
            standard input.
        criteria: names of shipped criteria, YAML files, or criteria; "record" alone: each row has
            its own.
        run: the folder to create; `runs/NAME-TIME` if not given.
        settings: the judge.
        rows: which rows, and how their columns are named.
        cluster: judge in several processes, each with its own shard of the run.
        both_orders: compare pairs in both orders.
        resume: resume the run in `run`.
        retry_failures: with `resume`, retry failures that may succeed.
        name: NAME in the default folder; by default the file's name.
        on_start: called once with the open run and the number of outcomes to come, if known.
        on_outcome: called with the row and each new outcome once it is on disk.
        progress: called with the progress of a model download.
        notify: called with a sentence about unused columns, or about the processes of a cluster.

    Raises:
        SetupError: settings that contradict each other; no preset fits the columns.
        DataError: the file cannot be read.
        ManifestMismatch: `run` was made from other data or with other settings.
        RunError: `run` is not empty, in use, or cannot be written; finished judgments are kept.
        BackendError: the model cannot be used at all. An error on one row is a Failure.
    """
    settings, how = settings or JudgeSettings(), rows or RowSettings()
    cluster = cluster or SharedRunSettings()
    cluster.check()
    if resume and run is None:
        raise SetupError("resume needs the folder of the run to resume")
    if run is not None:
        refuse_address(Path(run))
    if retry_failures and not resume:
        raise SetupError("retry_failures goes with resume")
    data = str(data)
    asked = criteria_asked(criteria)
    table = open_table(data, how, () if asked else OWN_CRITERION)
    if notify is not None and table.unused:
        notify(table.unused)
    opened_judge: Judge | Cluster
    if cluster.on is None:
        opened_judge = settings.open(progress)
    else:
        opened_judge = cluster.open(settings, notify)
    with opened_judge as judge:
        folder = Path(run) if run is not None else claim_folder(f"runs/{name or _name(data)}-")
        manifest = Manifest.of(
            run_id=folder.name,
            judge=judge.id,
            settings=settings.recorded()
            | {"source": how.recorded() | {"both_orders": both_orders}},
            criteria={c.name: c.content_id for c in asked} or {"(record)": ""},
            input_path=data,
            input_sha256=None if data == "-" else content_hash_of(data),
        )
        opened = (
            RunFolder.resume(folder, manifest, retry_failures=retry_failures)
            if resume
            else RunFolder.create(folder, manifest, asked)
        )
        with opened:
            if resume:
                # It tells of before; a run that is stopped now must not pass for finished.
                (folder / "summary.json").unlink(missing_ok=True)
            before, started = opened.n_done, time.monotonic()
            if on_start is not None:
                to_come = how.limit * len(asked) - before if how.limit and asked else None
                on_start(opened, to_come)
            plan = JudgingPlan(
                rows=sampled(table.rows, how.limit, how.seed),
                columns=table.columns,
                criteria=asked,
                both_orders=both_orders,
            )
            execute(judge, plan, opened, on_outcome or _ignore)
            summary = summarise(folder)
            summary["session"] = _session(opened.n_done - before, time.monotonic() - started)
            summary["finished"] = True
            write_summary(folder, summary)
    return JudgedFile(folder, summary)


def _ignore(row: int, outcome: Judgment | Failure | Comparison) -> None:
    pass


def _name(data: str) -> str:
    return "stdin" if data == "-" else Path(data).name.split(".")[0]


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
