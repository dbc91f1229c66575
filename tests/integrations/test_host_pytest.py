import subprocess
import sys

from conftest import BROKEN, JUDGE, text

TESTS = """
def test_levels(glider_judge, gate):
    texts = {texts!r}
    gate(list(glider_judge.judge_many([(Sample.of(t), load_criterion("clarity")) for t in texts])), *{checks!r})
"""


def ran(folder, texts, *checks):
    imports = "from glider import Sample, load_criterion\n"
    (folder / "test_it.py").write_text(imports + TESTS.format(texts=texts, checks=checks), "utf-8")
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "--glider-model", JUDGE, "test_it.py"],
        cwd=folder,
        capture_output=True,
        text=True,
    )


def test_a_failure_is_in_no_mean_and_in_the_coverage(asked, tmp_path, shown):
    texts = [f"{text(4 + n % 2)} {n}" for n in range(12)] + [f"{BROKEN} {n}" for n in range(4)]
    done = ran(tmp_path, texts, "mean_score >= 4", "failed <= 4")
    assert done.returncode == 0, done.stdout
    done = ran(tmp_path, texts, "coverage >= 95%")
    assert done.returncode == 1 and "coverage" in done.stdout
    shown("failure", "left out of the mean, counted in `failed`")
    shown("coverage", "checks `coverage` and `failed`")
    shown("spans", "the judgment itself")
    shown("queue", "`judge_many` keeps the engine busy")


def test_the_recipe_runs(recipe, shown):
    _, lines, seconds = recipe("pytest", sys.executable, "-m", "pytest", "-q", name="test_block.py")
    shown("recipe", f"{lines} lines, {seconds:.0f} s")
