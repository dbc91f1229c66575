from concurrent.futures import ThreadPoolExecutor

import pytest
from conftest import BROKEN, JUDGE, text
from guardrails import Guard
from guardrails.settings import settings

from glider.integrations.guardrails_ai import GliderValidator


@pytest.fixture(autouse=True)
def _no_reports(monkeypatch):
    """Guardrails reports its use to its makers by default; both of its switches, off."""
    monkeypatch.setattr(settings.rc, "enable_metrics", False)
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")


def guard(judge=JUDGE, on_fail="noop"):
    return Guard().use(GliderValidator("clarity", pass_from=4, judge=judge, on_fail=on_fail))


def test_a_failure_is_no_verdict(asked, shown):
    assert guard().validate(text(5)).validation_passed is True
    assert guard().validate(text(3)).validation_passed is False
    with pytest.raises(Exception, match="read/missing_part"):
        guard().validate(BROKEN)
    with pytest.raises(Exception, match=r"3\.00 is below 4"):
        guard(on_fail="exception").validate(text(3))
    shown("failure", "raised, whatever `on_fail` says")
    shown("coverage", "no place for it: the call ends")


def test_spans_are_error_spans(asked, shown):
    guarded = guard()
    guarded.validate(text(2))
    (span,) = guarded.error_spans_in_output()
    assert text(2)[span.start : span.end] == "level 2" and span.reason == "clarity"
    shown("spans", "`error_spans`")


def test_32_threads_wait_in_one_queue(gathering, shown):
    def passes(_):
        return guard(gathering).validate("level").validation_passed

    with ThreadPoolExecutor(32) as threads:
        assert list(threads.map(passes, range(32))) == [False] * 32
    shown("queue", "yes, of 32 threads")


def test_the_recipe_runs(recipe, shown):
    told, lines, seconds = recipe("Guardrails AI")
    assert told.strip() in ("True", "False")
    shown("recipe", f"{lines} lines, {seconds:.0f} s")
