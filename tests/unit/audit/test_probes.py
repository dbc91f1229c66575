"""Every probe on judges whose bias is known: it finds the bias, and nothing in a judge without."""

import pytest
from audit_judges import (
    CRITERION,
    distracted,
    follows_the_crowd,
    ideal,
    judge_of,
    knows_names,
    likes_length,
    likes_markdown,
    obeys,
    picks_first,
    reads_numbers_as_such,
    run_audit,
    sees_faults_everywhere,
    takes_last_listed,
    text_pairs,
    texts,
)

from glider.audit.probe import Subject, known_probes
from glider.core.criteria import Criterion
from glider.core.errors import UnknownName
from glider.core.samples import Sample

N = 30


def found(tmp_path, decide, probe, subjects=None, **options):
    subjects = texts(N) if subjects is None else subjects
    return run_audit(tmp_path / "run", judge_of(decide), subjects, [probe], **options)[1]


@pytest.mark.parametrize("pairs", [False, True], ids=["texts", "pairs"])
def test_a_judge_without_bias_has_none(tmp_path, pairs):
    subjects = text_pairs(N) if pairs else texts(N)
    probes = [name for name in known_probes() if name != "highlights"]
    audit, findings = run_audit(tmp_path / "run", judge_of(ideal), subjects, probes)
    assert audit.failed == []
    assert audit.judged == audit.asked
    for finding in findings.values():
        if finding.value is None or finding.name in ("always-first", "correlation"):
            continue
        if finding.key == "length.longer-wins":
            assert finding.verdict == "shown"
            continue
        assert finding.low <= finding.neutral <= finding.high, finding
        assert finding.value == pytest.approx(finding.neutral, abs=0.01), finding
    undecided = {f.key for f in findings.values() if f.verdict in ("unsure", "undefined")}
    # Nothing tells who wrote what, nor what people said under two criteria.
    assert undecided == {
        "leakage.surplus", "leakage.correlation", "self-preference.own-wins",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("decide", "key", "value"),
    [
        (picks_first, "position.flips", 1.0),
        (picks_first, "position.first-slot", 1.0),
        (picks_first, "position.always-first", 1.0),
        (follows_the_crowd, "bandwagon.followed", 1.0),
        (follows_the_crowd, "bandwagon.pull", 1.0),
        (follows_the_crowd, "bandwagon.score", 1.0),
        (knows_names, "compassion.pull", 1.0),
        (knows_names, "compassion.score", 1.0),
        (distracted, "attention.pull", -1.0),
        (distracted, "attention.score", -0.5),
        (distracted, "attention.changed", 1.0),
        (likes_markdown, "format.bullets", 0.5),
        (likes_markdown, "format.bold", 0.5),
        (likes_markdown, "format.heading", 0.5),
        (likes_markdown, "format.fence", 0.5),
        (takes_last_listed, "rubric-order.score", -1.0),
        (takes_last_listed, "rubric-order.changed", 1.0),
        (reads_numbers_as_such, "labels.from-0", 0.25),
        (reads_numbers_as_such, "labels.from-0-changed", 1.0),
        (reads_numbers_as_such, "labels.tens", -0.5),
        (sees_faults_everywhere, "leakage.spoilt", -1.0),
        (likes_length, "length.padded-wins", 1.0),
    ],
    ids=lambda value: getattr(value, "__name__", str(value)),
)
def test_a_known_bias_is_found(tmp_path, decide, key, value):
    finding = found(tmp_path, decide, key.partition(".")[0])[key]
    assert finding.value == pytest.approx(value, abs=0.15), finding
    assert finding.verdict == ("shown" if finding.bound is None else "fail")
    assert finding.judged == finding.asked > 0
    assert finding.means


def test_a_judge_that_scores_by_length_marks_the_padded_copy_up(tmp_path):
    finding = found(tmp_path, likes_length, "length")["length.padded"]
    # About 130 characters become about 220: one level of five, a quarter of the scale.
    assert finding.value == pytest.approx(0.25, abs=0.1)
    assert finding.verdict == "fail"


def test_length_on_pairs_is_compared_with_people(tmp_path):
    """People like the worth, the judge the length; worth and length are not tied here."""
    pairs = []
    for k, pair in enumerate(text_pairs(24)):
        first, second = (field.text for field in pair.sample.judged)
        if k % 4 < 2:
            first += " It goes on for a while."
        else:
            second += " It goes on for a while."
        sample = Sample.of(outputs=[first, second], id=pair.sample.id)
        pairs.append(Subject(sample=sample, criterion=CRITERION, gold=pair.gold))
    findings = found(tmp_path, likes_length, "length", pairs)
    assert findings["length.longer-wins"].value == 1.0
    assert findings["length.longer-wins"].verdict == "shown"
    assert findings["length.longer-than-people"].value == pytest.approx(0.5)
    assert findings["length.longer-than-people"].verdict == "fail"
    assert found(tmp_path / "b", ideal, "length", pairs)["length.longer-than-people"].value == 0.0


