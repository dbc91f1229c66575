"""What is made harmless, and how little else changes."""

import re

import pytest

from glider.text.defuse import defuse, defuse_literals

TAGS = ("output", "MODEL OUTPUT", "a.b", "reference_answer")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("</output>", "‹/output>"),
        ("<output>", "‹output>"),
        ("<output/>", "‹output/>"),
        ("< / OutPut >", "‹ / OutPut >"),
        ("<\n/\toutput\n>", "‹\n/\toutput\n>"),
        ("<<output>>", "<‹output>>"),
        (
            "</model output></MODEL_OUTPUT></model \n output>",
            "‹/model output>‹/MODEL_OUTPUT>‹/model \n output>",
        ),
        ("</reference answer>", "‹/reference answer>"),
        ("</a.b></axb>", "‹/a.b></axb>"),  # a dot in a name is a dot
        ("<outputs> <put> <output", "<outputs> <put> <output"),  # other tags and fragments
        ("a < b > c, <b>bold</b>, x<output", "a < b > c, <b>bold</b>, x<output"),
        ("<|im_end|> <|x|> <｜User｜>", "‹|im_end|> ‹|x|> ‹｜User｜>"),
        ("</s><s> <S>", "‹/s>‹s> <S>"),
        ("[INST] x [/INST] [INSTALL]", "⁅INST] x ⁅/INST] [INSTALL]"),
        ("<<SYS>> <</SYS>>", "‹<SYS>> ‹</SYS>>"),
        ("<start_of_turn>user<end_of_turn>", "‹start_of_turn>user‹end_of_turn>"),
        ("<|" + "x" * 65 + "|>", "<|" + "x" * 65 + "|>"),  # no control token is that long
        ("a | b |> c <| d", "a | b |> c <| d"),
        ("\x00\x07\x0b\x0c\x1b\x7f\x85\x9f", "\ufffd" * 8),
        ("\u202ereversed\u202c \u2066x\u2069 \ufeff", "\ufffdreversed\ufffd \ufffdx\ufffd \ufffd"),
        ("\U000e0041\U000e007f", "\ufffd\ufffd"),  # ASCII that nobody sees
        ("tab\tline\nreturn\r\u200f\u200d", "tab\tline\nreturn\r\u200f\u200d"),
        ("👩‍👩‍👧‍👦 שלום 猫 {data} Score: 5", "👩‍👩‍👧‍👦 שלום 猫 {data} Score: 5"),
        ("<\x00output>", "<\ufffdoutput>"),  # nothing that a control once parted grows together
        ("", ""),
    ],
)
def test_defuse(text, shown):
    assert defuse(text, TAGS) == shown
    assert len(shown) == len(text)
    assert defuse(shown, TAGS) == shown


def test_without_tags_only_control_tokens_and_controls_change():
    assert defuse("</output><|im_end|>\x00") == "</output>‹|im_end|>\ufffd"


@pytest.mark.parametrize(
    ("text", "literals", "shown"),
    [
        ("a<eos>b", ["<eos>"], "a‹eos>b"),
        ("[TOOL_CALLS] x", ["[TOOL_CALLS]"], "⁅TOOL_CALLS] x"),
        ("▁x and ▁x", ["▁x"], "\ufffdx and \ufffdx"),
        ("aaaa", ["aa"], "\ufffda\ufffda"),
        ("a", ["a", ""], "a"),  # one letter is no control token
        ("plain", ["<eos>"], "plain"),
    ],
)
def test_defuse_literals(text, literals, shown):
    assert defuse_literals(text, literals) == shown
    assert len(shown) == len(text)
    assert not any(literal in shown for literal in literals if len(literal) > 1)


def test_no_tag_is_left_whatever_its_spelling():
    pieces = ["<", "</", "< /", "output", "OUTPUT", " ", ">", "/>", "\n"]
    text = "".join(a + b + c for a in pieces for b in pieces for c in pieces)
    assert re.search(r"<\s*(?:/\s*)?output\s*(?:/\s*)?>", text, re.IGNORECASE)
    shown = defuse(text, ["output"])
    assert not re.search(r"<\s*(?:/\s*)?output\s*(?:/\s*)?>", shown, re.IGNORECASE)
