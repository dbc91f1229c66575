"""API keys from the environment or a file, compared in constant time."""

import hashlib
import hmac
import os
from collections.abc import Mapping
from pathlib import Path

from glider.core.errors import SetupError
from glider.data.yaml_files import read_text

ENVIRONMENT = "GLIDER_SERVE_KEYS"
_SHORTEST = 8


class Keys:
    """The keys of a server; only their hashes are kept."""

    def __init__(self, named: Mapping[str, str]) -> None:
        """Create from owner names and keys.

        Raises:
            SetupError: a key is too short.
        """
        for name, key in named.items():
            if len(key) < _SHORTEST:
                raise SetupError(f"the key of {name!r} has fewer than {_SHORTEST} characters")
        self._hashes = {name: _hash(key) for name, key in named.items()}

    def __bool__(self) -> bool:
        return bool(self._hashes)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the owners."""
        return tuple(self._hashes)

    def owner(self, key: str) -> str | None:
        """Return the owner of a key, or None, in constant time."""
        asked, found = _hash(key), None
        for name, known in self._hashes.items():
            if hmac.compare_digest(asked, known):
                found = name
        return found

    @classmethod
    def load(cls, path: Path | None) -> "Keys":
        """Load from a file, one `NAME KEY` or `KEY` a line, `#` for comments; or from the
        environment, separated by commas.

        Raises:
            SetupError: the file cannot be read, or a line or name cannot be used.
        """
        if path is not None:
            lines, where = read_text(path).splitlines(), str(path)
        else:
            lines, where = os.environ.get(ENVIRONMENT, "").split(","), ENVIRONMENT
        named: dict[str, str] = {}
        for number, line in enumerate(lines, start=1):
            words = line.partition("#")[0].split()
            if not words:
                continue
            if len(words) > 2:
                raise SetupError(f"{where}:{number}: a key is `NAME KEY` or `KEY`")
            name = words[0] if len(words) == 2 else f"key-{number}"
            if name in named:
                raise SetupError(f"{where}:{number}: the name {name!r} is there twice")
            named[name] = words[-1]
        if path is not None and not named:
            raise SetupError(f"{where}: holds no key")
        return cls(named)


def _hash(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()
