"""What all adapters share: a host's texts in, one reply for each criterion out.

A host may call from many threads or tasks at once: all calls with equal settings go to one judge,
which is loaded on the first of them. A text that cannot be judged, or a judgment that fails, is a
`Failure`; every adapter passes it on as its host's own missing value, never as a number. Only what
would fail for every text (a wrong key, an unknown model) is raised.
"""

import asyncio
import atexit
import threading
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

from glider.core.base import content_hash
from glider.core.criteria import Criterion
from glider.core.errors import BadRecord, SetupError
from glider.core.judgments import Comparison, Failure, Judgment, Span, as_record
from glider.core.samples import Sample
from glider.core.tasks import JudgeTask
from glider.data.columns import Columns, sample_from
from glider.data.library import criteria_asked
from glider.data.presets import columns_for
from glider.data.rows import Row
from glider.judging.judge import Judge
from glider.judging.settings import JudgeSettings

Criteria = str | Criterion | Sequence[str | Criterion]
"""Names of shipped criteria, YAML files, or criteria."""
JudgeLike = Judge | JudgeSettings | str
"""A judge, which its owner closes; settings or the name of a model, opened once a process."""
Texts = Mapping[str, Any]
"""What a host has of one text, under the host's names."""

_OPENED: dict[str, Judge] = {}
_OPENING = threading.Lock()


@dataclass(frozen=True)
class Reply:
    """What came of one criterion."""

    criterion: Criterion
    outcome: Judgment | Failure

    @property
    def points(self) -> float | None:
        """Expected score on the rubric's scale, or the score where none is told; None if failed."""
        return None if isinstance(self.outcome, Failure) else self.outcome.expected_or_score

    @property
    def share(self) -> float | None:
        """The points from 0 (lowest level) to 1 (highest); None if failed."""
        return None if self.points is None else self.criterion.rubric.normalize(self.points)

    @property
    def error(self) -> str | None:
        """Stage, code and message of a failure; None if there is none."""
        if isinstance(self.outcome, Failure):
            return f"{self.outcome.stage}/{self.outcome.code}: {self.outcome.message}"
        return None

    @property
    def said(self) -> str:
        """The reasoning and the quoted phrases, or the failure, as one text."""
        if isinstance(self.outcome, Failure):
            return f"not judged: {self.error}"
        quotes = " ".join(f"[{highlight.phrase}]" for highlight in self.outcome.highlights)
        return " ".join(filter(None, [self.outcome.reasoning, quotes]))

    @property
    def record(self) -> dict[str, Any]:
        """The outcome as JSON, as `/v1/judge` returns it; spans count Unicode code points."""
        return as_record(self.outcome)


class CriteriaJudge:
    """A judge and the criteria a host asks it about. Copies and pickles with its settings."""

    def __init__(
        self,
        criteria: Criteria,
        judge: JudgeLike = "embedded",
        *,
        preset: str = "glider",
        maps: Mapping[str, str] | None = None,
    ) -> None:
        """Check the criteria; the model loads with the first text.

        Args:
            preset: how the host names its texts; see `glider.data.presets`.
            maps: field of the sample to the host's name for it, where the preset has another:
                `{"input": "inputs.question"}`.

        Raises:
            SetupError: no criterion, one twice, or a name that is not there.
        """
        self.criteria = criteria_asked(criteria)
        if not self.criteria:
            raise SetupError("an adapter asks one criterion for all texts; 'record' is for files")
        self.asked_of = judge
        self.columns: Columns = columns_for((), preset=preset, maps=maps)

    @property
    def names(self) -> list[str]:
        """Names of the criteria, in order."""
        return [criterion.name for criterion in self.criteria]

    @property
    def judge(self) -> Judge:
        """The judge, opened if it is not yet."""
        return opened(self.asked_of)

    def ask(self, texts: Texts) -> list[Reply]:
        """One reply for each criterion, in order. Blocks; safe from any thread.

        Raises:
            AccessRefused: the endpoint refuses every request.
        """
        return [_reply(c, future.result()) for c, future in self._begun(texts)]

    async def ask_async(self, texts: Texts) -> list[Reply]:
        """The same without blocking the event loop; cancelling it ends the work in the engine."""
        await asyncio.to_thread(opened, self.asked_of)  # a model that loads must not stop the loop
        begun = self._begun(texts)
        outcomes = await asyncio.gather(*(asyncio.wrap_future(future) for _, future in begun))
        return [_reply(c, outcome) for (c, _), outcome in zip(begun, outcomes, strict=True)]

    def ask_all(self, many: Iterable[Texts]) -> list[list[Reply]]:
        """The replies to many texts, in order; texts with a common beginning share its prefix."""
        rows = [(texts, self._sample(texts)) for texts in many]
        replies: list[dict[str, Reply]] = [{} for _ in rows]
        work = (
            ((place, criterion.name), JudgeTask(sample, criterion))
            for place, (_, sample) in enumerate(rows)
            for criterion in self.criteria
            if isinstance(sample, Sample)
        )
        by_name = {criterion.name: criterion for criterion in self.criteria}
        for (place, name), outcome in self.judge.stream(work):
            replies[place][name] = _reply(by_name[name], outcome)
        for place, (texts, sample) in enumerate(rows):
            if isinstance(sample, BadRecord):
                for criterion in self.criteria:
                    failure = self._unfit(texts, sample, criterion)
                    replies[place][criterion.name] = Reply(criterion, failure)
        return [[found[name] for name in self.names] for found in replies]

    def _begun(self, texts: Texts) -> "list[tuple[Criterion, Future[Any]]]":
        sample = self._sample(texts)
        begun: list[tuple[Criterion, Future[Any]]] = []
        for criterion in self.criteria:
            if isinstance(sample, Sample):
                future = self.judge.submit(JudgeTask(sample, criterion))
            else:
                future = Future()
                future.set_result(self._unfit(texts, sample, criterion))
            begun.append((criterion, future))
        return begun

    def _sample(self, texts: Texts) -> Sample | BadRecord:
        try:
            return sample_from(Row(index=0, line=0, data=dict(texts)), self.columns)
        except BadRecord as error:
            return error

    def _unfit(self, texts: Texts, error: BadRecord, criterion: Criterion) -> Failure:
        """The failure of a text that is no sample."""
        sample_id = content_hash(sorted(map(repr, texts.items())))
        return Failure(
            task_id=content_hash([sample_id, criterion.content_id]),
            sample_id=sample_id,
            criterion=criterion.name,
            judge=self.judge.id,
            stage="prepare",
            code=error.code,
            message=str(error),
        )


