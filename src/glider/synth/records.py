"""What a synthesis leaves on disk: calls as they came, and how each record ended.

manifest.json    plan, teacher, verifier, seeds; written once
calls.jsonl      one line for each answer that was paid for, before anything is made of it
records.jsonl    one line for each record's end: kept, with everything; or why not
funnel.json      what was lost where; made again from records.jsonl whenever asked
"""

from collections.abc import Mapping
from typing import Literal

from glider.core.base import Frozen
from glider.core.judgments import Highlight, Usage
from glider.store.manifest import AnyManifest
from glider.synth.draw import Draw

Verdict = Literal["agrees", "off by one", "contradicts", "cannot tell"]
STAGES = ("written", "legal", "distinct", "verified", "verbatim")
"""What a drawn record must get through, in order; one that gets through all is kept."""


class CallRecord(Frozen):
    """One answer of a teacher or verifier."""

    number: int
    """Of the record it belongs to."""
    step: str
    text: str = ""
    finish: Literal["stop", "length"] = "stop"
    error: str | None = None
    """Code of a failure that lies in the prompt, so that asking again would not mend it."""
    usage: Usage = Usage()


class Judged(Frozen):
    """A judgment of the material."""

    score: int
    reasoning: str
    highlights: tuple[Highlight, ...]


class Check(Frozen):
    """A blind reading."""

    by: str
    """Model and format."""
    score: int | None = None
    """None where it cannot tell."""
    verdict: Verdict


class Text(Frozen):
    """One text of a record with both judgments of it."""

    material: Mapping[str, str]
    """Field name to text, in the order shown."""
    target: int
    """The score it was written to earn."""
    right: Judged
    wrong: Judged | None = None
    checks: tuple[Check, ...] = ()
    rewritten: bool = False
    """The score is the blind reading's and not the target."""


class SynthRecord(Frozen):
    """How one record ended."""

    version: int = 1
    number: int
    draw: Draw
    stage: str = "kept"
    """`kept`, or the stage it was lost at."""
    reason: str = ""
    seen: str = ""
    texts: tuple[Text, ...] = ()
    """One; of a minimal pair two."""
    checks: tuple[tuple[int, Check], ...] = ()
    """Target and blind reading of every text that was read blind, kept or not."""
    usage: Usage = Usage()
    """Of all its calls."""

    @property
    def kept(self) -> bool:
        """It got through every stage."""
        return self.stage == "kept"


class SynthManifest(AnyManifest):
    """What made a synthesis."""

    version: int = 1
    run_id: str
    created_at: str
    glider: str
    plan: dict[str, object]
    drawn_from: str
    """Hash of the domains, criteria and passages that are drawn from."""
    teacher: str
    verifiers: tuple[str, ...]
    licence: str
    """Of what the teacher writes, as the user stated it."""
    size: int
    """Records drawn; a synthesis may be continued with a larger one."""

    def _decisive(self) -> dict[str, object]:
        mine = self.model_dump()
        return {key: mine[key] for key in ("plan", "drawn_from", "teacher", "verifiers", "licence")}
