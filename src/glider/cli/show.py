"""Print tables, messages and progress for people; the only file that knows about colours.

Results go to standard output, everything else to standard error. rich is imported only when
something is shown, so that commands start fast.
"""

import json
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress

    from glider.core.judgments import Comparison, Failure, Judgment


@cache
def terminal() -> "Console":
    """Standard output, with colours on a terminal."""
    from rich.console import Console

    return Console(highlight=False)


@cache
def _err() -> "Console":
    from rich.console import Console

    return Console(stderr=True, highlight=False)


def say(*parts: str) -> None:
    """Print a message on standard error; only the first part may hold markup."""
    from rich.markup import escape

    _err().print(parts[0], *(escape(part) for part in parts[1:]), soft_wrap=True)


def is_terminal() -> bool:
    """Whether standard output is a terminal."""
    return terminal().is_terminal


def print_json(data: Any, *, indent: int | None = None) -> None:
    """Print data as JSON that survives any encoding: UTF-8, or escapes instead."""
    encoding = (getattr(sys.stdout, "encoding", None) or "").lower().replace("-", "")
    # A lone surrogate has no UTF-8; as an escape it reads back unchanged.
    text = json.dumps(data, ensure_ascii=encoding != "utf8", indent=indent)
    print(text.encode("utf-8", "backslashreplace").decode("utf-8"))


_MOST_REMARKS = 5


def show_summary(summary: Mapping[str, Any]) -> None:
    """Print the run's figures as a table on standard error."""
    from rich.table import Table
    from rich.text import Text

    from glider.report.failures import REMARKS

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
    _err().print(table)
    for name, row in summary["criteria"].items():
        for code, count in row["failures"].items():
            say(f"[red]{count}[/] not judged under", f"{name or '(no criterion)'}: {code}")
            say("   e.g.", row["examples"][code][:300])
    if cascade := summary.get("cascade"):
        share = cascade["share"]
        say(
            "passed on to the second model:",
            f"{cascade['passed_on']:,} of {cascade['asked']:,} "
            f"({share['value']:.0%} [{share['low']:.0%}, {share['high']:.0%}])",
        )
    for key, title in REMARKS.items():
        for what, count in list(summary.get(key, {}).items())[:_MOST_REMARKS]:
            say(f"[yellow]{count}[/] {title}", what)


def _figure(row: Mapping[str, Any]) -> str:
    if "wins" in row:
        flips = row["flip_rate"]
        if "value" not in flips:
            return "one order only"
        low, high = flips["low"], flips["high"]
        return f"orders disagree {flips['value']:.0%} [{low:.0%}, {high:.0%}]"
    if "value" in (whole := row.get("normalized_mean", {})):
        scaled = f"{whole['value']:.2f} [{whole['low']:.2f}, {whole['high']:.2f}]"
        return f"normalized {scaled}, over different scales"
    if "mean" not in row:
        return f"undefined: {row['mean_score']['reason']}"
    return f"{row['mean']:.2f} [{row['low']:.2f}, {row['high']:.2f}]"


def _counts(row: Mapping[str, Any]) -> str:
    if by_scale := row.get("counts_by_scale"):
        return "  |  ".join(f"on {scale}: {_listed(counts)}" for scale, counts in by_scale.items())
    return _listed(row.get("wins") or row.get("counts") or {})


def _listed(counts: Mapping[str, int]) -> str:
    return "  ".join(f"{label}: {n}" for label, n in counts.items())


_shown: "list[Progress]" = []


def _show_alone(bar: "Progress") -> None:
    """Start a bar and stop the previous one: a terminal can show only one live bar."""
    for before in _shown:
        before.stop()
    _shown[:] = [bar]
    bar.start()


class RunProgress:
    """Progress of a run: a live bar on a terminal, a line every ten seconds in a pipe."""

    def __init__(self, total: int | None) -> None:
        """Show the bar from the first outcome on.

        Args:
            total: number of outcomes to come; None if unknown.
        """
        self.total = total
        self._n = self._failed = 0
        self._started = self._told = time.monotonic()
        self._bar: Progress | None = None

    def add(self, outcome: "Judgment | Failure | Comparison") -> None:
        """Count one outcome."""
        if self._n == 0 and _err().is_terminal:
            self._show_bar()
        self._n += 1
        self._failed += outcome.kind == "failure"
        now = time.monotonic()
        rate = 60 * self._n / max(now - self._started, 1e-9)
        if self._bar is not None:
            self._bar.update(self._task, completed=self._n, rate=rate, failed=self._failed)
        elif now - self._told >= 10:
            self._told = now
            of = f"/{self.total}" if self.total else ""
            _err().print(f"judged {self._n}{of}, {self._failed} failed, {rate:.0f}/min")

    def _show_bar(self) -> None:
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        self._bar = Progress(
            TextColumn("judging"),
            BarColumn(),
            TextColumn("{task.completed}" + (f"/{self.total}" if self.total else "")),
            TextColumn("{task.fields[rate]:.0f}/min"),
            TextColumn("[red]{task.fields[failed]} failed"),
            TimeRemainingColumn(),
            console=_err(),
            transient=True,
        )
        self._task = self._bar.add_task("", total=self.total, rate=0.0, failed=0)
        _show_alone(self._bar)

    def close(self) -> None:
        """Remove the bar."""
        if self._bar is not None:
            self._bar.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class Download:
    """Progress of fetching a model: a bar on a terminal, one line per step in a pipe."""

    def __init__(self) -> None:
        """Show nothing until there is something to wait for."""
        self._bar: Progress | None = None
        self._tasks: dict[str, Any] = {}

    def __call__(self, what: str, done: int, total: int) -> None:
        """Show how far a step is, in bytes, or in parts where the numbers are small."""
        if what not in self._tasks:
            if _err().is_terminal and self._bar is None:
                from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn

                self._bar = Progress(
                    TextColumn("{task.description}"), BarColumn(), DownloadColumn(), console=_err()
                )
                _show_alone(self._bar)
            if self._bar is None:
                size = f" ({total / 1e6:.0f} MB)" if total > 10_000 else ""
                _err().print(what + size)
            self._tasks[what] = self._bar.add_task(what, total=total) if self._bar else None
        if self._bar is not None:
            self._bar.update(self._tasks[what], completed=done)

    def close(self) -> None:
        """Remove the bar."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None
            self._tasks = {}


@contextmanager
def downloading() -> Iterator[Download]:
    """Show the progress of a model download during the block."""
    download = Download()
    try:
        yield download
    finally:
        download.close()
