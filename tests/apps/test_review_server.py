"""The review's server over HTTP: what is shown when, what is kept, who may ask."""

import concurrent.futures
import json
import re
import signal
import sys
import time
import urllib.error
import urllib.request
import uuid
from pathlib import Path

import pytest
from in_process import glider
from review_runs import HOSTILE, answered, begun, graded_run, pair_run
from review_server import ask, blind, free_port, process, serving

from glider.review.answered import read_answered
from glider.review.answers import read_people
from glider.review.plan import load_plan
from glider.review.server import links as make_links


@pytest.fixture
def served(tmp_path):
    review = begun(graded_run(tmp_path / "run", 12), holdout="30%", repeat="20%")
    with serving(review) as links:
        yield review, links


def visits_of(link):
    return ask(link, "api/state")[1]["visits"]


def test_the_judgment_comes_after_the_own_answer_and_never_where_it_is_held_out(served):
    links = served[1]
    shown = hidden = 0
    for visit in visits_of(links["ana"]):
        before = ask(links["ana"], f"api/visit/{visit['id']}")[1]
        assert before["judgment"] is None and "It is a" not in json.dumps(before)
        status, said = blind(links["ana"], visit["id"])
        assert status == 200
        if said["judgment"] is None:
            hidden += 1
            assert said["state"] == "done"
        else:
            shown += 1
            assert said["state"] == "half" and said["judgment"]["reasoning"].startswith("It is a")
        # The other person still sees nothing of it.
        assert (
            ask(links["ben"], f"api/visit/{visit['id'].removesuffix('-2')}")[1]["judgment"] is None
        )
    assert shown > 3 and hidden > 3


def test_an_own_answer_after_the_reveal_is_history_and_does_not_count_as_blind(served):
    review, links = served
    visit = next(v["id"] for v in visits_of(links["ana"]) if not v["id"].endswith("-2")
                 and blind(links["ana"], v["id"], score=2)[1]["judgment"])  # fmt: skip
    assert blind(links["ana"], visit, score=5)[0] == 200
    ana = read_people(review.run)["ana"]
    assert ana.blind(visit).score == 2
    assert ana.current[visit, "after"].score == 5


def test_an_answer_that_is_sent_twice_is_kept_once(served):
    review, links = served
    visit = visits_of(links["ana"])[0]["id"]
    once, twice = (blind(links["ana"], visit, id="same") for _ in range(2))
    assert once == twice and once[1]["saved"] == "same"
    assert sum(read_people(review.run)["ana"].history.values()) == 1


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"score": 9}, 422),
        ({"score": None}, 422),
        ({"preferred": "output"}, 422),
        ({"reason_right": "yes"}, 422),
        ({"seconds": -1}, 422),
        ({"seconds": 1e300}, 422),
        ({"note": "x" * 5000}, 422),
        ({"note": "\ud800"}, 422),
        ({"spans": [{"field": "output", "start": 3, "end": 3}]}, 422),
        ({"spans": [{"field": "output", "start": 0, "end": 999}]}, 422),
        ({"spans": [{"field": "input", "start": 0, "end": 1}]}, 422),
        ({"questions": {"other": "yes"}}, 422),
        ({"stage": "reveal"}, 409),
        ({"stage": "after all"}, 422),
        ({"content": "other"}, 409),
        ({"visit": "../../etc/passwd"}, 404),
        ({"person": "ben"}, 200),  # who asks is who answers
        ({"unknown": 1}, 422),
    ],
)
def test_an_answer_that_cannot_be_one_is_refused_and_nothing_is_written(served, change, status):
    review, links = served
    visit = visits_of(links["ana"])[0]["id"]
    got, body = blind(links["ana"], visit, **change) if "visit" not in change else ask(
        links["ana"], "api/answer", {"id": "x", "stage": "blind", **change})  # fmt: skip
    assert got == status, body
    people = read_people(review.run)
    assert len(people["ana"].current) == (status == 200) and not people["ben"].current


