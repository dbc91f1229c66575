"""The report in a real browser: what a reader sees, clicks and presses."""

import json
import re
import runpy
import shutil
from pathlib import Path

import pytest

from glider.core.criteria import Criterion
from glider.core.judgments import Judgment
from glider.core.samples import Sample
from glider.core.tasks import JudgeTask
from glider.report import build_report
from glider.store.manifest import Manifest
from glider.store.run import RunFolder

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
pytestmark = pytest.mark.filterwarnings("error")

EXAMPLE = Path(__file__).parents[1] / "unit" / "report" / "example_run.py"
write_run = runpy.run_path(str(EXAMPLE))["write_run"]
DETAIL = "#row=0&criterion=faithfulness"


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    folder = tmp_path_factory.mktemp("report")
    out = folder / "report.html"
    made = write_run(folder / "run", rows=60)
    build_report(folder / "run", out)
    return out, made


@pytest.fixture
def visit(visit):
    """Opens a page and waits for its table."""

    def go(path, hash="", **options):
        page = visit(path, hash, **options)
        page.wait_for_selector("tbody a")
        return page

    return go


def column(page, key):
    return [text.strip() for text in page.locator(f"tbody td.c-{key}").all_inner_texts()]


def marks(page):
    """Highlight number to the marked text, pieces put together, field by field."""
    return page.evaluate(
        """() => {
            const found = {};
            for (const mark of document.querySelectorAll("dialog mark"))
                for (const n of mark.dataset.all.split(" "))
                    found[n] = (found[n] ?? "") + mark.textContent;
            return found;
        }"""
    )


# The table --------------------------------------------------------------------------------------


def test_a_page_of_rows_is_drawn_and_leafed(visit, report):
    page = visit(report[0])
    assert len(column(page, "id")) == 50
    total = len(report[1])
    assert page.inner_text("#where") == f"1–50 of {total}"
    page.click("#next")
    assert page.inner_text("#where") == f"51–100 of {total}"


def test_sorting_by_every_column(visit, report):
    page = visit(report[0])
    for key in ("id", "criterion", "score", "expected", "doubt", "reason", "marks"):
        header = page.locator(f"th.c-{key}")
        header.get_by_role("button").click()
        first = header.get_attribute("aria-sort")
        before = column(page, key)
        header.get_by_role("button").click()
        assert {first, header.get_attribute("aria-sort")} == {"ascending", "descending"}
        assert column(page, key) != before
        assert page.locator("th[aria-sort]").count() == 1


def test_sorted_by_doubt_the_most_doubtful_is_first_and_rows_without_come_last(visit, report):
    page = visit(report[0])
    page.locator("th.c-doubt button").click()
    doubts = [float(text.split()[0]) for text in column(page, "doubt")]
    assert doubts == sorted(doubts, reverse=True)
    known = [o.doubt for _, o in report[1] if getattr(o, "doubt", None) is not None]
    assert doubts[0] == pytest.approx(max(known), abs=0.005)
    while page.is_enabled("#next"):
        page.click("#next")
    assert column(page, "doubt")[-1] == "–"


@pytest.mark.parametrize(
    ("wanted", "ids"),
    [
        ("EMOJI-😀", {"emoji-😀"}),  # an id, in any case
        ("يمكنك استرداد", {"arabic-refund"}),  # a text
        ("clause 77", {"long-context"}),  # every word, deep in a long text
        ("xylophone", set()),
    ],
)
def test_search(visit, report, wanted, ids):
    page = visit(report[0])
    page.keyboard.press("/")
    page.keyboard.insert_text(wanted)
    sync_api.expect(page.locator("#where")).to_have_text(re.compile("filtered|^0 of"))
    assert set(column(page, "id")) - {""} == ids
    page.keyboard.press("Escape")
    sync_api.expect(page.locator("#where")).to_have_text(f"1–50 of {len(report[1])}")
    assert len(column(page, "id")) == 50


def test_filters(visit, report):
    page = visit(report[0])
    failed = sum(o.kind == "failure" for _, o in report[1])
    page.click("#f-failed")
    assert column(page, "score") == ["Failed"] * failed
    page.click("#f-failed")
    page.select_option("#f-criterion", label="Empathy")
    assert set(column(page, "criterion")) == {"Empathy"}
    page.select_option("#f-score", "2")
    wanted = sum(o.criterion == "tone-empathy" and getattr(o, "score", None) == 2
                 for _, o in report[1])  # fmt: skip
    assert len(column(page, "score")) == wanted
    page.click("#f-clear")
    page.click("#f-doubtful")
    assert "–" not in column(page, "doubt")


