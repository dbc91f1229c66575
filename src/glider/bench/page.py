"""A bench as one HTML page that a customer can read: words first, then charts, then texts.

Figures are those of `Results` and are not made anew; only charts are drawn from the answers
themselves. The judge that leads is chosen by the same data, and the page says so. All text of a
benchmark is other people's and is escaped.
"""

import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from html import escape
from typing import Any, get_args

from glider.bench.answers import Answers, Disagreement
from glider.bench.charts import drawings
from glider.bench.held_out import EXPOSURES
from glider.bench.results import Figure, Results, Split
from glider.bench.standing import Board, Side, apart, better, metric_of, side_of, title_of
from glider.pages import svg
from glider.pages.marks import excerpt
from glider.pages.shell import shell
from glider.pages.svg import number

_BRACED = re.compile(r"\{(\w+)\}")
_MOST_TEXT = 3000
"""Code points shown of one field."""
_ANSWER: dict[Side, tuple[str, str]] = {
    "above": ("good", "surely better"),
    "below": ("bad", "surely worse"),
    "not told apart": ("", "not told apart"),
}
_WHOLE: dict[str, Any] = {"reference": 0.0, "reference_label": "random answers"}
_READING = """\
<p>A failed judgment stays in every figure (protocol <em>strict</em>): it counts as wrong, as \
the level farthest from the label, or as no information, as each metric has it. Intervals are \
95&nbsp;% and resample whole prompts or documents. <em>Surely better</em> and <em>surely \
worse</em> are said only where a paired test over the same items, corrected for all tests of this \
page (Holm), has p&nbsp;≤&nbsp;0.05; against people, whose rows are single ratings, and of all \
sets together only where two intervals lie apart. <em>Not told apart</em> means too little data, \
not a draw. <em>One person</em> is one person's rating against the others of the same item.</p>"""


def page(results: Results, answers: Sequence[Answers] = ()) -> str:
    """The whole page.

    Args:
        answers: of judges, as far as they are at hand; charts and disagreements are shown of the
            judge that leads.
    """
    board = Board(results)
    lead = board.lead
    by_benchmark = {a.scored.benchmark: a for a in answers if a.scored.system == lead}
    body = [_words(board), _overview(board), _whole(board)]
    for benchmark in board.benchmarks:
        body.append(_benchmark(board, benchmark, by_benchmark.get(benchmark)))
    body.append(_notes(results))
    return shell(
        _heading(board),
        "\n".join(body),
        facts=_facts(board),
        colophon=f"<p>Figures by Glider {escape(results.glider)}; the same in results.json.</p>",
    )


def _facts(board: Board) -> dict[str, str]:
    results, judges = board.results, board.of_kind("judge")
    n = sum(len(ids) for ids in results.samples.values())
    return {
        "Judge" if len(judges) == 1 else "Judges": "; ".join(judges),
        "Benchmarks": f"{len(board.benchmarks):,}",
        "Items": f"{n:,}",
        "Date": _date(results.made_at),
        "Seed": str(results.settings.get("seed", "")),
    }


# In plain words ---------------------------------------------------------------------------------


def _heading(board: Board) -> str:
    who = {board.judge(system) for system in board.of_kind("judge")}
    if not who:
        return "What simple rules reach"
    return f"How far {'this judge' if len(who) == 1 else 'these judges'} may be believed"


def _words(board: Board) -> str:
    lines = "".join(f'<p class="lead">{line}</p>' for line in _sentences(board))
    return (
        f'<section class="plain-words" aria-label="In plain words"><div>{lines}</div>'
        f"{_glance(board)}</section>"
    )


