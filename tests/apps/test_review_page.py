"""The review page in a real browser: by mouse, by keyboard, offline for a while, in two tabs."""

import random

import pytest
from in_process import glider
from review_runs import HOSTILE, answered, begun, graded_run, pair_run
from review_server import free_port, serving
from synth_teacher import follow

from glider.backends.scripted import ScriptedBackend
from glider.core.judgments import Span
from glider.review.answers import read_people
from glider.review.plan import visits
from glider.synth.drawer import Drawer
from glider.synth.making import make_records
from glider.synth.people import people_run
from glider.synth.plan import Plan
from glider.synth.records import task_of
from glider.synth.synthesize import records_in

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")


@pytest.fixture
def tab(browser):
    """Opens a person's link; at the end, the page must have said nothing and asked nobody else."""
    contexts, noise, asked = [], [], set()

    def go(link, context=None, **options):
        if context is None:
            context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **options})
            contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: noise.append(str(error)))
        page.on("request", lambda request: asked.add(request.url.partition("#")[0]))
        page.goto(link)
        page.wait_for_selector("#item:not([hidden]), #end:not([hidden])")
        return page

    go.asked, go.noise = asked, noise
    yield go
    for context in contexts:
        context.close()
    assert noise == []
    hosts = {url.split("/")[2].split(":")[0] for url in asked if not url.startswith("data:")}
    assert hosts == {"127.0.0.1"}


SELECT = """([start, end]) => {
    const node = document.querySelector(".judged .text").firstChild;
    const units = (n) => Array.from(node.data).slice(0, n).join("").length;
    const range = new Range();
    range.setStart(node, units(start));
    range.setEnd(node, units(end));
    const selection = document.getSelection();
    selection.removeAllRanges();
    selection.addRange(range);
}"""
"""Selects code points; `Array.from` is the oracle, the page counts in its own way."""


def saved(page):
    sync_api.expect(page.locator("#saved")).to_have_text("Saved")


def test_verifying_by_mouse(tab, tmp_path):
    run = graded_run(tmp_path / "run", 3)
    review = begun(run, "ana")
    with serving(review) as links:
        page = tab(links["ana"])
        for n in range(3):
            sync_api.expect(page.locator("#count")).to_contain_text(f"item {n + 1}")
            assert page.is_hidden("#reveal")
            page.click("#save")
            assert "Choose a score" in page.inner_text("#message")
            page.click("#scores label:nth-of-type(2)")
            page.locator(".judged .text").dblclick(position={"x": 40, "y": 14})
            page.click("#mark")
            page.fill("#note", "a note")
            page.click("#save")
            page.wait_for_selector("#reveal:not([hidden])")
            saved(page)
            assert page.is_disabled("#scores input") and page.is_hidden("#save")
            page.click("#save-verdict")
            assert "all three" in page.inner_text("#message")
            for name in ("reason_right", "marks_right", "score_right"):
                page.click(f'label:has(input[name="{name}"][value="partly"])')
            page.click('label:has(input[name="now"][value="4"])')
            page.click("#save-verdict")
        page.wait_for_selector("#end:not([hidden])")
        assert "3 of 3 done" in page.inner_text("#count")
    ana = read_people(run)["ana"]
    for drawn in review.plan.items:
        own, told = ana.blind(drawn.id), ana.reveal(drawn.id)
        text = review.items[drawn.id].sample["output"]
        assert own.score == 2 and own.note == "a note"
        assert [text[span.start : span.end] for span in own.spans] == ["text"]
        assert (told.reason_right, told.marks_right, told.score_right) == ("partly",) * 3
        assert told.score == 4


