"""`glider serve`: a judge behind HTTP."""

from functools import partial

from glider.cli.flags import from_flags
from glider.cli.show import downloading, say
from glider.judging.settings import ModelSettings
from glider.serve.settings import ServeSettings


@from_flags
def serve(*, settings: ServeSettings, models: ModelSettings) -> None:
    """Serve a judge over HTTP: scores within a deadline, reasons and marked spans.

    Without a file: the shipped criteria and the default model, for this machine alone. OpenAI's
    Decisions (`/v1/decisions`) and TypeSafe's System One (`/v1/systemone`) are spoken beside
    `/v1/judge`. Stops on SIGTERM or Ctrl-C.
    """
    from glider.serve.server import serve

    with downloading() as progress:
        serve(settings, models, notify=partial(say, "serve:"), progress=progress)