def _sentences(board: Board) -> Iterator[str]:
    lead = board.lead
    n = sum(len(ids) for ids in board.results.samples.values())
    many = len(board.benchmarks)
    systems = board.of_kind("judge")
    if lead is None:
        yield f"No judge was measured, only simple rules, on {_of(many, 'benchmark')}."
        return
    sets = f"from {many} sets" if many > 1 else "from one set"
    one = len({board.judge(system) for system in systems}) == 1
    who = _of(len(systems), "judge")
    if one and len(systems) > 1:
        who = f"One judge, read in {len(systems)} ways,"
    yield f"{who} scored {_of(n, 'item')} {sets} that people had scored before."
    name = f"<strong>{escape(lead)}</strong>"
    if len(systems) > 1:
        yield (
            f"The highest is {name}. As the best of {len(systems)}, chosen by the same data, it is "
            "flattered a little."
        )
    yield from _of_one(board, board.benchmarks[0], lead) if many == 1 else _of_many(board, lead)
    coverages = [board.figure(b, lead, "coverage") for b in board.benchmarks]
    asked = sum(f.asked for f in coverages if f)
    judged = sum(f.judged for f in coverages if f)
    if asked:
        share = "all" if judged == asked else f"{_percent(judged, asked)}"
        yield f"It judged {share} of the {asked:,} items it was asked about."


def _of_one(board: Board, benchmark: str, lead: str) -> Iterator[str]:
    own = board.main(benchmark, lead)
    if own is None or own.value is None:
        yield f"There is no figure for it: {escape(own.undefined if own else 'none was made')}."
        return
    runs = {"lower": ", where lower is better", "middle": ", where 0.5 is best"}
    yield (
        f"Its {escape(_inside(title_of(own.metric)))} is <strong>{number(own.value)}</strong>"
        f"{_reach(own)}{runs.get(better(own.metric), '')}."
    )
    rules, people = board.against_rules(benchmark, lead), board.against_people(benchmark, lead)
    if rules:
        yield _compared("the best simple rule", f"{board.label(rules[0].system)}, ", *rules)
    if people:
        yield _compared("one person against the others", "", *people)


def _compared(what: str, more: str, other: Figure, side: Side) -> str:
    said = {
        "above": "It is surely better than",
        "below": "It is surely worse than",
        "not told apart": "The data cannot tell it apart from",
    }[side]
    return f"{said} {what}: {escape(more)}{number(other.value or 0.0)}."


def _of_many(board: Board, lead: str) -> Iterator[str]:
    own = board.aggregate(lead)
    if own is not None and own.value is not None:
        yield (
            f"It stands at <strong>{number(own.value)}</strong>{_reach(own)}, where random answers "
            "stand at 0 and perfect agreement with people at 1."
        )
        best = _best_rule(board)
        if best is not None:
            yield _compared(
                "the best simple rule", f"{board.label(best.system)}, ", best, apart(own, best)
            )
    for what, found in (
        ("the best simple rule there", [board.against_rules(b, lead) for b in board.benchmarks]),
        ("one person", [board.against_people(b, lead) for b in board.benchmarks]),
    ):
        sides = [each[1] for each in found if each is not None]
        if sides:
            yield f"Set by set, against {what}: {_tally(sides)}."


def _tally(sides: Sequence[Side]) -> str:
    """How often each answer came out, those that never did left out."""
    counts = [
        (said, sides.count(side))
        for side, said in (
            ("above", "surely better on"),
            ("below", "surely worse on"),
            ("not told apart", "not told apart on"),
        )
    ]
    whole = f"of {_of(len(sides), 'set')}"
    if len(set(sides)) == 1:
        return (
            f"{next(said for said, n in counts if n)} {'all ' if len(sides) > 1 else ''}{whole[3:]}"
        )
    told = [f"{said} {n}" for said, n in counts if n]
    return f"{', '.join(told)} {whole}"


def _best_rule(board: Board) -> Figure | None:
    """The baseline that stands highest over all sets; none that is known on some of them only."""
    rules = [board.aggregate(system) for system in board.of_kind("baseline")]
    known = [f for f in rules if f and f.value is not None and board.everywhere(f)]
    return max(known, key=lambda f: f.value or 0.0, default=None)


def _glance(board: Board) -> str:
    """Judge, best rule and one person on one line; empty where there is no figure."""
    lead = board.lead
    if lead is None:
        return ""
    if len(board.benchmarks) == 1:
        benchmark = board.benchmarks[0]
        own = board.main(benchmark, lead)
        others = [board.best("baseline", benchmark), board.best("people", benchmark)]
        title = title_of(own.metric) if own else ""
        marks = _reference(own.metric) if own else {}
    else:
        own = board.aggregate(lead)
        # People are known on some sets only: their mean over those is no match for the others.
        others = [_best_rule(board)]
        title, marks = "All sets together", _WHOLE
    if own is None or own.value is None:
        return ""
    names = {"judge": lead, "baseline": "best simple rule", "people": "one person"}
    rows = [
        _row(names[board.kind(figure.system)], figure, board)
        for figure in (own, *others)
        if figure is not None
    ]
    return svg.forest(rows, title=title, headings=False, **marks)


