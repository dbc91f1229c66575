"""docs/api.md: every snippet runs, in the order of the page, and every public name is on it."""

import json
import re
from pathlib import Path

import pytest

import glider
from glider.core.errors import ModelFileError
from glider.models.catalog import find

PAGE = (Path(__file__).resolve().parents[2] / "docs/api.md").read_text("utf-8")
SNIPPETS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture
def model():
    try:
        find("glider-nano")
    except ModelFileError as error:
        pytest.skip(f"the model cannot be had here: {error}")


RUBRIC = {str(level): f"level {level}" for level in range(1, 6)}
LABELS = [
    {
        "id": f"r{n}", "input": f"Question {n}?", "output": f"This is answer number {n}.",
        "label": 1 + n % 5, "scale": [1, 5], "rubric": RUBRIC,
        "criterion": {"name": "tone", "description": "Is it kind?"},
    }
    for n in range(24)
]  # fmt: skip


def lines(records):
    return "".join(json.dumps(record) + "\n" for record in records)


@pytest.mark.slow
def test_the_snippets_run(tmp_path, monkeypatch, model, capsys):
    monkeypatch.chdir(tmp_path)
    answers = [{"input": "When?", "answer": f"At {n} o'clock, please."} for n in range(6)]
    Path("answers.jsonl").write_text(lines(answers))
    Path("labels.jsonl").write_text(lines(LABELS))
    names = {}
    for snippet in SNIPPETS:
        if snippet.startswith("# takes minutes"):
            snippet = "".join(re.findall(r"^(?:from|import) .*\n", snippet, re.MULTILINE))
        exec(compile(snippet, "docs/api.md", "exec"), names)
    assert (names["judged"].asked, names["judged"].failed) == (8, 0)
    assert len(Path("monday.csv").read_text("utf-8-sig").splitlines()) == 9
    assert Path("runs/monday/report.html").exists()
    assert names["learnt"].counts.labelled == 24
    assert names["benched"].results.figures
    assert names["page"] == Path("runs/audit/audit.html")
    assert names["answer"].passes()
    assert names["made"].record.train.examples > 10
    told = capsys.readouterr().out
    assert "0 of 8 failed" in told
    assert "did you mean 'conciseness'" in told
    assert sorted(p.name for p in Path("runs").iterdir()) == ["audit", "gold", "labelled", "monday"]


def test_every_public_name_is_on_the_page():
    types = {"Field", "Highlight", "JudgeTask", "JudgedFile", "Outcome", "PairTask", "Rubric"}
    types |= {name for name in glider.__all__ if name.endswith("Settings")}
    types |= {"Span", "__version__"}
    assert [name for name in glider.__all__ if name not in PAGE and name not in types] == []
