"""Base class of stored records: immutable, no unknown keys, with a content hash."""

import hashlib
import json
from typing import Any, NamedTuple

from pydantic import BaseModel, ConfigDict, ValidationError


class Frozen(BaseModel):
    """An immutable record; an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Problem(NamedTuple):
    """What is wrong with plain data that should have been a record."""

    where: str
    """Path of the key, `rubric.levels`; empty if it is the whole."""
    what: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what}" if self.where else self.what


def first_problem(error: ValidationError) -> Problem:
    """Return the first of an error's problems, in words for the user."""
    first = error.errors(include_url=False, include_input=False)[0]
    return Problem(".".join(map(str, first["loc"])), first["msg"].removeprefix("Value error, "))


def content_hash(value: Any, *, length: int = 16) -> str:
    """Hash plain data (dicts, lists, strings, numbers) by its content, not its layout.

    Returns:
        The first `length` hexadecimal digits of the SHA-256 of the canonical JSON.
    """
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:length]
