"""The gate: what a check says, where an interval lies, and what a run, a bench or a test gets."""

import json
from xml.etree import ElementTree

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from glider.bench.results import Figure, Results
from glider.cli.errors import exit_code
from glider.cli.gate import gate as gate_command
from glider.core.criteria import Criterion
from glider.core.errors import GliderError, SetupError, UnknownName
from glider.core.judgments import Comparison, Failure, Judgment
from glider.core.samples import Sample
from glider.gate import assert_gate
from glider.gate.checks import (
    Check,
    CheckedFigure,
    CheckFigure,
    Shown,
    finding,
    parse_check,
    rows_needed,
)
from glider.gate.outcomes import OutcomeFigures
from glider.gate.render import junit, markdown, table
from glider.gate.runs import RunFigures
from glider.stats.clustered import clustered_share
from glider.stats.estimates import Estimate, Undefined, proportion
from glider.store.manifest import Manifest
from glider.store.run import RunFolder, write_summary

LEVELS = {1: "bad", 2: "poor", 3: "fair", 4: "good", 5: "best"}


def judged(sample, score, criterion="tone", said="because", probs=None):
    return Judgment(
        task_id="t", sample_id=str(sample), criterion=criterion, judge="j", score=score,
        normalized=(score - 1) / 4, reasoning=said, score_probs=probs,
    )  # fmt: skip


def lost(sample, criterion="tone"):
    return Failure(
        task_id="t", sample_id=str(sample), criterion=criterion, judge="j",
        stage="read", code="missing_part", message="the answer has no readable score",
    )  # fmt: skip


def compared(sample, flipped):
    return Comparison(
        task_id="t", sample_id=str(sample), criterion="duel", judge="j", first="a", second="b",
        preferred=None if flipped else "a", p_first=0.5 if flipped else 0.9, flipped=flipped,
        orders=(judged(sample, 1), judged(sample, 1)),
    )  # fmt: skip


@pytest.fixture
def make_run(tmp_path):
    """Writes a finished run of scores: None is a failure."""

    def make(
        name,
        scores,
        *,
        levels=LEVELS,
        judge="scripted/x nano",
        finished=True,
        said="because",
        inputs=None,
    ):
        criterion = Criterion(name="tone", question="Is it kind?", rubric=levels)
        manifest = Manifest.of(
            run_id=name, judge=judge, settings={}, criteria={"tone": criterion.content_id},
            input_path="rows.jsonl", input_sha256="0",
        )  # fmt: skip
        items = scores.items() if isinstance(scores, dict) else enumerate(scores)
        with RunFolder.create(tmp_path / name, manifest, [criterion]) as run:
            for row, (sample, score) in enumerate(items):
                asked = inputs[row] if inputs else None
                topic = {"topic": row // 8}
                run.record_sample(
                    row, Sample.of("text", input=asked, id=str(sample), metadata=topic)
                )
                run.record(row, lost(sample) if score is None else judged(sample, score, said=said))
        if finished is not None:
            write_summary(tmp_path / name, {"finished": finished})
        return tmp_path / name

    return make


@pytest.fixture
def results(tmp_path):
    """A bench of two systems on two benchmarks."""

    def figure(benchmark, system, metric, value, *, part="", protocol="strict", low=None, **more):
        low = None if value is None else value - 0.1
        return Figure(
            benchmark=benchmark, part=part, system=system, metric=metric, protocol=protocol,
            value=value, low=low, high=None if value is None else value + 0.1,
            n=150, asked=150, judged=147, **more,
        )  # fmt: skip

    made = Results(
        made_at="2026-11-22", glider="0", settings={}, samples={},
        figures=(
            figure("summeval", "nano", "pearson", 0.45),
            figure("summeval", "nano", "pearson", 0.9, protocol="judged only"),
            figure("summeval", "nano", "pearson", 0.2, part="coherence"),
            figure("summeval", "length", "pearson", 0.1),
            figure("qags", "nano", "auc", None, undefined="one class only"),
        ),
    )  # fmt: skip
    path = tmp_path / "bench" / "results.json"
    path.parent.mkdir()
    path.write_text(made.model_dump_json())
    return path


# Checks -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("mean_score:faithfulness >= 3.5", ("mean_score", "faithfulness", None, ">=", 3.5)),
        ("coverage>=98%", ("coverage", "", None, ">=", 0.98)),
        ("coverage < 98 %", ("coverage", "", None, "<", 0.98)),
        ("pass_rate:tone-empathy@4 >= 0.9", ("pass_rate", "tone-empathy", 4, ">=", 0.9)),
        ("pass_rate@-1 > 0", ("pass_rate", "", -1, ">", 0.0)),
        ("mae:my set/part 2 <= -0.25", ("mae", "my set/part 2", None, "<=", -0.25)),
        ("mean_score:x  no  worse than 0.1", ("mean_score", "x", None, "no worse than", 0.1)),
        ("mean_score no worse than 0", ("mean_score", "", None, "no worse than", 0.0)),
    ],
)
def test_a_check_is_read(text, parts):
    check = parse_check(text)
    assert (check.metric, check.of, check.level, check.op, check.bound) == parts


