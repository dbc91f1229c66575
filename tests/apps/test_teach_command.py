"""`glider data --teacher`: examples and a teacher's reasons in one command, killed and resumed."""

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter

import pytest
from in_process import glider
from unit.corpus.cases import LEVELS

from glider.corpus.examples import read_examples, required_format
from glider.testing.server import FakeServer

TEXT = "The lighthouse keeper polished the brass lantern before the storm arrived."
REASON = "It says that the keeper polished the brass lantern before any storm."
N = 20


def teacher(asked):
    """Writes one reason for each text, and reads it as people's score; counts what it is asked."""

    def answer(request):
        *_, user, opened = (message["content"] for message in request["messages"])
        output = user.partition("<output>\n")[2].partition("\n")[0]
        number = int(output.rpartition(" ")[2].rstrip("."))
        score = number % 5 + 1
        if opened.endswith("Score: "):
            asked["reading", number] += 1
            assert REASON in opened and opened.count("Score") == 1
            return str(score)
        asked["reason", number] += 1
        assert opened == f"Score: {score}\n", "it is given people's score"
        return f"Quotes:\n- {TEXT[:30].rpartition(' ')[0]}\nReason: {REASON}"

    return answer


@pytest.fixture
def recipe(tmp_path):
    rows = [
        {"id": str(n), "input": f"Question {n}?", "output": f"{TEXT} Number {n}.",
         "label": n % 5 + 1, "scale": [1, 5], "rubric": LEVELS,
         "criterion": {"name": "quality", "description": "Is it good?"}}
        for n in range(N)
    ]  # fmt: skip
    (tmp_path / "mine.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    file = tmp_path / "mixture.yaml"
    file.write_text("sets: {mine.jsonl: {}}\nrationales: teacher\ndev: 0.2\n")
    return file


def words(server):
    return (
        "data", "mixture.yaml", "--teacher", "openai/any", "--base-url", server.url,
        "--grammar", "llama.cpp", "--max-connections", "2", "--out", "made",
    )  # fmt: skip


def test_killed_it_goes_on_and_the_training_reads_what_it_made(recipe, tmp_path):
    folder = recipe.parent
    asked = Counter()
    env = {"OPENAI_API_KEY": "none", "GLIDER_DATA": ""}
    with FakeServer(answer=teacher(asked), delay_s=0.05) as server:
        process = subprocess.Popen(
            [sys.executable, "-m", "glider.cli.main", *words(server)],
            cwd=folder, env=os.environ | env,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        journal = folder / "made/answers.jsonl"
        try:
            while process.poll() is None and not (journal.exists() and journal.stat().st_size):
                time.sleep(0.01)
        finally:
            process.kill()
            process.wait()
        assert process.returncode == -signal.SIGKILL
        kept = journal.read_bytes().count(b"\n")
        assert not (folder / "made/train.jsonl.gz").exists()
        done = glider(*words(server), "--resume", cwd=folder, env=env)
    assert done.returncode == 0, done.stderr
    result = json.loads((folder / "made/result.json").read_text())
    examples = list(read_examples(folder / "made/train.jsonl.gz"))
    assert result["asked"] == result["kept"] == len(examples) > 0 == result["missing"]
    assert all(one.whole and REASON in one.completion for one in examples)
    reasons = [n for (what, _), n in asked.items() if what == "reason"]
    # What was on its way when the process died, at most two, is asked again and nothing else.
    assert len(reasons) == len(examples) and sum(reasons) <= len(examples) + 2 and kept > 0
    there = {file.name for file in (folder / "made").iterdir()}
    assert {"dev.jsonl.gz", "tasks.jsonl.gz", "held-out.json", "card.md"} <= there
    assert required_format(folder / "made")["format"] == "nano"


def test_a_recipe_that_asks_for_a_teacher_names_the_flag(recipe):
    done = glider("data", "mixture.yaml", "--out", "made", cwd=recipe.parent)
    assert done.returncode == 2 and "--teacher" in done.stderr
    done = glider("data", "--set", "mine.jsonl", "--resume", "--out", "made", cwd=recipe.parent)
    assert done.returncode == 2 and "go with --teacher" in done.stderr
    assert not (recipe.parent / "made").exists()
