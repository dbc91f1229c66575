"""`glider audit` as a function of its flags: which judge is audited."""

import json
import math

import pytest
import typer

from glider import backends
from glider.audit.results import Audit
from glider.backends.scripted import ScriptedBackend
from glider.cli.audit import audit as audit_command
from glider.core.errors import SetupError
from glider.core.generation import Generation

app = typer.Typer()
app.command()(audit_command)

LABELS = {
    str(score): math.log(p) for score, p in zip("12345", (0.1, 0.1, 0.2, 0.5, 0.1), strict=True)
}


@pytest.fixture
def models(monkeypatch):
    """Every model that is opened, by name; each finds every text a 4."""
    opened = {}

    def open_model(name, **_):
        def four(request):
            text = request.opening + "4" if request.labels else "Does it say when?"
            return Generation(text=text, label_logprobs=LABELS if request.labels else None)

        opened[name] = ScriptedBackend(four, label_logprobs=LABELS, model=name.partition("/")[2])
        return opened[name]

    monkeypatch.setattr(backends, "open_backend", open_model)
    return opened


@pytest.fixture
def audit(tmp_path, models):
    """Audit three texts; gives the results and the run's manifest."""
    rows = tmp_path / "rows.jsonl"
    lines = [{"id": str(n), "input": "When?", "output": f"At {n} o'clock."} for n in range(3)]
    rows.write_text("".join(json.dumps(line) + "\n" for line in lines))

    def run(*words):
        folder = tmp_path / "run"
        app(
            [str(rows), "-c", "relevance", "-m", "scripted/a", "--format", "nano",
             "--probe", "rubric-order", "--run", str(folder), *words],
            standalone_mode=False,
        )  # fmt: skip
        found = Audit.model_validate_json((folder / "audit.json").read_text("utf-8"))
        return found, json.loads((folder / "manifest.json").read_text("utf-8"))

    return run


def test_a_judge_with_strategies_is_audited_as_it_judges(audit, models):
    found, manifest = audit("--strategy", "rules,questions")
    assert found.judge == "scripted/a nano/score-first/criterion-first/bare+rules+questions"
    assert found.judged == found.asked == 6
    assert manifest["settings"]["strategies"] == ["rules", "questions"]
    written = [r for r in models["scripted/a"].requests if not r.labels]
    judged = [r for r in models["scripted/a"].requests if r.labels]
    assert written and all("Does it say when?" in r.messages[-1].content for r in judged)
    top_down = [r for r in judged if r.messages[-1].content.split("Scores:\n")[1].startswith("5")]
    assert (len(top_down), len(judged)) == (3, 6)


def test_aspects_are_those_of_decompose(audit):
    found, manifest = audit("--strategy", "decompose", "--aspect", "Tone=1", "--aspect", "Fact=2")
    assert found.judged == 6
    assert manifest["settings"]["aspects"] == ["Tone=1", "Fact=2"]


def test_a_jury_is_audited_as_one_judge(audit, models):
    found, manifest = audit("--jury", "scripted/b")
    assert found.judge.startswith("jury(scripted/a|scripted/b)")
    assert found.judged == 6
    assert manifest["settings"]["jury"] == ["scripted/b"]
    assert manifest["settings"]["audit"]["own"] == ["scripted/a", "a", "scripted/b", "b"]
    assert len(models["scripted/a"].requests) == len(models["scripted/b"].requests) > 0


def test_a_cascade_is_audited_as_one_judge(audit, models):
    found, manifest = audit("--cascade", "scripted/b", "--cascade-until", "0.99")
    assert found.judge.startswith("cascade(scripted/a|scripted/b|0.99)")
    assert found.judged == 6
    assert manifest["settings"]["cascade"] == "scripted/b"
    assert len(models["scripted/a"].requests) >= len(models["scripted/b"].requests)


def test_without_a_word_scores_are_asked_for_alone(audit):
    assert audit()[0].judge.endswith("/bare")


@pytest.mark.parametrize("flags", [["--explain"], ["--probe", "highlights"]])
def test_quotes_are_asked_for_where_they_are_looked_at(audit, flags):
    assert not audit(*flags)[0].judge.endswith("/bare")


def test_swap_is_refused(audit):
    with pytest.raises(SetupError, match="an audit chooses the orders itself"):
        audit("--strategy", "swap")
