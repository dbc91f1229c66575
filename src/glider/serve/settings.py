"""Settings of a server: address, access, and the file that configures what it serves."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import Field, ValidationError, model_validator

from glider.core.base import Frozen, first_problem
from glider.core.criteria import Criterion
from glider.core.errors import SetupError
from glider.core.settings import Flag
from glider.data.library import criteria_asked, library
from glider.data.yaml_files import mapping, read_text
from glider.judging.settings import JudgeSettings, ModelSettings
from glider.serve.limits import KeyLimit
from glider.serve.policies import Policy
from glider.serve.verdict_log import LogSettings

_SERVE, _SAFE = "Server", "Who may ask"


@dataclass(frozen=True, kw_only=True)
class ServeSettings:
    """The address of a server and who may use it."""

    host: Annotated[str, Flag("Address to listen at.", _SERVE)] = "127.0.0.1"
    port: Annotated[int, Flag("Port; 0 takes a free one.", _SERVE, min=0, max=65535)] = 8620
    config: Annotated[
        Path | None,
        Flag("YAML file: models, criteria, policies, log. SIGHUP reads it again.", _SERVE),
    ] = None
    stop_within_s: Annotated[
        float,
        Flag(
            "Seconds for open requests to end when it stops.", _SERVE, ("--stop-within",), min=0.0
        ),
    ] = 10.0
    traces: Annotated[
        bool,
        Flag(
            "Make an OpenTelemetry span of each request, without its texts; needs the extra otel.",
            _SERVE,
        ),
    ] = False
    keys: Annotated[
        Path | None, Flag("File of keys, one `NAME KEY` a line [$GLIDER_SERVE_KEYS].", _SAFE)
    ] = None
    without_keys: Annotated[bool, Flag("Serve other machines without asking for a key.", _SAFE)] = (
        False
    )
    tls_cert: Annotated[Path | None, Flag("Certificate chain (PEM).", _SAFE)] = None
    tls_key: Annotated[Path | None, Flag("Its private key (PEM).", _SAFE)] = None

    def check(self, *, has_keys: bool) -> None:
        """Reject contradictory settings before a model is loaded.

        Raises:
            SetupError: incomplete TLS settings, or a server open to other machines without keys.
        """
        if (self.tls_cert is None) != (self.tls_key is None):
            raise SetupError("--tls-cert and --tls-key go together")
        own = self.host in ("localhost", "::1") or self.host.startswith("127.")
        if not own and not has_keys and not self.without_keys:
            raise SetupError(
                f"whoever reaches {self.host} could ask this server",
                hint="set GLIDER_SERVE_KEYS or --keys FILE; or say --without-keys",
            )


class Bounds(Frozen):
    """Limits on a request, checked before anything else."""

    body_bytes: int = Field(default=4_000_000, ge=1000)
    chars: int = Field(default=200_000, ge=100)
    """Total length of a request's texts, in code points."""
    header_seconds: float = Field(default=10.0, gt=0)
    """Time until the first request of a connection must have its headers."""
    body_seconds: float = Field(default=10.0, gt=0)
    """Time until the body must have arrived."""
    unread_seconds: float = Field(default=30.0, ge=0.1, le=3600)
    """Time in which a client must read on of an answer; otherwise its connection is closed, where
    the system can tell (Linux). Of those that are open when this is changed, the old holds."""
    waiting: int = Field(default=1000, ge=1)
    """Requests that may wait in a lane."""
    kept: int = Field(default=10_000, ge=1)
    """Results of deferred reasons to keep."""
    streams: int = Field(default=200, ge=1)
    """Texts that may be judged at once while they are being written."""
    stream_seconds: float = Field(default=60.0, gt=0)
    """Time until the next piece of such a text must have arrived."""


class ServedModel(Frozen):
    """A model served under its own name."""

    model: str = "embedded"
    base_url: str | None = None
    context_tokens: int | None = Field(default=None, ge=256)
    format: str | None = None
    truncate: bool = False
    max_tokens: int | None = Field(default=None, ge=1)
    timeout_s: float = Field(default=120.0, gt=0)
    max_connections: int = Field(default=64, ge=1)
    grammar: str = "auto"
    max_retries: int = Field(default=6, ge=0)
    price_in: float | None = Field(default=None, ge=0)
    price_out: float | None = Field(default=None, ge=0)
    max_cost: float | None = Field(default=None, ge=0)

    def settings(self) -> JudgeSettings:
        """Return the judge's settings; the server has separate scores-only judges."""
        return JudgeSettings(**self.model_dump(), scores_apart=True)


class Config(Frozen):
    """What a server serves."""

    models: dict[str, ServedModel] = Field(min_length=1)
    """The first is the default for requests that name none."""
    criteria: dict[str, Criterion]
    bounds: Bounds = Bounds()
    policies: dict[str, Policy] = Field(default_factory=dict)
    limits: dict[str, KeyLimit] = Field(default_factory=dict)
    """By the name of a key, or `default`."""
    log: LogSettings | None = None
    """Where the policies' verdicts are logged; nowhere, if not given."""

    @model_validator(mode="before")
    @classmethod
    def _criteria_by_name(cls, value: Any) -> Any:
        if isinstance(value, Mapping) and isinstance(value.get("criteria"), list):
            found = criteria_asked([_one(entry) for entry in value["criteria"]])
            return {**value, "criteria": {criterion.name: criterion for criterion in found}}
        return value

    @classmethod
    def of(cls, models: ModelSettings) -> Self:
        """Configure without a file: the shipped criteria and one model."""
        given = {name: getattr(models, name) for name in ServedModel.model_fields
                 if hasattr(models, name)}  # fmt: skip
        return cls(models={"glider": ServedModel(**given)}, criteria=library())

    @classmethod
    def load(cls, path: Path, models: ModelSettings) -> Self:
        """Load the file; missing keys have the same defaults as without a file.

        Raises:
            SetupError: it cannot be read, or part of it is invalid.
        """
        data = mapping(read_text(path), str(path))
        if isinstance(data.get("criteria"), list):
            data["criteria"] = [_beside(path, entry) for entry in data["criteria"]]
        log = data.get("log")
        if isinstance(log, dict) and isinstance(log.get("folder"), str):
            log["folder"] = str(path.parent / log["folder"])
        _beside_policies(path, data.get("policies"))
        if "models" in data and models != ModelSettings():
            raise SetupError(
                f"{path} names the models, so --model and its settings have no place",
                hint="leave out `models` there, or the flags",
            )
        default = cls.of(models)
        data.setdefault("models", default.models)
        data.setdefault("criteria", default.criteria)
        try:
            return cls.model_validate(data)
        except ValidationError as exc:
            raise SetupError(f"{path}: {first_problem(exc)}") from exc


def _beside(path: Path, entry: Any) -> Any:
    """Resolve a path relative to the file that contains it."""
    if isinstance(entry, str) and entry.lower().endswith((".yaml", ".yml", ".json")):
        return str(path.parent / entry)
    return entry


def _beside_policies(path: Path, policies: Any) -> None:
    for policy in policies.values() if isinstance(policies, dict) else ():
        for check in policy.get("checks") or () if isinstance(policy, dict) else ():
            for key in ("calibration", "labels") if isinstance(check, dict) else ():
                if isinstance(check.get(key), str):
                    check[key] = str(path.parent / check[key])


def _one(entry: Any) -> str | Criterion:
    return entry if isinstance(entry, str) else Criterion.model_validate(entry)
