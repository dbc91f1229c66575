"""Which sets a word means, and a person's own labels as a set."""

import json

import pytest

from glider.bench.choose import choose
from glider.core.errors import DataError, SetupError, UnknownName
from glider.data.library import load_criterion
from glider.gold.foreign import foreign_set
from glider.gold.own import own_set
from glider.gold.sets import known, load_set

RUBRIC = {"1": "bad", "5": "good"}


def record(n, label, **changes):
    made = {
        "id": f"r{n}", "input": f"q{n // 2}", "output": f"text {n}", "label": label,
        "scale": [1, 5], "criterion": {"name": "tone", "description": "Is it kind?"},
        "rubric": RUBRIC,
    }  # fmt: skip
    return made | changes


def write(path, records):
    path.write_text("".join(json.dumps(r) + "\n" for r in records))
    return path


@pytest.mark.parametrize(
    ("word", "wanted"),
    [
        ("all", lambda s: True),
        ("pairs", lambda s: s.kind == "pairs"),
        ("summaries", lambda s: s.family == "summaries"),
        ("Short-Answers", lambda s: s.family == "short answers"),
        ("llmbar", lambda s: s.name == "llmbar"),
    ],
)
def test_words(word, wanted):
    found = [each.labelled.name for each in choose([word], None)]
    assert found == [name for name in known() if wanted(load_set(name))]
    assert found


def test_a_set_meant_twice_is_taken_once():
    (only,) = choose(["llmbar", "llmbar"], None)
    assert not only.is_there


def test_an_unknown_word_offers_near_ones():
    with pytest.raises(UnknownName, match="did you mean 'llmbar'"):
        choose(["lmbar"], None)


def test_own_labels(tmp_path):
    path = write(tmp_path / "mine.jsonl", [record(n, 1 + n % 5) for n in range(10)])
    (chosen,) = choose([str(path)], None)
    assert chosen.is_there
    own = chosen.labelled
    assert (own.name, own.kind, own.part, own.cluster) == (
        "mine",
        "graded",
        "criterion.name",
        "input and context",
    )
    items = own.items(chosen.folder)
    assert [item.gold for item in items] == [1 + n % 5 for n in range(10)]
    assert [item.cluster for item in items] == [f"q{n // 2}" for n in range(10)]


def test_own_labels_are_clustered_as_the_rows_of_a_run(tmp_path):
    def clusters(changes, cluster=None):
        records = [record(n, 1 + n % 5, **changes(n)) for n in range(10)]
        path = write(tmp_path / "mine.jsonl", records)
        loaded = own_set(path, cluster=cluster).load(tmp_path)
        return len({item.cluster for item in loaded.items}), loaded.notes

    assert clusters(lambda n: {"context": f"c{n % 2}"}) == (10, ())
    assert clusters(lambda n: {"context": "one", "input": f"q{n % 2}"}) == (2, ())
    n, notes = clusters(lambda n: {"input": "Summarise."})
    assert n == 10 and "each counts as independent" in notes[0]
    assert clusters(lambda n: {}, "none")[0] == 10
    assert clusters(lambda n: {"topic": n % 3}, "topic")[0] == 3


def test_a_part_of_unlike_scales_is_a_part_for_each(tmp_path):
    rubrics = ({"0": "no", "1": "yes"}, {"1": "low", "9": "high"})
    records = [record(n, n % 2, rubric=rubrics[n % 2]) for n in range(6)]
    for each in records:
        del each["scale"]
    for order in (records, records[::-1]):
        items = own_set(write(tmp_path / "x.jsonl", order)).items(tmp_path)
        assert {(i.part, i.scale) for i in items} == {
            ("tone (0 to 1)", (0, 1)), ("tone (1 to 9)", (1, 9)),
        }  # fmt: skip


def test_an_own_file_does_not_go_by_the_name_of_a_known_set(tmp_path):
    path = write(tmp_path / "llmbar.jsonl", [record(n, 1 + n % 5) for n in range(10)])
    found = [each.labelled.name for each in choose([str(path), "llmbar"], None)]
    assert found == ["own-llmbar", "llmbar"]
    steer = {"prompt": "Say.", "response": "Hi!", "helpfulness": 3}
    assert foreign_set("helpsteer", write(path, [steer])).name == "own-llmbar"


@pytest.mark.parametrize(
    ("records", "kind"),
    [
        ([record(n, n % 2) for n in range(8)], "classes"),
        ([record(n, 0.5 * (n % 5)) for n in range(8)], "graded"),
        ([record(n, n % 2, outputs=["a", "b"]) for n in range(4)], "pairs"),
    ],
)
def test_the_kind_of_own_labels_shows_in_the_records(tmp_path, records, kind):
    assert own_set(write(tmp_path / "x.jsonl", records)).kind == kind


@pytest.mark.parametrize("labels", [(1, 2), (0, 1, 1.5), (-1, 1)])
def test_labels_of_own_pairs_on_another_scale_are_refused(tmp_path, labels):
    """A 1 of 1 and 2 is the first output's: read as 0, 0.5, 1 it would be the second's."""
    records = [record(n, labels[n % len(labels)], outputs=["a", "b"]) for n in range(6)]
    for each in records:
        del each["output"]
    own = own_set(write(tmp_path / "x.jsonl", records))
    with pytest.raises(DataError, match="on another scale") as caught:
        own.load(tmp_path)
    assert "0.5: a tie" in caught.value.hint


def test_own_labels_without_a_question_need_one(tmp_path):
    plain = [{"id": str(n), "output": f"t{n}", "label": n, "scale": [1, 5]} for n in (1, 2, 3, 4)]
    path = write(tmp_path / "x.jsonl", plain)
    with pytest.raises(SetupError, match="do not say what was asked"):
        own_set(path)
    own = own_set(path, load_criterion("conciseness"))
    assert (own.part, own.cluster) == ("", "input and context")
    assert {i.criterion.question for i in own.items(tmp_path)} == {
        load_criterion("conciseness").question
    }


def test_a_file_that_is_not_there_or_empty(tmp_path):
    with pytest.raises(DataError):
        own_set(tmp_path / "gone.jsonl")
    with pytest.raises(DataError):
        own_set(write(tmp_path / "empty.jsonl", []))


def test_the_fields_tables_are_asked_for_by_one_word():
    names = [each.labelled.name for each in choose(["field"], None)]
    assert {"reward_bench", "judgebench_gpt", "m_reward_bench", "halubench"} <= set(names)
    assert all(load_set(name).hub for name in names)
