"""Backends turn messages into text. They know an engine, but no criteria or rubrics."""

import os
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from typing import Any

from glider.backends.base import Backend
from glider.core.errors import SetupError, UnknownName
from glider.core.plugins import Registry

BACKENDS: Registry[type[Backend]] = Registry(
    kind="backend",
    group="glider.backends",
    builtin={
        "embedded": "glider.backends.embedded:EmbeddedBackend",
        "openai": "glider.backends.openai_http:OpenAIBackend",
        "fast": "glider.backends.fast:FastBackend",
        "hf": "glider.backends.transformers:TransformersBackend",
        "scripted": "glider.backends.scripted:ScriptedBackend",
        "vllm": "glider.backends.vllm:VllmBackend",
    },
)


OpenBackend = Callable[..., Backend]
"""`open_backend`, or what opens a backend of the same name and options somewhere else."""


def open_backend(name: str, **options: Any) -> Backend:
    """Open a backend by `provider/model`, or by the name of a model on this machine.

    A provider alone uses its default model. `glider.models.resolve` lists the kinds of names.
    An endpoint takes its defaults from OPENAI_API_KEY and OPENAI_BASE_URL.

    Raises:
        UnknownName: no such provider, or no such model.
        SetupError: the provider does not have an option, or needs a model name.
    """
    from glider.models.catalog import CATALOG

    provider, model = provider_and_model(name)
    if provider not in BACKENDS.names():
        near = get_close_matches(provider, BACKENDS.names()) if model else []
        raise UnknownName(
            "model",
            name,
            [f"embedded/{known}" for known in CATALOG] + [f"{one}/{model}" for one in near],
            hint="a model is PROVIDER/MODEL, the provider one of "
            f"{', '.join(BACKENDS.names())}; or a folder or .gguf file that is there",
        )
    if provider == "openai":
        options = endpoint_from_environment() | options
    make: Callable[..., Backend] = BACKENDS.get(provider)
    try:
        return make(model, **options) if model else make(**options)
    except TypeError as exc:
        # Wrong constructor arguments are a user error; a TypeError raised inside it is a bug.
        if exc.__traceback__ is not None and exc.__traceback__.tb_next is None:
            raise SetupError(f"backend {provider!r}: {exc}") from exc
        raise


_ENDPOINT = {"api_key": "OPENAI_API_KEY", "base_url": "OPENAI_BASE_URL"}


def endpoint_from_environment() -> dict[str, str]:
    """`api_key` and `base_url` where the environment sets them. Only this function reads it."""
    return {key: value for key, name in _ENDPOINT.items() if (value := os.environ.get(name))}


def set_endpoint_environment(endpoint: Mapping[str, str]) -> None:
    """Give this process what `endpoint_from_environment` found in another."""
    os.environ.update({_ENDPOINT[key]: value for key, value in endpoint.items()})


def provider_and_model(name: str) -> tuple[str, str]:
    """Split a name into provider and model; a local model needs no provider."""
    from glider.models.resolve import engine_of

    provider, _, model = name.partition("/")
    if provider not in BACKENDS.names():
        engine = engine_of(name)
        if engine is not None:
            return engine, name
    return provider, model
