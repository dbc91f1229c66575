"""What runs in each process that answers requests: the backends that it was asked to open.

Nothing here knows the cluster. Errors of ours are returned, not raised: they are what the process
has to say, and the other side decides.
"""

import asyncio
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from glider.backends import open_backend, set_endpoint_environment
from glider.backends.base import Backend, Capabilities, Limits
from glider.core.errors import GliderError
from glider.core.generation import Generation, GenerationRequest
from glider.store.manifest import code_sha256


@dataclass(frozen=True)
class OpenedEngine:
    """A backend that a process has opened."""

    id: str
    limits: Limits
    """Of this one process."""
    capabilities: Capabilities
    trained_format: Mapping[str, str] | None
    code: str
    """Hash of Glider's source there."""


class EngineHost:
    """One process: opens backends, then answers requests, many at a time."""

    def __init__(self) -> None:
        """Hold nothing yet."""
        self._backends: dict[int, Backend] = {}

    async def open(
        self,
        key: int,
        name: str,
        options: Mapping[str, Any],
        folder: str,
        endpoint: Mapping[str, str],
    ) -> OpenedEngine | GliderError:
        """Open a backend, as `open_backend` does.

        Args:
            key: what it is called from now on.
            folder: where names of files begin, if this machine has it.
            endpoint: key and address of an endpoint, as the environment of the caller has them.
        """
        with suppress(OSError):
            os.chdir(folder)
        set_endpoint_environment(endpoint)
        try:
            backend = await asyncio.to_thread(open_backend, name, **options)
        except GliderError as error:
            return error
        self._backends[key] = backend
        trained = backend.trained_format
        return OpenedEngine(
            id=backend.id,
            limits=backend.limits,
            capabilities=backend.capabilities,
            trained_format=None if trained is None else dict(trained),
            code=code_sha256(),
        )

    async def answer(self, key: int, request: GenerationRequest) -> Generation | GliderError:
        """Answer one request; cancelling it ends the work in the engine."""
        try:
            return await asyncio.wrap_future(self._backends[key].submit(request))
        except GliderError as error:
            return error

    async def close(self, key: int) -> None:
        """Close a backend."""
        backend = self._backends.pop(key, None)
        if backend is not None:
            await asyncio.to_thread(backend.close)
