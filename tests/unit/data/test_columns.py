"""Rows of every tool we know, and of the user's own, as samples."""

import datetime
import decimal
import gzip
import json

import pytest
from labelled_data import record_files, with_data

from glider.core.errors import BadRecord, CriterionError, SetupError, UnknownName
from glider.data.columns import sample_from
from glider.data.own_criteria import criterion_of
from glider.data.presets import PRESETS, columns_for, guess_preset, parse_maps, use_of
from glider.data.rows import Row, open_rows
from glider.data.values import NOT_READ, Unreadable

pytestmark = pytest.mark.filterwarnings("error")


def row(data):
    return Row(6, 7, data, "in.jsonl")


def shown(data, *maps, judged=(), preset=None):
    """The sample of a row as 'role:name' to text, in the order the judge reads."""
    columns = columns_for(set(data), preset=preset, maps=parse_maps(maps), judged=judged)
    sample = sample_from(row(data), columns)
    return {
        field.name if field.role in ("other", field.name) else f"{field.role}:{field.name}": (
            field.text
        )
        for field in sample.fields
    }


def U(text):
    return {"role": "user", "content": text}


def A(text):
    return {"role": "assistant", "content": text}


def S(text):
    return {"role": "system", "content": text}


CHAT = [
    {"role": "system", "content": "Be kind."},
    {"role": "user", "content": "Hi"},
    {"role": "assistant", "content": "Hello"},
    {"role": "user", "content": [{"type": "text", "text": "Bye"}]},
    {"role": "assistant", "content": "See you"},
]

