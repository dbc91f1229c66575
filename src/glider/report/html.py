"""A run folder as one HTML page that opens from disk, talks to nobody and can be sent by mail.

The page holds every outcome; figures and cards are plain HTML, the table and the detail view are
drawn by `report.js` from JSON blocks. Each sample's texts, reasonings and raw answers are embedded
up to a stated budget, in row order; later rows are listed without them, and the page says so.
Nothing here asks a model or changes a run.

All text of a run is other people's: it reaches the page escaped, as JSON that cannot end its
block, and is drawn as text nodes under a policy that allows this page's one script and no request.
Where the journal has several outcomes for one row and criterion (and pair), the last one counts.
"""

import base64
import hashlib
import json
import math
import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from html import escape
from importlib.resources import files
from itertools import groupby
from pathlib import Path
from string import Template
from typing import Any, Self

from pydantic import ValidationError

from glider.core.criteria import Criterion
from glider.core.errors import BadRecord
from glider.core.judgments import Comparison, Failure, Judgment, outcome_from
from glider.stats.estimates import Estimate, Undefined, mean
from glider.store.manifest import Manifest
from glider.store.run import load_criteria, load_manifest

TEXT_BUDGET_BYTES = 40_000_000
"""Most that the embedded texts, reasonings and raw answers may take of the page."""

_BLOCK_BYTES = 262_144
"""The browser reads one such block when a row is opened: small enough not to be felt."""
_BRIEF = 180
"""Code points of a reasoning shown in the table."""
_LOW_MASS = 0.5
NO_CRITERION = ""
"""Under this name stand rows that failed before it was known what to ask of them."""
_BRACED = re.compile(r"\{(\w+)\}")
_UNSAFE = re.compile("[<>&\u2028\u2029\ud800-\udfff]")

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
        "The provider will not take this request: key, permission or model name.",
        "Check the key and the name of the model.",
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
_NO_HELP = (
    "The judgment could not be made; the message says why.",
    "Read the message, then resume the run.",
)


