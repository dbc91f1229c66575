"""Separate the reasoning that a model writes before its answer from the answer.

A leading block such as `<think> ... </think>` is never part of the answer, whatever it contains:
discarded scores, drafts, or the judged text again.
"""

import re

THINKING_TAGS = ("think", "thinking", "thought")
"""Names of the tags around reasoning."""

_NAMES = "|".join(THINKING_TAGS)
_OPENED = re.compile(
    rf"\s*(?:<(?P<tag>{_NAMES})>|\[(?P<bracket>THINK)\]|<\|channel\|>analysis)", re.IGNORECASE
)
_CLOSED = re.compile(rf"\s*</(?:{_NAMES})>|\s*\[/THINK\]", re.IGNORECASE)
_FINAL = re.compile(r"<\|channel\|>final[^<]*<\|message\|>")
_ANSWER = re.compile(r"\s*(?:[{`<]|Score:|Reason:)")


def split_thinking(text: str) -> tuple[str, str]:
    """Split `text` into the leading reasoning, tags included, and the rest.

    Joined, the two parts equal `text`. A block without a closing tag is all reasoning: no answer
    followed. A closing tag without an opening tag also counts, since some chat templates put the
    opening tag into the prompt.
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
