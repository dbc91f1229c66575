"""Settings of a judge: its model, endpoint, format and strategies."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Annotated, Any, Self
from urllib.parse import urlsplit, urlunsplit

from glider.core.errors import SetupError
from glider.core.settings import Flag, flags_of

if TYPE_CHECKING:
    from glider.backends import OpenBackend
    from glider.backends.base import Backend
    from glider.formats.base import Format
    from glider.judging.judge import Judge
    from glider.judging.strategies.base import Strategy

_JUDGE, _STRATEGY, _ASK, _ENDPOINT = "Judge", "Strategy", "How to ask", "Endpoint"

_SURE_ENOUGH = "0.8"

Progress = Callable[[str, int, int], None]
"""Called with (what is fetched or converted, amount done, total)."""


@dataclass(frozen=True, kw_only=True)
class ModelSettings:
    """Settings of which model to use, and where it runs."""

    model: Annotated[
        str,
        Flag(
            "provider/model, a .gguf file, or a training or adapter folder; see `glider models`.",
            _JUDGE,
            ("--model", "-m"),
        ),
    ] = "embedded"
    context_tokens: Annotated[
        int | None, Flag("Embedded engine: context size in tokens [4096].", _ASK, min=256)
    ] = None
    base_url: Annotated[str | None, Flag("URL of the endpoint [$OPENAI_BASE_URL].", _ENDPOINT)] = (
        None
    )
    grammar: Annotated[
        str, Flag("Constrained output: auto, vllm, llama.cpp, json-schema, none.", _ENDPOINT)
    ] = "auto"
    max_connections: Annotated[
        int, Flag("Maximum number of parallel requests.", _ENDPOINT, min=1)
    ] = 64
    timeout_s: Annotated[
        float, Flag("Seconds to wait for a complete answer.", _ENDPOINT, ("--timeout",), min=0.1)
    ] = 120.0
    max_retries: Annotated[int, Flag("Retries after temporary errors.", _ENDPOINT, min=0)] = 6
    price_in: Annotated[
        float | None, Flag("Price per million prompt tokens.", _ENDPOINT, min=0.0)
    ] = None
    price_out: Annotated[
        float | None, Flag("Price per million answer tokens.", _ENDPOINT, min=0.0)
    ] = None
    max_cost: Annotated[
        float | None, Flag("Stop before this much is spent.", _ENDPOINT, min=0.0)
    ] = None
    scores_apart: bool = False
    """Embedded: reserve a slot for bare scores, for servers. Not a command-line flag."""

    @property
    def models(self) -> tuple[str, ...]:
        """Names of all models in use."""
        return (self.model,)

    def open_backend(
        self, progress: Progress | None = None, opener: "OpenBackend | None" = None
    ) -> "Backend":
        """Load the model, or set up the endpoint client.

        Args:
            opener: opens backends somewhere else than in this process.

        Raises:
            SetupError: settings that contradict each other or the model.
            UnknownName: no such model.
        """
        from glider.backends import open_backend

        self._refuse_unused()
        return (opener or open_backend)(self.model, **self._backend_options(progress))

    def endpoint(self) -> str | None:
        """Address of the endpoint, without passwords; None for a model in this process."""
        if "openai" not in self._providers():
            return None
        from glider.backends import endpoint_from_environment

        url = self.base_url or endpoint_from_environment().get("base_url")
        if url is None:
            return None
        parts = urlsplit(url)
        return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))

    def _providers(self) -> set[str]:
        from glider.backends import provider_and_model

        return {provider_and_model(model)[0] for model in self.models}

    def _refuse_unused(self) -> None:
        """Raise for a setting that the model's engine does not support, instead of ignoring it."""
        settings = list(flags_of(ModelSettings))
        of_endpoints = [field.name for field, _, flag in settings if flag.panel == _ENDPOINT]
        defaults = {field.name: field.default for field in fields(ModelSettings)}
        for engine, names in (("openai", of_endpoints), ("embedded", ["context_tokens"])):
            given = [name for name in names if getattr(self, name) != defaults[name]]
            if given and engine not in self._providers():
                who = "an endpoint (openai/MODEL)" if engine == "openai" else "the embedded engine"
                flags = ", ".join("--" + n.removesuffix("_s").replace("_", "-") for n in given)
                raise SetupError(f"{flags}: for {who}, not for {self.model}")

    def _backend_options(self, progress: Progress | None) -> dict[str, Any]:
        from glider.backends import provider_and_model

        provider, _ = provider_and_model(self.model)
        options: dict[str, Any]
        if provider == "embedded":
            options = {"context_tokens": self.context_tokens, "progress": progress}
            return options | ({"scores_apart": True} if self.scores_apart else {})
        if provider != "openai":
            return {}
        options = {
            "base_url": self.base_url,
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
    """Parse the strategy names of `--strategy A,B --strategy C`.

    Raises:
        UnknownName: no such strategy.
    """
    from glider.judging.strategies import STRATEGIES

    names = tuple(name.strip() for words in given for name in words.split(","))
    for name in names:
        STRATEGIES.get(name)
    return names


@dataclass(frozen=True, kw_only=True)
class JudgeSettings(ModelSettings):
    """All settings of a judge."""

    format: Annotated[
        str | None, Flag("Prompt format: nano, glider, prometheus, flow-judge, chat-json.", _JUDGE)
    ] = None
    samples: Annotated[int, Flag("Answers per judgment, averaged.", _JUDGE, min=1)] = 1
    temperature: Annotated[
        float, Flag("Sampling temperature if --samples is above 1.", _JUDGE, min=0.0)
    ] = 0.8
    seed: Annotated[int, Flag("Random seed for --samples.", _JUDGE)] = 0
    strategies: Annotated[
        tuple[str, ...],
        Flag(
            "NAME[,NAME...], applied from left to right: rules, questions, reference, swap, "
            "pointwise, mean, decompose, scenario, sentences, banded.",
            _STRATEGY,
            ("--strategy",),
            parse=strategy_names,
        ),
    ] = ()
    aspects: Annotated[
        tuple[str, ...],
        Flag(
            "For decompose: NAME or NAME=WEIGHT; the model chooses what is not given.",
            _STRATEGY,
            ("--aspect",),
        ),
    ] = ()
    jury: Annotated[
        tuple[str, ...],
        Flag("A further model; scores are averaged over all. Repeatable.", _STRATEGY),
    ] = ()
    cascade: Annotated[
        str | None,
        Flag("A larger model; it judges only what the first is not sure enough of.", _STRATEGY),
    ] = None
    cascade_until: Annotated[
        str | None,
        Flag(
            "Sure enough: least probability of the likeliest level [0.8], or a calibration file of "
            "the first model, whose threshold is taken.",
            _STRATEGY,
        ),
    ] = None
    order: Annotated[str | None, Flag("score-first or reason-first.", _ASK)] = None
    explain: Annotated[
        bool | None, Flag("Ask for quotes and a reason, or only the score.", _ASK)
    ] = True
    """None: only if the format requires it."""
    layout: Annotated[str | None, Flag("Prompt layout: criterion-first or sample-first.", _ASK)] = (
        None
    )
    max_tokens: Annotated[int | None, Flag("Longest answer, in tokens.", _ASK, min=1)] = None
    truncate: Annotated[bool, Flag("Shorten texts that do not fit; mark the cut.", _ASK)] = False

    @property
    def models(self) -> tuple[str, ...]:
        return (self.model, *self.jury, *([self.cascade] if self.cascade else []))

    def recorded(self) -> dict[str, Any]:
        """Return the settings that affect outcomes, for the manifest; not those for speed."""
        recorded = {
            "model": self.model,
            "base_url": self.endpoint(),
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
        if self.cascade is not None:
            recorded |= {"cascade": self.cascade, "cascade_until": self._until}
        return recorded

    @property
    def _until(self) -> str:
        return self.cascade_until or _SURE_ENOUGH

    def open(
        self, progress: Progress | None = None, opener: "OpenBackend | None" = None
    ) -> "Judge":
        """Load the model, or the models of a jury or cascade, and make the judge.

        Args:
            opener: opens backends somewhere else than in this process.

        Raises:
            SetupError: settings that contradict each other or the model.
        """
        strategies = self._strategies()
        self._refuse_unused()
        if self.cascade_until is not None and self.cascade is None:
            raise SetupError("--cascade-until is for --cascade MODEL")
        if len(self.models) == 1:
            return self._open_one(strategies, progress, opener)
        several = "jury" if self.jury else "cascade"
        if self.jury and self.cascade:
            raise SetupError("--jury asks every model, --cascade one after the other: choose one")
        if self.max_cost is not None:
            raise SetupError(
                f"--max-cost holds for one model and its prices; a {several} has several",
                hint=f"leave out --max-cost or --{several}",
            )
        from glider.judging.strategies.cascade import Cascade, SureEnough
        from glider.judging.strategies.jury import Jury

        until = None if self.cascade is None else SureEnough.of(self._until)
        with ExitStack() as opened:
            judges = [
                opened.enter_context(self._only(model)._open_one(strategies, progress, opener))
                for model in self.models
            ]
            judge = Jury(judges) if until is None else Cascade(judges[0], judges[1], until)
            opened.pop_all()  # from here on, the judge closes them
        return judge

    def _only(self, model: str) -> Self:
        return replace(self, model=model, jury=(), cascade=None, cascade_until=None)

    def _strategies(self) -> "list[str | Strategy]":
        from glider.judging.strategies.asking import Mean
        from glider.judging.strategies.parts import Decompose

        if self.aspects and "decompose" not in self.strategies:
            raise SetupError("--aspect is for --strategy decompose")
        own: dict[str, Strategy] = {}
        if self.aspects:
            own["decompose"] = Decompose(self.aspects)
        if self.samples > 1:
            own["mean"] = Mean(self.samples)
        return [own.get(name, name) for name in self.strategies]

    def _open_one(
        self,
        strategies: "Sequence[str | Strategy]",
        progress: Progress | None,
        opener: "OpenBackend | None",
    ) -> "Judge":
        from glider.backends import open_backend
        from glider.judging.judge import Judge, default_format
        from glider.judging.strategies import with_strategies

        backend = (opener or open_backend)(self.model, **self._backend_options(progress))
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

    def _format(self, default: "str | Format") -> "str | Format":
        from glider.formats import FORMATS, make_format
        from glider.formats.base import Format
        from glider.formats.nano import NanoFormat

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
        if isinstance(default, NanoFormat):
            # How much a model writes is its own, whatever it is asked.
            given["reason_words"] = default.reason_words
            if self.format is None:
                given = {"order": default.order, "layout": default.layout, **given}
        explains = given.get("order") == "reason-first" if self.explain is None else self.explain
        if not explains or (isinstance(default, Format) and not default.explains):
            given["explain"] = False
        return make_format(name, **given)