@pytest.mark.parametrize(
    "text",
    [
        "", "mean_score", "mean_score = 3", "mean_score >= high", "3.5 <= mean_score",
        "mean_score >= 3.5 or so", "pass_rate:tone >= 0.9", "mean_score:tone@4 >= 3",
        "mean_score no worse than -0.1", "mean_score better than 1",
    ],
)  # fmt: skip
def test_what_is_no_check_is_refused(text):
    with pytest.raises(SetupError) as error:
        parse_check(text)
    assert error.value.hint or "0 or more" in error.value.message


@pytest.mark.parametrize(
    ("op", "bound", "found"),
    [  # of the interval 2 to 4
        (">=", 2, "holds"), (">=", 1.9, "holds"), (">=", 2.1, "unclear"), (">=", 4, "unclear"),
        (">=", 4.1, "broken"),
        (">", 2, "unclear"), (">", 1.9, "holds"), (">", 4, "broken"),
        ("<=", 4, "holds"), ("<=", 3, "unclear"), ("<=", 2, "unclear"), ("<=", 1.9, "broken"),
        ("<", 4, "unclear"), ("<", 4.1, "holds"), ("<", 2, "broken"),
        ("no worse than", 0, "holds"),  # the difference is positive
    ],
)  # fmt: skip
def test_the_whole_interval_decides(op, bound, found):
    assert finding(Estimate(3, 2, 4, 10, 0, "m"), op, bound) == found


@pytest.mark.parametrize(
    ("low", "high", "found"),
    [(-0.1, 0.1, "holds"), (-0.05, 0.0, "holds"), (-0.3, 0.1, "unclear"), (-0.3, -0.11, "broken")],
)
def test_no_worse_than_asks_for_the_lower_end(low, high, found):
    assert finding(Estimate((low + high) / 2, low, high, 10, 0, "m"), "no worse than", 0.1) == found


@pytest.mark.parametrize("found", ["holds", "broken", "unclear", "undefined"])
def test_who_passes(found):
    figures = {
        "holds": Estimate(3, 2, 4, 10, 0, "m"), "broken": Estimate(0, 0, 1, 10, 0, "m"),
        "unclear": Estimate(2, 1, 3, 10, 0, "m"), "undefined": Undefined("none", 1, 0),
    }  # fmt: skip
    check = Check(text="x >= 2", metric="x", op=">=", bound=2)
    answer = CheckedFigure(check=check, measured=CheckFigure(figure=figures[found]))
    assert answer.finding == found
    assert answer.passes() == (found == "holds")
    assert answer.passes(lenient=True) == (found in ("holds", "unclear"))  # undefined never


