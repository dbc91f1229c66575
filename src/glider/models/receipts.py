"""The hash of a large file, computed once: a receipt keeps it with the file's size and time.

A receipt is trusted while size and modification time are what they were. `glider models --verify`
reads every byte again.
"""

import hashlib
import json
import os
import time
from contextlib import suppress
from pathlib import Path

_SMALL = 1 << 20
"""Bytes that are hashed sooner than a receipt is looked up."""
_SETTLED_S = 2.0
"""A file changed this recently may change again within one tick of its clock."""


def file_sha256(path: Path, *, verify: bool = False) -> str:
    """SHA-256 of a file, in hexadecimal; from its receipt where there is one.

    Args:
        verify: read the file whatever the receipt says, and keep the receipt anew.

    Raises:
        OSError: the file cannot be read.
    """
    about = path.stat()
    if about.st_size < _SMALL:
        return _hash(path)
    receipt = _receipt_of(path)
    told = {"size": about.st_size, "mtime_ns": about.st_mtime_ns}
    if not verify:
        with suppress(OSError, ValueError, KeyError, TypeError):
            found = json.loads(receipt.read_text("utf-8"))
            if {key: found[key] for key in told} == told:
                return str(found["sha256"])
    digest = _hash(path)
    if time.time() - about.st_mtime > _SETTLED_S:
        # Without a receipt it is only slower: a cache that cannot be written is no error here.
        with suppress(OSError):
            receipt.parent.mkdir(parents=True, exist_ok=True)
            new = receipt.with_suffix(f".{os.getpid()}")
            new.write_text(json.dumps({"path": str(path), **told, "sha256": digest}), "utf-8")
            new.replace(receipt)
    return digest


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _receipt_of(path: Path) -> Path:
    from glider.models.catalog import cache_dir

    name = hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:16]
    return cache_dir() / "receipts" / f"{name}.json"
