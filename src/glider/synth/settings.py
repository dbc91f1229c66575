"""Settings of a synthesis: the teacher, the blind readers and the number of records."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from glider.core.errors import SetupError
from glider.core.settings import Flag
from glider.judging.settings import JudgeSettings, ModelSettings, Progress

if TYPE_CHECKING:
    from glider.backends import OpenBackend
    from glider.backends.base import Backend
    from glider.formats.base import Format
    from glider.synth.blind import Verifier

_MODELS, _RECORDS, _PAIRS, _KEPT = "Models", "Records", "Pairs", "What is kept"
NO_VERIFIER = "none"


@dataclass(frozen=True, kw_only=True)
class TeacherSettings(ModelSettings):
    """The model that writes, and the models that read its texts blind."""

    model: Annotated[
        str,
        Flag(
            "Model that writes texts and judgments, as in `glider judge`.",
            _MODELS,
            ("--teacher", "-t"),
        ),
    ] = field()
    verifiers: Annotated[
        tuple[str, ...],
        Flag(
            "Model that reads each text blind [the teacher]; may be given again; `none`: nobody.",
            _MODELS,
            ("--verifier",),
        ),
    ] = ()
    writers: Annotated[
        tuple[str, ...],
        Flag(
            "Further model that writes texts, drawn for each record, the two of a pair by "
            "different models; judgments are the teacher's; may be given again.",
            _MODELS,
            ("--writer",),
        ),
    ] = ()
    licence: Annotated[
        str, Flag("Licence and terms of what the teacher writes; kept with each row.", _MODELS)
    ] = "not stated"

    @property
    def blind_readers(self) -> tuple[str, ...]:
        """The models that read blind."""
        if self.verifiers == (NO_VERIFIER,):
            return ()
        return self.verifiers or (self.model,)

    @property
    def models(self) -> tuple[str, ...]:
        return (self.model, *self.writers, *self.blind_readers)

    @contextmanager
    def open(
        self, fetching: Progress | None = None, opener: "OpenBackend | None" = None
    ) -> "Iterator[tuple[Backend, Sequence[Backend], Sequence[Verifier]]]":
        """Open teacher, writers and verifiers for the duration of the block.

        A model that is the teacher and a verifier loads once.

        Args:
            opener: opens backends somewhere else than in this process.

        Raises:
            SetupError: the settings contradict each other or a model.
            UnknownName: no such model.
        """
        from glider.backends.base import check_writes
        from glider.synth.blind import Verifier

        readers = self.blind_readers
        if NO_VERIFIER in readers:
            raise SetupError(f"--verifier {NO_VERIFIER} does not go with another verifier")
        if len(set(readers)) < len(readers):
            raise SetupError("the same verifier twice would read the same twice")
        if len({self.model, *self.writers}) <= len(self.writers):
            raise SetupError(
                "each --writer is another model than the teacher and the other writers"
            )
        others = [model for model in (*self.writers, *readers) if model != self.model]
        if self.max_cost is not None and any(model.startswith("openai/") for model in others):
            raise SetupError(
                "--max-cost holds for one model and its prices; a writer or verifier on an "
                "endpoint is one more",
                hint="leave out --max-cost, or take one that runs here",
            )
        self._refuse_unused()
        with ExitStack() as stack:
            teacher, *writers = (
                stack.enter_context(self._only(model).open_backend(fetching, opener))
                for model in (self.model, *self.writers)
            )
            for backend in (teacher, *writers):
                check_writes(
                    backend,
                    "texts",
                    hint="use an embedded, hf or openai model; this one can be a --verifier",
                )
            verifiers = []
            for model in readers:
                if model == self.model:
                    verifiers.append(Verifier(teacher, _format_of(teacher)))
                else:
                    judge = stack.enter_context(self._judge(model).open(fetching, opener))
                    verifiers.append(Verifier(judge.backend, judge.format))
            yield teacher, writers, verifiers

    def _judge(self, model: str) -> JudgeSettings:
        given = {f.name: getattr(self._only(model), f.name) for f in fields(ModelSettings)}
        return JudgeSettings(**given, explain=None)

    def _only(self, model: str) -> "TeacherSettings":
        """Return the settings for one of the models, without other engines' settings."""
        from glider.backends import provider_and_model

        provider, _ = provider_and_model(model)
        alone = replace(self, model=model, writers=(), verifiers=(NO_VERIFIER,))
        standard = {f.name: f.default for f in fields(ModelSettings) if f.name != "model"}
        if provider == "openai":
            standard = {"context_tokens": None}
        elif provider == "embedded":
            del standard["context_tokens"]
        return replace(alone, **standard)  # type: ignore[arg-type]