@pytest.mark.parametrize(
    ("figure", "op", "bound", "needed"),
    [
        (Estimate(4.0, 3.0, 5.0, 100, 0, "m"), ">=", 3.5, 400),  # half the reach, four times n
        (Estimate(4.0, 3.0, 5.0, 100, 0, "m"), ">=", 4.5, 400),  # until it is surely broken
        (Estimate(4.0, 3.0, 5.0, 100, 0, "m"), ">=", 4.0, None),
        (Estimate(0.0, -0.2, 0.2, 50, 0, "m"), "no worse than", 0.1, 200),
    ],
)
def test_rows_needed(figure, op, bound, needed):
    assert rows_needed(figure, op, bound) == needed


# Figures over outcomes --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("check", "value", "n"),
    [
        ("mean_score:tone >= 1", 3.0, 4),  # the failure has no score
        ("pass_rate:tone@4 >= 0", 0.4, 5),  # and did not pass
        ("pass_rate:tone@1 >= 0", 0.8, 5),
        ("coverage:tone >= 0", 0.8, 5),
        ("coverage >= 0", 8 / 9, 9),  # with the duels
        ("failed <= 1", 1, 9),
        ("failed:tone <= 1", 1, 5),
        ("flip_rate:duel <= 1", 0.25, 4),
    ],
)
def test_figures_over_outcomes(check, value, n):
    outcomes = [judged(k, score) for k, score in enumerate((1, 2, 4, 5))] + [lost(9)]
    outcomes += [compared(k, k == 0) for k in range(4)]
    measured = OutcomeFigures.at_hand(outcomes).measure(parse_check(check))
    figure = measured.figure
    named = ("1 of 5 were not judged and are left out of this figure.",)
    assert measured.notes == (named if check.startswith("mean_score") else ())
    assert figure.value == pytest.approx(value)
    assert figure.n == n
    assert figure.low <= figure.value <= figure.high


@pytest.mark.parametrize(
    ("check", "error"),
    [
        ("mean_skore:tone >= 1", UnknownName),
        ("mean_score:tones >= 1", UnknownName),
        ("mean_score >= 1", SetupError),  # which criterion?
        ("mean_score:tone no worse than 1", SetupError),
    ],
)
def test_a_figure_that_is_not_there_is_refused(check, error):
    figures = OutcomeFigures.at_hand([judged(1, 1), judged(1, 1, "depth")])
    with pytest.raises(error):
        figures.measure(parse_check(check))


def test_nothing_judged_is_undefined():
    for check in ("mean_score >= 1", "coverage >= 0", "failed <= 3", "flip_rate <= 1"):
        assert isinstance(OutcomeFigures.at_hand([]).measure(parse_check(check)).figure, Undefined)
    pairs = (
        OutcomeFigures.at_hand([compared(1, False)]).measure(parse_check("mean_score >= 0")).figure
    )
    assert "flip_rate" in pairs.reason


def test_assert_gate():
    outcomes = [judged(k, 4 + k % 2) for k in range(40)]
    assert [a.finding for a in assert_gate(outcomes, "mean_score >= 4", "failed <= 0")] == [
        "holds", "holds",
    ]  # fmt: skip
    outcomes += [judged("bad one", 1, said="It insults the reader."), lost("broken one")]
    with pytest.raises(AssertionError) as error:
        assert_gate(outcomes, "mean_score >= 4.4", "pass_rate@4 >= 0.99")
    told = str(error.value)
    assert "mean_score >= 4.4: not sure, 4.415 [4.181, 4.648] n=41 (1 not judged)" in told
    assert "bad one: 1 - It insults the reader." in told
    assert "broken one: failed - the answer has no readable score" in told
    with pytest.raises(SetupError, match="nothing to check"):
        assert_gate(outcomes)


# The command ------------------------------------------------------------------------------------


