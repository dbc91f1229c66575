"""Verdicts are the interval's; figures rest on the clusters; a plan asks everything once."""

import json

import numpy as np
import pytest
from audit_judges import (
    CRITERION,
    backend_of,
    ideal,
    judge_of,
    picks_first,
    run_audit,
    text_pairs,
    texts,
)

from glider.audit.measure import Values, mean
from glider.audit.page import page
from glider.audit.probe import PROBES, Effect, Probe, Subject, Trial, known_probes
from glider.audit.results import Audit, finding, parse_bounds, spoken
from glider.audit.run import Auditor
from glider.audit.scale import listed_top_down, renumbered
from glider.audit.shapes import grade
from glider.audit.subjects import subjects
from glider.audit.table import table
from glider.core.errors import RunError, SetupError, UnknownName
from glider.core.samples import Sample
from glider.data.presets import columns_for
from glider.data.rows import Row
from glider.formats.nano import NanoFormat
from glider.judging.judge import Judge
from glider.stats.estimates import Estimate, Undefined
from glider.store.manifest import Manifest
from glider.store.run import RunFolder, load_criteria, outcomes

SHARE = (0.0, 1.0)


def effect(low, high, *, neutral=0.0, bound=0.2, side="both", judged=10, asked=10):
    return Effect(
        name="x", title="X", estimate=Estimate((low + high) / 2, low, high, 10, 0, "by hand"),
        asked=asked, judged=judged, unit="shift", neutral=neutral, bound=bound, side=side,
        means="It is {value}.",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("made", "verdict"),
    [
        (effect(-0.1, 0.1), "pass"),
        (effect(0.1, 0.3), "unsure"),
        (effect(0.21, 0.3), "fail"),
        (effect(-0.3, -0.21), "fail"),
        (effect(-0.3, -0.21, side="above"), "pass"),
        (effect(-0.3, 0.3, side="above"), "unsure"),
        (effect(0.25, 0.29, neutral=0.5), "fail"),
        (effect(0.4, 0.6, neutral=0.5), "pass"),
        (effect(-0.1, 0.1, bound=None), "shown"),
        (effect(-0.1, 0.1, judged=8), "unsure"),  # a judge must not pass by failing
        (effect(0.21, 0.3, judged=8), "fail"),
    ],
)
def test_the_interval_decides(made, verdict):
    assert finding("p", made, {}).verdict == verdict


def test_no_number_no_verdict():
    made = Effect(
        name="x", title="X", estimate=Undefined("why", 0, 0), asked=0, judged=0, unit="share",
        bound=0.1, means="",
    )  # fmt: skip
    found = finding("p", made, {})
    assert (found.verdict, found.value, found.undefined) == ("undefined", None, "why")


@pytest.mark.parametrize(
    ("value", "unit", "said"),
    [
        (0.123, "share", "12\N{NBSP}%"),
        (0.123, "shift", "+0.12"),
        (-0.5, "shift", "\N{MINUS SIGN}0.50"),
        (-0.001, "shift", "0.00"),
    ],
)
def test_numbers_as_people_read_them(value, unit, said):
    assert spoken(value, unit) == said


@pytest.mark.parametrize("written", ["position", "position=", "position=x", "position=-1", "=1"])
def test_bounds_are_checked(written):
    with pytest.raises((SetupError, UnknownName)):
        parse_bounds([written])


def test_bounds():
    assert parse_bounds(["position=0.2", "injection.success=.05"]) == {
        "position": 0.2, "injection.success": 0.05,
    }  # fmt: skip
    with pytest.raises(UnknownName, match="position"):
        parse_bounds(["postion=0.2"])


# Means ------------------------------------------------------------------------------------------


def of(values, clusters, *, asked=None, span=SHARE):
    found = Values(np.array(values, float), np.array(clusters), asked or len(values))
    return mean(found, np.random.default_rng(0), span=span, nothing="supply some")


def test_nothing_and_one_sample_have_no_mean():
    assert of([], []).reason == "supply some"
    assert of([], [], asked=3).reason == "none of it could be judged"
    assert of([1, 0, 1], [0, 0, 0]).reason == "one sample only"


