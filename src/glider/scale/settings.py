"""Settings of working on a cluster."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from glider.core.errors import SetupError
from glider.core.settings import Flag, flags_of
from glider.judging.settings import JudgeSettings, ModelSettings

if TYPE_CHECKING:
    from glider.backends import OpenBackend
    from glider.scale.cluster import Cluster

_SCALE = "Several machines"


def _where(given: str) -> str:
    if given != "ray" and not given.removeprefix("ray://"):
        raise SetupError("--on ray://HOST:PORT names a host")
    if given != "ray" and not given.startswith("ray://"):
        raise SetupError(f"--on takes ray or ray://HOST:PORT, not {given!r}")
    return given


@dataclass(frozen=True, kw_only=True)
class ClusterSettings:
    """Where models run, and in how many processes; without `on`, in this process alone."""

    on: Annotated[
        str | None,
        Flag(
            "Run the model in several processes: ray (the cluster of $RAY_ADDRESS, else this "
            "machine) or ray://HOST:PORT.",
            _SCALE,
            parse=_where,
        ),
    ] = None
    actors: Annotated[int, Flag("Number of processes; each loads the model.", _SCALE, min=1)] = 1
    actor_cpus: Annotated[float, Flag("CPUs that each of them reserves.", _SCALE, min=0.0)] = 1.0
    actor_gpus: Annotated[float, Flag("GPUs that each of them reserves.", _SCALE, min=0.0)] = 0.0

    @contextmanager
    def opener(
        self, settings: ModelSettings, notify: Callable[[str], None] | None = None
    ) -> "Iterator[OpenBackend]":
        """What opens backends, for the duration of the block: in several processes or in this one.

        Args:
            settings: what it will open.
            notify: called with a sentence about what happens to the processes.

        Raises:
            SetupError: settings that contradict each other; no such cluster.
            MissingExtra: ray is not installed.
        """
        self.check()
        if self.on is None:
            from glider.backends import open_backend

            yield open_backend
            return
        self._refuse_budget(settings)
        from glider.scale.engines import Engines
        from glider.scale.ray_processes import RayProcesses

        with Engines(self, RayProcesses(self), notify or _say_nothing) as engines:
            yield engines.open_backend

    def check(self) -> None:
        """Refuse what is given without `on`.

        Raises:
            SetupError: it would do nothing.
        """
        if self.on is None and self != type(self)():
            given = [f"--{f.name.replace('_', '-')}" for f, _, _ in flags_of(type(self))]
            raise SetupError(f"{', '.join(given[1:-1])} and {given[-1]} go with --on ray")

    def _refuse_budget(self, settings: ModelSettings) -> None:
        if settings.max_cost is not None:
            raise SetupError(
                "--max-cost counts within one process, and --on works in several",
                hint="leave out --max-cost or --on",
            )


@dataclass(frozen=True, kw_only=True)
class SharedRunSettings(ClusterSettings):
    """Where a run is judged: each process writes a shard of it."""

    shards: Annotated[
        str | None,
        Flag(
            "Where the processes share no disk: address of an object store (s3://BUCKET/FOLDER), "
            "through which what they write is collected in --run.",
            _SCALE,
        ),
    ] = None

    def open(
        self, settings: JudgeSettings, notify: Callable[[str], None] | None = None
    ) -> "Cluster":
        """Start the processes of a run, and wait for the first that has loaded the judge.

        Args:
            notify: called with a sentence about what happens to them.

        Raises:
            SetupError: settings that contradict each other or the model; no such cluster.
            MissingExtra: ray is not installed.
            BackendError: no process can load the judge.
        """
        self._refuse_budget(settings)
        from glider.scale.cluster import Cluster
        from glider.store.parts import PartStore

        if self.shards is not None:
            PartStore(self.shards, "", "")  # refused now, and not after a model has loaded
        return Cluster(settings, self, notify or _say_nothing)


def _say_nothing(text: str) -> None:
    pass
