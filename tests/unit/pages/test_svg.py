"""The charts: places worked by hand, words for those who do not see, nothing that breaks out."""

import re
from xml.etree import ElementTree

import pytest

from glider.core.judgments import Highlight, Span
from glider.pages import svg
from glider.pages.charts import reliability_chart, risk_chart
from glider.pages.marks import excerpt, marked
from glider.pages.svg import Bin, ForestRow, Kept
from glider.pages.words import number

HOSTILE = "</title><script>x</script>&\"'"


def tree(html):
    """Parsed as XML: every tag closed, every attribute quoted, nothing unescaped."""
    return ElementTree.fromstring(f"<x>{html.replace('&nbsp;', ' ')}</x>")


def points(svg_, kind="point"):
    return [c for c in tree(svg_).iter("circle") if kind in c.get("class", "")]


BINS = [Bin(predicted=0.2, observed=0.3, low=0.1, high=0.5, n=40), Bin(predicted=1, observed=1, low=0.9, high=1, n=10)]  # fmt: skip
CURVE = [Kept(coverage=0.5, risk=0.1, low=0.05, high=0.2), Kept(coverage=1, risk=0.3, low=0.2, high=0.4)]  # fmt: skip
ROWS = [
    ForestRow(label="nano", value=0.5, low=0.4, high=0.6, n=1200),
    ForestRow(label=HOSTILE, value=-0.1, low=-0.2, high=0.0, n=12, kind="baseline"),
    ForestRow(label="chrf", value=None, n=12, kind="baseline", note=HOSTILE),
    ForestRow(label="human", value=0.8, n=90, kind="people"),
]
DRAWN = {
    "interval": svg.interval(0.5, 0.4, 0.6, (0, 1), label=HOSTILE),
    "forest": svg.forest(ROWS, title=HOSTILE, reference=0.0, reference_label=HOSTILE),
    "confusion": svg.confusion([[3, 1], [0, 7]], ["no", HOSTILE], title=HOSTILE),
    "reliability": svg.reliability(BINS, title=HOSTILE, across=HOSTILE, up=HOSTILE),
    "risk": svg.risk_coverage(CURVE, title=HOSTILE, bound=0.2, chosen=CURVE[0], up=HOSTILE),
    "scatter": svg.scatter([1, 2], [1, 5], title=HOSTILE, scale=(1, 5)),
    "empty forest": svg.forest([], title="none"),
    "no bins": svg.reliability([], title="none"),
    "no curve": svg.risk_coverage([], title="none"),
    "no dots": svg.scatter([], [], title="none", scale=(0, 1)),
}


@pytest.mark.parametrize("name", DRAWN)
def test_every_drawing_is_whole_titled_and_asks_for_nothing(name):
    html = DRAWN[name]
    root = tree(html)
    drawn = [e for e in root.iter("svg") if e.get("aria-hidden") != "true"]
    for each in drawn:
        assert each.get("role") == "img"
        assert each.find("title").text.strip()
    assert "<script" not in html
    assert not re.search(r"\b(?:href|src|style|on\w+)=", html)
    assert not re.search(r"\bnan\b", html)
    # Colours are the page's, by class.
    assert not re.search(r"#[0-9a-f]{3,6}\b|rgb\(", html)


@pytest.mark.parametrize(
    ("value", "scale", "at"),
    [
        (1, (1, 5), "0.00%"), (3, (1, 5), "50.00%"), (5, (1, 5), "100.00%"),
        (9, (1, 5), "100.00%"),  # beyond the scale: at its edge
        (-0.5, (-1, 1), "25.00%"),
    ],
)  # fmt: skip
def test_an_interval_stands_where_it_should(value, scale, at):
    (point,) = points(svg.interval(value, None, None, scale, label="x"))
    assert point.get("cx") == at


def test_a_forest_reads_as_a_table():
    lines = [[" ".join("".join(c.itertext()).split()) for c in row] for row in tree(DRAWN["forest"]).iter("tr")]  # fmt: skip
    assert lines[0] == ["System", "Drawn", "Figure 95 % interval", "n"]
    assert lines[1] == ["Judges"]
    assert lines[2][0] == "nano"
    assert lines[2][2:] == ["0.50 0.40 to 0.60", "1,200"]
    assert lines[4][2] == "−0.10 −0.20 to 0.00"
    assert lines[5] == ["chrf", HOSTILE, "12"]
    assert lines[7][2] == "0.80"  # no interval is known, none is drawn
    assert "nano: 0.50, 95 % interval 0.40 to 0.60" in lines[2][1]


@pytest.mark.parametrize("values", [[0.5], [3.0, 3.0], [0.001, 0.002], [-250, 4000], [1e-12, 0]])
def test_a_forests_axis_holds_every_interval(values):
    rows = [ForestRow(label="x", value=v, low=v - abs(v), high=v + abs(v), n=9) for v in values]
    html = svg.forest(rows, title="x")
    places = [float(x) for x in re.findall(r'(?:x1|cx)="([\d.]+)%"', html)]
    assert all(0 <= place <= 100 for place in places)
    ticks = tree(html).findall(".//tfoot//text")
    assert 2 <= len(ticks) <= 7


