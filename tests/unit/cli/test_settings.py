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
    backend.form = {"format": "nano", "order": "reason-first"}
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