@pytest.fixture
def glider_gate():
    """Run the command; gives exit code and what it said."""
    app = typer.Typer()
    app.command()(gate_command)

    def run(*words):
        done = CliRunner().invoke(app, [str(word) for word in words])
        if isinstance(done.exception, GliderError):
            return exit_code(done.exception), str(done.exception)
        assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
        return done.exit_code, done.stderr

    return run


SPREAD = [4, 5, 4, 5, 3, 5, 4, 4] * 10  # mean 4.25 [4.10, 4.40]


@pytest.mark.parametrize(
    ("checks", "code"),
    [
        (["mean_score:tone >= 4"], 0),
        (["mean_score >= 4.2"], 5),  # the point is above, the interval is not
        (["mean_score >= 4.2", "--lenient"], 0),
        (["mean_score >= 4.5", "--lenient"], 5),
        (["mean_score >= 4", "mean_score >= 4.2"], 5),  # one is enough
        (["pass_rate:tone@4 >= 0.75"], 0),
        (["pass_rate:tone@4 >= 0.85"], 5),
        (["coverage >= 0.95", "failed <= 0"], 0),
        (["coverage >= 0.98"], 5),  # 80 of 80 tell no more than 95.4 %
        (["flip_rate <= 0.5", "--lenient"], 5),  # undefined never passes
    ],
)
def test_exit_codes_of_a_run(glider_gate, make_run, checks, code):
    words = [w for c in checks for w in (["--check", c] if c[0] != "-" else [c])]
    told = glider_gate(make_run("run", SPREAD), *words)
    assert told[0] == code, told[1]


def test_the_table(glider_gate, make_run):
    code, told = glider_gate(
        make_run("run", [*SPREAD, 1, None], said="It is curt."),
        *("--check", "mean_score:tone >= 4.2", "--check", "failed <= 2"),
    )
    assert code == 5
    lines = told.splitlines()
    assert lines[0].split() == ["check", "answer", "figure", "95", "%", "interval", "n"]
    assert " ".join(lines[1].split()) == (
        "FAIL mean_score:tone >= 4.2 not sure 4.210 4.043 to 4.377 81"
    )
    assert " ".join(lines[2].split()) == "pass failed <= 2 holds 1 a count 82"
    assert "The interval crosses 4.2; if the estimate stays the same, about" in told
    assert "80: 1 - It is curt." in told
    assert "1 of 2 checks passed" in lines[-1]


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["run"], 2, "nothing to check"),
        (["run", "--check", "mean_score:kind >= 1"], 2, "kind"),
        (["run", "--check", "mean_score no worse than 1"], 2, "--baseline"),
        (["run", "--check", "failed <= 1", "--system", "x"], 2, "--system"),
        (["run", "--check", "coverage >= 0", "--cluster", "x"], 2, "no sample has a field"),
        (["nowhere", "--check", "failed <= 1"], 3, "neither a run nor"),
        (["cut", "--check", "failed <= 1"], 3, "is incomplete"),
        (["killed", "--check", "failed <= 1"], 3, "--resume"),
    ],
)
def test_what_the_command_refuses(glider_gate, make_run, tmp_path, words, code, said):
    make_run("run", SPREAD)
    make_run("cut", SPREAD, finished=False)
    make_run("killed", SPREAD, finished=None)
    told = glider_gate(tmp_path / words[0], *words[1:])
    assert told[0] == code
    assert said in told[1]


# Rows that share an input --------------------------------------------------------------------

PROMPTS = [f"prompt {row % 19}" for row in range(56)]


