"""Other projects' columns become items: every aspect, on its own scale, with its own reason."""

import json

import pytest

from glider.core.errors import DataError, UnknownName
from glider.gold.foreign import foreign_set, guess

LEVELS = {f"orig_score{n}_description": f"level {n}" for n in range(1, 6)}
FEEDBACK = {
    "orig_instruction": "Say hi.", "orig_response": "Hi!", "orig_reference_answer": "Hello.",
    "orig_criteria": "Is it friendly?", "orig_score": "4", "orig_feedback": "Short but kind.",
    **LEVELS,
}  # fmt: skip
PREFERENCE = {
    **{k: v for k, v in FEEDBACK.items() if k not in ("orig_response", "orig_score")},
    "orig_response_A": "Hi!", "orig_response_B": "No.", "orig_preference": "A",
    "orig_feedback": "Response A is kind, Response B is not.",
}  # fmt: skip
ULTRA = {
    "instruction": "Say hi.",
    "completions": [
        {
            "response": "Hi!", "overall_score": 7.5, "critique": "Kind.",
            "annotations": {
                "honesty": {"Rating": "5", "Rationale": "No claims."},
                "truthfulness": {"Rating": "N/A"},
            },
        },
        {"response": "No.", "overall_score": 2, "critique": "Rude.", "annotations": {}},
    ],
}  # fmt: skip
STEER = {
    "prompt": "Say hi.", "response": "Hi!", "helpfulness": 3, "correctness": 4, "coherence": 4,
    "complexity": 0, "verbosity": 1,
}  # fmt: skip


def items(tmp_path, row, preset):
    path = tmp_path / "own.jsonl"
    path.write_text(json.dumps(row) + "\n")
    assert guess(row) == preset
    return foreign_set(preset, path).load(tmp_path)


def test_feedback_collection(tmp_path):
    (one,) = items(tmp_path, FEEDBACK, "prometheus").items
    assert (one.gold, one.scale, one.reason) == (4, (1, 5), "Short but kind.")
    assert (
        one.criterion.question == "Is it friendly?" and one.criterion.rubric.levels[5] == "level 5"
    )
    assert one.sample["reference"] == "Hello."


def test_preference_collection(tmp_path):
    (one,) = items(tmp_path, PREFERENCE, "prometheus").items
    assert foreign_set("prometheus", tmp_path / "own.jsonl").metrics[0] == "accuracy_averaged"
    assert one.is_pair and one.gold == 0
    assert one.reason == "Response 1 is kind, Response 2 is not."


def test_ultrafeedback(tmp_path):
    found = items(tmp_path, ULTRA, "ultrafeedback").items
    got = [(i.part, i.gold, i.scale, i.reason) for i in found]
    assert got == [
        ("honesty", 5, (1, 5), "No claims."),
        ("overall", 7.5, (1, 10), "Kind."),
        ("overall", 2, (1, 10), "Rude."),
    ]
    assert {i.cluster for i in found} == {"Say hi."}


def test_helpsteer(tmp_path):
    found = items(tmp_path, STEER, "helpsteer").items
    assert {i.part: i.gold for i in found} == {k: STEER[k] for k in list(STEER)[2:]}
    assert all(i.scale == (0, 4) and i.criterion.rubric.scores == (0, 1, 2, 3, 4) for i in found)


def test_a_row_without_a_label_is_counted(tmp_path):
    path = tmp_path / "own.jsonl"
    bad = {"instruction": "x", "completions": [{"response": "y"}]}
    path.write_text(json.dumps(ULTRA) + "\n" + json.dumps(bad) + "\n")
    notes = foreign_set("ultrafeedback", path).load(tmp_path).notes
    assert "left out, no text with a label: 1 (line 2)" in notes


def test_what_is_no_preset_or_no_file(tmp_path):
    assert guess(["input", "output", "label"]) is None
    with pytest.raises(UnknownName):
        foreign_set("prometeus", tmp_path / "x.jsonl")
    with pytest.raises(DataError):
        foreign_set("helpsteer", tmp_path / "x.jsonl")
