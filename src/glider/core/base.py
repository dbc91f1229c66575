"""Base class of stored records: immutable, no unknown keys, with a content hash."""

import hashlib
import json
from typing import Any

from pydantic import BaseModel, ConfigDict


class Frozen(BaseModel):
    """An immutable record; an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def content_hash(value: Any, *, length: int = 16) -> str:
    """Hash plain data (dicts, lists, strings, numbers) by its content, not its layout.

    Returns:
        The first `length` hexadecimal digits of the SHA-256 of the canonical JSON.
    """
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:length]
