"""Count a prompt's tokens, and check whether an item fits into a limit."""

from collections.abc import Callable
from pathlib import Path

from glider.core.errors import MissingExtra, SetupError, TaskError
from glider.corpus.examples import Example
from glider.corpus.from_items import task_of
from glider.formats.base import Format
from glider.gold.items import Item

Tokens = Callable[[str], int]
"""How many tokens a text is."""

TOO_LONG = "a prompt that is too long"


def estimated_tokens(text: str) -> int:
    """Tokens of a text, about: 3.5 Latin letters each, and up to two for a letter of other scripts.

    Of 600 English prompts SmolLM2's tokenizer made 0.8 to 1.1 times as many.
    """
    other = sum(char > "\u024f" for char in text) if not text.isascii() else 0
    return round((len(text) - other) / 3.5 + 1.7 * other)


_TEMPLATE_TOKENS = 14
"""What a chat template adds."""


def n_tokens(example: Example, tokens: Tokens) -> int:
    """Tokens of an example's prompt, chat template included."""
    return sum(tokens(turn.content) for turn in example.messages) + _TEMPLATE_TOKENS


def why_not_askable(item: Item, format: Format, *, limit: int | None, tokens: Tokens) -> str | None:
    """Why an item cannot be asked in a prompt of at most so many tokens; None where it can."""
    asking = format.bare() or format  # its prompt is the same, and no grammar of quotes is made
    try:
        prompt = asking.render(task_of(item))
    except (TaskError, SetupError) as exc:
        return f"cannot be asked in the format {format.name} ({exc.code})"
    size = sum(tokens(m.content) for m in prompt.messages) + _TEMPLATE_TOKENS
    return TOO_LONG if limit is not None and size > limit else None


def tokens_of(path: Path) -> Tokens:
    """Counts with a tokenizer: a tokenizer.json, the folder of one, or a model.

    Raises:
        MissingExtra: the package that reads it is not installed.
        SetupError: there is none, or it is damaged.
    """
    try:
        from tokenizers import Tokenizer
    except ImportError as exc:
        raise MissingExtra("counting tokens with a tokenizer", "torch") from exc
    file = path / "tokenizer.json" if path.is_dir() else path
    if not file.is_file():
        from glider.models.resolve import resolve

        file = Path(resolve(path).torch().source) / "tokenizer.json"
    if not file.is_file():
        raise SetupError(f"{path}: no tokenizer.json there")
    try:
        tokenizer = Tokenizer.from_file(str(file))
    except Exception as exc:  # it has no errors of its own
        raise SetupError(f"{file}: no tokenizer: {exc}") from exc
    return lambda text: len(tokenizer.encode(text, add_special_tokens=False).ids)
