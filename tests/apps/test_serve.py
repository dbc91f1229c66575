"""`glider serve` over real HTTP on loopback, with a scripted engine; once with the real model."""

import asyncio
import gzip
import json
import os
import shutil
import signal
import ssl
import subprocess
import sys
import time
from contextlib import suppress

import aiohttp
import pytest
from aiohttp import web
from bounded import killed_after
from in_process import glider
from serve_bodies import ASKED, CRITERION, DECISIONS, RUBRIC, SYSTEMONE, TEXT
from served import Engine, run, serving

from glider import Judge
from glider.core.errors import AccessRefused, RunError, Unavailable
from glider.judging.settings import ModelSettings
from glider.serve.app import make_app
from glider.serve.keys import Keys
from glider.serve.limits import KeyLimit
from glider.serve.server import Server
from glider.serve.service import ServedJudge, Serving
from glider.serve.settings import Bounds, Config, ServeSettings

JSON = {"Content-Type": "application/json"}


def test_a_judgment_has_score_reason_and_marks_in_code_points():
    async def told():
        async with serving() as client:
            return await client.post("/v1/judge", ASKED)

    status, body, _ = run(told())
    (outcome,) = body["outcomes"]
    assert (status, outcome["kind"], outcome["score"], body["reasons"]) == (
        200,
        "judgment",
        9,
        "here",
    )
    assert sum(outcome["score_probs"].values()) == pytest.approx(1)
    assert outcome["reasoning"] == "It says nine."
    (span,) = outcome["highlights"][0]["spans"]
    assert TEXT[span["start"] : span["end"]] == "nine" and "raw_text" not in outcome


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"criteria": ["helpfulness", CRITERION], "input": "a", "output": "b"}, 200, None),
        ({"criterion": CRITERION, "output": "b", "fields": {"persona": "a nurse"}}, 200, None),
        ({"criterion": CRITERION, "output": "b", "reasons": "none"}, 200, None),
        ({"criterion": "nonsense", "output": "b"}, 404, "criterion_not_found"),
        ({"criterion": CRITERION, "output": "b", "model": "gpt"}, 404, "model_not_found"),
        ({"criterion": CRITERION | {"rubric": {"1": "x"}}, "output": "b"}, 422, "rubric"),
        ({"criterion": CRITERION, "output": "b", "fields": {"cls": "x"}}, 422, "bad_request"),
        ({"criterion": CRITERION, "output": "b", "fields": {"1": "x"}}, 422, "bad_request"),
        ({"criterion": CRITERION, "output": "b", "fields": {"a": 1}}, 422, "bad_request"),
        ({"criterion": CRITERION, "output": ""}, 422, "bad_request"),
        ({"criterion": CRITERION, "output": "b", "outputs": []}, 422, "bad_request"),
        ({"criterion": CRITERION, "criteria": ["helpfulness"], "output": "b"}, 422, "bad_request"),
        ({"criteria": [CRITERION, CRITERION], "output": "b"}, 422, "bad_request"),
        ({"output": "b"}, 422, "bad_request"),
        ({"criterion": CRITERION, "output": "b", "deadline_ms": 0}, 422, "bad_request"),
        ({"criterion": CRITERION, "output": "\ud800"}, 422, "not_unicode"),
        ({"criterion": CRITERION, "output": "x" * 3000}, 413, "text_too_long"),
        ({"criterion": CRITERION, "output": "x" * 30_000}, 413, "body_too_large"),
        (json.loads("[" * 60 + "]" * 60), 422, "bad_request"),
        ({"output": json.loads("[" * 60 + "]" * 60)}, 422, "bad_request"),
    ],
)  # fmt: skip
def test_what_is_asked_is_judged_or_refused_by_name(body, status, code):
    bounds = Bounds(body_bytes=20_000, chars=2000)
    config = Config.of(ModelSettings()).model_copy(update={"bounds": bounds})

    async def told():
        async with serving(config=config) as client:
            return await client.post("/v1/judge", body)

    found, answer, _ = run(told())
    assert found == status, answer
    if code is None:
        assert all(one["kind"] == "judgment" for one in answer["outcomes"])
    else:
        assert answer["error"]["code"] == answer["detail"]["error_type"] == code