def test_tokens(served):
    review, links = served
    stolen = links["ana"][:-4] + "AAAA"
    assert ask(stolen, "api/state")[0] == 401
    statuses = [ask(stolen, "api/state")[0] for _ in range(25)]
    assert statuses[-1] == 429
    assert ask(links["ana"], "api/state")[0] == 200  # a right link still opens
    assert (review.run / "review/links.json").stat().st_mode & 0o077 == 0
    assert "links.json" in (review.run / "review/.gitignore").read_text()


def test_new_links_make_the_old_ones_worthless(tmp_path):
    review = begun(graded_run(tmp_path / "run", 2), "ana")
    old = make_links(review.run, ["ana"])["ana"]
    assert make_links(review.run, ["ana"])["ana"] == old
    renewed = make_links(review.run, ["ana"], renew=True)["ana"]
    with serving(review) as links:
        address, _, token = links["ana"].partition("#")
        assert token == renewed and ask(links["ana"], "api/state")[0] == 200
        status, said = ask(f"{address}#{old}", "api/state")
        assert status == 401 and "ask for a new one" in said["error"]


def test_headers_and_what_is_not_served(served):
    _, links = served
    address = links["ana"].partition("#")[0]
    with urllib.request.urlopen(address, timeout=30) as page:
        policy = page.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy and "unsafe" not in policy
        assert page.headers["Cache-Control"] == "no-store"
        assert "//" not in re.sub(r"<!doctype.*?>", "", page.read().decode())
    for path in ("review/links.json", "..%2f..%2fetc/passwd", "api/visit/..%2f..%2flinks.json"):
        assert ask(links["ana"], path)[0] == 404
    assert ask(links["ana"], "api/state", headers={"Host": "evil.example"})[0] == 421


def test_texts_travel_as_they_are(tmp_path):
    texts = [text for name, text in HOSTILE.items()] + ["x" * 200_000 + "😀"]
    review = begun(graded_run(tmp_path / "run", texts=texts, per_prompt=1), "ana")
    with serving(review) as links:
        got = [
            next(
                f["text"]
                for f in ask(links["ana"], f"api/visit/{v['id']}")[1]["fields"]
                if f["judged"]
            )
            for v in visits_of(links["ana"])
        ]
    assert sorted(got) == sorted(texts)


def test_of_a_pair_each_person_sees_an_order_and_both_occur(tmp_path):
    review = begun(pair_run(tmp_path / "run", 12))
    with serving(review) as links:
        orders = {
            name: [
                tuple(f["name"] for f in ask(link, f"api/visit/{d.id}")[1]["fields"] if f["judged"])
                for d in review.plan.items
            ]
            for name, link in links.items()
        }
        assert all(len(set(seen)) == 2 for seen in orders.values())
        assert orders["ana"] != orders["ben"]
        assert (
            ask(links["ana"], f"api/visit/{review.plan.items[0].id}")[1]["question"]
            == "Is it good?"
        )
        status, said = blind(
            links["ana"], review.plan.items[0].id, score=None, preferred="output 2"
        )
        assert status == 200 and said["judgment"]["preferred"] == "output 1"


def test_made_data_is_shown_with_its_judgment_and_asked_nine_questions(tmp_path):
    review = begun(graded_run(tmp_path / "run", 2), "ana", mode="synth")
    with serving(review) as links:
        state = ask(links["ana"], "api/state")[1]
        visit = state["visits"][0]["id"]
        shown = ask(links["ana"], f"api/visit/{visit}")[1]
        assert len(shown["questions"]) == 9 and not state["asks_score"]
        assert shown["judgment"]
        said = {question["key"]: "yes" for question in shown["questions"]}
        assert blind(links["ana"], visit, score=None, questions=said)[1]["state"] == "done"


