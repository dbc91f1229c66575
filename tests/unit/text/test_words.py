import pytest

from glider.text.words import word_places, words


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Hello, world! It's 3.5", ["hello", "world", "it", "s", "3", "5"]),
        ("snake_case", ["snake", "case"]),
        ("naïve cafe\u0301", ["naïve", "cafe\u0301"]),  # an accent of its own stays with its letter
        ("我们吃饭", ["我", "们", "吃", "饭"]),  # no spaces: letter by letter
        ("用iPhone15拍", ["用", "iphone15", "拍"]),
        ("カタカナと漢字", ["カ", "タ", "カ", "ナ", "と", "漢", "字"]),
        ("안녕 세계", ["안녕", "세계"]),  # Korean has spaces
        ("हिन्दी भाषा", ["हिन्दी", "भाषा"]),  # vowel signs are no letters of their own
        ("ภาษา", ["ภ", "า", "ษ", "า"]),
        ("—…！", []),
        ("", []),
    ],
)
def test_words(text, expected):
    assert words(text) == expected
    assert [text[a:b].lower() for a, b in word_places(text)] == expected
