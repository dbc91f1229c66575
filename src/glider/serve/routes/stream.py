"""`/v1/stream`: a text is judged while it is being written."""

from contextlib import suppress

from aiohttp import WSCloseCode, web

from glider.serve.asking import recorded, take_texts
from glider.serve.lanes import QueueFull
from glider.serve.requests import SERVICE, Service, serving
from glider.serve.responses import error_response
from glider.serve.service import decide
from glider.serve.streams import opening, stream
from glider.serve.wires import guardrails
from glider.serve.wires.base import WireError


async def _stream(request: web.Request) -> web.StreamResponse:
    """Open the socket; from then on an error is a message."""
    service = request.app[SERVICE]
    origin = request.headers.get("Origin")
    if origin is not None and origin.partition("://")[2] != request.host:
        # A page of another site may open a socket, unlike sending JSON.
        raise WireError("a page of another site may not ask", status=403, code="origin")
    bounds = serving().config.bounds
    socket = web.WebSocketResponse(max_msg_size=bounds.body_bytes, heartbeat=20.0)
    if not socket.can_prepare(request):
        raise WireError("this route is a WebSocket", status=426, code="upgrade_required")
    if service.streams >= bounds.streams:
        raise QueueFull
    service.streams += 1
    try:
        await socket.prepare(request)
        try:
            await _judged(service, socket)
        except ConnectionError:
            service.metrics.refused("gone")
        except Exception as error:  # noqa: BLE001 - every error reaches the client in our format
            told = error_response(error, service.metrics)
            is_ours = told.status >= 500
            code = WSCloseCode.INTERNAL_ERROR if is_ours else WSCloseCode.POLICY_VIOLATION
            with suppress(ConnectionError):
                await socket.send_str(told.text or "")
                await socket.close(code=code)
        await socket.close()
    finally:
        service.streams -= 1
    return socket


async def _judged(service: Service, socket: web.WebSocketResponse) -> None:
    """Judge what comes by the policy that the first message names."""
    now = serving()
    bounds = now.config.bounds
    asked = await opening(socket, bounds)
    policy = now.policy(asked.policy)
    take_texts(service, len(policy.checks))
    left_s = None if asked.deadline_ms is None else asked.deadline_ms / 1000

    async def judge(text: str, whole: bool) -> guardrails.Judged:
        sample, why = asked.sample(output=text), whole and asked.reasons == "now"
        verdict, outcomes = await decide(now, policy, sample, left_s, why=why)
        # Labels are of whole texts, judged once: they promise nothing of a beginning.
        verdict = verdict.model_copy(update={"promise": (), "drift": ()})
        if whole or verdict.verdict == "block":
            verdict = recorded(service, policy, sample, verdict, outcomes)
        return verdict, outcomes

    await stream(socket, asked, judge, bounds)


ROUTES = [web.get("/v1/stream", _stream)]
