"""docs/strategies.md: its Python runs, and every strategy and flag of it is there."""

import re
import subprocess
import sys
from pathlib import Path

from glider import Criterion, Judge, Sample
from glider.backends.scripted import ScriptedBackend
from glider.formats.nano import NanoFormat
from glider.judging.strategies import STRATEGIES, with_strategies

PAGE = (Path(__file__).resolve().parents[2] / "docs/strategies.md").read_text("utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


def test_every_strategy_is_in_the_table():
    for name in STRATEGIES.names():
        assert f"\n| `{name}` |" in PAGE


def test_every_flag_exists():
    told = subprocess.run(
        [sys.executable, "-m", "glider.cli.main", "judge", "--help"],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    of_glider = re.sub(r"^\$ python .*", "", PAGE, flags=re.M)
    for flag in set(re.findall(r"(?<=[\s`])--[a-z][a-z-]+", of_glider)):
        assert flag in told, flag


def test_a_judge_is_made_of_a_judge():
    made = {}
    exec(
        BLOCKS[0].replace('"embedded"', "ScriptedBackend([])"),
        {"ScriptedBackend": ScriptedBackend},
        made,
    )
    assert made["judge"].id.endswith("+rules+reference")


def test_a_strategy_of_ones_own():
    made = {}
    exec(BLOCKS[1], made)
    backend = ScriptedBackend(["A {time}.", "2\nQuotes: none\nReason: x"])
    judge = with_strategies(Judge(backend, format=NanoFormat()), [made["InShort"]()])
    criterion = Criterion(name="c", question="Does {output} help?", rubric={1: "no", 2: "yes"})
    (outcome,) = judge.judge_many([(Sample.of("9:40", input="When?"), criterion)])
    assert outcome.score == 2
    assert "What is asked, in short: A (time)." in backend.requests[1].messages[1].content
