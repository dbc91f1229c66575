"""The page of a bench in a real browser: it fits every width, opens, changes its theme, is silent."""

import runpy
from pathlib import Path

import pytest

UNIT = Path(__file__).parents[1] / "unit" / "bench"
EXAMPLE = runpy.run_path(str(UNIT / "example_bench.py"))


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    out = tmp_path_factory.mktemp("bench") / "report.html"
    out.write_text(EXAMPLE["page"](*EXAMPLE["made"](n=90)), "utf-8")
    return out


@pytest.mark.parametrize("width", [360, 768, 1280, 2200])
def test_nothing_sticks_out(visit, report, width):
    page = visit(report, viewport={"width": width, "height": 800})
    page.evaluate("document.querySelectorAll('details').forEach((d) => { d.open = true; })")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    # Wide tables may be pushed inside their room, but on a phone they are cards.
    if width < 768:
        rooms = "[...document.querySelectorAll('.table-room')].every((r) => r.scrollWidth <= r.clientWidth)"
        assert page.evaluate(rooms)


@pytest.mark.parametrize("width", [360, 1280])
def test_words_in_charts_can_be_read(visit, report, width):
    page = visit(report, viewport={"width": width, "height": 800})
    page.evaluate("document.querySelectorAll('details').forEach((d) => { d.open = true; })")
    sizes = page.evaluate(
        """() => [...document.querySelectorAll("svg text")].map((t) => {
            const scale = t.getScreenCTM().a || Math.abs(t.getScreenCTM().b);
            return parseFloat(getComputedStyle(t).fontSize) * scale;
        })"""
    )
    assert len(sizes) > 100
    assert min(sizes) > 9.9


def test_words_of_a_chart_do_not_cover_each_other(visit, report):
    page = visit(report)
    covered = page.evaluate(
        """() => [...document.querySelectorAll("svg.square")].flatMap((svg) => {
            const boxes = [...svg.querySelectorAll("text")].map((t) => [t.textContent, t.getBoundingClientRect()]);
            return boxes.flatMap(([a, r], k) => boxes.slice(k + 1).filter(([, s]) =>
                r.left < s.right - 1 && s.left < r.right - 1 && r.top < s.bottom - 3 && s.top < r.bottom - 3)
                .map(([b]) => `${a} | ${b}`));
        })"""
    )
    assert covered == []


def test_a_disagreement_opens_with_its_marks(visit, report):
    page = visit(report)
    first = page.locator("details.disagreement").first
    first.locator("summary").click()
    assert first.locator("mark").count() >= 1
    assert "reasoning" in first.inner_text()
    assert "<b>the context</b>" in first.inner_text()


def test_the_table_leads_to_each_set(visit, report):
    page = visit(report)
    page.click("a:has-text('Which answer is better?')")
    top = page.locator("section.bench:has(h2:text-is('Which answer is better?'))")
    assert top.evaluate("(e) => Math.abs(e.getBoundingClientRect().top)") < 60


def test_the_theme_changes_and_is_kept(visit, report):
    page = visit(report, color_scheme="light")
    ground = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(ground)
    page.click("#theme")
    dark = page.evaluate(ground)
    assert dark != light
    page.reload()
    assert page.evaluate(ground) == dark


def test_a_forest_is_announced_as_a_table_with_words_for_its_drawings(visit, report):
    page = visit(report)
    table = page.get_by_role("table").filter(has_text="All sets together: random").first
    assert table.get_by_role("img", name="95 % interval").count() >= 4
    assert table.get_by_role("rowheader", name="nano, score first").count() == 1