PRESET_ROWS = [
    (
        "glider",
        {"input": "q", "context": "c", "reference": "r", "output": "a"},
        {"input": "q", "context": "c", "reference": "r", "judged:output": "a"},
    ),
    (
        "glider",
        {"outputs": ["a", "b", "c"]},
        {"judged:output 1": "a", "judged:output 2": "b", "judged:output 3": "c"},
    ),
    (
        "record",
        {"criterion": {}, "label": 1, "input": "q", "outputs": ["a", "b"]},
        {"input": "q", "judged:output 1": "a", "judged:output 2": "b"},
    ),
    (
        "prometheus",
        {"instruction": "q", "response": "a", "reference_answer": "r", "rubric": "..."},
        {"input": "q", "reference": "r", "judged:output": "a"},
    ),
    (
        "deepeval",
        {"input": "q", "actual_output": "a", "expected_output": "r", "context": ["c", "d"]},
        {"input": "q", "context": "c\n\nd", "reference": "r", "judged:output": "a"},
    ),
    (
        "deepeval",
        {"input": "q", "actual_output": "a", "context": ["c"], "retrieval_context": ["d"]},
        {"input": "q", "context": "d", "judged:output": "a"},
    ),
    (
        "ragas",
        {"user_input": "q", "response": "a", "retrieved_contexts": ["c", "d"], "reference": "r"},
        {"input": "q", "context": "c\n\nd", "reference": "r", "judged:output": "a"},
    ),
    (
        "openevals",
        {"inputs": {"question": "q"}, "outputs": {"answer": "ä"}, "reference_outputs": "r"},
        {"input": '{"question":"q"}', "reference": "r", "judged:output": '{"answer":"ä"}'},
    ),
    (
        "mlflow",
        {"inputs": {"q": 1}, "outputs": "a", "expectations": {"expected_response": "r"}},
        {"input": '{"q":1}', "reference": '{"expected_response":"r"}', "judged:output": "a"},
    ),
    (
        "autoevals",
        {"input": "q", "output": "a", "expected": "r"},
        {"input": "q", "reference": "r", "judged:output": "a"},
    ),
    (
        "trl",
        {"prompt": "q", "chosen": "a", "rejected": "b"},
        {"input": "q", "judged:output 1": "a", "judged:output 2": "b"},
    ),
    (
        "trl",
        {"prompt": CHAT[:2], "chosen": [CHAT[2]], "rejected": [CHAT[4]]},
        {
            "input": "user: Hi",
            "context": "Be kind.",
            "judged:output 1": "Hello",
            "judged:output 2": "See you",
        },
    ),
    (
        "trl",  # no prompt: the talk before the last turn is it
        {"chosen": CHAT[1:3], "rejected": [CHAT[1], CHAT[4]]},
        {"input": "user: Hi", "judged:output 1": "Hello", "judged:output 2": "See you"},
    ),
    (
        "messages",
        {"messages": CHAT},
        {
            "input": "user: Hi\nassistant: Hello\nuser: Bye",
            "context": "Be kind.",
            "judged:output": "See you",
        },
    ),
    (
        "messages",  # a user's turn after the last answer is not shown
        {"messages": CHAT[1:4]},
        {"input": "user: Hi", "judged:output": "Hello"},
    ),
    (
        "messages",
        {"messages": [{"role": "assistant", "content": None, "tool_calls": [{"name": "f"}]}]},
        {"judged:output": "[calls f]"},
    ),
    (
        "ragas-0.1",
        {"question": "q", "answer": "a", "contexts": ["c", "d"], "ground_truth": "r"},
        {"input": "q", "context": "c\n\nd", "reference": "r", "judged:output": "a"},
    ),
    (
        "alpaca",
        {"instruction": "q", "input": "c", "output": "a", "generator": "m"},
        {"input": "q", "context": "c", "judged:output": "a"},
    ),
    (
        "alpaca-eval",
        {"instruction": "q", "output_1": "a", "output_2": "b", "preference": 1.5},
        {"input": "q", "judged:output 1": "a", "judged:output 2": "b"},
    ),
    (
        "mt-bench",  # two turns each; the first is what was judged
        {"conversation_a": [U("q"), A("a"), U("more"), A("b")], "turn": 1,
         "conversation_b": [U("q"), A("c"), U("more"), A("d")], "winner": "model_a"},
        {"input": "user: q", "judged:output 1": "a", "judged:output 2": "c"},
    ),
    (
        "mt-bench",
        {"conversation_a": [U("q"), A("a"), U("more"), A("b")], "turn": 2,
         "conversation_b": [U("q"), A("c"), U("more"), A("d")], "winner": "tie"},
        {"input": "user: q",
         "judged:output 1": "assistant: a\nuser: more\nassistant: b",
         "judged:output 2": "assistant: c\nuser: more\nassistant: d"},
    ),
    (
        "inspect",
        {"id": 7, "epoch": 2, "input": "q", "target": ["r", "s"], "scores": {},
         "messages": [S("Be kind."), U("attachment://1f"),
                      {"role": "assistant", "source": "generate",
                       "content": [{"type": "reasoning", "reasoning": "hm"},
                                   {"type": "text", "text": "a"}]}],
         "output": {"completion": "a"}, "attachments": {"1f": "a long q"}},
        {"input": "user: a long q", "context": "Be kind.", "reference": "r\ns",
         "judged:output": "a"},
    ),
    (
        "inspect",  # an agent that hands its answer in by a tool
        {"id": "x", "epoch": 1, "input": "q", "target": "r",
         "messages": [U("q"), {"role": "assistant", "content": "",
                               "tool_calls": [{"function": "submit", "arguments": {"answer": "a"}}]},
                      {"role": "tool", "content": "a", "function": "submit"}],
         "output": {"completion": "a"}},
        {"input": 'user: q\nassistant: [calls submit: {"answer":"a"}]\ntool: a',
         "reference": "r", "judged:output": "a"},
    ),
    (
        "lm-eval",
        {"doc_id": 3, "doc": {"q": "?"}, "target": "r", "arguments": [["q", {"until": []}]],
         "resps": [["a whole answer"]], "filtered_resps": ["a"], "exact_match": 1.0},
        {"input": "q", "reference": "r", "judged:output": "a whole answer"},
    ),
    (
        "lm-eval",
        {"doc_id": 3, "doc": {}, "target": "r", "resps": [["a"]],
         "arguments": {"gen_args_0": {"arg_0": '[{"role": "user", "content": "q"}]', "arg_1": {}}}},
        {"input": "user: q", "reference": "r", "judged:output": "a"},
    ),
    (
        "completion",
        {"prompt": "q", "completion": "a", "label": True},
        {"input": "q", "judged:output": "a"},
    ),
    (
        "completion",
        {"prompt": [S("Be kind."), U("q")], "completion": [A("a")]},
        {"input": "user: q", "context": "Be kind.", "judged:output": "a"},
    ),
    (
        "sharegpt",
        {"system": "Be kind.", "conversations": [
            {"from": "human", "value": "Weather?"},
            {"from": "function_call", "value": '{"name": "w", "arguments": {"at": "B"}}'},
            {"from": "observation", "value": "4 C"}, {"from": "gpt", "value": "4 degrees."}]},
        {"input": 'user: Weather?\nassistant: [calls w: {"at":"B"}]\ntool: 4 C',
         "context": "Be kind.", "judged:output": "4 degrees."},
    ),
    (
        "sharegpt",
        {"conversation": [U("q"), A("a")], "conversation_id": "x"},
        {"input": "user: q", "judged:output": "a"},
    ),
]  # fmt: skip


