"""Chains in progress: the calls of one are made one after the other, those of many at once."""

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from concurrent.futures import Future
from functools import partial
from typing import TypeVar

from glider.backends.base import Backend
from glider.backends.composed import ComposedFuture
from glider.backends.in_flight import in_flight
from glider.core.errors import BackendError, BudgetSpent, Filtered, PromptTooLong
from glider.core.generation import Generation, GenerationRequest
from glider.core.judgments import Usage
from glider.synth.chain import Call, answer_of
from glider.synth.records import CallRecord

_MOST_FAILURES = 20
"""Consecutive failed chains after which no more are started."""

Item = TypeVar("Item")
Result = TypeVar("Result")


class OpenChain(ComposedFuture[Result]):
    """A chain in progress."""

    def __init__(
        self,
        number: int,
        steps: Generator[Call, CallRecord, Result],
        backends: Mapping[str, Backend],
        *,
        journaled: dict[str, CallRecord] | None = None,
        journal: Callable[[CallRecord], None] = lambda _answer: None,
        failed: Callable[[], None] = lambda: None,
    ) -> None:
        """Create a chain of which no call is made yet.

        Args:
            number: of its record.
            steps: yields calls and receives their answers.
            backends: by the name that a call is made to.
            journaled: answers by step that are not asked for again.
            journal: receives each answer before it is used.
            failed: called if a call fails.
        """
        super().__init__()
        self._number, self._steps, self._backends = number, steps, backends
        self._journaled, self._journal = journaled or {}, journal
        self._failed = failed

    def begin(self) -> "Future[Result]":
        """Make the first call that is not journaled."""
        self._continue(None)
        return self.future

    def _continue(self, answer: CallRecord | None) -> None:
        try:
            call = self._steps.send(answer)  # type: ignore[arg-type]
            while call.step in self._journaled:
                call = self._steps.send(self._journaled.pop(call.step))
        except StopIteration as ended:
            self.end(ended.value)
            return
        request = GenerationRequest(
            id=f"{self._number}-{call.step}",
            messages=call.prompt.messages,
            opening=call.prompt.opening,
            grammar=call.prompt.grammar,
            labels=call.prompt.labels,
            decoding=call.decoding,
        )
        self.wait_for(self._backends[call.to].submit(request), partial(self._take, call))

    def _take(self, call: Call, future: "Future[Generation]") -> None:
        try:
            answer = answer_of(call, self._number, future.result())
        except (PromptTooLong, Filtered) as error:
            answer = CallRecord(
                number=self._number,
                step=call.step,
                error=error.code,
                usage=error.usage or Usage(),
            )
        self._journal(answer)
        self._continue(answer)

    def fail(self, error: BaseException) -> None:
        self._failed()
        self.end(error)


def ended_chains(
    items: Iterable[Item],
    begin: Callable[[Item], "Future[Result]"],
    *,
    room: int,
    failed: Callable[[BackendError], None],
) -> Iterator[Result]:
    """Yield each chain's result as it ends.

    No more are started once the engine rejects every request, the budget is spent, or many in a
    row have failed; those in progress still run as far as they can.

    Args:
        room: chains in progress.
        failed: receives the error of a chain that failed.

    Raises:
        BackendError: the engine rejects every request.
    """
    refusal: BackendError | None = None
    stopped, in_a_row = False, 0

    def until_stopped() -> Iterator[Item]:
        for item in items:
            if stopped:
                return
            yield item

    for _, future in in_flight(until_stopped(), begin, room=room):
        try:
            result = future.result()
        except BackendError as error:
            failed(error)
            in_a_row += 1
            if error.stops_run:
                refusal = refusal or error
            if (
                error.stops_run
                or isinstance(error, BudgetSpent)
                or in_a_row >= max(_MOST_FAILURES, room)
            ):
                stopped = True
        else:
            in_a_row = 0
            yield result
    if refusal is not None:
        raise refusal
