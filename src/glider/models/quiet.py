"""Silence the progress bars and future warnings of transformers while a model loads.

A progress bar per loaded tensor does not help a user of `glider judge`, and ends up in logs.
Downloads from a hub keep their progress bars.
"""

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def quietly() -> Iterator[None]:
    """Turn bars and future warnings off inside the block, and telemetry off for good."""
    from transformers.utils import logging as theirs

    logging: Any = theirs  # incompletely typed
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
