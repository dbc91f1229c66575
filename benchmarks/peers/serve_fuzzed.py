"""`glider serve` as `serve_fuzz.py` attacks it: prints its port, serves until it is ended.

    python serve_fuzzed.py FOLDER

With keys, two policies, a log in FOLDER and small bounds. Of every ten answers of the engine one is
an error and one cannot be read.
"""

import asyncio
import signal
import sys
from itertools import count
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests"))

from served import Engine

from glider.core.errors import Unavailable
from glider.judging.judge import Judge
from glider.judging.settings import ModelSettings
from glider.serve.keys import Keys
from glider.serve.server import Server
from glider.serve.service import ServedJudge, Serving, bound_policies
from glider.serve.settings import Config, ServeSettings

CONFIG = """\
criteria: [helpfulness, kind.yaml]
log: {folder: log/served, rows: 500}
bounds: {chars: 20000, body_bytes: 200000, header_seconds: 2, body_seconds: 2, stream_seconds: 3,
  unread_seconds: 2, kept: 500, waiting: 200, streams: 20}
policies:
  strict: {checks: [{criterion: kind, block_below: 9.9}],
    on_block: block, on_abstain: ask, on_deadline: ask, on_error: block}
  lax: {checks: [{criterion: kind, block_below: 0.1}],
    on_block: block, on_abstain: ask, on_deadline: ask, on_error: block}
"""
KIND = "name: kind\nquestion: Is {output} kind?\nrubric: {0: not at all, 5: in part, 10: very}\n"
KEY = "key-of-the-fuzzer"


class Unreliable(Engine):
    """Takes 2 ms, half a second for a text with SLOW in it."""

    def __init__(self) -> None:
        """Begin with good answers, by which the server measures its pace."""
        super().__init__(seconds=0.002, slow=0.5)
        self._numbers = count(-50)

    def submit(self, request):  # type: ignore[no-untyped-def]
        """Answer, and forget what is kept for tests: memory is measured here."""
        future = super().submit(request)
        self.requests.clear()
        return future

    def _answered(self, request):  # type: ignore[no-untyped-def]
        number = next(self._numbers)
        if number > 0 and number % 10 == 3:
            return Unavailable("restarting")
        if number > 0 and number % 10 == 7:
            return "I would rather not say."
        return super()._answered(request)


async def main(folder: Path) -> None:
    """Serve until SIGTERM."""
    (folder / "kind.yaml").write_text(KIND)
    (folder / "serve.yaml").write_text(CONFIG.replace("log/served", str(folder / "log/served")))
    config = Config.load(folder / "serve.yaml", ModelSettings())
    name = next(iter(config.models))
    judges = {name: ServedJudge(name, Judge(Unreliable()), config.bounds)}
    server = Server(ServeSettings(port=0), ModelSettings())
    keys = Keys({"fuzzer": KEY})
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    await server.start(Serving(config, judges, keys, bound_policies(config, judges)))
    print(server.port, flush=True)
    await stopped.wait()
    await server.stop()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
