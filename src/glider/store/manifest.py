"""Manifests: everything that decides a run's outcomes, and when and where it was made."""

import hashlib
import json
import platform
from collections.abc import Iterable
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Self, TypeVar

from pydantic import ValidationError

from glider._version import __version__
from glider.core.base import Frozen
from glider.core.errors import RunError, UnknownSchemaVersion

NO_JUDGE = "no judge"
"""Judge of a run of texts that people are to label."""
_LIBRARIES = ("xllamacpp", "llguidance", "torch", "transformers", "aiohttp", "pydantic")
_WHERE_AND_WHEN = {"run_id", "created_at", "input_path", "libraries", "python"}
"""Keys that may differ between a run and its continuation."""


class AnyManifest(Frozen):
    """What made a folder, whatever it is a folder of; two can be compared."""

    def differences(self, other: Self) -> list[str]:
        """One line per key that differs and matters: 'settings.seed: 1 before, 2 now'."""
        return differences(self._decisive(), other._decisive())

    def _decisive(self) -> dict[str, Any]:
        """The keys that may not differ between a folder and what goes on with it."""
        raise NotImplementedError


M = TypeVar("M", bound=AnyManifest)


class Manifest(AnyManifest):
    """Everything that decides what a run's outcomes are, and when and where it was made."""

    version: int = 1
    run_id: str
    created_at: str
    glider: str
    code_sha256: str
    """Hash of the package's own source."""
    judge: str
    """Model with revision, and format with options."""
    settings: dict[str, Any]
    criteria: dict[str, str]
    """Name to content hash."""
    input_path: str
    input_sha256: str | None
    """None for standard input, which cannot be resumed."""
    python: str
    libraries: dict[str, str]

    @classmethod
    def of(
        cls,
        *,
        run_id: str | None = None,
        judge: str,
        settings: dict[str, Any],
        criteria: dict[str, str],
        input_path: str,
        input_sha256: str | None,
    ) -> "Manifest":
        """Describe a run that starts now, on this machine. Its id is the time by default."""
        now = datetime.now(UTC)
        return cls(
            run_id=now.strftime("%Y%m%d-%H%M%S") if run_id is None else run_id,
            created_at=now.isoformat(timespec="seconds"),
            glider=__version__,
            code_sha256=code_sha256(),
            judge=judge,
            settings=settings,
            criteria=criteria,
            input_path=input_path,
            input_sha256=input_sha256,
            python=platform.python_version(),
            libraries=installed(_LIBRARIES),
        )

    def _decisive(self) -> dict[str, Any]:
        return {k: v for k, v in self.model_dump().items() if k not in _WHERE_AND_WHEN}


def read_manifest(folder: Path, of: type[M], kind: str) -> M:
    """The manifest in `folder`, which is to be a run, a training or another `kind`.

    Raises:
        RunError: there is none, it is damaged, or it is of another kind.
        UnknownSchemaVersion: a newer Glider wrote it.
    """
    file = folder / "manifest.json"
    try:
        data = json.loads(file.read_text("utf-8"))
    except OSError as exc:
        raise RunError(f"{folder} is no {kind}: it has no manifest.json") from exc
    except ValueError as exc:
        raise RunError(f"{file} is damaged: {exc}") from exc
    if not isinstance(data, dict):
        raise RunError(f"{file} is damaged: it is no mapping")
    if data.get("version") != 1:
        raise UnknownSchemaVersion(
            f"written by a newer Glider (manifest version {data.get('version')})", path=str(file)
        )
    try:
        return of.model_validate(data)
    except ValidationError as exc:
        raise RunError(f"{folder} is no {kind}: its manifest.json is another one") from exc


def differences(before: Any, now: Any, path: str = "") -> list[str]:
    """One line per key of plain data that differs: 'settings.seed: 1 before, 2 now'."""
    if isinstance(before, dict) and isinstance(now, dict):
        lines = []
        for key in sorted({*before, *now}):
            lines += differences(before.get(key), now.get(key), f"{path}.{key}" if path else key)
        return lines
    return [] if before == now else [f"{path}: {before!r} before, {now!r} now"]


@cache
def code_sha256() -> str:
    """Hash of every source file of the package, names included; 12 hexadecimal digits."""
    root = Path(__file__).resolve().parent.parent
    digest = hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        digest.update(str(path.relative_to(root)).encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


def installed(names: Iterable[str]) -> dict[str, str]:
    """Version of each package that is installed."""
    found = {}
    for name in names:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
