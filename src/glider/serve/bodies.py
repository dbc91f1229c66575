"""Request bodies as plain data: size and time limits, JSON, and valid Unicode."""

import asyncio
import json
from typing import Any, NoReturn

from aiohttp import web

from glider.serve.settings import Bounds
from glider.serve.wires.base import WireError

_DEEPEST = 40


async def read_body(request: web.Request, bounds: Bounds) -> dict[str, Any]:
    """Read the JSON object of a request.

    Raises:
        WireError: 400, 408, 413, 415 or 422.
    """
    if request.content_type != "application/json":
        # This also keeps browser pages out: they may not send this type across origins.
        raise WireError("the body is application/json", status=415, code="unsupported_media_type")
    if (request.content_length or 0) > bounds.body_bytes:
        raise _too_large(bounds)
    try:
        async with asyncio.timeout(bounds.body_seconds):
            raw = await _read(request, bounds)
    except TimeoutError as exc:
        message = f"no whole body within {bounds.body_seconds:g} s"
        raise WireError(message, status=408, code="request_timeout") from exc
    except web.RequestPayloadError as exc:
        message = "the body is not encoded as Content-Encoding or Transfer-Encoding says"
        raise WireError(message, status=400, code="bad_encoding") from exc
    return parse_body(raw, bounds)


def parse_body(raw: bytes, bounds: Bounds) -> dict[str, Any]:
    """Parse a JSON object whose size is known to be allowed.

    Raises:
        WireError: 400, 413 or 422.
    """
    try:
        body = json.loads(raw, parse_constant=_no_number)
    except (ValueError, RecursionError) as exc:
        raise WireError("the body is not JSON", status=400, code="not_json") from exc
    if not isinstance(body, dict):
        raise WireError("the body is no JSON object")
    _check(body, bounds)
    return body


async def _read(request: web.Request, bounds: Bounds) -> bytes:
    """Read the body, decompressing it if needed, up to the allowed size."""
    parts, size = [], 0
    async for part in request.content.iter_any():
        size += len(part)
        if size > bounds.body_bytes:
            raise _too_large(bounds)
        parts.append(part)
    return b"".join(parts)


def _no_number(name: str) -> NoReturn:
    raise ValueError(name)


def _too_large(bounds: Bounds) -> WireError:
    return WireError(
        f"the body has more than {bounds.body_bytes:,} bytes", status=413, code="body_too_large"
    )


def _check(body: Any, bounds: Bounds) -> None:
    """Count the length of all texts and reject invalid characters."""
    chars, todo = 0, [(body, 0)]
    while todo:
        value, depth = todo.pop()
        if depth > _DEEPEST:
            raise WireError(f"the body is nested more than {_DEEPEST} deep")
        if isinstance(value, dict):
            todo += [(one, depth + 1) for pair in value.items() for one in pair]
        elif isinstance(value, list):
            todo += [(one, depth + 1) for one in value]
        elif isinstance(value, str):
            chars += len(value)
            if chars > bounds.chars:
                raise WireError(
                    f"the texts have more than {bounds.chars:,} characters",
                    status=413,
                    code="text_too_long",
                )
            if not _is_unicode(value):
                raise WireError("a text holds half of a surrogate pair", code="not_unicode")


def _is_unicode(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
