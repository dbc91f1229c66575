"""The fake server seen from outside: by http.client, by httpx2, and by raw bytes."""

import asyncio
import http.client
import json
import os
import random
import signal
import socket
import subprocess
import sys
import threading

import httpx2
import pytest

from glider.testing import _http
from glider.testing import server as fake
from glider.testing.server import ALWAYS_ONLY, FAULTS, NONSENSE, FakeServer, FaultPlan

pytestmark = pytest.mark.filterwarnings("error")

CHAT = {"model": "m", "messages": [{"role": "user", "content": "Is it good?"}]}
ANSWER = "It reads well. Score: 4"


def post(server, request=CHAT, *, path="/chat/completions", headers=None, timeout=10.0):
    with httpx2.Client(trust_env=False) as client:
        url = server.url + path
        if isinstance(request, bytes):
            return client.post(url, content=request, headers=headers, timeout=timeout)
        return client.post(url, json=request, headers=headers, timeout=timeout)


def raw(server, data):
    """What comes back for some bytes, up to the end of the connection."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as sock:
        sock.sendall(data)
        got = b""
        while piece := sock.recv(65536):
            got += piece
    return got


def code(response):
    return response.json()["error"]["code"]


def said(response):
    choice = response.json()["choices"][0]
    return choice["message"]["content"], choice["finish_reason"]


# ---- the good day


def test_a_good_answer():
    with FakeServer(answer=ANSWER) as server:
        response = post(server)
        body = response.request.content
        answer = response.json()
    assert response.status_code == 200
    assert said(response) == (ANSWER, "stop")
    assert answer["object"] == "chat.completion"
    assert answer["model"] == "m"
    assert answer["usage"] == {
        "prompt_tokens": len(body) // 4,
        "completion_tokens": 5,  # 23 characters // 4
        "total_tokens": len(body) // 4 + 5,
    }


def test_the_older_endpoint():
    with FakeServer(answer=ANSWER) as server:
        answer = post(server, {"model": "m", "prompt": "x"}, path="/completions").json()
    assert answer["object"] == "text_completion"
    assert answer["choices"] == [
        {"index": 0, "text": ANSWER, "logprobs": None, "finish_reason": "stop"}
    ]


@pytest.mark.parametrize("text", ["", "naïve ☕ 100 %", '"\\ \r\n\t', "\ud800", "%b %d {x}"])
@pytest.mark.parametrize("constant", [True, False])
def test_any_text_arrives_as_it_is(text, constant):
    with FakeServer(answer=text if constant else lambda request: text) as server:
        assert said(post(server)) == (text, "stop")


def test_answer_from_the_request():
    with FakeServer(answer=lambda request: request["messages"][0]["content"][::-1]) as server:
        assert said(post(server)) == ("?doog ti sI", "stop")


@pytest.mark.parametrize(
    ("body", "model"),
    [
        (b'{"model": "judge-8b", "messages": []}', "judge-8b"),
        (b'{"messages": [], "model" : "org/j:1"}', "org/j:1"),
        (b'{"prompt": "say \\"model\\": \\"evil\\"", "model": "m"}', "m"),  # not from inside a text
        (b'{"messages": []}', "fake-judge"),
        (b'{"model": "na\xc3\xafve"}', "fake-judge"),  # plain ASCII names only
    ],
)
def test_the_model_asked_for_is_named(body, model):
    with FakeServer() as server:
        assert post(server, body).json()["model"] == model
    with FakeServer(model='my "own"') as server:
        assert post(server, body).json()["model"] == 'my "own"'


def test_other_pages():
    with FakeServer(always="server_error", model="j") as server, httpx2.Client() as client:
        root = server.url.removesuffix("/v1")
        assert client.get(root + "/health").json() == {"status": "ok"}
        assert [m["id"] for m in client.get(server.url + "/models").json()["data"]] == ["j"]
        assert client.get(root + "/stats").json() == server.stats()
        lost = client.get(root + "/nowhere?x=1")
        assert (lost.status_code, code(lost)) == (404, "unknown_url")
        assert client.get(server.url + "/chat/completions").status_code == 404
        assert client.put(root + "/health").status_code == 405
    assert server.stats()["requests"] == 0


@pytest.mark.parametrize(
    ("key", "status"), [(None, 401), ("Bearer wrong", 401), ("Bearer right", 200)]
)
def test_api_key(key, status):
    headers = {} if key is None else {"Authorization": key}
    with FakeServer(api_key="right") as server, httpx2.Client() as client:
        assert post(server, headers=headers).status_code == status
        assert client.get(server.url + "/models", headers=headers).status_code == status
        assert client.get(server.url.removesuffix("/v1") + "/health").status_code == 200
    assert server.stats()["faults"]["unauthorized"] == (status == 401)


# ---- the bad day


@pytest.mark.parametrize(
    ("fault", "status", "error"),
    [
        ("rate_limited", 429, "rate_limit_exceeded"),
        ("overloaded", 503, "overloaded"),
        ("server_error", 500, "internal_error"),
        ("unauthorized", 401, "invalid_api_key"),
        ("too_long", 400, "context_length_exceeded"),
        ("not_found", 404, "model_not_found"),
    ],
)
def test_faults_with_a_status(fault, status, error):
    with FakeServer(always=fault) as server:
        response = post(server)
    assert (response.status_code, code(response)) == (status, error)
    assert response.headers.get("retry-after") == ("0.05" if fault == "rate_limited" else None)
    if fault == "too_long":
        assert response.json()["error"]["message"] == (
            "This model's maximum context length is 8192 tokens. "
            "However, your messages resulted in 9001 tokens."
        )
    assert_only(server, fault)


@pytest.mark.parametrize(
    ("fault", "check"),
    [
        ("empty", lambda r: r.content == b"" and r.headers["content-length"] == "0"),
        ("html", lambda r: r.headers["content-type"][:9] == "text/html" and b"<html>" in r.content),
        ("wrong_shape", lambda r: "choices" not in r.json()),
        ("cut_off", lambda r: said(r) == ("It reads we", "length")),
        ("nonsense", lambda r: said(r) == (NONSENSE, "stop")),
    ],
)  # fmt: skip
@pytest.mark.parametrize("constant", [True, False])
def test_faults_inside_a_200(fault, check, constant):
    with FakeServer(answer=ANSWER if constant else lambda request: ANSWER, always=fault) as server:
        response = post(server)
    assert response.status_code == 200
    assert check(response)
    assert_only(server, fault)


@pytest.mark.parametrize(
    ("fault", "httpx_error", "plain_error"),
    [
        ("reset", httpx2.ReadError, ConnectionResetError),
        ("half_json", httpx2.RemoteProtocolError, http.client.IncompleteRead),
    ],
)
def test_faults_of_the_connection(fault, httpx_error, plain_error):
    with FakeServer(always=fault) as server:
        with pytest.raises(httpx_error):
            post(server)
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
        with pytest.raises(plain_error):
            connection.request("POST", "/v1/chat/completions", json.dumps(CHAT))
            connection.getresponse().read()
        connection.close()
    assert_only(server, fault, times=2)


def test_half_json_is_half():
    with FakeServer(answer=ANSWER, always="half_json") as server:
        head, _, body = raw(server, request_bytes()).partition(b"\r\n\r\n")
    promised = int(head.partition(b"Content-Length: ")[2].split()[0])
    assert len(body) == promised // 2
    with pytest.raises(json.JSONDecodeError):
        json.loads(body)


def test_drip_outlasts_a_client(monkeypatch):
    with FakeServer(always="drip") as server:
        with pytest.raises(httpx2.ReadTimeout):
            post(server, timeout=0.3)
        monkeypatch.setattr(_http, "_DRIP_S", 0.01)
        with socket.create_connection(("127.0.0.1", server.port), timeout=10) as sock:
            sock.sendall(request_bytes())
            got = b""
            while got.count(b"\r\n1\r\n ") < 2:  # two drips, so it does go on
                got += sock.recv(100)
    assert got.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"Content-Length" not in got
    assert_only(server, "drip", times=2)


def request_bytes(body=b'{"model": "m"}', extra=b""):
    return (b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\n%bContent-Length: %d\r\n\r\n%b") % (
        extra,
        len(body),
        body,
    )


def assert_only(server, fault, times=1):
    stats = server.stats()
    expected = dict.fromkeys(FAULTS + ALWAYS_ONLY, 0) | {fault: times}
    assert (stats["requests"], stats["faults"]) == (times, expected)
    assert (stats["answered"], stats["in_hand"]) == (0, 0)


def test_the_eleven():
    assert FAULTS == (
        "rate_limited", "overloaded", "server_error", "reset", "empty", "html", "half_json",
        "drip", "wrong_shape", "cut_off", "nonsense",
    )  # fmt: skip
    assert ALWAYS_ONLY == ("unauthorized", "too_long", "not_found")


def test_the_plan_is_kept_in_order_of_arrival():
    faults = ("rate_limited", "server_error", "nonsense")
    plan = FaultPlan(rate=0.5, faults=faults, seed=7)
    expected = [plan.draw() for _ in range(40)]
    seen = {429: "rate_limited", 500: "server_error"}
    with FakeServer(answer=ANSWER, fault_rate=0.5, faults=faults, seed=7) as server:
        responses = [post(server) for _ in range(40)]
    got = [
        seen.get(r.status_code) or ("nonsense" if said(r)[0] == NONSENSE else None)
        for r in responses
    ]
    assert got == expected
    assert None in expected and set(faults) < set(expected)
    assert server.stats()["answered"] == expected.count(None)


def test_the_plan_by_hand():
    drawn = random.Random(3)
    plan = FaultPlan(rate=0.3, faults=FAULTS, seed=3)
    for _ in range(200):
        fails, place = drawn.random() < 0.3, int(drawn.random() * 11)
        assert plan.draw() == (FAULTS[place] if fails else None)


def test_a_higher_rate_keeps_the_failures_of_a_lower_one():
    low = FaultPlan(rate=0.1, faults=FAULTS, seed=5)
    high = FaultPlan(rate=0.3, faults=FAULTS, seed=5)
    pairs = [(low.draw(), high.draw()) for _ in range(3000)]
    assert all(b == a for a, b in pairs if a is not None)
    shares = [sum(pair[i] is not None for pair in pairs) / 3000 for i in (0, 1)]
    assert shares == pytest.approx([0.1, 0.3], abs=0.03)
    assert {b for _, b in pairs} == {None, *FAULTS}


def test_always_goes_before_what_was_drawn():
    with FakeServer(fault_rate=1.0, faults=("server_error",), always="too_long") as server:
        assert post(server).status_code == 400
    assert_only(server, "too_long")


def test_always_may_change_while_it_runs():
    with FakeServer(answer=ANSWER, always="overloaded") as server:
        assert post(server).status_code == 503
        server.always = None
        assert post(server).status_code == 200
        with pytest.raises(ValueError, match="did you mean 'not_found'"):
            server.always = "notfound"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"fault_rate": 1.5}, "share in"),
        ({"fault_rate": float("nan")}, "share in"),
        ({"fault_rate": 0.1, "faults": ()}, "name at least one"),
        ({"delay_s": -1.0}, "0 or more"),
        ({"faults": ("overloded",)}, "did you mean 'overloaded'"),
        ({"faults": ("too_long",)}, "no fault called 'too_long'"),  # for always only
        ({"always": "rest"}, "did you mean 'reset'"),
        ({"process": True, "answer": str}, "constant answer"),
    ],
)
def test_settings_that_cannot_be(settings, message):
    with pytest.raises(ValueError, match=message):
        FakeServer(**settings)


# ---- logprobs


def test_logprobs():
    table = {"5": -2.5, "4": -0.25, "3": -4.0}
    with FakeServer(answer="Score: 4 ☕", top_logprobs=table) as server:
        asked = CHAT | {"logprobs": True, "top_logprobs": 2}
        content = post(server, asked).json()["choices"][0]["logprobs"]["content"]
        silent = post(server, CHAT | {"logprobs": True}).json()["choices"][0]["logprobs"]
        none = post(server, CHAT | {"logprobs": False}).json()["choices"][0]["logprobs"]
    assert [(t["token"], t["logprob"]) for t in content] == [
        ("Score:", 0.0), (" ", 0.0), ("4", -0.25), (" ☕", 0.0),
    ]  # fmt: skip
    assert content[2] == {
        "token": "4",
        "logprob": -0.25,
        "bytes": [52],
        "top_logprobs": [
            {"token": "4", "logprob": -0.25, "bytes": [52]},
            {"token": "5", "logprob": -2.5, "bytes": [53]},
        ],
    }
    assert content[0]["top_logprobs"] == [
        {"token": "Score:", "logprob": 0.0, "bytes": list(b"Score:")}
    ]
    assert content[3]["bytes"] == list(" ☕".encode())
    assert len(silent["content"][2]["top_logprobs"]) == 3  # the whole table when not limited
    assert none is None


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("", []),
        ("4", ["4"]),
        ("42", ["4", "2"]),
        ('{"score": 4}', ['{"score":', " ", "4", "}"]),
        ("a1b", ["a", "1", "b"]),
        ("good  work\n", ["good", "  work", "\n"]),
        ("٤", ["٤"]),  # an Arabic digit is a piece of text here
    ],
)
def test_pieces_add_up_to_the_text(text, pieces):
    with FakeServer(answer=text) as server:
        choice = post(server, CHAT | {"logprobs": True}).json()["choices"][0]
    got = [piece["token"] for piece in choice["logprobs"]["content"]]
    assert got == pieces
    assert "".join(got) == text
    assert all(piece["logprob"] == 0.0 for piece in choice["logprobs"]["content"])


def test_a_digit_outside_the_table_is_very_unlikely():
    with FakeServer(answer="1", top_logprobs={"4": -0.1}) as server:
        [piece] = post(server, CHAT | {"logprobs": True}).json()["choices"][0]["logprobs"][
            "content"
        ]
    assert piece["logprob"] == -9999.0
    assert [rival["token"] for rival in piece["top_logprobs"]] == ["4"]


def test_logprobs_of_the_older_endpoint():
    with FakeServer(answer="is 4", top_logprobs={"4": -0.5, "5": -1.0}) as server:
        request = {"model": "m", "prompt": "x", "logprobs": 1}
        choice = post(server, request, path="/completions").json()["choices"][0]
    assert choice["logprobs"] == {
        "tokens": ["is", " ", "4"],
        "token_logprobs": [0.0, 0.0, -0.5],
        "top_logprobs": [{"is": 0.0}, {" ": 0.0}, {"4": -0.5}],
        "text_offset": [0, 2, 3],
    }


def test_logprobs_follow_a_spoilt_text():
    with FakeServer(answer="4567", always="cut_off") as server:
        choice = post(server, CHAT | {"logprobs": True}).json()["choices"][0]
    assert [piece["token"] for piece in choice["logprobs"]["content"]] == ["4", "5"]


# ---- what it refuses


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b'{"messages": [], "stream": true}', "does not stream"),
        (b'{"logprobs": ', "not JSON"),
        (b'["logprobs"]', "not a JSON object"),
        (b'{"logprobs": true, "top_logprobs": "5"}', "no number"),
        (b'{"stream": false, "logprobs": false}', None),
        (b"\xff", None),  # a constant answer does not read what it answers
    ],
)
@pytest.mark.parametrize("fault", [None, "half_json"])
def test_requests_it_cannot_answer(body, message, fault):
    with FakeServer(always=fault) as server:
        if message is None and fault:
            with pytest.raises(httpx2.RemoteProtocolError):
                post(server, body)
        else:
            response = post(server, body)
            assert response.status_code == (200 if message is None else 400)
            assert message is None or message in response.json()["error"]["message"]
    stats = server.stats()
    assert stats["refused"] == (message is not None)
    assert stats["answered"] + sum(stats["faults"].values()) == (message is None)


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"hello\r\n\r\n", 400),
        (b"GET /health SPDY/3\r\n\r\n", 400),
        (b"POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n", 400),
        (
            b"POST /v1/completions HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            411,
        ),
        (b"POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n", 413),
        (b"GET /health HTTP/1.1\r\nX: ".ljust(64 * 1024 + 1, b"x"), 400),
    ],
)
def test_http_it_cannot_read(data, status):
    with FakeServer() as server:
        answer = raw(server, data)  # which also shows that it hangs up
    assert answer.startswith((b"HTTP/1.1 %d " % status, b"HTTP/1.0 %d " % status))


def test_an_answer_that_raises_is_heard_of():
    def answer(request):
        raise KeyError("subject")

    with pytest.raises(KeyError, match="subject"), FakeServer(answer=answer) as server:
        response = post(server)
        assert (response.status_code, code(response)) == (500, "answer_raised")
    assert server.stats()["crashed"] == 1

    with pytest.raises(TypeError, match="gave int"), FakeServer(answer=lambda request: 4) as server:
        post(server)

    with (
        pytest.raises(ZeroDivisionError),
        FakeServer(answer=answer) as server,
    ):  # first things first
        post(server)
        raise ZeroDivisionError


# ---- connections


def test_a_connection_is_used_again():
    with FakeServer(answer=ANSWER) as server:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
        for _ in range(10):
            connection.request("POST", "/v1/chat/completions", json.dumps(CHAT))
            assert json.loads(connection.getresponse().read())["choices"]
        connection.close()
        post(server)
    stats = server.stats()
    assert (stats["requests"], stats["connections"]) == (11, 2)


@pytest.mark.parametrize(
    ("version", "header", "kept"),
    [
        (b"1.1", b"", True),
        (b"1.1", b"Connection: Close\r\n", False),
        (b"1.0", b"", False),
        (b"1.0", b"Connection: Keep-Alive\r\n", True),
    ],
)
def test_closing_when_asked(version, header, kept):
    first = b"GET /health HTTP/%b\r\nHost: x\r\n%b\r\n" % (version, header)
    last = b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    with FakeServer() as server:
        # It hangs up by itself where it is to, or the bytes would not end.
        assert raw(server, first + (last if kept else b"")).count(b" 200 OK") == 1 + kept


@pytest.mark.parametrize("delay_s", [0.0, 0.01])
def test_requests_in_any_pieces(delay_s):
    asked = request_bytes() * 3 + request_bytes(extra=b"connection:close\r\n")
    with FakeServer(delay_s=delay_s) as server:
        assert raw(server, asked).count(b"HTTP/1.1 200 OK") == 4  # all at once
        with socket.create_connection(("127.0.0.1", server.port), timeout=10) as sock:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for byte in asked:  # and byte by byte
                sock.sendall(bytes([byte]))
            got = b""
            while piece := sock.recv(65536):
                got += piece
        assert got.count(b"HTTP/1.1 200 OK") == 4
        long = CHAT | {"more": "x" * 3_000_000}
        assert post(server, long).json()["usage"]["prompt_tokens"] > 750_000
    assert server.stats()["answered"] == 9


def test_the_delay_holds_for_faults_and_is_not_waited_for_at_the_end():
    with FakeServer(delay_s=60.0, always="server_error") as server:
        with pytest.raises(httpx2.ReadTimeout):
            post(server, timeout=0.1)
        waiting = socket.create_connection(("127.0.0.1", server.port), timeout=10)
        waiting.sendall(request_bytes())
        while server.stats()["in_hand"] != 1 or server.stats()["abandoned"] != 1:
            pass
    with waiting:
        assert waiting.recv(1) == b""
    assert server.stats()["abandoned"] == 2


def test_a_client_that_left_is_not_answered_later():
    with FakeServer(delay_s=0.05) as server:
        with socket.create_connection(("127.0.0.1", server.port), timeout=10) as sock:
            sock.sendall(request_bytes())
        while server.stats()["abandoned"] != 1:
            pass
        post(server)  # comes due after the first would have
    stats = server.stats()
    assert (stats["abandoned"], stats["answered"], stats["in_hand"]) == (1, 1, 0)


def test_request_ids():
    with FakeServer() as server:
        for request_id in ("a", "b", "a", "a", None):
            post(server, headers={"X-Request-Id": request_id} if request_id else None)
    stats = server.stats()
    assert (stats["requests"], stats["request_ids"], stats["duplicates"]) == (5, 2, 2)


def test_each_with_starts_afresh_and_leaves_no_thread():
    before = set(threading.enumerate())
    server = FakeServer(fault_rate=0.5, faults=("server_error",), seed=1)
    runs = []
    for _ in range(2):
        with server:
            with pytest.raises(RuntimeError, match="running already"), server:
                pass
            runs.append([post(server).status_code for _ in range(8)])
        assert server.stats()["requests"] == 8
        with pytest.raises(RuntimeError, match="not started"):
            _ = server.url
    assert runs[0] == runs[1]
    assert set(threading.enumerate()) == before


# ---- many at once


async def flood(port, total, lanes):
    """Statuses of `total` requests over `lanes` kept connections; 0 for one cut off."""
    statuses = []
    left = iter(range(total))

    async def lane():
        reader = writer = None
        for number in left:
            if writer is None:
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(request_bytes(extra=b"X-Request-Id: %d\r\n" % number))
            try:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
                await reader.readexactly(length)
                statuses.append(int(head.split(b" ", 2)[1]))
            except (ConnectionError, asyncio.IncompleteReadError):
                statuses.append(0)
                writer.close()
                writer = None
        if writer is not None:
            writer.close()
            await writer.wait_closed()

    await asyncio.gather(*(lane() for _ in range(lanes)))
    return statuses


@pytest.mark.parametrize("process", [False, True])
def test_two_thousand_requests(process):
    with FakeServer(answer=ANSWER, delay_s=0.005, process=process) as server:
        statuses = asyncio.run(flood(server.port, 2000, 64))
    stats = server.stats()
    assert statuses == [200] * 2000
    assert (stats["requests"], stats["answered"], stats["connections"]) == (2000, 2000, 64)
    assert (stats["request_ids"], stats["duplicates"], stats["in_hand"]) == (2000, 0, 0)
    assert 1 < stats["max_in_hand"] <= 64


def test_every_request_of_a_bad_day_is_accounted_for():
    faults = tuple(name for name in FAULTS if name != "drip")
    with FakeServer(fault_rate=0.3, faults=faults, seed=7) as server:
        statuses = asyncio.run(flood(server.port, 1000, 32))
    stats = server.stats()
    failed = stats["faults"]
    assert len(statuses) == stats["requests"] == 1000
    assert stats["answered"] + sum(failed.values()) == 1000
    assert statuses.count(429) == failed["rate_limited"]
    assert statuses.count(0) == failed["reset"] + failed["half_json"]
    plan = FaultPlan(rate=0.3, faults=faults, seed=7)
    drawn = [plan.draw() for _ in range(1000)]
    assert {name: failed[name] for name in faults} == {name: drawn.count(name) for name in faults}


# ---- in a process of its own


def test_process():
    answer = 'naïve\r\n"☕" \ud800 4\n'
    settings = {"answer": answer, "api_key": "k", "model": "j", "top_logprobs": {"4": -0.5}}
    faults = ("rate_limited", "nonsense")
    with FakeServer(process=True, fault_rate=0.5, faults=faults, seed=9, **settings) as server:
        assert post(server).status_code == 401
        ask = CHAT | {"logprobs": True}
        replies = [post(server, ask, headers={"Authorization": "Bearer k"}) for _ in range(20)]
        assert server.stats()["requests"] == 21
        with pytest.raises(RuntimeError, match="in its own process"):
            server.always = None
    plan = FaultPlan(rate=0.5, faults=faults, seed=9)
    want = {"rate_limited": (429, None), "nonsense": (200, NONSENSE), None: (200, answer)}
    got = [(r.status_code, said(r)[0] if r.status_code == 200 else None) for r in replies]
    assert got == [want[plan.draw()] for _ in range(20)]
    good = next(r.json() for r in replies if r.status_code == 200 and said(r)[0] == answer)
    assert good["model"] == "j"
    assert {"4": -0.5}.items() <= {
        piece["token"]: piece["logprob"] for piece in good["choices"][0]["logprobs"]["content"]
    }.items()
    assert server.stats()["requests"] == 21


def test_process_that_is_killed_is_reported():
    with pytest.raises(RuntimeError, match="before its time"):  # noqa: SIM117
        with FakeServer(process=True, always="not_found") as server:
            assert post(server).status_code == 404
            server._child.kill()


def command(*options):
    return subprocess.Popen(
        [sys.executable, "-m", "glider.testing.server", "--port", "0", *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(p for p in sys.path if p)},
    )


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGINT])
def test_command_line(end, tmp_path):
    answer = tmp_path / "answer.txt"
    answer.write_text(ANSWER, encoding="utf-8")
    with command("--delay", "0.01", "--seed", "7", "--answer-file", str(answer)) as child:
        line = child.stdout.readline()
        assert line.startswith("listening on http://127.0.0.1:")
        url = line.split()[-1] + "/v1/chat/completions"
        assert said(httpx2.post(url, json=CHAT)) == (ANSWER, "stop")
        child.send_signal(end)
        out, err = child.communicate(timeout=30)
    assert (child.returncode, err) == (0, "")
    assert json.loads(out)["answered"] == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--fault-rate", "2"), "a share in [0, 1]"),
        (("--faults", "drop"), "did you mean 'drip'?"),
        (("--answer-file", "no-such-file"), "no-such-file"),
        (("--top-logprobs", "{"), "--top-logprobs"),
        (("--port", "70000"), "port"),
    ],
)
def test_command_line_says_what_is_wrong(options, message, capsys):
    with pytest.raises(SystemExit, match="2"):
        fake.main(list(options))
    assert message in capsys.readouterr().err


def test_help_names_every_fault(capsys):
    with pytest.raises(SystemExit, match="0"):
        fake.main(["--help"])
    shown = capsys.readouterr().out
    assert all(name in shown for name in FAULTS + ALWAYS_ONLY)
