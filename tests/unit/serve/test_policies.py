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
from glider.store.run import RunFolder, outcomes, samples

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
        ({"checks": [CHECK | {"blocks_at_most": 0.1}], **FOLLOWS}, "one of them"),
        ({"checks": [{"criterion": "quality", "blocks_at_most": 0.1}], **FOLLOWS}, "needs one of"),
        ({"checks": [{"criterion": "quality", "blocks_at_most": 0.1, "calibration": "x",
                      "pass_from": 4}], **FOLLOWS, "on_abstain": "block"}, "on_abstain"),
        ({"checks": [CHECK | {"labels": "run", "good_from": 4}], "combine": "weighted",
          "block_below": 0.5, **FOLLOWS}, "no check blocks by itself"),
        ({"checks": [{"criterion": "quality", "calibration": "none.json"}], **FOLLOWS}, "cannot be read"),
        ({"checks": [CHECK | {"labels": "run"}], **FOLLOWS}, "good_from"),
        ({"checks": [CHECK | {"criterion": "none"}], **FOLLOWS}, "not served"),
        ({"checks": [CHECK | {"block_below": 30}], **FOLLOWS}, "scale"),
    ],
)  # fmt: skip
def test_a_policy_that_does_not_say_all_is_refused(policy, said):
    with pytest.raises((ValueError, GliderError), match=said):
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


def calibrated(run, path, **settings):
    labels = LabelledRun.load(run, covariates=settings.get("covariates", ()))
    Calibration.of(labels, CalibrationSettings(pass_at=4, **settings)).save(path)
    return str(path)


@pytest.mark.parametrize("source", ["calibration", "labels"])
def test_a_threshold_is_chosen_by_labels_and_promises_what_was_asked(labelled, tmp_path, source):
    run, _, n = labelled
    given = {"calibration": calibrated(run, tmp_path / "cal.json")}
    if source == "labels":
        given = {"labels": str(run), "good_from": 4}
    check = {"criterion": "quality", "blocks_at_most": 0.1, **given}
    (bound_check,) = bound({"checks": [check]}).checks
    mark, promise = bound_check.block_below, bound_check.promise
    rows = [
        (sample.metadata["label"], outcome.expected)
        for (_, outcome), (_, sample) in zip(sorted(outcomes(run)), samples(run), strict=True)
    ]
    below = lambda mark: sum(label >= 4 and score < mark for label, score in rows)  # noqa: E731
    assert (promise.hits, promise.n) == (below(mark), n)
    assert str(promise).startswith("quality blocks at most 10 % of good texts (95 % upper bound")
    # As high as the bound allows: one more good text would break it.
    assert beta.ppf(0.95, promise.hits + 1, n - promise.hits) <= 0.1
    assert beta.ppf(0.95, promise.hits + 2, n - promise.hits - 1) > 0.1
    assert below(mark + 1e-9) > below(mark)
    found = [bound_check.found(outcome(kind)) for kind in ("bad", "good", "failed")]
    assert found == ["blocked", "passed", "failed"]


def test_too_few_labels_and_failures_that_block_are_told(labelled, tmp_path):
    check = {"criterion": "quality", "calibration": calibrated(labelled[0], tmp_path / "c.json")}
    with pytest.raises(SetupError, match="too few") as told:
        bound({"checks": [check | {"blocks_at_most": 0.001}]})
    assert "at least 2995" in told.value.hint
    run = graded_run(tmp_path / "half", 200, seed=4, fail=range(0, 200, 4))
    check |= {"calibration": calibrated(run, tmp_path / "half.json"), "blocks_at_most": 0.2}
    with pytest.raises(SetupError, match="with a failure"):
        bound({"checks": [check]})  # on_error: block
    allowed = Policy.model_validate({"checks": [check], **FOLLOWS, "on_error": "allow"})
    of = BoundPolicy.of("p", allowed, SERVED, scores=JUDGE, reasons=JUDGE)
    assert of.checks[0].promise.n == sum(
        sample.metadata["label"] >= 4 for _, sample in samples(run)
    )


def test_a_calibration_that_needs_covariates_or_has_no_mark_is_refused(labelled, tmp_path):
    run, _, _ = labelled
    check = {"criterion": "quality", "blocks_at_most": 0.2}
    with_length = calibrated(run, tmp_path / "a.json", covariates=("length",))
    with pytest.raises(SetupError, match="weighs the judge with length"):
        bound({"checks": [check | {"calibration": with_length}]})
    Calibration.of(LabelledRun.load(run)).save(tmp_path / "b.json")
    with pytest.raises(SetupError, match="no pass mark"):
        bound({"checks": [check | {"calibration": str(tmp_path / "b.json")}]})


def test_a_judgment_without_the_probabilities_that_a_calibration_needs_is_an_error(
    labelled, tmp_path
):
    learnt = Calibration.of(
        LabelledRun.load(labelled[0]), CalibrationSettings(pass_at=3, alpha=0.3)
    )
    learnt.save(tmp_path / "cal.json")
    policy = bound(
        {"checks": [{"criterion": "quality", "calibration": str(tmp_path / "cal.json")}]}
    )
    verdict = policy.verdict([judgment(0, [0, 0, 0, 0, 1.0], bare=True)])
    assert (verdict.because, verdict.verdict) == ("error", "block")
    assert verdict.checks[0]["p_block"] is None


@pytest.mark.parametrize("source", ["labels", "chosen", "decided"])
def test_texts_unlike_the_labelled_ones_raise_an_alarm(labelled, tmp_path, source):
    run, _, _ = labelled
    check = {
        "labels": CHECK | {"labels": str(run), "good_from": 4},
        "chosen": {"criterion": "quality", "blocks_at_most": 0.1,
                   "calibration": calibrated(run, tmp_path / "c.json")},
        "decided": {"criterion": "quality", "calibration": calibrated(run, tmp_path / "d.json",
                                                                       alpha=0.3)},
    }[source]  # fmt: skip
    policy = bound({"checks": [check], "drift_window": 100})
    like = [one for _, one in outcomes(run)][:100]
    alarms = [policy.watch(policy.verdict([one])) for one in like]
    assert alarms == [[]] * 100 and policy.checks[0].drift.windows == 1
    alarms = [policy.watch(policy.verdict([outcome("bad")])) for _ in range(100)]
    assert alarms[:-1] == [[]] * 99 and "p: quality: 100 of 100 texts blocked" in alarms[-1][0]
    assert "100 of 100" in policy.verdict([outcome("good")]).drift[0]