def build_report(run: Path, out: Path, *, text_budget: int = TEXT_BUDGET_BYTES) -> None:
    """Write the report of a run.

    Holds one line of figures per outcome and the embedded texts in memory (about 0.2 GB for
    100,000 outcomes), never the whole run.

    Args:
        run: folder with `manifest.json`, `criteria.json`, `journal.jsonl`, `samples.jsonl`, and
            `summary.json` where the run is finished: its figures are shown as they are.
        out: the page; replaced as a whole once it is complete.
        text_budget: bytes of embedded texts, reasonings and raw answers.

    Raises:
        RunError: not a run folder.
        BadRecord: a line of the run that cannot be read. A last line cut by a crash is left out.
    """
    manifest = load_manifest(run)
    criteria = load_criteria(run)
    page = _Page(run, criteria, text_budget)
    figures = {name: tally.figures() for name, tally in page.tallies.items()}
    if (run / "summary.json").exists():
        stored = json.loads((run / "summary.json").read_bytes())["criteria"]
        figures |= {name: Figures.stored(stored[name]) for name in figures if name in stored}

    resources = files("glider.report")
    script = resources.joinpath("report.js").read_text("utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    title = escape(manifest.run_id)
    head, tail = resources.joinpath("template.html").read_text("utf-8").split("$data")
    shell = Template(head).substitute(
        policy=(
            "default-src 'none'; base-uri 'none'; form-action 'none'; img-src data:; "
            f"style-src 'unsafe-inline'; script-src 'sha256-{digest}'; "
            "require-trusted-types-for 'script'"
        ),
        title=title,
        css=resources.joinpath("report.css").read_text("utf-8"),
        js=script,
        about=_about(manifest, page.n_rows),
        figures=_headline(criteria, page.tallies, figures),
        cards="".join(_card(c, page.tallies[c.name], figures[c.name]) for c in criteria),
        failures=_failure_table(page.lost),
        texts_note=page.note(),
        rows=f"{len(page.rows):,}",
        colophon=_colophon(manifest),
    )
    partial = out.with_name(out.name + ".part")
    with partial.open("wb") as file:
        file.write(shell.encode(errors="replace"))
        for block in page.blocks():
            file.write(block)
        file.write(tail.encode())
    os.replace(partial, out)


# Figures ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Figures:
    """What one criterion came to."""

    asked: int
    judged: int
    failed: int
    mean: Estimate | Undefined
    counts: Mapping[int, int]
    failures: Mapping[str, int]
    """`stage/code` to how many."""

    @classmethod
    def stored(cls, data: Mapping[str, Any]) -> Self:
        """Read a criterion's part of `summary.json`."""
        counts = {int(score): n for score, n in data.get("counts", {}).items()}
        figure = mean({float(score): n for score, n in counts.items()}, skipped=data["failed"])
        if "mean" in data:
            figure = Estimate(
                data["mean"], data["low"], data["high"], data["judged"], data["failed"], "stored"
            )
        return cls(data["asked"], data["judged"], data["failed"], figure, counts, data["failures"])


@dataclass
class _Tally:
    """Counts of one criterion's outcomes while the journal is read."""

    scores: Counter[int] = field(default_factory=Counter)
    wins: Counter[str] = field(default_factory=Counter)
    """`first`, `second`, `tie` of comparisons."""
    won: Counter[str] = field(default_factory=Counter)
    """The same by the fields' own names, ties left out."""
    played: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Names of the compared fields to how often."""
    in_both_orders: int = 0
    flipped: int = 0
    failures: Counter[str] = field(default_factory=Counter)

    @property
    def asked(self) -> int:
        return self.scores.total() + self.wins.total() + self.failures.total()

    def figures(self) -> Figures:
        failed = self.failures.total()
        figure = mean({float(score): n for score, n in self.scores.items()}, skipped=failed)
        return Figures(self.asked, self.asked - failed, failed, figure, self.scores, self.failures)


@dataclass
class _Lost:
    """Failures for one reason."""

    count: int
    example: str
    """The first message."""


# The data of the page ---------------------------------------------------------------------------


class _Page:
    """Reads a run once through, row by row, into table lines, text blocks and tallies."""

    def __init__(self, run: Path, criteria: Sequence[Criterion], text_budget: int) -> None:
        self.criteria = criteria
        self.tallies = {c.name: _Tally() for c in criteria} | {NO_CRITERION: _Tally()}
        self.lost: dict[str, _Lost] = {}
        self.rows: list[bytes] = []
        self._texts: list[bytes] = []
        self._order = {c.name: number for number, c in enumerate(criteria)}
        self._budget = text_budget
        self._block: list[bytes] = []
        self._block_bytes = 0
        self._text_bytes = 0
        self._full_from: int | None = None
        self._with = 0
        self.n_rows = 0
        self._read(run)

    def _read(self, run: Path) -> None:
        journal, samples = run / "journal.jsonl", run / "samples.jsonl"
        places: dict[tuple[int, int, str, str], int] = {}
        for start, line in _lines(journal, "outcome"):
            outcome = line["outcome"]
            number = self._order.get(outcome["criterion"], -1)
            pair = outcome.get("first", ""), outcome.get("second", "")
            places[line["row"], number, *pair] = start
        texts_at = {line["row"]: start for start, line in _lines(samples, "fields")}
        with journal.open("rb") as outcomes, samples.open("rb") as texts:
            for row, keys in groupby(sorted(places), key=lambda key: key[0]):
                found = [(key[1], _at(outcomes, places[key])["outcome"]) for key in keys]
                sample = None
                if self._full_from is None and row in texts_at:
                    sample = _at(texts, texts_at[row])
                block = self._embed(row, sample, [data for _, data in found])
                for number, data in found:
                    self._list(row, number, data, block, journal)
                self.n_rows += 1
        self._close_block()

    def _embed(self, row: int, sample: Mapping[str, Any] | None, outcomes: list[Any]) -> int | None:
        """Put a row's texts into a block, if the budget has room; the block's number."""
        if self._full_from is None:
            packed = _pack(
                {
                    "fields": sample["fields"] if sample else None,
                    "metadata": sample.get("metadata", {}) if sample else {},
                    "outcomes": outcomes,
                }
            )
            if self._text_bytes + len(packed) <= self._budget:
                if self._block_bytes and self._block_bytes + len(packed) > _BLOCK_BYTES:
                    self._close_block()
                self._block.append(b'"%d":%s' % (row, packed))
                self._block_bytes += len(packed)
                self._text_bytes += len(packed)
                self._with += 1
                return len(self._texts)
            # From here on none, so that the page can say in one line which rows have texts.
            self._full_from = row
        return None

    def _close_block(self) -> None:
        if self._block:
            self._texts.append(b"{" + b",\n".join(self._block) + b"}")
            self._block, self._block_bytes = [], 0

    def _list(
        self, row: int, number: int, data: dict[str, Any], block: int | None, journal: Path
    ) -> None:
        """Count one outcome and write its line of the table."""
        try:
            outcome = outcome_from(data)
        except ValidationError as exc:
            raise BadRecord(
                f"row {row} has an outcome that cannot be read: {exc.errors()[0]['msg']}",
                path=str(journal),
                hint="was it written by a newer Glider?",
            ) from exc
        failure = _failure_of(outcome)
        if number < 0 and failure is None:
            raise BadRecord(
                f"row {row} has an outcome for {outcome.criterion!r}, not in criteria.json",
                path=str(journal),
            )
        name = self.criteria[number].name if number >= 0 else NO_CRITERION
        self._count(self.tallies[name], outcome, failure)
        value: int | str | None = None
        expected = doubt = None
        flags = ""
        if failure is not None:
            brief = failure.message
            lost = self.lost.setdefault(f"{failure.stage}/{failure.code}", _Lost(0, brief))
            lost.count += 1
        elif isinstance(outcome, Judgment):
            value, expected, doubt = outcome.score, outcome.expected, outcome.doubt
            brief = outcome.reasoning or ""
        else:
            assert isinstance(outcome, Comparison)
            value, expected = _winner(outcome), outcome.p_first
            judged = _judged(outcome)
            doubts = [j.doubt for j in judged if j.doubt is not None]
            doubt = sum(doubts) / len(doubts) if doubts else None
            brief = judged[0].reasoning or ""
            flags = "f" if outcome.flipped else ""
        parts = _judged(outcome)
        if any(part.mass is not None and part.mass < _LOW_MASS for part in parts):
            flags += "m"
        if any(part.cuts for part in parts):
            flags += "c"
        self.rows.append(
            _pack(
                [
                    row,
                    outcome.sample_id,
                    number,
                    value,
                    None if expected is None else round(expected, 4),
                    None if doubt is None else round(doubt, 4),
                    _brief(brief),
                    sum(len(part.highlights) for part in parts),
                    failure.code if failure else None,
                    flags,
                    [outcome.first, outcome.second] if isinstance(outcome, Comparison) else None,
                    block,
                ]
            )
        )

    def _count(
        self, tally: _Tally, outcome: Judgment | Failure | Comparison, failure: Failure | None
    ) -> None:
        if failure is not None:
            tally.failures[f"{failure.stage}/{failure.code}"] += 1
        elif isinstance(outcome, Judgment):
            tally.scores[outcome.score] += 1
        elif isinstance(outcome, Comparison):
            tally.wins[_winner(outcome)] += 1
            tally.played[outcome.first, outcome.second] += 1
            if outcome.preferred is not None:
                tally.won[outcome.preferred] += 1
            tally.in_both_orders += outcome.flipped is not None
            tally.flipped += bool(outcome.flipped)

    def blocks(self) -> Iterator[bytes]:
        """The page's data: the table's lines, then the texts."""
        criteria = [
            {"name": c.name, "title": c.heading, "question": c.question, "levels": c.rubric.levels}
            for c in self.criteria
        ]
        head = _pack({"criteria": criteria, "help": FAILURE_HELP, "unknown": _NO_HELP})
        yield b'<script type="application/json" id="head">' + head + b"</script>\n"
        yield b'<script type="application/json" id="rows">['
        for number, row in enumerate(self.rows):
            yield b",\n" + row if number else row
        yield b"]</script>\n"
        for number, block in enumerate(self._texts):
            yield b'<script type="application/json" id="texts-%d">' % number
            yield block + b"</script>\n"

    def note(self) -> str:
        """Says which rows have no texts; nothing if all do."""
        if self._full_from is None:
            return ""
        return (
            f'<p class="notice">To keep this page light, it holds full texts and reasoning for the '
            f"first {self._with:,} rows only (limit {_megabytes(self._budget)}). The other "
            f"{self.n_rows - self._with:,}, from row {self._full_from:,} on, are listed with their "
            "scores and the beginning of the reasoning; search finds them by these. Their texts "
            "are in <code>samples.jsonl</code> and <code>journal.jsonl</code> of the run.</p>"
        )


def _judged(outcome: Judgment | Failure | Comparison) -> list[Judgment]:
    parts = outcome.orders if isinstance(outcome, Comparison) else (outcome,)
    return [part for part in parts if isinstance(part, Judgment)]


def _failure_of(outcome: Judgment | Failure | Comparison) -> Failure | None:
    """Why nothing was judged; None where something was."""
    if isinstance(outcome, Failure):
        return outcome
    if isinstance(outcome, Comparison) and outcome.p_first is None:
        return next(part for part in outcome.orders if isinstance(part, Failure))
    return None


def _winner(outcome: Comparison) -> str:
    if outcome.preferred is None:
        return "tie"
    return "first" if outcome.preferred == outcome.first else "second"


def _brief(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= _BRIEF else text[: _BRIEF - 1].rstrip() + "…"


# Files ------------------------------------------------------------------------------------------


def _loads(line: bytes) -> Any:
    # NaN and Infinity, which JSON does not have, would make the page's block unreadable.
    return json.loads(line, parse_constant=lambda _: None)


def _lines(path: Path, part: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """Where each line of a JSONL file begins, in bytes, and what it says of a row."""
    start = 0
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            try:
                record = _loads(line)
            except ValueError:
                if not line.endswith(b"\n"):
                    return
                raise BadRecord("not a line of JSON", path=str(path), line=number) from None
            if not isinstance(record, dict) or not {"row", part} <= record.keys():
                raise BadRecord(f"no row with {part}", path=str(path), line=number)
            yield start, record
            start += len(line)


def _at(file: Any, start: int) -> Any:
    file.seek(start)
    return _loads(file.readline())


def _pack(value: Any) -> bytes:
    """JSON that cannot end its script block; a lone surrogate stays one code point."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=dict)
    return _UNSAFE.sub(lambda match: f"\\u{ord(match[0]):04x}", text).encode()


# The shell, as HTML -----------------------------------------------------------------------------


def _about(manifest: Manifest, n_rows: int) -> str:
    model, _, form = manifest.judge.rpartition(" ")
    facts = [
        ("Model", model),
        ("Format", form),
        ("Date", _date(manifest.created_at)),
        ("Input", manifest.input_path),
        ("Rows", f"{n_rows:,}"),
    ]
    listed = "".join(
        f'<div><dt>{term}</dt><dd dir="auto">{escape(str(value))}</dd></div>'
        for term, value in facts
        if value
    )
    rest = "".join(
        f'<tr><th scope="row">{escape(key)}</th><td dir="auto">{escape(value)}</td></tr>'
        for key, value in _flat(manifest.model_dump())
    )
    return (
        f'<dl class="about">{listed}</dl>'
        f'<details class="manifest"><summary>Settings and versions</summary>'
        f"<table>{rest}</table></details>"
    )


def _flat(value: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for key, inner in value.items():
        if isinstance(inner, Mapping):
            yield from _flat(inner, f"{prefix}{key}.")
        else:
            plain = inner if isinstance(inner, str) else json.dumps(inner, ensure_ascii=False)
            yield f"{prefix}{key}", plain


def _headline(
    criteria: Sequence[Criterion], tallies: Mapping[str, _Tally], figures: Mapping[str, Figures]
) -> str:
    asked = sum(figure.asked for figure in figures.values())
    judged = sum(figure.judged for figure in figures.values())
    failed = sum(figure.failed for figure in figures.values())
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


def _mean_line(criterion: Criterion, tally: _Tally, figures: Figures) -> str:
    """One criterion: name, the interval drawn on its own scale, the numbers."""
    # Scores beyond the rubric: see _distribution.
    scores = sorted({*criterion.rubric.scores, *figures.counts})
    low, high = scores[0], scores[-1]
    name = (
        f'<a class="name" dir="auto" href="#c-{_slug(criterion)}">{escape(criterion.heading)}</a>'
    )
    if tally.wins and not tally.scores:
        said = f"pairs, no score<br>n&nbsp;=&nbsp;{figures.judged:,}"
        return f'<div class="mean">{name}{_duel(tally)}<span class="none">{said}</span></div>'
    if isinstance(figures.mean, Undefined):
        alike = [score for score, n in figures.counts.items() if n]
        said = f"every score is {alike[0]}" if figures.judged > 1 else "not enough judged"
        said += f"<br>n&nbsp;=&nbsp;{figures.judged:,}"
        return f'<div class="mean">{name}<span></span><span class="none">{said}</span></div>'

    def place(value: float) -> float:
        return round(100 * (value - low) / (high - low), 2)

    # No mean lies off the scale, so neither need its interval.
    lower, upper = max(figures.mean.low, low), min(figures.mean.high, high)
    left, right = place(lower), place(upper)
    band = f'<i style="left:{left}%;width:{max(right - left, 0.6):.2f}%"></i>'
    said = f"{lower:.2f} to {upper:.2f}"
    ticks = "".join(f'<s style="left:{place(score)}%"></s>' for score in scores)
    return (
        f'<div class="mean">{name}<span class="scale" aria-hidden="true"><small>{low}</small>'
        f'<span class="axis">{ticks}{band}<b style="left:{place(figures.mean.value)}%"></b></span>'
        f'<small>{high}</small></span><span class="value"><strong>{figures.mean.value:.2f}</strong>'
        f"<small>{said}<br>n&nbsp;=&nbsp;{figures.judged:,}</small></span></div>"
    )


def _card(criterion: Criterion, tally: _Tally, figures: Figures) -> str:
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
        for key, count in sorted(figures.failures.items(), key=lambda item: -item[1])
    )
    parts.append(
        f'<div class="lost"><h4>Failed <span>{figures.failed:,} of {figures.asked:,}</span></h4>'
        f"<ul>{reasons}</ul></div></article>"
        if figures.failed
        else f'<p class="all">All {figures.asked:,} judged</p></article>'
    )
    return "".join(parts)


def _distribution(criterion: Criterion, figures: Figures) -> str:
    name = escape(criterion.name)
    # Rows that bring their own criterion may have other levels under the same name.
    levels = dict.fromkeys(sorted(figures.counts), "") | dict(criterion.rubric.levels)
    total = sum(figures.counts.values())
    lines = "".join(
        f'<li><button type="button" data-criterion="{name}" data-score="{score}">'
        f'<span class="level">{score}</span><span class="track">'
        f'<i style="width:{100 * figures.counts.get(score, 0) / max(total, 1):.2f}%"></i></span>'
        f'<span class="count">{figures.counts.get(score, 0):,}'
        f"<small>{escape(share_of(figures.counts.get(score, 0), total))}</small></span>"
        f'<span class="what" dir="auto">{escape(description)}</span></button></li>'
        for score, description in sorted(levels.items(), reverse=True)
    )
    return f'<ol class="levels" aria-label="Scores given; each opens its rows">{lines}</ol>'


def _wins(name: str, tally: _Tally) -> str:
    """Who won how often, and how often the order of showing decided."""
    shown = _duel_lines(name, tally) if len(tally.played) == 1 else _league(tally)
    both = tally.in_both_orders
    flips = (
        f"<strong>{escape(share_of(tally.flipped, both))}</strong> changed winner when the "
        f"order was swapped ({tally.flipped:,} of {both:,} judged in both orders)"
        if both
        else "None was judged in both orders, so no flip rate"
    )
    return f'{shown}<p class="flips">{flips}</p>'


def _duel_lines(name: str, tally: _Tally) -> str:
    ((first, second),) = tally.played
    total = tally.wins.total()
    kinds = (("first", f"{first} better"), ("tie", "Tie"), ("second", f"{second} better"))
    lines = "".join(
        f'<li><button type="button" data-criterion="{name}" data-score="{kind}">'
        f'<span class="swatch {kind}"></span><span class="what" dir="auto">{escape(said)}</span>'
        f'<span class="count">{tally.wins[kind]:,}'
        f"<small>{escape(share_of(tally.wins[kind], total))}</small></span></button></li>"
        for kind, said in kinds
    )
    return f'{_duel(tally)}<ol class="wins" aria-label="Winners; each opens its rows">{lines}</ol>'


def _league(tally: _Tally) -> str:
    """Several outputs, each against each: every field's wins over its comparisons."""
    played: Counter[str] = Counter()
    for pair, count in tally.played.items():
        played.update(dict.fromkeys(pair, count))
    lines = "".join(
        f'<li><span class="what" dir="auto">{escape(field)}</span><span class="track">'
        f'<i style="width:{100 * tally.won[field] / count:.2f}%"></i></span>'
        f'<span class="count">{tally.won[field]:,}<small>of {count:,}</small></span></li>'
        for field, count in sorted(played.items(), key=lambda item: -tally.won[item[0]] / item[1])
    )
    return f'<ol class="league" aria-label="Wins over comparisons">{lines}</ol>'


def _duel(tally: _Tally) -> str:
    parts = "".join(
        f'<i class="{kind}" style="flex-grow:{tally.wins[kind]}"></i>'
        for kind in ("first", "tie", "second")
    )
    return f'<span class="duel" aria-hidden="true">{parts}</span>'


def _failure_table(lost: Mapping[str, _Lost]) -> str:
    if not lost:
        return ""
    lines = []
    for key, reason in sorted(lost.items(), key=lambda item: -item[1].count):
        code = key.partition("/")[2]
        happened, remedy = FAILURE_HELP[code][1:] if code in FAILURE_HELP else _NO_HELP
        lines.append(
            f'<tr><td><button type="button" class="link" data-failure="{escape(code)}">'
            f"{reason.count:,}</button></td>"
            f"<td><strong>{escape(failure_title(key))}</strong><code>{escape(key)}</code></td>"
            f"<td>{escape(happened)} <em>{escape(remedy)}</em></td>"
            f'<td class="example" dir="auto">{escape(_brief(reason.example))}</td></tr>'
        )
    return (
        '<section id="failures" aria-labelledby="h-failures"><h2 id="h-failures">Failures</h2>'
        "<p>A judgment that could not be made is never a score. It counts as asked in every "
        'figure above.</p><table class="failures"><thead><tr><th scope="col">Lost</th>'
        '<th scope="col">Reason</th><th scope="col">What happened, what to do</th>'
        f'<th scope="col">For example</th></tr></thead><tbody>{"".join(lines)}</tbody></table>'
        "</section>"
    )


def _colophon(manifest: Manifest) -> str:
    digest = manifest.input_sha256
    return (
        f"<p>Made by Glider {escape(manifest.glider)}. This page is complete in itself: it loads "
        "nothing and sends nothing.</p>"
        + (f"<p>SHA-256 of the input: <code>{escape(digest)}</code></p>" if digest else "")
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


def _date(stamp: str) -> str:
    try:
        when = datetime.fromisoformat(stamp)
    except ValueError:
        return stamp
    return f"{when.day} {when:%B %Y, %H:%M} {when.tzname() or ''}".strip()


def _slug(criterion: Criterion) -> str:
    return hashlib.sha256(criterion.name.encode("utf-8", "replace")).hexdigest()[:10]


def _megabytes(size: int) -> str:
    return f"{size / 1e6:,.0f}\N{NBSP}MB" if size >= 1e6 else f"{size / 1e3:,.0f}\N{NBSP}kB"
