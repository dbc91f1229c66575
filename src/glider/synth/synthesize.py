"""Make data for judges: the functions behind `glider synth`."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path
from tempfile import TemporaryDirectory

from glider.core.errors import RecipeError
from glider.judging.settings import Progress
from glider.scale.settings import ClusterSettings
from glider.store.folder import refuse_begun
from glider.store.journal import read_journal
from glider.synth.curation import Curation, curate
from glider.synth.drawer import Drawer
from glider.synth.funnel import Funnel
from glider.synth.making import Made, make_records
from glider.synth.plan import Plan, at_line, parse_plan
from glider.synth.records import READINGS, CallRecord, SynthRecord, later_readings
from glider.synth.settings import CurationSettings, SynthSettings, TeacherSettings


@dataclass(frozen=True, slots=True)
class Preview:
    """A few records, made as a preview."""

    records: list[SynthRecord]
    made: Made


def synthesize(
    plan: Plan | Path,
    folder: Path,
    teacher: TeacherSettings,
    settings: SynthSettings | None = None,
    *,
    curation: CurationSettings | None = None,
    processes: ClusterSettings | None = None,
    resume: bool = False,
    progress: Callable[[int, int, int], None] = lambda _ended, _kept, _size: None,
    notify: Callable[[str], None] = lambda _text: None,
    fetching: Progress | None = None,
) -> Made:
    """Draw records, have texts and judgments written, and read each text blind.

    Args:
        plan: what to draw; relative paths in a plan file are relative to its folder.
        folder: where calls, records and the funnel are stored.
        curation: which kept records the funnel leaves out again; none by default. Nothing is
            deleted.
        processes: run each model in several processes.
        resume: continue the run in the folder; answered calls are not repeated, and the
            budget includes earlier spending.
        progress: called with the numbers of ended, kept and requested records.
        notify: receives a line on what the records were compared with, or on the processes.
        fetching: called with the progress of a model download.

    Raises:
        SetupError: the settings contradict each other.
        RecipeError: the plan has an unknown key or name, or nothing to draw.
        DataError: a file that the plan names cannot be read.
        RunError, ManifestMismatch: the folder is not empty, in use, or belongs to another plan.
        BackendError: an engine rejects every request.
    """
    settings = settings or SynthSettings()
    if curation is not None:
        curation.check()
    drawer = open_plan(plan, seed=settings.seed)
    if not resume:
        refuse_begun(folder)
    elif teacher.max_cost is not None:
        teacher = replace(teacher, max_cost=max(0.0, teacher.max_cost - _spent(folder)))
    where = processes or ClusterSettings()
    with (
        where.opener(teacher, notify) as opener,
        teacher.open(fetching, opener) as (backend, writers, verifiers),
    ):
        made = make_records(
            drawer,
            size=settings.size,
            folder=folder,
            teacher=backend,
            writers=writers,
            verifiers=verifiers,
            licence=teacher.licence,
            resume=resume,
            progress=progress,
        )
    if curation is None and not (folder / READINGS).exists():
        return made
    left_out = Curation() if curation is None else curate(folder, curation, notify=notify)
    funnel = funnel_of(folder, left_out)
    funnel.write(folder)
    return replace(made, funnel=funnel)


def funnel_of(folder: Path, curation: Curation) -> Funnel:
    """Return the funnel of a synthesis, what is left out of it included.

    Raises:
        DataError: a line is damaged.
    """
    records = read_journal(folder / "records.jsonl", SynthRecord)
    return Funnel.of(records, curation, later_readings(folder))


def _spent(folder: Path) -> float:
    """Return the cost of the answers in a folder."""
    calls = read_journal(folder / "calls.jsonl", CallRecord)
    return sum(call.usage.cost or 0.0 for call in calls)


def preview_synthesis(
    plan: Plan | Path,
    teacher: TeacherSettings,
    settings: SynthSettings | None = None,
    *,
    fetching: Progress | None = None,
) -> Preview:
    """Make a few records of a plan, three by default, without keeping a folder."""
    settings = settings or SynthSettings(size=3)
    with TemporaryDirectory() as there:
        folder = Path(there) / "preview"
        made = synthesize(plan, folder, teacher, settings, fetching=fetching)
        return Preview(sorted(records_in(folder), key=lambda record: record.number), made)


def records_in(folder: Path) -> "list[SynthRecord]":
    """Return every ended record of a synthesis, in the order they ended.

    Raises:
        DataError: a line is damaged.
    """
    return list(read_journal(folder / "records.jsonl", SynthRecord))


def open_plan(plan: Plan | Path, *, seed: int | None = None) -> Drawer:
    """Load a plan for drawing.

    Raises:
        RecipeError: the file is missing or invalid, has an unknown key or name, or nothing to draw.
        DataError: a file that the plan names cannot be read.
    """
    folder, file, text = Path(), "", ""
    if isinstance(plan, Path):
        try:
            text = plan.read_text("utf-8")
        except (OSError, UnicodeDecodeError) as exc:
            why = exc.strerror if isinstance(exc, OSError) else "it is not UTF-8"
            raise RecipeError(
                f"{plan} cannot be read: {why}", hint="`glider synth --init > plan.yaml` makes one"
            ) from exc
        folder, file, plan = plan.parent, str(plan), parse_plan(text, str(plan))
    if seed is not None:
        plan = plan.model_copy(update={"seed": seed})
    try:
        return Drawer(plan, folder=folder)
    except RecipeError as exc:
        if not file:
            raise
        raise RecipeError(f"{at_line(text, file, str(exc))}: {exc}", hint=exc.hint) from exc


def commented_plan() -> str:
    """Return a plan with every key at its default, and a comment on each."""
    return files("glider.synth").joinpath("plan.yaml").read_text("utf-8")
