"""`/v1/stream` over a real WebSocket: text that is judged while it is being written."""

import asyncio
import json

import aiohttp
import pytest
from served import Engine, run, serving
from test_serve_policies import config

from glider.core.errors import Unavailable
from glider.serve.settings import Bounds
from glider.serve.verdict_log import LogSettings
from glider.store.run import samples

CALM = "We open at nine in the morning. "


async def talked(client, messages, *, opening=None, pause=0.02, headers=None):
    """Send messages; return all that the server said."""
    url = client.url.replace("http", "ws") + "/v1/stream"
    said = []
    async with client.session.ws_connect(url, headers=headers) as socket:
        await socket.send_json({"policy": "lax", "first": 40, "hold_back": 10} | (opening or {}))
        for message in messages:
            if isinstance(message, bytes):
                await socket.send_bytes(message)
            elif isinstance(message, str):
                await socket.send_str(message)
            else:
                await socket.send_json(message)
            await asyncio.sleep(pause)
        async for message in socket:
            said.append(json.loads(message.data))
        return said, socket.close_code


def pieces(text, size=16):
    return [{"text": text[n : n + size]} for n in range(0, len(text), size)] + [{"end": True}]


def test_what_is_allowed_is_released_piece_by_piece_and_all_of_it_at_the_end(tmp_path):
    engine, text = Engine(), CALM * 8
    logged = config().model_copy(update={"log": LogSettings(folder=tmp_path / "log")})

    async def told():
        async with serving(engine, config=logged) as client:
            before = engine.begun
            said, code = await talked(client, pieces(text), opening={"reasons": "now"})
            page = (await client.get("/metrics"))[1]
            return said, code, engine.begun - before, page

    said, code, asked, page = run(told())
    assert "".join(one["release"] for one in said) == text and code == 1000
    assert len(said) > 3 and asked == len(said)
    assert all(one["held"] >= 10 for one in said[:-1]) and said[-1]["held"] == 0
    assert said[-1]["verdict"]["verdict"] == "allow" and said[-1]["verdict"]["promise"] == []
    assert said[-1]["outcomes"][0]["reasoning"] == "It says nine."
    assert 'glider_verdicts_total{because="passed",policy="lax",verdict="allow"} 1.0' in page
    (folder,) = tmp_path.iterdir()
    assert len(list(samples(next(folder.parent.glob("log*"))))) == 1


def test_a_block_stops_the_text_and_releases_nothing_more():
    async def told():
        async with serving(config=config()) as client:
            return await talked(client, pieces(CALM * 8), opening={"policy": "strict"})

    said, _ = run(told())
    assert len(said) == 1 and said[0]["verdict"]["verdict"] == "block"
    assert said[0]["release"] == "" and said[0]["held"] >= 40


def test_what_is_to_be_asked_is_held_until_a_longer_text_is_allowed():
    engine, asks = Engine(), config()
    lax = asks.policies["lax"].model_copy(update={"on_error": "ask"})
    asks = asks.model_copy(update={"policies": {"lax": lax}})

    async def told():
        async with serving(engine, config=asks) as client:
            engine.error = Unavailable("down")
            held = asyncio.ensure_future(talked(client, pieces(CALM * 4), pause=0.05))
            await asyncio.sleep(0.35)
            engine.error = None
            return (await held)[0]

    said = run(told())
    assert "".join(one["release"] for one in said) == CALM * 4
    assert said[-1]["verdict"]["because"] == "passed"


@pytest.mark.parametrize(
    ("opening", "messages", "code"),
    [
        ({"policy": "none"}, [], "policy_not_found"),
        ({"model": "glider"}, [], "bad_request"),
        ({"first": 1}, [], "bad_request"),
        ({}, ["no JSON"], "not_json"),
        ({}, [b"{}"], "bad_request"),
        ({}, [{"words": "x"}], "bad_request"),
        ({}, [{"text": "\ud83d"}], "not_unicode"),
        ({}, [{"end": True}], "bad_request"),
        ({}, [{"text": "  ", "end": True}], "bad_request"),
        ({}, [{"text": "x" * 80}] * 30, "text_too_long"),
        ({}, [{"text": "x"}], "request_timeout"),
    ],
)  # fmt: skip
def test_what_cannot_be_judged_is_a_typed_error_and_the_server_goes_on(opening, messages, code):
    bounds = Bounds(chars=2000, stream_seconds=0.3)
    bounded = config().model_copy(update={"bounds": bounds})

    async def told():
        async with serving(config=bounded) as client:
            said, closed = await talked(client, messages, opening=opening, pause=0)
            after, _ = await talked(client, pieces(CALM))
            for _ in range(100):
                if not client.server.service.streams:
                    break
                await asyncio.sleep(0.02)
            return said, closed, after, client.server.service.streams

    said, closed, after, left = run(told())
    assert said[-1]["error"]["code"] == code and closed == 1008
    assert after[-1]["verdict"]["verdict"] == "allow" and left == 0


def test_a_socket_is_opened_by_whoever_may_ask():
    async def told():
        bounds = Bounds(streams=1)
        bounded = config().model_copy(update={"bounds": bounds})
        async with serving(config=bounded, keys={"me": "key-of-mine"}) as client:
            key = {"Authorization": "Bearer key-of-mine"}
            found = []
            for headers in ({}, key | {"Origin": "http://evil.example"}):
                with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
                    await talked(client, [], headers=headers)
                found.append(refused.value.status)
            found.append((await client.get("/v1/stream", headers=key))[0])
            own = key | {"Origin": client.url}
            url = client.url.replace("http", "ws") + "/v1/stream"
            async with client.session.ws_connect(url, headers=own):
                with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
                    await talked(client, [], headers=key)
                found.append(refused.value.status)
            return found

    assert run(told()) == [401, 403, 426, 503]


def test_a_client_that_is_gone_ends_the_work():
    engine = Engine(slow=30)

    async def told():
        async with serving(engine, config=config()) as client:
            url = client.url.replace("http", "ws") + "/v1/stream"
            async with client.session.ws_connect(url) as socket:
                await socket.send_json({"policy": "lax", "first": 20})
                await socket.send_json({"text": "SLOW and long enough", "end": True})
                while not client.server.service.serving.judges["glider"].scores.running:
                    await asyncio.sleep(0.01)
                socket._response.connection.transport.abort()
            for _ in range(200):
                if engine.cancelled and not client.server.service.streams:
                    break
                await asyncio.sleep(0.02)
            return engine.cancelled, client.server.service.streams

    assert run(told()) == (1, 0)