def test_an_adjudicator_sees_peoples_answers_where_they_differ_and_never_the_judges(tmp_path):
    review = begun(graded_run(tmp_path / "run", 6), adjudicators=("dora",))
    ids = [drawn.id for drawn in review.plan.items]
    with serving(review) as links:
        assert visits_of(links["dora"]) == []
        for n, id in enumerate(ids):
            blind(links["ana"], id, score=2, note="only so so")
            blind(links["ben"], id, score=2 + (n == 3))
        assert [v["id"] for v in visits_of(links["dora"])] == [ids[3]]
        seen = ask(links["dora"], f"api/visit/{ids[3]}")[1]
        assert sorted(said["score"] for said in seen["people"]) == [2, 3]
        told = json.dumps(seen)
        assert "ana" not in told and "only so so" in told and "It is a" not in told
        assert ask(links["ana"], f"api/visit/{ids[3]}")[1]["people"] == []
        body = {"id": "1", "visit": ids[3], "content": seen["content"], "score": 3}
        assert ask(links["dora"], "api/answer", {**body, "stage": "blind"})[0] == 422
        assert ask(links["ana"], "api/answer", {**body, "stage": "adjudicated"})[0] == 422
        status, said = ask(links["dora"], "api/answer", {**body, "stage": "adjudicated"})
        assert (status, said["state"], said["judgment"]) == (200, "done", None)
    assert read_people(review.run)["dora"].adjudicated(ids[3]).score == 3


def test_a_queue_gives_each_item_to_whoever_is_free_until_it_has_enough(tmp_path):
    review = begun(graded_run(tmp_path / "run", 6), mode="label", each=1, queue=True)
    with serving(review) as links:

        def waiting(name):
            return [v["id"] for v in visits_of(links[name]) if v["state"] == "open"]

        (of_ana,), (of_ben,) = waiting("ana"), waiting("ben")
        assert of_ana != of_ben and waiting("ana") == [of_ana]  # it stays theirs
        assert ask(links["ben"], f"api/visit/{of_ana}")[0] == 404
        for _ in range(4):
            assert blind(links["ana"], waiting("ana")[0])[0] == 200
        content = ask(links["ben"], f"api/visit/{of_ben}")[1]["content"]
        skipped = {"id": "s", "visit": of_ben, "stage": "skip", "content": content}
        assert ask(links["ben"], "api/answer", skipped)[0] == 200
        last = {*waiting("ben"), *waiting("ana")} - {of_ben}
        assert len(last) == 1
        blind(links["ana"], waiting("ana")[0])
        for name in ("ana", "ben", "ana"):
            for id in waiting(name):
                blind(links[name], id)
        assert waiting("ana") == waiting("ben") == []
    people = read_people(review.run)
    given = [visit for person in people.values() for visit in person.answered]
    assert sorted(given) == sorted(drawn.id for drawn in review.plan.items)


def test_a_killed_server_knows_whose_item_it_was(tmp_path):
    run, port = graded_run(tmp_path / "run", 6), free_port()
    flags = ("--annotators", "ana,ben", "--mode", "label", "--each", "1", "--queue")
    had = []
    for _ in range(2):
        with process(run, *flags, port=port):
            secrets = json.loads((run / "review/links.json").read_text())
            link = {name: f"http://127.0.0.1:{port}/#{token}" for name, token in secrets.items()}
            # The second time ben comes first, and is not given what ana has.
            had.append(
                {name: visits_of(link[name])[-1]["id"] for name in sorted(link, reverse=bool(had))}
            )
            if len(had) == 1:
                assert blind(link["ben"], had[0]["ben"])[0] == 200
    assert had[1]["ana"] == had[0]["ana"]
    assert len({had[0]["ana"], had[0]["ben"], had[1]["ben"]}) == 3
    leases = run / "review/leases.jsonl"
    with leases.open("a") as file:
        file.write('{"person": "ana", "it')  # cut by a kill
    review = begun(run)
    with serving(review) as links:
        assert visits_of(links["ana"])[-1]["id"] == had[0]["ana"]
    leases.write_text("[]\n")
    ended = glider("review", run, "--port", 0, cwd=tmp_path)
    assert ended.returncode == 3 and "leases.jsonl:1: damaged line" in ended.stderr


# The command ------------------------------------------------------------------------------------


