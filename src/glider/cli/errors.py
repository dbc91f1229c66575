"""Exit codes of errors."""

from glider.core.errors import (
    BackendError,
    DataError,
    GliderError,
    ManifestMismatch,
    ModelFileError,
    RunError,
)


def exit_code(error: GliderError) -> int:
    """2 wrong set-up, 3 data or run folder, 4 model or endpoint."""
    if isinstance(error, BackendError | ModelFileError) or error.code == "judgment_failed":
        return 4
    if isinstance(error, DataError | RunError) and not isinstance(error, ManifestMismatch):
        return 3
    return 2