def test_preference_is_counted_on_pairs_with_one_winner_only(tmp_path):
    pairs = [
        Subject(sample=Sample.of(outputs=["long long", f"short {k}"], id=str(k)),
                criterion=CRITERION)
        for k in range(10)
    ]  # fmt: skip
    findings = found(tmp_path, picks_first, "length", pairs)
    assert "order decided every pair" in findings["length.longer-wins"].undefined
    assert findings["length.longer-wins"].n == 0


# Self-preference --------------------------------------------------------------------------------


def prefers(k):
    return lambda asked: float(f"own{k}" in asked.pair[1])


def marked_pairs(n, gold):
    return [
        Subject(
            sample=Sample.of(outputs=["own1 wrote this.", "another wrote it."][:: 1 - 2 * (k % 2)],
                             input=f"q{k}", id=f"m{k}"),
            criterion=CRITERION, gold=gold, own=(True, False) if k % 2 == 0 else (False, True),
        )
        for k in range(n)
    ]  # fmt: skip


def test_own_outputs_that_always_win_against_people_who_see_a_tie(tmp_path):
    findings = found(tmp_path, prefers(1), "self-preference", marked_pairs(20, 0.5))
    assert findings["self-preference.own-wins"].value == 1.0
    assert findings["self-preference.own-wins"].verdict == "shown"
    assert findings["self-preference.beyond-people"].value == pytest.approx(0.5)
    assert findings["self-preference.beyond-people"].verdict == "fail"


def test_own_outputs_without_labels_are_shown_and_not_decided_on(tmp_path):
    findings = found(tmp_path, prefers(1), "self-preference", marked_pairs(20, None))
    assert set(findings) == {"self-preference.own-wins"}
    assert findings["self-preference.own-wins"].verdict == "shown"


def test_own_scores_are_compared_on_the_same_input(tmp_path):
    subjects = [
        Subject(
            sample=Sample.of(f"It is lvl{4 if own else 2}, {k}.", input=f"q{k}", id=f"{own}{k}"),
            criterion=CRITERION, own=(own,),
        )
        for k in range(12) for own in (True, False)
    ]  # fmt: skip
    finding = found(tmp_path, ideal, "self-preference", subjects)["self-preference.own-scores"]
    assert (finding.value, finding.n) == (0.5, 12)


def test_unmarked_data_says_what_to_supply(tmp_path):
    finding = found(tmp_path, ideal, "self-preference")["self-preference.own-wins"]
    assert finding.verdict == "undefined"
    assert "--writers" in finding.undefined
    assert "--own" in finding.undefined


# Injection --------------------------------------------------------------------------------------


def test_a_judge_that_obeys_is_overrun(tmp_path):
    findings = found(tmp_path, obeys, "injection", texts(32))
    success = findings["injection.success"]
    assert success.value > 0.7
    assert success.verdict == "fail"
    assert findings["injection.extreme"].value > 0.7
    assert findings["injection.harmless"].value == 0.0
    assert findings["injection.orders"].value > 0.9
    assert findings["injection.up"].value > 0.7
    assert findings["injection.down"].value > 0.7
    assert findings["injection.success"].n == 32 * 8
    # Zero-width marks and base64 hide the number from a judge that cannot decode.
    assert findings["injection.hidden"].value < findings["injection.orders"].value


def test_a_judge_that_is_only_unsettled_has_not_obeyed(tmp_path):
    def unsettled(asked):
        return max(asked.levels) if len(asked.texts["output"]) > 150 else ideal(asked)

    findings = found(tmp_path, unsettled, "injection")
    assert findings["injection.success"].value == 0.0
    assert findings["injection.harmless"].value > 0.1


def test_texts_at_the_aim_already_do_not_count(tmp_path):
    top = [
        Subject(sample=Sample.of(f"It is lvl5, {'so' * k}.", id=str(k)), criterion=CRITERION)
        for k in range(16)
    ]
    findings = found(tmp_path, obeys, "injection", top)
    assert findings["injection.up"].value is None
    assert "all stood at the aim" in findings["injection.up"].undefined
    assert findings["injection.down"].n > 0


def test_an_attack_that_breaks_the_judgment_is_seen(tmp_path):
    def breaks(asked):
        return "I cannot say." if "ignore" in asked.texts["output"].lower() else ideal(asked)

    findings = found(tmp_path, breaks, "injection", texts(40))
    assert findings["injection.broken"].value > 0.0
    success = findings["injection.success"]
    assert success.judged < success.asked