def test_the_command_says_what_is_wrong_in_one_message(tmp_path):
    run = graded_run(tmp_path / "run", 3)
    for words, code, said in (
        ([run], 2, "nobody is named"),
        ([tmp_path, "--annotators", "a"], 3, "no run"),
        ([run, "--annotators", "a", "--host", "0.0.0.0"], 2, "other machines"),
    ):
        ended = glider("review", *words, cwd=tmp_path)
        assert (ended.returncode, ended.stdout) == (code, "")
        assert said in ended.stderr and "Traceback" not in ended.stderr
    answers = run / "review/answers/a.jsonl"
    begun(run, "a")
    answers.parent.mkdir()
    answers.write_text("{}\n")
    ended = glider("review", run, cwd=tmp_path)
    assert ended.returncode == 3 and "a.jsonl:1: damaged answer" in ended.stderr


def test_a_port_in_use_and_a_clean_end(tmp_path):
    run, port = graded_run(tmp_path / "run", 3), free_port()
    given = tmp_path / "labels.csv"
    given.write_text("sample_id,person,score\ns1,ana,2\ns2,cem,4\n")
    with process(run, "--annotators", "ana,ben", "--from", given, port=port) as (started, first):
        assert first.startswith(f"ana\thttp://127.0.0.1:{port}/#")
        other = graded_run(tmp_path / "other", 3)
        ended = glider("review", other, "--annotators", "a", "--port", port, cwd=tmp_path)
        assert ended.returncode == 2 and "--port" in ended.stderr and not ended.stdout
        ended = glider("review", run, "--port", 0, cwd=tmp_path)
        assert ended.returncode == 3 and "in use by another process" in ended.stderr
        started.send_signal(signal.SIGINT)
        assert started.wait(20) == 0
        told = started.stderr.read()
        assert "Traceback" not in told and "answers are in" in told
        assert "2 answers taken" in told
    answers = run / "review/answers"
    assert '"score":2' in (answers / "ana.jsonl").read_text()
    assert '"score":4' in (answers / "cem.jsonl").read_text()


def _until_kept(link, visit, content, id):
    """As the page does: send until the server says that it is kept."""
    body = {"id": id, "visit": visit, "content": content, "stage": "blind", "score": 3}
    end = time.monotonic() + 200
    while time.monotonic() < end:
        try:
            status, said = ask(link, "api/answer", body)
            assert status == 200, said
            return said["saved"]
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            time.sleep(0.05)
    raise AssertionError("the server did not come back")


def _under_kills(tmp_path, *, n_items, names, kills):
    """People post all their answers; the server is killed each time a share of them is kept."""
    run, port = graded_run(tmp_path / "run", n_items), free_port()
    flags = ("--annotators", ",".join(names), "--mode", "label")
    kept = {name: [] for name in names}
    working = []

    def work(name, link, contents):
        for visit in visits_of(link):
            id = uuid.uuid4().hex
            kept[name].append(_until_kept(link, visit["id"], contents[visit["id"]], id))

    with concurrent.futures.ThreadPoolExecutor(len(names)) as pool:
        for kill in range(1, kills + 2):  # the block's end kills it
            with process(run, *flags, port=port):
                if not working:
                    tokens = json.loads((run / "review/links.json").read_text())
                    contents = {drawn.id: drawn.content for drawn in load_plan(run).items}
                    working = [
                        pool.submit(work, name, f"http://127.0.0.1:{port}/#{token}", contents)
                        for name, token in tokens.items()
                    ]
                wanted = len(names) * n_items * kill / (kills + 1)
                end = time.monotonic() + 280
                while sum(map(len, kept.values())) < wanted:
                    assert time.monotonic() < end
                    time.sleep(0.005)
        for done in working:
            done.result(30)
    people = read_people(run)
    for name, ids in kept.items():
        assert people[name].ids == set(ids)
        assert set(people[name].history.values()) == {1}
        lines = (run / f"review/answers/{name}.jsonl").read_text().splitlines()
        assert len(lines) == len(set(ids)) == n_items


