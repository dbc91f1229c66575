"""Does making data stay flat in memory, and does a record cost the same late as early?

    python benchmarks/synth_memory.py --records 100000

A scripted teacher in the same process answers at once, and nobody reads blind: three calls and
more a record, all checks, both journals. Resident size and processor time at each of --at ended
records; the part of it that must grow is the hashes of kept texts, which find near duplicates.
A run that is stopped goes on with the same --folder.
"""

import argparse
import json
import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from common import HERE, facts, parser, save, settings, table

from glider.backends.scripted import ScriptedBackend
from glider.core.generation import GenerationRequest
from glider.synth.drawer import Drawer
from glider.synth.making import make_records
from glider.synth.plan import Plan

sys.path.insert(0, str(HERE.parent / "tests"))
from synth_teacher import follow

_AT = "500,1000,2000,5000,10000,25000,50000,75000,100000"


def main() -> None:
    made = parser(__doc__)
    made.add_argument("--records", type=int, default=100_000)
    made.add_argument("--at", default=_AT, help="numbers of ended records to look at")
    made.add_argument("--folder", type=Path, help="where the run is kept [a temporary folder]")
    args = made.parse_args()
    result: dict[str, Any] = {"facts": facts(), "settings": settings(args)}
    with tempfile.TemporaryDirectory() as place:
        result["marks"] = _make(args, args.folder or Path(place, "run"))
    heads = ("ended records", "kept", "resident MB", "CPU ms a record since the last mark")
    rows = [
        (f"{m['ended']:,}", f"{m['kept']:,}", f"{m['resident_mb']:.1f}", f"{m['cpu_ms']:.2f}")
        for m in result["marks"]
    ]
    first, last = result["marks"][0], result["marks"][-1]
    grown = 1024 * 1024 * (last["resident_mb"] - first["resident_mb"])
    result["bytes_a_record"] = round(grown / (last["ended"] - first["ended"]))
    result["table"] = table(heads, rows)
    print(result["table"])
    print(f"{result['bytes_a_record']} bytes a record")
    print(save(args.out, "synth_memory", result), file=sys.stderr)


def _make(args: argparse.Namespace, folder: Path) -> list[dict[str, Any]]:
    marks = [int(mark) for mark in args.at.split(",")]
    found: list[dict[str, Any]] = []
    before = (0, time.process_time())

    def answered(request: GenerationRequest) -> str:
        return str(follow(request.messages[-1].content))

    teacher = ScriptedBackend(answered)

    def look(ended: int, kept: int, _size: int) -> None:
        nonlocal before
        teacher.requests.clear()  # They are kept for tests; no backend with a model keeps any.
        if ended not in marks:
            return
        cpu = time.process_time()
        found.append(
            {
                "ended": ended,
                "kept": kept,
                "resident_mb": _resident_mb(),
                "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
                "cpu_ms": 1000 * (cpu - before[1]) / (ended - before[0]),
            }
        )
        before = (ended, cpu)
        print(json.dumps(found[-1]), file=sys.stderr, flush=True)

    plan = Plan(words=(40, 60), code=0, seed=args.seed)
    make_records(
        Drawer(plan),
        size=args.records,
        folder=folder,
        teacher=teacher,
        resume=(folder / "manifest.json").exists(),
        progress=look,
    )
    return found


def _resident_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


if __name__ == "__main__":
    main()