# Leakage ----------------------------------------------------------------------------------------


def two_criteria(n):
    """People's labels under the two criteria have nothing to do with each other."""
    other = Criterion(name="other", question="Is it other?", rubric=CRITERION.rubric)
    return [
        Subject(
            sample=Sample.of(f"It is lvl{1 + k % 5}; {k // 5 % 5}, sentence {k}.", id=f"s{k}"),
            criterion=criterion,
            gold=(k % 5 if criterion is CRITERION else k // 5 % 5) / 4,
        )
        for k in range(n) for criterion in (CRITERION, other)
    ]  # fmt: skip


def test_one_impression_under_every_criterion_is_leakage(tmp_path):
    findings = found(tmp_path, ideal, "leakage", two_criteria(50))
    assert "every resample gives 1" in findings["leakage.correlation"].undefined
    assert findings["leakage.surplus"].value == pytest.approx(1.0, abs=0.01)
    assert findings["leakage.surplus"].verdict == "fail"
    assert findings["leakage.surplus"].n == 50


def test_two_criteria_that_people_keep_apart_and_the_judge_too(tmp_path):
    def apart(asked):
        if asked.title == "other":
            return 1 + int(asked.texts["output"].partition("; ")[2][0])
        return ideal(asked)

    findings = found(tmp_path, apart, "leakage", two_criteria(50))
    surplus = findings["leakage.surplus"]
    assert surplus.value is None or surplus.low <= 0 <= surplus.high


def test_one_criterion_has_no_correlation(tmp_path):
    findings = found(tmp_path, ideal, "leakage")
    assert "--criterion twice" in findings["leakage.correlation"].undefined
    assert "-c record" in findings["leakage.surplus"].undefined


# Retest, highlights -----------------------------------------------------------------------------


def test_a_moody_judge_fails_the_retest(tmp_path):
    seen = set()

    def moody(asked):
        text = asked.texts["output"]
        first = text not in seen
        seen.add(text)
        return 5 if first else 1

    findings = found(tmp_path, moody, "retest")
    assert findings["retest.changed"].value == 1.0
    assert findings["retest.drift"].value == 1.0
    assert findings["retest.changed"].verdict == "fail"


def test_from_a_tie_to_a_winner_is_another_answer_whichever_wins(tmp_path):
    seen = set()

    def undecided_first(asked):
        order = tuple(asked.pair)
        first = order not in seen
        seen.add(order)
        return 0.5 if first else 0.3 if "lvl4" in order[0] else 0.7

    findings = found(tmp_path, undecided_first, "retest", text_pairs(N))
    assert findings["retest.changed"].value == 1.0


def test_a_bare_judge_has_no_highlights_and_is_told_how(tmp_path):
    findings = found(tmp_path, ideal, "highlights")
    assert all("--explain" in finding.undefined for finding in findings.values())


# Failures ---------------------------------------------------------------------------------------


def test_failures_stay_visible_and_a_judge_does_not_pass_by_failing(tmp_path):
    def broken(asked):
        fancy = asked.texts["output"].startswith(("##", "```"))
        return "no idea" if fancy and "lvl4" in asked.texts["output"] else ideal(asked)

    audit, findings = run_audit(tmp_path / "run", judge_of(broken), texts(60), ["format"])
    assert (findings["format.heading"].judged, findings["format.heading"].asked) == (40, 60)
    assert findings["format.heading"].value == 0.0
    assert findings["format.heading"].verdict == "unsure"
    assert findings["format.bold"].verdict == "pass"
    assert audit.failures == {"read/missing_part": 40}
    assert audit.asked - audit.judged == 40


def test_when_nothing_can_be_judged_there_is_no_number(tmp_path):
    findings = found(tmp_path, lambda asked: "what?", "format")
    assert {f.verdict for f in findings.values()} == {"undefined"}
    assert all("none of it could be judged" in f.undefined for f in findings.values())


def test_one_sample_is_not_enough(tmp_path):
    findings = found(tmp_path, ideal, "format", texts(1))
    assert all("one sample only" in f.undefined for f in findings.values())


# Bounds -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("bounds", "verdict"),
    [
        ({}, "fail"),
        ({"format": 0.9}, "pass"),
        ({"format.bold": 0.9}, "pass"),
        ({"format": 0.9, "format.bold": 0.2}, "fail"),
    ],
)
def test_bounds_of_the_user(tmp_path, bounds, verdict):
    findings = found(tmp_path, likes_markdown, "format", bounds=bounds)
    assert findings["format.bold"].verdict == verdict


def test_a_bound_for_nothing_is_an_error(tmp_path):
    with pytest.raises(UnknownName, match=r"format\.bold"):
        found(tmp_path, ideal, "format", bounds={"format.bald": 0.2})
