"""What is drawn for a record, before a word of it is written.

Tag names, combinations of fields and scales follow the draws of the GLIDER paper (arXiv
2412.14140, 3.1).
"""

import re
from collections.abc import Mapping
from typing import Literal

from glider.core.base import Frozen
from glider.core.criteria import Criterion
from glider.core.tasks import COMPARED
from glider.synth.plan import Kind, Role

Fault = Literal["too kind", "too harsh", "invented", "beside the point", "contradicts itself"]

FAULTS: Mapping[Fault, str] = {
    "too kind": "passes over what is wrong and gives too high a score",
    "too harsh": "makes much of trifles and gives too low a score",
    "invented": "claims something of the text that does not stand in it",
    "beside the point": "judges another quality than the one that was asked for",
    "contradicts itself": "gives reasons that speak for another score than the one it gives",
}
TAGS: Mapping[Role, tuple[str, ...]] = {
    "input": (
        "INPUT", "USER INPUT", "PROMPT", "QUESTION", "INSTRUCTION", "REQUEST", "QUERY", "TASK",
        "USER MESSAGE", "USER QUESTION", "ASSIGNMENT", "USER REQUEST", "CUSTOMER MESSAGE",
        "PROBLEM", "CONVERSATION",
    ),
    "output": (
        "OUTPUT", "MODEL OUTPUT", "RESPONSE", "ANSWER", "ASSISTANT RESPONSE", "REPLY", "COMPLETION",
        "SUBMISSION", "GENERATED TEXT", "SOLUTION", "ASSISTANT", "RESULT", "DRAFT", "TEXT",
        "SYSTEM OUTPUT",
    ),
    "context": (
        "CONTEXT", "DOCUMENT", "SOURCE", "PASSAGE", "BACKGROUND", "ARTICLE", "REFERENCE TEXT",
        "RETRIEVED TEXT", "MATERIAL", "EVIDENCE", "NOTES", "EXCERPT", "KNOWLEDGE", "RECORD",
        "SOURCE TEXT",
    ),
    "reference": (
        "GOLD ANSWER", "REFERENCE", "REFERENCE ANSWER", "EXPECTED ANSWER", "CORRECT ANSWER",
        "IDEAL ANSWER", "GROUND TRUTH", "MODEL ANSWER", "SAMPLE SOLUTION", "EXPECTED OUTPUT",
        "TARGET", "ANSWER KEY", "GOLD STANDARD", "EXPERT ANSWER", "BEST ANSWER",
    ),
}  # fmt: skip
"""Fifteen names for each role."""
BRACED = re.compile(r"\{(input|context|reference)\}")


class Quiz(Frozen):
    """A test writer's assignment (Themis' role-play quizzing)."""

    audience: str
    difficulty: str
    task: str


class Aspect(Frozen):
    """One criterion of a document with several, with its own scores."""

    criterion: Criterion
    target: int
    wrong: int


class Original(Frozen):
    """A labelled text of the user's that is moved to another subject."""

    id: str
    score: int
    """The label that people gave it."""
    texts: Mapping[Role, str]


class Draw(Frozen):
    """The specification of one record, decided before a word is written."""

    number: int
    kind: Kind
    domain: str
    domain_group: str
    criterion_group: str
    criterion: Criterion
    """The criterion on the drawn scale; for a pair, the pointwise criterion."""
    code: bool = False
    tags: Mapping[Role, str]
    """The record's fields in display order, and the tag of each."""
    judged: Role
    target: int
    """The score the text should earn; for a pair 0 or 1, the index of the better output."""
    second: int | None = None
    """For a minimal pair or an edited text, the changed text's score; for a pair, the worse
    output's level."""
    level: int | None = None
    """For a pair, the level of the better output."""
    wrong: int
    """The score of the wrong judgment."""
    fault: Fault
    words: int
    language: str
    passage: str | None = None
    scenario: str | None = None
    demands: tuple[str, ...] = ()
    """Additional demands of the scenario's instruction."""
    quiz: Quiz | None = None
    """Set if a test writer sets the instruction."""
    aspects: tuple[Aspect, ...] = ()
    """For a profile, every criterion; the first is also the record's own."""
    brief: str = ""
    """For a profile, what the document is; for a crafted case, how the texts get their score."""
    source: str = ""
    """Name of the profile's part, or of the family of crafted cases."""
    original: Original | None = None
    """For an adapted or edited record, the real text."""

    @property
    def judged_names(self) -> tuple[str, ...]:
        """The judged fields; for a pair, the two neutral names."""
        return COMPARED if self.kind == "pair" else (self.tags[self.judged],)

    @property
    def scored(self) -> tuple[Aspect, ...]:
        """Every criterion with its scores; one, unless the record is a profile."""
        own = Aspect(criterion=self.criterion, target=self.target, wrong=self.wrong)
        return self.aspects or (own,)