def test_verifying_by_keyboard_alone(tab, tmp_path):
    run = graded_run(tmp_path / "run", 2)
    review = begun(run, "ana")
    with serving(review) as links:
        page = tab(links["ana"])
        for n in range(2):
            sync_api.expect(page.locator("#count")).to_contain_text(f"item {n + 1}")
            assert page.is_hidden("#reveal")
            page.keyboard.press("4")
            for _ in range(20):  # Tab leads to the text
                page.keyboard.press("Tab")
                if page.evaluate("document.activeElement.matches('.judged .text')"):
                    break
            for key in ("ArrowRight", "ArrowRight", "m", "Shift+ArrowRight", "m", "u"):
                page.keyboard.press(key)
            page.keyboard.press("Control+Enter")
            page.wait_for_selector("#reveal:not([hidden])")
            for key in "132":
                page.keyboard.press(key)
            page.keyboard.press("Control+Enter")
            sync_api.expect(page.locator("#count")).to_contain_text(f"{n + 1} of 2 done")
    ana = read_people(run)["ana"]
    for drawn in review.plan.items:
        assert ana.blind(drawn.id).score == 4
        assert [(s.start, s.end) for s in ana.blind(drawn.id).spans] == [(5, 11)]  # whole words
        told = ana.reveal(drawn.id)
        assert (told.reason_right, told.marks_right, told.score_right) == ("yes", "no", "partly")


@pytest.mark.parametrize("by", ["mouse", "keyboard"])
def test_labelling(tab, tmp_path, by):
    run = graded_run(tmp_path / "run", 2)
    review = begun(run, "ana", mode="label")
    with serving(review) as links:
        page = tab(links["ana"])
        for n in range(2):
            sync_api.expect(page.locator("#count")).to_contain_text(f"item {n + 1}")
            if by == "mouse":
                page.click('#scores label:has(input[value="5"])')
                page.click("#save")
            else:
                page.keyboard.press("5")
                page.keyboard.press("Control+Enter")
        page.wait_for_selector("#end:not([hidden])")
    ana = read_people(run)["ana"]
    assert [ana.blind(drawn.id).score for drawn in review.plan.items] == [5, 5]
    assert not any(stage == "reveal" for _, stage in ana.current)


@pytest.mark.parametrize("by", ["mouse", "keyboard"])
def test_comparing(tab, tmp_path, by):
    run = pair_run(tmp_path / "run", 2)
    review = begun(run, "ana")
    with serving(review) as links:
        page = tab(links["ana"])
        chosen = []
        for n in range(2):
            sync_api.expect(page.locator("#count")).to_contain_text(f"item {n + 1}")
            chosen.append(page.locator("#scores input").first.get_attribute("value"))
            if by == "mouse":
                page.locator("#scores label").first.click()
                page.click("#save")
            else:
                page.keyboard.press("1")
                page.keyboard.press("Control+Enter")
            page.wait_for_selector("#reveal:not([hidden])")
            for key in "111":
                page.keyboard.press(key)
            page.keyboard.press("Control+Enter")
            sync_api.expect(page.locator("#count")).to_contain_text(f"{n + 1} of 2 done")
    ana = read_people(run)["ana"]
    assert sorted(ana.blind(d.id).preferred for d in review.plan.items) == sorted(chosen)


def test_made_pairs_are_shown_with_which_is_better_and_asked_what_fits(tab, tmp_path):
    make_records(
        Drawer(Plan(kinds={"pair": 1, "single": 1}, words=(40, 60), code=0, seed=1)),
        size=6,
        folder=tmp_path / "made",
        teacher=ScriptedBackend(lambda request: follow(request.messages[-1].content)),
    )
    records = {
        task_of(record, text).id: record
        for record in records_in(tmp_path / "made")
        for text in record.texts
    }
    run = people_run(tmp_path / "made")
    review = begun(run, "ana", mode="synth")
    asked = {}
    with serving(review) as links:
        page = tab(links["ana"])
        for n, visit in enumerate(visits(review.plan, "ana")):
            sync_api.expect(page.locator("#count")).to_contain_text(f"item {n + 1}")
            record = records[visit.item]
            said = page.locator("#said-score")
            if record.draw.kind == "pair":
                better, worse = (f"output {1 + s.score}" for s in _judgments(record))
                sync_api.expect(said).to_have_text(f"Better: {better}")
                sync_api.expect(page.locator("#rejected-text")).to_contain_text(f"Better: {worse}")
                sync_api.expect(page.locator("#levels")).to_be_hidden()
            else:
                sync_api.expect(said).to_contain_text("Score ")
                sync_api.expect(page.locator("#levels")).to_be_visible()
            kind = record.draw.kind
            assert page.locator("#material .judged").count() == (2 if kind == "pair" else 1)
            questions = page.locator("#more fieldset")
            asked[kind] = questions.locator("legend").all_inner_texts()
            for question in questions.all():
                question.locator('input[value="yes"]').check()
            page.click("#save")
        page.wait_for_selector("#end:not([hidden])")
    assert {kind: len(texts) for kind, texts in asked.items()} == {"pair": 10, "single": 12}
    assert "Is the better output the one that is named?" in asked["pair"]
    answers = read_people(run)["ana"]
    assert sorted(len(answers.blind(d.id).questions) for d in review.plan.items) == sorted(
        10 if record.draw.kind == "pair" else 12 for record in records.values()
    )


