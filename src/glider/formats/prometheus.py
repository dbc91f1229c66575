"""The published Prometheus 2 wire format (arXiv 2405.01535; docs/formats.md), byte for byte.

A checkpoint trained on this wording is prompted with exactly this wording, grammar mistakes and the
trailing space included. One judged text under a 1 to 5 rubric is *absolute* grading; two judged
texts under `core.criteria.pairwise` are *relative* grading, answered A or B. Every other rubric is
refused: mapping another scale onto 1 to 5 would invent scores. The format has no highlights.

Mistral's chat template has no system turn, so the system sentence opens the one user message.
"""

import re
from dataclasses import dataclass

from glider.core.criteria import pairwise
from glider.core.errors import MissingField, MissingPart, RubricError, ScoreOutsideRubric, TaskError
from glider.core.generation import Grammar, Labels, Message
from glider.core.tasks import JudgeTask
from glider.formats.base import Format, Prompt, Reading, legal_score, shown_texts
from glider.formats.grammar import one_of


@dataclass(frozen=True, slots=True, kw_only=True)
class _Mode:
    """The wording in which absolute and relative grading differ."""

    system: str
    given_reference: str
    steps: str
    instruction: str
    responses: tuple[str, ...]
    labels: tuple[str, ...]
    reference: str
    rubric: str
    answers: tuple[str, ...]
    before_answer: str


_ABSOLUTE = _Mode(
    system=(
        "You are a fair judge assistant tasked with providing clear, objective feedback based on "
        "specific criteria, ensuring each assessment reflects the absolute standards set for "
        "performance."
    ),
    given_reference="a reference answer that gets a score of 5, ",
    steps="""\
1. Write a detailed feedback that assess the quality of the response strictly based on the given score rubric, not evaluating in general.
2. After writing a feedback, write a score that is an integer between 1 and 5. You should refer to the score rubric.
3. The output format should look as follows: "(write a feedback for criteria) [RESULT] (an integer number between 1 and 5)"
4. Please do not generate any other opening, closing, and explanations.""",  # noqa: E501
    instruction="The instruction to evaluate",
    responses=("Response to evaluate",),
    labels=("response",),
    reference="Reference Answer (Score 5)",
    rubric="Score Rubrics",
    answers=("1", "2", "3", "4", "5"),
    before_answer="[RESULT] ",
)
_RELATIVE = _Mode(
    system=(
        "You are a fair judge assistant assigned to deliver insightful feedback that compares "
        "individual performances, highlighting how each stands relative to others within the same "
        "cohort."
    ),
    given_reference="a reference answer, ",
    steps="""\
1. Write a detailed feedback that assess the quality of two responses strictly based on the given score rubric, not evaluating in general.
2. After writing a feedback, choose a better response between Response A and Response B. You should refer to the score rubric.
3. The output format should look as follows: "(write a feedback for criteria) [RESULT] (A or B)"
4. Please do not generate any other opening, closing, and explanations.""",  # noqa: E501
    instruction="Instruction",
    responses=("Response A", "Response B"),
    labels=("Response A", "Response B"),
    reference="Reference Answer",
    rubric="Score Rubric",
    answers=("A", "B"),
    # " A" is one token for this model family, so here the space belongs to the answer.
    before_answer="[RESULT]",
)
_HEADINGS = "|".join(
    re.escape(heading)
    for mode in (_ABSOLUTE, _RELATIVE)
    for heading in (mode.instruction, *mode.responses, mode.reference, mode.rubric)
)
_LOOK_ALIKE = re.compile(
    rf"#(?=##\s*(?:Task Description|Feedback|{_HEADINGS}):)|\[(?=RESULT\])", re.IGNORECASE
)
_HARMLESS = {"#": "＃", "[": "⁅"}  # one code point replaces one, as in text.defuse
_FEEDBACK_CHARS = 2400


