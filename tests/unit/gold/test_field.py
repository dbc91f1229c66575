"""The field's tables as they lie on the hub: columns, files, order, and what is left out."""

import gzip
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from glider.core.errors import DataError
from glider.gold.sets import load_set, shipped

FIELD = [name for name in shipped() if load_set(name).collection == "field"]


def parquet(path, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows), path)


def preference(number, subset, **more):
    return {
        "id": number, "prompt": f"Ask {number}?", "chosen": f"right {number}",
        "rejected": f"wrong {number}", "chosen_model": "a", "rejected_model": "b",
        "subset": subset, **more,
    }  # fmt: skip


def better(item):
    return item.sample.judged[int(item.gold)].text


def test_reward_bench_has_the_four_sections_of_its_filtered_split(tmp_path):
    one = load_set("reward_bench")
    rows = [
        preference(n, subset)
        for n, subset in enumerate(
            ("alpacaeval-easy", "llmbar-adver-manual", "donotanswer", "hep-go", "math-prm") * 8
        )
    ]
    data = tmp_path / one.data / "data"
    parquet(data / "filtered-00000-of-00001.parquet", rows)
    parquet(data / "raw-00000-of-00001.parquet", [preference(99, "hep-go")])
    loaded = one.load(tmp_path)
    assert {i.part for i in loaded.items} == {"Chat", "Chat Hard", "Safety", "Reasoning"}
    assert len(loaded.items) == 40 and all(better(i).startswith("right") for i in loaded.items)
    assert {i.gold for i in loaded.items} == {0.0, 1.0}, "the better text has no fixed place"
    assert [i.gold for i in one.load(tmp_path).items] == [i.gold for i in loaded.items]


def test_reward_bench_2_has_a_pair_for_each_rejected_text_and_no_ties(tmp_path):
    one = load_set("reward_bench_2")
    lists = {"chosen": ["right"], "rejected": ["wrong a", "wrong b", "wrong c"]}
    rows = [
        preference("f-1", "Factuality") | lists,
        preference("t-1", "Ties") | lists | {"chosen": ["right", "right too"]},
    ]
    parquet(tmp_path / one.data / "data/test-00000-of-00001.parquet", rows)
    loaded = one.load(tmp_path)
    assert [better(i) for i in loaded.items] == ["right"] * 3
    assert (
        len({i.cluster for i in loaded.items}) == 1
        and len({i.sample.id for i in loaded.items}) == 3
    )
    assert {i.part for i in loaded.items} == {"Factuality"}
    assert any("no text with a label" in note for note in loaded.notes)


def test_m_reward_bench_is_one_part_a_language(tmp_path):
    one = load_set("m_reward_bench")
    for code in ("deu_Latn", "zho_Hans", "zho_Hant"):
        rows = [preference(n, None, language=code, source="s", category="Chat") for n in range(3)]
        for row in rows:
            del row["subset"]
        folder = tmp_path / one.data / code
        parquet(folder / "test-00000-of-00001.parquet", rows)
        (folder / "raw.json").write_text("[]")
    loaded = one.load(tmp_path)
    assert {i.part for i in loaded.items} == {"deu_Latn", "zho_Hans", "zho_Hant"}
    assert {i.lang for i in loaded.items} == {"de", "zh"} and len(loaded.items) == 9
    assert {i.group for i in loaded.items} == {"Chat"}


def test_judgebench_is_two_sets_of_one_folder(tmp_path):
    row = {
        "pair_id": "p1", "original_id": "7", "source": "mmlu-pro-law", "question": "Q?",
        "response_model": "m", "response_A": "a", "response_B": "b", "label": "B>A",
    }  # fmt: skip
    for split in ("gpt", "claude"):
        file = tmp_path / f"judgebench-hub/data/{split}-00000-of-00001.jsonl"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(row | {"pair_id": split}) + "\n")
        (item,) = load_set(f"judgebench_{split}").load(tmp_path).items
        assert (item.sample.id, better(item), item.group) == (split, "b", "knowledge")


