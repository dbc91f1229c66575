"""The figures of a run as HTML: headline, one card per criterion, the table of failures.

Draws what `summary.py` has counted and counts nothing itself. A criterion comes as its part of
`summary.json` (`figures`), with its tally for the comparisons. All text of a run is escaped here.
"""

import hashlib
import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from glider.core.criteria import Criterion
from glider.report.summary import Reasons, Tally

Figures = Mapping[str, Any]
"""One criterion's part of `summary.json`."""

_BRIEF = 180
"""Code points of a text that is shown in one line."""
_BRACED = re.compile(r"\{(\w+)\}")

FAILURE_HELP: Mapping[str, tuple[str, str, str]] = {
    "missing_field": (
        "Field missing",
        "The criterion speaks of a field that the sample does not have.",
        "Add the field to the input, or map a column to it.",
    ),
    "task": (
        "Could not be asked",
        "This sample cannot be put to this criterion.",
        "Compare the sample's fields with what the criterion asks about.",
    ),
    "unavailable": (
        "Judge not reachable",
        "The judge's engine could not be reached, or the connection was lost.",
        "See that it is running, then resume the run.",
    ),
    "timeout": (
        "No answer in time",
        "The judge gave no whole answer before the deadline.",
        "Allow more time or send fewer requests at once, then resume the run.",
    ),
    "rate_limited": (
        "Asked to wait",
        "The provider refused because too much was asked in too short a time.",
        "Send fewer requests at once, then resume the run.",
    ),
    "bad_response": (
        "Garbled response",
        "The endpoint sent back something that is not an answer.",
        "Check the address, and any proxy in between, then resume the run.",
    ),
    "refused": (
        "Request refused",
        "The endpoint will not take this request, whenever it is asked.",
        "Read what it says; change the request's settings or the model.",
    ),
    "access_refused": (
        "No access",
        "The endpoint takes nothing from us: wrong key, no credit, or no such model.",
        "Check the key, the account and the name of the model, then resume the run.",
    ),
    "no_answer": (
        "Answer elsewhere",
        "The model wrote nothing but its thinking, which the server keeps apart.",
        "Start the server without its reasoning parser, or switch thinking off.",
    ),
    "filtered": (
        "Held back by a filter",
        "The provider's content filter held the answer back.",
        "Judge these rows with a local model, or another provider.",
    ),
    "prompt_too_long": (
        "Text too long",
        "The texts do not fit the judge's context.",
        "Shorten them, allow truncation, or use a judge with a longer context.",
    ),
    "budget_spent": (
        "Budget spent",
        "The run's cost limit was reached, so this was not asked.",
        "Raise the limit and resume the run.",
    ),
    "backend": (
        "No answer",
        "The judge's engine gave no answer.",
        "Read the message, then resume the run.",
    ),
    "truncated": (
        "Answer cut off",
        "The judge's answer reached its length limit before it was complete.",
        "Raise the limit on the answer's length (max_tokens).",
    ),
    "missing_part": (
        "Answer incomplete",
        "The judge answered, but left out a part that is needed, such as the score.",
        "Read the raw answer; a model or format that can be held to its form avoids this.",
    ),
    "score_outside_rubric": (
        "Score not in the rubric",
        "The judge wrote a score that the rubric does not have.",
        "Read the raw answer; describe the missing level, or use a format that allows no other.",
    ),
    "unreadable": (
        "Answer not readable",
        "The judge answered, but no judgment could be read from it.",
        "Read the raw answer; perhaps the format does not suit the model.",
    ),
    "bad_record": (
        "Row not readable",
        "This row of the input is not a sample, so nothing could be asked.",
        "Correct the row in the input file.",
    ),
    "data": (
        "Input not readable",
        "The input could not be read at this row.",
        "Correct the input file.",
    ),
    "schema_version": (
        "Newer than this Glider",
        "The record was written by a newer Glider than the one that read it.",
        "Update Glider.",
    ),
}
"""Failure code to a title, what happened, and what to do about it."""
NO_HELP = (
    "The judgment could not be made; the message says why.",
    "Read the message, then resume the run.",
)


def headline(
    criteria: Sequence[Criterion], tallies: Mapping[str, Tally], figures: Mapping[str, Figures]
) -> str:
    """What the run came to: judged, failed, and every criterion's mean on its own scale."""
    asked = sum(row["asked"] for row in figures.values())
    judged = sum(row["judged"] for row in figures.values())
    failed = sum(row["failed"] for row in figures.values())
    share = f"{100 * judged / asked:.2f}" if asked else "0"
    failed_note = '<a href="#failures">See the reasons</a>' if failed else "Every one was judged"
    means = "".join(_mean_line(c, tallies[c.name], figures[c.name]) for c in criteria)
    return (
        '<section class="headline" aria-label="Figures"><div class="totals">'
        f'<div class="total"><h2>Judged</h2><p class="big">{judged:,}'
        f'<small> of {asked:,}</small></p><span class="track"><i style="width:{share}%"></i></span>'
        f'<p class="under">Coverage {coverage(judged, asked)}</p></div>'
        f'<div class="total{" bad" if failed else ""}"><h2>Failed</h2>'
        f'<p class="big">{failed:,}</p><p class="under">{failed_note}</p></div></div>'
        '<div class="means"><h2>Mean score <small>with 95&nbsp;% interval</small></h2>'
        f"{means}</div></section>"
    )


