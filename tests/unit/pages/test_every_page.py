"""Every page: whole, silent, one script by its hash, and strangers' text stays text."""

import base64
import hashlib
import json
import re
import runpy
from html.parser import HTMLParser
from pathlib import Path

import pytest
from labelled_runs import graded_run

from glider.audit.page import page as audit_page
from glider.audit.results import Audit
from glider.bench.page import page as bench_page
from glider.bench.results import Results
from glider.calibration.labelled import LabelledRun
from glider.calibration.model import Calibration
from glider.calibration.page import page as calibration_page
from glider.report import build_report

REPO = Path(__file__).parents[3]
EXAMPLE_RUN = runpy.run_path(str(REPO / "tests/unit/report/example_run.py"))
EXAMPLE_BENCH = runpy.run_path(str(REPO / "tests/unit/bench/example_bench.py"))
ATTACK = "<img src=x onerror='window.pwned=1'></details></script><script>window.pwned=1</script>{{7*7}}\u2028"
FIXED = {
    # Words that a schema knows; any other is refused when the file is read.
    *("kind", "match", "stage", "role", "unit", "side", "verdict", "protocol", "by", "of"),
    *("method", "agree_on", "version", "made_at", "probe"),
}  # fmt: skip


def hostile(value, key="", kept=FIXED):
    """The same JSON with the attack in every string that a user can write, keys of mappings too."""
    if isinstance(value, str):
        return value if key in kept else ATTACK + value
    if isinstance(value, list):
        return [hostile(item, key, kept) for item in value]
    if isinstance(value, dict):
        rename = key in ("metadata", "settings", "versions", "failures", "examples")
        return {ATTACK + k if rename else k: hostile(v, k, kept) for k, v in value.items()}
    return value


def report(folder):
    EXAMPLE_RUN["write_run"](folder)
    for path in folder.glob("*.json*"):
        text = path.read_text("utf-8")
        parts = text.splitlines() if path.suffix == ".jsonl" else [text]
        # The name of a field can hold no markup: a sample with such a name is refused.
        kept = FIXED | {"name"} if path.name == "samples.jsonl" else FIXED
        bad = (json.dumps(hostile(json.loads(part), kept=kept)) for part in parts)
        path.write_text("\n".join(bad) + "\n", "utf-8")
    build_report(folder, folder / "report.html")
    return (folder / "report.html").read_text("utf-8")


def bench(folder):
    results, _ = EXAMPLE_BENCH["made"](("news", "duels"), n=60)
    data = results.model_dump(mode="json")
    # Systems and sets are found by their names: everything that names one is renamed alike.
    named = {
        key: {ATTACK + name: hostile(about, key) for name, about in data["settings"][key].items()}
        for key in ("systems", "benchmarks")
    }
    samples = {ATTACK + name: ids for name, ids in data["samples"].items()}
    found = {k: hostile(v, k) for k, v in data.items() if k not in ("settings", "samples")}
    return bench_page(
        Results.model_validate(found | {"samples": samples, "settings": data["settings"] | named})
    )


def audit(folder):
    data = json.loads((REPO / "benchmarks/results/audit.json").read_text("utf-8"))["audits"]["nano"]
    data = data.get("audit", data)
    return audit_page(Audit.model_validate(hostile(data)))


def calibration(folder):
    found = Calibration.of(LabelledRun.load(graded_run(folder, n=60)))
    data = json.loads(found.model_dump_json())
    settings = data.pop("settings")
    return calibration_page(Calibration.model_validate(hostile(data) | {"settings": settings}))


class Parts(HTMLParser):
    """The elements of a page, their attributes, and its text outside of scripts and styles."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.attributes, self.words, self._raw = [], [], [], False
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        self._raw = tag in ("script", "style")

    def handle_endtag(self, tag):
        self._raw = False

    def handle_data(self, data):
        if not self._raw:
            self.words.append(data)


@pytest.mark.parametrize("made", [report, bench, audit, calibration])
def test_strangers_text_stays_text_and_the_page_asks_for_nothing(made, tmp_path):
    page = made(tmp_path / "hostile")
    parts = Parts(page)
    assert "img" not in parts.tags
    data = parts.attributes.count(("type", "application/json"))
    assert parts.tags.count("script") - data == 1
    assert not [name for name, _ in parts.attributes if name.startswith("on")]
    assert [value for name, value in parts.attributes if name in ("src", "href")
            and not value.startswith(("#", "data:"))] == []  # fmt: skip
    assert "".join(parts.words).count("{{7*7}}") > 5
    (script,) = re.findall(r"<script>(.*?)</script>", page, re.S)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    (policy,) = (v for _, v in parts.attributes if v and v.startswith("default-src 'none'"))
    assert f"script-src 'sha256-{digest}';" in policy