@pytest.mark.parametrize(
    ("scores", "check", "words", "code", "reach"),
    [
        ([5] * 56, "pass_rate@4 >= 90%", [], 5, "0.824 to 1.000"),
        ([5] * 56, "pass_rate@4 >= 90%", ["--cluster", "none"], 0, "0.936 to 1.000"),
        ([5] * 56, "coverage >= 90%", [], 5, "0.824 to 1.000"),
        ([5] * 56, "mean_score >= 4.5", [], 5, "4.294 to 5.000"),  # 1 - 0.025 ** (1 / 19) is 0.176
        ([4] * 28 + [5] * 28, "mean_score >= 4", ["--cluster", "topic"], 0, "4.038 to 4.962"),
    ],
)
def test_rows_of_one_input_count_as_one_cluster(
    glider_gate, make_run, scores, check, words, code, reach
):
    told = glider_gate(make_run("run", scores, inputs=PROMPTS), "--check", check, *words)
    assert told[0] == code, told[1]
    assert reach in told[1]
    assert ("in 19 clusters (the same row, or the same input and context)" in told[1]) != bool(
        words
    )


def test_the_gate_and_the_calibration_mean_the_same_by_a_cluster(make_run):
    scores = [3 + row % 3 for row in range(56)]
    run = make_run("run", scores, inputs=PROMPTS)
    figure = RunFigures(run).measure(parse_check("pass_rate@4 >= 0.1")).figure
    hits, prompts = np.array(scores) >= 4, np.arange(56) % 19
    assert figure == clustered_share(hits, prompts)
    assert figure.method == "Korn-Graubard over 19 clusters, 95 %"


def test_a_fixed_instruction_makes_no_cluster(glider_gate, make_run):
    run = make_run("run", [5] * 56, inputs=["Be kind."] * 56)
    code, told = glider_gate(run, "--check", "pass_rate@4 >= 90%")
    assert code == 0
    assert "All items share one input, so each counts as independent." in told


def test_a_difference_counts_clusters(glider_gate, make_run):
    before, now = [4] * 57, [3 if row % 19 == 0 else 4 for row in range(57)]
    prompts = [f"prompt {row % 19}" for row in range(57)]
    check = ("--check", "mean_score no worse than 0.15")
    old, new = make_run("old", before), make_run("new", now, inputs=prompts)
    assert glider_gate(new, "--baseline", old, *check, "--cluster", "none")[0] == 0
    assert glider_gate(new, "--baseline", old, *check)[0] == 5


def test_outcomes_at_hand_are_independent_unless_they_come_with_clusters():
    outcomes = [judged(k, 5) for k in range(56)]
    (alone,) = assert_gate(outcomes, "pass_rate@4 >= 90%")
    assert (alone.measured.figure.method, alone.measured.notes) == (
        "exact (Clopper-Pearson), 95 %",
        (),
    )
    with pytest.raises(AssertionError, match="over 19 clusters"):
        assert_gate(outcomes, "pass_rate@4 >= 90%", clusters=PROMPTS)
    with pytest.raises(SetupError, match="3 clusters for 56 outcomes"):
        assert_gate(outcomes, "pass_rate@4 >= 90%", clusters=PROMPTS[:3])


# Against a baseline -----------------------------------------------------------------------------

BEFORE = [3, 4, 5, 2, 4, 3, 5, 1] * 25  # 200 samples that differ much from one another


def changed(drop, every):
    """The baseline with `drop` taken off each `every`-th score above 1."""
    return [s - drop if k % every == 0 and s > drop else s for k, s in enumerate(BEFORE)]


@pytest.mark.parametrize(
    ("now", "margin", "code", "answer"),
    [
        (BEFORE, 0.1, 0, "not worse"),  # not one changed: exact on the scale, -0.073 at worst
        (BEFORE, 0.05, 5, "too little data"),
        (changed(1, 40), 0.1, 0, "not worse"),  # five of 200 fell by one
        (changed(1, 3), 0.1, 5, "worse"),  # a third fell by one
        (changed(1, 10), 0.1, 5, "too little data"),
        (changed(1, 3), 0.5, 0, "not worse"),
        (BEFORE[:6], 0.1, 5, "too little data"),
    ],
)
def test_is_the_new_prompt_worse(glider_gate, make_run, now, margin, code, answer):
    code_, told = glider_gate(
        make_run("new", now), "--baseline", make_run("old", BEFORE),
        "--check", f"mean_score:tone no worse than {margin}",
    )  # fmt: skip
    assert (code_, told.splitlines()[1].split(f"{margin}")[1].split("  ")[1]) == (code, answer), (
        told
    )


