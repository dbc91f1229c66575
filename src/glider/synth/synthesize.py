"""Make data for judges: what `glider synth` does, as functions."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path
from tempfile import TemporaryDirectory

from glider.core.errors import RecipeError
from glider.judging.settings import Progress
from glider.store.folder import refuse_begun
from glider.store.journal import read_journal
from glider.synth.draw import Drawer
from glider.synth.making import Made, make_records
from glider.synth.plan import Plan, parse_plan
from glider.synth.records import CallRecord, SynthRecord
from glider.synth.settings import SynthSettings, TeacherSettings


@dataclass(frozen=True, slots=True)
class Preview:
    """A few records, made for a look."""

    records: list[SynthRecord]
    made: Made


def synthesize(
    plan: Plan | Path,
    folder: Path,
    teacher: TeacherSettings,
    settings: SynthSettings | None = None,
    *,
    resume: bool = False,
    progress: Callable[[int, int, int], None] = lambda _ended, _kept, _size: None,
    fetching: Progress | None = None,
) -> Made:
    """Draw records, have texts and judgments written, and read each text blind.

    Args:
        plan: what is drawn; of a file, paths in it are relative to its folder.
        folder: where calls, records and the funnel are kept.
        resume: continue what is in the folder; nothing that was answered is asked again, and a
            budget counts what was paid before.
        progress: called with records ended, records kept and records asked for.
        fetching: called with how far the fetching of a model is.

    Raises:
        RecipeError: the plan has an unknown key or name, or nothing to draw.
        DataError: a file that the plan names cannot be read.
        RunError, ManifestMismatch: the folder is not empty, in use, or of another plan.
        BackendError: an engine takes none of the requests.
    """
    settings = settings or SynthSettings()
    drawer = open_plan(plan, seed=settings.seed)
    if not resume:
        refuse_begun(folder)
    elif teacher.max_cost is not None:
        teacher = replace(teacher, max_cost=max(0.0, teacher.max_cost - _spent(folder)))
    with teacher.open(fetching) as (backend, verifiers):
        return make_records(
            drawer,
            size=settings.size,
            folder=folder,
            teacher=backend,
            verifiers=verifiers,
            licence=teacher.licence,
            resume=resume,
            progress=progress,
        )


def _spent(folder: Path) -> float:
    """What the answers in a folder cost."""
    calls = read_journal(folder / "calls.jsonl", CallRecord)
    return sum(call.usage.cost or 0.0 for call in calls)


def preview_synthesis(
    plan: Plan | Path,
    teacher: TeacherSettings,
    settings: SynthSettings | None = None,
    *,
    fetching: Progress | None = None,
) -> Preview:
    """Make a few records of a plan, three if the settings say nothing, and keep no folder."""
    settings = settings or SynthSettings(size=3)
    with TemporaryDirectory() as there:
        folder = Path(there) / "preview"
        made = synthesize(plan, folder, teacher, settings, fetching=fetching)
        return Preview(sorted(records_in(folder), key=lambda record: record.number), made)


def records_in(folder: Path) -> "list[SynthRecord]":
    """Every record of a synthesis that has ended, in the order in which they ended.

    Raises:
        DataError: a line is damaged.
    """
    return list(read_journal(folder / "records.jsonl", SynthRecord))


def open_plan(plan: Plan | Path, *, seed: int | None = None) -> Drawer:
    """A plan, ready to be drawn from.

    Raises:
        RecipeError: not there, no YAML, an unknown key or name, nothing to draw.
        DataError: a file that the plan names cannot be read.
    """
    folder = Path()
    if isinstance(plan, Path):
        try:
            text = plan.read_text("utf-8")
        except (OSError, UnicodeDecodeError) as exc:
            why = exc.strerror if isinstance(exc, OSError) else "it is not UTF-8"
            raise RecipeError(
                f"{plan} cannot be read: {why}", hint="`glider synth --init > plan.yaml` makes one"
            ) from exc
        folder, plan = plan.parent, parse_plan(text, str(plan))
    if seed is not None:
        plan = plan.model_copy(update={"seed": seed})
    return Drawer(plan, folder=folder)


def commented_plan() -> str:
    """A plan with every key at its default, and what each means."""
    return files("glider.synth").joinpath("plan.yaml").read_text("utf-8")