def _judgments(record):
    return record.texts[0].right, record.texts[0].wrong


@pytest.mark.parametrize("n", [8, pytest.param(490, marks=pytest.mark.slow)])
def test_offsets_are_those_of_python_whatever_stands_in_the_text(tab, tmp_path, n):
    rng = random.Random(7)
    signs = "".join(HOSTILE.values()) + "😀é\r\n\t \u200d\u0000𝒳א"
    texts = [*HOSTILE.values()]
    texts += ["".join(rng.choices(signs, k=rng.randint(2, 60))) + "end" for _ in range(n)]
    run = graded_run(tmp_path / "run", texts=texts, per_prompt=1)
    review = begun(run, "ana", mode="label")
    # The page's own arithmetic on every place of every text, against JavaScript's iterator.
    arithmetic = """() => {
        const text = document.querySelector(".judged .text").firstChild.data;
        const points = Array.from(text);
        let unit = 0;
        for (let n = 0; n <= points.length; n += 1) {
            if (toUnits(text, n) !== unit || toPoints(text, unit) !== n) return n;
            unit += (points[n] ?? "").length;
        }
        return text;
    }"""
    wanted = {}
    with serving(review) as links:
        page = tab(links["ana"])
        for at in range(len(texts)):
            sync_api.expect(page.locator("#count")).to_contain_text(f"item {at + 1}")
            shown = page.evaluate(arithmetic)
            assert shown in texts
            visible = [i for i, char in enumerate(shown) if not char.isspace() and char.isalnum()]
            start, end = visible[0], visible[-1] + 1
            page.evaluate(SELECT, [start, end])
            page.keyboard.press("m")
            quoted = page.locator("#marks q").text_content()
            wanted[shown] = quoted
            page.keyboard.press("3")
            page.keyboard.press("Control+Enter")
        page.wait_for_selector("#end:not([hidden])")
        assert (
            page.evaluate("document.querySelectorAll('#material script, #material b').length") == 0
        )
    ana = read_people(run)["ana"]
    for drawn in review.plan.items:
        text = review.items[drawn.id].sample["output"]
        (span,) = ana.blind(drawn.id).spans
        assert text[span.start : span.end] == wanted[text]


def test_offline_for_a_while(tab, tmp_path):
    run, port = graded_run(tmp_path / "run", 3), free_port()
    review = begun(run, "ana", mode="label")
    with serving(review, port) as links:
        page = tab(links["ana"])
    # The server is gone.
    page.keyboard.press("2")
    page.keyboard.press("Control+Enter")
    sync_api.expect(page.locator("#saved")).to_contain_text("Not saved yet")
    assert not read_people(run)["ana"].current
    with serving(review, port):
        sync_api.expect(page.locator("#saved")).to_have_text("Saved", timeout=15_000)
        assert [a.score for a in read_people(run)["ana"].current.values()] == [2]
        # What was begun and not saved survives a reload.
        sync_api.expect(page.locator("#count")).to_contain_text("1 of 3", timeout=15_000)

        page.fill("#note", "half a thought")
        page.reload()
        page.wait_for_selector("#item:not([hidden])")
        assert page.input_value("#note") == "half a thought"


def test_two_tabs_and_a_link_that_was_renewed(tab, tmp_path):
    run = graded_run(tmp_path / "run", 2)
    review = begun(run, "ana", mode="label")
    with serving(review) as links:
        first = tab(links["ana"])
        second = tab(links["ana"], first.context)
        for page, key in ((first, "2"), (second, "4")):
            page.keyboard.press(key)
            page.keyboard.press("Control+Enter")
            sync_api.expect(page.locator("#count")).to_contain_text("item 2")
        page = first.context.new_page()
        page.goto(links["ana"][:-3] + "AAA")
        sync_api.expect(page.locator("#message")).to_contain_text("opens nothing")
    ana = read_people(run)["ana"]
    (visit,) = ana.answered
    assert ana.history[visit, "blind"] == 2 and ana.blind(visit).score == 4


