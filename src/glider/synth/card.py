"""The data card of an export: who wrote it, its sources, what was dropped, the label noise."""

from collections.abc import Mapping
from typing import Any

import yaml

from glider.review.results import ReviewReport
from glider.review.words import table, tables
from glider.synth.funnel import Funnel
from glider.synth.people import who_looked


def data_card(manifest: Mapping[str, Any], funnel: Funnel, said: ReviewReport | None) -> str:
    """Return the card as Markdown.

    Args:
        manifest: of the export.
        said: what people say of the made texts; None if nobody has looked.
    """
    made = manifest["synthesis"]
    tokens = f"{funnel.tokens // funnel.kept:,}" if funnel.kept else "none"
    lines = [
        f"# Synthetic judgments: {made['run_id']}",
        "",
        "Texts and judgments were written by a model to labels that were drawn before. No person "
        "has judged them unless a verdict below says so.",
        "",
        f"- Teacher: {made['teacher']}",
        *([f"- Texts also by: {', '.join(made['writers'])}"] if made["writers"] else []),
        f"- Licence and terms of what it wrote, for every row: {made['licence']}",
        f"- Read blind by: {', '.join(made['verifiers']) or 'nobody'}",
        f"- Made: {made['created_at']} by Glider {made['glider']}; seed {made['plan'].get('seed')}",
        f"- {manifest['labelled']} labelled records; {manifest['pairs']} pairs in the format "
        f"{manifest['format']}{'' if manifest['highlights'] else ', without quotes'}",
        f"- {len(funnel.domains)} domains, {len(funnel.criteria)} criteria; {tokens} tokens for "
        "each kept record",
        f"- Verdicts of people: {who_looked(said) if said else 'none yet'}",
        "",
        "## What was lost",
        "",
        "| stage | records left |",
        "|---|---|",
        *(f"| {stage} | {n} |" for stage, n in funnel.left()),
        "",
        "| lost, not | why | records |",
        "|---|---|---|",
        *(f"| {stage} | {_cell(why)} | {n} |" for (stage, why), n in funnel.lost.most_common()),
        "",
        *_unpaired(manifest["unpaired"]),
        "## Label noise",
        "",
        "Each text was read by a model that did not know the score it was written for; every text "
        "counts, kept or not; of a verifier that read afterwards, kept texts alone. 95 % intervals "
        "(Wilson).",
        "",
    ]
    for by in funnel.verdicts:
        lines += [f"**{by}**", "", "| verdict | share | interval | n |", "|---|---|---|---|"]
        for verdict, share in funnel.agreement(by).items():
            interval = f"{share.low:.3f} to {share.high:.3f}"
            lines.append(f"| {verdict} | {share.value:.3f} | {interval} | {share.n} |")
        for kind in funnel.kinds_read(by):
            found = funnel.agreement(by, kind).get("agrees")
            if found is not None and len(funnel.kinds_read(by)) > 1:
                interval = f"{found.low:.3f} to {found.high:.3f}"
                lines.append(f"| agrees, {kind} | {found.value:.3f} | {interval} | {found.n} |")
        lines += ["", "Target (rows) against score read blind (columns):", "", "```"]
        lines += [*funnel.matrix(by), "```", ""]
        if of_people := funnel.matrix(by, of_people=True):
            lines += ["The same of texts whose target is a label that people gave:", "", "```"]
            lines += [*of_people, "```", ""]
    if funnel.lost_parts:
        lost = ", ".join(f"{why} {n}" for (_, why), n in funnel.lost_parts.most_common())
        lines += [f"Criteria left out of kept documents: {lost}.", ""]
    if said is not None:
        lines += _of_people(said)
    if not funnel.verdicts:
        lines += ["Nobody read them blind, so the noise is not known.", ""]
    for key, counts in funnel.by.items():
        shown = ", ".join(f"{value} {n}" for value, n in counts.most_common(30))
        lines += [f"Kept by {key}: {shown}.", ""]
    plan = yaml.safe_dump(made["plan"], sort_keys=False, allow_unicode=True).rstrip()
    return "\n".join([*lines, "## Plan", "", "```yaml", plan, "```"]) + "\n"


def _of_people(said: ReviewReport) -> list[str]:
    lines = ["## What people say", "", f"{who_looked(said)[0].upper()}{who_looked(said)[1:]}.", ""]
    for title, note, heads, rows in tables(said)[:1]:
        if title.startswith("What people say"):
            lines += [note, "", table(heads, rows), ""]
    return [*lines, *(f"{note}\n" for note in said.notes)]


def _unpaired(reasons: Mapping[str, int]) -> list[str]:
    if not reasons:
        return []
    rows = [f"| {_cell(why)} | {n} |" for why, n in reasons.items()]
    return ["| texts without a pair to train on | n |", "|---|---|", *rows, ""]


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
