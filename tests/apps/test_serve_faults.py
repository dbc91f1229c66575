"""A bad day of `glider serve`: every admitted request ends once, whatever clients and engine do."""

import asyncio
import json
import random
import re
import socket
import threading
import time
from collections import Counter
from contextlib import contextmanager, suppress
from itertools import count

import aiohttp
import pytest
from served import Engine, run, serving
from test_serve_policies import config

from glider.core.errors import RateLimited, Unavailable
from glider.serve.settings import Bounds
from glider.serve.verdict_log import LogSettings
from glider.store.run import samples

KEY = {"Authorization": "Bearer key-of-mine"}
GOOD = {"policy": "lax", "output": "We open at nine.", "input": "When?"}


class Unreliable(Engine):
    """Of every ten answers one is an error and one cannot be read; each takes 5 ms."""

    def __init__(self):
        super().__init__(seconds=0.005)
        self._numbers = count()

    def _answered(self, request):
        match next(self._numbers) % 10:
            case 3:
                return Unavailable("restarting")
            case 5:
                return RateLimited("slower")
            case 7:
                return "I would rather not say."
        return super()._answered(request)


BAD = {
    "no JSON": (400, {"data": b'{"policy": ', "headers": KEY | {"Content-Type": "application/json"}}),
    "wrong key": (401, {"json": GOOD, "headers": {"x-api-key": "key-of-nobody"}}),
    "no policy": (404, {"json": GOOD | {"policy": "none"}, "headers": KEY}),
    "too long": (413, {"json": GOOD | {"output": "x" * 5000}, "headers": KEY}),
    "no text": (422, {"json": GOOD | {"output": 3}, "headers": KEY}),
    "half a letter": (422, {"data": json.dumps(GOOD | {"output": "\ud800"}),
                            "headers": KEY | {"Content-Type": "application/json"}}),
    "other type": (415, {"data": b"x", "headers": KEY}),
    "gone": (None, {"json": GOOD | {"policy": "strict", "input": "SLOW"}, "headers": KEY,
                    "timeout": aiohttp.ClientTimeout(0.05)}),
}  # fmt: skip


