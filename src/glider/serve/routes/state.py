"""What is served, and how the server is: models, criteria, policies, health, load, metrics."""

from aiohttp import web

from glider._version import __version__
from glider.serve.openapi import document
from glider.serve.requests import SERVICE, serving
from glider.serve.responses import json_response

_CAUSES = ("block", "abstain", "deadline", "error")


async def _models(request: web.Request) -> web.Response:
    judges = serving().judges
    return json_response(
        {
            "object": "list",
            "data": [
                {"id": name, "object": "model", "created": 0, "owned_by": "glider"}
                for name in judges
            ],
            "models": [
                {"name": name, "description": one.judge.id, "release_date": ""}
                for name, one in judges.items()
            ],
        }
    )


async def _criteria(request: web.Request) -> web.Response:
    criteria = serving().config.criteria.values()
    return json_response(
        {"criteria": [criterion.model_dump(mode="json") for criterion in criteria]}
    )


async def _policies(request: web.Request) -> web.Response:
    return json_response(
        {
            "policies": {
                name: {
                    "checks": [check.criterion.name for check in one.checks],
                    "promise": list(one.promises),
                    "block_below": {
                        check.criterion.name: check.block_below for check in one.checks
                    },
                    "drift": {
                        check.criterion.name: {
                            "window": check.drift.window,
                            "allowed": check.drift.allowed,
                            "alarms": check.drift.alarms,
                        }
                        for check in one.checks
                        if check.drift is not None
                    },
                    **{f"on_{k}": getattr(one.policy, f"on_{k}") for k in _CAUSES},
                }
                for name, one in serving().policies.items()
            }
        }
    )


async def _openapi(request: web.Request) -> web.Response:
    return json_response(document())


async def _health(request: web.Request) -> web.Response:
    return json_response({"status": "ok", "version": __version__})


async def _ready(request: web.Request) -> web.Response:
    ready = not request.app[SERVICE].stopping
    return json_response({"ready": ready}, 200 if ready else 503)


async def _load(request: web.Request) -> web.Response:
    return json_response(
        {
            "lanes": {
                name: {
                    "waiting": lane.waiting,
                    "running": lane.running,
                    "width": lane.width,
                    "tokens_per_second": lane.pace.per_s,
                }
                for name, lane in serving().lanes.items()
            }
        }
    )


async def _metrics(request: web.Request) -> web.Response:
    page, kind = request.app[SERVICE].metrics.page()
    return web.Response(body=page, headers={"Content-Type": kind})


ROUTES = [
    web.get("/v1/models", _models),
    web.get("/v1/criteria", _criteria),
    web.get("/v1/policies", _policies),
    web.get("/openapi.json", _openapi),
    web.get("/health", _health),
    web.get("/ready", _ready),
    web.get("/load", _load),
    web.get("/metrics", _metrics),
]
