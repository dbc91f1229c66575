"""Plans in YAML, and the draw of each record."""

import re
from collections import Counter
from importlib.resources import files

import pytest
import yaml

from glider.core.errors import DataError, RecipeError
from glider.synth.draw import TAGS
from glider.synth.drawer import Drawer
from glider.synth.families import families
from glider.synth.plan import COMBINATIONS, Plan, parse_plan
from glider.synth.profiles import shipped_profiles
from glider.synth.steps import ask_material
from glider.synth.synthesize import commented_plan, open_plan


def draws(n=400, folder=None, **plan):
    drawer = Drawer(Plan(**plan), **({"folder": folder} if folder else {}))
    return [drawer.draw(number) for number in range(n)]


def test_a_seed_repeats_a_plan_and_a_record_does_not_depend_on_the_others():
    drawer, again = Drawer(Plan(seed=3)), Drawer(Plan(seed=3))
    assert again.draw(57) == drawer.draw(57)
    assert [drawer.draw(n) for n in range(5)] == [again.draw(n) for n in range(5)]
    assert Drawer(Plan(seed=4)).draw(57) != drawer.draw(57)


def test_groups_are_drawn_evenly_whatever_their_size():
    found = draws(3000)
    for counts in (
        Counter(d.domain_group for d in found if not d.code),
        Counter(d.criterion_group for d in found if not d.code and d.kind == "single"),
    ):
        expected = counts.total() / len(counts)
        # Five standard deviations of a binomial count.
        assert all(abs(n - expected) < 5 * expected**0.5 for n in counts.values()), counts


def test_fifteen_combinations_and_fifteen_names_of_each_field_come_up():
    assert len(COMBINATIONS) == 15
    assert all(len(set(names)) == 15 for names in TAGS.values())
    found = draws(3000)
    assert {tuple(sorted(d.tags)) for d in found} >= {tuple(sorted(c)) for c in COMBINATIONS}
    for role, names in TAGS.items():
        assert {d.tags[role] for d in found if role in d.tags} == set(names)
    assert all(len(set(d.tags.values())) == len(d.tags) for d in found)


def test_what_is_drawn_fits_together():
    for d in draws(2000, scales={"0-1": 1, "1-5": 1, "0-10": 1}, margin=0.5):
        scores = d.criterion.rubric.scores
        needed = {r for r in TAGS if f"{{{r}}}" in d.criterion.question} - {"output"}
        assert needed <= set(d.tags)
        assert d.judged in d.tags
        assert d.judged not in needed
        assert 40 <= d.words <= 250
        if d.kind == "pair":
            assert {d.target, d.wrong} == {0, 1}
            assert d.level > d.second
            assert {"input", "output"} <= set(d.tags)
        else:
            assert d.target in scores
            assert abs(d.wrong - d.target) >= 0.5 * (scores[-1] - scores[0]) or d.wrong in (
                scores[0],
                scores[-1],
            )
            assert (d.fault != "too kind" or d.wrong > d.target) and (
                d.fault != "too harsh" or d.wrong < d.target
            )
        if d.kind == "several":
            assert "\n2. " in d.criterion.question
        if d.kind == "minimal":
            assert {"input", "output"} <= set(d.tags)
            assert d.second in scores
            assert d.second != d.target


def test_targets_are_even_or_weighted():
    even = Counter(d.target for d in draws(2000, kinds={"single": 1}, scales={"1-5": 1}))
    assert max(even.values()) < 1.4 * min(even.values())
    low = Counter(
        d.target for d in draws(300, kinds={"single": 1}, scales={"1-5": 1}, targets={"low": 1})
    )
    assert set(low) == {1, 2}


def test_own_subjects_criteria_and_passages_are_drawn(tmp_path):
    (tmp_path / "mine.yaml").write_text(
        "name: bark\nquestion: Does the {output} name the bark of {context}?\n"
        "rubric: {0: It does not., 1: It does.}\n"
    )
    (tmp_path / "passages.jsonl").write_text('{"text": "An oak has deep bark."}\n{"no": 1}\n')
    found = draws(
        50,
        folder=tmp_path,
        own_domains=("oaks",),
        own_criteria=("mine.yaml",),
        only_own=True,
        code=0,
        passages="passages.jsonl",
        kinds={"single": 1},
    )
    assert {d.domain for d in found} == {"oaks"}
    assert {d.criterion.rubric.scores for d in found} == {(0, 1)}
    assert all(d.passage == "An oak has deep bark." for d in found)


