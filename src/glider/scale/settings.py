"""Settings of judging on a cluster."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from glider.core.errors import SetupError
from glider.core.settings import Flag
from glider.judging.settings import JudgeSettings

if TYPE_CHECKING:
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
    """Where to judge, and with how many processes; without `on`, in this process alone."""

    on: Annotated[
        str | None,
        Flag(
            "Judge in several processes: ray (the cluster of $RAY_ADDRESS, else this machine) or "
            "ray://HOST:PORT.",
            _SCALE,
            parse=_where,
        ),
    ] = None
    actors: Annotated[int, Flag("Number of processes; each loads the model.", _SCALE, min=1)] = 1
    actor_cpus: Annotated[float, Flag("CPUs that each of them reserves.", _SCALE, min=0.0)] = 1.0
    actor_gpus: Annotated[float, Flag("GPUs that each of them reserves.", _SCALE, min=0.0)] = 0.0

    def open(
        self, settings: JudgeSettings, notify: Callable[[str], None] | None = None
    ) -> "Cluster":
        """Start the processes, and wait for the first that has loaded the judge.

        Args:
            notify: called with a sentence about what happens to them.

        Raises:
            SetupError: settings that contradict each other or the model; no such cluster.
            MissingExtra: ray is not installed.
            BackendError: no process can load the judge.
        """
        if settings.max_cost is not None:
            raise SetupError(
                "--max-cost counts within one process, and --on judges in several",
                hint="leave out --max-cost or --on",
            )
        from glider.scale.cluster import Cluster

        return Cluster(settings, self, notify or _say_nothing)

    def check(self) -> None:
        """Refuse what is given without `on`.

        Raises:
            SetupError: it would do nothing.
        """
        if self.on is None and self != ClusterSettings():
            raise SetupError("--actors, --actor-cpus and --actor-gpus go with --on ray")


def _say_nothing(text: str) -> None:
    pass
