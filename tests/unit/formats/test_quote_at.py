"""A quote made of a marked place is one that the grammar would let a judge write."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glider.formats.grammar import QUOTE_CHARS, quote_at, quote_rules

llguidance = pytest.importorskip("llguidance")
TOKENIZER = llguidance.LLTokenizer("byte")
PIECES = st.sampled_from(
    ["word", "a", "don't", "(see", "below),", "10.5", "名前は", "naïve", "x_y", "https://a.b/c?d",
     " ", "  ", "\n", "\r\n", "          ", "—", "w" * 45, "\u2028"]
)  # fmt: skip


def accepts(text, quote):
    rules, _ = quote_rules([text])
    grammar = llguidance.LLMatcher.grammar_from_lark(f"start: quote\n{rules}")
    matcher = llguidance.LLMatcher(TOKENIZER, grammar)
    assert not matcher.is_error(), matcher.get_error()
    tokens = list(quote.encode())
    return matcher.try_consume_tokens(tokens) == len(tokens) and matcher.is_accepting()


@given(st.lists(PIECES, min_size=1, max_size=40).map(" ".join), st.data())
def test_it_is_in_the_text_and_in_the_grammar(text, data):
    start = data.draw(st.integers(0, len(text) - 1))
    end = data.draw(st.integers(start + 1, len(text)))
    quote = quote_at(text, start, end)
    if quote is not None:
        assert quote in text and quote == quote.strip() and len(quote) <= QUOTE_CHARS[1]
        assert accepts(text, quote)


@pytest.mark.parametrize(
    ("text", "start", "end", "quote"),
    [
        ("It rained on Monday, and the game was off.", 3, 9, "rained on Monday, and"),
        ("It rained on Monday, and the game was off.", 38, 41, "and the game was off."),
        ("a b", 0, 1, "a b"),  # shorter than a quote may be, but all there is
        ("Short.\nA much longer line stands here.", 0, 4, None),
        ("One line that is long.\nA much longer line stands here.", 4, 50, "A much longer line stands here."),
        ("word " * 40, 0, 200, ("word " * 24).strip()),  # cut at a word
        ("好" * 50, 10, 12, "好" * 20),
        ("   ", 0, 2, None),
    ],
)  # fmt: skip
def test_places(text, start, end, quote):
    assert quote_at(text, start, end) == quote