@dataclass(frozen=True)
class Checked:
    """A text that was judged, and whether it passes."""

    reply: Reply
    judgment: Judgment
    points: float
    """Expected score on the rubric's scale."""
    share: float
    """The same from 0 (lowest level) to 1 (highest)."""
    passes: bool

    @property
    def spans(self) -> list[tuple[str, Span]]:
        """Each quoted phrase with a place where it stands; a phrase may stand in several."""
        return [(quote.phrase, span) for quote in self.judgment.highlights for span in quote.spans]


class PassingScore:
    """One criterion, and the score from which on a text passes: what guardrails ask."""

    def __init__(
        self,
        criterion: str | Criterion,
        pass_from: float,
        judge: JudgeLike = "embedded",
        maps: Mapping[str, str] | None = None,
    ) -> None:
        """Check both; the model loads with the first text.

        Args:
            pass_from: least expected score that passes, on the rubric's scale.

        Raises:
            SetupError: each text would pass, or none would.
        """
        self._asked = CriteriaJudge(criterion, judge, maps=maps)
        (asked,) = self._asked.criteria
        self.criterion, self.pass_from = asked, pass_from
        if not asked.rubric.low < pass_from <= asked.rubric.high:
            raise SetupError(
                f"pass_from is above {asked.rubric.low} and at most {asked.rubric.high}, the scale "
                f"of {asked.name}; got {pass_from:g}"
            )

    def check(self, texts: Texts) -> Checked:
        """Judge a text.

        Raises:
            JudgmentFailed: there is no judgment, so it neither passes nor fails.
        """
        (reply,) = self._asked.ask(texts)
        judgment = reply.outcome.or_raise()
        assert reply.points is not None
        assert reply.share is not None
        return Checked(reply, judgment, reply.points, reply.share, reply.points >= self.pass_from)


def opened(judge: JudgeLike) -> Judge:
    """The judge itself, or the one judge of this process for these settings.

    Raises:
        GliderError: the model cannot be opened.
    """
    if isinstance(judge, Judge):
        return judge
    settings = JudgeSettings(model=judge) if isinstance(judge, str) else judge
    with _OPENING:
        if (found := _OPENED.get(repr(settings))) is None:
            found = _OPENED[repr(settings)] = settings.open()
            atexit.register(found.close)
    return found


def sole_text(value: Any) -> Any:
    """The text of a dictionary that holds one text and nothing else; any other value as it is."""
    if isinstance(value, Mapping) and len(value) == 1:
        (only,) = value.values()
        return only if isinstance(only, str) else value
    return value


def _reply(criterion: Criterion, outcome: Judgment | Failure | Comparison) -> Reply:
    assert not isinstance(outcome, Comparison)  # pairs are never asked here
    return Reply(criterion, outcome)
