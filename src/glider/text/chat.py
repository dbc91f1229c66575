"""A prompt as the token ids a model is given; the one way for serving and for training.

The tokenizer is handed in (a Hugging Face one), so nothing heavy is imported here. A prompt that
differs in one token between training and serving raises no error and costs accuracy: hence one
function, and none beside it.
"""

from collections.abc import Collection, Iterable
from typing import Any, Protocol

from glider.text.defuse import defuse_literals


class Turn(Protocol):
    """Anything with a role and a content: a `Message`, a turn of a stored example."""

    @property
    def role(self) -> str: ...

    @property
    def content(self) -> str: ...


def control_tokens(tokenizer: Any) -> frozenset[str]:
    """The texts that this tokenizer reads as control tokens."""
    added = tokenizer.added_tokens_decoder.values()
    # `all_special_tokens` alone misses most: of Llama 3's it has two, of SmolLM2's three.
    named = (token.content for token in added if token.special)
    return frozenset([*tokenizer.all_special_tokens, *named])


def prompt_text(
    tokenizer: Any, messages: Iterable[Turn], opening: str, control: Collection[str]
) -> str:
    """The whole prompt as text: the chat template over defused messages, then the opening.

    Args:
        control: `control_tokens(tokenizer)`; no message may spell one.

    Raises:
        jinja2.TemplateError: the model's chat template does not take these messages.
    """
    turns = [{"role": m.role, "content": defuse_literals(m.content, control)} for m in messages]
    text: str = tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
    return text + opening


def token_ids(tokenizer: Any, text: str) -> list[int]:
    """Ids of a text that has all its control tokens already: the template has written them."""
    ids: list[int] = tokenizer(text, add_special_tokens=False).input_ids
    return ids