def test_skip_flag_back_search_and_keys(tab, tmp_path):
    run = graded_run(tmp_path / "run", 4)
    review = begun(run, "ana", mode="label")
    with serving(review) as links:
        page = tab(links["ana"])
        page.keyboard.press("f")
        saved(page)
        page.keyboard.press("s")
        sync_api.expect(page.locator("#count")).to_contain_text("item 2")
        page.keyboard.press("p")
        sync_api.expect(page.locator("#count")).to_contain_text("item 1")
        assert page.get_attribute("#flag", "aria-pressed") == "true"
        page.keyboard.press("/")
        page.keyboard.insert_text("number 3")
        sync_api.expect(page.locator("#visits li")).to_have_count(1)
        page.locator("#visits button").click()
        sync_api.expect(page.locator(".judged .text")).to_contain_text("number 3")
        page.keyboard.press("Escape")
        page.keyboard.press("?")
        assert page.is_visible("#keys")
    stages = sorted(stage for _, stage in read_people(run)["ana"].current)
    assert stages == ["flag", "skip"]


def test_by_touch_on_a_phone_nothing_is_wider_than_the_screen(tab, tmp_path):
    run = graded_run(tmp_path / "run", 1)
    review = begun(run, "ana")
    size = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
    with serving(review) as links:
        page = tab(links["ana"], **size)
        page.tap("#scores label:nth-of-type(3)")
        page.tap("#save")
        page.wait_for_selector("#reveal:not([hidden])")
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        for name in ("reason_right", "marks_right", "score_right"):
            page.tap(f'label:has(input[name="{name}"][value="yes"])')
        page.tap("#save-verdict")
        page.wait_for_selector("#end:not([hidden])")
    assert len(read_people(run)["ana"].current) == 2


WHERE = """([start, end]) => {
    const node = document.querySelector(".judged .text").firstChild;
    const range = new Range();
    range.setStart(node, start);
    range.setEnd(node, end);
    const { x, y, width, height } = range.getBoundingClientRect();
    return [x + width / 2, y + height / 2];
}"""
"""The middle of some words, in pixels."""


def test_marking_by_touch(tab, tmp_path):
    run = graded_run(tmp_path / "run", 1)  # "text number 0 of some length"
    review = begun(run, "ana", mode="label")
    size = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
    with serving(review) as links:
        page = tab(links["ana"], **size)
        text, number, some = (page.evaluate(WHERE, place) for place in ([0, 4], [5, 11], [17, 21]))
        page.touchscreen.tap(*number)
        assert page.evaluate("getSelection().toString()") == "number"
        page.touchscreen.tap(*number)
        sync_api.expect(page.locator("#mark")).to_be_disabled()  # let go
        page.touchscreen.tap(*some)
        page.touchscreen.tap(*number)
        page.tap("#mark")  # it is in reach, wherever the page is
        sync_api.expect(page.locator("#marks q")).to_have_text("number 0 of some")
        page.touchscreen.tap(*text)
        page.tap("#mark")
        sync_api.expect(page.locator("#marks q")).to_have_count(2)
        page.tap("#marks li:first-child button")
        page.tap("#scores label:nth-of-type(4)")
        page.tap("#save")
        page.wait_for_selector("#end:not([hidden])")
    (given,) = read_people(run)["ana"].current.values()
    assert given.score == 4 and given.spans == (Span(field="output", start=0, end=4),)


def test_adjudicating(tab, tmp_path):
    run = graded_run(tmp_path / "run", 3)
    review = begun(run, adjudicators=("dora",))
    for drawn in review.plan.items[:2]:
        span = Span(field="output", start=0, end=4)
        answered(run, "ana", drawn, score=1, note="too short")
        answered(run, "ben", drawn, score=4, spans=(span,))
    with serving(review) as links:
        page = tab(links["dora"])
        sync_api.expect(page.locator("#who")).to_have_text("dora (adjudicator)")
        assert page.locator("#others-said > li").count() == 2
        assert "too short" in page.inner_text("#others") and page.is_hidden("#reveal")
        page.click("text=Take these marks")
        page.keyboard.press("4")
        page.keyboard.press("Control+Enter")
        sync_api.expect(page.locator("#count")).to_contain_text("1 of 2 done · item 2")
        page.keyboard.press("2")
        page.keyboard.press("Control+Enter")
        sync_api.expect(page.locator("#end")).to_contain_text("Nothing waits for you now")
    given = read_people(run)["dora"].current.values()
    assert sorted((a.stage, a.score, len(a.spans)) for a in given) == [
        ("adjudicated", 2, 0), ("adjudicated", 4, 1)
    ]  # fmt: skip