@pytest.mark.parametrize(("preset", "data", "fields"), PRESET_ROWS)
def test_presets(preset, data, fields):
    assert guess_preset(set(data)) == preset
    assert shown(data) == fields == shown(data, preset=preset)
    assert list(shown(data)) == list(fields)


def test_every_preset_has_a_row_above():
    assert {preset for preset, _, _ in PRESET_ROWS} == set(PRESETS)


@pytest.mark.parametrize(
    ("columns", "preset"),
    [
        ({"messages", "output"}, "glider"),
        ({"messages", "prompt", "chosen", "rejected"}, "trl"),
        ({"input", "output", "expected", "context"}, "autoevals"),
        ({"inputs", "outputs", "expectations", "reference_outputs"}, "mlflow"),
        ({"input", "output", "kind", "label", "criterion"}, "record"),
        ({"instruction", "output", "input"}, "alpaca"),
        ({"question", "answer", "ground_truth", "output"}, "glider"),
        ({"prompt", "completion", "chosen", "rejected"}, "trl"),
        ({"user_input", "response", "actual_output"}, "deepeval"),
    ],
)
def test_precedence(columns, preset):
    assert guess_preset(columns) == preset


def test_no_preset_fits():
    with pytest.raises(SetupError, match=r"fits the columns answer, question \(.*--map output="):
        columns_for({"question", "answer"})
    with pytest.raises(UnknownName, match="no preset called 'raga'; did you mean 'ragas'"):
        columns_for({"output"}, preset="raga")


QA = {"question": "q", "answer": "a", "docs": [{"text": "d1"}, {"text": "d2"}], "card": "p"}


@pytest.mark.parametrize(
    ("data", "maps", "judged", "fields"),
    [
        (QA, ["output=answer"], [], {"judged:output": "a"}),
        (
            QA,
            ["output=answer", "input = question", "context=docs[-1].text", "persona=card"],
            [],
            {"input": "q", "context": "d2", "persona": "p", "judged:output": "a"},
        ),
        (QA, ["context=docs", "output=answer"], [], {
            "context": '[{"text":"d1"},{"text":"d2"}]', "judged:output": "a",
        }),
        (QA, [], ["answer"], {"judged:answer": "a"}),
        (QA, ["a=answer", "b=card"], ["a", "b"], {"judged:a": "a", "judged:b": "p"}),
        (QA, ["output=answer", "a=card"], ["a"], {"output": "a", "judged:a": "p"}),
        ({"input": "q", "output": "a", "x": "b"}, ["output=x"], [],
         {"input": "q", "judged:output": "b"}),
        ({"outputs": ["a", "b"], "x": "c"}, ["output=x"], [], {"judged:output": "c"}),
        ({"output": "a", "pair": ["b", "c"]}, ["outputs=pair"], [],
         {"judged:output 1": "b", "judged:output 2": "c"}),
        ({"a.b": "dotted", "a": {"b": "deep"}}, ["output=a.b"], [], {"judged:output": "dotted"}),
        ({"a": {"b": "deep"}}, ["output=a.b"], [], {"judged:output": "deep"}),
        ({"a": [["x"], ["y", "z"]]}, ["output=a[1][0]"], [], {"judged:output": "y"}),
        ({"messages": CHAT}, ["output=messages[2].content"], [],
         {"input": "user: Hi\nassistant: Hello\nuser: Bye", "context": "Be kind.",
          "judged:output": "Hello"}),
        ({"messages": CHAT, "context": "doc"}, ["context=context"], [],
         {"input": "user: Hi\nassistant: Hello\nuser: Bye", "context": "doc",
          "judged:output": "See you"}),
        ({"messages": CHAT}, [], ["output"],
         {"input": "user: Hi\nassistant: Hello\nuser: Bye", "context": "Be kind.",
          "judged:output": "See you"}),
        ({"input": "q", "output": "a"}, [], ["input"], {"judged:input": "q"}),
    ],
)  # fmt: skip
def test_maps(data, maps, judged, fields):
    assert shown(data, *maps, judged=judged) == fields


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("plain", "plain"),
        ("", ""),  # a model that answered nothing is judged
        (3, "3"),
        (0.5, "0.5"),
        (True, "true"),
        ({"b": [1, None], "a": "ä"}, '{"b":[1,null],"a":"ä"}'),
        (["x", "y"], '["x","y"]'),  # only contexts are joined
        (datetime.date(2024, 5, 1), "2024-05-01"),
        ({"at": datetime.datetime(2024, 5, 1, 12, 0)}, '{"at":"2024-05-01 12:00:00"}'),
        (decimal.Decimal("1.50"), "1.50"),
    ],
)
def test_values_as_text(value, text):
    assert shown({"output": value}) == {"judged:output": text}


