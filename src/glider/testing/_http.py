"""The HTTP side of the fake server."""

from __future__ import annotations

import asyncio
import os
import socket
import struct
from typing import Final

from aiohttp import web

from glider.testing._replies import UNAUTHORIZED, Desk, Reply, error_reply, json_reply

HOST: Final = "127.0.0.1"
_BACKLOG: Final = 1024  # A client that opens 256 connections at once must not wait for SYN retries.
_MAX_BODY: Final = 64 * 1024 * 1024  # bytes
_DRIP_S: Final = 1.0
_SHUTDOWN_S: Final = 0.01

# Linger for 0 s: closing then sends RST at once and discards unsent data.
_RESET: Final = struct.pack("hh" if os.name == "nt" else "ii", 1, 0)


class _Endpoint:
    """Answers HTTP requests, correctly or with a fault, as the desk decides."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._used: set[object] = set()

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        """Reply to a request; a completion may get no reply, or a truncated one."""
        desk, method, path = self._desk, request.method, request.path
        if method not in ("GET", "POST"):
            return _last(error_reply(405, "only GET and POST", "bad_http"))
        if method == "POST" and request.content_length is None:
            return _last(error_reply(411, "send the body with a Content-Length", "bad_http"))
        if (request.content_length or 0) > _MAX_BODY:
            return _last(error_reply(413, f"body above {_MAX_BODY} bytes", "bad_http"))
        body = await request.content.read()
        if method == "POST" and path in ("/v1/chat/completions", "/v1/completions"):
            return await self._completion(request, path == "/v1/chat/completions", body)
        if method == "GET" and path == "/v1/models":
            allowed = desk.allows(request.headers.get("Authorization"))
            return _sent(desk.models() if allowed else UNAUTHORIZED)
        if method == "GET" and path == "/health":
            return _sent(json_reply(200, {"status": "ok"}))
        if method == "GET" and path == "/stats":
            return _sent(json_reply(200, desk.stats()))
        return _sent(error_reply(404, f"no {method} {path} here", "unknown_url"))

    async def _completion(
        self, request: web.BaseRequest, chat: bool, body: bytes
    ) -> web.StreamResponse:
        desk = self._desk
        if request.protocol not in self._used:
            self._used.add(request.protocol)
            desk.connections += 1
        desk.arrive(request.headers.get("X-Request-Id"))
        if not desk.allows(request.headers.get("Authorization")):
            return _sent(desk.refuse_key())
        fault = desk.admit()
        try:
            if desk.settings.delay_s > 0:
                await asyncio.sleep(desk.settings.delay_s)
        except asyncio.CancelledError:
            desk.abandoned += 1
            raise
        finally:
            desk.in_hand -= 1
        transport = request.transport
        if transport is None:
            desk.abandoned += 1
            return web.Response()  # The client is gone.
        if fault == "reset":
            desk.count(fault)
            connection = transport.get_extra_info("socket")
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            transport.abort()
            return web.Response()
        if fault == "drip":
            desk.count(fault)
            return await _drip(request)
        reply, had_its_way = desk.reply(fault, chat, body)
        if fault == "half_json" and had_its_way:
            half = web.StreamResponse(headers={"Content-Length": str(len(reply.body))})
            half.content_type = reply.kind
            await half.prepare(request)
            await half.write(reply.body[: len(reply.body) // 2])
            transport.close()
            return half
        return _sent(reply)


def _sent(reply: Reply) -> web.Response:
    headers = {"Retry-After": reply.retry_after} if reply.retry_after else None
    return web.Response(
        status=reply.status, body=reply.body, content_type=reply.kind, headers=headers
    )


def _last(reply: Reply) -> web.Response:
    """Reply and close the connection: the start of the next request is unknown."""
    response = _sent(reply)
    response.force_close()
    return response


async def _drip(request: web.BaseRequest) -> web.StreamResponse:
    """Send spaces, which JSON allows, so no parser fails early, until the client leaves."""
    response = web.StreamResponse()
    response.content_type = "application/json"
    response.force_close()
    await response.prepare(request)
    while True:
        await asyncio.sleep(_DRIP_S)
        await response.write(b" ")


def listen(port: int) -> socket.socket:
    """Open a listening socket on loopback. Port 0 picks a free port."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        if os.name != "nt":
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((HOST, port))
        listener.listen(_BACKLOG)
    except BaseException:
        listener.close()
        raise
    return listener


async def serve(desk: Desk, listener: socket.socket, stop: asyncio.Event) -> None:
    """Serve until `stop` is set, then close every connection."""
    server = web.Server(
        _Endpoint(desk),
        handler_cancellation=True,  # A client that has left gets no answer.
        access_log=None,
        lingering_time=0.0,
    )
    runner = web.ServerRunner(server, shutdown_timeout=_SHUTDOWN_S)
    try:
        await runner.setup()
        await web.SockSite(runner, listener, backlog=_BACKLOG).start()
        await stop.wait()
    finally:
        await runner.cleanup()
        listener.close()
