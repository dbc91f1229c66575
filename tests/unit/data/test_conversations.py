"""Conversations in every shape the field writes them in: what was asked is kept, or the row refused."""

import json

import pytest

from glider.core.errors import BadRecord
from glider.data.columns import sample_from
from glider.data.presets import columns_for
from glider.data.rows import Row

pytestmark = pytest.mark.filterwarnings("error")


def fields(data, maps=None, preset=None):
    sample = sample_from(
        Row(0, 1, data, "in.jsonl"), columns_for(set(data), maps=maps, preset=preset)
    )
    return {field.name: field.text for field in sample.fields}


def user(text):
    return {"role": "user", "content": text}


def model(text, **more):
    return {"role": "assistant", "content": text, **more}


BEFORE = [user("Hello there"), model("Hello!"), user("17 plus 4?")]
RIGHT, WRONG = model("21."), model("23.")
ASKED = "user: Hello there\nassistant: Hello!\nuser: 17 plus 4?"
PAIR = {"input": ASKED, "output 1": "21.", "output 2": "23."}
ONE = {"input": "q", "output 1": "21.", "output 2": "23."}
SHAREGPT = [
    {"from": "human", "value": "Hello there"},
    {"from": "gpt", "value": "Hello!"},
    {"from": "human", "value": "17 plus 4?"},
]


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        # A text prompt beside whole conversations, of which it is the first turn (UltraFeedback)...
        ({"prompt": "Hello there", "chosen": [*BEFORE, RIGHT], "rejected": [*BEFORE, WRONG]}, PAIR),
        # ... or the last.
        ({"prompt": "17 plus 4?", "chosen": [*BEFORE, RIGHT], "rejected": [*BEFORE, WRONG]}, PAIR),
        ({"prompt": BEFORE, "chosen": [RIGHT], "rejected": [WRONG]}, PAIR),
        ({"prompt": BEFORE, "chosen": [*BEFORE, RIGHT], "rejected": [*BEFORE, WRONG]}, PAIR),
        ({"prompt": BEFORE[:1], "chosen": [*BEFORE, RIGHT], "rejected": [*BEFORE, WRONG]}, PAIR),
        ({"prompt": BEFORE[:1], "chosen": [*BEFORE[1:], RIGHT], "rejected": [*BEFORE[1:], WRONG]},
         PAIR),
        ({"prompt": "Hello there", "chosen": [*BEFORE[1:], RIGHT],
          "rejected": [*BEFORE[1:], WRONG]}, PAIR),
        ({"chosen": [*BEFORE, RIGHT], "rejected": [*BEFORE, WRONG]}, PAIR),
        ({"prompt": json.dumps(BEFORE), "chosen": json.dumps([RIGHT]),
          "rejected": json.dumps([WRONG])}, PAIR),
        ({"prompt": BEFORE, "chosen": "21.", "rejected": "23."}, PAIR),
        # axolotl's chat template, LLaMA-Factory's ShareGPT
        ({"messages": BEFORE, "chosen": RIGHT, "rejected": WRONG}, PAIR),
        ({"conversations": SHAREGPT, "chosen": {"from": "gpt", "value": "21."},
          "rejected": {"from": "gpt", "value": "23."}}, PAIR),
        # Intel's and Argilla's
        ({"system": "Be kind.", "question": "q", "chosen": "21.", "rejected": "23."},
         ONE | {"context": "Be kind."}),
        ({"system": "", "instruction": "q", "chosen": "21.", "rejected": "23."}, ONE),
        ({"prompt": "q", "chosen": [user("q"), RIGHT], "rejected": [user("q"), WRONG]}, ONE),
        ({"prompt": "q", "chosen": "21.", "rejected": [user("q"), WRONG]}, ONE),
        # HH-RLHF
        ({"chosen": "\n\nHuman: Hello there\n\nAssistant: Hello!\n\nHuman: 17 plus 4?"
                    "\n\nAssistant: 21.",
          "rejected": "\n\nHuman: Hello there\n\nAssistant: Hello!\n\nHuman: 17 plus 4?"
                      "\n\nAssistant: 23."}, PAIR),
        # They part ways before the last turn: what differs is compared whole.
        ({"chosen": [user("q"), model("a"), user("more"), model("b")],
          "rejected": [user("q"), model("c"), user("more"), model("d")]},
         {"input": "user: q", "output 1": "assistant: a\nuser: more\nassistant: b",
          "output 2": "assistant: c\nuser: more\nassistant: d"}),
        # No prompt at all: two texts.
        ({"chosen": "21.", "rejected": "23."}, {"output 1": "21.", "output 2": "23."}),
        ({"prompt": "q", "chosen": '{"n": 21}', "rejected": "23."}, ONE | {"output 1": '{"n": 21}'}),
    ],
)  # fmt: skip
def test_every_turn_before_the_last_is_asked(row, expected):
    assert fields(row) == expected


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"prompt": "Other", "chosen": [*BEFORE, RIGHT], "rejected": [*BEFORE, WRONG]},
         "'prompt' is not among the turns of 'chosen'"),
        ({"prompt": [user("Other")], "chosen": [*BEFORE, RIGHT], "rejected": [*BEFORE, WRONG]},
         "'prompt' is not among the turns of 'chosen'"),
        ({"chosen": [user("q"), RIGHT], "rejected": [user("other"), WRONG]},
         "'chosen' and 'rejected' begin with different turns"),
        ({"prompt": "Hello there", "chosen": BEFORE, "rejected": [*BEFORE, WRONG]},
         "'chosen' ends with a turn of 'user'"),
        ({"prompt": "q", "chosen": [{"text": "a"}], "rejected": "b"},
         "message 1 of 'chosen' has no role"),
        ({"conversation_a": [user("q"), RIGHT], "conversation_b": []}, "'conversation_b' has no"),
    ],
)  # fmt: skip
def test_what_cannot_be_told_apart_is_refused(row, said):
    with pytest.raises(BadRecord) as caught:
        fields(row)
    assert said in str(caught.value)