def _format_of(backend: "Backend") -> "Format":
    """The format in which a teacher reads its own texts blind: its own, else the score alone."""
    from glider.formats import make_format
    from glider.judging.judge import default_format

    chosen = default_format(backend)
    found = make_format(chosen) if isinstance(chosen, str) else chosen
    return found.bare() or found


@dataclass(frozen=True, kw_only=True)
class VerifierSettings(ModelSettings):
    """A model that reads kept texts blind afterwards, and how many of them."""

    model: Annotated[
        str,
        Flag("Model that reads each kept text, as in `glider judge`.", _MODELS, ("--verifier",)),
    ] = field()
    format: Annotated[
        str | None, Flag("Prompt format of the verifier [the model's own].", _MODELS)
    ] = None
    sample: Annotated[
        int | None, Flag("Read this many kept records, drawn [all].", _RECORDS, min=1)
    ] = None
    seed: Annotated[int, Flag("Of --sample.", _RECORDS)] = 0

    @contextmanager
    def open(self, fetching: Progress | None = None) -> "Iterator[Verifier]":
        """Open the verifier for the duration of the block.

        Raises:
            SetupError: the settings contradict the model.
            UnknownName: no such model or format.
        """
        from glider.synth.blind import Verifier

        given = {f.name: getattr(self, f.name) for f in fields(ModelSettings)}
        settings = JudgeSettings(**given, format=self.format, explain=None)
        with settings.open(fetching) as judge:
            yield Verifier(judge.backend, judge.format)


@dataclass(frozen=True, kw_only=True)
class SynthSettings:
    """How many records to make."""

    size: Annotated[
        int, Flag("Records to draw; fewer are kept.", _RECORDS, ("--size", "-n"), min=1)
    ] = 100
    seed: Annotated[int | None, Flag("Of every draw [the plan's].", _RECORDS)] = None


BALANCED = ("score", "domain", "criterion", "length")
"""Properties by which kept records can be balanced."""


@dataclass(frozen=True, kw_only=True)
class CurationSettings:
    """Which kept records are left out again."""

    balance: Annotated[
        tuple[str, ...],
        Flag(
            "score, domain, criterion or length: leave out of what there is too much of; may be "
            "given again.",
            _KEPT,
        ),
    ] = ()
    most: Annotated[
        float, Flag("With --balance: most records of a value, in medians.", _KEPT, min=1.0)
    ] = 1.5
    data: Annotated[
        Path | None,
        Flag("Folder of benchmark sets to stay clear of [$GLIDER_DATA].", _KEPT),
    ] = None

    def check(self) -> None:
        """Validate the settings.

        Raises:
            SetupError: `balance` names an unknown property.
        """
        for name in self.balance:
            if name not in BALANCED:
                raise SetupError(f"--balance is one of {', '.join(BALANCED)}; got {name!r}")


@dataclass(frozen=True, kw_only=True)
class SynthExportSettings(CurationSettings):
    """How kept records are exported."""

    format: Annotated[
        str, Flag("Of the pairs to train on: nano, glider, prometheus, ...", _PAIRS)
    ] = "nano"
    order: Annotated[str | None, Flag("score-first or reason-first (nano).", _PAIRS)] = None
    highlights: Annotated[
        bool, Flag("Write quotes in the pairs; off: the same pairs without.", _PAIRS)
    ] = True
    people: Annotated[int, Flag("Records for people to check, drawn.", _KEPT, min=0)] = 100
    seed: Annotated[int, Flag("Of every draw.", _KEPT)] = 0
