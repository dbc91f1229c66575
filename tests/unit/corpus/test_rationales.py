"""What a written reason becomes: kept, shortened, or refused with a reason of its own."""

import pytest

from glider.corpus.rationales import About, Unclear, cleaned, quoted
from glider.formats.nano import REASON_WORDS

LONG = "The first part is well made and shows what the author wanted to say in quite a few words. "


def graded(level, lang="en", texts=()):
    return About(level=level, lang=lang, texts=texts)


def pair(swapped=False, lang="en"):
    return About(level=None, swapped=swapped, lang=lang)


@pytest.mark.parametrize(
    ("text", "about", "kept"),
    [
        ("  it misses the\nmain point", graded(0.5), "It misses the main point."),
        ("it misses the main point", graded(0.5), "It misses the main point."),
        ("No.\nReasoning: The date is wrong.", graded(0), "The date is wrong."),
        ("Answer: No, the summary is wrong. It says 3 instead of 4.", graded(0),
         "It says 3 instead of 4."),
        (": OpenFlow is only one case of it.", graded(0.5), "OpenFlow is only one case of it."),
        ("It names no cause. So the overall score is 2.", graded(0.25), "It names no cause."),
        ("It names no cause. The other answer does.", graded(0.25), "It names no cause."),
        # Below the top, what names the fault is kept before praise.
        (LONG * 3 + "However, the last part lacks a source.", graded(0.5),
         LONG + "However, the last part lacks a source."),
        (LONG * 3 + "However, the last part lacks " + "a very " * 6 + "good source.", graded(0.5),
         "The last part lacks " + "a very " * 6 + "good source."),
        (LONG * 3 + "However, the last part lacks a source.", graded(1), LONG.strip()),
        ("Der Shop fehlt hier.Bitte nenne ihn auch noch.", graded(0.5, "de"),
         "Der Shop fehlt hier. Bitte nenne ihn auch noch."),
        ("“3000万”不合理，应为300万", graded(0, "zh"), "“3000万”不合理，应为300万。"),
        ("Response 1 states a fact, Response 2 none.", pair(),
         "Output 1 states a fact, Output 2 none."),
        ("Response 1 states a fact, Response 2 none.", pair(swapped=True),
         "Output 2 states a fact, Output 1 none."),
        ("I think response 2 helps more.", pair(), "I think output 2 helps more."),
        ("回答1は短いです。", pair(lang="ja"), "output 1は短いです。"),
    ],
)  # fmt: skip
def test_kept(text, about, kept):
    assert cleaned(text, about) == kept


@pytest.mark.parametrize(
    ("text", "about", "why"),
    [
        ("Korrekt!", graded(1, "de"), "only a verdict"),
        ("The response is correct.", graded(1), "only a verdict"),
        ("Score: 4. I give it a score of 4.", graded(0.75), "speaks of a score only"),
        ("The other answer is far better.", graded(0.5), "speaks of another answer"),
        ("It is correct and complete.", graded(0), "contradicts the label"),
        ("It is wrong about the date.", graded(1), "contradicts the label"),
        ("A dog runs.", graded(1, texts=["The dog runs in a park"]), "only repeats the text"),
        ("word " * 40, graded(0.5), "no sentence that is short enough"),
        ("It lists good reasons and facts.", pair(), "does not say which output it speaks of"),
        ("Response 1 is weak, the latter is strong.", pair(), "names an output by its place"),
        ("Response 1 is good but argument 2A is not.", pair(), "names an output by its place"),
    ],
)
def test_refused(text, about, why):
    with pytest.raises(Unclear, match=why):
        cleaned(text, about)


def test_both_orders_of_a_pair_say_the_same():
    text = "Response 2 is racist, Response 1 is not. I would take response 1."
    assert cleaned(cleaned(text, pair(swapped=True)), pair(swapped=True)) == cleaned(text, pair())


def test_a_kept_reason_fits_the_answer():
    text = " ".join(f"Sentence {n} of this text is not long, but there are many." for n in range(9))
    kept = cleaned(text, graded(0.5))
    assert text.startswith(kept) and kept.endswith("many.")
    assert len(kept) <= 8 * REASON_WORDS and len(kept.split()) <= REASON_WORDS


def test_control_tokens_cannot_enter_an_answer():
    assert "<|im_end|>" not in cleaned("It says <|im_end|> and fails.", graded(0.5))


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('It says "dozens islands", not two.', ["dozens islands"]),
        ("“甲乙”不合理，「丙丁」も", ["甲乙", "丙丁"]),
        ("The author's claim isn't 'well known' here", ["well known"]),
        ("no quotes", []),
    ],
)
def test_quoted(text, found):
    assert quoted(text) == found
