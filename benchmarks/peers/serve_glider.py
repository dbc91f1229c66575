"""`glider serve` over a scripted engine, as a program: prints its port, serves until it is ended.

    python serve_glider.py SECONDS [LOG_FOLDER]

With a folder, policies log every verdict there.
"""

import asyncio
import sys
from pathlib import Path

from fixed_delay import FixedDelay

from glider.data.library import load_criterion
from glider.judging.judge import Judge
from glider.judging.settings import ModelSettings
from glider.serve.keys import Keys
from glider.serve.policies import Policy
from glider.serve.server import Server
from glider.serve.service import ServedJudge, Serving, bound_policies
from glider.serve.settings import Config, ServedModel, ServeSettings
from glider.serve.verdict_log import LogSettings


async def main(seconds: float, folder: str | None) -> None:
    """Serve for ever."""
    criterion = load_criterion("helpfulness")
    policy = Policy.model_validate(
        {
            "checks": [{"criterion": criterion.name, "block_below": 2}],
            **{f"on_{cause}": "block" for cause in ("block", "abstain", "deadline", "error")},
        }
    )
    config = Config(
        models={"glider": ServedModel()},
        criteria={criterion.name: criterion},
        policies={"logged": policy},
        log=None if folder is None else LogSettings(folder=Path(folder) / "log"),
    )
    judges = {"glider": ServedJudge("glider", Judge(FixedDelay(seconds)), config.bounds)}
    server = Server(ServeSettings(port=0), ModelSettings())
    await server.start(Serving(config, judges, Keys({}), bound_policies(config, judges)))
    print(server.port, flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(float(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else None))
