"""Export kept records as files for other commands: labels, training pairs, a checklist for people.

labelled.jsonl.gz        Glider's labelled records; `glider data --set` and `glider bench` read it
labelled-pairs.jsonl.gz  the same for pairs of answers, which form a separate set
preferences.jsonl.gz     prompt, chosen, rejected: `glider data --preferences`, TRL
check.jsonl              both judgments of sampled records, with blanks for people's verdicts
card.md, manifest.json   contents, sources and label noise
funnel.json, funnel.html where records were lost, what was left out of these files included
"""

import gzip
import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any, TextIO

from glider.core.errors import RunError, SetupError, TaskError
from glider.core.tasks import JudgeTask
from glider.corpus.rationales import About, Unclear, cleaned
from glider.formats import make_format
from glider.formats.base import Format, Reading
from glider.formats.grammar import quote_at
from glider.formats.nano import MAX_QUOTES
from glider.models.fetch import sha256_of
from glider.review.plan import REJECTED_QUESTIONS, SYNTH_QUESTIONS, questions_of
from glider.store.atomic import new_folder, refuse_filled, write_json, write_whole
from glider.store.journal import read_journal
from glider.store.manifest import read_manifest
from glider.synth.card import data_card
from glider.synth.curation import curate
from glider.synth.funnel import Funnel
from glider.synth.languages import code_of
from glider.synth.page import write_page
from glider.synth.people import said_by_people
from glider.synth.records import (
    BlindReading,
    Judged,
    SynthManifest,
    SynthRecord,
    Text,
    later_readings,
    task_of,
)
from glider.synth.settings import SynthExportSettings


@dataclass(frozen=True, slots=True)
class ExportedSynthesis:
    """The files of an export and their counts."""

    folder: Path
    labelled: int
    pairs: int
    left_out: Mapping[str, int]
    """Number of kept records left out, by reason."""
    unpaired: Mapping[str, int]
    """Number of texts without a pair to train on, by reason."""
    manifest: Mapping[str, Any]
    funnel: Funnel


def export_synthesis(
    run: Path,
    out: Path,
    settings: SynthExportSettings | None = None,
    *,
    notify: Callable[[str], None] = lambda _text: None,
) -> ExportedSynthesis:
    """Write the kept records, without those that overlap a benchmark or exceed the balance.

    Raises:
        RunError: `run` is not a synthesis, nothing was kept, or `out` cannot be written.
        SetupError: the settings are invalid.
        UnknownName: no such format.
    """
    settings = settings or SynthExportSettings()
    settings.check()
    options = {"order": settings.order} if settings.order else {}
    if options and settings.format != "nano":
        raise SetupError(f"--order is for the nano format, not {settings.format!r}")
    format = make_format(settings.format, **options)
    refuse_filled(out)
    manifest = read_manifest(run, SynthManifest, "synthesis")
    curation = curate(run, settings, seed=settings.seed, notify=notify)
    later = later_readings(run)
    funnel = Funnel.of(_records(run), curation, later)
    if not funnel.kept:
        raise RunError(f"{run} has no record that was kept")
    left_out = Counter(rejected.reason for rejected in curation.rejected.values())
    unpaired: Counter[str] = Counter()
    kept = [r.number for r in _records(run) if curation.keeps(r)]
    checked = set(Random(settings.seed).sample(sorted(kept), min(settings.people, len(kept))))
    said = said_by_people(run)
    counts: Counter[str] = Counter()
    with new_folder(out) as new, ExitStack() as stack:
        labelled, of_pairs, preferences = (
            stack.enter_context(gzip.open(new / name, "wt", encoding="utf-8"))
            for name in ("labelled.jsonl.gz", "labelled-pairs.jsonl.gz", "preferences.jsonl.gz")
        )
        check = stack.enter_context((new / "check.jsonl").open("w", encoding="utf-8"))
        for record in _records(run):
            if not curation.keeps(record):
                continue
            for place, text in enumerate(record.texts):
                file = of_pairs if record.draw.kind == "pair" else labelled
                checks = [r.check for r in later.get(record.number, ()) if r.place == place]
                _write(file, labelled_record(record, place, manifest, checks))
                counts["of pairs" if record.draw.kind == "pair" else "of one"] += 1
                try:
                    pair = preference(record, text, format, highlights=settings.highlights)
                except (Unclear, TaskError) as exc:
                    unpaired[str(exc)] += 1
                    continue
                pair["id"] = f"{manifest.run_id}-{record.number}" + _suffix(record, place)
                _write(preferences, pair)
                counts["pairs"] += 1
            if record.number in checked:
                _write(check, to_check(record))
        stack.close()
        counts["labelled"] = counts["of pairs"] + counts["of one"]
        for count, name in (("of pairs", "labelled-pairs"), ("of one", "labelled")):
            if not counts[count]:
                (new / f"{name}.jsonl.gz").unlink()
        body = {
            "version": 1,
            "synthesis": manifest.model_dump(mode="json"),
            "format": format.id,
            "highlights": settings.highlights,
            "labelled": counts["labelled"],
            "pairs": counts["pairs"],
            "left_out": dict(left_out),
            "unpaired": dict(unpaired),
            "funnel": funnel.data(),
            "people": None if said is None else said.model_dump(mode="json", exclude={"items"}),
            "files": {file.name: sha256_of(file) for file in sorted(new.iterdir())},
        }
        write_whole(new / "card.md", data_card(body, funnel, said))
        funnel.write(new)
        write_page(run, new / "funnel.html", curation)
        write_json(new / "manifest.json", body)
    return ExportedSynthesis(
        folder=out,
        labelled=counts["labelled"],
        pairs=counts["pairs"],
        left_out=dict(left_out),
        unpaired=dict(unpaired),
        manifest=body,
        funnel=funnel,
    )


