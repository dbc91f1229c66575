"""A server from settings to shutdown: check, load, measure, then open the port."""

import asyncio
import logging
import signal
import socket
import ssl
from collections.abc import Callable
from contextlib import suppress

from aiohttp import web

from glider.core.errors import GliderError, RunError, SetupError
from glider.data.library import load_criterion
from glider.judging.settings import ModelSettings, Progress
from glider.serve.app import make_app
from glider.serve.keys import Keys
from glider.serve.limits import check_limits
from glider.serve.requests import Service
from glider.serve.service import ServedJudge, Serving
from glider.serve.settings import Bounds, Config, ServeSettings

_LOG = logging.getLogger("glider.serve")
_QUIET = logging.getLogger("glider.serve.http")  # aiohttp's own log lines may contain request data
_QUIET.addHandler(logging.NullHandler())
_QUIET.propagate = False
_MEASURED_UNDER = "helpfulness"
_LATE_S = 0.05
"""How late a timer may be before the machine counts as having stood still."""
Notify = Callable[[str], None]


def serve(
    settings: ServeSettings | None = None,
    models: ModelSettings | None = None,
    *,
    notify: Notify | None = None,
    progress: Progress | None = None,
) -> None:
    """Serve until SIGTERM or SIGINT; SIGHUP reloads configuration and keys.

    Args:
        models: the model to serve if the configuration names none.
        notify: called with a sentence about each event.

    Raises:
        SetupError: settings, configuration, keys or TLS files are invalid.
        GliderError: the model is unavailable.
        RunError: the port is taken.
    """
    server = Server(settings or ServeSettings(), models or ModelSettings(), notify, progress)
    asyncio.run(server.run())


