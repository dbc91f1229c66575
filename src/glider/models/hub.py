"""Locate a hub model: on the hub if it answers, else in the local cache.

Without a network the hub's own client retries five times, 23 seconds per file, so a mistyped name
means a minute of silence. This module asks once.
"""

from pathlib import Path

from glider.core.errors import ModelFileError


def on_hub(name: str, revision: str) -> tuple[str, str]:
    """Return where transformers finds a hub model, and the commit that a revision points to.

    Returns:
        The name itself or, if the hub does not answer, a folder of its cache; and the commit, or
        the given revision if the hub does not report one.

    Raises:
        ModelFileError: the hub does not answer, and the model was never fetched.
    """
    from huggingface_hub import get_hf_file_metadata, hf_hub_url, snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    try:
        about = get_hf_file_metadata(hf_hub_url(name, "config.json", revision=revision))
        return name, about.commit_hash or revision
    except (HfHubHTTPError, ValueError):
        # No such model, a login is required, or the name is invalid: loading it reports that.
        return name, revision
    except Exception as exc:  # noqa: BLE001 - of an HTTP library that depends on the hub's version
        try:
            folder = snapshot_download(name, revision=revision, local_files_only=True)
        except LocalEntryNotFoundError:
            raise ModelFileError(
                f"no model {name} on this machine, and the model hub does not answer: "
                f"{str(exc).strip() or type(exc).__name__}",
                hint="give a folder or a .gguf file, or connect to the network",
            ) from exc
        return folder, Path(folder).name
