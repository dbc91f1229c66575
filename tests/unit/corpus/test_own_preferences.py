"""A person's own pairs: what is a record, what is left out, and how they are split."""

import json

import pytest

from glider.core.errors import DataError, EmptySplit
from glider.corpus.own_preferences import own_preferences


def read(tmp_path, records, dev=0.0, seed=0):
    path = tmp_path / "mine.jsonl"
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return own_preferences(path, dev=dev, seed=seed)


def message(role, text):
    return {"role": role, "content": text}


@pytest.mark.parametrize(
    ("prompt", "turns"),
    [
        ("Judge.", [("user", "Judge.")]),
        ([message("system", "S"), message("user", "U")], [("system", "S"), ("user", "U")]),
    ],
)
@pytest.mark.parametrize("answer", [str, lambda text: [message("assistant", text)]])
def test_texts_and_messages(tmp_path, prompt, turns, answer):
    made = read(tmp_path, [{"prompt": prompt, "chosen": answer("4"), "rejected": answer("1")}])
    (pair,), (example,) = made.preferences["train"], made.examples["train"]
    assert [(turn.role, turn.content) for turn in pair.messages] == turns
    assert (pair.chosen, pair.rejected, pair.score, pair.labels) == ("4", "1", None, None)
    assert (example.messages, example.completion, example.whole) == (pair.messages, "4", True)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"prompt": ""}, "no prompt that ends with the user's message"),
        ({"prompt": None}, "no prompt that ends with the user's message"),
        ({"prompt": [message("assistant", "Hi")]}, "no prompt that ends with the user's message"),
        ({"prompt": [{"role": "user"}]}, "no prompt that ends with the user's message"),
        ({"chosen": 4}, "no answer in `chosen`"),
        ({"rejected": []}, "no answer in `rejected`"),
        ({"rejected": [message("user", "1")]}, "no answer in `rejected`"),
        ({"rejected": "4"}, "the same answer twice"),
        ({}, "the same pair again"),
    ],
)
def test_what_is_left_out_is_counted(tmp_path, change, why):
    good = {"prompt": "Judge.", "chosen": "4", "rejected": "1"}
    made = read(tmp_path, [good, {**good, **change}])
    assert (made.records, len(made.preferences["train"])) == (2, 1)
    assert made.left_out == {why: 1}


def test_pairs_of_one_prompt_are_in_one_split_and_an_answer_is_learnt_once(tmp_path):
    records = [
        {"prompt": f"Judge {n}.", "chosen": "4", "rejected": wrong}
        for n in range(20)
        for wrong in ("1", "2")
    ]
    made = read(tmp_path, records, dev=0.2)
    train, dev = made.preferences["train"], made.preferences["dev"]
    assert (len(train), len(dev)) == (32, 8)
    assert not {pair.messages for pair in train} & {pair.messages for pair in dev}
    assert [len(made.examples[split]) for split in ("train", "dev")] == [16, 4]
    assert read(tmp_path, records, dev=0.2, seed=1).preferences["dev"] != dev


def test_nothing_to_learn_is_named(tmp_path):
    with pytest.raises(EmptySplit, match="no answer in `chosen`: 1"):
        read(tmp_path, [{"prompt": "Judge.", "rejected": "1"}])
    with pytest.raises(EmptySplit, match="all for development"):
        read(tmp_path, [{"prompt": "Judge.", "chosen": "4", "rejected": "1"}], dev=0.5)
    with pytest.raises(DataError, match="nothing there|not there|no such|cannot"):
        own_preferences(tmp_path / "none.jsonl", dev=0.1, seed=0)
