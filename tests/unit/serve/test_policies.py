"""Policies: how checks combine, what follows, and what labels allow to promise."""

import pytest
from labelled_runs import GRADES, JUDGE, failure, graded_run, judgment, population
from scipy.stats import beta

from glider.calibration.labelled import LabelledRun
from glider.calibration.model import Calibration, CalibrationSettings
from glider.core.criteria import Criterion
from glider.core.errors import GliderError, SetupError
from glider.core.samples import Sample
from glider.serve.policies import BoundPolicy, Policy
from glider.store.manifest import Manifest
from glider.store.run import RunFolder

OTHER = Criterion(name="tone", question=GRADES.question, rubric=GRADES.rubric)
SERVED = {"quality": GRADES, "tone": OTHER}
FOLLOWS = {"on_block": "block", "on_abstain": "ask", "on_deadline": "ask", "on_error": "block"}
AT = {"bad": 1, "unsure": 3, "good": 5}


def bound(policy, **judges):
    judges = {"scores": JUDGE, "reasons": "scripted/other"} | judges
    return BoundPolicy.of("p", Policy.model_validate(policy | FOLLOWS), SERVED, **judges)


def outcome(kind, criterion=GRADES):
    if kind == "failed":
        return failure(0, criterion)
    return judgment(0, [float(level == AT[kind]) for level in range(1, 6)], criterion)


@pytest.mark.parametrize(
    ("combine", "first", "second", "because"),
    [
        ("any", "good", "good", "passed"), ("any", "bad", "good", "blocked"),
        ("any", "bad", "failed", "blocked"), ("any", "failed", "good", "error"),
        ("any", "unsure", "failed", "error"), ("any", "unsure", "good", "abstained"),
        ("all", "bad", "bad", "blocked"), ("all", "bad", "good", "passed"),
        ("all", "bad", "unsure", "abstained"), ("all", "bad", "failed", "error"),
        ("weighted", "good", "good", "passed"), ("weighted", "bad", "good", "passed"),
        ("weighted", "good", "bad", "blocked"), ("weighted", "good", "failed", "error"),
    ],
)  # fmt: skip
def test_checks_combine(combine, first, second, because):
    checks = [{"criterion": name, "block_below": 2, "pass_from": 4} for name in SERVED]
    checks[1]["weight"] = 3
    more = {"block_below": 0.5} if combine == "weighted" else {}
    policy = bound({"checks": checks, "combine": combine, **more})
    verdict = policy.verdict([outcome(first), outcome(second, OTHER)])
    follows = {"passed": "allow", "blocked": "block", "abstained": "ask", "error": "block"}
    assert (verdict.because, verdict.verdict) == (because, follows[because])
    assert [check["p_block"] is None for check in verdict.checks] == [
        kind == "failed" for kind in (first, second)
    ]


CHECK = {"criterion": "quality", "block_below": 3}


@pytest.mark.parametrize(
    ("policy", "said"),
    [
        ({"checks": [CHECK]}, "on_block"),
        ({"checks": [CHECK], **FOLLOWS, "on_error": "pass"}, "on_error"),
        ({"checks": [CHECK, CHECK | {"criterion": "tone"}], **FOLLOWS}, "any, all or weighted"),
        ({"checks": [CHECK, CHECK], "combine": "any", **FOLLOWS}, "twice"),
        ({"checks": [{"criterion": "quality"}], **FOLLOWS}, "block_below"),
        ({"checks": [CHECK | {"pass_from": 2}], **FOLLOWS}, "pass_from"),
        ({"checks": [CHECK | {"labels": "run"}], **FOLLOWS}, "good_from"),
        ({"checks": [CHECK | {"criterion": "none"}], **FOLLOWS}, "not served"),
        ({"checks": [CHECK | {"block_below": 30}], **FOLLOWS}, "scale"),
    ],
)  # fmt: skip
def test_a_policy_that_does_not_say_all_is_refused(policy, said):
    with pytest.raises((ValueError, SetupError), match=said):
        BoundPolicy.of("p", Policy.model_validate(policy), SERVED, scores=JUDGE, reasons=JUDGE)


