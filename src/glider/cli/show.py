"""The only file that knows about colours: judgments and progress for people.

Results go to standard output, everything else to standard error.
"""

import sys
import time
from collections.abc import Mapping
from typing import Any

from rich.console import Console, Group
from rich.markup import escape
from rich.panel import Panel
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from glider.core.criteria import Rubric
from glider.core.judgments import Comparison, Failure, Judgment, Step
from glider.core.samples import Sample

_out = Console(highlight=False)
_err = Console(stderr=True, highlight=False)


def say(*parts: str) -> None:
    """A message to the person at the terminal; the first part may hold markup, the rest not."""
    _err.print(parts[0], *(escape(part) for part in parts[1:]), soft_wrap=True)


def is_terminal() -> bool:
    """Someone is watching standard output."""
    return _out.is_terminal


def show(outcome: Judgment | Failure | Comparison, sample: Sample, rubric: Rubric) -> None:
    """Print one outcome in full: score, reasoning, the judged text with its highlights."""
    if isinstance(outcome, Failure):
        _out.print(f"[bold red]not judged[/] {outcome.stage}/{outcome.code}", end=" ")
        _out.print(escape(outcome.message))
        return
    if isinstance(outcome, Comparison):
        _out.print(_comparison_line(outcome))
        return
    head = Text.assemble(
        (f"{outcome.score}", "bold green" if outcome.normalized >= 0.5 else "bold yellow"),
        f" of {rubric.low}..{rubric.high}",
    )
    if outcome.expected is not None:
        head.append(f"   expected {outcome.expected:.2f}", "dim")
    if outcome.doubt is not None:
        head.append(f"   doubt {outcome.doubt:.2f}", "dim")
    parts: list[Any] = [Text.assemble(("level  ", "dim"), rubric.levels[outcome.score])]
    if outcome.reasoning:
        parts.append(Text.assemble(("reason ", "dim"), outcome.reasoning))
    for field in sample.judged:
        parts.append(Text(f"\n{field.name}", "dim"))
        parts.append(_marked(field.name, field.text, outcome))
    parts += [_step(step) for step in outcome.steps]
    unplaced = [h.phrase for h in outcome.highlights if h.match == "unplaced"]
    if unplaced:
        parts.append(Text("\nquoted but not found: " + "; ".join(unplaced), "dim"))
    for cut in outcome.cuts:
        parts.append(
            Text(f"\njudged on the first {cut.kept:,} of {cut.of:,} characters of {cut.field}")
        )
    title = Text.assemble((outcome.criterion, "bold"), "  ", head)
    _out.print(Panel(Group(*parts), title=title, title_align="left", padding=(1, 2)))


def _step(step: Step) -> Text:
    line = Text.assemble(("\n" + step.name, "dim"))
    if step.weight is not None:
        line.append(f"  weight {step.weight:.2f}", "dim")
    if step.score is not None:
        line.append(f"  {step.score:.2f}")
    if step.text:
        line.append("\n" + step.text + (" ..." if step.cut_off else ""))
    return line


def _marked(field: str, text: str, outcome: Judgment) -> Text:
    marked = Text(text)
    for highlight in outcome.highlights:
        style = "black on yellow" if highlight.match == "exact" else "underline yellow"
        for span in highlight.spans:
            if span.field == field:
                marked.stylize(style, span.start, span.end)
    return marked


def _comparison_line(outcome: Comparison) -> Text:
    if outcome.p_first is None:
        return Text(f"{outcome.first} or {outcome.second}: not judged", "red")
    line = Text.assemble(
        (outcome.criterion, "bold"),
        "  ",
        (f"{outcome.preferred} is better" if outcome.preferred else "tie", "bold green"),
        (f"   p({outcome.first}) {outcome.p_first:.2f}", "dim"),
    )
    if outcome.flipped:
        line.append("   the two orders disagree", "yellow")
    return line


def line_for(outcome: Judgment | Failure | Comparison) -> Text:
    """One outcome as one line."""
    line = Text(no_wrap=True, overflow="ellipsis")
    line.append(f"{outcome.sample_id[:24]:<24} ", "dim")
    line.append(f"{outcome.criterion[:22]:<22} ")
    if isinstance(outcome, Failure):
        line.append(f"not judged: {outcome.stage}/{outcome.code} ", "red")
        line.append(outcome.message.replace("\n", " "))
    elif isinstance(outcome, Comparison):
        line.append(f"{outcome.preferred or 'tie':<9}", "bold")
        line.append("  orders disagree" if outcome.flipped else "")
    else:
        line.append(f"{outcome.score:>2}", "bold")
        if outcome.expected is not None:
            line.append(f" (expected {outcome.expected:.2f})", "dim")
        line.append("  " + (outcome.reasoning or "").replace("\n", " "))
    return line