def test_a_forest_of_one_kind_has_no_headings():
    assert "rowgroup" not in svg.forest(ROWS[:1], title="x")
    assert "rowgroup" not in svg.forest(ROWS, title="x", headings=False)


def test_confusion_counts_and_shades_by_row():
    root = tree(svg.confusion([[3, 1], [0, 7]], ["no", "yes"], title="x"))
    cells = {g.find("title").text: g for g in root.iter("g")}
    assert set(cells) == {
        "people no, judge no: 3 of 4", "people no, judge yes: 1 of 4",
        "people yes, judge no: 0 of 7", "people yes, judge yes: 7 of 7",
    }  # fmt: skip
    opacity = [float(g.findall("rect")[1].get("fill-opacity")) for g in cells.values()]
    assert opacity == [0.45, 0.15, 0.0, 0.6]
    assert [t.text for t in root.iter("text") if t.text.isdigit()] == ["3", "1", "7"]  # no zeros


def test_reliability_points_stand_on_the_diagonal_where_both_agree():
    html = svg.reliability([Bin(predicted=p, observed=p, low=p, high=p, n=5) for p in (0.25, 0.5)], title="x")  # fmt: skip
    for point in points(html):
        x, y = float(point.get("cx")) - 54, 10 + 256 - float(point.get("cy"))
        assert x == pytest.approx(y, abs=0.2)
    assert "predicted 0.25, observed 0.25 (0.25 to 0.25), n = 5" in html


def test_risk_rises_to_the_right_and_the_bound_is_named():
    html = DRAWN["risk"]
    (line,) = [p.get("points") for p in tree(html).iter("polyline")]
    (x1, y1), (x2, y2) = [map(float, pair.split(",")) for pair in line.split()]
    assert x1 < x2
    assert y1 > y2  # down is less risk
    assert "allowed: 0.20" in html
    assert "kept 50%, loss 0.10" in html


@pytest.mark.parametrize(("n", "shown", "said"), [(7, 7, "7 items"), (5000, 2000, "2,000 of 5,000 items, drawn at random")])  # fmt: skip
def test_a_scatter_says_how_much_of_it_is_shown(n, shown, said):
    gold = [k % 5 + 1 for k in range(n)]
    html = svg.scatter(gold, gold, title="x", scale=(1, 5))
    assert html.count("h0") == shown
    assert said in svg.scatter_note(n)
    assert html == svg.scatter(gold, gold, title="x", scale=(1, 5))  # the same every time
    if n > shown:
        assert html != svg.scatter(gold, gold, title="x", scale=(1, 5), seed=1)
        assert len(html) < 60_000


def test_a_thinned_scatter_favours_nobody():
    """The first 5,000 are ones, the rest fives: both are half of what is drawn."""
    gold = [1] * 5000 + [5] * 5000
    dots = re.findall(r"M([\d.]+) ", svg.scatter(gold, gold, title="x", scale=(1, 5)))
    left = sum(float(x) < 180 for x in dots)
    assert 900 < left < 1100


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.126, "0.13"), (-0.5, "−0.50"), (-0.001, "0.00"), (19.994, "19.99"), (71.25, "71.2"), (-1234.5, "−1,234")],
)  # fmt: skip
def test_numbers(value, text):
    assert number(value) == text


def test_a_chart_comes_with_its_question():
    for chart in (reliability_chart(BINS), risk_chart(CURVE, bound=0.2, chosen=CURVE[0])):
        assert tree(chart.drawing).find("svg") is not None
        assert chart.asks.endswith("?")


# Marks ------------------------------------------------------------------------------------------


def quote(*spans, field="output", match="exact"):
    return Highlight(
        phrase="x", match=match, spans=tuple(Span(field=field, start=a, end=b) for a, b in spans)
    )


@pytest.mark.parametrize(
    ("highlights", "html"),
    [
        ([], "a &lt;b&gt; 😀 d"),
        ([quote((0, 1))], '<mark data-n="1">a</mark> &lt;b&gt; 😀 d'),
        ([quote((2, 5))], 'a <mark data-n="1">&lt;b&gt;</mark> 😀 d'),
        ([quote((6, 7))], 'a &lt;b&gt; <mark data-n="1">😀</mark> d'),  # code points
        (
            [quote((0, 5)), quote((2, 7))],  # an overlap is a piece of its own
            '<mark data-n="1">a </mark><mark class="many" data-n="2">&lt;b&gt;</mark>'
            "<mark> 😀</mark> d",
        ),
        (
            [quote((0, 1), match="folded")],
            '<mark class="folded" data-n="1">a</mark> &lt;b&gt; 😀 d',
        ),
        ([quote((0, 1), field="context")], "a &lt;b&gt; 😀 d"),
        ([quote((3, 99)), quote((2, 2))], "a &lt;b&gt; 😀 d"),  # not places of this text
    ],
)
def test_marked(highlights, html):
    assert marked("a <b> 😀 d", "output", highlights) == html


def test_an_excerpt_says_what_it_leaves_out():
    html = excerpt("abcdefgh", "output", [quote((2, 6)), quote((7, 8))], 4)
    assert html.startswith('ab<mark data-n="1">cd</mark><span')
    assert "4 more characters" in html
    assert excerpt("abcd", "output", [], 4) == "abcd"
