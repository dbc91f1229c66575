"""`glider audit` as people run it: a server on loopback, a kill, a page in a browser."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from importlib.resources import files

import in_process
import pytest

from glider.audit.results import Audit
from glider.testing.server import FakeServer

MODEL = ("--model", "openai/fake", "--criterion", "conciseness")


def lenient(request):
    """Scores by length, and of pairs takes the first: two biases an audit must find."""
    prompt = request["messages"][-1]["content"]
    found = re.findall(r"<output>\n(.*?)\n</output>", prompt, re.DOTALL)
    score = min(1 + len(found[0]) // 60, 5) if found else 0
    return json.dumps({"reasoning": "Fine.", "highlights": [], "score": score})


@pytest.fixture(scope="module")
def server():
    with FakeServer(answer=lenient) as running:
        yield running


@pytest.fixture
def audit(tmp_path, server):
    """Run `glider audit` in an empty folder; gives what it said."""

    def run(*words, code=0, **env):
        env = {"OPENAI_BASE_URL": server.url, "COLUMNS": "200"} | env
        finished = in_process.glider("audit", *words, cwd=tmp_path, env=env)
        assert finished.returncode == code, finished.stderr
        return finished

    return run


@pytest.fixture
def rows(tmp_path):
    path = tmp_path / "rows.jsonl"
    lines = [
        {
            "id": f"r{n}",
            "input": "Tell me.",
            "output": f"It is thing {n}. " + "So it is. " * (n % 9),
        }
        for n in range(24)
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def test_an_audit_writes_its_numbers_and_its_page_and_says_what_goes_too_far(audit, rows, tmp_path):
    done = audit(rows, *MODEL, "--run", "run", "--limit", 24, code=6)
    found = Audit.model_validate_json((tmp_path / "run/audit.json").read_text("utf-8"))
    assert (found.samples, found.subjects, found.unreadable) == (24, 24, 0)
    # It knows no other numbers than 1 to 5, and so fails on tens.
    assert found.failures == {"read/score_outside_rubric": 24}
    assert found.asked - found.judged == 24
    numbers = {f.key: f for probe in found.probes for f in probe.findings}
    assert numbers["position.flips"].value == 1.0
    assert numbers["length.padded"].value > 0.1
    assert {"position.flips", "position.first-slot"} <= {f.key for f in found.failed}
    assert numbers["retest.changed"].value == 0.0
    assert "none of it could be judged" in numbers["labels.tens"].undefined
    assert "beyond the bound: position.flips" in done.stderr
    assert "Winner changed with the order" in done.stdout
    assert str(tmp_path) not in (tmp_path / "run/audit.json").read_text("utf-8")
    assert str(tmp_path) not in (tmp_path / "run/audit.html").read_text("utf-8")
    report = in_process.glider("report", "run", cwd=tmp_path)
    assert report.returncode == 0, report.stderr


def test_bounds_decide_about_the_exit_code(audit, rows, tmp_path):
    words = [rows, *MODEL, "--probe", "position", "--json"]
    audit(*words, code=6)
    told = audit(*words, "--fail-above", "position=1", "--out", "here.html").stdout
    assert json.loads(told)["probes"][0]["findings"][0]["verdict"] == "pass"
    assert (tmp_path / "here.html").exists()


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ([], 2, "give a data file, or --demo"),
        (["rows.jsonl", "--demo"], 2, "give a data file, or --demo"),
        (["rows.jsonl"], 2, "no criterion given"),
        (["rows.jsonl", *MODEL, "--probe", "postion"], 2, "did you mean 'position'"),
        (["rows.jsonl", *MODEL, "--fail-above", "position"], 2, "takes PROBE=NUMBER"),
        (["rows.jsonl", *MODEL, "--fail-above", "format.bald=1", "--probe", "format"], 2, "bold"),
        (["rows.jsonl", *MODEL, "--resume"], 2, "--resume needs --run"),
        (["-", *MODEL], 2, "an audit reads a file"),
        (["none.jsonl", *MODEL], 3, "none.jsonl"),
    ],
)
def test_what_is_wrong_is_said(audit, rows, words, code, said):
    assert said in audit(*words, code=code).stderr


def test_the_list_of_probes(audit):
    told = audit("--list").stdout
    assert len(told.splitlines()) >= 13
    assert "injection" in told


def test_a_judge_that_cannot_be_reached_is_no_pass(audit, rows):
    done = audit(
        rows, *MODEL, "--probe", "format", "--limit", 2, "--max-retries", 0, code=4,
        OPENAI_BASE_URL="http://127.0.0.1:9/v1",
    )  # fmt: skip
    assert "nothing was judged" in done.stderr


def test_kill_it_and_go_on(rows, tmp_path):
    """SIGKILL at two moments, each followed by --resume: the numbers are those of one go."""

    def start(server, folder, *words):
        return subprocess.Popen(
            [sys.executable, "-m", "glider.cli.main", "audit", "rows.jsonl", *MODEL, "--run", folder,
             "--max-connections", "4", *words],
            cwd=tmp_path, env=os.environ | {"OPENAI_BASE_URL": server.url},
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    journal = tmp_path / "run/journal.jsonl"
    with FakeServer(answer=lenient, delay_s=0.01) as server:
        for kill in range(2):
            process = start(server, "run", *(["--resume"] if kill else []))
            deadline = time.monotonic() + 60
            while not journal.exists() or journal.read_bytes().count(b"\n") < 60 + 260 * kill:
                assert process.poll() is None, process.communicate()[1]
                assert time.monotonic() < deadline
                time.sleep(0.005)
            process.send_signal(signal.SIGKILL)
            process.communicate()
        process = start(server, "run", "--resume")
        _, told = process.communicate(timeout=120)
        assert process.returncode == 6, told
        process = start(server, "whole")
        _, told = process.communicate(timeout=120)
        assert process.returncode == 6, told
    counted = Counter(json.loads(line)["row"] for line in journal.read_bytes().splitlines())
    assert set(counted.values()) == {1}
    assert set(counted) == set(range(len(counted)))
    stopped, whole = (
        Audit.model_validate_json((tmp_path / folder / "audit.json").read_text("utf-8"))
        for folder in ("run", "whole")
    )
    assert stopped.probes == whole.probes


# The page ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def page_file(server, tmp_path_factory):
    folder = tmp_path_factory.mktemp("page")
    words = ("audit", "--demo", *MODEL, "--run", "run", "--limit", "12")
    in_process.glider(*words, cwd=folder, env={"OPENAI_BASE_URL": server.url})
    return folder / "run/audit.html"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [380, 768, 1280])
def test_the_page_in_a_browser(visit, page_file, width, scheme):
    page = visit(page_file, viewport={"width": width, "height": 900}, color_scheme=scheme)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.locator("tr.probe").count() == 13
    assert page.locator("nav.tally a").count() == 13
    page.locator("nav.tally a").first.click()
    assert page.evaluate("location.hash") == "#position"
    for lane in page.locator(".lane").all()[:6]:
        box, bar = lane.bounding_box(), lane.locator("svg .point").bounding_box()
        assert box["x"] - 6 <= bar["x"] <= box["x"] + box["width"] + 6


# The real model ---------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_embedded_model_on_two_demo_texts(tmp_path):
    words = ("--demo", "--limit", 2, "--probe", "position", "--probe", "rubric-order",
             "--probe", "retest", "--run", "run")  # fmt: skip
    done = in_process.glider("audit", *words, cwd=tmp_path)
    if "model" in done.stderr and "cannot fetch" in done.stderr:
        pytest.skip("the model cannot be had here")
    assert done.returncode in (0, 6), done.stderr
    found = Audit.model_validate_json((tmp_path / "run/audit.json").read_text("utf-8"))
    assert found.judged == found.asked
    assert found.samples == 2
    numbers = {f.key: f for probe in found.probes for f in probe.findings}
    assert numbers["retest.changed"].value == 0.0
    assert "bare" in found.judge
    ids = {json.loads(line)["id"] for line in
           (files("glider.demo") / "samples.jsonl").read_text("utf-8").splitlines()}  # fmt: skip
    lines = (tmp_path / "run/samples.jsonl").read_text("utf-8").splitlines()
    assert {json.loads(line)["id"] for line in lines} <= ids