def _records(run: Path) -> Iterator[SynthRecord]:
    return read_journal(run / "records.jsonl", SynthRecord)


def _write(file: TextIO, data: Mapping[str, Any]) -> None:
    file.write(json.dumps(data, ensure_ascii=False) + "\n")


# Output formats of a record


def labelled_record(
    record: SynthRecord, place: int, manifest: SynthManifest, later: Sequence[BlindReading] = ()
) -> dict[str, Any]:
    """Convert one text to a Glider labelled record, with spans and reason.

    The judged text becomes `output`, whatever the teacher called it; an output that is not judged
    takes the place of the context, or of the judged field.
    """
    draw, text = record.draw, record.texts[place]
    criterion, pair = record.criterion_of(text), draw.kind == "pair"
    judged = [text.material[name] for name in draw.judged_names]
    fields = {
        role: text.material[tag] for role, tag in draw.tags.items() if role not in (draw.judged,)
    }
    if draw.judged != "output" and (answer := fields.pop("output", None)) is not None:
        fields["context" if "context" not in fields else draw.judged] = answer
    marks = text.right.highlights if not pair else ()
    return {
        "id": f"{manifest.run_id}-{record.number}" + _suffix(record, place),
        "source": "glider synth",
        "kind": "pairwise" if pair else "pointwise",
        "input": fields.get("input", ""),
        "context": fields.get("context"),
        "reference": fields.get("reference"),
        **({"outputs": judged} if pair else {"output": judged[0]}),
        "criterion": {"name": criterion.name, "description": criterion.question},
        "rubric": {str(score): level for score, level in criterion.rubric.levels.items()},
        "scale": None if pair else [criterion.rubric.low, criterion.rubric.high],
        "label": text.right.score,
        "label_source": manifest.teacher,
        "rationale": text.right.reasoning,
        "lang": code_of(draw.language),
        "licence": manifest.licence,
        "meta": {
            "spans": [
                {"start": span.start, "end": span.end, "type": "decisive"}
                for mark in marks
                for span in mark.spans[:1]
            ],
            "kind": draw.kind,
            "tags": dict(draw.tags),
            "judged": draw.judged,
            "domain": draw.domain,
            "domain_group": draw.domain_group,
            "criterion_group": draw.criterion_group,
            "target": text.target,
            **({"case": draw.brief} if draw.kind == "crafted" else {}),
            **({"part": draw.source} if draw.kind == "profile" else {}),
            **(
                {"adapted_from": {"id": draw.original.id, "label": draw.original.score}}
                if draw.original
                else {}
            ),
            "rewritten": text.rewritten,
            "blind": [check.model_dump(mode="json") for check in (*text.checks, *later)],
            "fault": draw.fault,
            "teacher": manifest.teacher,
            "writer": record.writer or manifest.teacher,
            **({"writers": _writers(record, manifest)} if pair else {}),
            "seed": [manifest.plan.get("seed"), record.number],
        },
    }


