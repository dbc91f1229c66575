from concurrent.futures import ThreadPoolExecutor

import pytest
from any_guardrail import Guardrail, GuardrailOutput
from conftest import BROKEN, JUDGE, text

from glider import JudgmentFailed
from glider.integrations.any_guardrail import GliderGuardrail


def test_a_failure_is_no_verdict(asked, shown):
    guardrail = GliderGuardrail("clarity", pass_from=4, judge=JUDGE)
    assert isinstance(guardrail, Guardrail)
    good, bad = guardrail.validate(text(5)), guardrail.validate(text(2))
    assert (good.valid, good.score, bad.valid, bad.score) == (True, 0.0, False, 0.75)
    with pytest.raises(JudgmentFailed, match="read/missing_part"):
        guardrail.validate(BROKEN)
    shown("failure", "raises: its result needs a verdict")
    shown("coverage", "no place for it: the call ends")


def test_spans_are_spans(asked, shown):
    found = GliderGuardrail("clarity", pass_from=4, judge=JUDGE).validate(text(2), input="?")
    (span,) = found.spans
    assert text(2)[span.start : span.end] == span.text == "level 2"
    assert (
        GuardrailOutput.model_validate_json(found.model_dump_json()).extra["glider"]["score"] == 2
    )
    shown("spans", "`spans`")


def test_32_threads_wait_in_one_queue(gathering, shown):
    guardrail = GliderGuardrail("clarity", pass_from=4, judge=gathering)
    with ThreadPoolExecutor(32) as threads:
        found = list(threads.map(lambda _: guardrail.validate("level").valid, range(32)))
    assert found == [False] * 32
    shown("queue", "yes, of 32 threads")


def test_the_recipe_runs(recipe, shown):
    told, lines, seconds = recipe("any-guardrail")
    assert told.split()[0] in ("True", "False")
    shown("recipe", f"{lines} lines, {seconds:.0f} s")
