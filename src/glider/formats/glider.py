"""The published GLIDER wire format (arXiv 2412.14140; docs/formats.md), byte for byte.

A checkpoint trained on this wording is prompted with exactly this wording, grammar mistakes and
trailing spaces included. Everything goes in one user message, with no system prompt.
"""

import json
import re
from collections.abc import Mapping

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
    storable,
)
from glider.formats.grammar import one_of, quote_rules

# "must in" and the space at the end of line 5 are in the text the model was trained on.
_TEMPLATE = """\
Analyze the following pass criteria carefully and score the text based on the rubric defined below.

To perform this evaluation, you must:

1. Understand the text tags, pass criteria and rubric thoroughly.
2. Review the finer details of the text and the rubric.
3. Compare the tags to be evaluated to the score descriptions in the rubric.
4. Pay close attention to small details that might impact the final score and form accurate associations between tags and pass criteria.
5. Write a detailed reasoning justifying your evaluation in a bullet point format.\x20
6. The reasoning must summarize the overall strengths and weaknesses of the output while quoting exact phrases from the output wherever required.
7. Output a list of words or phrases that you believe are the most important in determining the score.
8. Assign a final score based on the scoring rubric.

Data to evaluate:
{data}

Pass Criteria:
{pass_criteria}

Rubric:
{rubric}

Your output must in the following format:
<reasoning>
[Detailed reasoning justifying your evaluation in a bullet point format according to the specifics defined above]
</reasoning>
<highlight>
[List of words or phrases that you believe are the most important in determining the score]
</highlight>
<score>
[The final integer score assigned based on the scoring rubric]
</score>"""  # noqa: E501

_TAGS = {"input": "USER INPUT", "context": "CONTEXT", "reference": "GOLD ANSWER"}
_REASONING_CHARS = 2400
_MAX_QUOTES = 6
# Parsed by hand: on model output ast.literal_eval may warn, overflow or exhaust the stack.
_STRING = r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*\""""
_PYTHON_LIST = re.compile(rf"\[\s*(?:(?:{_STRING})\s*(?:,\s*|(?=\])))*\]", re.DOTALL)


class GliderFormat(Format):
    """Reasoning, highlight and score in tags."""

    name = "glider"

    def render(self, task: JudgeTask) -> Prompt:
        labels = _labels(task)
        shown = self.shown(task)
        data = "\n\n".join(f"<{labels[n]}>\n{text}\n</{labels[n]}>" for n, text in shown.items())
        rubric = task.criterion.rubric
        replacements = {
            "data": data,
            "pass_criteria": task.criterion.question_for(task.sample, labels),
            "rubric": "\n".join(f"{score}: {text}" for score, text in rubric.levels.items()),
        }
        # One pass over the template, so that braces inside the user's texts are kept.
        content = re.sub(
            r"\{(data|pass_criteria|rubric)\}", lambda m: replacements[m[1]], _TEMPLATE
        )
        return Prompt(
            messages=(Message("user", content),),
            grammar=self._grammar(task, shown),
            labels=Labels(texts=tuple(map(str, rubric.scores)), after="<score>\n"),
            max_tokens=2048,
        )

    def shown(self, task: JudgeTask) -> dict[str, str]:
        return shown_texts(task.sample, _labels(task))

    def grammar(self, task: JudgeTask) -> Grammar:
        return self._grammar(task, self.shown(task))

    def _grammar(self, task: JudgeTask, shown: Mapping[str, str]) -> Grammar:
        rules, any_text = quote_rules([shown[field.name] for field in task.sample.judged])
        quotes = f'("- " quote "\\n"){{1,{_MAX_QUOTES}}}' if any_text else '"[]\\n"'
        score = one_of([str(s) for s in task.criterion.rubric.scores])
        start = (
            'start: "<reasoning>\\n" REASONING "\\n<highlight>\\n" '
            f'{quotes} "</highlight>\\n<score>\\n" ({score}) "\\n</score>"'
        )
        # The lexer is greedy and does not backtrack, so the terminal includes its closing tag.
        reasoning = f"REASONING: /[^\\s<][^<]{{0,{_REASONING_CHARS}}}\\n<\\/reasoning>/"
        return Grammar(lark="\n".join(filter(None, [start, reasoning, rules])) + "\n")

    def read(self, text: str, task: JudgeTask) -> Reading:
        score = inside("score", text)
        if score is None:
            raise MissingPart("score", "no <score>...</score> in it", raw_text=text)
        legal, repaired = legal_score(score, task.criterion.rubric, raw_text=text)
        return Reading(
            score=legal,
            repaired=repaired,
            reasoning=(inside("reasoning", text) or "").strip() or None,
            phrases=tuple(dict.fromkeys(listed_phrases(inside("highlight", text) or ""))),
        )

    def target(self, reading: Reading, task: JudgeTask) -> str:
        phrases = "\n".join(f"- {phrase}" for phrase in reading.phrases) or "[]"
        return (
            f"<reasoning>\n{reading.reasoning or ''}\n</reasoning>\n"
            f"<highlight>\n{phrases}\n</highlight>\n<score>\n{reading.score}\n</score>"
        )


def _label(field: Field) -> str:
    if field.role == "judged":
        return re.sub(r"^OUTPUT\b", "MODEL OUTPUT", field.name.upper())
    return _TAGS.get(field.role, field.name.upper())


def _labels(task: JudgeTask) -> dict[str, str]:
    return distinct({field.name: _label(field) for field in task.sample.fields})


def listed_phrases(text: str) -> list[str]:
    """Parse phrases from a Python or JSON list, bullets, or one phrase per line."""
    text = text.strip()
    if text.startswith("[") and text.endswith("]"):
        if (items := _list(text)) is not None:
            return [item.strip() for item in items if item.strip()]
        text = text[1:-1]
    lines = [re.sub(r"^\s*(?:[-*•]|\d{1,3}[.)])\s+", "", line).strip() for line in text.split("\n")]
    return [line for line in lines if line]


def _list(text: str) -> list[str] | None:
    try:
        return [storable(item) for item in json.loads(text) if isinstance(item, str)]
    except (ValueError, RecursionError):
        pass
    if not _PYTHON_LIST.fullmatch(text):
        return None
    strings = re.findall(_STRING, text, re.DOTALL)
    return [re.sub(r"\\(['\"\\])", r"\1", quoted[1:-1]) for quoted in strings]
