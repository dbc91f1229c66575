"""`glider synth` from a plan to files that other commands take."""

import gzip
import json
import os
import re
import signal
import subprocess
import sys
import time
import zlib
from collections import Counter

import pytest
from in_process import glider
from review_server import ask, serving
from synth_teacher import answer

from glider.review.begin import load_review
from glider.store.journal import read_journal
from glider.synth.records import CallRecord, SynthRecord
from glider.testing.server import FakeServer

PLAN = "words: [40, 60]\ncode: 0\nkinds: {single: 4, pair: 2, minimal: 1}\n"


@pytest.fixture
def server():
    with FakeServer(answer=answer) as running:
        yield running


@pytest.fixture
def made(tmp_path, server):
    """A synthesis of forty records."""
    (tmp_path / "plan.yaml").write_text(PLAN)
    done = run(tmp_path, server, "--size", 40, "--run", "run", "--licence", "Apache-2.0", "--json")
    assert done.returncode == 0, done.stderr
    return tmp_path, done


def run(folder, server, *words):
    return glider(
        "synth", "plan.yaml", "--teacher", "openai/t", "--base-url", server.url, *words,
        cwd=folder, env={"OPENAI_API_KEY": "k"},
    )  # fmt: skip


def lines(path):
    opened = gzip.open if path.suffix == ".gz" else open
    with opened(path, "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def test_from_a_plan_to_a_run_with_its_funnel_and_page(made):
    folder, done = made
    funnel = json.loads(done.stdout)
    assert funnel["kept"]["records"] > 25
    assert funnel == json.loads((folder / "run/funnel.json").read_text())
    assert "agrees" in done.stderr
    assert "tokens" in done.stderr
    page = (folder / "run/funnel.html").read_text()
    assert "<mark" in page
    again = glider("synth", "report", "run", "--json", cwd=folder)
    assert json.loads(again.stdout) == funnel


def test_what_was_kept_is_taken_by_data_bench_and_preferences(made, server):
    folder, _ = made
    done = glider("synth", "export", "run", "--out", "out", "--people", 5, "--json", cwd=folder)
    assert done.returncode == 0, done.stderr
    kept = [r for r in read_journal(folder / "run/records.jsonl", SynthRecord) if r.kept]
    labelled = lines(folder / "out/labelled.jsonl.gz")
    assert {r["kind"] for r in labelled} == {"pointwise"}
    for record in labelled:
        for span in record["meta"]["spans"]:
            assert record["output"][span["start"] : span["end"]].strip()
        assert record["licence"] == "Apache-2.0"
    two = lines(folder / "out/labelled-pairs.jsonl.gz")
    assert {r["kind"] for r in two} == {"pairwise"}
    assert len(labelled) + len(two) == sum(len(r.texts) for r in kept)
    pairs = lines(folder / "out/preferences.jsonl.gz")
    lost = json.loads(done.stdout)["unpaired"]
    assert len(pairs) + sum(lost.values()) == len(labelled) + len(two)
    assert len(pairs) > len(kept) / 2
    assert all(p["chosen"] != p["rejected"] and p["prompt"][-1]["role"] == "user" for p in pairs)
    assert all(p["chosen"][0]["content"].startswith("Score: ") for p in pairs)
    words = ("--people", 5, "--no-highlights", "--json")
    plain = glider("synth", "export", "run", "--out", "plain", *words, cwd=folder)
    assert plain.returncode == 0, plain.stderr
    without = lines(folder / "plain/preferences.jsonl.gz")
    assert [p["prompt"] for p in without] == [p["prompt"] for p in pairs]
    for one, full in zip(without, pairs, strict=True):
        for side in ("chosen", "rejected"):
            bare, quoting = (each[side][0]["content"] for each in (one, full))
            assert "\n- " in quoting
            assert bare == re.sub(r"Quotes:\n(- .*\n)+", "Quotes: none\n", quoting)
    assert "without quotes" in (folder / "plain/card.md").read_text()
    people = lines(folder / "out/check.jsonl")
    assert len(people) == 5
    assert set(people[0]["verdicts"].values()) == {None}
    card = (folder / "out/card.md").read_text()
    for told in ("openai/t", "Apache-2.0", "Label noise", "seed: 0"):
        assert told in card
    for name, records in (("labelled", labelled), ("labelled-pairs", two)):
        taken = glider(
            "data", "--set", f"out/{name}.jsonl.gz", "--out", f"data-{name}", "--json", cwd=folder
        )
        assert taken.returncode == 0, taken.stderr
        card = (folder / f"data-{name}/card.md").read_text()
        assert json.loads(taken.stdout)["train"]["examples"] > len(records) / 2, card
    taken = glider(
        "data", "--preferences", "out/preferences.jsonl.gz", "--format", "nano", "--out", "p", "--json",
        cwd=folder,
    )  # fmt: skip
    assert taken.returncode == 0, taken.stderr
    counts = json.loads(taken.stdout)
    assert counts["train"]["pairs"] + counts["dev"]["pairs"] == len(pairs)
    assert counts["left_out"] == {}
    benched = glider(
        "bench", "out/labelled.jsonl.gz", "out/labelled-pairs.jsonl.gz", "--model", "openai/t", "--base-url", server.url,
        "--limit", 4, "--out", "bench", cwd=folder, env={"OPENAI_API_KEY": "k"},
    )  # fmt: skip
    assert benched.returncode == 0, benched.stderr
    assert {p.name for p in (folder / "bench").iterdir()} >= {"results.json"}


def test_a_text_of_a_benchmark_is_left_out_and_so_is_too_much_of_one_kind(made):
    folder, _ = made
    kept = [r for r in read_journal(folder / "run/records.jsonl", SynthRecord) if r.kept]
    single = next(r for r in kept if r.draw.kind == "single")
    leaked = single.texts[0].material[single.draw.judged_names[0]]
    data = folder / "sets"
    data.mkdir()
    record = {
        "id": "1", "input": "Sum up.", "context": "a text", "output": leaked, "label": 3,
        "scale": [1, 5], "criterion": {"name": "coherence", "description": "Is it coherent?"},
        "lang": "en",
    }  # fmt: skip
    with gzip.open(data / "summeval.jsonl.gz", "wt") as file:
        file.write(json.dumps(record))
    done = glider(
        "synth", "export", "run", "--out", "out", "--data", "sets", "--balance", "score",
        "--most", "1", "--json", cwd=folder,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    left = told["left_out"]
    assert left["in the benchmark summeval"] == 1
    texts = [r.get("output") for r in lines(folder / "out/labelled.jsonl.gz")]
    assert leaked not in texts
    assert left["too many of one score"] > 0
    # Both are stages of the funnel: in JSON, on the page, in the card and in the terminal.
    stages = {stage["stage"]: stage["records"] for stage in told["funnel"]["stages"]}
    assert list(stages)[-2:] == ["decontaminated", "balanced"]
    assert stages["verbatim"] == len(kept) == stages["decontaminated"] + 1
    assert stages["balanced"] == told["funnel"]["kept"]["records"] == len(kept) - sum(left.values())
    assert told["funnel"] == json.loads((folder / "out/funnel.json").read_text())
    seen = {loss["reason"]: loss["seen"] for loss in told["funnel"]["lost"]}
    assert leaked[:50] in seen["in the benchmark summeval"]
    assert "at most" in seen["too many of one score"]
    for shown in (
        (folder / "out/funnel.html").read_text(),
        (folder / "out/card.md").read_text(),
        done.stderr,
    ):
        assert "in the benchmark summeval" in shown
        assert "too many of one score" in shown
    words = ("--data", "sets", "--balance", "score", "--most", "1", "--json")
    again = glider("synth", "report", "run", *words, cwd=folder)
    assert json.loads(again.stdout) == told["funnel"]
    # The run itself loses nothing: without these flags its funnel is as it was made.
    before = glider("synth", "report", "run", "--json", cwd=folder)
    assert json.loads(before.stdout)["kept"]["records"] == len(kept)


def test_a_synthesis_with_balance_says_what_it_left_out(tmp_path, server):
    (tmp_path / "plan.yaml").write_text(PLAN)
    done = run(tmp_path, server, "--size", 30, "--run", "run", "--balance", "domain", "--most", 1,
               "--json")  # fmt: skip
    assert done.returncode == 0, done.stderr
    funnel = json.loads(done.stdout)
    assert funnel["stages"][-1]["stage"] == "balanced"
    assert funnel == json.loads((tmp_path / "run/funnel.json").read_text())
    assert max(funnel["kept"]["domain group"].values()) <= 2


def test_what_people_say_of_the_texts_is_in_the_card_on_the_page_and_in_the_terminal(made):
    folder, _ = made
    done = glider("synth", "export", "run", "--out", "out", "--people", 6, cwd=folder)
    assert "nobody has looked" in done.stderr
    assert "Verdicts of people: none yet" in (folder / "out/card.md").read_text()
    rows = lines(folder / "out/check.jsonl")
    assert {row["questions"].keys() == row["verdicts"].keys() for row in rows} == {True}
    # Of a pair nobody is asked about levels, and of its score which of the two is better.
    assert {(len(row["judged"]), len(row["questions"])) for row in rows} == {(1, 12), (2, 10)}
    pairs = [row for row in rows if len(row["judged"]) == 2]
    assert {row["right"]["better"] for row in pairs} <= {"output 1", "output 2"}
    assert all(row["right"]["better"] != row["wrong"]["better"] for row in pairs)

    def verdict_on(row):
        return "score_right" if len(row["judged"]) == 1 else "better_right"

    for person, wrong in (("ana", 2), ("ben", 1)):
        filled = [
            {
                **row,
                "person": person,
                "verdicts": dict.fromkeys(row["verdicts"], "yes")
                | {verdict_on(row): "no" if n < wrong else "Yes", "text_real": None}
                | {"rejected_reason_wrong": "partly"},
            }
            for n, row in enumerate(rows)
        ]
        filled[-1] = rows[-1]  # a line that was left blank
        (folder / f"{person}.jsonl").write_text("\n".join(map(json.dumps, filled)))
        taken = glider("review", "import", "run", f"{person}.jsonl", cwd=folder)
        assert taken.returncode == 0, taken.stderr
        assert "5 answers taken" in taken.stderr
    again = glider("review", "import", "run", "ana.jsonl", cwd=folder)
    assert "0 answers taken, 5 were there already" in again.stderr
    done = glider("synth", "export", "run", "--out", "later", "--json", cwd=folder)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)["people"]
    verdicts = {one["about"]: one for one in said["verdicts"]}
    assert "Does the text read like a real one of its kind?" not in verdicts
    score, better = (
        verdicts[about]
        for about in ("Is the score right?", "Is the better output the one that is named?")
    )
    assert Counter(score["counts"]) + Counter(better["counts"]) == {"yes": 7, "no": 3}
    of_one = sum(verdict_on(row) == "score_right" for row in rows[:-1])
    assert sum(score["counts"].values()) == 2 * of_one
    yes = score["counts"]["yes"] / (2 * of_one)
    assert score["yes"]["low"] < score["yes"]["value"] == pytest.approx(yes)
    assert verdicts["Is its reason wrong?"]["counts"] == {"partly": 10}
    who = "2 people (ana, ben) gave 10 answers on 5 of"
    glider("synth", "report", "run", cwd=folder)
    card = (folder / "later/card.md").read_text()
    for shown in (card, done.stderr, (folder / "run/funnel.html").read_text()):
        assert who in shown
        assert "Is the score right?" in shown
    assert f"| Is the score right? | {100 * yes:.0f} % [" in card
    assert "| Is the better output the one that is named? | " in card
    report = glider("review", "report", "run", cwd=folder)
    assert "What people say of the data" in report.stdout
    with serving(load_review(folder / "run/people")) as links:
        for row in (pairs[0], next(row for row in rows if row not in pairs)):
            visit = ask(links["ana"], f"api/visit/{row['item']}")[1]
            assert visit["judgment"]["reasoning"] == row["right"]["reason"]
            assert row["wrong"]["reason"] in visit["judgment"]["rejected"]
            assert {q["key"] for q in visit["questions"]} == row["questions"].keys()
            assert visit["judgment"]["preferred"] == row["right"].get("better")


def test_a_further_model_reads_what_was_kept_and_the_teacher_is_not_asked(made):
    folder, _ = made
    records = {r.number: r for r in read_journal(folder / "run/records.jsonl", SynthRecord)}
    before = (folder / "run/calls.jsonl").read_bytes(), (folder / "run/records.jsonl").read_bytes()
    asked = Counter()

    def other(body):
        said = json.loads(answer(body))
        asked[json.dumps(body["messages"])] += 1
        if zlib.crc32(json.dumps(body["messages"]).encode()) % 2:
            said["score"] = 1 - said["score"]  # the other one, or on no scale of more levels
        return json.dumps(said)

    def verify(*words):
        return glider(
            "synth", "verify", "run", "--verifier", "openai/other", "--base-url", reader.url, *words,
            cwd=folder, env={"OPENAI_API_KEY": "k"},
        )  # fmt: skip

    with FakeServer(answer=other) as reader:
        few = verify("--sample", 5)
        assert few.returncode == 0, few.stderr
        first = lines(folder / "run/readings.jsonl")
        assert len({reading["number"] for reading in first}) == 5
        done = verify("--json")
        assert done.returncode == 0, done.stderr
        assert f"{len(first)} were read already" in done.stderr
        again = verify()
        assert "0 texts" in again.stderr
    assert set(asked.values()) == {1}
    assert before == (
        (folder / "run/calls.jsonl").read_bytes(), (folder / "run/records.jsonl").read_bytes()
    )  # fmt: skip
    readings = {(r["number"], r.get("place")): r for r in lines(folder / "run/readings.jsonl")}
    kept = {(r.number, k) for r in records.values() if r.kept for k in range(len(r.texts))}
    assert {(number, place) for number, place in readings} == kept
    for (number, place), reading in readings.items():
        assert reading["target"] == records[number].texts[place].right.score
    (by,) = {reading["check"]["by"] for reading in readings.values()}
    noise = json.loads(done.stdout)["noise"][f"{by}, kept texts, afterwards"]
    verdicts = Counter(reading["check"]["verdict"] for reading in readings.values())
    assert len(verdicts) > 1 and noise["verdicts"]["agrees"]["n"] == len(kept)
    for verdict, n in verdicts.items():
        share = noise["verdicts"][verdict]
        assert share["share"] == pytest.approx(n / len(kept))
        assert share["low"] < share["share"] < share["high"]
    assert sum(cell["texts"] for cell in noise["confusion"]) == len(kept) - verdicts["cannot tell"]
    glider("synth", "export", "run", "--out", "out", cwd=folder)
    for shown in (folder / "out/card.md", folder / "run/funnel.html", folder / "out/funnel.html"):
        assert "kept texts, afterwards" in shown.read_text()
    rows = [
        *lines(folder / "out/labelled.jsonl.gz"),
        *lines(folder / "out/labelled-pairs.jsonl.gz"),
    ]
    assert all([check["by"] for check in row["meta"]["blind"]][-1] == by for row in rows)


@pytest.fixture(scope="module")
def score_only(tmp_path_factory):
    """A random model in the engine that only reads scores."""
    torch = pytest.importorskip("torch", reason="the fast backend needs torch")
    pytest.importorskip("transformers", reason="the fast backend needs transformers")
    from tiny_models import build

    before = torch.get_num_threads()
    torch.set_num_threads(1)  # several threads wait by spinning: slow beside other jobs
    yield f"fast/{build(tmp_path_factory.mktemp('tiny') / 'tiny-llama')}"
    torch.set_num_threads(before)


def test_a_model_that_only_reads_scores_can_read_blind(made, score_only):
    folder, _ = made
    done = glider("synth", "verify", "run", "--verifier", score_only, cwd=folder)
    assert done.returncode == 0, done.stderr
    readings = lines(folder / "run/readings.jsonl")
    kept = [r for r in read_journal(folder / "run/records.jsonl", SynthRecord) if r.kept]
    assert len(readings) == sum(len(r.texts) for r in kept)
    of_one = {r.number for r in kept if r.draw.kind != "pair"}
    scores = {r["check"]["score"] for r in readings if r["number"] in of_one}
    assert None not in scores and len(scores) > 1


@pytest.mark.parametrize("role", ["--teacher", "--writer"])
def test_a_model_that_only_reads_scores_is_refused_as_a_writer(tmp_path, server, score_only, role):
    (tmp_path / "plan.yaml").write_text(PLAN)
    done = glider(
        "synth", "plan.yaml", "--run", "run", "--base-url", server.url, role, score_only,
        *(() if role == "--teacher" else ("--teacher", "openai/t")),
        *(() if role == "--writer" else ("--verifier", "openai/t")),
        cwd=tmp_path, env={"OPENAI_API_KEY": "k"},
    )  # fmt: skip
    assert done.returncode == 2, done.stderr
    assert "cannot write texts" in done.stderr and "--verifier" in done.stderr


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ({"verdicts": {"score_right": "yes"}}, "2: no line of a checklist"),
        ({"item": "x", "verdicts": {"score_right": "yes"}}, "2: verdicts, and no `person`"),
        ({"item": "x", "person": "a", "verdicts": {"score_right": "yes"}}, "no such item"),
        ({"item": 0, "person": "a", "verdicts": {"colour": "yes"}}, "does not ask: colour"),
        ({"item": 0, "person": "a", "verdicts": {"score_right": "perhaps"}}, "none of yes, partly"),
    ],
)
def test_a_checklist_that_does_not_fit_is_named(made, line, said):
    folder, _ = made
    glider("synth", "export", "run", "--out", "out", cwd=folder)
    blank = lines(folder / "out/check.jsonl")[0]
    if line.get("item") == 0:
        line = {**line, "item": blank["item"]}
    (folder / "check.jsonl").write_text(json.dumps(blank) + "\n" + json.dumps(line))
    done = glider("review", "import", "run", "check.jsonl", cwd=folder)
    assert done.returncode != 0
    assert said in " ".join(done.stderr.split())