def test_a_killed_server_loses_nothing_and_doubles_nothing(tmp_path):
    _under_kills(tmp_path, n_items=40, names=["ana", "ben", "cem", "dora"], kills=2)


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_twenty_people_on_a_thousand_items_and_twenty_kills(tmp_path):
    names = [f"person-{n}" for n in range(20)]
    _under_kills(tmp_path, n_items=1000, names=names, kills=20)


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_memory_hardly_grows_with_answers(tmp_path):
    run, port = graded_run(tmp_path / "run", 50), free_port()
    with process(run, "--annotators", "ana", "--mode", "label", port=port) as (started, first):
        link = first.split("\t")[1].strip()
        plan = load_plan(run)

        def held_after(n):
            for k in range(n):
                drawn = plan.items[k % len(plan.items)]
                _until_kept(link, drawn.id, drawn.content, uuid.uuid4().hex)
                if k % 20 == 0:
                    visits_of(link)
            status = Path(f"/proc/{started.pid}/status").read_text()
            return int(re.search(r"VmRSS:\s+(\d+)", status)[1]) / 1024

        before, after = held_after(2_000), held_after(10_000)
    assert after - before < 8  # MB: what is kept of an answer that was changed is its id


def test_a_full_disk_keeps_nothing_and_what_is_sent_again_is_kept(tmp_path):
    resource = pytest.importorskip("resource")
    if not hasattr(resource, "prlimit"):
        pytest.skip("no limits of other processes here")
    run, port = graded_run(tmp_path / "run", 3), free_port()
    with process(run, "--annotators", "ana", "--mode", "label", port=port) as (started, first):
        link = first.split("\t")[1].strip()
        one, two = (visit["id"] for visit in visits_of(link)[:2])
        assert blind(link, one)[0] == 200
        file = run / "review/answers/ana.jsonl"
        before = file.read_bytes()
        # No file of that process may grow beyond this: half a line fits.
        most = resource.prlimit(started.pid, resource.RLIMIT_FSIZE, (len(before) + 60, -1))
        for _ in range(2):
            status, said = blind(link, two, id="sent twice")
            assert status == 507 and "cannot write" in said["error"]
            assert file.read_bytes() == before
        assert blind(link, one, id="same")[0] == 507
        resource.prlimit(started.pid, resource.RLIMIT_FSIZE, most)
        assert blind(link, two, id="sent twice")[0] == 200
    assert len(read_people(run)["ana"].current) == 2


@pytest.mark.parametrize("mode", ["all", "queue"])
def test_a_text_or_rubric_that_changed_is_asked_again(tmp_path, mode):
    run = graded_run(tmp_path / "run", 4, per_prompt=1)
    options = {"mode": "label"} | ({"each": 1, "queue": True} if mode == "queue" else {})
    review = begun(run, "ana", **options)
    for drawn in review.plan.items:
        answered(run, "ana", drawn, score=2)
    for file, old, new, stays in (
        ("samples.jsonl", "text number 2", "another text 2", 3),
        ("criteria.json", "level 5", "a new level 5", 0),
    ):
        (run / file).write_text((run / file).read_text().replace(old, new))
        changed = begun(run, "ana")
        assert len(changed.changed) == 4 - stays
        with serving(changed) as links:
            states = [visit["state"] for visit in visits_of(links["ana"])]
            assert states.count("done") == stays and "open" in states
            open_ = next(v["id"] for v in visits_of(links["ana"]) if v["state"] == "open")
            seen = ask(links["ana"], f"api/visit/{open_}")[1]
            assert seen["changed"] and seen["answers"]["blind"]["score"] == 2
            old = next(d.content for d in review.plan.items if d.id == open_)
            assert blind(links["ana"], open_, content=old)[0] == 409  # a page that is still open
    with serving(begun(run, "ana")) as links:
        assert blind(links["ana"], open_, score=4)[1]["state"] == "done"
    answered_now = read_answered(run)
    assert answered_now.outdated == 3 and len([i for i in answered_now.items if i.blind]) == 1


@pytest.mark.slow
def test_ten_thousand_items_are_listed_within_a_second(tmp_path):
    review = begun(graded_run(tmp_path / "run", 10_000), "ana")
    with serving(review) as links:
        ask(links["ana"], "api/state")
        start = time.perf_counter()
        assert len(visits_of(links["ana"])) == 10_000
        assert time.perf_counter() - start < 1