def _mean_line(criterion: Criterion, tally: Tally, figures: Figures) -> str:
    """One criterion: name, the interval drawn on its own scale, the numbers."""
    # Scores beyond the rubric: see _distribution.
    counts = _counts(figures)
    scores = sorted({*criterion.rubric.scores, *counts})
    low, high = scores[0], scores[-1]
    name = (
        f'<a class="name" dir="auto" href="#c-{_slug(criterion)}">{escape(criterion.heading)}</a>'
    )
    if tally.wins and not tally.scores:
        said = f"pairs, no score<br>n&nbsp;=&nbsp;{figures['judged']:,}"
        return f'<div class="mean">{name}{_duel(tally)}<span class="none">{said}</span></div>'
    if "mean" not in figures:
        alike = [score for score, n in counts.items() if n]
        said = f"every score is {alike[0]}" if figures["judged"] > 1 else "not enough judged"
        said += f"<br>n&nbsp;=&nbsp;{figures['judged']:,}"
        return f'<div class="mean">{name}<span></span><span class="none">{said}</span></div>'

    def place(value: float) -> float:
        return round(100 * (value - low) / (high - low), 2)

    # No mean lies off the scale, so neither need its interval.
    mean, lower, upper = figures["mean"], max(figures["low"], low), min(figures["high"], high)
    left, right = place(lower), place(upper)
    band = f'<i style="left:{left}%;width:{max(right - left, 0.6):.2f}%"></i>'
    said = f"{lower:.2f} to {upper:.2f}"
    ticks = "".join(f'<s style="left:{place(score)}%"></s>' for score in scores)
    return (
        f'<div class="mean">{name}<span class="scale" aria-hidden="true"><small>{low}</small>'
        f'<span class="axis">{ticks}{band}<b style="left:{place(mean)}%"></b></span>'
        f'<small>{high}</small></span><span class="value"><strong>{mean:.2f}</strong>'
        f"<small>{said}<br>n&nbsp;=&nbsp;{figures['judged']:,}</small></span></div>"
    )


def card(criterion: Criterion, tally: Tally, figures: Figures) -> str:
    """One criterion: its question, and how often each score or winner came out."""
    name = escape(criterion.name)
    question = _BRACED.sub(r"<b>\1</b>", escape(criterion.question.strip()))
    parts = [
        f'<article class="card" id="c-{_slug(criterion)}"><header>'
        f'<h3 dir="auto">{escape(criterion.heading)}</h3><code>{name}</code></header>'
        f'<p class="question" dir="auto">{question}</p>'
    ]
    if tally.wins:
        parts.append(_wins(name, tally))
    if not tally.wins or tally.scores:
        parts.append(_distribution(criterion, figures))
    reasons = "".join(
        f"<li><span>{escape(failure_title(key))}</span><span>{count:,}</span></li>"
        for key, count in figures["failures"].items()
    )
    asked, failed = figures["asked"], figures["failed"]
    parts.append(
        f'<div class="lost"><h4>Failed <span>{failed:,} of {asked:,}</span></h4>'
        f"<ul>{reasons}</ul></div></article>"
        if failed
        else f'<p class="all">All {asked:,} judged</p></article>'
    )
    return "".join(parts)


def _distribution(criterion: Criterion, figures: Figures) -> str:
    name = escape(criterion.name)
    # Rows that bring their own criterion may have other levels under the same name.
    counts = _counts(figures)
    levels = dict.fromkeys(sorted(counts), "") | dict(criterion.rubric.levels)
    total = sum(counts.values())
    lines = "".join(
        f'<li><button type="button" data-criterion="{name}" data-score="{score}">'
        f'<span class="level">{score}</span><span class="track">'
        f'<i style="width:{100 * counts.get(score, 0) / max(total, 1):.2f}%"></i></span>'
        f'<span class="count">{counts.get(score, 0):,}'
        f"<small>{escape(share_of(counts.get(score, 0), total))}</small></span>"
        f'<span class="what" dir="auto">{escape(description)}</span></button></li>'
        for score, description in sorted(levels.items(), reverse=True)
    )
    return f'<ol class="levels" aria-label="Scores given; each opens its rows">{lines}</ol>'


