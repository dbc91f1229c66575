"""A record of a synthesis as a person reads it, its quotes marked."""

from glider.cli.show import terminal
from glider.core.criteria import Criterion
from glider.core.judgments import Highlight
from glider.synth.records import SynthRecord, Text
from glider.synth.steps import question_of


def print_record(record: SynthRecord) -> None:
    """Print a record on standard output; of one that was lost, why and what was seen."""
    draw = record.draw
    scale = draw.criterion.rubric
    _say(
        f"record {record.number} · {record.stage} · {draw.kind} · {draw.domain} · "
        f"{draw.source if draw.aspects else draw.criterion.heading}, {scale.low} to {scale.high}",
        "bold",
    )
    if not draw.aspects:
        _print_criterion(record, draw.criterion)
    if not record.kept:
        _say(f"lost, not {record.stage}: {record.reason}", "red")
        _say(f"  {record.seen}")
    for text in record.texts:
        if text.criterion is not None:
            _say(text.criterion.heading, "bold")
            _print_criterion(record, text.criterion)
        _print_text(text, draw.fault)
    _say("")


def _print_criterion(record: SynthRecord, criterion: Criterion) -> None:
    _say(question_of(record.draw, criterion))
    for score, level in criterion.rubric.levels.items():
        _say(f"  {score} = {level}", "dim")


def _print_text(text: Text, fault: str) -> None:
    for name, words in text.material.items():
        _say(f"<{name}>", "cyan")
        _print_marked(name, words, text.right.highlights)
    rewritten = ", rewritten from the blind reading" if text.rewritten else ""
    _say(f"right: {text.right.score}{rewritten}. {text.right.reasoning}", "green")
    if text.wrong is not None:
        _say(f"wrong ({fault}): {text.wrong.score}. {text.wrong.reasoning}", "red")
    for check in text.checks:
        read = "no score" if check.score is None else check.score
        _say(f"blind: {read}, {check.verdict} ({check.by})", "dim")


def _print_marked(name: str, words: str, highlights: tuple[Highlight, ...]) -> None:
    from rich.text import Text as Shown

    places = sorted(
        {(s.start, s.end) for mark in highlights for s in mark.spans if s.field == name}
    )
    if terminal().is_terminal:
        shown = Shown(words)
        for start, end in places:
            shown.stylize("reverse", start, end)
        terminal().print(shown)
        return
    for start, end in reversed(places):
        words = f"{words[:start]}«{words[start:end]}»{words[end:]}"
    _say(words)


def _say(text: str, style: str = "") -> None:
    from rich.text import Text as Shown

    terminal().print(Shown(text, style), soft_wrap=True)
