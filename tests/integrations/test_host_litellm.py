import asyncio
import json
import os
import secrets
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import litellm
import pytest
import yaml
from bounded import until
from conftest import block
from litellm.proxy.guardrails.guardrail_hooks.generic_guardrail_api import GenericGuardrailAPI
from litellm.types.guardrails import LitellmParams
from served import Engine

from glider.core.criteria import Criterion, Rubric
from glider.core.errors import Unavailable
from glider.serve.policies import Policy
from glider.serve.settings import Config, ServedModel
from glider.testing.server import FakeServer

KIND = Criterion(
    name="kind", question="Is {output} kind?", rubric=Rubric(levels={0: "no", 1: "yes"})
)
KEY = f"sk-{secrets.token_hex(32)}"
"""Of the proxy, which refuses to start without one."""
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


@contextmanager
def proxy(folder, policy, glider, model):
    """LiteLLM's own proxy as a process, with the page's block; the address of its chat route."""
    settings = yaml.safe_load(block("LiteLLM", "yaml"))
    (guardrail,) = settings["guardrails"]
    guardrail["litellm_params"] |= {
        "api_base": glider, "additional_provider_specific_params": {"policy": policy},
    }  # fmt: skip
    upstream = {"model": "openai/anything", "api_base": model, "api_key": "none"}
    settings["model_list"] = [{"model_name": "chat", "litellm_params": upstream}]
    settings["litellm_settings"] = {"telemetry": False, "num_retries": 0}
    (folder / "config.yaml").write_text(yaml.safe_dump(settings))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    nowhere = "http://127.0.0.1:9"  # whatever it asks elsewhere is refused at once
    environment = os.environ | {
        "HTTP_PROXY": nowhere, "HTTPS_PROXY": nowhere, "NO_PROXY": "127.0.0.1,localhost",
        "LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_MASTER_KEY": KEY,
    }  # fmt: skip
    command = Path(sys.executable).parent / "litellm"
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            [command, "--config", folder / "config.yaml", "--host", "127.0.0.1", "--port", str(port)],
            env=environment, stdout=log, stderr=subprocess.STDOUT, cwd=folder,
        )  # fmt: skip
        address = f"http://127.0.0.1:{port}"

        def alive():
            if process.poll() is not None:
                pytest.fail((folder / "log").read_text()[-3000:])
            try:
                with urllib.request.urlopen(f"{address}/health/liveliness", timeout=5):
                    return True
            except OSError:
                return False

        try:
            until(alive, 250)
            yield f"{address}/v1/chat/completions"
        finally:
            process.kill()
            process.wait(30)


def chatted(address, text):
    """Status and body of a chat through the proxy."""
    body = {"model": "chat", "messages": [{"role": "user", "content": text}]}
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {KEY}"}
    request = urllib.request.Request(address, data=json.dumps(body).encode(), headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=60) as answered:
            return answered.status, answered.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def test_its_proxy_lets_through_what_the_policy_allows_and_nothing_when_it_cannot_tell(
    policies, tmp_path
):
    url, engine = policies
    with (
        FakeServer(answer="We open at nine.") as model,
        proxy(tmp_path, "lax", url, model.url) as address,
    ):
        status, body = chatted(address, "When do you open?")
        assert status == 200, body
        assert json.loads(body)["choices"][0]["message"]["content"] == "We open at nine."
        asked = model.stats()["requests"]
        engine.error = Unavailable("the engine is down")
        try:
            status, body = chatted(address, "When do you open?")
        finally:
            engine.error = None
        assert status >= 400 and "lax: error" in body
        assert model.stats()["requests"] == asked  # the model was not asked


def test_its_proxy_blocks_what_the_policy_blocks_before_the_model_is_asked(policies, tmp_path):
    url, _ = policies
    with FakeServer(answer="We open at nine.") as model:
        with proxy(tmp_path, "strict", url, model.url) as address:
            status, body = chatted(address, "When do you open?")
        assert status >= 400 and "strict: blocked" in body
        assert model.stats()["requests"] == 0


def test_the_recipe_is_what_litellms_proxy_reads(shown):
    """The proxy's own settings class takes the block."""
    written = block("LiteLLM", "yaml")
    (guardrail,) = yaml.safe_load(written)["guardrails"]
    params = LitellmParams.model_validate(guardrail["litellm_params"])
    assert params.guardrail == "generic_guardrail_api" and params.default_on
    shown("recipe", f"{len(written.splitlines())} lines of its proxy's file")
