"""The `glider` command in this process: its own `main`, standard streams, folder and environment.

A process of its own takes longer to start than most commands take. What is about processes (a
kill, a full disk, Ctrl-C, the very start) is tested with one.
"""

import io
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

import pytest

from glider.cli.main import main


@dataclass(frozen=True)
class Finished:
    """As `subprocess.run` gives it."""

    returncode: int
    stdout: str
    stderr: str


def glider(
    *words: object,
    cwd: Path,
    stdin: str = "",
    env: Mapping[str, str] | None = None,
    unset: str = "",
    encoding: str = "utf-8",
    stdout: TextIO | None = None,
) -> Finished:
    """Run `glider`; what it prints is bytes first, as at a pipe of that encoding."""
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding, write_through=True) for _ in range(2))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(cwd)
        for name, value in (env or {}).items():
            patch.setenv(name, value)
        if unset:
            patch.delenv(unset, raising=False)
        patch.setattr(sys, "argv", ["glider", *map(str, words)])
        patch.setattr(
            sys, "stdin", io.TextIOWrapper(io.BufferedReader(io.BytesIO(stdin.encode())), "utf-8")
        )
        patch.setattr(sys, "stdout", stdout or out)
        patch.setattr(sys, "stderr", err)
        with pytest.raises(SystemExit) as left:
            main()
    code = left.value.code
    told, said = (stream.buffer.getvalue().decode(encoding) for stream in (out, err))
    return Finished(code if isinstance(code, int) else int(code is not None), told, said)
