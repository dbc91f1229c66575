"""Cache the hash of a large file in a receipt, with the file's size and modification time.

A receipt is trusted while size and modification time are unchanged. `glider models --verify` reads
every byte again.
"""

import hashlib
import json
import os
import time
from contextlib import suppress
from pathlib import Path

_SMALL = 1 << 20
"""Size in bytes below which hashing is faster than looking up a receipt."""
_SETTLED_S = 2.0
"""Seconds; a file modified more recently may change again without a new timestamp."""


def file_sha256(path: Path, *, verify: bool = False) -> str:
    """Return the SHA-256 of a file in hexadecimal, from its receipt if it has a valid one.

    Args:
        verify: read the file regardless of the receipt, and write a new receipt.

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
        # Without a receipt it is only slower, so a read-only cache is not an error here.
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
