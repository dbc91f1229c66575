"""Bodies that are nearly right: whatever is wrong is the caller's, and every one is answered."""

import copy
import random

import pytest
from served import Engine, run, serving
from test_serve import ASKED, CRITERION, DECISIONS, RUBRIC, SYSTEMONE, TEXT
from test_serve_policies import LITELLM, config

ODD = [None, True, 0, -1, 1e308, "", " ", "\x00", "{output}", "{", "x" * 300, [], {}, [[]], {"": ""},
       "helpfulness", "later", ["a", "a"], {"type": "score"}, 2**70, "\u202e\U0001f600"]  # fmt: skip
PAIR = {
    "criterion": CRITERION,
    "outputs": ["b", "c"],
    "fields": {"persona": "x"},
    "deadline_ms": 900,
}
TALK = {"messages": [{"role": "user", "content": RUBRIC.format(TEXT, "Says when.")}]}
BODIES = [
    ("/v1/judge", ASKED | {"criterion": CRITERION, "reasons": "none", "fields": {"a": "b"}}),
    ("/v1/judge", {"criteria": [CRITERION, "kind"], "output": "a", "deadline_ms": 500}),
    ("/v1/judge", {"policy": "strict", "output": "a", "reasons": "later"}),
    ("/v1/compare", PAIR), ("/v1/rank", PAIR), ("/v1/decisions", DECISIONS),
    ("/v1/decisions", DECISIONS | {"input": [
        {"role": "user", "content": "When?"}, {"type": "function_call", "name": "f", "arguments": "{}"},
        {"role": "assistant", "content": [{"type": "output_text", "text": TEXT}]}],
        "glider": {"reasons": True, "deadline_ms": 900}}),
    ("/v1/systemone", SYSTEMONE), ("/v1/chat/completions", TALK),
    ("/v1/moderations", {"input": ["a", "b"], "policy": "lax"}),
    ("/classify", {"input": "a", "model": "m"}),
    ("/v1/validate", {"data": [{"output": "a", "input": "b"}]}),
    (LITELLM, {"input_type": "response", "texts": ["a"],
               "structured_messages": [{"role": "user", "content": "b"}],
               "additional_provider_specific_params": {"policy": "lax"}}),
]  # fmt: skip


def spoilt(body, draw):
    """The body with one to three places changed, left out or with a key that nobody knows."""
    body = copy.deepcopy(body)
    for _ in range(draw.randint(1, 3)):
        node = body
        while isinstance(node, dict | list) and node:
            key = draw.choice(list(node) if isinstance(node, dict) else range(len(node)))
            inner = node[key]
            if isinstance(inner, dict | list) and inner and draw.random() < 0.8:
                node = inner
                continue
            kind = draw.randrange(5)
            if kind == 0:
                del node[key]
            elif kind == 1 and isinstance(node, dict):
                node[draw.choice(["", "x", "cls", "self", "type"])] = draw.choice(ODD)
            else:
                node[key] = copy.deepcopy(draw.choice(ODD))
            break
    return body


@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_no_body_is_a_fault_of_ours(seed):
    draw, n = random.Random(seed), 400 if seed == 1 else 5000

    async def told():
        found = {}
        async with serving(Engine(), config=config()) as client:
            for number in range(n):
                path, body = BODIES[number % len(BODIES)]
                sent = spoilt(body, draw)
                status, answer, _ = await client.post(path, sent)
                assert status in (200, 400, 404, 413, 422, 503), (path, sent, answer)
                if status != 200:
                    assert answer["error"]["message"] and answer["error"]["code"]
                found[status] = found.get(status, 0) + 1
            for path, body in BODIES:
                assert (await client.post(path, body))[0] == 200, path
        return found

    found = run(told())
    assert found[200] > n / 20 and found[422] > n / 10