def test_all_alike_is_no_certainty():
    """0 of 30: shares up to 9.5 % give that in 5 of 100 cases (1 - 0.05 ** (1/30))."""
    none = of([0] * 30, range(30))
    assert (none.value, none.low) == (0, 0)
    assert none.high == pytest.approx(0.0950, abs=1e-4)
    assert (1 - none.high) ** 30 == pytest.approx(0.05)
    shift = of([0] * 30, range(30), span=(-1, 1))
    assert (shift.low, shift.high) == (
        pytest.approx(-0.095, abs=1e-3),
        pytest.approx(0.095, abs=1e-3),
    )


def test_independent_shares_have_wilsons_interval_and_shared_ones_a_wider():
    alone = of([1, 0] * 20, range(40))
    assert "Wilson" in alone.method
    shared = of(([1] * 4 + [0] * 4) * 5, np.repeat(np.arange(10), 4))
    assert "bootstrap" in shared.method
    assert shared.high - shared.low > 1.5 * (alone.high - alone.low)


def test_the_interval_holds_the_truth():
    """200 draws of 25 samples of 4 shifts each: the 95 % interval holds the mean in 90 to 99 %."""
    rng = np.random.default_rng(5)
    held = 0
    for _ in range(200):
        own = rng.normal(0.05, 0.2, 25)[np.repeat(np.arange(25), 4)] + rng.normal(0, 0.1, 100)
        found = mean(Values(own, np.repeat(np.arange(25), 4), 100), rng, span=(-1, 1), nothing="")
        held += found.low <= 0.05 <= found.high
    assert 180 <= held <= 198


# The plan ---------------------------------------------------------------------------------------


def test_what_probes_share_is_asked_once():
    alone = [
        Auditor(texts(6), [name], seed=0).planned for name in ("format", "attention", "labels")
    ]
    together = Auditor(texts(6), ["format", "attention", "labels"], seed=0).planned
    assert together == sum(alone) - 2 * 6  # the text as it is


def test_a_retest_is_asked_twice():
    assert Auditor(texts(6), ["retest"], seed=0).planned == 12


def works(auditor):
    return [
        [(role, ask.work.id) for role, ask in trial.asks.items()]
        for trials in auditor._trials.values()
        for trial in trials
    ]


def test_the_same_seed_asks_the_same():
    every = known_probes()
    first, again, other = (Auditor(texts(5), every, seed=seed) for seed in (3, 3, 4))
    assert works(first) == works(again)
    assert works(first) != works(other)


def test_a_probe_draws_the_same_alone_and_among_others():
    alone = Auditor(texts(5), ["injection"], seed=1)._trials["injection"]
    among = Auditor(texts(5), ["attention", "injection"], seed=1)._trials["injection"]
    assert [t.asks["attacked"].work.id for t in alone] == [
        t.asks["attacked"].work.id for t in among
    ]


def test_many_texts_meet_every_attack():
    trials = Auditor(texts(16), ["injection"], seed=0)._trials["injection"]
    assert len({trial.attack.id for trial in trials}) == 128


def manifest(judge):
    return Manifest.of(
        run_id="t", judge=judge.id, settings={}, criteria={}, input_path="x", input_sha256="x"
    )


def test_a_stopped_audit_goes_on_and_comes_to_the_same(tmp_path):
    subjects_, probes = texts(6), ["position", "format", "rubric-order", "labels", "injection"]
    whole, _ = run_audit(tmp_path / "whole", judge_of(ideal), subjects_, probes)

    class Stop(Exception):
        pass

    judge, n_seen = judge_of(ideal), 0

    def stop(row, outcome):
        nonlocal n_seen
        n_seen += 1
        if n_seen == 40:
            raise Stop

    run = RunFolder.create(tmp_path / "run", manifest(judge), [CRITERION])
    with run, pytest.raises(Stop):
        Auditor(subjects_, probes, seed=0).judge(judge, run, stop)
    with (tmp_path / "run" / "journal.jsonl").open("ab") as journal:
        journal.write(b'{"row": 41, "outc')
    auditor = Auditor(subjects_, probes, seed=0)
    asked = []
    with RunFolder.resume(tmp_path / "run", manifest(judge)) as run:
        assert run.n_done == 40
        auditor.judge(judge, run, lambda row, outcome: asked.append(row))
    assert len(asked) == auditor.planned - 40
    rows = [row for row, _ in outcomes(tmp_path / "run")]
    assert sorted(rows) == list(range(auditor.planned))
    again = auditor.report(judge=judge.id, data="x", settings={}, bounds={})
    assert again.probes == whole.probes