@pytest.mark.parametrize(
    ("name", "row", "labels"),
    [
        ("llm_aggrefact", {"dataset": "Wice", "doc": "D.", "contamination_identifier": "x"},
         {"claim": {"C1": 1, "C2": 0}, "label": {"C1": 1, "C2": 0}}),
        ("halubench", {"passage": "P.", "question": "Q?", "source_ds": "DROP"},
         {"answer": {"A1": 1, "A2": 0}, "label": {"A1": "PASS", "A2": "FAIL"}}),
    ],
)  # fmt: skip
def test_claims_and_answers_are_classes_by_document(tmp_path, name, row, labels):
    one = load_set(name)
    (column, texts), (_, given) = labels.items()
    rows = [row | {column: text, "id": text, "label": given[text]} for text in texts]
    parquet(tmp_path / one.data / "data/test-00000-of-00001.parquet", rows)
    parquet(tmp_path / one.data / "data/dev-00000-of-00001.parquet", rows)
    items = one.load(tmp_path).items
    assert [(i.sample.judged[0].text, i.gold) for i in items] == list(texts.items())
    assert len({i.cluster for i in items}) == 1


def test_hhh_names_the_better_choice_by_its_label(tmp_path):
    one = load_set("hhh_alignment_hub")
    for n, (split, labels) in enumerate({"harmless": [1, 0], "honest": [0, 1]}.items()):
        choices = [f"right {n}", f"wrong {n}"] if labels[0] else [f"wrong {n}", f"right {n}"]
        row = {"input": f"Ask {n}?", "targets": {"choices": choices, "labels": labels}}
        parquet(tmp_path / one.data / split / "test/0000.parquet", [row])
    items = one.load(tmp_path).items
    assert [better(i) for i in items] == ["right 0", "right 1"]
    assert len({i.cluster for i in items}) == 2 and {i.part for i in items} == {one.name}


def test_alpacafarm_is_the_instruction_with_its_input_and_the_preferred_output(tmp_path):
    one = load_set("alpacafarm")
    row = {"instruction": "Shorten.", "output_1": "a", "output_2": "b", "raw_preference": 4}
    rows = [row | {"input": "A text.", "preference": 2}, row | {"input": "", "preference": 1}]
    file = tmp_path / one.data / "alpaca_human_preference.json"
    file.parent.mkdir()
    file.write_text(json.dumps(rows))
    (file.parent / "alpaca_gpt4_preference.json").write_text(json.dumps(rows * 2))
    first, second = one.load(tmp_path).items
    assert (first.sample["input"], better(first)) == ("Shorten.\n\nA text.", "b")
    assert (second.sample["input"], better(second)) == ("Shorten.", "a")


def test_helpsteer_is_its_validation_split_alone(tmp_path):
    one = load_set("helpsteer")
    row = {"prompt": "Ask?", "response": "Reply.", "helpfulness": 3, "correctness": 4,
           "coherence": 4, "complexity": 2, "verbosity": 0}  # fmt: skip
    for split, told in (("validation", row), ("train", row | {"response": "Other."})):
        path = tmp_path / one.data / f"{split}.jsonl.gz"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(gzip.compress(json.dumps(told).encode() + b"\n"))
    items = one.load(tmp_path).items
    assert {i.part: i.gold for i in items} == {k: row[k] for k in one.questions}
    assert {i.sample.judged[0].text for i in items} == {"Reply."}


def test_each_rating_of_a_summary_is_an_item_by_text(tmp_path):
    one = load_set("summary_feedback")
    axes = {"overall": 6, "accuracy": 7, "coverage": 5, "coherence": None, "compatible": True}
    post = {"info": {"id": "t3", "title": "Title", "post": "Post.", "article": None},
            "summary": {"text": "Short.", "policy": "sup4", "note": None, "axes": axes}}  # fmt: skip
    news = {"info": {"id": "n1", "title": None, "post": None, "article": "Article."},
            "summary": post["summary"]}  # fmt: skip
    parquet(tmp_path / one.data / "axis/validation/0000.parquet", [post | {"worker": "w1"}])
    parquet(tmp_path / one.data / "axis/test/0000.parquet",
            [post | {"worker": "w2"}, news | {"worker": "w1"}])  # fmt: skip
    items = one.load(tmp_path).items
    assert len(items) == 9 and {i.part for i in items} == {"overall", "accuracy", "coverage"}
    assert {i.sample["context"] for i in items} == {"Title\n\nPost.", "Article."}
    assert len({i.cluster for i in items}) == 2 and {i.scale for i in items} == {(1.0, 7.0)}


@pytest.mark.parametrize("name", FIELD)
def test_a_folder_without_the_sets_files_says_which_are_missing(tmp_path, name):
    one = load_set(name)
    (tmp_path / one.data).mkdir()
    with pytest.raises(DataError, match="has no "):
        one.load(tmp_path)
    assert one.hub and one.files and one.use == "unseen"
    assert all(question.title for question in one.questions.values())
