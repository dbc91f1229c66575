"""Convert a prompt to token ids, identically for serving and training.

The caller passes in a Hugging Face tokenizer, so this module imports nothing heavy. A prompt that
differs by one token between training and serving raises no error but costs accuracy, so both use
this one function.
"""

from collections.abc import Collection, Iterable
from typing import Any, Protocol

from glider.text.defuse import defuse_literals


class Turn(Protocol):
    """Anything with a role and content: a `Message`, or a turn of a stored example."""

    @property
    def role(self) -> str: ...

    @property
    def content(self) -> str: ...


def control_tokens(tokenizer: Any) -> frozenset[str]:
    """Return the strings that this tokenizer parses as control tokens."""
    added = tokenizer.added_tokens_decoder.values()
    # `all_special_tokens` alone misses most: it has two of Llama 3's and three of SmolLM2's.
    named = (token.content for token in added if token.special)
    return frozenset([*tokenizer.all_special_tokens, *named])


def prompt_text(
    tokenizer: Any, messages: Iterable[Turn], opening: str, control: Collection[str]
) -> str:
    """Return the whole prompt: the chat template over defused messages, then the opening.

    Args:
        control: `control_tokens(tokenizer)`; they are defused in every message.

    Raises:
        jinja2.TemplateError: the model's chat template does not accept these messages.
    """
    turns = [{"role": m.role, "content": defuse_literals(m.content, control)} for m in messages]
    text: str = tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
    return text + opening


def token_ids(tokenizer: Any, text: str) -> list[int]:
    """Tokenize a text that already has its control tokens, since the template adds them."""
    ids: list[int] = tokenizer(text, add_special_tokens=False).input_ids
    return ids
