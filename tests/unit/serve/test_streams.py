"""Growing texts: what is judged when, and what may be shown."""

import pytest

from glider.serve.streams import GrowingText


@pytest.mark.parametrize("growth", [1.1, 1.5, 4.0])
@pytest.mark.parametrize("size", [1, 7, 1000])
def test_all_judgments_together_read_a_bounded_multiple_of_the_text(growth, size):
    text, read = GrowingText(200, growth, 50), 0
    for _ in range(30_000 // size):
        text.add("x" * size)
        if text.due:
            read += text.length
            text.judged(text.length)
    last = text.length
    assert 0 < read <= growth / (growth - 1) * last * 1.02


def test_what_is_held_back_is_shown_after_the_next_judgment_and_nothing_twice_or_unjudged():
    text, shown = GrowingText(100, 1.5, 30), ""
    sent = "".join(chr(97 + n % 26) for n in range(500))
    for n in range(0, 500, 20):
        text.add(sent[n : n + 20])
        if text.due:
            length = text.length
            text.add("")  # more may come while it is judged
            text.judged(length)
            shown += text.release(length, ended=False)
            assert shown == sent[: length - 30]
    assert text.held == 500 - len(shown) >= 30
    assert shown + text.release(500, ended=True) == sent and text.held == 0


def test_less_than_is_held_back_shows_nothing():
    text = GrowingText(20, 1.5, 50)
    text.add("x" * 40)
    assert text.due and text.release(40, ended=False) == "" and text.held == 40
