import json
import subprocess

import pytest
import yaml
from conftest import BROKEN, JUDGE, block, quoted, text

ASSERT = f"from glider.integrations.promptfoo import assertion\nget_assert = assertion('clarity', '{JUDGE}')\n"
GRADER = f"from glider.integrations.promptfoo import grader\ncall_api = grader('{JUDGE}')\n"


@pytest.fixture
def evaluated(asked, tmp_path):
    """The results of `promptfoo eval`, whose provider `echo` answers with the prompt."""

    def run(tests, **more):
        config = {"prompts": ["{{said}}"], "providers": ["echo"], "tests": tests, **more}
        (tmp_path / "promptfooconfig.yaml").write_text(yaml.safe_dump(config, allow_unicode=True))
        (tmp_path / "glider_assert.py").write_text(ASSERT)
        (tmp_path / "glider_grader.py").write_text(GRADER)
        done = subprocess.run(
            ["promptfoo", "eval", "--no-cache", "--no-write", "-j", "32", "-o", "out.json"],
            cwd=tmp_path, capture_output=True, text=True, timeout=800,
        )  # fmt: skip
        out = tmp_path / "out.json"
        assert out.exists(), done.stdout + done.stderr
        results = json.loads(out.read_text("utf-8"))["results"]
        rows = sorted(results["results"], key=lambda row: row["testIdx"])
        return rows, results["prompts"][0]["metrics"]

    return run


def by_file(says, kind="python"):
    return {"vars": {"said": says}, "assert": [{"type": kind, "value": "file://glider_assert.py"}]}


def test_a_failure_fails_its_test_and_has_no_named_score(evaluated, shown):
    rows, metrics = evaluated([by_file(text(5)), by_file(BROKEN), by_file(text(2))])
    assert [row["success"] for row in rows] == [True, False, False]
    assert [row["namedScores"].get("clarity") for row in rows] == [1.0, None, 0.25]
    assert metrics["namedScores"]["clarity"] == 1.25
    assert metrics["namedScoresCount"]["clarity"] == 2
    (lost,) = rows[1]["gradingResult"]["componentResults"]
    assert "read/missing_part" in lost["reason"]
    shown("failure", "a failed test with the score 0: it has no missing score; no named score")
    shown("coverage", "`reason` with stage and code; `namedScoresCount`")


def test_not_does_not_make_a_success_of_a_failure(evaluated):
    rows, _ = evaluated([by_file(BROKEN, "not-python"), by_file(text(1), "not-python")])
    assert [row["success"] for row in rows] == [False, True]


def test_spans_are_in_the_metadata(evaluated, shown):
    (row,), _ = evaluated([by_file(text(2))])
    (found,) = row["gradingResult"]["componentResults"]
    assert quoted(found["metadata"]["glider"], text(2)) == "level 2"
    assert found["reason"] == "It says level 2. [level 2]"
    shown("spans", "`metadata.glider.highlights`, in code points, not in JavaScript's units")


def test_its_own_rubrics_are_graded(evaluated):
    said = {"type": "llm-rubric", "value": "names a level", "provider": "file://glider_grader.py"}
    rows, _ = evaluated(
        [{"vars": {"said": each}, "assert": [said]} for each in (text(1), text(0), BROKEN)]
    )
    said = [row["gradingResult"]["reason"] for row in rows]
    assert [row["success"] for row in rows] == [True, False, False], said


def test_the_recipe_runs(recipe, tmp_path, shown):
    config = block("promptfoo", "yaml")
    command = ["promptfoo", "eval", "--no-cache", "--no-write", "-o", "out.json"]
    files = {"promptfooconfig.yaml": config.encode()}
    # 100 says that a text did not pass, which is a verdict.
    _, lines, seconds = recipe(
        "promptfoo", *command, name="glider_assert.py", files=files, codes=(0, 100)
    )
    (row,) = json.loads((tmp_path / "out.json").read_text("utf-8"))["results"]["results"]
    assert "clarity" in row["namedScores"]
    shown("recipe", f"{lines + len(config.splitlines())} lines in two files, {seconds:.0f} s")
    shown("queue", "no: a process, and a judge, for each assertion; one for the grader")