def test_pairing_sees_what_two_means_cannot(glider_gate, make_run):
    """A fall of 0.1 throughout: the two means' intervals overlap by far, the pairs' does not."""
    now = changed(1, 8)
    new, old = make_run("new", now), make_run("old", BEFORE)
    assert glider_gate(new, "--check", "mean_score >= 3.2", "--lenient")[0] == 0
    code, told = glider_gate(
        new, "--baseline", old, "--check", "mean_score:tone no worse than 0.05"
    )
    assert (code, "worse" in told) == (5, True)


def test_a_difference_names_its_rows(glider_gate, make_run):
    old = make_run("old", {f"s{k}": 4 + k % 2 for k in range(50)})
    new = make_run(
        "new",
        {f"s{k}": {7: 1, 8: None}.get(k, 4 + k % 2) for k in range(60)},
        said="Rude.",
        judge="b",
    )
    code, told = glider_gate(
        new, "--baseline", old, "--check", "mean_score no worse than 0.1",
        "--check", "pass_rate@4 no worse than 0.5",
    )  # fmt: skip
    assert code == 5
    assert "s7: 5 to 1 - Rude." in told
    assert "paired 50 samples; this run has 60, the baseline 50" in told
    assert "1 pairs are left out" in told
    assert "different judges" in told
    assert "-0.040" in told  # 2 of 50 no longer pass: the failed one did not pass


@pytest.mark.parametrize(
    ("old", "said"),
    [
        ({"levels": {1: "no", 5: "yes"}}, "differs between the two runs"),
        ({"scores": {f"x{k}": 3 for k in range(9)}}, "share no sample id"),
    ],
)
def test_runs_that_do_not_compare(glider_gate, make_run, old, said):
    new = make_run("new", [3, 4, 5])
    code, told = glider_gate(
        new, "--baseline", make_run("old", old.pop("scores", [3, 4, 5]), **old),
        "--check", "mean_score no worse than 1",
    )  # fmt: skip
    assert code in (2, 5)
    assert said in told


def test_an_id_that_is_there_twice_cannot_be_paired(make_run, glider_gate, tmp_path):
    run = make_run("new", [3, 4, 5])
    line = (run / "journal.jsonl").read_text().splitlines()[0]
    with (run / "journal.jsonl").open("a") as journal:
        journal.write(json.dumps(json.loads(line) | {"row": 3}) + "\n")
    code, told = glider_gate(
        run, "--baseline", make_run("old", [3, 4, 5]), "--check", "mean_score no worse than 1"
    )
    assert code == 3
    assert "several outcomes of sample '0'" in told


# A bench ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["pearson:summeval >= 0.35", "--system", "nano"], 0, "0.350 to 0.550"),
        (["pearson:summeval >= 0.4", "--system", "nano"], 5, "not sure"),  # strict, not judged only
        (["pearson:summeval/coherence >= 0.05"], 0, "0.200"),
        (["pearson:summeval/fluency >= 0.1"], 2, "no such part"),
        (["coverage:summeval >= 0.9", "--system", "nano"], 0, "0.980"),
        (["failed:summeval <= 3", "--system", "nano"], 0, "a count"),
        (["auc:qags >= 0"], 5, "one class only"),
        (["pearson:summeval >= 0.3"], 2, "which system"),
        (["pearson >= 0.3", "--system", "nano"], 2, "which benchmark"),
        (["spearman:summeval >= 0.3", "--system", "nano"], 2, "no metric of this bench"),
        (["pearson:sumeval >= 0.3"], 2, "did you mean 'summeval'"),
        (["pearson:summeval >= 0.3", "--system", "mano"], 2, "did you mean 'nano'"),
        (["pearson:summeval no worse than 0.3", "--system", "nano"], 2, "single samples"),
    ],
)
@pytest.mark.parametrize("place", ["file", "folder"])
def test_results_of_a_bench(glider_gate, results, words, code, said, place):
    path = results if place == "file" else results.parent
    told = glider_gate(path, "--check", *words)
    assert told[0] == code, told[1]
    assert said in told[1]


