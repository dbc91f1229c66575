"""Answers in JSON; every error is one status with one typed body. Nothing logs a text or a key."""

import json
import logging
import traceback
from collections.abc import Mapping
from typing import Any

from aiohttp import web

from glider.core.errors import BackendError, GliderError, MissingExtra
from glider.serve.lanes import QueueFull, TooLate
from glider.serve.limits import OverLimit
from glider.serve.metrics import Metrics
from glider.serve.wires.base import WireError

_LOG = logging.getLogger("glider.serve")


def json_response(
    body: Mapping[str, Any], status: int = 200, headers: Mapping[str, str] | None = None
) -> web.Response:
    """Return a body as JSON."""
    text = json.dumps(body, ensure_ascii=False, allow_nan=False)
    return web.Response(text=text, status=status, headers=headers, content_type="application/json")


def error_response(error: Exception, metrics: Metrics) -> web.Response:
    """Return what the client is told of an error, and count what was refused."""
    if isinstance(error, TooLate):
        metrics.refused("late" if error.admitted else "deadline")
        told = WireError(str(error), status=503, code="deadline").body()
        told["error"] |= {
            "estimate_ms": round(1000 * error.estimate_s),
            "left_ms": max(0, round(1000 * error.left_s)),
            "begun": error.admitted,
        }
        return json_response(told, 503, {"Retry-After": str(error.retry_after_s)})
    if isinstance(error, QueueFull):
        metrics.refused("full")
        told = WireError("too many requests wait", status=503, code="full").body()
        return json_response(told, 503, {"Retry-After": "1"})
    if isinstance(error, OverLimit):
        metrics.refused("limit")
        told = WireError(str(error), status=429, code="rate_limit_exceeded").body()
        return json_response(told, 429, {"Retry-After": str(error.retry_after_s)})
    if isinstance(error, web.HTTPException):
        reason = WireError(error.reason, status=error.status, code=error.reason.lower())
        headers = {"Allow": error.headers["Allow"]} if "Allow" in error.headers else {}
        return json_response(reason.body(), error.status, headers)
    if isinstance(error, WireError):
        headers = {"Retry-After": "1"} if error.status == 503 else {}
        if error.status == 401:
            headers["WWW-Authenticate"] = "Bearer"
        return json_response(error.body(), error.status, headers)
    if isinstance(error, MissingExtra):
        return json_response(WireError(str(error), status=501, code=error.code).body(), 501)
    if isinstance(error, BackendError):
        _LOG.error("the engine refuses: %s", error.code)
        status = 503 if error.retryable else 502
        return json_response(
            WireError(error.message, status=status, code=error.code).body(), status
        )
    if isinstance(error, GliderError):
        return json_response(WireError(str(error), code=error.code).body(), 422)
    place = traceback.extract_tb(error.__traceback__)[-1]
    _LOG.error("a fault: %s at %s:%s", type(error).__name__, place.filename, place.lineno)
    return json_response(WireError("a fault in the server", status=500, code="fault").body(), 500)