def test_scenarios_make_instructions_with_demands_and_quizzes():
    plan = {"scenarios": {"reading": 1, "role-play": 1, "programming": 1}, "code": 0.3}
    found = draws(400, **plan)
    assert {d.scenario for d in found} == {"reading", "role-play", "programming"}
    for d in found:
        assert d.code is (d.scenario == "programming")
        assert d.judged == "output"
        assert "input" in d.tags
        assert d.scenario != "reading" or "context" in d.tags
        assert len(set(d.demands)) == 2
        assert d.quiz is None or d.scenario != "role-play"
    quizzes = [d for d in found if d.quiz]
    assert len(quizzes) > 50
    prompt = ask_material(quizzes[0]).messages[-1].content
    for told in (quizzes[0].quiz.audience, quizzes[0].quiz.task, *quizzes[0].demands):
        assert told in prompt
    # A plan without scenarios draws what it would draw if there were none.
    bare = draws(50)
    assert all(d.scenario is None for d in bare)


def test_combinations_of_fields_are_drawn_by_weight_and_every_criterion_has_what_it_speaks_of():
    weights = {"input+output": 3, "output": 1, "output+context": 0}
    found = draws(400, kinds={"single": 1}, code=0, fields=weights)
    drawn = Counter("+".join(d.tags) for d in found)
    assert "output+context" not in drawn or drawn["output+context"] < 0.1 * len(found)
    assert drawn["input+output"] > 2 * drawn["output"] > 40
    for d in found:
        asked = set(re.findall(r"\{(input|context|reference)\}", d.criterion.question))
        assert asked <= set(d.tags)
        assert asked or "+".join(d.tags) in ("input+output", "output")
    assert draws(50, fields={}) == draws(50)


def test_scores_of_a_profile_are_near_one_another_and_even():
    found = draws(900, kinds={"profile": 1})
    assert {d.criterion_group for d in found} == set(shipped_profiles())
    profile = shipped_profiles()["cefr-b2-speaking"]
    assert {d.source for d in found} == {part.name for part in profile.parts}
    asked = {d.aspects[0].criterion.question for d in found}
    assert len(asked) == len(profile.instructions) == 3
    for d in found:
        targets = [a.target for a in d.aspects]
        assert max(targets) - min(targets) <= 2
        assert all(abs(a.wrong - a.target) >= 2 for a in d.aspects)
    for place in range(3):
        counts = Counter(d.aspects[place].target for d in found)
        assert set(counts) == {1, 2, 3, 4, 5}
        assert max(counts.values()) < 3 * min(counts.values())


