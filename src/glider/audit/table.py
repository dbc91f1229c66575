"""Write an audit as plain text for a terminal: the same figures as the page, without colour."""

from textwrap import fill

from glider.audit.results import (
    VERDICTS,
    Audit,
    ProbeFinding,
    ProbeReport,
    headline,
    remedy,
    span,
    spoken,
)


def table(audit: Audit) -> str:
    """Format every number with its interval, count and verdict, and advice where needed."""
    blocks = [_probe(probe) for probe in audit.probes]
    lost = audit.asked - audit.judged
    asked = f"{audit.asked:,} judgments asked, {lost:,} with a failure"
    return "\n\n".join([*blocks, *map(fill, audit.notes), f"{headline(audit)} {asked}."])


def _probe(probe: ProbeReport) -> str:
    lines = [f"{probe.title} ({probe.name}): {VERDICTS[probe.verdict]}"]
    lines += [_line(finding) for finding in probe.findings]
    if remedy(probe):
        lines.append(_folded(remedy(probe)))
    return "\n".join(lines)


def _line(found: ProbeFinding) -> str:
    if found.value is None:
        return f"  {found.title}\n" + _folded(found.undefined)
    figure = f"{spoken(found.value, found.unit)} [{span(found)}]"
    counted = f"n={found.n}"
    if found.judged < found.asked:
        counted += f", {found.judged} of {found.asked} judged"
    verdict = "" if found.verdict == "shown" else VERDICTS[found.verdict]
    return f"  {found.title:<42} {figure:<26} {counted:<10} {verdict}".rstrip()


def _folded(text: str) -> str:
    return fill(text, width=96, initial_indent="    ", subsequent_indent="    ")
