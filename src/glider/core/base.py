"""What every stored record is made of: immutable, closed to unknown keys, with a content hash."""

import hashlib
import json
from typing import Any

from pydantic import BaseModel, ConfigDict


class Frozen(BaseModel):
    """An immutable record; a misspelt key is an error, not a surprise later."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def content_hash(value: Any, *, length: int = 16) -> str:
    """Hash plain data (dicts, lists, strings, numbers) by what it says, not how it is laid out.

    Returns:
        The first `length` hexadecimal digits of the SHA-256 of the canonical JSON.
    """
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:length]