def test_every_crafted_case_names_fields_that_its_family_has():
    assert set(families()) == {"toxicity", "injection", "misleading", "personal-data"}
    for family in families().values():
        assert family.criterion.rubric.scores == (0, 1)
        assert len(family.low) == len(family.high) == 6
        for text in (*family.low, *family.high, family.criterion.question):
            assert set(re.findall(r"{(\w+)}", text)) <= set(family.fields)
    found = draws(200, kinds={"crafted": 1})
    assert 60 < sum(d.target for d in found) < 140


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"apart": None}, "apart"),
        ({"field": "transcript"}, "field"),
        ({"scores": "1-7"}, "scores: '1-7' is none of 0-1"),
        ({"instructions": ["Judge it."]}, "has {question} in one place"),
        ({"colour": "red"}, "colour"),
        ({"criteria": []}, "criteria"),
    ],
)
def test_a_profile_of_ones_own_is_one_file(tmp_path, change, said):
    text = files("glider.synth.profiles").joinpath("cefr-b2-speaking.yaml").read_text("utf-8")
    data = yaml.safe_load(text)
    plan = Plan(kinds={"profile": 1}, profiles=("mine.yaml",))
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump({**data, "apart": 0, "field": "ESSAY"}))
    drawn = Drawer(plan, folder=tmp_path).draw(5)
    assert drawn.judged_names == ("ESSAY",)
    assert len({a.target for a in drawn.aspects}) == 1
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump({**data, **change}))
    with pytest.raises(RecipeError, match=re.escape(said)):
        Drawer(plan, folder=tmp_path)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("kinds: {adapted: 1}\n", "adapted needs `real`"),
        ("families: {rudeness: 1}\n", "families: 'rudeness' is none of toxicity"),
        ("writing: slowly\n", "writing"),
        ("candidates: 0\n", "candidates"),
        ("sede: 3\n", "did you mean 'seed'"),
        ("seed: 1\nkindes: {single: 1}\n", "plan.yaml:2.*did you mean 'kinds'"),
        ("kinds: {double: 1}\n", "plan.yaml:1: kinds: 'double' is none of single"),
        ("# sinlge\nkinds:\n  sinlge: 1\n", "plan.yaml:3: .*did you mean 'single'"),
        ("scales: {0-1: 1}\ntargets: {middle: 1}\n", "plan.yaml:2: targets: no scale .*'middle'"),
        ("scales: {1-7: 1}\n", "scales"),
        ("targets: {top: 1}\n", "targets: 'top' is none of low"),
        ("kinds: {single: 0}\n", "one of them above 0"),
        ("scenarios: {riding: 1}\n", "scenarios: 'riding' is none of closed-questions"),
        ("fields: {input+answer: 1}\n", "fields: 'input.answer' is none of input, output"),
        ("words: [100, 20]\n", "least length comes first"),
        ("code: 2\n", "code"),
        ("- 1\n", "plan.yaml"),
        ("a: [\n", "plan.yaml"),
    ],
)
def test_a_wrong_plan_is_refused_by_name(text, said):
    with pytest.raises(RecipeError, match=said):
        parse_plan(text, "plan.yaml")


@pytest.mark.parametrize(
    ("plan", "said"),
    [
        ({"domains": ("auditng",)}, "auditing"),
        ({"domains": ("auditing",), "code": 1}, "no domain about code is left"),
        ({"criterion_groups": ("code",), "code": 0}, "no criterion not about code is left"),
        ({"profiles": ("ielts",)}, "no profile called 'ielts'; there are cefr-b2-speaking"),
        ({"profiles": ("none.yaml",)}, "none.yaml cannot be read"),
    ],
)
def test_a_plan_with_nothing_to_draw_is_refused(plan, said):
    with pytest.raises(RecipeError, match=said):
        Drawer(Plan(**plan))


@pytest.mark.parametrize(
    ("criterion", "said"),
    [
        (
            "name: a\nquestion: Is {persona} kept?\nrubric: {0: no it is not, 1: yes it is}\n",
            "persona",
        ),
        ("name: a\nquestion: Is it kept?\nrubric: {0: it is so, 1: it is so}\n", "same text"),
    ],
)
def test_a_criterion_that_cannot_be_asked_is_refused(tmp_path, criterion, said):
    (tmp_path / "mine.yaml").write_text(criterion)
    with pytest.raises(RecipeError, match=said):
        Drawer(Plan(own_criteria=("mine.yaml",)), folder=tmp_path)


def test_passages_that_cannot_be_read_are_named(tmp_path):
    (tmp_path / "p.jsonl").write_text('{"words": 1}\n')
    with pytest.raises(DataError, match="no record has a `text`"):
        Drawer(Plan(passages="p.jsonl"), folder=tmp_path)
    (tmp_path / "p.jsonl").write_bytes('{"text": "K\xe4se"}\n'.encode("latin-1"))
    with pytest.raises(DataError, match=r"p\.jsonl"):
        Drawer(Plan(passages="p.jsonl"), folder=tmp_path)
    with pytest.raises(RecipeError, match="cannot be read"):
        open_plan(tmp_path / "none.yaml")


def test_the_commented_plan_has_every_key_at_its_default():
    data = yaml.safe_load(commented_plan())
    assert set(data) == set(Plan.model_fields)
    assert parse_plan(commented_plan(), "plan.yaml") == Plan()
