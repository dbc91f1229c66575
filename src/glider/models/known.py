"""List the models of the catalogue and which of them are on this machine."""

import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from glider.models.catalog import CATALOG, DEFAULT, cache_dir
from glider.models.receipts import file_sha256

State = Literal["here", "not here", "damaged"]


@dataclass(frozen=True, slots=True)
class KnownModel:
    """A model of the catalogue."""

    name: str
    licence: str
    state: State
    size_bytes: int
    """Size on disk, or the size to fetch if the model is not here."""
    path: Path
    languages: tuple[str, ...] = ()
    """Languages in which it was measured to be better than chance; empty: not recorded."""

    @property
    def is_default(self) -> bool:
        """Whether this is the default model."""
        return self.name == DEFAULT


def known_models(*, verify: bool = False) -> Iterator[KnownModel]:
    """Yield every catalogue model with its state on this machine; nothing is fetched.

    Args:
        verify: read every byte of the local files and compare their hashes.
    """
    for name, model in CATALOG.items():
        path = cache_dir() / "models" / name / f"{name}.{model.requantise}.gguf"
        state: State = "not here"
        size = model.size_bytes
        with suppress(OSError):
            size = path.stat().st_size
            state = "here"
            if verify and file_sha256(path, verify=True) != _recorded(path):
                state = "damaged"
        languages = tuple((model.trained_format or {}).get("languages", "").split())
        yield KnownModel(name, model.licence, state, size, path, languages)


def _recorded(path: Path) -> str | None:
    with suppress(OSError, ValueError, KeyError, TypeError):
        return str(json.loads(path.with_suffix(".json").read_text("utf-8"))["sha256"])
    return None
