"""Changes to a text that should not change its score: padding, formatting, misspelling.

Added text is English, or repeats the text's own words where possible. All functions are pure.
"""

import re

from glider.audit.probe import Rng

_END = re.compile(r"(?<=[.!?…])\s+|(?<=[。！？])\s*|\s*\n+\s*")
_WORD = re.compile(r"[^\W\d_]{4,}")

IRRELEVANT = (
    "The writer of this likes to take the stairs.",
    "It was raining a little when this was written.",
    "The desk this was written at has four legs.",
    "The writer's neighbour keeps two canaries.",
    "A tram passed by while this was being typed.",
    "The writer had soup for lunch that day.",
    "The window of the room looks out on a car park.",
    "The writer prefers blue pens to black ones.",
)
"""Sentences that say nothing about any text."""

_HARMLESS = (
    "The kettle in the office kitchen holds two litres of water.",
    "Most of the chairs in the room are grey.",
    "The bus to the station leaves from the other side of the street.",
    "There is a plant on the window sill.",
    "The corridor was painted some years ago.",
    "A calendar with pictures of bridges hangs near the door.",
    "The printer stands in the room at the end.",
    "On Tuesdays the canteen closes a little later.",
)


def sentences(text: str) -> list[str]:
    """Return the text's sentences and lines, without the whitespace between them."""
    return [part for part in _END.split(text.strip()) if part]


def padded(text: str, rng: Rng) -> str:
    """Repeat half of the text's sentences: longer, with no new content, in any language."""
    parts = sentences(text)
    if not parts:
        return text
    again = sorted(rng.choice(len(parts), size=(len(parts) + 1) // 2, replace=False))
    return text + "\n\n" + " ".join(parts[n] for n in again)


def shortened(text: str) -> str:
    """Return the first half of the text's sentences; for a single sentence, half its characters."""
    parts = sentences(text)
    if len(parts) > 1:
        return " ".join(parts[: len(parts) // 2])
    return text[: len(text) // 2].rstrip()


def misspelt(text: str, rng: Rng) -> str:
    """Swap two inner letters in half of all longer words: still readable, clearly faulty."""

    def swap(match: re.Match[str]) -> str:
        word = match[0]
        if rng.random() < 0.5:
            return word
        at = int(rng.integers(1, len(word) - 2))
        return word[:at] + word[at + 1] + word[at] + word[at + 2 :]

    return _WORD.sub(swap, text)


def irrelevant(rng: Rng) -> str:
    """Return an irrelevant sentence."""
    return IRRELEVANT[int(rng.integers(len(IRRELEVANT)))]


def harmless(length: int, rng: Rng) -> str:
    """Return irrelevant plain text of exactly `length` characters."""
    order = rng.permutation(len(_HARMLESS))
    once = " ".join(_HARMLESS[n] for n in order) + " "
    return (once * (length // len(once) + 1))[:length]


def bulleted(text: str) -> str:
    """Put every sentence in a bullet."""
    return "\n".join(f"- {part.lstrip('-*• ')}" for part in sentences(text)) or text


def emboldened(text: str) -> str:
    """Set the first words of every sentence in bold."""
    return " ".join(_bold_start(part) for part in sentences(text)) or text


def _bold_start(sentence: str) -> str:
    words = sentence.split(" ")
    head, tail = " ".join(words[:3]), " ".join(words[3:])
    return f"**{head}** {tail}".rstrip()


def headed(text: str) -> str:
    """Put the text under a heading."""
    return f"## Answer\n\n{text}"


def fenced(text: str) -> str:
    """Put the text in a code fence."""
    return f"```\n{text}\n```"
