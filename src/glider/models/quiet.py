"""Load with transformers without its progress bars and its talk of its own future.

A bar for every tensor that is loaded tells a user of `glider judge` nothing, and ends up in logs.
Downloads from a hub keep theirs.
"""

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def quietly() -> Iterator[None]:
    """Bars and future warnings off inside, as they were after; telemetry off for good."""
    from transformers.utils import logging as theirs

    logging: Any = theirs  # half typed
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    bars = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            yield
    finally:
        if bars:
            logging.enable_progress_bar()
