"""The `glider` command and its exit codes.

0 done; 2 wrong set-up (flags, names, criteria); 3 data or run folder; 4 model or endpoint;
5 more judgments failed than --fail-on allows, a gate check failed, or tuning shows no gain;
6 an audit bound is exceeded; 130 interrupted.

Everything is imported inside `main`, so that Ctrl-C in the first second prints no traceback.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = (
    False  # as in `typing`; importing that would leave a moment in which Ctrl-C prints a traceback
)
if TYPE_CHECKING:
    from typing import NoReturn


def main() -> NoReturn:
    """Run the command; our own errors become one message and an exit code."""
    try:
        code = _run()
    except KeyboardInterrupt:
        code = 130
    if code == 130:
        # A second Ctrl-C, while threads finish, just ends the process.
        import signal

        signal.signal(signal.SIGINT, signal.SIG_DFL)
    sys.exit(code)


def _run() -> int:
    from glider.cli.streams import guard
    from glider.core.errors import GliderError

    out = guard()
    try:
        from glider.cli.commands import app

        app()
        code = 0
    except SystemExit as left:
        code = left.code if isinstance(left.code, int) else int(left.code is not None)
    except (GliderError, OSError) as error:
        code = _explain(error)
    out.flush()
    return 3 if out.failed and code == 0 else code


def _explain(error: Exception) -> int:
    """Print one message; return the exit code."""
    from glider.cli.errors import exit_code
    from glider.cli.show import say
    from glider.core.errors import GliderError

    if isinstance(error, GliderError):
        say(f"[bold red]error[/] ({error.code}):", error.message)
        if error.hint:
            say("[bold]hint[/]:", error.hint)
        return exit_code(error)
    assert isinstance(error, OSError)
    place = f"{error.filename}: " if error.filename is not None else ""
    say("[bold red]error[/] (system):", f"{place}{error.strerror or error}")
    return 3


if __name__ == "__main__":
    main()
