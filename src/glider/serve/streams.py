"""Text that is still being written, judged as it grows, over a WebSocket.

The client opens with what else is known of the text and the policy, then sends pieces of it; the
server answers with what may be shown, or with a verdict that stops it. A text is judged at lengths
that grow by a factor, so all judgments of a text together read at most growth / (growth - 1) times
its length; of what was allowed, the last `hold_back` characters wait for the next judgment.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Literal, Self

from aiohttp import WSMsgType, web
from pydantic import Field, model_validator

from glider.core.base import Frozen
from glider.core.judgments import Outcome, as_record
from glider.serve.bodies import parse_body
from glider.serve.settings import Bounds
from glider.serve.wires.base import WireError
from glider.serve.wires.ours import Asked, Verdict, parsed

JudgeText = Callable[[str, bool], Awaitable[tuple[Verdict, Sequence[Outcome]]]]
"""Judges a text; the flag says that it is whole."""


class StreamRequest(Asked):
    """The first message of a stream."""

    policy: str | None = Field(None, description="Name of a policy; the first if not given.")
    first: int = Field(200, ge=20, description="Characters after which it is judged first.")
    growth: float = Field(1.5, ge=1.1, le=10, description="Factor from one length to the next.")
    hold_back: int = Field(
        50, ge=0, le=10_000, description="Characters of what was allowed that wait for the next."
    )
    reasons: Literal["now", "none"] = Field("none", description="Of the whole text alone.")

    @model_validator(mode="after")
    def _by_its_model(self) -> Self:
        if self.model is not None:
            raise ValueError("a policy names its model")
        return self


class Piece(Frozen):
    """A further message: some text, or the end, or both."""

    text: str = ""
    end: bool = False


class GrowingText:
    """What has come of a text, what was judged, and what may be shown."""

    def __init__(self, first: int, growth: float, hold_back: int) -> None:
        """Begin with no text."""
        self._growth, self._hold_back = growth, hold_back
        self._pieces: list[str] = []
        self._next, self.length, self._shown = first, 0, 0

    def add(self, piece: str) -> None:
        """Take a piece."""
        self._pieces.append(piece)
        self.length += len(piece)

    @property
    def due(self) -> bool:
        """Whether it is long enough for the next judgment."""
        return self.length >= self._next

    @property
    def whole(self) -> str:
        """All that has come."""
        self._pieces = ["".join(self._pieces)]
        return self._pieces[0]

    @property
    def held(self) -> int:
        """The number of characters that have come and were not released."""
        return self.length - self._shown

    def release(self, length: int, *, ended: bool) -> str:
        """Return what may be shown once its first `length` characters are allowed."""
        end = length if ended else max(self._shown, length - self._hold_back)
        part, self._shown = self.whole[self._shown : end], end
        return part

    def judged(self, length: int) -> None:
        """Set the length of the next judgment."""
        self._next = max(length + 1, int(length * self._growth))


async def stream(
    socket: web.WebSocketResponse, asked: StreamRequest, judge: JudgeText, bounds: Bounds
) -> None:
    """Judge one text to its end or until it is blocked.

    Raises:
        WireError: 408, 413, 422; a message cannot be used, is too long, or does not come.
    """
    text = GrowingText(asked.first, asked.growth, asked.hold_back)
    receiving = asyncio.ensure_future(socket.receive())
    judging: asyncio.Future[tuple[Verdict, Sequence[Outcome]]] | None = None
    length, ended, whole = 0, False, False
    try:
        while True:
            if judging is None and (ended or text.due):
                length, whole = text.length, ended
                judging = asyncio.ensure_future(judge(text.whole, whole))
            waits: set[asyncio.Future[Any]] = {one for one in (judging,) if one is not None}
            done, _ = await asyncio.wait(
                waits if ended else waits | {receiving},
                timeout=None if judging is not None else bounds.stream_seconds,
                return_when=asyncio.FIRST_COMPLETED,
            )
            if not done:
                message = f"nothing came for {bounds.stream_seconds:g} s"
                raise WireError(message, status=408, code="request_timeout")
            if judging is not None and judging in done:
                verdict, outcomes = judging.result()
                judging = None
                text.judged(length)
                allows = verdict.verdict == "allow"
                part = text.release(length, ended=whole) if allows else ""
                if whole or verdict.verdict == "block":
                    last = {
                        "release": part,
                        "held": text.held,
                        "verdict": verdict.model_dump(mode="json"),
                        "outcomes": [as_record(outcome) for outcome in outcomes],
                    }
                    await socket.send_json(last)
                    return
                if part:
                    await socket.send_json({"release": part, "held": text.held})
            if receiving in done and not ended:
                piece = await _piece(receiving.result(), bounds)
                if piece is None:
                    return  # the client has gone
                text.add(piece.text)
                if text.length > bounds.chars:
                    message = f"the text has more than {bounds.chars:,} characters"
                    raise WireError(message, status=413, code="text_too_long")
                ended = piece.end
                if ended and not text.whole.strip():
                    raise WireError("there is no text to judge")
                if not ended:
                    receiving = asyncio.ensure_future(socket.receive())
    finally:
        for task in (receiving, judging):
            if task is not None:
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError, Exception):
                    await task


async def opening(socket: web.WebSocketResponse, bounds: Bounds) -> StreamRequest:
    """Return the first message.

    Raises:
        WireError: 408 or 422; it did not come in time, or cannot be used.
    """
    try:
        message = await asyncio.wait_for(socket.receive(), bounds.body_seconds)
    except TimeoutError as exc:
        said = f"no first message within {bounds.body_seconds:g} s"
        raise WireError(said, status=408, code="request_timeout") from exc
    if message.type is not WSMsgType.TEXT:
        raise WireError("the first message is a JSON object")
    return parsed(StreamRequest, parse_body(message.data.encode(), bounds))


async def _piece(message: Any, bounds: Bounds) -> Piece | None:
    if message.type in (WSMsgType.CLOSE, WSMsgType.CLOSING, WSMsgType.CLOSED, WSMsgType.ERROR):
        return None
    if message.type is not WSMsgType.TEXT:
        raise WireError("a message is a JSON object")
    return parsed(Piece, parse_body(message.data.encode(), bounds))