def test_a_bar_of_a_card_shows_its_rows(visit, report):
    page = visit(report[0])
    bar = page.locator("button[data-criterion=conciseness][data-score='5']")
    count = int(bar.locator(".count").inner_text().split()[0])
    bar.click()
    assert len(column(page, "id")) == count
    assert set(column(page, "criterion")) == {"Conciseness"}
    failure = page.locator("button[data-failure]").first
    failure.click()
    assert set(column(page, "score")) == {"Failed"}


def test_criteria_of_one_name_are_told_apart(visit, tmp_path):
    levels = ({0: "No.", 1: "Yes."}, {1: "Bad.", 9: "Good."})
    criteria = [Criterion(name="quality", question=f"Good {n}?", rubric=levels[n]) for n in (0, 1)]
    manifest = Manifest.of(
        run_id="run", judge="scripted/x nano", settings={}, criteria={"(record)": ""},
        input_path="rows.jsonl", input_sha256="0",
    )  # fmt: skip
    with RunFolder.create(tmp_path / "run", manifest, []) as run:
        for row in range(6):
            task = JudgeTask(Sample.of("x", id=f"s{row}"), criteria[row % 2])
            run.record_sample(row, task.sample, task.criterion)
            run.record(row, Judgment(task_id=task.id, sample_id=task.sample.id, criterion="quality",
                                     judge="x", score=1, normalized=1 - row % 2))  # fmt: skip
    build_report(tmp_path / "run", tmp_path / "report.html")
    page = visit(tmp_path / "report.html")
    assert column(page, "criterion") == ["quality, 1 of 2", "quality, 2 of 2"] * 3
    page.locator(".card", has_text="quality, 2 of 2").locator("button[data-score='1']").click()
    assert column(page, "id") == ["s1", "s3", "s5"]
    page.locator("tbody a").first.click()
    words = page.inner_text("dialog")
    assert "quality, 2 of 2" in words and "on a scale of 1 to 9" in words and "Bad." in words
    page.keyboard.press("Escape")
    page.click("#f-clear")
    assert len(column(page, "id")) == 6


def test_keys_move_open_and_close(visit, report):
    page = visit(report[0])
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("k")
    href = page.evaluate("document.activeElement.getAttribute('href')")
    page.keyboard.press("Enter")
    page.wait_for_selector("dialog[open]")
    assert page.evaluate("location.hash") == href
    page.keyboard.press("j")
    assert page.evaluate("location.hash") != href
    page.keyboard.press("k")
    page.keyboard.press("Escape")
    page.wait_for_selector("dialog:not([open])", state="attached")
    assert page.evaluate("location.hash") == ""
    assert page.evaluate("document.activeElement.getAttribute('href')") == href


# One judgment -----------------------------------------------------------------------------------


@pytest.mark.parametrize("row", [0, 1])  # emoji with overlaps; right to left
def test_marks_stand_where_the_spans_say(visit, report, row):
    out, made = report
    outcome = next(o for n, o in made if n == row and o.criterion == "faithfulness")
    texts = {f["name"]: f["text"] for line in (out.parent / "run" / "samples.jsonl").read_text(
        "utf-8").splitlines() if (s := json.loads(line))["row"] == row for f in s["fields"]}  # fmt: skip
    page = visit(out, f"#row={row}&criterion=faithfulness")
    expected = {
        str(n): "".join(
            texts[s.field][s.start : s.end] for s in sorted(h.spans, key=lambda s: s.start)
        )
        for n, h in enumerate(outcome.highlights, start=1)
        if h.spans
    }
    assert marks(page) == expected


