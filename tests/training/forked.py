"""Work in a process of its own, which can be killed: forked from one that has torch loaded.

Loading torch and TRL takes longer than any of these trainings, so it is done once.
"""

import os
import sys
from multiprocessing import get_context

_context = get_context("forkserver")
_context.set_forkserver_preload(["torch", "trl", "datasets", "glider.training.trainer"])


def process(work, *arguments, **named):
    """A process that does this work, begun; to be closed by whoever asked for it."""
    begun = _context.Process(target=_quietly, args=(work, arguments, named))
    begun.start()
    return begun


def _quietly(work, arguments, named):
    import warnings

    import torch

    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    sys.stderr = open(os.devnull, "w")  # noqa: SIM115 - until the process ends
    work(*arguments, **named)


class Training:
    """`train` at work, line by line of its curve; to be ended by whoever started it."""

    def __init__(self, recipe, data, out, *, resume=False, slow=True, most_bytes=None):
        """Begin.

        Args:
            slow: rest after each line, so that there is time to kill it.
            most_bytes: no file grows beyond this from step 3 on, as on a full disk.
        """
        self._lines, theirs = _context.Pipe(duplex=False)
        told = recipe.model_dump(mode="json")
        self.process = process(_train, theirs, told, data, out, resume, slow, most_bytes)
        theirs.close()

    def __iter__(self):
        """What it says: lines of the curve, in the end perhaps a list of an error's code and text."""
        try:
            while True:
                yield self._lines.recv()
        except EOFError:
            return

    def kill(self):
        """SIGKILL, and wait until it is gone."""
        self.process.kill()
        self.process.join()

    def end(self):
        """Kill it if it is still there, and let go of it."""
        self.kill()
        self.process.close()
        self._lines.close()


def _train(lines, recipe, data, out, resume, slow, most_bytes):
    import resource
    import time

    from glider.core.errors import GliderError
    from glider.training.recipe import parse_recipe
    from glider.training.run import train

    def progress(line):
        lines.send(line)
        if slow:
            time.sleep(0.05)
        if most_bytes and line["step"] == 3:
            resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, most_bytes))

    try:
        train(parse_recipe(recipe), data=data, out=out, resume=resume, progress=progress)
    except GliderError as error:
        lines.send([error.code, str(error)])