def test_a_preview_is_printed_with_marks_and_leaves_no_folder(tmp_path, server):
    (tmp_path / "plan.yaml").write_text(PLAN)
    done = glider(
        "synth", "preview", "plan.yaml", "--teacher", "openai/t", "--base-url", server.url,
        cwd=tmp_path, env={"OPENAI_API_KEY": "k"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert [done.stdout.count(f"record {n} ") for n in range(4)] == [1, 1, 1, 0]
    assert "«Here people found level" in done.stdout
    assert "right: " in done.stdout
    assert "wrong (" in done.stdout
    assert [p.name for p in tmp_path.iterdir()] == ["plan.yaml"]


def test_the_plan_and_the_taxonomy_are_printed(tmp_path):
    plan = glider("synth", "--init", cwd=tmp_path)
    assert plan.returncode == 0
    (tmp_path / "plan.yaml").write_text(plan.stdout)
    assert "kinds:" in plan.stdout
    told = json.loads(glider("synth", "taxonomy", "--json", cwd=tmp_path).stdout)
    assert sum(len(g["domains"]) for g in told["domains"].values()) >= 685
    shown = glider("synth", "taxonomy", cwd=tmp_path).stdout
    assert "criteria in" in shown
    assert "profiles of scores: cefr-b2-speaking" in shown
    assert set(told["families"]) >= {"toxicity", "injection"}
    help = glider("synth", "--help", cwd=tmp_path).stdout
    assert "--teacher" in help
    assert "preview" in help


@pytest.mark.parametrize(
    ("plan", "words", "code", "said"),
    [
        ("sede: 1\n", (), 2, "did you mean 'seed'"),
        (
            "seed: 1\ndomains:\n- auditng\n",
            (),
            2,
            "plan.yaml:3: no domain called 'auditng'; did you mean auditing",
        ),
        ("criterion_groups: [cod]\n", (), 2, "plan.yaml:1: no criterion group called 'cod'"),
        ("domains: [auditing]\ncode: 1\n", (), 2, "no domain about code is left"),
        ("scales: {0-1: 1}\ntargets: {middle: 1}\n", (), 2, "plan.yaml:2: targets: no scale"),
        (PLAN + "passages: p.jsonl\n", (), 3, "p.jsonl"),
        (None, (), 2, "cannot be read"),
        (PLAN, ("--verifier", "none", "--verifier", "openai/t"), 2, "does not go with"),
        (PLAN, ("--writer", "openai/t"), 2, "each --writer is another model"),
        (PLAN, ("--max-cost", "1"), 2, "needs prices"),
        (PLAN, ("--resume",), 2, "--resume needs --run"),
        (PLAN, ("--balance", "colour"), 2, "score, domain, criterion, length"),
        (PLAN, ("--people", "3"), 2, "No such option"),
    ],
)
def test_what_is_wrong_is_named_and_nothing_is_written(tmp_path, server, plan, words, code, said):
    (tmp_path / "p.jsonl").write_bytes('{"text": "K\xe4se"}\n'.encode("latin-1"))
    if plan is not None:
        (tmp_path / "plan.yaml").write_text(plan)
    done = run(tmp_path, server, *words)
    assert done.returncode == code, done.stderr
    assert said in " ".join(done.stderr.split())
    assert server.stats()["requests"] == 0
    assert {path.name for path in tmp_path.rglob("*") if path.is_file()} <= {"plan.yaml", "p.jsonl"}


def test_a_teacher_that_never_follows_keeps_nothing_and_the_exit_says_so(tmp_path):
    (tmp_path / "plan.yaml").write_text(PLAN)
    with FakeServer(answer="I <b>like</b> turtles.") as server:
        done = run(tmp_path, server, "--size", 10, "--run", "run")
    assert done.returncode == 4
    assert "no record was kept" in done.stderr
    funnel = json.loads((tmp_path / "run/funnel.json").read_text())
    assert funnel["lost"][0]["records"] == 10
    page = (tmp_path / "run/funnel.html").read_text()
    assert "I &lt;b&gt;like" in page
    assert "<b>like" not in page


def test_a_budget_ends_the_asking_and_more_of_it_goes_on(tmp_path, server):
    (tmp_path / "plan.yaml").write_text(PLAN)
    prices = ("--price-in", 1, "--price-out", 1, "--run", "run", "--size", 30)
    first = run(tmp_path, server, *prices, "--max-cost", 0.02)
    assert "budget_spent" in first.stderr
    spent = sum(call.usage.cost for call in read_journal(tmp_path / "run/calls.jsonl", CallRecord))
    assert 0 < spent <= 0.02
    asked = server.stats()["requests"]
    same = run(tmp_path, server, *prices, "--max-cost", 0.02, "--resume")
    assert "budget_spent" in same.stderr  # what was paid before counts
    assert server.stats()["requests"] <= asked + 2
    second = run(tmp_path, server, *prices, "--resume")
    assert second.returncode == 0, second.stderr
    assert "not ended" not in second.stderr


@pytest.mark.slow
def test_killed_at_random_moments_it_loses_nothing_and_pays_again_only_what_was_under_way(tmp_path):
    (tmp_path / "plan.yaml").write_text(PLAN)
    asked = Counter()

    def counting(body):
        asked[json.dumps([body["messages"], body.get("seed")])] += 1
        return answer(body)

    at_once, size, kills = 4, 60, 0
    with FakeServer(answer=counting, delay_s=0.02) as server:
        command = [
            sys.executable, "-m", "glider.cli.main", "synth", "plan.yaml", "--teacher", "openai/t",
            "--base-url", server.url, "--run", "run", "--size", str(size),
            "--max-connections", str(at_once),
        ]  # fmt: skip
        for attempt in range(40):
            begun = (tmp_path / "run/manifest.json").exists()
            process = subprocess.Popen(
                [*command, *(["--resume"] if begun else [])], cwd=tmp_path,
                env={**os.environ, "OPENAI_API_KEY": "k"},
                stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
            )  # fmt: skip
            calls = tmp_path / "run/calls.jsonl"
            before = calls.stat().st_size if calls.exists() else 0
            # Let it get some answers, then a little more, so that the kill falls anywhere.
            until = time.monotonic() + 60
            while process.poll() is None and time.monotonic() < until:
                if (
                    attempt < 8
                    and calls.exists()
                    and calls.stat().st_size > before + 3000 * attempt
                ):
                    time.sleep(0.013 * attempt)
                    process.send_signal(signal.SIGKILL)
                    kills += 1
                    break
                time.sleep(0.005)
            process.communicate(timeout=120)
            if process.returncode == 0:
                break
    assert process.returncode == 0
    assert kills >= 4
    journal = list(read_journal(tmp_path / "run/calls.jsonl", CallRecord))
    assert len({(c.number, c.step) for c in journal}) == len(journal)
    records = list(read_journal(tmp_path / "run/records.jsonl", SynthRecord))
    assert sorted(r.number for r in records) == list(range(size))
    # Two orders of a pair, twins and blind readings differ in their text, so every call is one key.
    paid_twice = sum(asked.values()) - len(journal)
    assert 0 <= paid_twice <= kills * at_once
    assert re.search(rb"kept", (tmp_path / "run/funnel.json").read_bytes())