def test_a_score_that_its_own_probabilities_contradict_is_marked_unsure(visit, report):
    made = [(n, o) for n, o in report[1] if o.kind == "judgment" and n < 12 and n != 5]
    unsure = next((n, o) for n, o in made if o.unsure)
    sure = next((n, o) for n, o in made if o.score_probs and not o.unsure)
    for (row, outcome), tags in ((unsure, 1), (sure, 0)):
        page = visit(report[0], f"#row={row}&criterion={outcome.criterion}")
        words = page.inner_text("dialog .why")
        assert f"Expected value {outcome.expected:.2f}" in words
        assert page.locator("dialog .score-line .tag", has_text="unsure").count() == tags
        assert ("do not rely on this score alone" in words) == bool(tags)
        assert page.locator("dialog .hills i").count() == len(outcome.score_probs)
    ids = page.locator("tbody tr", has=page.locator(".c-doubt .tag")).locator("td.c-id a")
    hrefs = {ids.nth(k).get_attribute("href") for k in range(ids.count())}
    shown = {f"#row={n}&criterion={o.criterion}" for n, o in made if o.unsure}
    assert {href for href in hrefs if int(href.split("=")[1].split("&")[0]) < 12} == shown


def test_overlaps_folded_and_unplaced_highlights(visit, report):
    page = visit(report[0], DETAIL)
    pieces = page.locator("dialog mark")
    assert pieces.all_text_contents() == [
        "We are sorry", "Refunds ", "take ", "30 days", ", and ", "30 days",
    ]  # fmt: skip
    assert pieces.nth(0).get_attribute("class") == "folded"
    assert pieces.nth(2).get_attribute("class") == "many"
    assert pieces.nth(3).get_attribute("data-all") == "1 2 3"
    judged = page.locator(".field.judged .text")
    assert judged.text_content().startswith("We are sorry 😀👩‍👩‍👧 that it failed.")
    assert page.locator(".lostquote").all_text_contents() == ["“money back at once”"]


def test_a_link_to_a_judgment_survives_reloading(visit, report):
    page = visit(report[0], "#row=1&criterion=tone-empathy")
    for _ in range(2):
        assert page.inner_text("#sheet-title") == "Empathy"
        assert page.inner_text(".sheet-head code") == "arabic-refund"
        assert "31 % of the probability" in page.inner_text(".aside-notice")
        page.reload()
        page.wait_for_selector("dialog[open]")


def test_a_cut_text_says_what_was_judged(visit, report):
    page = visit(report[0], "#row=2&criterion=faithfulness")
    assert "context: judged on the first 2,000 of" in page.inner_text(".aside-notice")
    unseen = page.locator(".unseen").text_content()
    whole = page.locator(".field .text").first.text_content()
    assert whole.endswith(unseen)
    assert len(whole) - len(unseen) - len(page.locator(".cutline").text_content()) == 2000


def test_a_failure_is_explained(visit, report):
    row, failure = next((n, o) for n, o in report[1] if o.kind == "failure" and o.stage == "read")
    page = visit(report[0], f"#row={row}&criterion={failure.criterion}")
    words = page.inner_text("dialog .why")
    assert f"read/{failure.code}" in words
    assert failure.message in words
    page.click("dialog summary")
    assert page.inner_text("dialog .raw pre").strip() == failure.raw_text.strip()
    page.goto(report[0].as_uri() + "#row=5")
    assert "could not be read" in page.inner_text("dialog .texts")


def test_a_comparison_shows_both_orders(visit, report):
    row, outcome = next((n, o) for n, o in report[1] if o.kind == "comparison" and o.flipped)
    page = visit(report[0], f"#row={row}&criterion={outcome.criterion}")
    words = page.inner_text("dialog .why")
    assert "As shown: output, then earlier" in words
    assert "Swapped: earlier, then output" in words
    assert "The winner changed with the order" in words
    assert page.locator("dialog .field.judged").count() == 2


def test_each_pair_of_a_row_has_its_own_link(visit, report, tmp_path):
    source, run = report[0].parent / "run", tmp_path / "run"
    shutil.copytree(source, run)
    line = next(x for x in (run / "journal.jsonl").read_text("utf-8").splitlines()
                if '"kind":"comparison"' in x)  # fmt: skip
    with (run / "journal.jsonl").open("a", encoding="utf-8") as journal:
        journal.write(line.replace('"second":"earlier"', '"second":"context"') + "\n")
    build_report(run, tmp_path / "report.html")
    for second in ("context", "earlier"):
        page = visit(
            tmp_path / "report.html", f"#row=0&criterion=helpfulness&first=output&second={second}"
        )
        assert f"As shown: output, then {second}" in page.inner_text("dialog .why")