@pytest.mark.parametrize("nothing", [None, "", " \n", []])
def test_what_is_not_there_is_no_field(nothing):
    data = {"input": nothing, "context": nothing, "reference": nothing, "output": "a"}
    fields = shown(data, "persona=input")
    if nothing == []:  # an empty list is a value; as contexts it is no text
        assert fields == {"input": "[]", "reference": "[]", "persona": "[]", "judged:output": "a"}
    else:
        assert fields == {"judged:output": "a"}


DEEP = json.loads('{"a":' * 500 + "1" + "}" * 500)
for _ in range(5000):
    DEEP = {"a": DEEP}


@pytest.mark.parametrize(
    ("data", "maps", "said"),
    [
        ({"input": "q", "ouput": "a"}, ["input=input"],
         "no column 'output'; there are input, ouput; did you mean 'ouput'?"),
        ({"output": "a"}, ["context=docs"], "no column 'docs'; there are output"),
        ({}, [], "no column 'output'; there are none"),
        ({"output": None}, [], "'output' is null, and there is nothing else to judge"),
        ({"output": float("nan")}, [], "'output' is null, and there is nothing else to judge"),
        ({"output": b"bytes"}, [], "'output' holds a value of type bytes"),
        ({"output": Unreadable("stands twice")}, [], "'output' stands twice"),
        ({"output": "a", "d": {"x": [NOT_READ]}}, ["context=d"], "'context' was not read"),
        ({"output": "a", "d": NOT_READ}, ["context=d.x"], "'d' was not read"),
        ({"output": DEEP}, [], "'output' is nested too deeply"),
        ({"output": "a", "outputs": ["b", "c"]}, [], "one to judge, or some to compare?"),
        ({"outputs": ["b"]}, [], "'outputs' must be a list of two or more texts"),
        ({"outputs": "bc"}, [], "'outputs' must be a list of two or more texts"),
        ({"outputs": ["b", None]}, [], "one of the 'outputs' is null"),
        ({"output": "a", "pair": None}, ["outputs=pair"], "at least one field with the role"),
        ({"output": "a", "d": {"text": 1}}, ["context=d.txt"],
         "no column 'txt' in 'd'; there are text; did you mean 'text'?"),
        ({"output": "a", "d": "x"}, ["context=d.text"], "'d' holds no named values"),
        ({"output": "a", "d": ["x"]}, ["context=d[1]"], "'d' holds 1 values, so there is no"),
        ({"output": "a", "d": ["x"]}, ["context=d[-2]"], "'d' holds 1 values, so there is no"),
        ({"output": "a", "d": "x"}, ["context=d[0]"], "'d' holds no list"),
        ({"output": "a", "d": ["x"]}, ["context=d[x]"], "no column 'd[x]'"),
    ],
)  # fmt: skip
def test_bad_records(data, maps, said):
    columns = columns_for({"output"}, maps=parse_maps(maps))
    with pytest.raises(BadRecord) as caught:
        sample_from(row(data), columns)
    assert str(caught.value).startswith("in.jsonl:7: ")
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("preset", "data", "said"),
    [
        ("messages", {"message": CHAT}, "no column 'messages'; there are message; did you mean"),
        ("messages", {"messages": "Hi"}, "'messages' must be a list of messages"),
        ("messages", {"messages": CHAT[:2]}, "has no assistant turn to judge"),
        ("messages", {"messages": [{"content": "x"}]}, "message 1 of 'messages' has no role"),
        ("messages", {"messages": [{"role": "assistant"}]}, "message 1 of 'messages' says nothing"),
        ("messages", {"messages": [{"role": "user", "content": 5}]}, "has content that is no text"),
        ("messages", {"messages": [{"role": "user", "content": [{"type": "image_url"}]}]},
         "message 1 of 'messages' has a part that is no text"),
        ("trl", {"chosen": "a"}, "no column 'rejected'; there are chosen"),
        ("trl", {"chosen": "a", "rejected": None}, "'rejected' must be a text or a list"),
        ("trl", {"chosen": [], "rejected": "b"}, "'chosen' has no messages"),
    ],
)  # fmt: skip
def test_bad_chats(preset, data, said):
    with pytest.raises(BadRecord) as caught:
        sample_from(row(data), PRESETS[preset])
    assert str(caught.value).startswith("in.jsonl:7: ")
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("maps", "said"),
    [
        (["output"], "--map 'output' is not of the form field=column"),
        (["=answer"], "not of the form"),
        (["output= "], "not of the form"),
        (["output=a", "output=b"], "--map gives 'output' twice"),
        (["Output=a"], "--map has no field 'Output'; write 'output'"),
        (["1st=a"], "field name '1st' must start with a letter"),
        (["output=a", "outputs=b"], "both output and outputs"),
    ],
)
def test_bad_maps(maps, said):
    with pytest.raises(SetupError) as caught:
        parse_maps(maps)
    assert said in str(caught.value)