def _overview(board: Board) -> str:
    lead = board.lead
    if lead is None:
        return ""
    lines = []
    for benchmark in board.benchmarks:
        own, coverage = board.main(benchmark, lead), board.figure(benchmark, lead, "coverage")
        if own is None:
            continue
        lines.append(
            f'<tr><th scope="row"><a href="#{_slug(benchmark)}" dir="auto">'
            f"{escape(_title(board, benchmark))}</a>{_exposure(board, benchmark)}</th>"
            + _cell("Metric", escape(title_of(own.metric)))
            + _cell("Figure", _figure(own))
            + _cell("Best rule", _chip(board, board.against_rules(benchmark, lead)))
            + _cell("One person", _chip(board, board.against_people(benchmark, lead), named=False))
            + _cell("Judged", _coverage(coverage))
            + "</tr>"
        )
    heads = (
        "Benchmark",
        "Metric",
        "Figure",
        "Against the best rule",
        "Against one person",
        "Judged",
    )
    return (
        f'<section aria-labelledby="h-sets"><h2 id="h-sets">Set by set: {escape(lead)}</h2>'
        '<div class="table-room"><table class="figures cards-on-phone"><thead><tr>'
        + "".join(f'<th scope="col">{head}</th>' for head in heads)
        + f"</tr></thead><tbody>{''.join(lines)}</tbody></table></div></section>"
    )


def _cell(name: str, content: str) -> str:
    return f'<td data-name="{name}"><span>{content}</span></td>'


def _figure(figure: Figure) -> str:
    if figure.value is None:
        return f"<small>none: {escape(figure.undefined)}</small>"
    return f'<span class="keep"><b>{number(figure.value)}</b> <small>{_ends(figure)}</small></span>'


def _chip(board: Board, found: tuple[Figure, Side] | None, *, named: bool = True) -> str:
    if found is None:
        return "<small>not known</small>"
    other, side = found
    kind, said = _ANSWER[side]
    value = "" if other.value is None else number(other.value)
    name = f"{escape(board.label(other.system))} " if named else ""
    return f'<span class="answer {kind}">{said}</span> <small>{name}{value}</small>'


def _coverage(figure: Figure | None) -> str:
    if figure is None or not figure.asked:
        return "<small>not known</small>"
    said = "all" if figure.judged == figure.asked else _percent(figure.judged, figure.asked)
    return f'<span class="keep">{said} <small>of {figure.asked:,}</small></span>'


# Charts over all sets ---------------------------------------------------------------------------


def _whole(board: Board) -> str:
    """The aggregate of every system, and the leading judge's main metrics set by set."""
    if len(board.benchmarks) < 2:
        return ""
    plots = []
    wholes = [f for s in _ordered(board) if (f := board.aggregate(s)) is not None]
    if wholes:
        plots.append(
            svg.forest(
                [
                    _row(
                        board.label(f.system)
                        + ("" if board.everywhere(f) else " (some sets only)"),
                        f,
                        board,
                    )
                    for f in wholes
                ],
                title="All sets together: random is 0, perfect is 1",
                **_WHOLE,
            )
        )
    if board.lead is not None:
        kinds = [(f, e) for e in EXPOSURES if (f := board.aggregate(board.lead, e)) is not None]
        if kinds:
            plots.append(
                svg.forest(
                    [_row(_capital(exposure), f, board) for f, exposure in kinds],
                    title=f"{board.lead}: by what was trained on",
                    first="Sets",
                    **_WHOLE,
                )
            )
        groups: dict[str, list[svg.Row]] = {}
        for benchmark in board.benchmarks:
            own = board.main(benchmark, board.lead)
            if own is not None:
                row = _row(_title(board, benchmark), own, board)
                groups.setdefault(own.metric, []).append(row)
        plots += [
            svg.forest(
                rows, title=f"{board.lead}: {title_of(metric)}", first="Set", **_reference(metric)
            )
            for metric, rows in groups.items()
            # One set alone is in the table above.
            if len(rows) > 1
        ]
    return (
        '<section aria-labelledby="h-whole"><h2 id="h-whole">Side by side</h2>'
        f"{''.join(plots)}</section>"
    )