def _wins(name: str, tally: Tally) -> str:
    """Who won how often, and how often the order of showing decided."""
    shown = _duel_lines(name, tally) if len(tally.pairs) == 1 else _league(tally)
    both = tally.both_orders
    flips = (
        f"<strong>{escape(share_of(tally.flipped, both))}</strong> changed winner when the "
        f"order was swapped ({tally.flipped:,} of {both:,} judged in both orders)"
        if both
        else "None was judged in both orders, so no flip rate"
    )
    return f'{shown}<p class="flips">{flips}</p>'


def _duel_lines(name: str, tally: Tally) -> str:
    ((first, second),) = tally.pairs
    total = tally.places.total()
    kinds = (("first", f"{first} better"), ("tie", "Tie"), ("second", f"{second} better"))
    lines = "".join(
        f'<li><button type="button" data-criterion="{name}" data-score="{kind}">'
        f'<span class="swatch {kind}"></span><span class="what" dir="auto">{escape(said)}</span>'
        f'<span class="count">{tally.places[kind]:,}'
        f"<small>{escape(share_of(tally.places[kind], total))}</small></span></button></li>"
        for kind, said in kinds
    )
    return f'{_duel(tally)}<ol class="wins" aria-label="Winners; each opens its rows">{lines}</ol>'


def _league(tally: Tally) -> str:
    """Several outputs, each against each: every field's wins over its comparisons."""
    played: Counter[str] = Counter()
    for pair, count in tally.pairs.items():
        played.update(dict.fromkeys(pair, count))
    lines = "".join(
        f'<li><span class="what" dir="auto">{escape(field)}</span><span class="track">'
        f'<i style="width:{100 * tally.wins[field] / count:.2f}%"></i></span>'
        f'<span class="count">{tally.wins[field]:,}<small>of {count:,}</small></span></li>'
        for field, count in sorted(played.items(), key=lambda item: -tally.wins[item[0]] / item[1])
    )
    return f'<ol class="league" aria-label="Wins over comparisons">{lines}</ol>'


def _duel(tally: Tally) -> str:
    parts = "".join(
        f'<i class="{kind}" style="flex-grow:{tally.places[kind]}"></i>'
        for kind in ("first", "tie", "second")
    )
    return f'<span class="duel" aria-hidden="true">{parts}</span>'


def failure_table(reasons: Reasons) -> str:
    """Why judgments were lost, the commonest reason first; nothing if none was."""
    if not reasons.counts:
        return ""
    lines = []
    for key, count in reasons.counts.most_common():
        code = key.partition("/")[2]
        happened, remedy = FAILURE_HELP[code][1:] if code in FAILURE_HELP else NO_HELP
        lines.append(
            f'<tr><td><button type="button" class="link" data-failure="{escape(code)}">'
            f"{count:,}</button></td>"
            f"<td><strong>{escape(failure_title(key))}</strong><code>{escape(key)}</code></td>"
            f"<td>{escape(happened)} <em>{escape(remedy)}</em></td>"
            f'<td class="example" dir="auto">{escape(brief(reasons.examples[key]))}</td></tr>'
        )
    return (
        '<section id="failures" aria-labelledby="h-failures"><h2 id="h-failures">Failures</h2>'
        "<p>A judgment that could not be made is never a score. It counts as asked in every "
        'figure above.</p><table class="failures"><thead><tr><th scope="col">Lost</th>'
        '<th scope="col">Reason</th><th scope="col">What happened, what to do</th>'
        f'<th scope="col">For example</th></tr></thead><tbody>{"".join(lines)}</tbody></table>'
        "</section>"
    )


def failure_title(key: str) -> str:
    """A few plain words for `stage/code`."""
    code = key.partition("/")[2]
    return FAILURE_HELP[code][0] if code in FAILURE_HELP else code.replace("_", " ").capitalize()


def coverage(judged: int, asked: int) -> str:
    """Judged over asked, rounded down: 100 % is said only when nothing failed."""
    return f"{math.floor(1000 * judged / asked) / 10:.1f}\N{NBSP}%" if asked else "unknown"


def share_of(count: int, total: int) -> str:
    """A whole percentage; never 0 for something, nor 100 for less than all."""
    if not total:
        return "\N{EN DASH}"
    percent = 100 * count / total
    if 0 < percent < 1:
        return "<1\N{NBSP}%"
    if 99 < percent < 100:
        return ">99\N{NBSP}%"
    return f"{percent:.0f}\N{NBSP}%"


def _counts(figures: Figures) -> dict[int, int]:
    """Score to how often; JSON has only texts for keys."""
    return {int(score): n for score, n in figures.get("counts", {}).items()}


def _slug(criterion: Criterion) -> str:
    return hashlib.sha256(criterion.name.encode("utf-8", "replace")).hexdigest()[:10]


def brief(text: str) -> str:
    """The beginning of a text, in one line."""
    text = " ".join(text.split())
    return text if len(text) <= _BRIEF else text[: _BRIEF - 1].rstrip() + "…"
