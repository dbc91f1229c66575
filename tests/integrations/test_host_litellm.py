import asyncio

import litellm
import pytest
import yaml
from conftest import block
from litellm.proxy.guardrails.guardrail_hooks.generic_guardrail_api import GenericGuardrailAPI
from litellm.types.guardrails import LitellmParams
from served import Engine

from glider.core.criteria import Criterion, Rubric
from glider.core.errors import Unavailable
from glider.serve.policies import Policy
from glider.serve.settings import Config, ServedModel

KIND = Criterion(
    name="kind", question="Is {output} kind?", rubric=Rubric(levels={0: "no", 1: "yes"})
)
FOLLOWS = {"on_block": "block", "on_abstain": "ask", "on_deadline": "block", "on_error": "block"}


@pytest.fixture(scope="module")
def policies(serve):
    """Two policies of one criterion: the engine expects 1/3, so the strict one blocks."""
    policies = {
        name: Policy.model_validate(
            {"checks": [{"criterion": "kind", "block_below": below}], **FOLLOWS}
        )
        for name, below in (("strict", 0.9), ("lax", 0.1))
    }
    engine = Engine()
    config = Config(models={"glider": ServedModel()}, criteria={"kind": KIND}, policies=policies)
    return serve(engine, config=config), engine


def guarded(url, policy, texts=("We open at nine.",), **more):
    """LiteLLM's own guardrail asks, as its proxy has it do before and after a call."""
    guardrail = GenericGuardrailAPI(
        api_base=url, guardrail_name="polite", event_hook="pre_call", default_on=True,
        additional_provider_specific_params={"policy": policy}, **more,
    )  # fmt: skip
    asking = guardrail.apply_guardrail({"texts": list(texts)}, {}, "request")
    return asyncio.run(asking)["texts"]


def test_a_blocked_text_is_raised_with_the_reason_and_a_good_one_passes(policies):
    url, _ = policies
    assert guarded(url, "lax") == ["We open at nine."]
    with pytest.raises(Exception, match="strict: blocked"):
        guarded(url, "strict")


def test_a_failure_is_what_the_policy_says_of_errors(policies, shown):
    url, engine = policies
    engine.error = Unavailable("the engine is down")
    try:
        with pytest.raises(Exception, match="lax: error"):
            guarded(url, "lax", unreachable_fallback="fail_open")
    finally:
        engine.error = None
    shown("failure", "what the policy's `on_error` says; no score travels")
    shown("coverage", "`glider_verdicts_total` of `glider serve`, by cause")
    shown("spans", "no place for them; `blocked_reason` has the reasoning")


def test_32_calls_are_answered_at_once(serve, shown):
    policy = {"checks": [{"criterion": "kind", "block_below": 0.1}], **FOLLOWS}
    engine = Engine(seconds=1.0)
    config = Config(
        models={"glider": ServedModel()}, criteria={"kind": KIND},
        policies={"lax": Policy.model_validate(policy)},
    )  # fmt: skip
    url = serve(engine, config=config)
    texts = [f"We open at {n}." for n in range(32)]
    assert guarded(url, "lax", texts) == texts
    shown("queue", "yes, in the server")


def test_it_asks_both_judge_apis(served):
    predicate = {"type": "predicate", "name": "time", "instructions": "It names a time of day."}
    found = litellm.decisions(
        model="openai/glider", input="We open at nine.", questions=[predicate],
        api_base=f"{served}/v1", api_key="none",
    )  # fmt: skip
    assert found.answers[0].probability == pytest.approx(1 / 3)
    found = litellm.systemone(
        model="typesafe/glider", state="We open at nine.", api_base=served, api_key="none",
        questions={"time": {"type": "noul", "instructions": "It names a time of day."}},
    )  # fmt: skip
    assert found.answers["time"].noul == pytest.approx(1 / 3)


def test_the_recipe_is_what_litellms_proxy_reads(shown):
    """The proxy's own settings class takes the block."""
    written = block("LiteLLM", "yaml")
    (guardrail,) = yaml.safe_load(written)["guardrails"]
    params = LitellmParams.model_validate(guardrail["litellm_params"])
    assert params.guardrail == "generic_guardrail_api" and params.default_on
    shown("recipe", f"{len(written.splitlines())} lines of its proxy's file")