def test_a_row_beyond_the_text_budget_opens_without_texts(visit, report, tmp_path):
    out = tmp_path / "small.html"
    build_report(report[0].parent / "run", out, text_budget=40_000)
    page = visit(out, "#row=50&criterion=faithfulness")
    assert "not in this page" in page.inner_text("dialog .texts")


# Strangers' text --------------------------------------------------------------------------------

ATTACK = "<img src=x onerror='window.pwned=1'></script><script>window.pwned=1</script>{{7*7}}\u2028"
KEPT = {"kind", "match", "stage", "role"}


def poisoned(value, key="", kept=KEPT):
    """The same JSON with the attack in every string that is free text, keys of metadata too."""
    if isinstance(value, str):
        return value if key in kept else ATTACK + value
    if isinstance(value, list):
        return [poisoned(item, key, kept) for item in value]
    if isinstance(value, dict):
        rename = key in ("metadata", "settings", "versions")
        return {ATTACK + k if rename else k: poisoned(v, k, kept) for k, v in value.items()}
    return value


def test_an_attack_in_every_field_stays_text(visit, report, tmp_path):
    source, run = report[0].parent / "run", tmp_path / "run"
    run.mkdir()
    for path in source.glob("*.json*"):
        text = path.read_text("utf-8")
        parts = text.splitlines() if path.suffix == ".jsonl" else [text]
        # The name of a field can hold no markup: a sample with such a name is refused.
        kept = KEPT | {"name"} if path.name == "samples.jsonl" else KEPT
        bad = (json.dumps(poisoned(json.loads(part), kept=kept)) for part in parts)
        (run / path.name).write_text("\n".join(bad) + "\n", "utf-8")
    out = tmp_path / "report.html"
    build_report(run, out)
    page = visit(out)
    scripts = page.locator("script:not([type])").count()
    for _ in range(24):  # judgments, comparisons, a failure; all of row 0 to 5
        page.keyboard.press("j")
        page.keyboard.press("Enter")
        page.wait_for_selector("dialog[open]")
        assert "<img src=x onerror=" in page.inner_text("dialog")
        page.keyboard.press("Escape")
        page.wait_for_selector("dialog:not([open])", state="attached")
    assert page.locator("img").count() == 0
    assert page.locator("script:not([type])").count() == scripts == 1
    assert page.evaluate("typeof window.pwned") == "undefined"


# Looks ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("width", [380, 768, 1280, 2200])
def test_nothing_sticks_out(visit, report, width):
    page = visit(report[0], viewport={"width": width, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.locator("tbody a").first.click()
    page.wait_for_selector("dialog[open]")
    assert page.evaluate(
        "(() => { const b = document.querySelector('.sheet-body'); return b.scrollWidth <= b.clientWidth })()"
    )


def test_rows_are_cards_on_a_phone(visit, report):
    page = visit(report[0], viewport={"width": 380, "height": 800})
    assert (
        page.locator("#table tbody tr").first.evaluate("e => getComputedStyle(e).display") == "grid"
    )
    page.select_option("#f-sort", "doubt true")
    assert page.locator("td.c-doubt").first.inner_text().startswith("0.9")


def test_the_chosen_theme_is_kept(visit, report):
    page = visit(report[0], color_scheme="light")
    ground = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(ground)
    page.click("#theme")
    dark = page.evaluate(ground)
    assert dark != light
    assert visit(report[0], color_scheme="dark").evaluate(ground) == dark
    page.reload()
    assert page.evaluate(ground) == dark


def test_printing_leaves_the_controls_out(visit, report):
    page = visit(report[0], color_scheme="dark")
    page.emulate_media(media="print")
    assert page.is_hidden("#tools")
    assert page.is_visible("#table")
    assert page.evaluate("getComputedStyle(document.documentElement).colorScheme") == "light"


def test_loading_moves_nothing(visit, report):
    page = visit(report[0])
    shift = page.evaluate(
        """() => new Promise((done) => {
            let sum = 0;
            new PerformanceObserver((list) => { for (const e of list.getEntries()) sum += e.value; })
              .observe({ type: "layout-shift", buffered: true });
            setTimeout(() => done(sum), 300);
        })"""
    )
    assert shift < 0.01
