"""Serve the review page until it is stopped."""

import asyncio
import signal
from collections.abc import Callable, Mapping
from contextlib import suppress
from urllib.parse import quote

from aiohttp import web

from glider.core.errors import SetupError
from glider.review.answers import AnswerBook
from glider.review.begin import Review
from glider.review.server import check_host, links, make_app
from glider.review.settings import ServerSettings


def serve(
    review: Review, settings: ServerSettings, *, ready: Callable[[Mapping[str, str]], None]
) -> None:
    """Serve a review until Ctrl-C or SIGTERM. Answers are on disk before they are confirmed.

    Args:
        ready: receives each person's link once the links can be opened.

    Raises:
        SetupError: the port is in use, or the host is not allowed.
        RunError: another process serves this review, or it cannot be written.
        DataError: a line of answers is damaged.
    """
    check_host(settings.host, allow_remote=settings.allow_remote)
    with AnswerBook(review.run, review.plan.everybody) as book:
        tokens = links(review.run, review.plan.everybody, renew=settings.new_links)
        app = make_app(review.plan, review.items, book, tokens, any_host=settings.allow_remote)
        asyncio.run(_serve(app, settings, tokens, ready))


async def _serve(
    app: web.Application,
    settings: ServerSettings,
    tokens: Mapping[str, str],
    ready: Callable[[Mapping[str, str]], None],
) -> None:
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGINT, signal.SIGTERM):
        with suppress(NotImplementedError, RuntimeError, ValueError):  # Windows; no main thread
            loop.add_signal_handler(name, ended.set)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=2)
    await runner.setup()
    try:
        site = web.TCPSite(runner, settings.host, settings.port)
        try:
            await site.start()
        except OSError as exc:
            raise SetupError(
                f"cannot listen on {settings.host}:{settings.port}: {exc.strerror or exc}",
                hint="--port names another one",
            ) from exc
        port = runner.addresses[0][1]
        host = f"[{settings.host}]" if ":" in settings.host else settings.host
        ready({name: f"http://{host}:{port}/#{quote(token)}" for name, token in tokens.items()})
        await ended.wait()
    finally:
        await runner.cleanup()