def _ordered(board: Board) -> list[str]:
    return [*board.of_kind("judge"), *board.of_kind("baseline"), *board.of_kind("people")]


def _row(label: str, figure: Figure, board: Board) -> svg.Row:
    return svg.Row(
        label=label,
        value=figure.value,
        low=figure.low,
        high=figure.high,
        n=figure.n,
        kind=board.kind(figure.system),
        note=figure.undefined,
    )


def _reference(metric: str) -> dict[str, Any]:
    known = metric_of(metric)
    if known is None or known.chance is None:
        return {}
    return {"reference": known.chance, "reference_label": "random answers"}


# One benchmark ----------------------------------------------------------------------------------


def _benchmark(board: Board, benchmark: str, answers: Answers | None) -> str:
    about = board.about(benchmark)
    metrics = board.metrics(benchmark)
    slug = _slug(benchmark)
    parts = [
        f'<section class="bench" id="{slug}" aria-labelledby="h-{slug}">'
        f'<h2 id="h-{slug}" dir="auto">{escape(_title(board, benchmark))}</h2>',
        _about(about, benchmark, len(board.results.samples.get(benchmark, ()))),
    ]
    plots = [_systems(board, benchmark, metric) for metric in metrics]
    parts += plots[:1]
    if len(plots) > 1:
        names = ", ".join(escape(title_of(metric)) for metric in metrics[1:])
        parts.append(
            f'<details class="more"><summary>Other metrics: {names}</summary>'
            f"{''.join(plots[1:])}</details>"
        )
    if board.lead is not None and metrics:
        parts += [_split(board, benchmark, metrics[0], by) for by in get_args(Split)]
    if answers is not None:
        charts = drawings(answers, pairs=about.get("kind") == "pairs")
        if charts:
            parts.append(f"<h3>What {escape(answers.scored.system)} answered</h3>{charts}")
    parts.append(_differences(board, benchmark))
    if answers is not None:
        parts.append(_disagreements(answers.worst))
    return "".join((*parts, "</section>"))


def _about(about: dict[str, Any], name: str, n: int) -> str:
    facts = {
        "Name": name,
        "Items": f"{n:,}" if n else "",
        "Labels by": about.get("labels_by", ""),
        "Kind": about.get("family", ""),
        "Languages": ", ".join(about.get("languages", ())),
        "Licence": about.get("licence", ""),
        "Training": about.get("exposure") or "",
    }
    listed = "".join(
        f'<div><dt>{term}</dt><dd dir="auto">{escape(str(said))}</dd></div>'
        for term, said in facts.items()
        if said
    )
    note = about.get("note", "")
    return f'<dl class="about">{listed}</dl>' + (
        f'<p class="set-note" dir="auto">{escape(note)}</p>' if note else ""
    )


def _systems(board: Board, benchmark: str, metric: str) -> str:
    found = [(s, board.figure(benchmark, s, metric)) for s in _ordered(board)]
    rows = [
        _row(board.label(system), figure, board) for system, figure in found if figure is not None
    ]
    runs = {"lower": " (lower is better)", "middle": " (0.5 is best)"}.get(better(metric), "")
    return svg.forest(rows, title=title_of(metric) + runs, **_reference(metric)) if rows else ""


def _split(board: Board, benchmark: str, metric: str, by: Split) -> str:
    """The leading judge's figures by part or by subset, folded."""
    lead = board.lead
    inside = [
        f
        for f in board.results.figures
        if (f.benchmark, f.system, f.metric, f.protocol) == (benchmark, lead, metric, "strict")
        and f.part
        and f.by == by
    ]
    if not inside:
        return ""
    rows = [_row(f.part, f, board) for f in inside]
    plot = svg.forest(
        rows, title=f"{lead}: {title_of(metric)} by {by}", first=_capital(by), **_reference(metric)
    )
    return f'<details class="more"><summary>By {by} ({len(rows)})</summary>{plot}</details>'


