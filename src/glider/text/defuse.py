"""Keep judged text from acting as structure: our tags, control tokens, control characters.

Every replacement maps one code point to one code point, so offsets in the defused text equal those
in the original. Nothing else changes: an instruction in plain words remains part of the judged
text.
"""

import re
from collections.abc import Iterable
from functools import lru_cache

# C0 and C1 controls except tab, newline and carriage return; characters that reverse or hide
# text; and tag characters, which encode ASCII that a model sees and a reader does not.
_CONTROLS = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ufeff\U000e0000-\U000e007f]"
)
# The shape of control tokens in chat templates: <|im_end|>, <｜User｜>, <s>, <<SYS>>, [INST] ...
# The first two lookaheads repeat what follows, so that a text of brackets stays cheap.
_CONTROL_TOKENS = re.compile(
    r"<(?!<[^/S])(?=[|｜/se<])"
    r"(?=[|｜][^<>|｜\n]{0,64}[|｜]>|/?s>|(?:start|end)_of_turn>|</?SYS>>)"
)
_BRACKET_TOKENS = re.compile(r"\[(?=/?(?:INST|THINK)\])")
_HARMLESS = {"<": "‹", "[": "⁅"}


@lru_cache(maxsize=512)
def _tag_pattern(tags: frozenset[str]) -> re.Pattern[str]:
    names = "|".join(re.sub(r"\\ |_", r"[\\s_]+", re.escape(tag)) for tag in sorted(tags))
    # Never two adjacent runs of spaces: a hostile text of spaces would take quadratic time.
    return re.compile(rf"<(?!<)(?=\s*(?:/\s*)?(?:{names})\s*(?:/\s*)?>)", re.IGNORECASE)


def defuse(text: str, tags: Iterable[str] = ()) -> str:
    """Make `text` unable to open or close any of `tags` or to look like a control token.

    Args:
        text: text of unknown origin.
        tags: names used as `<name>` in the prompt around it, any case.

    Returns:
        Text of the same length; `<` of a look-alike becomes `‹`, a control character `\ufffd`.
    """
    text = _CONTROLS.sub("\ufffd", text)
    text = _CONTROL_TOKENS.sub("‹", text)
    text = _BRACKET_TOKENS.sub("⁅", text)
    reserved = frozenset(tags)
    return _tag_pattern(reserved).sub("‹", text) if reserved else text


def defuse_literals(text: str, literals: Iterable[str]) -> str:
    """Break each literal (a model's own control tokens) at its first character."""
    for literal in literals:
        if len(literal) > 1 and literal in text:
            head = _HARMLESS.get(literal[0], "\ufffd")
            text = text.replace(literal, head + literal[1:])
    return text