def print_line(outcome: Judgment | Failure | Comparison) -> None:
    """Print one outcome as one line on standard output, cut to the width there is."""
    _out.print(line_for(outcome), no_wrap=True, overflow="ellipsis", crop=True)


def show_summary(summary: Mapping[str, Any]) -> None:
    """The run's figures as a table, on standard error."""
    table = Table(box=None, pad_edge=False, header_style="dim")
    for column, justify in (
        ("criterion", "left"), ("judged", "right"), ("failed", "right"),
        ("mean [95 % interval]", "left"), ("scores", "left"),
    ):  # fmt: skip
        table.add_column(column, justify=justify)  # type: ignore[arg-type]
    for name, row in summary["criteria"].items():
        judged = f"{row['judged']}/{row['asked']}"
        failed = Text(str(row["failed"]), "red" if row["failed"] else "")
        table.add_row(name or "(no criterion)", judged, failed, _figure(row), _counts(row))
    _err.print(table)
    for name, row in summary["criteria"].items():
        for code, count in row["failures"].items():
            say(f"[red]{count}[/] not judged under", f"{name or '(no criterion)'}: {code}")
            say("   e.g.", row["examples"][code][:300])


def _figure(row: Mapping[str, Any]) -> str:
    if "wins" in row:
        flips = row["flip_rate"]
        if "value" not in flips:
            return "one order only"
        low, high = flips["low"], flips["high"]
        return f"orders disagree {flips['value']:.0%} [{low:.0%}, {high:.0%}]"
    if "mean" not in row:
        return f"undefined: {row['mean_score']['reason']}"
    return f"{row['mean']:.2f} [{row['low']:.2f}, {row['high']:.2f}]"


def _counts(row: Mapping[str, Any]) -> str:
    counts = row.get("wins") or row.get("counts") or {}
    return "  ".join(f"{label}: {n}" for label, n in counts.items())


class RunProgress:
    """How far a run is: a live bar on a terminal, a line now and then in a pipe."""

    def __init__(self, total: int | None) -> None:
        """Start showing; `total` is the number of outcomes expected, None if not known."""
        self._total = total
        self._n = self._failed = 0
        self._started = self._told = time.monotonic()
        self._bar: Progress | None = None
        if _err.is_terminal:
            self._bar = Progress(
                TextColumn("judging"),
                BarColumn(),
                TextColumn("{task.completed}" + (f"/{total}" if total else "")),
                TextColumn("{task.fields[rate]:.0f}/min"),
                TextColumn("[red]{task.fields[failed]} failed"),
                TimeRemainingColumn(),
                console=_err,
                transient=True,
            )
            self._task = self._bar.add_task("", total=total, rate=0.0, failed=0)
            self._bar.start()

    def add(self, outcome: Judgment | Failure | Comparison) -> None:
        """One more outcome."""
        self._n += 1
        self._failed += isinstance(outcome, Failure)
        now = time.monotonic()
        rate = 60 * self._n / max(now - self._started, 1e-9)
        if self._bar is not None:
            self._bar.update(self._task, completed=self._n, rate=rate, failed=self._failed)
        elif now - self._told >= 10:
            self._told = now
            of = f"/{self._total}" if self._total else ""
            _err.print(f"judged {self._n}{of}, {self._failed} failed, {rate:.0f}/min")

    def close(self) -> None:
        """Stop showing."""
        if self._bar is not None:
            self._bar.stop()


class Download:
    """Progress of fetching a model: a bar on a terminal, one line per step in a pipe."""

    def __init__(self) -> None:
        """Nothing is shown until there is something to wait for."""
        self._bar: Progress | None = None
        self._tasks: dict[str, Any] = {}

    def __call__(self, what: str, done: int, total: int) -> None:
        """Tell how far a step is; bytes, or parts where the numbers are small."""
        if what not in self._tasks:
            if _err.is_terminal and self._bar is None:
                self._bar = Progress(
                    TextColumn("{task.description}"), BarColumn(), DownloadColumn(), console=_err
                )
                self._bar.start()
            if self._bar is None:
                size = f" ({total / 1e6:.0f} MB)" if total > 10_000 else ""
                _err.print(what + size)
            self._tasks[what] = self._bar.add_task(what, total=total) if self._bar else None
        if self._bar is not None:
            self._bar.update(self._tasks[what], completed=done)

    def close(self) -> None:
        """Stop showing."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None


def flush() -> None:
    """Let a pipe's reader see what was printed."""
    sys.stdout.flush()