def _differences(board: Board, benchmark: str) -> str:
    differences = [d for d in board.results.differences if d.benchmark == benchmark]
    if not differences:
        return ""
    lines = []
    for d in differences:
        kind, said = _ANSWER[side_of(d)] if d.value is not None else ("", "no test")
        if d.value is None:
            found = f"<small>none: {escape(d.undefined)}</small>"
        else:
            reach = (
                "" if d.low is None or d.high is None else f"{_signed(d.low)} to {_signed(d.high)}"
            )
            found = f"<b>{_signed(d.value)}</b> <small>{reach}</small>"
        lines.append(
            f'<tr><th scope="row" dir="auto">{escape(d.a)} <small>against</small> '
            f"{escape(board.label(d.b))}</th>{_cell('Difference', found)}"
            f"{_cell('n', f'{d.n:,}')}{_cell('p', _p(d.p))}"
            f"{_cell('p, corrected', _p(d.p_adjusted))}"
            + _cell("Answer", f'<span class="answer {kind}">{said}</span>')
            + "</tr>"
        )
    title = title_of(differences[0].metric)
    heads = ("Systems", f"{title}, difference", "n", "p", "p, corrected", "Answer")
    return (
        "<h3>Compared on the same items</h3>"
        '<div class="table-room"><table class="figures cards-on-phone"><thead><tr>'
        + "".join(f'<th scope="col">{escape(head)}</th>' for head in heads)
        + f"</tr></thead><tbody>{''.join(lines)}</tbody></table></div>"
    )


# Disagreements ----------------------------------------------------------------------------------


def _disagreements(worst: Sequence[Disagreement]) -> str:
    if not worst:
        return ""
    return (
        "<h3>Where judge and people are farthest apart</h3>"
        '<p class="aside near">At most one of each prompt or document. The label may be wrong, too.'
        f"</p>{''.join(map(_disagreement, worst))}"
    )


def _disagreement(found: Disagreement) -> str:
    item = found.item
    first = " ".join(item.sample.judged[0].text.split())[:160] or "(empty)"
    if item.is_pair:
        gold = {0.0: "first", 1.0: "second"}.get(item.gold, "tie")
        judge = "first" if found.score < 0.5 else "second" if found.score > 0.5 else "tie"
        told = f"Probability that the second is better: {found.score:.2f}"
    else:
        gold, judge = _label(item.gold), number(found.score)
        low, high = item.scale
        told = f"on a scale of {svg.short(low)} to {svg.short(high)}"
    summary = (
        f'<summary><span class="brief" dir="auto">{escape(first)}</span>'
        f"<span><small>people</small> <b>{gold}</b></span>"
        f"<span><small>judge</small> <b>{judge}</b></span></summary>"
    )
    texts = "".join(_field(found, name) for name in (field.name for field in item.sample.fields))
    return (
        f'<details class="disagreement">{summary}<div class="two"><div>{texts}</div>'
        f'<div class="why">{_why(found, gold, judge, told)}</div></div></details>'
    )


def _field(found: Disagreement, name: str) -> str:
    sample = found.item.sample
    judged = any(field.name == name for field in sample.judged)
    text = excerpt(sample[name], name, found.highlights, _MOST_TEXT)
    tag = '<span class="tag">judged</span>' if judged else ""
    return (
        f'<article class="field{" judged" if judged else ""}"><h3><span dir="auto">{escape(name)}'
        f'</span>{tag}</h3><div class="text" dir="auto">'
        f"{text or '<span class=nil>empty</span>'}</div></article>"
    )


