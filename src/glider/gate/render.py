"""Write answers as a plain table, as Markdown for a CI summary, or as JUnit XML."""

import re
from collections.abc import Sequence
from xml.etree import ElementTree

from glider.gate.checks import CheckedFigure
from glider.stats.estimates import Estimate

_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def table(answers: Sequence[CheckedFigure], *, lenient: bool = False) -> str:
    """Plain text: one line per check, then why the failing ones fail."""
    head = ("", "check", "answer", "figure", "95 % interval", "n")
    lines = [head, *(_cells(answer, lenient) for answer in answers)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    said = [
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    ]
    for answer in answers:
        if not answer.passes(lenient=lenient) or answer.measured.notes:
            said += ["", *_explained(answer)]
    return "\n".join((*said, "", _verdict(answers, lenient)))


def markdown(name: str, answers: Sequence[CheckedFigure], *, lenient: bool = False) -> str:
    """A table for a CI step summary or a pull request."""
    lines = [
        f"### Gate: {_cell(name)}",
        "",
        "| | check | answer | figure | 95 % interval | n |",
        "|---|---|---|---:|---|---:|",
    ]
    for answer in answers:
        passed, check, *rest = _cells(answer, lenient)
        cells = (f"**{passed}**", _code(check).replace("|", "\\|"), *map(_cell, rest))
        lines.append(f"| {' | '.join(cells)} |")
    for answer in answers:
        if not answer.passes(lenient=lenient) or answer.measured.notes:
            lines += ["", f"{_code(answer.check.text)} {_cell(answer.why)}".rstrip(), ""]
            lines += [f"- {_cell(note)}" for note in answer.measured.notes]
            # Untrusted text: as code it cannot form a link, an image or a mention.
            lines += [f"- {_code(line)}" for line in _worst(answer)]
    return "\n".join((*lines, "", _verdict(answers, lenient), ""))


def junit(name: str, answers: Sequence[CheckedFigure], *, lenient: bool = False) -> str:
    """JUnit XML: one test case a check, as CI servers read it."""
    lost = sum(not answer.passes(lenient=lenient) for answer in answers)
    counts = {"tests": str(len(answers)), "failures": str(lost), "errors": "0", "skipped": "0"}
    suites = ElementTree.Element("testsuites", counts)
    suite = ElementTree.SubElement(
        suites, "testsuite", {"name": "glider gate", **counts, "time": "0"}
    )
    for answer in answers:
        case = ElementTree.SubElement(
            suite,
            "testcase",
            {
                "classname": _xml(f"glider.gate.{name}"),
                "name": _xml(answer.check.text),
                "time": "0",
            },
        )
        if not answer.passes(lenient=lenient):
            failure = ElementTree.SubElement(
                case, "failure", {"type": answer.finding, "message": _xml(_figure(answer))}
            )
            failure.text = _xml("\n".join(_explained(answer)))
        ElementTree.SubElement(case, "system-out").text = _xml(_figure(answer))
    ElementTree.indent(suites)
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(suites, "unicode") + "\n"
    )


def explained(answer: CheckedFigure) -> str:
    """Return everything about one check: figure, reason, samples to look at."""
    return "\n".join((f"{answer.check.text}: {_figure(answer)}", *_explained(answer)[1:]))


def line(answer: CheckedFigure) -> str:
    """Return one check as a line."""
    return f"{'pass' if answer.passes() else 'FAIL'}  {answer.check.text}: {_figure(answer)}"


def _explained(answer: CheckedFigure) -> list[str]:
    return [
        f"{answer.check.text}",
        *([f"  {answer.why}"] if answer.why else []),
        *(f"  {note}" for note in answer.measured.notes),
        *(f"  {line}" for line in _worst(answer)),
    ]


def _worst(answer: CheckedFigure) -> list[str]:
    if answer.finding == "holds":
        return []
    return [
        f"{shown.sample_id}: {shown.score}" + (f" - {shown.said}" if shown.said else "")
        for shown in answer.measured.worst
    ]


def _figure(answer: CheckedFigure) -> str:
    figure = answer.measured.figure
    if not isinstance(figure, Estimate):
        return str(figure)
    return f"{answer.in_words}, {figure}; {figure.method}"


def _cells(answer: CheckedFigure, lenient: bool) -> tuple[str, ...]:
    figure = answer.measured.figure
    passed = "pass" if answer.passes(lenient=lenient) else "FAIL"
    if not isinstance(figure, Estimate):
        return passed, answer.check.text, answer.in_words, "-", figure.reason, f"{figure.n:,}"
    digits = "+.3f" if answer.check.op == "no worse than" else ".3f"
    value, low, high = (format(x, digits) for x in (figure.value, figure.low, figure.high))
    reach = f"{low} to {high}"
    if figure.method == "count":
        value, reach = f"{figure.value:.0f}", "a count"
    return passed, answer.check.text, answer.in_words, value, reach, f"{figure.n:,}"


def _verdict(answers: Sequence[CheckedFigure], lenient: bool) -> str:
    good = sum(answer.passes(lenient=lenient) for answer in answers)
    rule = (
        "lenient: a check fails only if its whole interval is beyond the bound"
        if lenient
        else "a check passes only if its whole interval is within the bound"
    )
    return f"{good} of {len(answers)} checks passed ({rule})"


def _cell(text: str) -> str:
    plain = " ".join(text.split())
    return plain.replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;").replace("`", "'")


def _code(text: str) -> str:
    return f"`{' '.join(text.split()).replace('`', chr(39))}`"


def _xml(text: str) -> str:
    return _NOT_XML.sub("\N{REPLACEMENT CHARACTER}", text)
