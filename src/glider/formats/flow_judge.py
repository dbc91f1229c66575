"""The published Flow-Judge 0.1 wire format (docs/formats.md), byte for byte.

A checkpoint trained on this wording is prompted with exactly this wording, in one user message. It
was trained on pass/fail (0, 1), 1 to 3 and 1 to 5 rubrics with one judged text; other rubrics are
passed on as written. The format has no highlights.
"""

import re

from glider.core.errors import MissingPart
from glider.core.generation import Grammar, Labels, Message
from glider.core.samples import Field
from glider.core.tasks import JudgeTask
from glider.formats.base import (
    Format,
    Prompt,
    Reading,
    distinct,
    inside,
    legal_score,
    shown_texts,
)
from glider.formats.grammar import one_of

# "criterion,decide" is in the text the model was trained on.
_TEMPLATE = """\
# GOAL
Your job is to evaluate a task carried out by an AI system powered by a large language model.

You will be provided {given} of the task, as well as the evaluation criteria and scoring rubric. Your task is to evaluate the output of the AI system based on the evaluation criteria and scoring rubric provided.

{inputs}# OUTPUT
Below is the output of the task:
<output>
{output}
</output>

# EVALUATION CRITERIA AND SCORING RUBRIC
Here are the evaluation criteria and the rubric that you need to use for evaluating the task:
<evaluation_criteria>
{criteria}
</evaluation_criteria>

<scoring_rubric>
{rubric}
</scoring_rubric>

# INSTRUCTIONS FOR THE EVALUATION
1. Understand the task and criteria: Familiarize yourself with the task to be evaluated. Review the evaluation criteria and scoring rubric to understand the different levels of performance and the descriptions for each score.
2. {review}
3. Compare output to score descriptions: Compare the output against the criteria and score descriptions in the scoring rubric. For each criterion,decide which description best matches the output.
4. After comparing the output to the score descriptions, pay attention to the small details that might impact the final score that you assign. Sometimes a small difference can dictate the final score.
5. Write verbal feedback justifying your evaluation that includes a detailed rationale, referring to specific aspects of the output and comparing them to the rubric.
6. Assign a final score based on the scoring rubric.

## FORMAT FOR THE EVALUATION
- Write the verbal feedback inside <feedback> tags without any additional surrounding text.
- Write the numeric score inside <score> tags, without any additional surrounding text and always after the feedback.

Please accurately evaluate the task. Strictly adhere to the evaluation criteria and rubric."""  # noqa: E501
_INPUTS = """\
# INPUT
Below are the inputs required for performing the task:
<inputs>
{fields}
</inputs>

"""
_WITH_INPUTS = {
    "given": "with the inputs and output",
    "review": (
        "Review the inputs and output: Look at the inputs provided for the task. "
        "Examine the output generated from completing the task."
    ),
}
_WITHOUT_INPUTS = {
    "given": "the output",
    "review": "Review the output: Examine the output generated from completing the task.",
}

_TAGS = {"input": "query", "reference": "reference_answer"}
_OWN_TAGS = ("inputs", "output", "evaluation_criteria", "scoring_rubric", "feedback", "score")
_FEEDBACK_CHARS = 2400


class FlowJudgeFormat(Format):
    """Feedback and score in tags."""

    name = "flow-judge"

    def render(self, task: JudgeTask) -> Prompt:
        sample, rubric = task.sample, task.criterion.rubric
        labels, shown = _labels(task), self.shown(task)

        def block(fields: list[Field]) -> str:
            return "\n".join(
                f"<{labels[f.name]}>\n{shown[f.name]}\n</{labels[f.name]}>" for f in fields
            )

        given = list(sample.told)
        replacements = {
            **(_WITH_INPUTS if given else _WITHOUT_INPUTS),
            "inputs": _INPUTS.replace("{fields}", block(given)) if given else "",
            "output": block(list(sample.judged)),
            "criteria": task.criterion.question_for(sample, labels),
            "rubric": "\n".join(f"- Score {s}: {text}" for s, text in rubric.levels.items()),
        }
        # One pass over the template, so that braces inside the user's texts are kept.
        content = re.sub(r"\{([a-z]+)\}", lambda m: replacements[m[1]], _TEMPLATE)
        return Prompt(
            messages=(Message("user", content),),
            grammar=self.grammar(task),
            labels=Labels(texts=tuple(map(str, rubric.scores)), after="<score>\n"),
            max_tokens=1000,
        )

    def shown(self, task: JudgeTask) -> dict[str, str]:
        return shown_texts(task.sample, _labels(task), taken=_OWN_TAGS)

    def grammar(self, task: JudgeTask) -> Grammar:
        score = one_of([str(s) for s in task.criterion.rubric.scores])
        # The lexer is greedy and does not backtrack, so the terminal includes its closing tag.
        return Grammar(
            lark=(
                f'start: "<feedback>\\n" FEEDBACK "\\n<score>\\n" ({score}) "\\n</score>"\n'
                f"FEEDBACK: /[^\\s<][^<]{{0,{_FEEDBACK_CHARS}}}\\n<\\/feedback>/\n"
            )
        )

    def read(self, text: str, task: JudgeTask) -> Reading:
        score = inside("score", text)
        if score is None:
            raise MissingPart("score", "no <score>...</score> in it", raw_text=text)
        legal, repaired = legal_score(score, task.criterion.rubric, raw_text=text)
        return Reading(
            score=legal,
            repaired=repaired,
            reasoning=(inside("feedback", text) or "").strip() or None,
        )

    def target(self, reading: Reading, task: JudgeTask) -> str:
        return (
            f"<feedback>\n{reading.reasoning or ''}\n</feedback>\n"
            f"<score>\n{reading.score}\n</score>"
        )


def _label(field: Field) -> str:
    if field.role == "judged" and field.name == "output":
        return "response"
    return _TAGS.get(field.role, field.name.lower().replace(" ", "_"))


def _labels(task: JudgeTask) -> dict[str, str]:
    labels = {field.name: _label(field) for field in task.sample.fields}
    return distinct(labels, taken=_OWN_TAGS, joiner="_")
