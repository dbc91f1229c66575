"""Policies over HTTP: verdicts, and the wires of other guardrails."""

import json
import os
from pathlib import Path

import pytest
from in_process import glider
from labelled_runs import judgment, write_run
from serve_bodies import LITELLM
from served import Engine, run, serving

from glider.core.criteria import Criterion, Rubric
from glider.core.errors import Unavailable
from glider.judging.settings import ModelSettings
from glider.serve.policies import Policy
from glider.serve.settings import Config, ServedModel
from glider.serve.verdict_log import LogSettings
from glider.store.run import outcomes, samples

SCORES = "scripted/script nano/score-first/criterion-first/bare"
FOLLOWS = {"on_block": "block", "on_abstain": "ask", "on_deadline": "ask", "on_error": "block"}


KIND = Criterion(
    name="kind", question="Is {output} kind?",
    rubric=Rubric(levels={n: f"{n} of 10" for n in range(11)}),
)  # fmt: skip


def config(*, block_below=9.9, **more):
    """The scripted engine expects about 5 of kindness, on 0 to 10."""
    check = {"criterion": "kind", "block_below": block_below} | more
    policies = {
        "strict": Policy.model_validate({"checks": [check], **FOLLOWS}),
        "lax": Policy.model_validate({"checks": [check | {"block_below": 0.1}], **FOLLOWS}),
    }
    return Config(models={"glider": ServedModel()}, criteria={"kind": KIND}, policies=policies)


def asked(*requests, config=config(), engine=None, **options):  # noqa: B008 - never changed
    async def told():
        async with serving(engine or Engine(), config=config, **options) as client:
            found = []
            for path, body, *headers in requests:
                status, answer, _ = await client.post(
                    path, body, headers=headers[0] if headers else {}
                )
                found.append((status, answer))
            return found, (await client.get("/metrics"))[1]

    return run(told())


ASKED = {"output": "nine", "input": "When?"}


def test_a_policy_gives_a_verdict_with_reasons():
    found, page = asked(
        ("/v1/judge", ASKED | {"policy": "strict"}),
        ("/v1/judge", ASKED | {"policy": "lax", "reasons": "none"}),
        ("/v1/judge", ASKED | {"policy": "none"}),
        ("/v1/judge", ASKED | {"policy": "lax", "model": "glider"}),
        ("/v1/judge", ASKED | {"policy": "strict", "reasons": "later"}),
    )
    (_, strict), (_, lax), (missing, _), (both, _), (_, later) = found
    assert strict["verdict"]["verdict"] == "block" and strict["verdict"]["because"] == "blocked"
    assert strict["outcomes"][0]["reasoning"] == "It says nine." and strict["reasons"] == "here"
    assert lax["verdict"]["verdict"] == "allow" and lax["reasons"] == "none"
    assert (missing, both) == (404, 422) and later["reasons"] == "later" and later["id"]
    assert 'glider_verdicts_total{because="blocked",policy="strict",verdict="block"} 2.0' in page


def test_a_deadline_and_an_error_are_what_the_policy_says():
    engine = Engine(seconds=0.2)
    late = ("/v1/judge", ASKED | {"policy": "lax", "deadline_ms": 5})
    ((status, verdict),), _ = asked(late, engine=engine)
    assert status == 200 and verdict["outcomes"] == []
    assert (verdict["verdict"]["verdict"], verdict["verdict"]["because"]) == ("ask", "deadline")
    engine = Engine()
    engine.error = Unavailable("down")
    ((status, verdict),), _ = asked(("/v1/judge", ASKED | {"policy": "lax"}), engine=engine)
    assert (verdict["verdict"]["verdict"], verdict["verdict"]["because"]) == ("block", "error")


