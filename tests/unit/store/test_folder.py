"""What all kinds of folders that are gone on with have in common; what is in them is theirs."""

import json
import signal
import subprocess
import sys

import pytest
from bounded import first_line

from glider.core.errors import ManifestMismatch, RunError
from glider.store.folder import locked_folder
from glider.store.manifest import AnyManifest, Manifest


class Recipe(AnyManifest):
    """A manifest of another kind."""

    version: int = 1
    steps: int
    made: str = "now"

    def _decisive(self):
        return {"steps": self.steps}


def keep(folder, manifest, *, resume=False):
    with locked_folder(folder, manifest, resume=resume, kind="cooking"):
        pass


def test_the_manifest_is_of_who_began_it(tmp_path):
    out = tmp_path / "a" / "b"
    keep(out, Recipe(steps=3, made="monday"))
    keep(out, Recipe(steps=3, made="tuesday"), resume=True)
    assert json.loads((out / "manifest.json").read_text())["made"] == "monday"
    with pytest.raises(ManifestMismatch, match="not the same cooking:\n  steps: 3 before, 4 now"):
        keep(out, Recipe(steps=4), resume=True)


def test_what_cannot_be_gone_on_with(tmp_path):
    with pytest.raises(RunError, match="is no cooking: it has no manifest.json"):
        keep(tmp_path / "typo", Recipe(steps=3), resume=True)
    assert not (tmp_path / "typo").exists()
    keep(tmp_path / "mine", Recipe(steps=3))
    with pytest.raises(RunError, match="is not empty"):
        keep(tmp_path / "mine", Recipe(steps=3))
    run = Manifest.of(
        run_id="r", judge="j", settings={}, criteria={}, input_path="i", input_sha256=None
    )
    with pytest.raises(RunError, match="is no cooking: its manifest.json is another one"):
        with locked_folder(tmp_path / "run", run, resume=False):
            pass
        keep(tmp_path / "run", Recipe(steps=3), resume=True)


PROGRAM = """
import sys, time
from pathlib import Path
from glider.store.folder import locked_folder
from glider.store.manifest import AnyManifest

class Recipe(AnyManifest):
    version: int = 1
    steps: int = 3
    def _decisive(self):
        return {"steps": self.steps}

with locked_folder(Path(sys.argv[1]), Recipe(), resume=False):
    print("held", flush=True)
    time.sleep(60)
"""


def test_one_process_at_a_time_and_a_killed_one_lets_go(tmp_path):
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(tmp_path / "out")], stdout=subprocess.PIPE, text=True
    ) as process:
        assert first_line(process) == "held\n"
        with pytest.raises(RunError, match="in use by another process"):
            keep(tmp_path / "out", Recipe(steps=3), resume=True)
        process.send_signal(signal.SIGKILL)
    keep(tmp_path / "out", Recipe(steps=3), resume=True)