@pytest.mark.slow
def test_the_first_of_ten_thousand_items_is_there_within_a_second(tab, tmp_path):
    run = graded_run(tmp_path / "run", 10_000)
    with serving(begun(run, "ana")) as links:
        tab(links["ana"])  # the browser has started
        page = tab(links["ana"])
        took = page.evaluate("performance.now()")
        assert took < 1000
        page.keyboard.press("/")
        page.keyboard.insert_text("number 9999")
        sync_api.expect(page.locator("#visits li")).to_have_count(1)


def told_by_axe(found):
    """What axe-core found, one line for each broken node."""
    return "\n".join(
        f"{state}: {broken['id']}: {node['html'][:120]}"
        for state, result in found.items()
        for broken in result.response["violations"]
        for node in broken["nodes"]
    )


def test_every_other_state_passes_axe(tab, tmp_path):
    """Of each mode the page as it is opened; an empty list; a link that opens nothing."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe().run
    form = tmp_path / "form.yaml"
    form.write_text('questions: [{key: clear, text: "Is it clear?", choices: ["yes", "no"]}]\n')
    modes = {
        "queue": {"mode": "label", "each": 1, "queue": True},
        "form": {"form": form},
        "synth": {"mode": "synth"},
        "adjudication": {"adjudicators": ("dora",)},
    }
    found = {}
    for name, options in modes.items():
        run = graded_run(tmp_path / name, 2)
        review = begun(run, "ana", "ben", **options)
        if name == "adjudication":
            span = Span(field="output", start=0, end=4)
            answered(run, "ana", review.plan.items[0], score=1, note="short", spans=(span,))
            answered(run, "ben", review.plan.items[0], score=5)
        with serving(review) as links:
            page = tab(links["dora" if name == "adjudication" else "ana"], bypass_csp=True)
            found[name] = axe(page)
            if name == "adjudication":
                page.keyboard.press("3")
                page.keyboard.press("Control+Enter")
                page.wait_for_selector("#end:not([hidden])")
                found["nothing left"] = axe(page)
                # An answer that cannot be sent, and a link that opens nothing.
                page.context.set_offline(True)
                page.keyboard.press("p")
                page.wait_for_selector("#message:not([hidden])")
                found["offline"] = axe(page)
                page.context.set_offline(False)
                page.goto(links["ana"][:-3] + "AAA")
                page.reload()
                page.wait_for_selector("#message:not([hidden])")
                found["no such link"] = axe(page)
    with serving(begun(pair_run(tmp_path / "pairs", 2), "ana")) as links:
        page = tab(links["ana"], bypass_csp=True, color_scheme="dark")
        page.keyboard.press("1")
        page.keyboard.press("Control+Enter")
        page.wait_for_selector("#reveal:not([hidden])")
        found["compare"] = axe(page)
    assert len(found) == 8 and told_by_axe(found) == ""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_state_passes_axe(tab, tmp_path, scheme):
    """Contrast, names, roles, order: axe-core finds nothing, on the page or in the report."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe().run
    run = graded_run(tmp_path / "run", 4)
    found = {}
    with serving(begun(run, "ana")) as links:
        page = tab(links["ana"], color_scheme=scheme, bypass_csp=True)
        found["blind"] = axe(page)
        page.keyboard.press("?")
        page.keyboard.press("4")
        page.evaluate(SELECT, [0, 4])
        page.keyboard.press("m")
        found["answered"] = axe(page)
        page.keyboard.press("Control+Enter")
        page.wait_for_selector("#reveal:not([hidden])")
        page.click("#list")
        found["reveal"] = axe(page)
    assert glider("review", "report", run, cwd=tmp_path).returncode == 0
    page = page.context.new_page()
    page.goto((run / "review/report.html").as_uri())
    found["report"] = axe(page)
    assert told_by_axe(found) == ""