def _why(found: Disagreement, gold: str, judge: str, told: str) -> str:
    item = found.item
    question = _BRACED.sub(r"<b>\1</b>", escape(item.criterion.question.strip()))
    parts = [
        f'<div><p class="score-line">{judge}<small>{told}</small></p>'
        f'<p class="meaning">People: <b>{gold}</b>'
        + (f" ({', '.join(map(_label, item.ratings))})" if len(item.ratings) > 1 else "")
        + f"</p></div><div><h3>{escape(item.criterion.heading)}</h3>"
        f'<p class="reasoning" dir="auto">{question}</p></div>'
    ]
    if found.flipped:
        parts.append(
            '<p class="aside-notice">The two orders named different winners: what was shown first '
            "decided.</p>"
        )
    if found.reasoning:
        parts.append(
            f'<div><h3>The judge’s reasoning</h3><p class="reasoning" dir="auto">'
            f"{escape(found.reasoning)}</p></div>"
        )
    quotes = [(n, h) for n, h in enumerate(found.highlights, start=1)]
    if quotes:
        listed = "".join(
            f'<li><b>{n}</b><span dir="auto">{escape(h.phrase)}'
            + ("" if h.spans else " <small>not found in the text</small>")
            + "</span></li>"
            for n, h in quotes
        )
        parts.append(f'<div><h3>What it called decisive</h3><ol class="quotes">{listed}</ol></div>')
    if item.reason:
        parts.append(
            f'<div><h3>What people wrote</h3><p class="reasoning" dir="auto">{escape(item.reason)}'
            "</p></div>"
        )
    parts.append(
        f'<dl class="facts"><div><dt>Sample</dt><dd dir="auto">{escape(item.sample.id)}</dd></div>'
        f'<div><dt>Part</dt><dd dir="auto">{escape(item.part)}</dd></div></dl>'
    )
    return "".join(parts)


# The end ----------------------------------------------------------------------------------------


def _notes(results: Results) -> str:
    lost = _listed("lost", "What was not judged", map(str, results.lost))
    odd = _listed("odd", "What was odd about the data", results.notes)
    return (
        f'{lost}{odd}<section class="reading" aria-labelledby="h-read"><h2 id="h-read">How to read '
        f"these figures</h2>{_READING}</section>"
    )


def _listed(name: str, heading: str, lines: Iterable[str]) -> str:
    """A section of lines; nothing where there are none."""
    listed = "".join(f'<li dir="auto">{escape(line)}</li>' for line in lines)
    if not listed:
        return ""
    return (
        f'<section aria-labelledby="h-{name}"><h2 id="h-{name}">{heading}</h2>'
        f'<ul class="notes">{listed}</ul></section>'
    )


def _percent(part: int, whole: int) -> str:
    """Rounded down: 100 % is said only of all."""
    return f"{1000 * part // whole / 10:.1f}&nbsp;%"


def _label(value: float) -> str:
    return svg.short(round(value, 2))


def _inside(title: str) -> str:
    """A title inside a sentence: `Accuracy` is no name, `AUC` and `Pearson's r` are."""
    plain = title[:1].isupper() and title[1:].split("'")[0].islower() and "'" not in title
    return title[0].lower() + title[1:] if plain else title


def _title(board: Board, benchmark: str) -> str:
    return str(board.about(benchmark).get("title") or benchmark)


def _exposure(board: Board, benchmark: str) -> str:
    exposure = board.about(benchmark).get("exposure")
    return f" <small>{escape(exposure)}</small>" if exposure else ""


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _reach(figure: Figure) -> str:
    if figure.low is None or figure.high is None:
        return f" ({figure.n:,} items)"
    return f" (95&nbsp;% interval {_ends(figure)}, {figure.n:,} items)"


def _ends(figure: Figure) -> str:
    if figure.low is None or figure.high is None:
        return ""
    return f"{number(figure.low)} to {number(figure.high)}"


def _signed(value: float) -> str:
    return ("+" if number(value)[0] not in "\N{MINUS SIGN}" and value > 0 else "") + number(value)


def _p(p: float | None) -> str:
    if p is None:
        return "<small>none</small>"
    return "&lt;0.001" if p < 0.001 else f"{p:.3f}"


def _of(n: int, what: str) -> str:
    words = {1: "One", 2: "Two", 3: "Three"} if what == "judge" else {}
    return f"{words.get(n, f'{n:,}')} {what}{'' if n == 1 else 's'}"


def _slug(benchmark: str) -> str:
    # Any name is a good fragment by its hash.
    return "b-" + hashlib.sha256(benchmark.encode("utf-8", "replace")).hexdigest()[:10]


def _date(stamp: str) -> str:
    try:
        when = datetime.fromisoformat(stamp)
    except ValueError:
        return stamp
    return f"{when.day} {when:%B %Y}"
