"""The real SDKs of the two wires ask our server, on loopback."""

import asyncio

import pytest
from served import run, serving

TEXT = "We open at nine."


def test_openais_sdk_reads_our_answers():
    openai = pytest.importorskip("openai")
    if not hasattr(openai.OpenAI, "decisions"):
        pytest.skip("this openai has no decisions")

    def ask(url):
        client = openai.OpenAI(base_url=f"{url}/v1", api_key="key-of-mine", max_retries=0)
        levels = [{"label": "bad"}, {"label": "good"}]
        asked = [
            {"type": "predicate", "instructions": "It names a time."},
            {"type": "choice", "instructions": "Which?", "choices": [{"value": "a"}, {"value": "b"}]},
            {"type": "score", "instructions": "How good?", "levels": levels},
        ]  # fmt: skip
        found = client.decisions.create(
            model="glider", input=TEXT, questions=asked, extra_body={"glider": {"reasons": True}}
        )
        with pytest.raises(openai.NotFoundError):
            client.decisions.create(model="other", input=TEXT, questions=asked)
        with pytest.raises(openai.UnprocessableEntityError, match="2 to 11"):
            client.decisions.create(
                model="glider", input=TEXT, questions=[asked[2] | {"levels": levels * 6}]
            )
        with pytest.raises(openai.AuthenticationError):
            client.with_options(api_key="wrong-key").models.list()
        models = [model.id for model in client.models.list()]
        client.close()
        return found, models

    async def told():
        async with serving(keys={"me": "key-of-mine"}) as client:
            return await asyncio.to_thread(ask, client.url)

    found, models = run(told())
    predicate, choice, score = found.answers
    assert models == ["glider"] and found.usage.total_tokens > 0
    assert predicate.probability == pytest.approx(1 / 3)
    assert predicate.glider["reasoning"] == "It says nine."
    assert choice.choice == "a" and choice.probabilities[0].value == "a"
    assert score.score == pytest.approx(1 / 3) and score.probabilities[1].label == "good"


def test_typesafes_sdk_reads_our_answers():
    typesafe = pytest.importorskip("typesafe_sdk")

    def ask(url):
        questions = {
            "time": typesafe.Noul(instructions="It names a time."),
            "good": typesafe.Score(instructions="How good?", criteria=["bad", "good"]),
        }
        with typesafe.TypeSafeClient(base_url=url, api_key="key-of-mine") as client:
            models = [model.name for model in client.models.list().models]
            return client.system_one(model="glider", state=TEXT, questions=questions), models

    async def told():
        async with serving(keys={"me": "key-of-mine"}) as client:
            return await asyncio.to_thread(ask, client.url)

    found, models = run(told())
    assert models == ["glider"]
    assert found.answers["time"].noul == pytest.approx(1 / 3)
    assert found.answers["good"].legend == {0: "bad", 1: "good"}
