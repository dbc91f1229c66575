"""Print outcomes for people: one in full, or many as one line each."""

from typing import Any

from rich.console import Group
from rich.markup import escape
from rich.panel import Panel
from rich.text import Text

from glider.cli.show import terminal
from glider.core.criteria import Rubric
from glider.core.judgments import Comparison, Failure, Judgment, Step
from glider.core.samples import Sample


def show(outcome: Judgment | Failure | Comparison, sample: Sample, rubric: Rubric) -> None:
    """Print one outcome in full: score, reasoning, the judged text with its highlights."""
    if isinstance(outcome, Failure):
        terminal().print(f"[bold red]not judged[/] {outcome.stage}/{outcome.code}", end=" ")
        terminal().print(escape(outcome.message))
        return
    if isinstance(outcome, Comparison):
        terminal().print(_comparison_line(outcome))
        return
    head = Text.assemble(
        (f"{outcome.score}", "bold green" if outcome.normalized >= 0.5 else "bold yellow"),
        f" of {rubric.low}..{rubric.high}",
    )
    if outcome.unsure:
        head.append(f", but expected {outcome.expected:.2f}: unsure", "bold yellow")
    elif outcome.expected is not None:
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
        parts.append(Text("\nquoted but not found in the text: " + "; ".join(unplaced), "dim"))
    for cut in outcome.cuts:
        parts.append(
            Text(f"\njudged on the first {cut.kept:,} of {cut.of:,} characters of {cut.field}")
        )
    parts += [Text(f"\n{warning}", "yellow") for warning in outcome.warnings]
    title = Text.assemble((outcome.criterion, "bold"), "  ", head)
    terminal().print(Panel(Group(*parts), title=title, title_align="left", padding=(1, 2)))


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
    judged = [order for order in outcome.orders if isinstance(order, Judgment)]
    for warning in dict.fromkeys(warning for order in judged for warning in order.warnings):
        line.append(f"\n{warning}", "yellow")
    return line


def line_for(outcome: Judgment | Failure | Comparison) -> Text:
    """Format one outcome as one line."""
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
        if outcome.unsure:
            line.append(f", but expected {outcome.expected:.2f}: unsure", "yellow")
        elif outcome.expected is not None:
            line.append(f" (expected {outcome.expected:.2f})", "dim")
        line.append("  " + (outcome.reasoning or "").replace("\n", " "))
    return line


def print_line(outcome: Judgment | Failure | Comparison) -> None:
    """Print one outcome as one line on standard output, cut to the terminal's width."""
    terminal().print(line_for(outcome), no_wrap=True, overflow="ellipsis", crop=True)
