"""docs/calibration.md explains every figure that is printed, and its Python runs."""

import re
import subprocess
import sys
from pathlib import Path

from labelled_runs import graded_run

from glider.calibration.labelled import LabelledRun
from glider.calibration.model import Calibration, CalibrationSettings

PAGE = (Path(__file__).resolve().parents[2] / "docs/calibration.md").read_text("utf-8")


def test_every_figure_is_explained_and_the_python_runs(tmp_path):
    (tmp_path / "runs").mkdir()
    run = graded_run(tmp_path / "runs/answers", 200, fail={1, 2})
    for settings in (CalibrationSettings(), CalibrationSettings(pass_at=4, alpha=0.3)):
        found = Calibration.of(LabelledRun.load(run), settings)
        for finding in found.findings:
            title = re.sub(", (raw|calibrated)$", "", finding.title).replace(
                "mean score", "pass rate"
            )
            assert f"**{title}**" in PAGE
    found.save(run / "calibration.json")
    (snippet,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    subprocess.run(
        [sys.executable, "-W", "error", "-c", snippet + "\nassert each.row == 199 and each.applied.score"],
        cwd=tmp_path, check=True, timeout=60,
    )  # fmt: skip