def test_bad_judged_names():
    with pytest.raises(SetupError, match="must start with a letter"):
        columns_for({"a"}, judged=["<score>"])


def test_equals_signs_and_spaces_in_columns():
    assert parse_maps(["output = my answer = here"]) == {"output": "my answer = here"}


def test_ids():
    def id_of(data, **maps):
        return sample_from(row(data), columns_for(data, maps=maps)).id

    assert id_of({"output": "a", "id": 17}) == "17"
    assert id_of({"output": "a", "key": "k", "id": 17}, id="key") == "k"
    unnamed = id_of({"output": "a"})
    assert unnamed == id_of({"output": "a", "id": None}) == id_of({"output": "a", "id": " "})
    assert unnamed != id_of({"output": "b"})
    assert len(unnamed) == 16
    with pytest.raises(BadRecord, match="no column 'key'"):
        id_of({"output": "a"}, id="key")


def test_metadata_is_kept_for_records_only():
    data = {"kind": "pointwise", "criterion": {}, "label": 2, "output": "a", "meta": {"x": 1}}
    data |= {"lang": "en", "extra": 1}
    kept = {"kind": "pointwise", "label": 2, "meta": {"x": 1}, "lang": "en"}
    assert sample_from(row(data), PRESETS["record"]).metadata == kept
    assert sample_from(row(data), PRESETS["glider"]).metadata == {}


# A row's own criterion

NAMED = {"name": "fluency", "description": "Is it fluent?"}


def test_a_rubric_of_its_own():
    data = {"criterion": NAMED, "rubric": {"5": "good", "1": "bad", "3": "so"}, "scale": [1, 5]}
    criterion = criterion_of(row(data))
    assert (criterion.name, criterion.question) == ("fluency", "Is it fluent?")
    assert dict(criterion.rubric.levels) == {1: "bad", 3: "so", 5: "good"}


def test_a_criterion_as_a_criterion_file_writes_it():
    whole = {"name": "open", "question": "Are we open?", "rubric": {"0": "no", "1": "yes"}}
    criterion = criterion_of(row({"output": "a", "criterion": whole}))
    assert criterion.question == "Are we open?"
    assert dict(criterion.rubric.levels) == {0: "no", 1: "yes"}


@pytest.mark.parametrize(
    ("scale", "scores"),
    [([0, 1], 2), ([1, 5], 5), ([-2, 2], 5), ([0, 10], 11), ([1.0, decimal.Decimal("5.00")], 5)],
)
def test_a_scale_gives_plain_levels(scale, scores):
    rubric = criterion_of(row({"criterion": NAMED, "rubric": None, "scale": scale})).rubric
    assert [rubric.low, rubric.high, len(rubric.scores)] == [*scale, scores]
    assert rubric.levels[rubric.low].startswith("the lowest")
    assert rubric.levels[rubric.high].startswith("the highest")
    assert len(set(rubric.levels.values())) == scores


def test_prometheus_rubrics():
    text = "[Is it kind?]\nScore 1: rude\nand loud\nScore 2: so so\nScore 3: kind"
    criterion = criterion_of(row({"rubric": text}))
    assert criterion.question == "Is it kind?"
    assert dict(criterion.rubric.levels) == {1: "rude\nand loud", 2: "so so", 3: "kind"}


