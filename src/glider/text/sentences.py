"""Split text in any script into sentences: by punctuation and lines, without a dictionary.

A sentence ends after `.`, `!`, `?` or `…` before a space, after their Chinese, Hindi and Arabic
counterparts, and at a line's end. A stop does not end one after a title, a single initial, a
list's number or an abbreviation that leads on (`e.g.`), nor before a small letter.
"""

import re

_ENDS = re.compile(r"""(?:[.!?…؟]+["'”’»)\]]*(?=\s)|[。！？।]+[」』”’）]*|(?=\s*[\r\n]))\s*""")
_LEADS_ON = re.compile(
    r"(?:\b(?:Mr|Mrs|Ms|Dr|Prof|St|Sr|Jr|No|Fig|vs|cf|approx|z\.B|d\.h|e\.g|i\.e)|(?<!\w)[A-Z])\.$|^\s*\d{1,3}\.$"
)


def sentence_places(text: str) -> list[tuple[int, int]]:
    """Return (start, end) of every sentence, ascending, without the space around it.

    Together they hold every character that is not a space.
    """
    places = []
    start = 0
    for end in _ENDS.finditer(text):
        stop = end.end()
        leads_on = _LEADS_ON.search(text[start:stop].rstrip())
        if not re.search(r"[\r\n]", end[0]) and (text[stop : stop + 1].islower() or leads_on):
            continue
        places.append((start, stop))
        start = stop
    places.append((start, len(text)))
    trimmed = ((a + _indent(text[a:b]), a + len(text[a:b].rstrip())) for a, b in places)
    return [(a, b) for a, b in trimmed if a < b]


def _indent(text: str) -> int:
    return len(text) - len(text.lstrip())