RAW = [
    (b"{", JSON, 400),
    (b'{"a": NaN}', JSON, 400),
    (b'{"a": 1e999, "output": "x", "criterion": "helpfulness"}', JSON, 422),
    (b"[" * 100_000, JSON, 400),
    (b'{"a": ' + b"9" * 5000 + b"}", JSON, 400),
    (b"\xff\xfe\x00", JSON, 400),
    (b"", JSON, 400),
    (b"no gzip", JSON | {"Content-Encoding": "gzip"}, 400),
    (b"no deflate", JSON | {"Content-Encoding": "deflate"}, 400),
    (b"{}", {"Content-Type": "text/plain"}, 415),
    (b"{}", {"Content-Type": "application/json", "Glider-Deadline-Ms": "soon"}, 422),
]


def test_bodies_that_are_no_request_are_refused_and_the_server_goes_on():
    async def told():
        async with serving() as client:
            found = []
            for data, headers, _ in RAW:
                status, body, _ = await client.post("/v1/judge", data=data, headers=headers)
                assert body["error"]["message"]
                found.append(status)
            others = [
                (await client.get(path))[0]
                for path in ("/v1/judge", "/nothing", "/v1/judgments/none")
            ]
            return found, others, (await client.post("/v1/judge", ASKED))[0]

    found, others, after = run(told())
    assert found == [status for _, _, status in RAW]
    assert others == [405, 404, 404] and after == 200


def test_a_client_that_drips_is_not_waited_for():
    bounds = Bounds(body_seconds=0.2)
    config = Config.of(ModelSettings()).model_copy(update={"bounds": bounds})

    async def told():
        async with serving(config=config) as client:
            reader, writer = await asyncio.open_connection("127.0.0.1", client.server.port)
            writer.write(
                b"POST /v1/judge HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
                b"Content-Length: 50\r\n\r\n{"
            )
            line = await asyncio.wait_for(reader.readline(), 5)
            writer.close()
            return line

    assert b"408" in run(told())


@pytest.mark.parametrize("sent", [b"", b"POST /v1/judge HTTP/1.1\r\nHost: x\r\nX-Slow: "])
def test_headers_that_do_not_come_are_not_waited_for(sent):
    config = Config.of(ModelSettings())
    config = config.model_copy(update={"bounds": Bounds(header_seconds=0.3)})

    async def told():
        async with serving(config=config) as client:
            reader, writer = await asyncio.open_connection("127.0.0.1", client.server.port)
            before = time.monotonic()
            for byte in sent:
                writer.write(bytes([byte]))
                await asyncio.sleep(0)
            drips = asyncio.ensure_future(_drips(writer, b"a" if sent else b""))
            try:
                closed = await asyncio.wait_for(reader.read(), 10)
            except ConnectionError:
                closed = b""
            took = time.monotonic() - before
            drips.cancel()
            writer.transport.abort()
            kept = (await client.post("/v1/judge", ASKED))[0]
            await asyncio.sleep(0.5)  # a connection that has asked once stays open
            again = (await client.post("/v1/judge", ASKED))[0]
            return closed, took, kept, again, len(client.server.service.silent)

    closed, took, kept, again, silent = run(told())
    assert closed == b"" and 0.25 < took < 8 and (kept, again, silent) == (200, 200, 0)