def test_litellm_is_told_what_to_do_and_why():
    body = {"input_type": "response", "texts": ["nine", " "],
            "structured_messages": [{"role": "user", "content": "When?"}], "model": "gpt",
            "litellm_call_id": "1", "request_data": {}}  # fmt: skip
    found, _ = asked(
        (LITELLM, body, {"Glider-Reasons": "1"}),
        (LITELLM, body | {"additional_provider_specific_params": {"policy": "lax"}}),
        (LITELLM, body | {"texts": []}),
        (LITELLM, body | {"input_type": "?"}),
        (LITELLM, body | {"texts": [{"type": "image"}]}),
    )
    (_, blocked), (_, allowed), (_, nothing), (wrong, _), (image, _) = found
    assert blocked["action"] == "BLOCKED"
    assert blocked["blocked_reason"] == "strict: blocked by kind. It says nine."
    assert allowed == nothing == {"action": "NONE"}
    assert wrong == image == 422


def test_moderations_classify_and_validate():
    engine = Engine()
    found, _ = asked(
        ("/v1/moderations", {"input": ["nine", "ten"]}),
        ("/v1/moderations", {"input": ""}),
        ("/classify?policy=lax", {"input": "nine", "model": "any"}),
        ("/v1/validate", {"data": [{"output": "nine", "input": "When?"}, {"text": "ten"}]}),
        ("/v1/validate", {"data": [{"a": "x", "b": "y"}]}),
        engine=engine,
    )
    (_, moderated), (empty, _), (_, classified), (_, valid), (unclear, _) = found
    first = moderated["results"][0]
    assert len(moderated["results"]) == 2 and first["flagged"]
    assert first["categories"] == {"kind": True}
    assert first["category_scores"]["kind"] == pytest.approx(11 / 12)
    assert classified["data"][0]["label"] == "allow" and classified["data"][0]["num_classes"] == 2
    assert sum(classified["data"][0]["probs"]) == pytest.approx(1)
    assert [one["is_valid"] for one in valid["data"]] == [False, False]
    assert (empty, unclear) == (422, 422)


def test_what_fails_is_no_number_on_any_wire():
    engine = Engine()
    engine.error = Unavailable("down")
    found, _ = asked(
        ("/v1/moderations", {"input": "nine"}), ("/classify", {"input": "nine"}),
        ("/v1/validate", {"data": [{"output": "nine"}]}),
        (LITELLM, {"input_type": "request", "texts": ["nine"]}), engine=engine,
    )  # fmt: skip
    (_, moderated), (classified, _), (_, valid), (_, held) = found
    assert moderated["results"][0]["category_scores"] == {} and moderated["results"][0]["flagged"]
    assert classified == 503 and valid["data"][0]["is_valid"] is None
    assert held["action"] == "BLOCKED" and "error" in held["blocked_reason"]


def test_without_a_policy_the_guardrails_wires_say_so():
    ((status, body),), _ = asked((LITELLM, {}), config=Config.of(ModelSettings()))
    assert (status, body["error"]["code"]) == (404, "policy_not_found")


def test_promise_and_drift_are_in_answer_metrics_and_list(tmp_path, caplog):
    """A run of the served judge with labels, in which nothing is blocked; then everything is."""
    good = [judgment(n, [0.0] * 9 + [0.5, 0.5], KIND, judge=SCORES) for n in range(60)]
    run_of = write_run(tmp_path / "run", good, labels=[10] * 60, criteria=[KIND])
    labelled = config(block_below=6, labels=str(run_of), good_from=8)
    strict = labelled.policies["strict"].model_copy(update={"drift_window": 50})
    labelled = labelled.model_copy(update={"policies": {"strict": strict}})
    body = {"input": ["nine"] * 50}

    async def told():
        async with serving(config=labelled) as client:
            first = (await client.post("/v1/judge", ASKED | {"policy": "strict"}))[1]["verdict"]
            await client.post("/v1/moderations", body)
            then = (await client.post("/v1/judge", ASKED | {"policy": "strict"}))[1]["verdict"]
            listed = json.loads((await client.get("/v1/policies"))[1])["policies"]["strict"]
            return first, then, listed, (await client.get("/metrics"))[1]

    first, then, listed, page = run(told())
    promise = "kind blocks at most 4.9 % of good texts (95 % upper bound, n = 60, 0 blocked)"
    assert first["promise"] == then["promise"] == listed["promise"] == [promise]
    assert first["drift"] == [] and "50 of 50 texts blocked" in then["drift"][0]
    assert listed["drift"]["kind"]["alarms"] and "drift: strict: kind: 50 of 50" in caplog.text
    named = '{criterion="kind",policy="strict"}'
    assert f"glider_promised_false_block_rate{named} 0.0487" in page
    assert f"glider_promise_prompts{named} 60.0" in page
    assert 'glider_drift_alarm{criterion="kind",policy="strict",rate="blocked"} 1.0' in page
    assert 'glider_checks_total{criterion="kind",found="blocked",policy="strict"} 52.0' in page


