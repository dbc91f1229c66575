"""Our own format for small models: short, and in two orders.

*Score first*: one forward pass gives the full score distribution; quotes and a reason follow only
on request. *Reason first*: reason, quotes, then the score.

The layout determines what a prefix cache can share. `criterion-first` shares the criterion among
many samples; `sample-first` shares a long text among many criteria. Scores depend on the layout
slightly, so it is fixed within a run and recorded.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Literal, get_args

from glider.core.criteria import Rubric
from glider.core.errors import MissingPart, ReadError, SetupError
from glider.core.generation import Grammar, Labels, Message
from glider.core.tasks import JudgeTask
from glider.formats.base import Format, Prompt, Reading, legal_score, shown_texts
from glider.formats.grammar import QUOTE_CHARS, bounded_reason, one_of, quote_rules, reason_chars

Order = Literal["score-first", "reason-first"]
Layout = Literal["criterion-first", "sample-first"]

_SYSTEM = "You are a strict, fair judge of text."
REASON_WORDS = 30
"""Maximum words of a reason, unless the model's record allows more."""
MAX_QUOTES = 2


class NanoFormat(Format):
    """Plain labelled lines: `Score: 4`, `Quotes:` with one quote a line, `Reason: ...`."""

    name = "nano"
    quotes_always = True

    def __init__(
        self,
        *,
        order: Order = "score-first",
        explain: bool = True,
        layout: Layout = "criterion-first",
        reason_words: int = REASON_WORDS,
    ) -> None:
        """Choose the order of the answer and of the prompt.

        Args:
            explain: request quotes and a reason; False gives the bare score, in one token.
            reason_words: maximum words of a reason; the last sentence may still be completed.
        """
        if order not in get_args(Order) or layout not in get_args(Layout):
            raise SetupError(
                f"order is one of {get_args(Order)}, layout one of {get_args(Layout)}; "
                f"got {order!r}, {layout!r}"
            )
        if order == "reason-first" and not explain:
            raise SetupError("reason-first answers have a reason; use score-first without one")
        self.order, self.layout = order, layout
        if reason_words < 1:
            raise SetupError(f"reason_words is 1 or more; got {reason_words}")
        self.explains, self.reason_words = explain, reason_words
        self.reasons_before_score = order == "reason-first"

    @property
    def id(self) -> str:
        if not self.explains:
            return f"nano/{self.order}/{self.layout}/bare"
        longer = f"/{self.reason_words}-words" if self.reason_words != REASON_WORDS else ""
        return f"nano/{self.order}/{self.layout}{longer}"

    def bare(self) -> "NanoFormat | None":
        if self.order == "reason-first":
            return None
        return NanoFormat(
            order=self.order, layout=self.layout, explain=False, reason_words=self.reason_words
        )

    def shown(self, task: JudgeTask) -> dict[str, str]:
        return shown_texts(task.sample, {f.name: f.name for f in task.sample.fields})

    def render(self, task: JudgeTask) -> Prompt:
        criterion, sample = task.criterion, task.sample
        labels = {field.name: field.name for field in sample.fields}
        scale = "\n".join(f"{s} = {text}" for s, text in criterion.rubric.levels.items())
        question = criterion.question_for(sample, labels)
        asked = f"Criterion: {criterion.heading}\n{question}\nScores:\n{scale}"
        shown = self.shown(task)
        texts = "\n".join(f"<{name}>\n{text}\n</{name}>" for name, text in shown.items())
        parts = [asked, texts] if self.layout == "criterion-first" else [texts, asked]
        judged = " and ".join(field.name for field in sample.judged)
        rubric = criterion.rubric
        last = f"Judge the {judged}: {criterion.heading}, {rubric.low} to {rubric.high}."
        score_first = self.order == "score-first"
        return Prompt(
            messages=(
                Message("system", _SYSTEM),
                Message("user", "\n\n".join([*parts, last])),
            ),
            opening="Score: " if score_first else "Reason: ",
            grammar=self._grammar(task, shown),
            labels=Labels(texts=tuple(map(str, rubric.scores)), after="Score: "),
            max_tokens=self._most_tokens(rubric),
            whole_at_limit=not self.explains,
        )

    def given(self, task: JudgeTask, score: int, phrases: Sequence[str] = ()) -> Prompt:
        """Return the prompt for a reason, and quotes if none are given, after a given score.

        Args:
            phrases: quotes that the answer goes on from.

        Raises:
            SetupError: the reason comes first.
        """
        if self.order == "reason-first":
            raise SetupError("a reason that comes first knows no score")
        reason = f"REASON: {bounded_reason(self.reason_words)}"
        opening = f"Score: {score}\n"
        if phrases:
            # Cut before the space: it belongs to the word that follows.
            opening += "Quotes:\n" + "".join(f"- {phrase}\n" for phrase in phrases) + "Reason:"
            lark = ['start: " " REASON', reason]
        else:
            quotes, rules = self._quotes(task, self.shown(task))
            lark = [f'start: {quotes} "Reason: " REASON', reason, rules]
        return replace(
            self.render(task),
            opening=opening,
            grammar=Grammar(lark="\n".join(filter(None, lark)) + "\n"),
            labels=None,
        )

    def _most_tokens(self, rubric: Rubric) -> int:
        """Return a token limit that is enough for the longest answer in any script.

        It allows three tokens per character for characters that a tokenizer does not know, so an
        answer constrained by the grammar is never cut.
        """
        if not self.explains:
            return max(len(str(score)) for score in rubric.scores)
        return 3 * reason_chars(self.reason_words) + MAX_QUOTES * QUOTE_CHARS[1]

    def grammar(self, task: JudgeTask) -> Grammar:
        return self._grammar(task, self.shown(task))

    def _grammar(self, task: JudgeTask, shown: Mapping[str, str]) -> Grammar:
        score = one_of([str(s) for s in task.criterion.rubric.scores])
        if not self.explains:
            return Grammar(lark=f"start: {score}\n")
        quotes, rules = self._quotes(task, shown)
        reason = f"REASON: {bounded_reason(self.reason_words)}"
        if self.order == "score-first":
            start = f'start: ({score}) "\\n" {quotes} "Reason: " REASON'
        else:
            start = f'start: REASON "\\n" {quotes} "Score: " ({score})'
        return Grammar(lark="\n".join(filter(None, [start, reason, rules])) + "\n")

    @staticmethod
    def _quotes(task: JudgeTask, shown: Mapping[str, str]) -> tuple[str, str]:
        """Return the grammar's expression for the quotes, and the rules it needs."""
        rules, any_text = quote_rules([shown[field.name] for field in task.sample.judged])
        if not any_text:
            return '"Quotes: none\\n"', rules
        return f'"Quotes:\\n" ("- " quote "\\n"){{1,{MAX_QUOTES}}}', rules

    def read(self, text: str, task: JudgeTask) -> Reading:
        rubric = task.criterion.rubric
        if not self.explains:
            head, _, tail = text.partition("\n")
            if not head.startswith("Score: ") or tail.strip():
                raise MissingPart("score", "it is not one line `Score: N`", raw_text=text)
            score, repaired = legal_score(head.removeprefix("Score: "), rubric, raw_text=text)
            return Reading(score=score, repaired=repaired)
        lines = text.rstrip().split("\n")
        written = lines.pop(0 if self.order == "score-first" else -1)
        if not written.startswith("Score: "):
            which = "first" if self.order == "score-first" else "last"
            raise MissingPart("score", f"its {which} line is not `Score: N`", raw_text=text)
        if any(line.startswith("Score:") for line in lines):
            raise ReadError("the answer has more than one line with a score", raw_text=text)
        score, repaired = legal_score(written.removeprefix("Score: "), rubric, raw_text=text)
        phrases: list[str] = []
        reason: list[str] = []
        part: list[str] | None = None
        for line in lines:
            if line.rstrip() in ("Quotes:", "Quotes: none"):
                part = phrases
            elif line.startswith("Reason: ") and not reason:
                part = reason
                reason.append(line.removeprefix("Reason: "))
            elif part is phrases:
                if line.startswith("- ") and (phrase := line.removeprefix("- ").strip()):
                    phrases.append(phrase)
            elif part is reason:
                reason.append(line)
        reasoning = "\n".join(reason).strip()
        if not reasoning:
            raise MissingPart("reasoning", "no line `Reason: ...`", raw_text=text)
        return Reading(
            score=score,
            reasoning=reasoning,
            phrases=tuple(dict.fromkeys(phrases)),
            repaired=repaired,
        )

    def target(self, reading: Reading, task: JudgeTask) -> str:
        score = f"Score: {reading.score}"
        if not self.explains:
            return score
        quotes = (
            "Quotes:\n" + "\n".join(f"- {phrase}" for phrase in reading.phrases)
            if reading.phrases
            else "Quotes: none"
        )
        reason = f"Reason: {reading.reasoning or ''}"
        parts = [score, quotes, reason] if self.order == "score-first" else [reason, quotes, score]
        return "\n".join(parts)
