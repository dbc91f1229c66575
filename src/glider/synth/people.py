"""What people say of made data: kept texts as a run for `glider review`, and its verdicts.

`glider review` looks at runs of a judge. A synthesis becomes one in `RUN/people`: each kept text
with its right judgment, of which the teacher is the judge, and the rejected one beside it. The
review lies in that folder, so the people's answers stay with the synthesis, and every card and page
made afterwards counts them.
"""

import shutil
from contextlib import suppress
from pathlib import Path

from glider.core.errors import RunError
from glider.core.judgments import Judgment, Step
from glider.core.tasks import JudgeTask
from glider.review.answered import read_answered
from glider.review.answers import read_people
from glider.review.figures import review_report
from glider.review.items import REJECTED
from glider.review.plan import FOLDER as REVIEW
from glider.review.results import ReviewReport
from glider.review.words import figure_text
from glider.store.atomic import new_folder
from glider.store.journal import read_journal
from glider.store.manifest import Manifest, read_manifest
from glider.store.run import RunFolder
from glider.synth.records import SynthManifest, SynthRecord, Text, task_of

FOLDER = "people"


def reviewable(run: Path) -> Path:
    """Return the run that people look at: `RUN/people` of a synthesis, any other folder itself."""
    with suppress(RunError):
        read_manifest(run, SynthManifest, "synthesis")
        return people_run(run)
    return run


def people_run(run: Path) -> Path:
    """Write the kept texts of a synthesis as a run, unless a review of it has begun.

    A pair is one judgment of two outputs, whose score says which is better.

    Raises:
        RunError: `run` is not a synthesis, nothing was kept, or it cannot be written.
    """
    manifest = read_manifest(run, SynthManifest, "synthesis")
    folder = run / FOLDER
    if (folder / REVIEW).exists():
        return folder
    made = Manifest.of(
        run_id=manifest.run_id,
        judge=f"{manifest.teacher} (right judgments of made texts)",
        settings={},
        criteria={},
        input_path="records.jsonl",
        input_sha256=manifest.drawn_from,
    )
    shutil.rmtree(folder, ignore_errors=True)
    with new_folder(folder) as new:
        rows = 0
        with RunFolder.create(new, made, ()) as judged:
            for record in read_journal(run / "records.jsonl", SynthRecord):
                if not record.kept:
                    continue
                for text in record.texts:
                    task = task_of(record, text)
                    judged.record_sample(rows, task.sample, task.criterion)
                    judged.record(
                        rows,
                        Judgment(
                            task_id=task.id,
                            sample_id=task.sample.id,
                            criterion=task.criterion.name,
                            judge=manifest.teacher,
                            score=text.right.score,
                            normalized=task.criterion.rubric.normalize(text.right.score),
                            reasoning=text.right.reasoning,
                            highlights=text.right.highlights,
                            steps=_rejected(text, task),
                        ),
                    )
                    rows += 1
        if not rows:
            raise RunError(f"{run} has no kept text that people can look at")
    return folder


def _rejected(text: Text, task: JudgeTask) -> tuple[Step, ...]:
    judged = [field.name for field in task.sample.judged]
    said = (
        f"Better: {judged[text.wrong.score]}" if len(judged) == 2 else f"Score {text.wrong.score}"
    )
    quotes = "".join(f"\n“{mark.phrase}”" for mark in text.wrong.highlights)
    whole = f"{said}. {text.wrong.reasoning}{quotes}"
    return (Step(name=REJECTED, text=whole, score=float(text.wrong.score)),)


def said_by_people(run: Path) -> ReviewReport | None:
    """Return the figures of the review of a synthesis; None if nobody has answered.

    Raises:
        RunError, DataError: the review is damaged.
        MissingExtra: the figures need the `bench` extra.
    """
    folder = run / FOLDER
    if not any(person.answered for person in read_people(folder).values()):
        return None
    return review_report(read_answered(folder))


def who_looked(report: ReviewReport) -> str:
    """Return how many people looked at how much, as half a sentence."""
    n = len(report.people)
    return (
        f"{n} {'person' if n == 1 else 'people'} ({', '.join(report.people)}) gave "
        f"{report.answers} answers on {report.answered} of {report.drawn} texts"
    )


def verdict_lines(report: ReviewReport) -> list[str]:
    """Return one line for each question: the share of yes, with its interval."""
    return [
        f"{one.about} yes {figure_text(one.yes, percent=True)}, yes or partly "
        f"{figure_text(one.at_least_partly, percent=True)}; n={one.yes.n}"
        for one in report.verdicts
    ]
