"""Torch's threads wait asleep, unless the environment says otherwise; it is told before it loads."""

import os
import subprocess
import sys

import pytest

PROGRAM = """
import os, sys
from glider.backends import BACKENDS

class WhenTorchIsLookedFor:
    def find_spec(self, name, path=None, target=None):
        if name == "torch":
            sys.exit("waiting: " + os.environ.get("OMP_WAIT_POLICY", "as torch likes"))

sys.meta_path.insert(0, WhenTorchIsLookedFor())
BACKENDS.get(sys.argv[1])("some/model")
"""


@pytest.mark.parametrize("provider", ["fast", "hf"])
@pytest.mark.parametrize(("given", "found"), [({}, "PASSIVE"), ({"OMP_WAIT_POLICY": "ACTIVE"}, "ACTIVE")])  # fmt: skip
def test_how_the_threads_wait_is_said_before_torch_loads(provider, given, found):
    env = {key: value for key, value in os.environ.items() if key != "OMP_WAIT_POLICY"}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, provider], env=env | given, capture_output=True, text=True
    )
    assert done.stderr == f"waiting: {found}\n"