def test_another_round_asks_what_depends_on_the_first(tmp_path):
    """A judge whose score is the number of `gold` in the text, and who says so."""

    def answer(asked):
        text = asked.texts["output"]
        score = 1 + text.count("gold")
        quotes = "Quotes:\n- gold\n" if "gold" in text else "Quotes: none\n"
        return f"Score: {min(score, 5)}\n{quotes}Reason: counted."

    judge = Judge(backend_of(answer), format=NanoFormat())
    text = "Here is gold among some other words, number {}, and they go on for a while."
    made = [
        Subject(sample=Sample.of(text.format(k), id=f"g{k}"), criterion=CRITERION)
        for k in range(40)
    ]
    audit, findings = run_audit(tmp_path / "run", judge, made, ["highlights"])
    assert audit.asked == 3 * 40
    assert findings["highlights.exact"].value == 1.0
    assert findings["highlights.exact"].verdict == "pass"
    assert findings["highlights.deletion"].value == pytest.approx(0.25)
    assert findings["highlights.deletion"].low > 0


def test_quotes_that_are_not_there_are_counted(tmp_path):
    answer = "Score: 3\nQuotes:\n- not in any text\n- fact\nReason: said."
    judge = Judge(backend_of(lambda asked: answer), format=NanoFormat())
    findings = run_audit(tmp_path / "run", judge, texts(12), ["highlights"])[1]
    assert findings["highlights.exact"].value == 0.5
    assert findings["highlights.exact"].verdict == "fail"


def test_a_run_in_use_or_full_is_refused(tmp_path):
    run_audit(tmp_path / "run", judge_of(ideal), texts(2), ["format"])
    with pytest.raises(RunError, match="not empty"):
        run_audit(tmp_path / "run", judge_of(ideal), texts(2), ["format"])


def test_the_run_can_be_read_by_itself(tmp_path):
    run_audit(tmp_path / "run", judge_of(ideal), texts(3), ["labels", "leakage"])
    names = [criterion.name for criterion in load_criteria(tmp_path / "run")]
    assert names == [
        "quality",
        "quality (0 to 4)",
        "quality (10 to 50)",
        "fluency",
        "toxicity-free",
    ]
    lines = (tmp_path / "run" / "samples.jsonl").read_text("utf-8").splitlines()
    assert json.loads(lines[0])["metadata"] == {"probe": "labels", "role": "plain"}


# Scales -----------------------------------------------------------------------------------------


def test_a_scale_listed_top_down_is_the_same_scale():
    turned = listed_top_down(CRITERION)
    assert list(turned.rubric.levels) == [5, 4, 3, 2, 1]
    assert turned.rubric.scores == CRITERION.rubric.scores
    assert (turned.rubric.low, turned.rubric.high) == (1, 5)
    assert turned.rubric.normalize(4) == 0.75
    task = grade(texts(1)[0].sample, turned).work
    prompt = NanoFormat(explain=False).render(task).messages[-1].content
    assert prompt.index("5 = lvl5") < prompt.index("1 = lvl1")


def test_a_renumbered_scale_keeps_its_levels():
    tens = renumbered(CRITERION, 10, 10)
    assert dict(tens.rubric.levels) == {n * 10: f"lvl{n} of five" for n in range(1, 6)}
    assert tens.heading == CRITERION.heading


# Data -------------------------------------------------------------------------------------------


def row(number, **data):
    return Row(index=number, path="rows.jsonl", line=number + 1, data=data)


