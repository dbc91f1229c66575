"""From flags to a Judge: model, format and endpoint settings, decided once.

The environment is read here and nowhere below: OPENAI_API_KEY and OPENAI_BASE_URL.
"""

import os
from dataclasses import dataclass
from typing import Any

from glider.backends import open_backend
from glider.cli.show import Download
from glider.core.errors import SetupError
from glider.formats import FORMATS, make_format
from glider.formats.base import Format
from glider.judging.judge import Judge, default_format


@dataclass(frozen=True, kw_only=True)
class JudgeSettings:
    """Everything a person can say about who judges and how."""

    model: str = "embedded"
    format: str | None = None
    order: str | None = None
    explain: bool = True
    layout: str | None = None
    samples: int = 1
    temperature: float = 0.8
    max_tokens: int | None = None
    truncate: bool = False
    seed: int = 0
    context_tokens: int | None = None
    base_url: str | None = None
    max_connections: int = 64
    timeout_s: float = 120.0
    max_retries: int = 6
    price_in: float | None = None
    price_out: float | None = None
    max_cost: float | None = None
    grammar: str = "auto"

    def recorded(self) -> dict[str, Any]:
        """What decides the outcomes, for the manifest; not how fast they come."""
        return {
            "model": self.model,
            "samples": self.samples,
            "temperature": self.temperature if self.samples > 1 else 0.0,
            "max_tokens": self.max_tokens,
            "truncate": self.truncate,
            "seed": self.seed,
            "context_tokens": self.context_tokens,
            "grammar": self.grammar,
        }

    def open(self) -> Judge:
        """Load the model and make the judge.

        Raises:
            SetupError: settings that contradict each other or the model.
        """
        download = Download()
        try:
            backend = open_backend(self.model, **self._backend_options(download))
        finally:
            download.close()
        try:
            return Judge(
                backend,
                format=self._format(default_format(backend)),
                samples=self.samples,
                temperature=self.temperature,
                max_tokens=self.max_tokens,
                truncate=self.truncate,
                seed=self.seed,
            )
        except BaseException:
            backend.close()
            raise

    def _format(self, default: str | Format) -> str | Format:
        name = self.format or (default if isinstance(default, str) else default.name)
        FORMATS.get(name)
        options: dict[str, Any] = {"order": self.order, "layout": self.layout}
        given = {key: value for key, value in options.items() if value is not None}
        if name != "nano":
            if given or not self.explain:
                raise SetupError(
                    f"--order, --layout and --no-explain are for the nano format, not {name!r}"
                )
            return name
        if not self.explain or (isinstance(default, Format) and not default.explains):
            given["explain"] = False
        return make_format(name, **given)

    def _backend_options(self, download: Download) -> dict[str, Any]:
        provider = self.model.partition("/")[0]
        if self.model.endswith(".gguf") or provider == "embedded":
            return {"context_tokens": self.context_tokens, "progress": download}
        if provider != "openai":
            return {}
        base_url = self.base_url or os.environ.get("OPENAI_BASE_URL")
        options: dict[str, Any] = {
            "base_url": base_url,
            "api_key": os.environ.get("OPENAI_API_KEY"),
            "timeout_s": self.timeout_s,
            "max_retries": self.max_retries,
            "max_in_flight": self.max_connections,
            "max_cost": self.max_cost,
            "grammar": self.grammar,
        }
        if self.price_in is not None or self.price_out is not None:
            from glider.backends.openai_http import Price

            options["price"] = Price(self.price_in or 0.0, self.price_out or 0.0)
        elif self.max_cost is not None:
            raise SetupError(
                "--max-cost needs prices", hint="give --price-in and --price-out per million tokens"
            )
        return {key: value for key, value in options.items() if value is not None}
