"""The same judge behind FastAPI and uvicorn, as their documentation shows: prints its port.

    python serve_fastapi.py SECONDS

One route, typed in and out, no deadline, no bounds, no metrics.
"""

import asyncio
import socket
import sys
from typing import Any

import uvicorn
from fastapi import FastAPI
from fixed_delay import FixedDelay
from pydantic import BaseModel

from glider.core.judgments import Failure, Judgment
from glider.core.samples import Sample
from glider.core.tasks import JudgeTask
from glider.data.library import load_criterion
from glider.judging.judge import Judge

CRITERIA = {"helpfulness": load_criterion("helpfulness")}
app = FastAPI()
judge = Judge(FixedDelay(float(sys.argv[1])))
bare = judge.format.bare()
judge = Judge(judge.backend, format=bare)


class Asked(BaseModel):
    """What is asked."""

    criterion: str
    input: str
    output: str
    reasons: str = "none"


class Told(BaseModel):
    """What is told."""

    outcomes: list[Judgment | Failure]


@app.post("/v1/judge")
async def judged(asked: Asked) -> Told:
    """Judge one text."""
    task = JudgeTask(Sample.of(asked.output, input=asked.input), CRITERIA[asked.criterion])
    outcome: Any = await asyncio.wrap_future(judge.submit(task))
    return Told(outcomes=[outcome])


if __name__ == "__main__":
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(1024)
    print(listener.getsockname()[1], flush=True)
    settings = uvicorn.Config(app, log_level="warning", access_log=False, backlog=1024)
    uvicorn.Server(settings).run(sockets=[listener])
