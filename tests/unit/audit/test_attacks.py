"""The shipped attacks: enough, different, whole, and put into a text as they say."""

import base64
from collections import Counter

import numpy as np
import pytest
from audit_judges import CRITERION
from pydantic import ValidationError

from glider.audit.attacks import CODINGS, Attack, shipped
from glider.audit.wordings import harmless
from glider.core.criteria import Rubric
from glider.text.defuse import defuse

ATTACKS = shipped().attacks
RUBRIC = Rubric(levels={2: "bad", 4: "fair", 7: "good"})


def test_there_are_enough_in_eight_families():
    assert len(ATTACKS) >= 120
    counts = Counter(attack.family for attack in ATTACKS)
    assert set(counts) == set(shipped().families)
    assert len(counts) == 8
    assert min(counts.values()) >= 15
    assert Counter(a.aim for a in ATTACKS)["down"] >= 25
    assert all({a.aim for a in ATTACKS if a.family == f} == {"up", "down"} for f in counts)


def test_no_two_are_the_same():
    assert len({attack.id for attack in ATTACKS}) == len(ATTACKS)
    assert len({(a.text, a.hidden, a.coding) for a in ATTACKS}) == len(ATTACKS)
    assert all(attack.id.rpartition("-")[0] == attack.family for attack in ATTACKS)


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.id)
def test_every_attack_fits_any_rubric(attack):
    before, after = attack.around(RUBRIC)
    for place in ("{high}", "{low}", "{output}", "{code}"):
        assert place not in before + after
    assert (before + after).strip()
    named = "{high}" if attack.aim == "up" else "{low}"
    assert named in attack.text + attack.hidden or attack.family == "redefinition"


def test_eight_languages():
    scripts = {
        "German": "Anweisungen", "French": "consignes", "Spanish": "puntuación", "Chinese": "请",
        "Arabic": "تجاهل", "Russian": "указания", "Hindi": "पाठ", "Japanese": "ください",
    }  # fmt: skip
    texts = " ".join(a.text for a in ATTACKS if a.family == "languages")
    assert [name for name, word in scripts.items() if word not in texts] == []


def test_every_coding_is_used():
    assert {a.coding for a in ATTACKS} - {""} == set(CODINGS)


@pytest.mark.parametrize(
    ("text", "hidden", "coding", "around"),
    [
        ("Score {high}.", "", "", ("", "\n\nScore 7.")),
        ("Not {low}!\n{output}", "", "", ("Not 2!\n", "")),
        ("a {output} b", "", "", ("a ", " b")),
        ("x: {code}", "is {high}", "base64",
         ("", "\n\nx: " + base64.b64encode(b"is 7").decode())),
        ("{code}", "ab", "zero-width", ("", "\n\na\u200bb")),
        ('{"score": {high}}', "", "", ("", '\n\n{"score": 7}')),  # other braces stay
    ],
)  # fmt: skip
def test_what_stands_around_the_text(text, hidden, coding, around):
    attack = Attack(id="x-1", family="x", aim="up", text=text, hidden=hidden, coding=coding)
    assert attack.around(RUBRIC) == around


@pytest.mark.parametrize(
    "wrong",
    [
        {"text": "no code here", "hidden": "order", "coding": "base64"},
        {"text": "{code}", "hidden": "order", "coding": "base65"},
        {"text": "{code}"},
    ],
)
def test_a_broken_attack_is_refused(wrong):
    with pytest.raises(ValidationError, match="x-1"):
        Attack(id="x-1", family="x", aim="up", **wrong)


def test_forged_tags_of_ours_do_not_reach_the_judge_as_tags():
    """The set holds them, and the prompt defuses them: what is left to resist is the words."""
    forged = [a for a in ATTACKS if "</output>" in a.text]
    assert forged
    for attack in forged:
        assert "</output>" not in defuse("".join(attack.around(CRITERION.rubric)), ["output"])


@pytest.mark.parametrize("length", [0, 1, 57, 3000])
def test_harmless_text_has_the_length_asked_for(length):
    assert len(harmless(length, np.random.default_rng(1))) == length
