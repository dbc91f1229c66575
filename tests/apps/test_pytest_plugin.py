"""The pytest plugin as users meet it: another pytest, in a process of its own."""

from importlib.metadata import entry_points

import pytest

pytest_plugins = ("pytester",)

# Under its own name where this package is installed with the entry point, else by module.
INSTALLED = bool(entry_points(group="pytest11", name="glider"))
PLUGIN = () if INSTALLED else ("-p", "glider.gate.pytest_plugin")

CONFTEST = """
import json
import pytest
from glider import Judge
from glider.backends.scripted import ScriptedBackend

def answer(request):
    text = request.messages[-1].content
    score = 1 if "rude" in text else 9 if "lost" in text else 5 if "warm" in text else 4
    return json.dumps({"reasoning": "It is rude." if score == 1 else "Kind.", "highlights": [], "score": score})

@pytest.fixture(scope="session")
def glider_judge():
    with Judge(ScriptedBackend(answer), format="chat-json") as judge:
        yield judge
"""

TASKS = """
from glider import Criterion, JudgeTask, Sample
TONE = Criterion(name="tone", question="Is it kind?", rubric={1: "no", 2: "a bit", 3: "so so", 4: "yes", 5: "very"})
def judged(judge, *texts):
    return list(judge.judge_many(JudgeTask(Sample.of(t, id=t), TONE) for t in texts))
"""


@pytest.fixture
def run(pytester):
    """Run pytest on a test file, with the judge above; gives its result."""
    pytester.makeconftest(CONFTEST)

    def run(tests, *words):
        pytester.makepyfile(TASKS + tests)
        return pytester.runpytest_subprocess(*PLUGIN, "-W", "error", *words)

    return run


def test_a_gate_that_holds(run):
    done = run(
        """
def test_tone(glider_judge, gate):
    outcomes = judged(glider_judge, *[f"warm {n}" for n in range(10)], *[f"text {n}" for n in range(10)])
    gate(outcomes, "mean_score >= 4", "pass_rate@4 >= 80%", "failed <= 0")
"""
    )
    done.assert_outcomes(passed=1)
    done.stdout.fnmatch_lines(
        [
            "*- glider gate -*",
            "pass  mean_score >= 4: holds, 4.500 [[]4.260, 4.740] n=20; Student t, 95 %",
            "pass  pass_rate@4 >= 80%: holds, 1.000 [[]0.832, 1.000] n=20; exact (Clopper-Pearson), 95 %",
            "pass  failed <= 0: holds, *",
        ]
    )


def test_a_gate_that_fails_shows_interval_n_and_the_worst(run):
    done = run(
        """
def test_tone(glider_judge, gate):
    outcomes = judged(glider_judge, *[f"warm {n}" for n in range(6)], "rude one", "lost one")
    gate(outcomes, "mean_score >= 4", "pass_rate@4 >= 0.5")
"""
    )
    done.assert_outcomes(failed=1)
    done.stdout.fnmatch_lines(
        [
            "E   *mean_score >= 4: not sure, 4.429 [[]*] n=7 (1 not judged); Student t, 95 %",
            "E   *The interval crosses 4*rows would decide (there are 7).",
            "E   *rude one: 1 - It is rude.",
            "*- glider gate -*",
            "FAIL  mean_score >= 4: *",
        ]
    )
    # Where the check is made is shown; how it is made is not.
    done.stdout.no_fnmatch_line("*raise AssertionError*")


def test_a_gate_counts_the_clusters_it_is_given(run):
    done = run(
        """
def test_tone(glider_judge, gate):
    outcomes = judged(glider_judge, *[f"warm {n}" for n in range(20)])
    gate(outcomes, "pass_rate@4 >= 80%", clusters=[n // 4 for n in range(20)])
"""
    )
    done.assert_outcomes(failed=1)
    done.stdout.fnmatch_lines(["FAIL  pass_rate@4 >= 80%*Korn-Graubard over 5 clusters*"])


def test_outcomes_of_many_tests_are_checked_together(run):
    done = run(
        """
import pytest

@pytest.mark.parametrize("n", range(12))
def test_each(n, glider_judge, gate):
    gate.add("support", *judged(glider_judge, f"warm {n}" if n % 2 else f"text {n}"))

def test_together(gate):
    gate("support", "mean_score >= 4")

def test_nothing_was_collected(gate):
    gate("sales", "mean_score >= 4")
"""
    )
    done.assert_outcomes(passed=13, failed=1)
    done.stdout.fnmatch_lines(
        [
            "E   *gate 'sales'",
            "E   *mean_score >= 4: undefined: *",
            "support: pass  mean_score >= 4: holds, 4.500 [[]*] n=12; Student t, 95 %",
            "sales: FAIL  mean_score >= 4: *",
        ]
    )


@pytest.mark.parametrize(
    "words", [("--glider-model", "nowhere/x"), ("-o", "glider_model=nowhere/x")]
)
def test_the_model_is_named_on_the_line_or_in_the_ini_file(pytester, words):
    pytester.makepyfile("def test_it(glider_judge): pass")
    done = pytester.runpytest_subprocess(*PLUGIN, *words)
    done.assert_outcomes(errors=1)
    done.stdout.fnmatch_lines(["E *UnknownName: no model called 'nowhere/x'*"])


def test_tests_that_do_not_judge_are_left_alone(pytester):
    pytester.makepyfile(
        """
import sys
def test_it():
    loaded = {name for name in sys.modules if name.partition(".")[0] == "glider"}
    assert loaded <= {"glider", "glider._version", "glider.gate", "glider.gate.pytest_plugin"}
    assert not {"pydantic", "numpy", "yaml", "rich"} & sys.modules.keys()
"""
    )
    done = pytester.runpytest_subprocess(
        *PLUGIN, "-W", "error", "--strict-config", "--strict-markers"
    )
    done.assert_outcomes(passed=1)
    done.stdout.no_fnmatch_line("*glider gate*")


def test_a_users_own_gate_wins(pytester):
    pytester.makeconftest("import pytest\n@pytest.fixture\ndef gate(): return 'mine'")
    pytester.makepyfile("def test_it(gate): assert gate == 'mine'")
    pytester.runpytest_subprocess(*PLUGIN).assert_outcomes(passed=1)
