"""A folder that one process fills, and that a later one may go on with under the same manifest."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from glider.core.errors import ManifestMismatch, RunError
from glider.store.atomic import is_unfinished, write_json
from glider.store.journal import lock
from glider.store.manifest import Manifest
from glider.store.run import load_manifest


@contextmanager
def kept_folder(folder: Path, manifest: Manifest, *, resume: bool) -> Iterator[None]:
    """Hold a new folder, or go on with one; its manifest is written first.

    Raises:
        RunError: it holds something, is in use, is no such folder, or cannot be written.
        ManifestMismatch: what differs, key by key.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if resume:
            different = load_manifest(folder).differences(manifest)
            if different:
                raise ManifestMismatch(
                    f"{folder} was not made in this way:\n  " + "\n  ".join(different),
                    hint="name another folder, or go back to what it was started with",
                )
        elif any(f.name != ".lock" and not is_unfinished(f) for f in folder.iterdir()):
            raise RunError(
                f"{folder} is not empty",
                hint="--resume goes on with it; --out names another folder",
            )
        held = lock(folder / ".lock")
    except OSError as exc:
        raise RunError(f"cannot write {folder}: {exc.strerror or exc}") from exc
    try:
        if not resume:
            write_json(folder / "manifest.json", manifest.model_dump(mode="json"))
        yield
    finally:
        os.close(held)