def test_a_file_that_is_no_results(glider_gate, tmp_path):
    (tmp_path / "results.json").write_text('{"figures": 3}')
    code, told = glider_gate(tmp_path, "--check", "failed <= 1")
    assert code == 3
    assert "no results of a bench" in told


# Files for CI -----------------------------------------------------------------------------------

HOSTILE = "</failure>]]> | `x` <img src=x> @all [a](b) \x00\ud800\u2028"


def answers():
    check = parse_check("mean_score:a|b >= 3")
    figures = [
        Estimate(4, 3.5, 4.5, 40, 2, "m"),
        Estimate(3, 2.5, 3.5, 40, 2, "m"),
        Undefined("x", 1, 0),
    ]
    worst = (Shown(HOSTILE, "1", HOSTILE),)
    return [
        CheckedFigure(check=check, measured=CheckFigure(figure=f, worst=worst, notes=("n",)))
        for f in figures
    ]


@pytest.mark.parametrize(("lenient", "failed"), [(False, 2), (True, 1)])
def test_junit_is_xml_that_a_server_can_count(lenient, failed):
    root = ElementTree.fromstring(junit("a <run>", answers(), lenient=lenient))
    (suite,) = root
    assert root.tag == "testsuites"
    assert suite.get("tests") == "3"
    assert suite.get("failures") == root.get("failures") == str(failed)
    cases = suite.findall("testcase")
    assert [case.get("name") for case in cases] == ["mean_score:a|b >= 3"] * 3
    assert {case.get("classname") for case in cases} == {"glider.gate.a <run>"}
    found = [case.find("failure") for case in cases]
    assert sum(f is not None for f in found) == failed
    assert found[2].get("type") == "undefined"
    assert "There is no figure" in found[2].text
    assert "holds, 4.000 [3.500, 4.500] n=40 (2 not judged)" in cases[0].find("system-out").text


def test_markdown_has_one_row_a_check_and_strangers_text_only_as_code():
    text = markdown("a|b", answers())
    rows = [line for line in text.splitlines() if line.startswith("| **")]
    assert len(rows) == 3
    assert all(line.replace("\\|", "").count("|") == 7 for line in rows)
    outside = "".join(text.split("`")[::2])
    assert "<img" not in outside
    assert "@all" not in outside
    assert "1 of 3 checks passed" in text


def test_files_are_written_and_hold_no_path(glider_gate, make_run, tmp_path):
    run = make_run("run", SPREAD)
    xml, md = tmp_path / "ci" / "gate.xml", tmp_path / "ci" / "gate.md"
    glider_gate(run, "--check", "mean_score >= 4.2", "--junit", xml, "--markdown", md)
    assert ElementTree.parse(xml).getroot().get("failures") == "1"
    assert "| **FAIL** | `mean_score >= 4.2` | not sure | 4.250 |" in md.read_text("utf-8")
    assert str(tmp_path) not in xml.read_text("utf-8") + md.read_text("utf-8")


def test_the_plain_table_survives_a_lone_surrogate():
    assert "\x00" in table(answers())  # a terminal gets it as it is; nothing is raised


def test_a_full_share_has_the_bound_the_documents_tell():
    """n of n judged passes `coverage >= n / (n + 3.84)`."""
    assert proportion(100, 100).low == pytest.approx(100 / 103.8415, abs=1e-6)