OWN = {
    "criterion": {"name": "worth", "description": "What is it worth?"},
    "kind": "pointwise", "scale": [0, 10],
}  # fmt: skip


def test_rows_with_their_own_criterion_bring_peoples_labels():
    rows = [
        row(0, output="a", label=5, **OWN),
        row(1, output="b", label=11, **OWN),  # outside its scale
        row(2, output="c", label=None, **OWN),
    ]
    columns = columns_for(rows[0].data)
    found, unreadable = subjects(rows, columns, [])
    assert [subject.gold for subject in found] == [0.5, None, None]
    assert unreadable == 0
    assert [s.gold for s in subjects(rows, columns, [CRITERION])[0]] == [None] * 3


def test_several_outputs_become_pairs_with_their_writers():
    rows = [row(0, outputs=["a", "b", "c"], writers=["Me", "you", "you"])]
    found, _ = subjects(rows, columns_for(rows[0].data), [CRITERION], own=["me"])
    assert [[f.name for f in s.sample.judged] for s in found] == [
        ["output 1", "output 2"], ["output 1", "output 3"], ["output 2", "output 3"],
    ]  # fmt: skip
    assert [s.own for s in found] == [(True, False), (True, False), (False, False)]


@pytest.mark.parametrize("writers", [None, "me", ["me"], ["me", 3]])
def test_writers_that_do_not_fit_say_nothing(writers):
    rows = [row(0, outputs=["a", "b"], writers=writers)]
    (found,), _ = subjects(rows, columns_for(rows[0].data), [CRITERION], own=["me"])
    assert found.own == ()


def test_a_row_that_is_no_sample_is_counted():
    rows = [row(0, output="a"), row(1, input="x")]
    found, unreadable = subjects(rows, columns_for(rows[0].data), [CRITERION])
    assert (len(found), unreadable) == (1, 1)


# Plug-ins, page, table --------------------------------------------------------------------------


@pytest.mark.parametrize("name", known_probes())
def test_every_probe_loads_and_speaks(name):
    probe = PROBES.get(name)()
    assert isinstance(probe, Probe)
    assert probe.name == name
    assert probe.asks.endswith((".", ":")) and probe.advice.endswith(".")


@pytest.mark.parametrize("name", known_probes())
def test_a_probe_without_anything_to_ask_says_what_is_missing(name):
    probe = PROBES.get(name)()
    rng = np.random.default_rng(0)
    assert [t for t in probe.trials([], rng) if isinstance(t, Trial)] == []
    for found in probe.effects([], rng):
        assert isinstance(found.estimate, Undefined), found
        assert len(found.estimate.reason) > 10


def test_the_page_says_everything_and_escapes_it(tmp_path):
    audit, _ = run_audit(tmp_path / "run", judge_of(picks_first), text_pairs(8), ["position"])
    told = ("2 rows of the data hold no sample",)
    audit = audit.model_copy(update={"data": "<script>alert(1)</script>", "notes": told})
    html = page(audit)
    assert "<script>alert" not in html
    assert "Winner changed with the order" in html
    assert "too far" in html
    assert "2 rows of the data hold no sample" in html
    assert "http://" not in html and "https://" not in html


def test_a_judge_that_says_the_same_of_everything_does_not_pass_in_silence(tmp_path):
    audit, _ = run_audit(tmp_path / "run", judge_of(lambda asked: 2), texts(20), ["format"])
    assert audit.probes[0].verdict == "unsure"
    (note,) = audit.notes
    assert "20 of 20 texts, as they are, got the score 2" in note
    assert note in " ".join(table(audit).split())
    assert note in page(audit)
    assert run_audit(tmp_path / "b", judge_of(ideal), texts(20), ["format"])[0].notes == ()


def test_the_table_and_the_json_hold_the_same(tmp_path):
    audit, findings = run_audit(tmp_path / "run", judge_of(picks_first), texts(8), ["position"])
    text = table(audit)
    for found in findings.values():
        assert found.title in text
    assert "Of 1 probe: 1 too far." in text
    assert Audit.model_validate_json(audit.model_dump_json()) == audit
    assert str(tmp_path) not in audit.model_dump_json()