def test_policies_are_listed():
    async def told():
        async with serving(config=config()) as client:
            return json.loads((await client.get("/v1/policies"))[1])

    assert run(told())["policies"]["strict"] == {
        "checks": ["kind"], "promise": [], "block_below": {"kind": 9.9}, "drift": {}, **FOLLOWS
    }  # fmt: skip


@pytest.mark.parametrize("rule", [{"megabytes": 0.001}, {"hours": 1e-9}])
def test_a_log_begins_anew_by_size_and_by_age(tmp_path, rule):
    log = LogSettings(folder=tmp_path / "log" / "served", **rule)
    logged = config().model_copy(update={"log": log})
    asked(*[("/v1/judge", ASKED | {"policy": "lax"})] * 4, config=logged)
    folders = sorted((tmp_path / "log").iterdir())
    assert len(folders) > 2
    assert sum(len(dict(samples(folder))) for folder in folders) == 4


FULL = Path("/dev/full")


@pytest.mark.parametrize("texts", ["whole", "hashed", "left out"])
def test_every_verdict_is_in_a_run_that_report_reads(tmp_path, texts):
    log = LogSettings(folder=tmp_path / "log" / "served", texts=texts, rows=2)
    logged = config().model_copy(update={"log": log})
    body = ASKED | {"policy": "strict"}
    asked(*[("/v1/judge", body)] * 2, ("/v1/judge", body | {"deadline_ms": 0}),
          ("/v1/judge", body | {"policy": "lax", "reasons": "none"}), config=logged)  # fmt: skip
    first, second = sorted((tmp_path / "log").iterdir())
    rows = [dict(samples(run)) for run in (first, second)]
    told = [one for run in (first, second) for _, one in outcomes(run)]
    assert [len(one) for one in rows] == [2, 1] and len(told) == 3
    assert [s.metadata["verdict"] for one in rows for s in one.values()] == ["block"] * 2 + [
        "allow"
    ]
    written = "".join(path.read_text("utf-8") for run in (first, second) for path in run.iterdir())
    assert ("nine" in written) == (texts == "whole")
    done = glider("report", first, cwd=tmp_path)
    assert done.returncode == 0, done.stderr


@pytest.mark.skipif(not FULL.exists(), reason="needs a disk that is full")
def test_a_verdict_that_cannot_be_written_is_an_error_and_not_lost(tmp_path):
    logged = config().model_copy(update={"log": LogSettings(folder=tmp_path / "served")})

    async def told():
        async with serving(config=logged) as client:
            log = client.server.service.log
            with FULL.open("wb") as full:
                os.dup2(full.fileno(), log._run._journal)
            lax = await client.post("/v1/judge", ASKED | {"policy": "lax"})
            return lax[1], (await client.get("/metrics"))[1]

    body, page = run(told())
    assert (body["verdict"]["verdict"], body["verdict"]["because"]) == ("block", "error")
    assert 'glider_refused_total{reason="log"} 1.0' in page
