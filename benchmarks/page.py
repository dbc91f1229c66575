"""Write docs/performance.md from what the other scripts left in benchmarks/results/.

    python benchmarks/page.py

Every figure of the page comes from a file there; nothing is typed in. `runs/NAME/` are the
manifest and the summary of a `glider judge` run, copied by hand from its folder.
"""

import json
from pathlib import Path
from typing import Any

from common import machine

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results"
PAGE = HERE.parent / "docs" / "performance.md"

_PARTS = {
    "first_judgment": (
        "From a clone to the first judgment",
        "`make demo` in an empty folder, nothing cached: the default model judges thirty texts "
        "under three criteria. The machine's network is part of the figure.",
    ),
    "throughput-peers": (
        "Throughput beside peers: same weights, same machine, one run",
        "The default model, glider-nano, under each system, the peers at one llama.cpp server with "
        "the same weights; what they cannot read is an attempt and no judgment. How each is driven "
        "is in [benchmarks/README.md](../benchmarks/README.md).",
    ),
    "throughput": (
        "Throughput, every form and layout",
        "The default model, glider-nano, under each system; what the columns mean and how each "
        "peer is driven is in [benchmarks/README.md](../benchmarks/README.md).",
    ),
    "throughput-untrained": (
        "Throughput before the model was trained, with peers",
        "SmolLM2-135M-Instruct as it comes, and before the engine let an explained answer end. "
        "The peers often cannot read it, and such attempts are counted as attempts.",
    ),
    "overhead": (
        "Harness overhead: a server that answers after 50 ms",
        "What a judgment costs beside the model, on two cores shared by client and server.",
    ),
    "serve_load": (
        "`glider serve`: load on a scripted engine of 5 ms",
        "What the server costs beside the model: bare scores, server and client on the same two "
        "cores; each connection asks again as soon as it is answered. `fastapi` is the same judge "
        "behind FastAPI, without deadlines, bounds and metrics.",
    ),
    "serve_deadlines": (
        "`glider serve`: deadlines on the real model",
        "Bare scores of real texts by glider-nano, at random moments at half and at twice the rate "
        "that the server can keep up with. What cannot be done in time is refused; the share is of "
        "admitted requests, with a 95 % interval that takes them as independent.",
    ),
    "serve_soak": (
        "`glider serve`: memory under load",
        "Bare scores on the scripted engine of 5 ms, connections made anew every minute; resident "
        "memory read all the while.",
    ),
    "serve_fuzz": (
        "`glider serve`: random requests",
        "To every route: spoilt bodies, bytes, headers, methods and streams, by clients that also "
        "drip, never read, and go at any moment. Wrong would be a status of 500, no answer within "
        "30 s, or a server that has died; one in five answers of its engine is an error or cannot "
        "be read.",
    ),
    "faults": (
        "A bad day: eleven faults, kills, a full disk",
        "Every input must end as exactly one Judgment or one typed Failure.",
    ),
    "report_cost": (
        "What a report of 100,000 outcomes costs",
        "Figures with intervals, paired tests, Markdown and page, from outcomes that are there; "
        "wanted are under 60 s and under 1 GB.",
    ),
    "reading": (
        "Reading: with and without constrained decoding",
        "Share of answers read and of highlights placed, each place checked against the text; and "
        "whether requantising moved the scores.",
    ),
}


def main() -> None:
    """Write the page."""
    parts = [
        "# Performance\n\nMade by `python benchmarks/page.py` from `benchmarks/results/`; each "
        "table says where it was measured. Brackets are smallest and largest of the repetitions, "
        "or a 95 % interval where a share or a mean is given.",
        _runs(),
    ]
    for name, (title, what) in _PARTS.items():
        file = RESULTS / f"{name}.json"
        if not file.exists():
            parts.append(f"## {title}\n\n{what}\n\nNot measured yet.")
            continue
        result = json.loads(file.read_text("utf-8"))
        parts.append(f"## {title}\n\n{what}\n\n{_facts(result['facts'])}\n\n{result['table']}")
    PAGE.write_text("\n\n".join(part.strip() for part in parts) + "\n", "utf-8")


def _facts(facts: dict[str, Any]) -> str:
    return (
        f"`{facts['command']}`, {facts['date'][:10]}, {machine(facts)}, "
        f"load {facts['load_at_start']} at the start, code `{facts['code_sha256']}`."
    )


def _runs() -> str:
    lines = [
        "## `glider judge` on real records\n",
        "The default model on this machine's processors, records drawn with a seed; each run's "
        "manifest is in `benchmarks/results/runs/`.\n",
        "| run | form | asked | answers read | highlights exact | judgments/min | peak memory |",
        "|---|---|--:|--:|--:|--:|--:|",
    ]
    for folder in sorted((RESULTS / "runs").iterdir()):
        if folder.name.startswith("review-"):
            continue  # of docs/review.md: their speed was not the question
        manifest = json.loads((folder / "manifest.json").read_text("utf-8"))
        summary = json.loads((folder / "summary.json").read_text("utf-8"))
        placed: dict[str, int] = {}
        for criterion in summary["criteria"].values():
            for match, count in criterion["highlights"].items():
                placed[match] = placed.get(match, 0) + count
        total = sum(placed.values())
        exact = f"{placed.get('exact', 0)} of {total}" if total else "none asked for"
        cover, session = summary["coverage"], summary["session"]
        read = f"{cover['value']:.1%} [{cover['low']:.1%}, {cover['high']:.1%}]"
        lines.append(
            f"| {folder.name} | {manifest['judge'].split()[-1]} | {summary['asked']} "
            f"| {summary['judged']} ({read}) "
            f"| {exact} | {session['per_minute']} | {session['peak_memory_mb']} MB |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
