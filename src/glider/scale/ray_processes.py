"""Actors of a Ray cluster as processes that answer requests (`scale.engines`)."""

from concurrent.futures import Future
from functools import partial
from typing import Any

from glider.backends.base import settle
from glider.scale.connection import connect
from glider.scale.engine_host import EngineHost
from glider.scale.engines import ProcessDied
from glider.scale.settings import ClusterSettings


class RayProcesses:
    """Starts actors of a cluster, and calls them."""

    def __init__(self, how: ClusterSettings) -> None:
        """Connect to the cluster, or start one on this machine.

        Raises:
            SetupError: there is no such cluster.
            MissingExtra: ray is not installed.
        """
        self._how = how
        self._ray, self._ours = connect(how)

    def start(self) -> Any:
        """Start an actor; does not wait."""
        host = self._ray.remote(EngineHost).options(
            num_cpus=self._how.actor_cpus, num_gpus=self._how.actor_gpus, max_restarts=0
        )
        return host.remote()

    def call(self, handle: Any, method: str, *args: Any) -> "Future[Any]":
        """Call a method of an actor; cancelling the future cancels the call."""
        ref = getattr(handle, method).remote(*args)
        answer: Future[Any] = Future()
        answer.add_done_callback(partial(self._cancel, ref))
        ref.future().add_done_callback(partial(_carry, answer))
        return answer

    def _cancel(self, ref: Any, answer: "Future[Any]") -> None:
        if answer.cancelled() and self._ray.is_initialized():
            self._ray.cancel(ref)

    def end(self, handle: Any) -> None:
        """End an actor."""
        if self._ray.is_initialized():  # whatever is asked of Ray after its end starts it anew
            self._ray.kill(handle)

    def close(self) -> None:
        """End the cluster, if it was started here; safe to call twice."""
        if self._ours and self._ray.is_initialized():
            self._ray.shutdown()
        self._ours = False


def _carry(answer: "Future[Any]", done: "Future[Any]") -> None:
    """Pass on what Ray says; runs in one of its threads."""
    from ray.exceptions import RayError, RayTaskError

    error = done.exception()
    if isinstance(error, RayError) and not isinstance(error, RayTaskError):
        error = ProcessDied(str(error))
    settle(answer, done.result() if error is None else error)