def test_rows_without_a_criterion():
    assert criterion_of(row({"output": "a"})) is None


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ({"criterion": NAMED}, "no rubric, and no scale of 2 to 11 whole numbers"),
        ({"criterion": NAMED, "scale": [0, 100]}, "no rubric"),
        ({"criterion": NAMED, "scale": [1.5, 3]}, "no rubric"),
        ({"criterion": NAMED, "scale": [3, 3]}, "no rubric"),
        ({"criterion": NAMED, "rubric": {"1": "only"}}, "needs 2 to 11 levels"),
        ({"criterion": NAMED, "rubric": {"1": "a", "x": "b"}}, "level 'x' is not a whole number"),
        ({"criterion": NAMED, "rubric": ["a", "b"]}, "maps scores to descriptions"),
        ({"criterion": {"name": "x"}, "scale": [0, 1]}, "a criterion needs a question"),
        ({"criterion": "fluency"}, "an object with name and question"),
        ({"rubric": "be nice"}, "lines of 'Score N: ...'"),
        ({"rubric": "Score 1: a\nScore 2: b"}, "lines of 'Score N: ...'"),
    ],
)
def test_criteria_that_cannot_be_used(data, said):
    with pytest.raises(CriterionError) as caught:
        criterion_of(row(data))
    assert str(caught.value).startswith("in.jsonl:7: ")
    assert said in str(caught.value)


# Real data


@with_data
def test_every_record_of_the_judgment_data_is_a_sample():
    paths = record_files()
    records = usable = 0
    refused = set()
    for path in paths:
        for found in open_rows(path):
            assert isinstance(found, Row), found
            assert guess_preset(found.data) == "record"
            sample = sample_from(found, PRESETS["record"])
            assert len(sample.judged) == (2 if found.data["kind"] == "pairwise" else 1)
            assert sample.id == found.data["id"]
            records += 1
            try:
                usable += criterion_of(found) is not None
            except CriterionError as error:
                refused.add(error.message.rpartition(": ")[2])
    with gzip.open(paths[0], "rt", encoding="utf-8") as stream:
        first = json.loads(next(stream))
    assert first["input"] == sample_from(row(first), PRESETS["record"])["input"]
    print(f"{records} records of {len(paths)} files, {usable} with a criterion of their own")
    assert refused == {"the row has no rubric, and no scale of 2 to 11 whole numbers"}
    assert (len(paths), records, usable) == (51, 73515, 53622)


# What is used, and what is not


@pytest.mark.parametrize(
    ("data", "maps", "said"),
    [
        ({"output": "a", "instruct": "q", "source": "s"}, [],
         "used: output; not used: instruct, source"),
        ({"output": "a", "question": "q", "docs": ["d"], "id": 1, "expected_answer": "r"}, [],
         "used: output; not used: question, docs, expected_answer "
         "(--map input=question --map context=docs)"),
        ({"instruction": "q", "output": "a", "generator": "m"}, [],
         "used: instruction as input, output; not used: generator"),
        ({"answer": "a", "meta": {"q": "q"}, "x": 1}, ["output=answer", "input=meta.q"],
         "used: meta.q as input, answer as output; not used: x"),
        ({"input": "q", "actual_output": "a", "context": ["c"], "retrieval_context": ["d"]}, [],
         "used: input, retrieval_context as context, actual_output as output; not used: context"),
        ({"prompt": "q", "chosen": "a", "rejected": "b", "score": 1}, [],
         "used: prompt, chosen, rejected; not used: score"),
        ({"messages": [], "output": "a"}, [],
         "used: output; not used: messages (--map input=messages)"),
    ],
)  # fmt: skip
def test_what_is_not_used_is_said(data, maps, said):
    assert str(use_of(data, columns_for(data, maps=parse_maps(maps)))) == said


def test_what_is_used_for_more_than_the_texts_is_no_news():
    data = {"output": "a", "writers": "m", "criterion": {}, "label": 1, "meta": {}, "rubric": {}}
    assert use_of(data, columns_for(data), ("criterion", "rubric", "writers")).unused == ()


def test_a_likely_column_is_named_where_no_preset_fits():
    with pytest.raises(SetupError, match="--map output=answer judges that column"):
        columns_for({"question", "answer"})
