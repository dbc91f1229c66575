"""The application: its routes, and what happens around every handler.

A handler is cancelled when its client disconnects (`handler_cancellation`), which also cancels the
engine's work for it.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable

from aiohttp import web

from glider.serve.requests import SERVICE, STATE, WITHOUT_KEY, RequestState, Service, key_owner
from glider.serve.responses import error_response
from glider.serve.routes import foreign, judging, state, stream
from glider.serve.wires.base import WireError

_CLIENT_GONE = 499
"""Nobody receives it; the status that nginx counts such requests under."""
_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def make_app(service: Service) -> web.Application:
    """Create the application; it does not close what it serves."""
    app = web.Application(middlewares=[_guarded])
    app[SERVICE] = service
    for routes in (judging, foreign, stream, state):
        app.add_routes(routes.ROUTES)
    return app


@web.middleware
async def _guarded(request: web.Request, handler: _Handler) -> web.StreamResponse:
    """Authenticate, handle and record a request; each outcome is one status with one typed body."""
    service = request.app[SERVICE]
    service.silent.discard(request.protocol)
    this = RequestState(time.monotonic(), service.serving)
    STATE.set(this)
    service.in_progress.append(this)
    resource = request.match_info.route.resource
    route = resource.canonical if resource is not None else "(none)"
    limited, status = False, None
    if service.traces is not None:
        this.span = service.traces.begin(request.method, route, request.headers)
    try:
        this.owner = key_owner(request, service.metrics, this.serving.keys)
        if service.stopping and route not in WITHOUT_KEY:
            service.metrics.refused("stopping")
            raise WireError("the server is stopping", status=503, code="stopping")
        if request.method == "POST" or route == "/v1/stream":
            service.limiter.enter(this.owner, this.serving.config.limits)
            limited = True
        response = await handler(request)
        status = response.status
    except asyncio.CancelledError:
        service.metrics.refused("gone")
        raise
    except ConnectionResetError:
        # An answer written piece by piece, of which the client did not wait for the end.
        if request.transport is not None and not request.transport.is_closing():
            raise
        service.metrics.refused("gone")
        response = web.Response(status=_CLIENT_GONE)
        status = response.status
    except Exception as error:  # noqa: BLE001 - every error reaches the client in our format
        response = error_response(error, service.metrics)
        if request.content.exception() is not None:
            response.force_close()  # nothing can be read after such a body, so the client is told
        status = response.status
    finally:
        service.in_progress.remove(this)
        if this.span is not None:
            this.span.end(status)
        if limited:
            service.limiter.leave(this.owner)
    took = time.monotonic() - this.began
    service.metrics.answered(route, response.status, took, this.owner)
    return response
