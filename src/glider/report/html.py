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
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from html import escape
from importlib.resources import files
from itertools import groupby
from pathlib import Path
from string import Template
from typing import Any

from pydantic import ValidationError

from glider.core.criteria import Criterion
from glider.core.errors import BadRecord
from glider.core.judgments import Comparison, Judgment, outcome_from
from glider.report.figures_html import (
    FAILURE_HELP,
    NO_HELP,
    brief,
    card,
    failure_table,
    headline,
)
from glider.report.summary import Tallies, failure_of, judgments_of, stored_summary, winner
from glider.store.atomic import replacing
from glider.store.manifest import Manifest
from glider.store.run import load_criteria, load_manifest

TEXT_BUDGET_BYTES = 40_000_000
"""Most that the embedded texts, reasonings and raw answers may take of the page."""

_BLOCK_BYTES = 262_144
"""The browser reads one such block when a row is opened: small enough not to be felt."""
_LOW_MASS = 0.5
_UNSAFE = re.compile("[<>&\u2028\u2029\ud800-\udfff]")


def build_report(run: Path, out: Path, *, text_budget: int = TEXT_BUDGET_BYTES) -> None:
    """Write the report of a run.

    Holds one line of figures per outcome and the embedded texts in memory (about 0.2 GB for
    100,000 outcomes), never the whole run.

    Args:
        run: folder with `manifest.json`, `criteria.json`, `journal.jsonl`, `samples.jsonl`, and
            `summary.json` where there is one: its figures are shown as they are. A run that it
            does not call finished gets a notice.
        out: the page; replaced as a whole once it is complete.
        text_budget: bytes of embedded texts, reasonings and raw answers.

    Raises:
        RunError: not a run folder, its summary is damaged, or the page cannot be written.
        BadRecord: a line of the run that cannot be read. A last line cut by a crash is left out.
    """
    manifest = load_manifest(run)
    criteria = load_criteria(run)
    page = _Page(run, criteria, text_budget)
    tallies = page.tallies.by_criterion
    summary = stored_summary(run)
    stored = summary.get("criteria", {})
    figures = {name: stored.get(name) or tally.figures() for name, tally in tallies.items()}

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
        css=files("glider.pages").joinpath("page.css").read_text("utf-8"),
        js=script,
        about=_about(manifest, page.n_rows),
        notice="" if summary.get("finished") else _stopped(run, manifest, len(page.rows)),
        figures=headline(criteria, tallies, figures),
        cards="".join(card(c, tallies[c.name], figures[c.name]) for c in criteria),
        failures=failure_table(page.tallies.reasons),
        texts_note=page.note(),
        rows=f"{len(page.rows):,}",
        colophon=_colophon(manifest),
    )
    with replacing(out) as file:
        file.write(shell.encode(errors="replace"))
        for block in page.blocks():
            file.write(block)
        file.write(tail.encode())


# The data of the page ---------------------------------------------------------------------------


class _Page:
    """Reads a run once through, row by row, into table lines, text blocks and tallies."""

    def __init__(self, run: Path, criteria: Sequence[Criterion], text_budget: int) -> None:
        self.criteria = criteria
        self.tallies = Tallies(c.name for c in criteria)
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
        failure = failure_of(outcome)
        if number < 0 and failure is None:
            raise BadRecord(
                f"row {row} has an outcome for {outcome.criterion!r}, not in criteria.json",
                path=str(journal),
            )
        self.tallies.add(outcome)
        parts = judgments_of(outcome)
        value: int | str | None = None
        expected = doubt = None
        flags = ""
        if failure is not None:
            said = failure.message
        elif isinstance(outcome, Judgment):
            value, expected, doubt = outcome.score, outcome.expected, outcome.doubt
            said = outcome.reasoning or ""
        else:
            assert isinstance(outcome, Comparison)
            value, expected = winner(outcome), outcome.p_first
            doubts = [part.doubt for part in parts if part.doubt is not None]
            doubt = sum(doubts) / len(doubts) if doubts else None
            said = parts[0].reasoning or ""
            flags = "f" if outcome.flipped else ""
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
                    brief(said),
                    sum(len(part.highlights) for part in parts),
                    failure.code if failure else None,
                    flags,
                    [outcome.first, outcome.second] if isinstance(outcome, Comparison) else None,
                    block,
                ]
            )
        )

    def blocks(self) -> Iterator[bytes]:
        """The page's data: the table's lines, then the texts."""
        criteria = [
            {"name": c.name, "title": c.heading, "question": c.question, "levels": c.rubric.levels}
            for c in self.criteria
        ]
        head = _pack({"criteria": criteria, "help": FAILURE_HELP, "unknown": NO_HELP})
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


def _stopped(run: Path, manifest: Manifest, n: int) -> str:
    """Says that the figures are not the whole run's, and how to get there."""
    there = "1 outcome is" if n == 1 else f"{n:,} outcomes are"
    # What came through standard input is gone, so nothing can go on with it.
    how = f" Go on with <code>--run {escape(shlex.quote(str(run)))} --resume</code>."
    return (
        f'<p class="notice">This run was stopped before its end: {there} there.'
        f"{how if manifest.input_sha256 else ''}</p>"
    )


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


def _colophon(manifest: Manifest) -> str:
    digest = manifest.input_sha256
    return (
        f"<p>Made by Glider {escape(manifest.glider)}. This page is complete in itself: it loads "
        "nothing and sends nothing.</p>"
        + (f"<p>SHA-256 of the input: <code>{escape(digest)}</code></p>" if digest else "")
    )


def _date(stamp: str) -> str:
    try:
        when = datetime.fromisoformat(stamp)
    except ValueError:
        return stamp
    return f"{when.day} {when:%B %Y, %H:%M} {when.tzname() or ''}".strip()


def _megabytes(size: int) -> str:
    return f"{size / 1e6:,.0f}\N{NBSP}MB" if size >= 1e6 else f"{size / 1e3:,.0f}\N{NBSP}kB"
