"""Where a model of the hub is loaded from: the hub if it answers, else what was fetched before.

Its own client asks again five times, for 23 seconds a file, where there is no network at all; a
mistyped name is then a minute of silence. Here it is asked once.
"""

from pathlib import Path

from glider.core.errors import ModelFileError


def on_hub(name: str, revision: str) -> tuple[str, str]:
    """Where transformers finds a model of the hub, and the commit that a revision stands for now.

    Returns:
        The name itself or, where the hub does not answer, a folder of its cache; and the commit, or
        the revision as it was given where the hub does not tell.

    Raises:
        ModelFileError: the hub does not answer, and the model was never fetched.
    """
    from huggingface_hub import get_hf_file_metadata, hf_hub_url, snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    try:
        about = get_hf_file_metadata(hf_hub_url(name, "config.json", revision=revision))
        return name, about.commit_hash or revision
    except (HfHubHTTPError, ValueError):
        # No such model, or a login is needed, or it is no name: whoever loads it says so.
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