@pytest.mark.parametrize("n", [300, pytest.param(10_000, marks=pytest.mark.slow)])
def test_of_requests_of_which_three_in_ten_are_bad_each_ends_once(tmp_path, n):
    """Each verdict that a client got is in the log once; each other answer is a typed error."""
    draw = random.Random(5)
    kinds = ["good"] * 7 * (n // 10) + [list(BAD)[k % len(BAD)] for k in range(3 * n // 10)]
    draw.shuffle(kinds)
    engine = Unreliable()
    base = config().model_copy(
        update={"bounds": Bounds(chars=2000), "log": LogSettings(folder=tmp_path / "log")}
    )

    async def told():
        async with serving(engine, config=base, keys={"me": "key-of-mine"}) as client:
            await asyncio.sleep(0)
            found, todo, verdicts = Counter(), iter(enumerate(kinds)), []

            async def ask():
                for number, kind in todo:
                    expected, sent = BAD.get(kind, (200, {"json": GOOD, "headers": KEY}))
                    if kind == "good":
                        sent = {"json": GOOD | {"input": f"When, {number}?"}, "headers": KEY}
                    try:
                        async with client.session.post(client.url + "/v1/judge", **sent) as answer:
                            status, body = answer.status, await answer.json()
                    except (TimeoutError, aiohttp.ClientError):
                        status, body = None, {}
                    assert status == expected, (kind, status, body)
                    if status == 200:
                        verdicts.append((f"When, {number}?", body["verdict"]))
                        assert body["verdict"]["because"] in ("passed", "error")
                    elif status is not None:
                        assert body["error"]["code"] and body["error"]["message"]
                    found[kind] += 1

            await asyncio.gather(*(ask() for _ in range(48)))
            service = client.server.service
            for _ in range(200):
                if not service.in_progress:
                    break
                await asyncio.sleep(0.02)
            lanes = service.serving.lanes.values()
            left = (len(service.in_progress), [lane.idle for lane in lanes])
            return found, verdicts, left, (await client.get("/metrics", headers=KEY))[1]

    found, verdicts, (asking, idle), page = run(told(), 60 + n / 20)
    assert found == Counter(kinds) and asking == 0 and all(idle)
    assert engine.cancelled <= found["gone"]  # the others were still waiting
    (folder,) = tmp_path.iterdir()
    logged = [sample for _, sample in samples(folder)]
    assert sorted((s["input"], s.metadata["because"]) for s in logged) == sorted(
        (asked, verdict["because"]) for asked, verdict in verdicts
    )
    assert Counter(v["because"] for _, v in verdicts)["error"] > n // 10
    counted = sum(
        float(value)
        for value in re.findall(r'glider_requests_total\{route="/v1/judge".*?\} (\S+)', page)
    )
    gone = float(re.search(r'glider_refused_total\{reason="gone"\} (\S+)', page)[1])
    assert counted == n - found["gone"] and 0 < gone <= found["gone"]


def test_a_stop_under_load_ends_what_was_begun_and_takes_nothing_new():
    engine = Engine(seconds=0.2)

    async def told():
        async with serving(engine, config=config(), stop_within_s=20) as client:
            before = engine.begun
            asked = [asyncio.ensure_future(client.post("/v1/judge", GOOD)) for _ in range(24)]
            while engine.begun < before + 8:
                await asyncio.sleep(0.01)
            stopping = asyncio.ensure_future(client.server.stop())
            await asyncio.sleep(0.05)
            late = await asyncio.gather(client.post("/v1/judge", GOOD), return_exceptions=True)
            await stopping
            ends = await asyncio.gather(*asked, return_exceptions=True)
            return ends, late[0]

    ends, late = run(told())
    begun = [one for one in ends if not isinstance(one, BaseException)]
    assert len(begun) >= 8 and all(
        status == 200 and body["verdict"]["because"] == "passed" for status, body, _ in begun
        if status != 503
    )  # fmt: skip
    refused = [one for one in ends if isinstance(one, BaseException)]
    assert all(isinstance(one, aiohttp.ClientError) for one in refused)
    assert isinstance(late, aiohttp.ClientError) or late[0] == 503


BODY = json.dumps(GOOD | {"input": "SLOW"}).encode()
HEAD = (
    "POST /v1/judge HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    f"Content-Length: {len(BODY)}\r\n\r\n"
).encode()
SOCKET = (
    b"GET /v1/stream HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
STAGES = [b"", HEAD[:20], HEAD, HEAD + BODY[:10], HEAD + BODY, HEAD + BODY + HEAD + BODY,
          HEAD + b"9" * len(BODY), SOCKET[:30], SOCKET, SOCKET + b"\x81\x05{", b"\x16\x03\x01\x02"]  # fmt: skip


def test_clients_that_go_at_any_stage_leave_nothing_behind():
    engine = Engine(slow=30)
    quick = config().model_copy(update={"bounds": Bounds(header_seconds=1, body_seconds=2)})

    async def told():
        async with serving(engine, config=quick) as client:
            service = client.server.service
            for sent in STAGES:
                for how in ("abort", "close"):
                    _, writer = await asyncio.open_connection("127.0.0.1", client.server.port)
                    writer.write(sent)
                    with suppress(ConnectionError):
                        await writer.drain()
                    await asyncio.sleep(0.05)
                    writer.transport.abort() if how == "abort" else writer.close()
            for _ in range(400):
                left = (len(service.in_progress), service.streams, len(service.silent))
                idle = all(lane.idle for lane in service.serving.lanes.values())
                if left == (0, 0, 0) and idle:
                    break
                await asyncio.sleep(0.02)
            return left, idle, engine.cancelled, (await client.post("/v1/judge", GOOD))[0]

    left, idle, cancelled, after = run(told())
    # Two ways of going, at the two stages at which the engine was at work.
    assert (left, idle, cancelled, after) == ((0, 0, 0), True, 4, 200)


@pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="the system cannot tell")
def test_answers_that_nobody_reads_are_not_kept_for_ever():
    """Of as many requests as it takes to fill every buffer, sent by who does not read."""
    bounded = config().model_copy(update={"bounds": Bounds(unread_seconds=0.5)})

    async def told():
        async with serving(config=bounded) as client:
            loop, http = asyncio.get_running_loop(), client.server._runner.server
            with socket.socket() as deaf:
                deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                deaf.setblocking(False)
                await loop.sock_connect(deaf, ("127.0.0.1", client.server.port))
                asked = b"GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n"
                sending = asyncio.ensure_future(loop.sock_sendall(deaf, asked * 2000))
                while not any(one.writing_paused for one in http.connections):
                    await asyncio.sleep(0.01)
                began = time.monotonic()
                while http.connections:
                    await asyncio.sleep(0.05)
                took = time.monotonic() - began
                with suppress(ConnectionError):
                    await sending
            return took, (await client.post("/v1/judge", GOOD))[0]

    took, after = run(told())
    assert took < 20 and after == 200


@contextmanager
def in_a_thread(**options):
    """A server's address, for a client that blocks."""
    loop, ready, ended, found = asyncio.new_event_loop(), threading.Event(), asyncio.Event(), []

    async def hosted():
        async with serving(**options) as client:
            found.append(client.url)
            ready.set()
            await ended.wait()

    thread = threading.Thread(target=lambda: loop.run_until_complete(hosted()), daemon=True)
    thread.start()
    try:
        assert ready.wait(30)
        yield found[0]
    finally:
        loop.call_soon_threadsafe(ended.set)
        thread.join(30)
        loop.close()


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
def test_schemathesis_finds_no_fault_and_no_answer_that_is_not_described():
    schemathesis = pytest.importorskip("schemathesis")
    from hypothesis import HealthCheck, Phase, given, settings
    from schemathesis.checks import not_a_server_error
    from schemathesis.specs.openapi.checks import (
        content_type_conformance,
        response_schema_conformance,
        status_code_conformance,
    )

    checks = [not_a_server_error, status_code_conformance, content_type_conformance,
              response_schema_conformance]  # fmt: skip
    answered = Counter()

    def fuzz(operation):
        @settings(
            max_examples=60, derandomize=True, deadline=None, database=None,
            phases=[Phase.generate], suppress_health_check=list(HealthCheck),
        )  # fmt: skip
        @given(case=operation.as_strategy())
        def ask(case):
            response = case.call(timeout=30)
            case.validate_response(response, checks=checks)
            answered[response.status_code] += 1

        ask()

    with in_a_thread(engine=Engine(), config=config()) as url:
        schema = schemathesis.openapi.from_url(url + "/openapi.json")
        operations = [found.ok() for found in schema.get_all_operations()]
        for operation in operations:
            if operation.path != "/v1/stream":  # a WebSocket
                fuzz(operation)
    # Of what it makes up nearly all is refused; bodies that are nearly right are in
    # test_serve_fuzz.py.
    assert len(operations) > 15 and answered[200] >= 5 and answered.total() > 300
