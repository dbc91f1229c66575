"""`glider audit` as a function: probe a judge on a file of your own texts."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from glider.audit.probe import known_probes
from glider.audit.results import Audit
from glider.audit.run import Auditor
from glider.audit.subjects import subjects
from glider.batch.run import OnOutcome
from glider.core.criteria import Criterion
from glider.core.errors import DataError, SetupError
from glider.data.library import criteria_asked
from glider.data.rows import content_hash_of, sampled
from glider.data.settings import RowSettings
from glider.data.table import OWN_CRITERION, open_table
from glider.judging.settings import JudgeSettings, Progress
from glider.report.summary import summarise
from glider.scale.settings import ClusterSettings
from glider.store.atomic import refuse_address, write_whole
from glider.store.folder import claim_folder
from glider.store.manifest import Manifest
from glider.store.run import RunFolder, write_summary

LIMIT = 50
"""Number of rows drawn by default."""


@dataclass(frozen=True)
class AuditedFile:
    """An audit and its run folder."""

    run: Path
    audit: Audit

    def write(self, page: Path | None = None) -> Path:
        """Write `audit.json` into the run's folder and the page; the page's path.

        Args:
            page: `audit.html` in the run's folder if not given.

        Raises:
            RunError: they cannot be written.
        """
        from glider.audit.page import page as drawn

        target = page or self.run / "audit.html"
        write_whole(self.run / "audit.json", self.audit.model_dump_json(indent=1) + "\n")
        write_whole(target, drawn(self.audit))
        return target


def audit_file(
    data: str | Path,
    criteria: str | Criterion | Sequence[str | Criterion],
    run: str | Path | None = None,
    *,
    settings: JudgeSettings | None = None,
    rows: RowSettings | None = None,
    processes: ClusterSettings | None = None,
    probes: Sequence[str] = (),
    bounds: Mapping[str, float] | None = None,
    writers: str = "writers",
    own: Sequence[str] = (),
    resume: bool = False,
    retry_failures: bool = False,
    notify: Callable[[str], None] | None = None,
    on_start: Callable[[RunFolder, int, int], None] | None = None,
    on_outcome: OnOutcome | None = None,
    progress: Progress | None = None,
) -> AuditedFile:
    """Measure a judge's biases: position, length, names, injection, ...

    Args:
        data: a JSONL, JSON, CSV, Parquet or Arrow file, or a dataset folder.
        criteria: names of shipped criteria, YAML files, or criteria; "record" alone: each row has
            its own, with a human label.
        run: folder for the run; `runs/audit-TIME` if not given.
        settings: the judge.
        rows: which rows (default: 50 at random), and how their columns are named; its seed also
            draws the variants and the intervals.
        processes: run the judge's model in several processes.
        probes: names; all probes if none is given. See `glider.audit.probe.known_probes`.
        bounds: how far from an unbiased judge's value an interval may lie, by `PROBE` or
            `PROBE.NUMBER`; there are defaults.
        writers: column with the model that wrote an output, or a list for several.
        own: names of the judge's own model in that column; by default derived from the model.
        resume: resume the run in `run`.
        retry_failures: with `resume`, retry failures that may succeed.
        notify: called with a sentence about unused columns, or about the processes.
        on_start: called with the open run, the number of planned judgments, and of texts.
        on_outcome: called with the row and each new outcome once it is on disk.
        progress: called with the progress of a model download.

    Raises:
        UnknownName: no such probe, or a bound for a figure that this audit does not have.
        SetupError: settings that contradict each other.
        DataError: no row holds a sample.
        RunError: `run` is not empty, in use, or cannot be written; finished judgments are kept.
        BackendError: the model cannot be used at all.
    """
    settings, data = settings or JudgeSettings(), str(data)
    rows = rows or RowSettings(limit=LIMIT, seed=0)
    if settings.explain is None and "highlights" in probes:
        settings = replace(settings, explain=True)
    probes = list(probes) or known_probes()
    if resume and run is None:
        raise SetupError("resume needs the folder of the run to resume")
    if run is not None:
        refuse_address(Path(run))
    if data == "-":
        raise SetupError("an audit reads a file, not standard input, so that it can be resumed")
    if "swap" in settings.strategies:
        raise SetupError(
            "the strategy swap refuses single texts, and an audit chooses the orders itself",
            hint="leave out swap; the probe `position` measures the effect it would average out",
        )
    own = list(own) or [name for m in settings.models for name in (m, m.partition("/")[2])]
    asked = criteria_asked(criteria)
    table = open_table(data, rows, (*OWN_CRITERION, writers))
    if notify is not None and table.unused:
        notify(table.unused)
    chosen = sampled(table.rows, rows.limit, rows.seed)
    found, unreadable = subjects(chosen, table.columns, asked, writers=writers, own=own)
    name = Path(data).name
    if not found:
        raise DataError("no row holds a sample to audit", path=name)
    auditor = Auditor(found, probes, seed=rows.seed or 0)
    recorded = {"probes": list(probes), "writers": writers, "own": own}
    where = processes or ClusterSettings()
    with where.opener(settings, notify) as opener, settings.open(progress, opener) as judge:
        folder = Path(run) if run is not None else claim_folder("runs/audit-")
        manifest = Manifest.of(
            run_id=folder.name,
            judge=judge.id,
            settings=settings.recorded() | {"source": rows.recorded(), "audit": recorded},
            criteria={c.name: c.content_id for c in asked} or {"(record)": ""},
            input_path=name,
            input_sha256=content_hash_of(data),
        )
        opened = (
            RunFolder.resume(folder, manifest, retry_failures=retry_failures)
            if resume
            else RunFolder.create(folder, manifest, asked)
        )
        with opened:
            if on_start is not None:
                on_start(opened, auditor.planned, len(found))
            auditor.judge(judge, opened, on_outcome or _ignore)
        write_summary(folder, summarise(folder) | {"finished": True})
        report = auditor.report(
            judge=judge.id,
            data=name,
            settings={"seed": rows.seed, "limit": rows.limit, "samples": settings.samples},
            bounds=bounds or {},
            unreadable=unreadable,
        )
    return AuditedFile(folder, report)


def _ignore(row: int, outcome: object) -> None:
    pass