def test_headers_that_came_while_the_server_stood_still_are_answered():
    config = Config.of(ModelSettings())
    config = config.model_copy(update={"bounds": Bounds(header_seconds=0.3)})

    async def told():
        async with serving(config=config) as client:
            reader, writer = await asyncio.open_connection("127.0.0.1", client.server.port)
            await asyncio.sleep(0.1)  # the server has the connection
            writer.write(b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            time.sleep(0.5)
            answer = await reader.read()
            writer.close()
            return answer

    assert b"200 OK" in run(told())


async def _drips(writer, byte):
    while True:
        writer.write(byte)
        await asyncio.sleep(0.05)


def test_a_key_that_asks_too_much_is_told_to_wait_and_counted_by_name():
    limits = {"a": KeyLimit(per_minute=2), "b": KeyLimit(at_once=1)}
    config = Config.of(ModelSettings()).model_copy(update={"limits": limits})

    async def told():
        keys = {"a": "key-of-a-1", "b": "key-of-b-1"}
        async with serving(Engine(slow=0.5), config=config, keys=keys) as client:
            a, b = ({"Authorization": f"Bearer key-of-{name}-1"} for name in "ab")
            found = [await client.post("/v1/judge", ASKED, headers=a) for _ in range(3)]
            slow = {"criterion": CRITERION, "output": "SLOW"}
            both = await asyncio.gather(
                *(client.post("/v1/judge", slow, headers=b) for _ in range(2))
            )
            later = await client.post("/v1/judge", ASKED | {"reasons": "later"}, headers=b)
            path = f"/v1/judgments/{later[1]['id']}"
            await client.get(path, headers=b | {"Accept": "text/event-stream"})
            return found, both, (await client.get("/metrics", headers=a))[1]

    found, both, page = run(told())
    assert [status for status, _, _ in found] == [200, 200, 429]
    assert int(found[2][2]["Retry-After"]) >= 1
    assert found[2][1]["error"]["code"] == "rate_limit_exceeded"
    assert sorted(status for status, _, _ in both) == [200, 429]
    assert 'glider_key_requests_total{key="a",status="429"} 1.0' in page
    assert 'glider_key_outcomes_total{key="a",kind="judgment"} 2.0' in page
    # Its reasons that came later count as well.
    assert 'glider_key_outcomes_total{key="b",kind="judgment"} 3.0' in page
    assert 'glider_key_tokens_total{direction="input",key="b"}' in page


def _questions(n):
    return [{"type": "predicate", "instructions": f"Is it {k}?"} for k in range(n)]


@pytest.mark.parametrize(
    ("path", "of"),
    [
        ("/v1/judge", lambda n: {"criteria": [CRITERION | {"name": f"c{k}"} for k in range(n)], "output": "b"}),
        ("/v1/decisions", lambda n: {"input": "x", "questions": _questions(n)}),
        ("/v1/compare", lambda n: {"criterion": CRITERION, "outputs": ["a"] * n}),
        ("/v1/moderations", lambda n: {"input": ["x"] * n}),
        ("/beta/litellm_basic_guardrail_api", lambda n: {"input_type": "request", "texts": ["x"] * n}),
    ],
)  # fmt: skip
def test_one_request_with_many_texts_is_not_one_text(path, of, tmp_path):
    file = tmp_path / "c.yaml"
    file.write_text(
        "limits: {a: {texts_per_minute: 3}}\n"
        "policies: {p: {checks: [{criterion: helpfulness, block_below: 1}],\n"
        "  on_block: block, on_abstain: ask, on_deadline: ask, on_error: ask}}\n"
    )
    config = Config.load(file, ModelSettings())

    async def told():
        engine = Engine()
        async with serving(engine, config=config, keys={"a": "key-of-a-1"}) as client:
            headers = {"Authorization": "Bearer key-of-a-1"}
            few = await client.post(path, of(2), headers=headers)
            begun = engine.begun
            more = await client.post(path, of(2), headers=headers)
            return few, more, engine.begun - begun

    few, more, begun = run(told())
    assert few[0] == 200, few
    assert (more[0], more[1]["error"]["code"]) == (429, "rate_limit_exceeded")
    assert int(more[2]["Retry-After"]) >= 1
    assert begun == 0


@pytest.mark.parametrize("path", ["/v1/judge", "/v1/decisions"])
def test_a_client_that_is_gone_ends_the_work_in_the_engine(path):
    engine = Engine(slow=30)

    async def told():
        async with serving(engine) as client:
            body = {"criterion": "helpfulness", "input": "a", "output": "SLOW"}
            if path == "/v1/decisions":
                body = {"input": "SLOW", "questions": [{"type": "predicate", "instructions": "x"}]}
            with pytest.raises(asyncio.TimeoutError):
                await client.post(path, body, timeout=aiohttp.ClientTimeout(0.3))
            for _ in range(100):
                if engine.cancelled:
                    break
                await asyncio.sleep(0.02)
            return engine.cancelled, json.loads((await client.get("/load"))[1])["lanes"]

    cancelled, lanes = run(told())
    assert cancelled == 1
    assert all(lane["running"] == lane["waiting"] == 0 for lane in lanes.values())


def test_what_cannot_be_done_in_time_is_refused_at_once_with_both_numbers():
    engine = Engine(seconds=0.3, slow=30)

    async def told():
        async with serving(engine) as client:
            begun, before = engine.begun, time.monotonic()
            header = {"Glider-Deadline-Ms": "50"}
            status, body, headers = await client.post("/v1/judge", ASKED, headers=header)
            took = time.monotonic() - before
            in_time = await client.post("/v1/judge", ASKED | {"deadline_ms": 20_000})
            late = await client.post(
                "/v1/judge", ASKED | {"criterion": CRITERION, "output": "SLOW", "deadline_ms": 2500}
            )
            return status, body["error"], headers, took, engine.begun - begun, in_time[0], late

    status, error, headers, took, begun, in_time, late = run(told())
    assert (status, error["code"], error["begun"]) == (503, "deadline", False)
    assert error["estimate_ms"] > error["left_ms"] and int(headers["Retry-After"]) >= 1
    assert took < 10 and begun == 2 and in_time == 200
    assert late[0] == 503 and late[1]["error"]["begun"]


def test_long_answers_do_not_hold_up_bare_scores():
    engine = Engine(slow=20)

    async def told():
        async with serving(engine) as client:
            body = {"criterion": "helpfulness", "input": "a", "output": "SLOW"}
            long = [asyncio.ensure_future(client.post("/v1/judge", body)) for _ in range(40)]
            await asyncio.sleep(0.3)
            before = time.monotonic()
            status, _, _ = await client.post("/v1/judge", ASKED | {"reasons": "none"})
            for one in long:
                one.cancel()
            return status, time.monotonic() - before

    status, took = run(told())
    assert status == 200 and took < 15


def test_scores_now_and_reasons_later():
    async def told():
        async with serving(
            Engine(seconds=0.2), keys={"a": "key-of-a-1", "b": "key-of-b-1"}
        ) as client:
            a, b = ({"Authorization": f"Bearer key-of-{name}-1"} for name in "ab")
            _, now, _ = await client.post("/v1/judge", ASKED | {"reasons": "later"}, headers=a)
            path = f"/v1/judgments/{now['id']}"
            first = (await client.get(path, headers=a))[0]
            others = (await client.get(path, headers=b))[0]
            stream = await client.get(path, headers=a | {"Accept": "text/event-stream"})
            then = await client.get(path, headers=a)
            return now, first, others, stream[1], then

    now, first, others, stream, (status, then, _) = run(told())
    assert now["outcomes"][0]["reasoning"] is None and now["outcomes"][0]["score_probs"]
    assert (first, others, status) == (202, 404, 200)
    assert json.loads(then)["outcomes"][0]["reasoning"] == "It says nine."
    assert json.loads(stream.split("data: ")[1]) == json.loads(then)


def test_what_fails_is_a_typed_failure_and_no_number():
    engine = Engine()

    async def told():
        async with serving(engine) as client:
            found = {}
            engine.answer = "I cannot say."
            found["unread"] = await client.post("/v1/judge", ASKED)
            found["field"] = await client.post(
                "/v1/judge", {"criterion": "faithfulness", "output": "a"}
            )
            engine.error = Unavailable("restarting")
            found["down"] = await client.post("/v1/judge", ASKED)
            found["systemone"] = await client.post("/v1/systemone", SYSTEMONE)
            found["decisions"] = await client.post("/v1/decisions", DECISIONS)
            engine.error = AccessRefused("the secret key sk-1 is wrong")
            found["refused"] = await client.post("/v1/judge", ASKED)
            engine.error = engine.answer = None
            found["after"] = await client.post("/v1/judge", ASKED)
            return found

    found = run(told())
    for name, code in (
        ("unread", "missing_part"),
        ("field", "missing_field"),
        ("down", "unavailable"),
    ):
        status, body, _ = found[name]
        (outcome,) = body["outcomes"]
        assert (status, outcome["kind"], outcome["code"]) == (200, "failure", code)
        assert "score" not in outcome
    assert found["systemone"][0] == 503 and found["systemone"][2]["Retry-After"]
    assert {a["type"] for a in found["decisions"][1]["answers"]} == {"refusal"}
    assert found["decisions"][1]["answers"][0]["error"]["code"] == "unavailable"
    assert found["refused"][0] == 502 and found["after"][0] == 200


def test_decisions_are_of_its_shape_and_say_why_when_asked():
    async def told():
        async with serving() as client:
            plain = await client.post("/v1/decisions", DECISIONS)
            why = await client.post("/v1/decisions", DECISIONS | {"glider": {"reasons": True}})
            wrong = await client.post("/v1/decisions", DECISIONS | {"glider": {"x": 1}})
            return plain, why, wrong

    (status, body, _), (_, why, _), wrong = run(told())
    predicate, choice, score = body["answers"]
    assert status == 200 and wrong[0] == 422
    assert predicate == {"type": "predicate", "name": "p", "probability": pytest.approx(1 / 3),
                         "label_mass": pytest.approx(0.9)}  # fmt: skip
    assert choice["name"] is None and choice["choice"] == "true"
    assert [one["value"] for one in choice["probabilities"]] == ["true", True]
    assert score["score"] == pytest.approx(0.25 + 0.5 + 0.25 - 0.0)
    assert [one["value"] for one in score["probabilities"]] == [0, 1, 2]
    assert [one["label"] for one in score["probabilities"]] == ["bad", "fair", "good"]
    assert body["usage"]["total_tokens"] > 0
    assert why["answers"][0]["glider"]["reasoning"] == "It says nine."
    assert why["answers"][0]["glider"]["highlights"][0]["spans"][0]["field"] == "output"


def test_system_one_is_of_its_shape():
    async def told():
        async with serving() as client:
            return await client.post("/v1/systemone", SYSTEMONE, headers={"Glider-Reasons": "1"})

    status, body, _ = run(told())
    assert status == 200 and list(body["answers"]) == ["kind", "which", "good"]
    assert body["answers"]["kind"]["noul"] == pytest.approx(1 / 3)
    assert set(body["answers"]["which"]["probabilities"]) == {"a", "b"}
    assert body["answers"]["good"]["legend"] == {"0": "bad", "1": "fair", "2": "good"}
    assert sum(body["answers"]["good"]["probabilities"].values()) == pytest.approx(1)
    assert body["diagnostics"]["good"]["label_mass"] == pytest.approx(0.9)
    assert body["answers"]["good"]["glider"]["reasoning"] == "It says nine."


@pytest.mark.parametrize("blank", [None, "", " \n"])
def test_a_question_of_system_one_without_instructions_is_its_name(blank):
    asked = {"type": "score", "instructions": blank, "criteria": ["bad", "good"]}

    async def told():
        async with serving() as client:
            body = SYSTEMONE | {"questions": {"Is it good?": asked}}
            return await client.post("/v1/systemone", body)

    status, body, _ = run(told())
    assert status == 200 and list(body["answers"]) == ["Is it good?"]


def test_two_texts_are_compared_and_several_ranked():
    async def told():
        async with serving() as client:
            body = {"criterion": "helpfulness", "input": "a", "outputs": ["b", "c"]}
            compared = await client.post("/v1/compare", body)
            ranked = await client.post("/v1/rank", body | {"outputs": ["b", "c", "d"]})
            wrong = await client.post("/v1/compare", body | {"outputs": ["b"]})
            return compared, ranked, wrong

    compared, ranked, wrong = run(told())
    assert compared[0] == 200 and compared[1]["outcome"]["kind"] == "comparison"
    assert len(compared[1]["outcome"]["orders"]) == 2 and wrong[0] == 422
    assert sorted(one["index"] for one in ranked[1]["ranking"]) == [0, 1, 2]
    assert len(ranked[1]["comparisons"]) == 3


def test_only_who_has_a_key_may_ask(caplog, capfd):
    secret = "a-secret-that-is-long"

    async def told():
        async with serving(keys={"team": secret}) as client:
            headers = [
                {}, {"Authorization": "Bearer wrong-key-here"}, {"Authorization": f"Basic {secret}"},
                {"Authorization": f"Bearer {secret}"}, {"x-api-key": secret},
                {"x-api-key": "schlüssel"},
            ]  # fmt: skip
            found = [(await client.post("/v1/judge", ASKED, headers=one))[0] for one in headers]
            opened = [
                (await client.get(path))[0] for path in ("/health", "/ready", "/metrics", "/load")
            ]
            return found, opened

    found, opened = run(told())
    assert found == [401, 401, 401, 200, 200, 401]
    assert opened == [200, 200, 401, 401]
    said = caplog.text + "".join(capfd.readouterr())
    assert secret not in said and "nine" not in said


def test_metrics_name_what_is_configured_and_nothing_of_the_callers():
    async def told():
        async with serving() as client:
            await client.post("/v1/judge", ASKED)
            await client.post("/v1/judge", {"criterion": CRITERION, "output": "b"})
            await client.get("/some/path-of-mine")
            models = json.loads((await client.get("/v1/models"))[1])
            return (await client.get("/metrics"))[1], models

    page, models = run(told())
    assert 'glider_outcomes_total{criterion="helpfulness",kind="judgment"} 1.0' in page
    assert 'glider_outcomes_total{criterion="(other)",kind="judgment"} 1.0' in page
    assert 'glider_requests_total{route="(none)",status="404"} 1.0' in page
    assert "tone" not in page and "path-of-mine" not in page
    assert models["data"][0]["id"] == models["models"][0]["name"] == "glider"


def test_a_client_that_leaves_while_it_is_answered_is_counted_as_gone(caplog, monkeypatch):
    """The connection ends between two pieces of an answer."""

    async def torn(request):
        answer = web.StreamResponse()
        await answer.prepare(request)
        request.transport.close()
        await answer.write(b"the rest")

    def with_torn(service):
        app = make_app(service)
        app.router.add_get("/torn", torn)
        return app

    monkeypatch.setattr("glider.serve.server.make_app", with_torn)

    async def told():
        async with serving() as client:
            with suppress(aiohttp.ClientError):
                await client.get("/torn")
            return (await client.get("/metrics"))[1]

    assert 'glider_refused_total{reason="gone"} 1.0' in run(told())
    assert "fault" not in caplog.text


def test_a_fault_of_ours_is_told_without_the_text(caplog):
    engine = Engine()

    async def told():
        async with serving(engine) as client:
            engine.error = None
            engine._script = lambda request: 1 / 0 and TEXT
            return await client.post("/v1/judge", ASKED)

    status, body, _ = run(told())
    assert (status, body["error"]["code"]) == (500, "fault")
    assert "ZeroDivisionError" in caplog.text and "nine" not in caplog.text


def test_it_stops_within_its_bound():
    engine = Engine(slow=30)

    async def told():
        async with serving(engine) as client:
            body = {"criterion": "helpfulness", "input": "a", "output": "SLOW"}
            asked = asyncio.ensure_future(client.post("/v1/judge", body))
            await asyncio.sleep(0.2)
            before = time.monotonic()
            await client.server.stop()
            took = time.monotonic() - before
            with pytest.raises(aiohttp.ClientError):
                await asked
            return took

    assert run(told()) < 5


def test_a_hundred_requests_of_all_kinds_each_end_once():
    engine = Engine(seconds=0.01)
    bodies = [ASKED, {"criterion": "nothing", "output": "b"}, ASKED | {"reasons": "none"},
              ASKED | {"deadline_ms": 1}]  # fmt: skip

    async def told():
        async with serving(engine) as client:
            found = await asyncio.gather(
                *(client.post("/v1/judge", bodies[n % 4]) for n in range(100))
            )
            return [(status, n % 4) for n, (status, _, _) in enumerate(found)]

    found = run(told())
    assert [{status for status, kind in found if kind == k} for k in range(4)] == [
        {200}, {404}, {200}, {503},
    ]  # fmt: skip


CONFIG = """\
criteria: [helpfulness, own.yaml]
bounds: {{chars: {chars}}}
"""


def test_the_command_serves_the_real_model_reloads_and_stops(tmp_path):
    (tmp_path / "own.yaml").write_text(
        "name: kind\nquestion: Is {output} kind?\nrubric: {0: it is not, 1: it is}\n"
    )
    config = tmp_path / "serve.yaml"
    config.write_text(CONFIG.format(chars=300))
    words = ["serve", "--port", "0", "--config", str(config)]
    with subprocess.Popen(
        [sys.executable, "-m", "glider.cli.main", *words],
        stderr=subprocess.PIPE, text=True, env=os.environ | {"GLIDER_SERVE_KEYS": "me key-of-mine"},
    ) as process:  # fmt: skip
        try:
            url = _said(process, "serving").split()[-1]
            key = {"Authorization": "Bearer key-of-mine"}

            async def ask(body):
                async with (
                    aiohttp.ClientSession(headers=key) as session,
                    session.post(f"{url}/v1/judge", json=body) as answer,
                ):
                    return answer.status, await answer.json()

            long = {"criterion": "kind", "output": TEXT * 12, "reasons": "none"}
            status, body = run(ask({"criterion": "kind", "output": TEXT}))
            assert run(ask(long))[0] == 413
            config.write_text(CONFIG.format(chars=999))
            process.send_signal(signal.SIGHUP)
            _said(process, "reloaded")
            assert run(ask(long))[0] == 200
            config.write_text("criteria: [nonsense]")
            process.send_signal(signal.SIGHUP)
            assert "nonsense" in _said(process, "not reloaded")
            assert run(ask(long))[0] == 200
            process.send_signal(signal.SIGTERM)
            assert process.wait(30) == 0
        finally:
            process.kill()
    assert status == 200 and body["outcomes"][0]["score"] in (0, 1)
    assert body["outcomes"][0]["mass"] > 0.5
    for mark in body["outcomes"][0]["highlights"]:
        for span in mark["spans"]:
            assert TEXT[span["start"] : span["end"]] == mark["phrase"]


def _said(process, word):
    with killed_after(process, 250):
        for line in process.stderr:
            if "cannot fetch" in line:
                pytest.skip("the model cannot be had here")
            if word in line:
                return line
    raise AssertionError(f"ended before it said {word!r}: {process.wait(10)}")


@pytest.mark.parametrize(
    ("config", "words", "said"),
    [
        ("criteria: [nonsense]", [], "nonsense"),
        ("models: {}", [], "models"),
        ("bounds: {chars: 0}", [], "bounds.chars"),
        ("polices: {}", [], "polices"),
        ("limits: {bob: {at_once: 1}}", [], "no key is called 'bob'"),
        ("models: {a: {model: embedded, format: [}}", [], "not YAML"),
        ("", ["--host", "0.0.0.0"], "GLIDER_SERVE_KEYS"),
        ("models: {a: {}}", ["-m", "openai/x"], "names the models"),
        ("", ["-m", "openai/x", "--max-cost", "1"], "needs prices"),
        ("policies: {p: {checks: [{criterion: tone, block_below: 1}]}}", [], "on_block"),
        ("", ["--tls-cert", "x.pem"], "go together"),
        ("", ["--tls-cert", "x.pem", "--tls-key", "y.pem"], "x.pem"),
        ("", ["--keys", "none"], "cannot be read"),
    ],
)  # fmt: skip
def test_what_cannot_be_served_is_said_before_a_model_is_loaded(tmp_path, config, words, said):
    (tmp_path / "serve.yaml").write_text(config)
    done = glider("serve", "--config", "serve.yaml", *words, cwd=tmp_path)
    assert done.returncode == 2 and said in done.stderr


def test_promptfoos_grader_gets_reason_score_and_pass_and_no_other_chat_is_answered():
    def talk(text, **more):
        return {"messages": [{"role": "system", "content": "You are grading output"},
                             {"role": "user", "content": text}], **more}  # fmt: skip

    engine = Engine()

    async def told():
        async with serving(engine) as client:
            path = "/v1/chat/completions"
            good = await client.post(path, talk(RUBRIC.format(TEXT, "Says {when}.")))
            wrong = [(await client.post(path, body))[0] for body in (
                talk("Hello!"), talk(RUBRIC.format(TEXT, "x"), stream=True), {"messages": []},
                talk(RUBRIC.format(" ", "x")),
            )]  # fmt: skip
            engine.error = Unavailable("down")
            down = await client.post(path, talk(RUBRIC.format(TEXT, "x")))
            return good, wrong, down

    (status, body, _), wrong, down = run(told())
    said = json.loads(body["choices"][0]["message"]["content"])
    assert status == 200 and wrong == [422] * 4 and down[0] == 503
    assert said == {"reason": "It says nine.", "score": pytest.approx(1 / 3), "pass": False}


def test_the_description_names_every_route_and_its_answers_are_of_it():
    jsonschema = pytest.importorskip("jsonschema")

    async def told():
        async with serving() as client:
            document = json.loads((await client.get("/openapi.json"))[1])
            pair = {"criterion": "helpfulness", "input": "a", "outputs": ["b", "c"]}
            answers = {
                "JudgeAnswer": (await client.post("/v1/judge", ASKED))[1],
                "CompareAnswer": (await client.post("/v1/compare", pair))[1],
                "RankAnswer": (await client.post("/v1/rank", pair))[1],
                "Error": (await client.post("/v1/judge", {}))[1],
            }
            routes = {
                resource.canonical for resource in client.server._runner.app.router.resources()
            }
            return document, answers, routes

    document, answers, routes = run(told())
    undescribed = {"/metrics", "/ready", "/openapi.json"}
    assert routes - undescribed == set(document["paths"])
    for name, answer in answers.items():
        schema = {"$ref": f"#/components/schemas/{name}", "components": document["components"]}
        jsonschema.Draft202012Validator(schema).validate(answer)


def test_a_packed_body_is_unpacked_within_the_bound():
    async def told():
        async with serving() as client:
            headers = JSON | {"Content-Encoding": "gzip"}
            small = gzip.compress(json.dumps(ASKED).encode())
            large = gzip.compress(b" " * 50_000_000)
            return [
                (await client.post("/v1/judge", data=data, headers=headers))[0]
                for data in (small, large)
            ]

    assert run(told()) == [200, 413]


def test_a_port_that_is_taken_is_said_and_the_engine_is_let_go():
    engine = Engine()

    async def told():
        async with serving() as client:
            server = Server(ServeSettings(port=client.server.port), ModelSettings())
            config = Config.of(ModelSettings())
            judge = ServedJudge("glider", Judge(engine), config.bounds)
            with pytest.raises(RunError, match="cannot listen"):
                await server.start(Serving(config, {"glider": judge}, Keys({})))
            await server.stop()

    run(told())
    assert engine._closed


def test_a_reload_drops_no_request_and_changes_the_bounds(tmp_path):
    """A request that came before goes on under what it came under."""
    path = tmp_path / "serve.yaml"
    path.write_text("bounds: {chars: 200}")

    async def told():
        config = Config.load(path, ModelSettings())
        async with serving(Engine(slow=0.8), config=config, file=path) as client:
            slow = {"criterion": CRITERION, "output": "SLOW"}
            asked = [asyncio.ensure_future(client.post("/v1/judge", slow)) for _ in range(5)]
            await asyncio.sleep(0.2)
            path.write_text("criteria: [helpfulness]\nbounds: {chars: 150}")
            await client.server.reload()
            listed = json.loads((await client.get("/v1/criteria"))[1])["criteria"]
            long = (await client.post("/v1/judge", ASKED | {"input": "x" * 160}))[0]
            path.write_text("criteria: nonsense")
            await client.server.reload()
            after = (await client.post("/v1/judge", ASKED))[0]
            return [(await one)[0] for one in asked], [one["name"] for one in listed], long, after

    assert run(told()) == ([200] * 5, ["helpfulness"], 413, 200)


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl to make a certificate")
def test_tls_by_files(tmp_path):
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj",
         "/CN=localhost", "-keyout", key, "-out", cert],
        check=True, capture_output=True, timeout=120,
    )  # fmt: skip

    async def told():
        async with serving(tls_cert=cert, tls_key=key) as client:
            client.url = client.url.replace("http:", "https:")
            trusted = ssl.create_default_context(cafile=cert)
            trusted.check_hostname = False
            status, _, _ = await client.get("/health", ssl=trusted)
            with pytest.raises(aiohttp.ClientError):
                await client.get("/health")
            return status

    assert run(told()) == 200
