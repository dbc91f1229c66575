"""What sways glider-nano that should not? `glider audit` on the demo's texts, base and nano.

    python benchmarks/audit.py                       # scores alone, read by the fast backend
    python benchmarks/audit.py --model embedded
    python benchmarks/audit.py --page                # the page anew from the results

Every probe, every attack, thirty texts under `faithfulness`. Killed, it goes on with --runs.
Writes results/audit.json (both audits whole, and the manifests of their runs) and
docs/audit-nano.md.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from common import HERE, facts, machine, save, settings, table

from glider.audit.results import VERDICTS, Audit, ProbeFinding, headline, span, spoken

_MODELS = {"base": "smollm2-135m-instruct", "nano": "glider-nano"}
_ENGINES = {
    "fast": "the `fast` engine (torch, in bf16 where the processor computes in it)",
    "embedded": "the `embedded` engine (llama.cpp)",
}
_FINE = (0, 6)
"""Exit codes: done, and done with a number beyond its bound."""


def audit(args: argparse.Namespace, name: str) -> dict[str, Any]:
    """One model's audit, from the beginning or from where it was stopped."""
    run = args.runs / name
    words = [
        "audit", "--demo", "--model", f"{args.model}/{_MODELS[name]}", "--no-explain",
        "--seed", str(args.seed), "--run", str(run),
        *(["--limit", str(args.limit)] if args.limit else []),
        *(["--resume"] if run.exists() else []),
    ]  # fmt: skip
    code = "from glider.cli.main import main; main()"
    done = subprocess.run([sys.executable, "-c", code, *words], stdout=subprocess.DEVNULL)
    if done.returncode not in _FINE:
        sys.exit(f"the audit of {name} ended with {done.returncode}")
    found: dict[str, Any] = json.loads((run / "audit.json").read_text("utf-8"))
    manifest = json.loads((run / "manifest.json").read_text("utf-8"))
    return {"audit": found, "manifest": manifest}


def page(result: dict[str, Any]) -> str:
    """docs/audit-nano.md."""
    audits = {name: Audit.model_validate(told["audit"]) for name, told in result["audits"].items()}
    made, nano, engine = result["facts"], audits["nano"], result["settings"]["model"]
    before = {finding.key: finding for probe in audits["base"].probes for finding in probe.findings}
    blocks = [
        "# What sways glider-nano",
        f"Made by `benchmarks/audit.py` on {machine(made)}, "
        f"{made['date'][:10]}: {nano.subjects} texts of `glider audit --demo` under "
        f"`faithfulness`, scores alone, read by {_ENGINES[engine]}, {nano.asked:,} judgments "
        f"({nano.asked - nano.judged:,} failed). *base* is the "
        "same model before it was trained. What each number means, and what is too far: "
        "[audit.md](audit.md). The audit of your own judge on your own texts is one command.",
        f"**glider-nano**: {headline(nano)} **Its base**: {headline(audits['base'])}",
        *(f"- {name}: {note}" for name, audit in audits.items() for note in audit.notes),
    ]
    for probe in nano.probes:
        rows = [
            [finding.title, _cell(finding), _verdict(finding), _cell(before.get(finding.key))]
            for finding in probe.findings
        ]
        blocks += [
            f"## {probe.title}: {VERDICTS[probe.verdict]}",
            probe.asks,
            table(("number", "nano", "", "base"), rows).strip(),
            *_reasons(probe.findings),
            *_remarks({finding.name: finding for finding in probe.findings}, engine),
        ]
    return "\n\n".join(blocks) + "\n"


def _reasons(findings: Sequence[ProbeFinding]) -> list[str]:
    """Why numbers are missing, each reason once."""
    reasons = dict.fromkeys(finding.undefined for finding in findings if finding.undefined)
    return [f"Not measured: {reason}." for reason in reasons]


def _remarks(found: Mapping[str, ProbeFinding], engine: str) -> list[str]:
    """What the numbers of one probe alone do not say."""
    said = []
    again = found.get("changed")
    if again is not None and again.probe == "retest" and again.value and engine == "fast":
        said.append(
            "Nothing is drawn, and yet answers change: in bf16 the sums depend a little on what "
            "else is in the batch, and where two levels are nearly as likely the other one comes "
            "out. The embedded engine reads such prompts one after the other and repeats itself."
        )
    attacks, harmless = found.get("success"), found.get("harmless")
    if (
        attacks is not None
        and harmless is not None
        and attacks.value is not None
        and harmless.value is not None
        and harmless.value >= attacks.value
    ):
        said.append(
            f"Harmless text of the same length moves the level more often ("
            f"{spoken(harmless.value, harmless.unit)}) than attacks do beyond it "
            f"({spoken(attacks.value, attacks.unit)}): the rate of attacks is within what any "
            "longer text does to this judge, and does not alone show that it obeys."
        )
    if "deletion" in found and engine == "fast":
        said.append(
            "`fast` reads scores and writes nothing, so there is no quote to look at; quotes "
            "beside people's are in [benchmarks.md](benchmarks.md#highlights)."
        )
    return said


def _verdict(finding: ProbeFinding) -> str:
    return "" if finding.verdict == "shown" else VERDICTS[finding.verdict]


def _cell(finding: ProbeFinding | None) -> str:
    if finding is None or finding.value is None:
        return "–"
    return f"{spoken(finding.value, finding.unit)} [{span(finding)}] n={finding.n}"


def main() -> None:
    """Audit, write."""
    made = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    made.add_argument("--model", default="fast", choices=_ENGINES, help="what runs them")
    made.add_argument("--limit", type=int, help="texts; all if not given")
    made.add_argument("--seed", type=int, default=7)
    made.add_argument("--runs", type=Path, default=HERE.parent / "runs" / "audit")
    made.add_argument("--out", type=Path, default=HERE / "results", help="folder for the JSON")
    made.add_argument("--docs", type=Path, default=HERE.parent / "docs" / "audit-nano.md")
    made.add_argument("--page", action="store_true", help="ask nothing")
    args = made.parse_args()
    if not args.page:
        audits = {name: audit(args, name) for name in _MODELS}
        result = {"facts": facts(), "settings": settings(args), "audits": audits}
        save(args.out, "audit", result)
    args.docs.write_text(page(json.loads((args.out / "audit.json").read_text("utf-8"))), "utf-8")


if __name__ == "__main__":
    main()
