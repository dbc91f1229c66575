"""What reasoning models write before their answer, told apart from the answer.

A block such as `<think> ... </think>` at the beginning is not the answer, whatever it holds: scores
that were weighed and dropped, drafts, the judged text again.
"""

import re

THINKING_TAGS = ("think", "thinking", "thought")
"""Names of tags that models think in."""

_NAMES = "|".join(THINKING_TAGS)
_OPENED = re.compile(
    rf"\s*(?:<(?P<tag>{_NAMES})>|\[(?P<bracket>THINK)\]|<\|channel\|>analysis)", re.IGNORECASE
)
_CLOSED = re.compile(rf"\s*</(?:{_NAMES})>|\s*\[/THINK\]", re.IGNORECASE)
_FINAL = re.compile(r"<\|channel\|>final[^<]*<\|message\|>")
_ANSWER = re.compile(r"\s*(?:[{`<]|Score:|Reason:)")


def split_thinking(text: str) -> tuple[str, str]:
    """What was thought first, tags included, and the rest; added up they are `text`.

    A block without its end is all thought: no answer followed. An end without its beginning counts
    as well, since some chat templates write the beginning into the prompt.
    """
    at = 0
    while opened := _OPENED.match(text, at):
        if opened["tag"] or opened["bracket"]:
            name = opened["tag"] or opened["bracket"]
            left, right = ("</", ">") if opened["tag"] else ("[/", "]")
            end = re.compile(re.escape(f"{left}{name}{right}"), re.IGNORECASE)
        else:
            end = _FINAL
        closed = end.search(text, opened.end())
        if closed is None:
            return text, ""
        at = closed.end()
    if at == 0 and not _ANSWER.match(text) and (closed := _CLOSED.search(text)):
        at = closed.end()
    return text[:at], text[at:]
