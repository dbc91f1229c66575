"""OpenAPI 3.1 of the server's own routes, generated from the models that parse and write them."""

from functools import cache
from typing import Any

from pydantic.json_schema import models_json_schema

from glider._version import __version__
from glider.serve.streams import StreamRequest
from glider.serve.wires import ours

_REF = "#/components/schemas/{model}"
_OWN = {
    "/v1/judge": (ours.JudgeRequest, ours.JudgeAnswer),
    "/v1/compare": (ours.CompareRequest, ours.CompareAnswer),
    "/v1/rank": (ours.RankRequest, ours.RankAnswer),
}
_FOREIGN = {
    "/v1/decisions": "OpenAI's Decisions.",
    "/v1/systemone": "TypeSafe's System One.",
    "/v1/chat/completions": "promptfoo's llm-rubric; other chats are refused.",
    "/v1/moderations": "OpenAI's moderation, by a policy.",
    "/v1/validate": "DataDesigner's remote validator, by a policy.",
    "/classify": "vLLM's classification, by a policy.",
    "/beta/litellm_basic_guardrail_api": "LiteLLM's generic guardrail, by a policy.",
}
_READ = {
    "/v1/models": "What is served, in the shapes of OpenAI and TypeSafe.",
    "/v1/criteria": "The criteria that can be named.",
    "/v1/policies": "The policies with their promises.",
    "/health": "The process lives.",
    "/load": "What waits and runs in each lane.",
}
_ERRORS = {
    "400": "Not JSON.",
    "401": "No such key.",
    "404": "No such model, criterion or policy.",
    "408": "The body did not arrive in time.",
    "413": "Longer than the bounds.",
    "415": "Not application/json.",
    "422": "Not of the route's shape, or it cannot be judged.",
    "429": "The key is over its limit; see Retry-After.",
    "502": "The engine refuses.",
    "503": "Not in time, too much waits, or the engine is down; see Retry-After.",
}
_ERROR: dict[str, Any] = {
    "type": "object",
    "required": ["error", "detail"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["message", "type", "code"],
            "properties": {
                "message": {"type": "string"},
                "type": {"type": "string"},
                "code": {"type": "string"},
                "param": {"type": ["string", "null"]},
                "estimate_ms": {"type": "integer"},
                "left_ms": {"type": "integer"},
                "begun": {"type": "boolean"},
            },
        },
        "detail": {"type": "object"},
    },
}


@cache
def document() -> dict[str, Any]:
    """Return the description as plain data."""
    asked = [(pair[0], "validation") for pair in _OWN.values()]
    told = [(pair[1], "validation") for pair in _OWN.values()]
    asked.append((StreamRequest, "validation"))
    _, requests = models_json_schema(asked, ref_template=_REF)  # type: ignore[arg-type]
    _, answers = models_json_schema(told, ref_template=_REF)  # type: ignore[arg-type]
    for schema in answers["$defs"].values():
        schema.pop("additionalProperties", None)  # outcomes carry a version and may gain keys
    paths: dict[str, Any] = {
        path: {"post": _operation(asked.__name__, told.__name__, asked.__doc__)}
        for path, (asked, told) in _OWN.items()
    }
    for path, said in _FOREIGN.items():
        paths[path] = {"post": _operation(None, None, said)}
    for path, said in _READ.items():
        paths[path] = {"get": {"summary": said, "responses": {"200": _json(None, "Told.")}}}
    paths["/v1/judgments/{id}"] = {
        "get": {
            "summary": "Reasons that were asked for later.",
            "parameters": [
                {"name": "id", "in": "path", "required": True, "schema": {"type": "string"}}
            ],
            "responses": {
                "200": _json(None, "Written, or failed."),
                "202": _json(None, "Being written."),
                "404": _json("Error", _ERRORS["404"]),
            },
        }
    }
    paths["/v1/stream"] = {
        "get": {
            "summary": "A WebSocket: a text is judged while it is being written.",
            "responses": {
                "101": {"description": "Messages in JSON: StreamRequest, then pieces."},
                "403": _json("Error", "A page of another site asks."),
                "426": _json("Error", "No WebSocket."),
                "503": _json("Error", _ERRORS["503"]),
            },
        }
    }
    return {
        "openapi": "3.1.0",
        "info": {"title": "Glider", "version": __version__},
        "paths": paths,
        "components": {
            "schemas": {**answers["$defs"], **requests["$defs"], "Error": _ERROR},
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{}, {"key": []}],
    }


def _operation(asked: str | None, told: str | None, summary: str | None) -> Any:
    header = {"name": "Glider-Deadline-Ms", "in": "header",
              "schema": {"type": "number", "exclusiveMinimum": 0}}  # fmt: skip
    return {
        "summary": summary,
        "parameters": [header],
        "requestBody": {"required": True, **_content(asked)},
        "responses": {"200": _json(told, "Judged, or a typed failure.")}
        | {status: _json("Error", said) for status, said in _ERRORS.items()},
    }


def _json(schema: str | None, said: str) -> dict[str, Any]:
    return {"description": said, **_content(schema)}


def _content(schema: str | None) -> dict[str, Any]:
    kind: dict[str, Any] = {"type": "object"}
    if schema is not None:
        kind = {"$ref": _REF.format(model=schema)}
    return {"content": {"application/json": {"schema": kind}}}
