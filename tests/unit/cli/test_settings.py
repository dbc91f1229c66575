"""Flags to a judge: what is not given is what was recorded with the model."""

import pytest

from glider import backends
from glider.backends.scripted import ScriptedBackend
from glider.core.errors import SetupError
from glider.judging.settings import JudgeSettings


@pytest.fixture
def recorded(monkeypatch):
    """A model whose name says GLIDER and whose record says otherwise."""
    backend = ScriptedBackend([], model="my-glider")
    backend.trained_format = {"format": "nano", "order": "reason-first"}
    monkeypatch.setattr(backends, "open_backend", lambda model, **_: backend)


@pytest.mark.parametrize(
    ("flags", "form"),
    [
        ({}, "nano/reason-first/criterion-first"),
        ({"explain": None}, "nano/reason-first/criterion-first"),
        ({"layout": "sample-first"}, "nano/reason-first/sample-first"),
        ({"order": "score-first"}, "nano/score-first/criterion-first"),
        ({"order": "score-first", "explain": False}, "nano/score-first/criterion-first/bare"),
        ({"format": "nano"}, "nano/score-first/criterion-first"),  # and not the record's order
        ({"format": "glider"}, "glider"),
    ],
)
def test_flags_go_before_what_is_recorded(recorded, flags, form):
    with JudgeSettings(model="any", **flags).open() as judge:
        assert judge.format.id == form


def test_reason_first_cannot_do_without_a_reason(recorded):
    with pytest.raises(SetupError, match="reason-first answers have a reason"):
        JudgeSettings(model="any", explain=False).open()


# What the model's engine does not know is refused, never ignored.


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"timeout_s": 5.0}, "--timeout: for an endpoint"),
        ({"max_cost": 1.0, "price_in": 1.0}, "--price-in, --max-cost: for an endpoint"),
        ({"base_url": "http://x"}, "--base-url: for an endpoint"),
        ({"grammar": "vllm"}, "--grammar: for an endpoint"),
        ({"max_retries": 0, "model": "fast/x"}, "--max-retries: for an endpoint.*not for fast/x"),
        ({"max_connections": 1, "model": "hf/x"}, "--max-connections: for an endpoint"),
        ({"context_tokens": 512, "model": "openai/x"}, "--context-tokens: for the embedded engine"),
        ({"timeout_s": 5.0, "jury": ("fast/x",)}, "--timeout: for an endpoint"),
    ],
)
def test_a_setting_of_another_engine_is_refused(given, told):
    with pytest.raises(SetupError, match=told):
        JudgeSettings(**given).open()


def test_a_jury_may_be_of_several_engines(monkeypatch):
    asked = {}

    def open_backend(model, **options):
        asked[model] = options
        return ScriptedBackend([], model=model)

    monkeypatch.setattr(backends, "open_backend", open_backend)
    settings = JudgeSettings(jury=("openai/x",), timeout_s=5.0, context_tokens=512)
    settings.open().close()
    assert asked["openai/x"]["timeout_s"] == 5.0
    assert asked["embedded"]["context_tokens"] == 512


@pytest.mark.parametrize(
    ("model", "given", "environment", "recorded"),
    [
        ("openai/x", "http://me:secret@host:1/v1", None, "http://host:1/v1"),
        ("openai/x", None, "http://other/v1", "http://other/v1"),
        ("openai/x", None, None, None),
        ("embedded", None, "http://other/v1", None),
    ],
)
def test_the_endpoint_is_recorded_without_a_password(
    monkeypatch, model, given, environment, recorded
):
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    if environment is not None:
        monkeypatch.setenv("OPENAI_BASE_URL", environment)
    assert JudgeSettings(model=model, base_url=given).recorded()["base_url"] == recorded