class Server:
    """One server; its parts can be started and stopped separately."""

    def __init__(
        self,
        settings: ServeSettings,
        models: ModelSettings,
        notify: Notify | None = None,
        progress: Progress | None = None,
    ) -> None:
        """Check everything that can be checked without a model.

        Raises:
            SetupError: settings, configuration, keys or TLS files are invalid, or nobody takes the
                traces.
        """
        self.settings, self.models = settings, models
        self._notify, self._progress = notify or (lambda said: None), progress
        self._config, self._keys = self._read()
        settings.check(has_keys=bool(self._keys))
        self._tls = _tls(settings)
        self._traces = None
        if settings.traces:
            from glider.serve.traces import Traces

            self._traces = Traces()
        self.port = settings.port
        self.service: Service | None = None
        self._serving: Serving | None = None
        self._reloading = asyncio.Lock()
        self._runner: web.AppRunner | None = None
        self._listener: asyncio.Server | None = None
        self._closing: set[asyncio.Task[None]] = set()

    def _read(self) -> tuple[Config, Keys]:
        path = self.settings.config
        config = Config.of(self.models) if path is None else Config.load(path, self.models)
        keys = Keys.load(self.settings.keys)
        check_limits(config.limits, keys.names)
        return config, keys

    async def run(self) -> None:
        """Serve until a signal arrives."""
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for name in ("SIGTERM", "SIGINT"):
            loop.add_signal_handler(getattr(signal, name), stop.set)
        reloads: set[asyncio.Task[None]] = set()
        if hasattr(signal, "SIGHUP"):
            loop.add_signal_handler(
                signal.SIGHUP, lambda: reloads.add(asyncio.create_task(self.reload()))
            )
        starting = asyncio.create_task(self.start())
        stopped = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait([starting, stopped], return_when=asyncio.FIRST_COMPLETED)
            if starting.done():
                await starting
                await stopped
                self._notify("stopping")
        finally:
            starting.cancel()
            stopped.cancel()
            await self.stop()

    async def start(self, serving: Serving | None = None) -> None:
        """Load and measure what is served, and open the port.

        Args:
            serving: serve this; the server closes it.

        Raises:
            GliderError: a model is unavailable.
            RunError: the port is taken.
        """
        if serving is None:
            serving = await asyncio.to_thread(
                Serving.open, self._config, self._keys, None, self._progress
            )
        self._serving = serving
        self.service = Service(serving, self._traces)
        for judge in serving.judges.values():
            await self._measure(judge)
        self._runner = web.AppRunner(
            make_app(self.service),
            handler_cancellation=True,
            access_log=None,
            logger=_QUIET,
            shutdown_timeout=self.settings.stop_within_s,
        )
        await self._runner.setup()
        try:
            loop, host = asyncio.get_running_loop(), self.settings.host
            self._listener = await loop.create_server(
                self._connection, host, self.settings.port, ssl=self._tls, backlog=1024
            )
        except OSError as exc:
            where = f"{self.settings.host}:{self.settings.port}"
            raise RunError(
                f"cannot listen at {where}: {exc.strerror or exc}", hint="--port takes another"
            ) from exc
        self._close_unread(serving.config.bounds)
        self.port = self._listener.sockets[0].getsockname()[1]
        kind = "https" if self._tls else "http"
        self._notify(
            f"serving {', '.join(serving.judges)} at {kind}://{self.settings.host}:{self.port}"
        )

    def _connection(self) -> asyncio.Protocol:
        """Return the protocol of a new connection; it is closed if no headers come in time."""
        assert self._runner is not None
        assert self.service is not None
        make = self._runner.server
        assert make is not None
        silent, protocol = self.service.silent, make()
        silent.add(protocol)
        loop = asyncio.get_running_loop()

        def close_silent(due: float) -> None:
            if protocol not in silent:
                return
            late = loop.time() - due
            if late > _LATE_S:  # what came meanwhile is yet to be read
                close_after(late)
                return
            silent.discard(protocol)
            protocol.force_close()

        def close_after(seconds: float) -> None:
            due = loop.time() + seconds
            loop.call_at(due, close_silent, due)

        close_after(self.service.serving.config.bounds.header_seconds)
        return protocol

    def _close_unread(self, bounds: Bounds) -> None:
        """Let the system close new connections whose client does not read what it was sent."""
        option = getattr(socket, "TCP_USER_TIMEOUT", None)
        if self._listener is not None and option is not None:
            for listening in self._listener.sockets:  # connections inherit it
                listening.setsockopt(socket.IPPROTO_TCP, option, int(1000 * bounds.unread_seconds))

    async def _measure(self, judge: ServedJudge) -> None:
        failure = await judge.measure(load_criterion(_MEASURED_UNDER))
        if failure is not None:
            self._notify(
                f"{judge.name} cannot judge just now ({failure.stage}/{failure.code}); its pace is "
                "not known, so no deadline is refused until it is"
            )

    async def reload(self) -> None:
        """Reload configuration and keys; if they are invalid, nothing changes."""
        async with self._reloading:
            await self._reload()

    async def _reload(self) -> None:
        if self.service is None:
            return  # startup has only just read them
        before = self.service.serving
        serving = before
        try:
            config, keys = await asyncio.to_thread(self._read)
            self.settings.check(has_keys=bool(keys))
            serving = await asyncio.to_thread(Serving.open, config, keys, before, self._progress)
            for name, judge in serving.judges.items():
                if before.judges.get(name) is not judge:
                    await self._measure(judge)
            self.service.serving = self._serving = serving
            if (config.log, config.policies) != (before.config.log, before.config.policies):
                self.service.open_log()
        except (GliderError, OSError) as error:
            self.service.serving = self._serving = before
            self._close_what_only(serving, before)
            self._notify(f"not reloaded: {error}")
            return
        for judge in serving.judges.values():
            judge.bound(config.bounds)
        self.service.laters.kept = config.bounds.kept
        self._close_unread(config.bounds)
        self._notify("reloaded")
        self._close_what_only(before, serving)

    def _close_what_only(self, one: Serving, other: Serving) -> None:
        """Close the judges that only `one` uses, once no request needs them."""
        assert self.service is not None
        for name, judge in one.judges.items():
            if other.judges.get(name) is not judge:
                closing = asyncio.create_task(self._close_when_unused(self.service, judge))
                self._closing.add(closing)
                closing.add_done_callback(self._closing.discard)

    async def _close_when_unused(self, service: Service, judge: ServedJudge) -> None:
        while service.uses(judge):
            await asyncio.sleep(0.1)
        await asyncio.to_thread(judge.judge.close)

    async def stop(self) -> None:
        """Stop accepting requests, finish those in progress within the limit, close the models."""
        if self.service is not None:
            self.service.stopping = True
            self.service.laters.cancel()
        if self._listener is not None:
            self._listener.close()
        if self._runner is not None:
            await self._runner.cleanup()
        try:
            if self.service is not None and self.service.log is not None:
                self.service.log.close()
        except OSError as error:
            _LOG.error("the log of verdicts cannot be put on disk: %s", error.strerror)
        for closing in list(self._closing):
            closing.cancel()
        for judge in self._serving.judges.values() if self._serving is not None else ():
            with suppress(GliderError):
                await asyncio.to_thread(judge.judge.close)


def _tls(settings: ServeSettings) -> ssl.SSLContext | None:
    if settings.tls_cert is None or settings.tls_key is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(settings.tls_cert, settings.tls_key)
    except (OSError, ssl.SSLError) as exc:
        raise SetupError(f"{settings.tls_cert}, {settings.tls_key}: {exc}") from exc
    return context
