"""Spans of requests: only for who has set OpenTelemetry up, and without a text or a key."""

import subprocess
import sys

import pytest
from served import Engine, run, serving

from glider.core.errors import Filtered, SetupError
from glider.judging.settings import ModelSettings
from glider.serve.server import Server
from glider.serve.settings import Config, ServeSettings

SECRET = "the-secret-text"
ASKED = {"criterion": "helpfulness", "input": f"{SECRET}?", "output": f"{SECRET}."}
OWN = {"name": SECRET, "question": "Is {output} kind?", "rubric": {"0": "no", "1": "yes"}}
TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture
def exporter():
    """Spans that the real SDK has taken."""
    pytest.importorskip("opentelemetry.sdk", reason="needs opentelemetry-sdk")
    from opentelemetry import trace
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trace, "get_tracer_provider", lambda: provider)
        yield exporter


def test_each_request_is_one_span_that_says_how_it_ended(exporter):
    config = Config.of(ModelSettings())

    async def told():
        engine = Engine()
        async with serving(engine, config=config, keys={"a": "key-of-a-1"}, traces=True) as client:
            key = {"Authorization": "Bearer key-of-a-1"}
            await client.post("/v1/judge", ASKED, headers=key | {"traceparent": TRACEPARENT})
            await client.post("/v1/judge", {**ASKED, "criterion": OWN}, headers=key)
            await client.post("/v1/judge", {**ASKED, "criterion": SECRET}, headers=key)
            await client.post("/v1/judge", ASKED)
            engine.error = Filtered("held back")
            await client.post("/v1/judge", ASKED, headers=key)
            await client.get(f"/{SECRET}", headers=key)

    run(told())
    spans = exporter.get_finished_spans()
    asked = [span for span in spans if span.name == "POST /v1/judge"]
    assert [span.attributes["http.response.status_code"] for span in asked] == [
        200,
        200,
        404,
        401,
        200,
    ]
    assert {span.attributes["http.route"] for span in asked} == {"/v1/judge"}
    first, own, *_, failed = asked
    assert f"{first.context.trace_id:x}" == "af7651916cd43dd8448eb211c80319c"
    assert f"{first.parent.span_id:x}" == "b7ad6b7169203331"
    (event,) = first.events
    assert event.name == "gen_ai.evaluation.result"
    assert event.attributes["gen_ai.evaluation.name"] == "helpfulness"
    assert 0 < event.attributes["gen_ai.evaluation.score.value"] <= 10
    assert first.attributes["gen_ai.usage.input_tokens"] > 0
    assert own.events[0].attributes["gen_ai.evaluation.name"] == "(other)"
    assert failed.events[0].attributes["error.type"] == "generate/filtered"
    assert "gen_ai.evaluation.score.value" not in failed.events[0].attributes
    everything = "".join(span.to_json() for span in spans)
    assert SECRET not in everything
    assert "key-of-a" not in everything


def test_a_verdict_is_in_the_span(exporter, tmp_path):
    file = tmp_path / "c.yaml"
    file.write_text(
        "criteria: [{name: tone, question: 'Is {output} kind?', rubric: {0: bad, 1: good}}]\n"
        "policies: {p: {checks: [{criterion: tone, block_below: 0.1}],\n"
        "  on_block: block, on_abstain: ask, on_deadline: ask, on_error: ask}}\n"
    )
    config = Config.load(file, ModelSettings())

    async def told():
        async with serving(config=config, traces=True) as client:
            return await client.post("/v1/moderations", {"input": SECRET})

    assert run(told())[0] == 200
    (span,) = exporter.get_finished_spans()
    verdict = next(event for event in span.events if event.name == "glider.verdict")
    assert verdict.attributes["glider.policy"] == "p"
    assert verdict.attributes["glider.verdict"] == "allow"
    assert SECRET not in span.to_json()


def test_without_the_flag_there_are_no_spans(exporter):
    async def told():
        async with serving() as client:
            await client.post("/v1/judge", ASKED)

    run(told())
    assert exporter.get_finished_spans() == ()


def test_without_the_flag_opentelemetry_is_not_imported():
    program = (
        "import sys, glider.serve.server, glider.serve.app\n"
        "print([m for m in sys.modules if m.startswith('opentelemetry')])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=120
    )
    assert done.stdout.strip() == "[]"


def test_traces_that_would_go_nowhere_are_refused():
    pytest.importorskip("opentelemetry")
    with pytest.raises(SetupError, match="not set up") as refused:
        Server(ServeSettings(traces=True), ModelSettings())
    assert "opentelemetry-instrument" in refused.value.hint
