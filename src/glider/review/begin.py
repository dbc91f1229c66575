"""Start or resume a review: turn settings and a run into a plan and its items."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast, get_args

from pydantic import ValidationError

from glider.core.base import first_problem
from glider.core.errors import DataError, SetupError, UnknownName
from glider.data import yaml_files
from glider.review.items import ReviewItem, draw, run_items
from glider.review.plan import (
    FOLDER,
    REJECTED_QUESTIONS,
    SYNTH_QUESTIONS,
    Mode,
    Question,
    ReviewPlan,
    check_people,
    check_plan,
    load_plan,
    new_plan,
    save_plan,
)
from glider.review.settings import ReviewSettings, share_of
from glider.store.manifest import NO_JUDGE
from glider.store.run import load_manifest

_STRATA = ("score", "criterion", "doubt", "worth")


@dataclass(frozen=True)
class Review:
    """A plan and its items."""

    run: Path
    plan: ReviewPlan
    items: dict[str, ReviewItem]
    rows: dict[str, int]
    notes: tuple[str, ...] = ()

    @property
    def changed(self) -> list[str]:
        """Items whose text, question or rubric has changed since they were drawn."""
        return [
            drawn.id
            for drawn in self.plan.items
            if drawn.id in self.items and self.items[drawn.id].content != drawn.content
        ]


def load_review(run: Path) -> Review:
    """Load an existing review.

    Raises:
        RunError: there is none, or it is damaged.
        DataError: the run is damaged.
    """
    load_manifest(run)
    plan = load_plan(run)
    wanted = {drawn.id for drawn in plan.items}
    found = {item.id: (row, item) for row, item in run_items(run) if item.id in wanted}
    review = Review(
        run,
        plan,
        {key: item for key, (_, item) in found.items()},
        {key: row for key, (row, _) in found.items()},
    )
    notes = []
    if lost := len(wanted) - len(found):
        notes.append(f"{lost} of {len(wanted)} items are no longer in the run; they are not shown")
    if review.changed:
        notes.append(
            f"{len(review.changed)} of {len(wanted)} items have another text, question or rubric "
            "than when they were drawn; answers given before are kept and not counted"
        )
    return Review(run, plan, review.items, review.rows, tuple(notes))


def begin(run: Path, settings: ReviewSettings) -> Review:
    """Draw items and write the plan; or open the existing plan, with its current people.

    Raises:
        SetupError: the settings do not fit the run or the existing review.
        RunError: `run` is not a run, or cannot be written.
        DataError: the run has nothing to review.
    """
    if (run / FOLDER / "manifest.json").exists():
        return _go_on(run, settings)
    manifest = load_manifest(run)
    if not settings.annotators:
        check_people(())
    if settings.by not in (None, *_STRATA):
        raise UnknownName("stratum", str(settings.by), list(_STRATA))
    items = _wanted(run, settings)
    if manifest.judge == NO_JUDGE:
        settings = _without_judge(settings)
    mode = _mode(settings, items)
    pairs = mode == "compare" or all(item.is_pair for _, item in items)
    kind = "comparisons" if pairs else "judgments"
    items = [(row, item) for row, item in items if item.is_pair is pairs]
    if not items:
        raise DataError(f"the run has no {kind} to look at", path=str(run))
    if pairs and mode in ("verify", "synth"):
        raise SetupError(f"the run has only pairs, and --mode {mode} is of single texts",
                         hint="--mode compare")  # fmt: skip
    questions = _questions(settings.form) if settings.form else ()
    if mode == "form" and not questions:
        raise SetupError("--mode form asks only your own questions", hint="--form FORM.yaml")
    if mode == "synth":
        rejected = any(item.rejected for _, item in items)
        questions = (*SYNTH_QUESTIONS, *(REJECTED_QUESTIONS if rejected else ()), *questions)
    plan = new_plan(
        manifest.run_id,
        draw(items, settings.sample, by=settings.by or "", seed=settings.seed or 0),
        settings.annotators,
        mode=mode,
        adjudicators=settings.adjudicators,
        apart=settings.apart or 1,
        marks_below=settings.marks_below or None,
        each=settings.each,
        queue=settings.queue,
        repeat=_repeat(settings.repeat),
        holdout=share_of(settings.holdout or 0),
        questions=questions,
    )
    save_plan(run, plan)
    drawn = {one.id for one in plan.items}
    return Review(
        run,
        plan,
        {item.id: item for _, item in items if item.id in drawn},
        {item.id: row for row, item in items if item.id in drawn},
    )


def _without_judge(settings: ReviewSettings) -> ReviewSettings:
    if settings.mode in ("verify", "compare", "synth"):
        raise SetupError(
            f"--mode {settings.mode} shows a judge's answer, and this run has no judge",
            hint="--mode label; `glider judge` makes a run with a judge",
        )
    if settings.by not in (None, "criterion") or settings.holdout:
        what = "--holdout" if settings.holdout else f"--by {settings.by}"
        raise SetupError(f"{what} needs a judge's answers, and this run has no judge")
    form = settings.mode is None and settings.form is not None
    return replace(settings, mode="form" if form else settings.mode or "label")


def _repeat(written: str | None) -> float:
    share = share_of(written or 0)
    if share > 0.5:
        raise SetupError(f"at most half of the items can come twice, not {written}")
    return share


def _wanted(run: Path, settings: ReviewSettings) -> list[tuple[int, ReviewItem]]:
    items = list(run_items(run))
    if not items:
        raise DataError("the run has no judgment to look at", path=str(run))
    if settings.criterion is None:
        return items
    names = sorted({item.criterion.name for _, item in items})
    if settings.criterion not in names:
        raise UnknownName("criterion in this run", settings.criterion, names)
    return [(row, item) for row, item in items if item.criterion.name == settings.criterion]


def _mode(settings: ReviewSettings, items: Sequence[tuple[int, ReviewItem]]) -> Mode:
    if settings.mode is None:
        if settings.form is not None:
            return "form"
        return "compare" if all(item.is_pair for _, item in items) else "verify"
    if settings.mode not in get_args(Mode):
        raise UnknownName("mode", settings.mode, list(get_args(Mode)))
    return cast(Mode, settings.mode)


def _questions(path: Path) -> tuple[Question, ...]:
    data = yaml_files.mapping(yaml_files.read_text(path), str(path))
    written: Any = data.pop("questions", None)
    if data or not isinstance(written, list) or not written:
        raise SetupError(
            f"{path}: a form has one key, `questions`, a list",
            hint="""questions: [{key: clear, text: "Is it clear?", choices: ["yes", "no"]}]""",
        )
    found = []
    for number, one in enumerate(written, start=1):
        try:
            found.append(Question.model_validate(one))
        except ValidationError as exc:
            raise SetupError(
                f"{path}: question {number}: {first_problem(exc)}",
                hint="YAML reads yes and no as true and false: put them in quotes",
            ) from exc
    keys = [question.key for question in found]
    if len(set(keys)) < len(keys):
        raise SetupError(f"{path}: two questions have the same key")
    return tuple(found)


def _go_on(run: Path, settings: ReviewSettings) -> Review:
    review = load_review(run)
    plan = review.plan
    asked = {
        "mode": settings.mode,
        "each": settings.each,
        "queue": settings.queue or None,
        "repeat": share_of(settings.repeat) if settings.repeat else None,
        "holdout": share_of(settings.holdout) if settings.holdout else None,
        "sample": settings.sample,
    }
    before = {**plan.model_dump(include={*asked}), "sample": len(plan.items)}
    for name, value in asked.items():
        if value is not None and value != before[name]:
            raise SetupError(
                f"this review was begun with {name} {before[name]}, not {value}",
                hint=f"leave --{name} out to go on with it, or move {run / FOLDER} away to begin "
                "another",
            )
    if settings.form is not None and _questions(settings.form) != tuple(
        question
        for question in plan.questions
        if question not in (*SYNTH_QUESTIONS, *REJECTED_QUESTIONS)
    ):
        raise SetupError(f"this review was begun with other questions than {settings.form} has",
                         hint=f"move {run / FOLDER} away to begin another")  # fmt: skip
    people = settings.annotators or plan.people
    adjudicators = settings.adjudicators or plan.adjudicators
    changed = plan.model_copy(
        update={
            "people": people,
            "adjudicators": adjudicators,
            "apart": settings.apart or plan.apart,
            "marks_below": plan.marks_below
            if settings.marks_below is None
            else settings.marks_below or None,
        }
    )
    if changed == plan:
        return review
    check_people(changed.everybody)
    check_plan(changed)
    if plan.each is not None and plan.each > len(people):
        raise SetupError(f"each item goes to {plan.each} people, and {len(people)} are named")
    save_plan(run, changed)
    gone = [name for name in plan.everybody if name not in changed.everybody]
    new = [name for name in changed.everybody if name not in plan.everybody]
    told = [f"new: {', '.join(new)}"] if new else []
    if gone:
        told.append(f"no longer asked: {', '.join(gone)}; what they answered is kept and counts")
    return Review(run, changed, review.items, review.rows, (*review.notes, *told))
