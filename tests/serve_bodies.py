"""Bodies for each route of a server that judges, and ways to spoil them."""

import copy

TEXT = "We open at nine 😀 in the morning."
ASKED = {"criterion": "helpfulness", "input": "When?", "output": TEXT}
CRITERION = {"name": "tone", "question": "Is {output} kind?", "rubric": {"0": "no", "1": "yes"}}
DECISIONS = {
    "model": "glider",
    "input": TEXT,
    "questions": [
        {"type": "predicate", "name": "p", "instructions": "Is {it} kind?"},
        {"type": "choice", "instructions": "Which?", "choices": [{"value": "true"}, {"value": True}]},
        {"type": "score", "instructions": "How good?", "name": "s",
         "levels": [{"label": "bad"}, {"label": "fair"}, {"label": "good", "description": "useful"}]},
    ],
}  # fmt: skip
SYSTEMONE = {
    "model": "glider",
    "state": {"text": TEXT},
    "questions": {
        "kind": {"type": "noul", "criteria": {"true": "kind"}},
        "which": {"type": "choice", "criteria": {"a": "first", "b": None}},
        "good": {"type": "score", "instructions": "How good?", "criteria": ["bad", "fair", "good"]},
    },
}
RUBRIC = "<Output>\n{}\n</Output>\n<Rubric>\n{}\n</Rubric>"
LITELLM = "/beta/litellm_basic_guardrail_api"

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
                name = draw.choice(["", "x", "cls", "self", "type"])
                node[name] = copy.deepcopy(draw.choice(ODD))
            else:
                node[key] = copy.deepcopy(draw.choice(ODD))
            break
    return body


def spoilt_once(body):
    """Every body with one place left out or odd."""
    for place in _places(body):
        for odd in ["left out", *ODD]:
            copied = copy.deepcopy(body)
            node = copied
            for key in place[:-1]:
                node = node[key]
            if odd == "left out":
                del node[place[-1]]
            else:
                node[place[-1]] = copy.deepcopy(odd)
            yield copied


def _places(node, before=()):
    keys = list(node) if isinstance(node, dict) else range(len(node))
    for key in keys:
        yield (*before, key)
        if isinstance(node[key], dict | list):
            yield from _places(node[key], (*before, key))
