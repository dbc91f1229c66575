"""From flags to a Judge: model, format and endpoint settings, decided once.

The environment is read here and nowhere below: OPENAI_API_KEY and OPENAI_BASE_URL.
"""

import os
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any

from glider.backends import open_backend, provider_and_model
from glider.cli.show import Download
from glider.core.errors import SetupError
from glider.formats import FORMATS, make_format
from glider.formats.base import Format
from glider.formats.nano import NanoFormat
from glider.judging.judge import Judge, default_format
from glider.judging.strategies import STRATEGIES, with_strategies
from glider.judging.strategies.asking import Mean
from glider.judging.strategies.base import Strategy
from glider.judging.strategies.jury import Jury
from glider.judging.strategies.parts import Decompose


@dataclass(frozen=True, kw_only=True)
class JudgeSettings:
    """Everything a person can say about who judges and how."""

    model: str = "embedded"
    format: str | None = None
    order: str | None = None
    explain: bool | None = True
    """None: only where the form cannot do without."""
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
    strategies: tuple[str, ...] = ()
    aspects: tuple[str, ...] = ()
    jury: tuple[str, ...] = ()
    """Models besides `model`."""

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
            "strategies": list(self.strategies),
            "aspects": list(self.aspects),
            "jury": list(self.jury),
        }

    def open(self) -> Judge:
        """Load the model, or the jury's models, and make the judge.

        Raises:
            SetupError: settings that contradict each other or the model.
        """
        strategies = self._strategies()
        if not self.jury:
            return self._open_one(strategies)
        if self.max_cost is not None:
            raise SetupError(
                "--max-cost holds for one model and its prices; a jury has several",
                hint="leave out --max-cost or --jury",
            )
        with ExitStack() as opened:
            jurors = [
                opened.enter_context(replace(self, model=model)._open_one(strategies))
                for model in (self.model, *self.jury)
            ]
            jury = Jury(jurors)
            opened.pop_all()  # from here on the jury closes them
        return jury

    def _strategies(self) -> list[str | Strategy]:
        if self.aspects and "decompose" not in self.strategies:
            raise SetupError("--aspect is for --strategy decompose")
        own: dict[str, Strategy] = {}
        if self.aspects:
            own["decompose"] = Decompose(self.aspects)
        if self.samples > 1:
            own["mean"] = Mean(self.samples)
        return [own.get(name, name) for name in self.strategies]

    def _open_one(self, strategies: Sequence[str | Strategy]) -> Judge:
        download = Download()
        try:
            backend = open_backend(self.model, **self._backend_options(download))
        finally:
            download.close()
        try:
            judge = Judge(
                backend,
                format=self._format(default_format(backend)),
                samples=self.samples,
                temperature=self.temperature,
                max_tokens=self.max_tokens,
                truncate=self.truncate,
                seed=self.seed,
            )
            return with_strategies(judge, strategies)
        except BaseException:
            backend.close()
            raise

    def _format(self, default: str | Format) -> str | Format:
        name = self.format or (default if isinstance(default, str) else default.name)
        FORMATS.get(name)
        options: dict[str, Any] = {"order": self.order, "layout": self.layout}
        given = {key: value for key, value in options.items() if value is not None}
        if name != "nano":
            if given or self.explain is False:
                raise SetupError(
                    f"--order, --layout and --no-explain are for the nano format, not {name!r}"
                )
            return name
        if self.format is None and isinstance(default, NanoFormat):
            given = {"order": default.order, "layout": default.layout, **given}
        explains = given.get("order") == "reason-first" if self.explain is None else self.explain
        if not explains or (isinstance(default, Format) and not default.explains):
            given["explain"] = False
        return make_format(name, **given)

    def _backend_options(self, download: Download) -> dict[str, Any]:
        provider, _ = provider_and_model(self.model)
        if provider == "embedded":
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


def strategy_names(given: Sequence[str]) -> tuple[str, ...]:
    """The names of `--strategy A,B --strategy C`.

    Raises:
        UnknownName: no such strategy.
    """
    names = tuple(name.strip() for words in given for name in words.split(","))
    for name in names:
        STRATEGIES.get(name)
    return names