@pytest.fixture
def labelled(tmp_path):
    """200 labelled texts of 200 prompts, and how many good ones are expected below 3."""
    label, probs, _ = population(200, seed=4)
    manifest = Manifest.of(
        run_id="r", judge=JUDGE, settings={}, criteria={"quality": GRADES.content_id},
        input_path="x", input_sha256="0",
    )  # fmt: skip
    hits = n = 0
    with RunFolder.create(tmp_path / "run", manifest, [GRADES]) as run:
        for row in reversed(range(200)):  # a journal is in no order
            one = judgment(row, probs[row])
            run.record(row, one)
            n += label[row] + 1 >= 4
            hits += label[row] + 1 >= 4 and one.expected < 3
        for row in range(200):
            run.record_sample(
                row, Sample.of(f"text {row}", input=f"prompt {row}", id=f"s{row}",
                               metadata={"label": int(label[row]) + 1}),
            )  # fmt: skip
    return tmp_path / "run", int(hits), int(n)


def test_the_promise_is_an_upper_bound_of_good_texts_that_are_blocked(labelled):
    run, hits, n = labelled
    policy = bound({"checks": [CHECK | {"labels": str(run), "good_from": 4}]})
    upper = beta.ppf(0.95, hits + 1, n - hits)
    (promise,) = policy.promises
    assert hits > 0 and f"n = {n}, {hits} blocked" in promise
    percent = float(promise.split("at most ")[1].split(" %")[0])
    assert 100 * upper <= percent <= 100 * upper + 0.1
    assert policy.verdict([outcome("bad")]).promise == (promise,)


def test_what_fails_and_is_blocked_for_it_breaks_the_promise_too(tmp_path):
    run = graded_run(tmp_path / "run", 100, seed=4, fail=range(100))
    policy = {"checks": [CHECK | {"labels": str(run), "good_from": 4}]}
    with pytest.raises(GliderError):
        bound(policy)  # nothing was judged
    run = graded_run(tmp_path / "half", 100, seed=4, fail=range(50))
    policy = {"checks": [CHECK | {"labels": str(run), "good_from": 1, "block_below": 1}]}
    (promise,) = bound(policy).promises
    assert "n = 100, 50 blocked" in promise
    allowed = Policy.model_validate(policy | FOLLOWS | {"on_error": "allow"})
    (promise,) = BoundPolicy.of("p", allowed, SERVED, scores=JUDGE, reasons=JUDGE).promises
    assert "n = 100, 0 blocked" in promise


def test_labels_of_another_judge_or_other_words_are_refused(labelled):
    run, _, _ = labelled
    policy = {"checks": [CHECK | {"labels": str(run), "good_from": 4}]}
    assert not bound(policy).by_reasons
    assert bound(policy, scores="scripted/other", reasons=JUDGE).by_reasons
    with pytest.raises(SetupError, match="served are"):
        bound(policy, scores="a", reasons="b")
    other = Criterion(name="quality", question="Is it bad?", rubric=GRADES.rubric)
    with pytest.raises(SetupError, match="other words"):
        BoundPolicy.of("p", Policy.model_validate(policy | FOLLOWS), {"quality": other},
                       scores=JUDGE, reasons=JUDGE)  # fmt: skip


def test_a_calibration_decides_and_abstains(labelled, tmp_path):
    run, _, _ = labelled
    learnt = Calibration.of(LabelledRun.load(run), CalibrationSettings(pass_at=3, alpha=0.3))
    learnt.save(tmp_path / "cal.json")
    check = {"criterion": "quality", "calibration": str(tmp_path / "cal.json")}
    policy = bound({"checks": [check]})
    found = [policy.verdict([outcome(kind)]).because for kind in ("bad", "good", "failed")]
    assert found == ["blocked", "passed", "error"]
    unsure = judgment(0, [0.2] * 5)
    assert policy.verdict([unsure]).because == "abstained"