CALL = {"id": "c1", "type": "function", "function": {"name": "w", "arguments": '{"at":"B"}'}}


@pytest.mark.parametrize(
    ("message", "text"),
    [
        (model("Hi"), "Hi"),
        (model(""), ""),
        (model(None), ""),  # null is as empty as an empty text
        (model([]), ""),
        (model(None, tool_calls=[]), ""),
        (model(None, tool_calls=[CALL]), '[calls w: {"at":"B"}]'),
        (model("Wait.", tool_calls=[CALL, CALL]),
         'Wait.\n[calls w: {"at":"B"}]\n[calls w: {"at":"B"}]'),
        (model(None, function_call={"name": "w", "arguments": "{}"}), "[calls w: {}]"),
        (model(None, tool_calls=[{"function": "w", "arguments": {"at": "B"}}]),
         '[calls w: {"at":"B"}]'),  # Inspect
        (model(None, tool_calls=[{"type": "custom", "custom": {"name": "w", "input": "B"}}]),
         "[calls w: B]"),
        (model(None, tool_calls=[["odd"]]), '[calls ["odd"]]'),
        (model(None, refusal="I cannot."), "I cannot."),
        (model("Hi", refusal=None), "Hi"),
        (model([{"type": "refusal", "refusal": "I cannot."}]), "I cannot."),
        (model([{"type": "output_text", "text": "a"}, "b"]), "a\nb"),
        (model([{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "a"},
                {"type": "tool_use", "id": "1", "name": "w", "input": {"at": "B"}}]),
         'a\n[calls w: {"at":"B"}]'),  # Anthropic
        ({"role": "tool", "content": "4 C", "tool_call_id": "c1"}, "4 C"),
        ({"role": "function", "name": "w", "content": "4 C"}, "4 C"),
        (user([{"type": "tool_result", "tool_use_id": "1", "content": "4 C"}]), "[result: 4 C]"),
        (user([{"type": "tool_result", "content": [{"type": "text", "text": "4 C"}]},
               {"type": "text", "text": "And?"}]), "[result: 4 C]\nAnd?"),
        (user([{"type": "tool_result", "tool_use_id": "1"}]), "[result]"),
        ({"role": "model", "parts": [{"text": "a"}, {"functionCall": {"name": "w", "args": {}}}]},
         "a\n[calls w: {}]"),  # Gemini
        ({"from": "gpt", "value": "a"}, "a"),
        ({"from": "function_call", "value": "not json"}, "not json"),
    ],
)  # fmt: skip
def test_what_a_message_says(message, text):
    roles = {"gpt": "assistant", "model": "assistant", "function_call": "assistant"}
    role = message.get("role", message.get("from"))
    found = fields({"messages": [user("q"), message, user("more"), model("a")]})
    assert found["input"] == f"user: q\n{roles.get(role, role)}: {text}\nuser: more"
    if roles.get(role, role) == "assistant":
        assert fields({"messages": [user("q"), message]})["output"] == text


@pytest.mark.parametrize(
    ("message", "said"),
    [
        ({"role": "assistant"}, "says nothing"),
        (model(5), "content that is no text"),
        (user([{"type": "image_url", "image_url": {}}]), "part that is no text (image_url)"),
        (user([{"type": "tool_result", "content": [{"type": "image"}]}]), "no text (image)"),
        (user([{"type": "tool_result", "content": 5}]), "a result that is no text"),
        ({"role": 5, "content": "a"}, "has no role"),
    ],
)
def test_messages_that_cannot_be_judged(message, said):
    with pytest.raises(BadRecord) as caught:
        fields({"messages": [user("q"), message, model("a")]})
    assert said in str(caught.value) and "message 2 of 'messages'" in str(caught.value)


@pytest.mark.parametrize(
    ("row", "context"),
    [
        ({"system": "Be kind.", "messages": [user("q"), model("a")]}, "Be kind."),  # Anthropic
        ({"system": "gpt-4", "messages": [{"role": "system", "content": "Be kind."}, user("q"),
                                          model("a")]}, "Be kind."),
        ({"messages": [{"role": "developer", "content": "Be kind."}, user("q"), model("a")]},
         "Be kind."),
    ],
)  # fmt: skip
def test_the_systems_words_are_the_context(row, context):
    assert fields(row) == {"input": "user: q", "context": context, "output": "a"}


def test_a_list_of_messages_is_written_turn_by_turn_wherever_it_stands():
    row = {"output": "a", "talk": [user("q"), model("b"), user("more")]}
    assert fields(row, {"input": "talk"})["input"] == "user: q\nassistant: b\nuser: more"


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"epoch": 1, "target": "r", "messages": [user("q")], "output": {"completion": ""},
          "error": {"message": "rate limit"}}, "ends without an answer: rate limit"),
        ({"doc": {}, "arguments": [["q", " a"]], "resps": [[[-1.5, False]]]}, "log-likelihoods"),
        ({"doc": {}, "arguments": [], "resps": [["a"]]}, "'arguments' holds no prompt"),
    ],
)  # fmt: skip
def test_logs_without_a_text_to_judge(row, said):
    with pytest.raises(BadRecord) as caught:
        fields(row)
    assert said in str(caught.value)