def _writers(record: SynthRecord, manifest: SynthManifest) -> list[str]:
    """Return who wrote each output of a pair."""
    second = record.writer if record.second_writer is None else record.second_writer
    return [record.writer or manifest.teacher, second or manifest.teacher]


def _suffix(record: SynthRecord, place: int) -> str:
    if record.draw.aspects:
        return f"-{record.criterion_of(record.texts[place]).name}"
    return "-twin" if place else ""


def preference(
    record: SynthRecord, text: Text, format: Format, *, highlights: bool = True
) -> dict[str, Any]:
    """Return prompt, chosen and rejected answer.

    Args:
        highlights: False writes no quotes into the answers, and changes nothing else.

    Raises:
        Unclear: a reason has no sentence that is allowed in an answer of this format.
        TaskError: the format cannot ask this task.
    """
    task = task_of(record, text)
    prompt = format.render(task)
    chosen, rejected = (
        _answer(judged, task, record, format, highlights=highlights)
        for judged in (text.right, text.wrong)
    )
    return {
        "prompt": [{"role": m.role, "content": m.content} for m in prompt.messages],
        "chosen": [{"role": "assistant", "content": chosen}],
        "rejected": [{"role": "assistant", "content": rejected}],
        "score_chosen": text.right.score,
        "score_rejected": text.wrong.score,
        "fault": record.draw.fault,
        "criterion": task.criterion.name,
        "domain": record.draw.domain,
    }


def _answer(
    judged: Judged, task: JudgeTask, record: SynthRecord, format: Format, *, highlights: bool
) -> str:
    rubric = task.criterion.rubric
    shown = format.shown(task)
    quotes = [
        quote_at(shown[span.field], span.start, span.end)
        for mark in judged.highlights
        for span in mark.spans[:1]
    ]
    phrases = [quote for quote in dict.fromkeys(quotes) if quote]
    if not phrases:
        raise Unclear("no quote that this format has room for")
    reason = cleaned(
        judged.reasoning,
        About(
            texts=[field.text for field in task.sample.fields],
            level=None if record.draw.kind == "pair" else rubric.normalize(judged.score),
            lang=code_of(record.draw.language),
            words=format.reason_words,
        ),
    )
    written = tuple(phrases[:MAX_QUOTES]) if highlights else ()
    reading = Reading(score=judged.score, reasoning=reason, phrases=written)
    return format.target(reading, task)


def to_check(record: SynthRecord) -> dict[str, Any]:
    """Return a record for a person to review, with a blank for each verdict.

    With `person` and `verdicts` filled in, `glider review import` takes it.
    """
    draw, text = record.draw, record.texts[0]
    task = task_of(record, text)
    of_two = len(task.sample.judged) == 2
    asked = questions_of((*SYNTH_QUESTIONS, *REJECTED_QUESTIONS), of_two=of_two)

    def shown(judged: Judged) -> dict[str, Any]:
        return {
            "score": judged.score,
            "reason": judged.reasoning,
            "quotes": [mark.phrase for mark in judged.highlights],
            **({"better": task.sample.judged[judged.score].name} if of_two else {}),
        }

    return {
        "number": record.number,
        "texts": dict(text.material),
        "judged": list(draw.judged_names),
        "question": task.criterion.question,
        "levels": {str(score): level for score, level in task.criterion.rubric.levels.items()},
        "right": shown(text.right),
        "wrong": shown(text.wrong),
        "questions": {question.key: question.text for question in asked},
        "item": task.id,
        "person": None,
        "verdicts": dict.fromkeys(question.key for question in asked),
    }
