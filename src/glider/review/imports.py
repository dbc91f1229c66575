"""Take in answers that were given elsewhere, or on another machine's copy of the run."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from glider.core.base import content_hash
from glider.core.errors import DataError, SetupError
from glider.core.judgments import Span
from glider.review.answers import (
    Answer,
    AnswerBook,
    Person,
    Stage,
    answer_files,
    answers_in,
    misfit,
)
from glider.review.begin import Review, begin, load_review
from glider.review.foreign import given_answers
from glider.review.items import ReviewItem
from glider.review.plan import FOLDER, Question, load_plan, questions_of, save_plan
from glider.review.settings import ReviewSettings
from glider.store.manifest import NO_JUDGE
from glider.store.run import load_manifest


def import_answers(run: Path, file: Path) -> tuple[int, int, tuple[str, ...]]:
    """Import answers given elsewhere: a CSV of `export_answers`, Label Studio, or a checklist.

    A checklist is JSONL with `item`, `person` and `verdicts` (question to answer), as
    `glider synth export` writes it with blanks; lines without a verdict are skipped. This starts
    a review if there is none. Importing a file again adds nothing. A row of a CSV needs the item
    (`item`, or `sample_id` and, with several criteria, `criterion`), the person,
    and a score or the better output.

    Returns:
        Answers imported, answers already present, and what was left out.

    Raises:
        DataError: the file cannot be read, or none of it fits the run.
        RunError: the review is being served, or it cannot be written.
    """
    given = list(given_answers(file))
    review = _review_for(run, given)
    find = _finder(review)
    taken = known = 0
    left: Counter[str] = Counter()
    with AnswerBook(run, review.plan.everybody) as book:
        for row in given:
            item = find(row)
            answer = (
                _answer(row, item, questions_of(review.plan.questions, of_two=item.of_two))
                if item is not None
                else "no such item in the run"
            )
            if isinstance(answer, str):
                left[answer] += 1
            elif _is_known(book.people[answer.person], answer):
                known += 1
            elif book.add(answer):
                taken += 1
            else:
                known += 1
    if not taken and not known:
        raise DataError(f"no answer fits the run: {', '.join(left) or 'there are none'}",
                        path=str(file))  # fmt: skip
    return taken, known, tuple(f"{n} left out: {why}" for why, n in left.most_common())


def merge_answers(run: Path, other: Path) -> tuple[int, tuple[str, ...]]:
    """Merge the answers of the same review from another machine's copy of the run.

    Returns:
        Answers merged; and conflicts: visits that one person answered differently on both. Both
        answers are kept, and the one with the later timestamp counts.

    Raises:
        SetupError: `other` is a different review.
        RunError, DataError: one of the two cannot be read, or this one is being served.
    """
    here, there = load_review(run).plan, load_review(other).plan
    if (here.salt, here.mode) != (there.salt, there.mode):
        raise SetupError(f"{other} has another review: its plan was drawn apart",
                         hint="begin the review once, then copy the run folder")  # fmt: skip
    theirs = {name: list(answers_in(path)) for name, path in answer_files(other).items()}
    people = tuple(dict.fromkeys((*here.people, *there.people)))
    settlers = dict.fromkeys((*here.adjudicators, *there.adjudicators))
    joined = {"people": people, "adjudicators": tuple(n for n in settlers if n not in people)}
    if joined != here.model_dump(include={*joined}):
        save_plan(run, here.model_copy(update=joined))
    taken, conflicts = 0, []
    with AnswerBook(run, sorted({*people, *settlers, *theirs})) as book:
        for name, answers in theirs.items():
            mine = book.people[name]
            shared = {answer.id for answer in answers}
            stood = {key: a for key, a in mine.current.items() if a.id not in shared}
            for answer in answers:
                taken += book.add(answer)
            for key, before in stood.items():
                now = mine.current[key]
                if now.id != before.id:
                    conflicts.append(f"{name}, {before.visit}, {before.stage}")
                    if before.at > now.at:  # the last one written counts
                        again = content_hash([before.id, now.id])
                        book.add(before.model_copy(update={"id": again}))
    return taken, tuple(conflicts)


def _review_for(run: Path, given: list[dict[str, Any]]) -> Review:
    people = sorted({row["person"] for row in given if row.get("stage") != "adjudicated"})
    settlers = sorted({row["person"] for row in given} - {*people})
    if not people and not settlers:
        raise DataError("it names no person", path=str(run))
    if not (run / FOLDER / "manifest.json").exists():
        mode: str | None = "compare" if any("preferred" in row for row in given) else "label"
        if any("questions" in row for row in given):
            mode = "synth"
        elif load_manifest(run).judge == NO_JUDGE:
            mode = None
        named = ReviewSettings(annotators=tuple(people), adjudicators=tuple(settlers), mode=mode)
        return begin(run, named)
    plan = load_plan(run)
    return begin(
        run,
        ReviewSettings(
            annotators=tuple(
                dict.fromkeys((*plan.people, *(n for n in people if n not in plan.adjudicators)))
            ),
            adjudicators=tuple(
                dict.fromkeys((*plan.adjudicators, *(n for n in settlers if n not in plan.people)))
            ),
        ),
    )


def _finder(review: Review) -> Callable[[Mapping[str, Any]], ReviewItem | None]:
    by_sample: dict[tuple[str, str], ReviewItem | None] = {}
    for item in review.items.values():
        for key in ((item.sample.id, item.criterion.name), (item.sample.id, "")):
            by_sample[key] = None if key in by_sample else item  # several: none is meant

    def find(row: Mapping[str, Any]) -> ReviewItem | None:
        if row.get("item"):
            return review.items.get(str(row["item"]))
        name = str(row.get("sample_id", row.get("id", "")))
        return by_sample.get((name, str(row.get("criterion") or "")))

    return find


def _answer(
    row: Mapping[str, Any], item: ReviewItem, questions: Sequence[Question]
) -> Answer | str:
    """Return an answer, or the reason why there is none."""
    said: dict[str, Any] = {}
    if "questions" in row:
        choices = {question.key: question.choices for question in questions}
        for key, word in row["questions"].items():
            if key not in choices:
                return f"a question that this review does not ask: {key}"
            if word not in choices[key]:
                return f"{word!r}, which is none of {', '.join(choices[key])}"
        said["questions"] = row["questions"]
    elif item.is_pair:
        preferred = row.get("preferred")
        if preferred is None:
            return "names no output"
        said["preferred"] = "" if preferred == "neither" else preferred
    else:
        try:
            score = float(row["score"])
        except (KeyError, ValueError, TypeError):
            return "no score"
        if not score.is_integer():
            return "a score that the rubric does not have"
        said["score"] = int(score)
    spans = _placed(row.get("spans") or (), item)
    if isinstance(spans, str):
        return spans
    said |= {"spans": spans, "note": str(row.get("note", ""))}
    stage: Stage = "adjudicated" if row.get("stage") == "adjudicated" else "blind"
    plain = [item.id, row["person"], {**said, "spans": [s.model_dump() for s in spans]}]
    if stage == "adjudicated":
        plain.append(stage)
    try:
        answer = Answer(
            id="import-" + content_hash(plain), person=row["person"], visit=item.id, item=item.id,
            content=item.content, stage=stage, at=str(row.get("at") or ""),
            seconds=float(row.get("seconds") or 0), **said,
        )  # fmt: skip
    except (ValidationError, ValueError):
        return "what is no answer"
    return misfit(answer, item) or answer


def _placed(given: Iterable[tuple[Any, ...]], item: ReviewItem) -> tuple[Span, ...] | str:
    """Return the spans; a quote without a place, or with a wrong one, is looked for in its text.

    Or return why there is none.
    """
    judged = {field.name: field.text for field in item.sample.judged}
    found = []
    for field, start, end, *quoted in given:
        name = field or next(iter(judged))
        text, quote = judged.get(name, ""), quoted[0] if quoted else None
        if quote is not None and (start is None or text[start:end] != quote):
            if not quote or text.count(quote) != 1:
                return "a quote that its text does not have once"
            start = text.index(quote)
            end = start + len(quote)
        found.append(Span(field=name, start=start, end=end))
    return tuple(found)


def _is_known(person: Person, answer: Answer) -> bool:
    keys = ("content", "score", "preferred", "spans", "note", "questions")
    before = person.current.get((answer.visit, answer.stage))
    return before is not None and all(getattr(before, k) == getattr(answer, k) for k in keys)