class PrometheusFormat(Format):
    """Feedback, then `[RESULT]` and a score or a letter."""

    name = "prometheus"

    def render(self, task: JudgeTask) -> Prompt:
        """The task as one user message.

        Raises:
            MissingField: the sample has only judged texts, or lacks a field named in the question.
            RubricError: the rubric is neither 1 to 5 nor the pairwise one.
            TaskError: the rubric does not match the number of judged texts.
        """
        _check(task)
        mode, sample = _mode(task), task.sample
        shown = self.shown(task)
        reference = sample.with_role("reference")
        told = [f for f in sample.fields if f.role != "judged" and f is not reference]
        if not told:
            raise MissingField(task.criterion.name, "input", [f.name for f in sample.fields])
        # The format has one instruction field; all other fields go into it, in tags.
        instruction = "\n\n".join(
            shown[f.name] if f.role == "input" else f"<{f.name}>\n{shown[f.name]}\n</{f.name}>"
            for f in told
        )
        labels = {field.name: field.name for field in sample.fields}
        labels |= {field.name: "the instruction" for field in told if field.role == "input"}
        labels |= dict(zip((f.name for f in sample.judged), mode.labels, strict=True))
        sections = {
            mode.instruction: instruction,
            **{h: shown[f.name] for h, f in zip(mode.responses, sample.judged, strict=True)},
        }
        if reference:
            labels[reference.name] = "reference answer"
            sections[mode.reference] = shown[reference.name]
        rubric = f"[{task.criterion.question_for(sample, labels)}]"
        if mode is _ABSOLUTE:
            levels = task.criterion.rubric.levels.items()
            rubric += "".join(f"\nScore {score}: {text}" for score, text in levels)
        sections[mode.rubric] = rubric
        content = (
            f"{mode.system}\n###Task Description:\nAn instruction (might include an Input inside "
            f"it), a response to evaluate, {mode.given_reference if reference else ''}and a score "
            f"rubric representing a evaluation criteria are given.\n{mode.steps}\n\n"
            + "\n\n".join(f"###{heading}:\n{text}" for heading, text in sections.items())
            + "\n\n###Feedback: "
        )
        return Prompt(
            messages=(Message("user", content),),
            grammar=self.grammar(task),
            labels=Labels(texts=mode.answers, after=mode.before_answer),
            max_tokens=1024,
        )

    def shown(self, task: JudgeTask) -> dict[str, str]:
        texts = shown_texts(task.sample, {f.name: f.name for f in task.sample.fields})
        return {
            name: _LOOK_ALIKE.sub(lambda m: _HARMLESS[m[0]], text) for name, text in texts.items()
        }

    def grammar(self, task: JudgeTask) -> Grammar:
        # One terminal: the lexer is greedy and does not backtrack to an earlier end of feedback.
        return Grammar(
            lark=(
                "start: ANSWER\n"
                f'ANSWER: FEEDBACK " [RESULT] " ({one_of(_mode(task).answers)})\n'
                f"FEEDBACK: /[^\\s\\[][^\\[]{{0,{_FEEDBACK_CHARS}}}[^\\s\\[]/\n"
            )
        )

    def read(self, text: str, task: JudgeTask) -> Reading:
        feedback, marker, written = text.rpartition("[RESULT]")
        if not marker:
            raise MissingPart("score", "no [RESULT] in it", raw_text=text)
        mode, rubric = _mode(task), task.criterion.rubric
        answer = written.strip()
        repaired: tuple[str, ...] = ()
        if mode is _ABSOLUTE:
            score, repaired = legal_score(answer, rubric, raw_text=text)
        elif answer in mode.answers:
            score = mode.answers.index(answer)
        elif answer:
            raise ScoreOutsideRubric(answer[:40], rubric.scores, raw_text=text)
        else:
            raise MissingPart("score", "nothing stands behind [RESULT]", raw_text=text)
        return Reading(score=score, reasoning=feedback.strip() or None, repaired=repaired)

    def target(self, reading: Reading, task: JudgeTask) -> str:
        answer = _mode(task).answers[task.criterion.rubric.scores.index(reading.score)]
        return f"{reading.reasoning or ''} [RESULT] {answer}"


def _mode(task: JudgeTask) -> _Mode:
    return _RELATIVE if len(task.sample.judged) == 2 else _ABSOLUTE


def _check(task: JudgeTask) -> None:
    criterion, judged = task.criterion, len(task.sample.judged)
    absolute = criterion.rubric.scores == (1, 2, 3, 4, 5)
    # Compare the wording: another 0/1 rubric may mean anything, and A is not its 0.
    if not absolute and criterion.rubric != pairwise(criterion).rubric:
        raise RubricError(
            f"criterion {criterion.name!r} has the scores "
            f"{', '.join(map(str, criterion.rubric.scores))}; Prometheus 2 knows 1 to 5 only, "
            "or two texts compared",
            hint="rewrite the rubric with five levels, or use another format",
        )
    if judged != (1 if absolute else 2):
        raise TaskError(
            f"Prometheus 2 judges one text from 1 to 5, or compares two; "
            f"criterion {criterion.name!r} meets {judged}",
            hint="core.criteria.pairwise turns a criterion into one that compares two texts",
        )
