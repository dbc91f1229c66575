"""`glider review`: people look at a run, on a local page; the figures of it; answers in and out."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import typer
from typer.core import TyperGroup

from glider.cli.commands import STYLE, Command
from glider.cli.flags import from_flags
from glider.cli.show import print_json, say
from glider.data.settings import RowSettings
from glider.review.settings import ReviewSettings, ServerSettings
from glider.store.targets import check_target, run_files

_RUN = typer.Argument(..., metavar="RUN", help="Folder of a run.")


class _StartUnlessNamed(TyperGroup):
    """`glider review RUN` is `glider review start RUN`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args and args[0] not in self.commands and args[0] not in ("-h", "--help"):
            args = ["start", *args]
        return super().parse_args(ctx, args)

    def format_options(self, ctx: Any, formatter: Any) -> None:
        super().format_options(ctx, formatter)
        with formatter.section(
            "Flags of `start` (`glider review RUN` is `glider review start RUN`)"
        ):
            self.commands["start"].format_options(ctx, formatter)


review = typer.Typer(
    cls=_StartUnlessNamed,
    no_args_is_help=True,
    **STYLE,
)


@review.callback()
def _group() -> None:
    """People look at a run: own answers, marks and verdicts on a local page, and the figures."""


@review.command(cls=Command)
@from_flags
def start(
    run: Path = _RUN,
    *,
    given: Path = typer.Option(
        None, "--from", metavar="FILE", help="Take answers of this file first, as `import` does."
    ),
    settings: ReviewSettings,
    server: ServerSettings,
) -> None:
    """Serve a page on which people judge, blind, and then say what they think of the judge.

    Prints one link for each person. Ctrl-C ends it; the same command goes on. Of a folder of
    `glider synth`, people answer questions about each kept text and its judgments.
    """
    from glider.review.begin import begin
    from glider.review.serve import serve
    from glider.review.server import check_host
    from glider.synth.people import reviewable

    check_host(server.host, allow_remote=server.allow_remote)
    reviewed = reviewable(run)
    if reviewed != run and settings.mode is None:
        settings = replace(settings, mode="synth")
    if given is not None:
        _take(reviewed, given)
    found = begin(reviewed, settings)
    for note in found.notes:
        say("note:", note)

    def ready(links: Mapping[str, str]) -> None:
        plan = found.plan
        say(f"{plan.mode}: {len(plan.items)} items, {len(plan.people)} people; Ctrl-C ends it")
        for name, link in links.items():
            print(f"{name}\t{link}", flush=True)

    serve(found, server, ready=ready)
    say(f"answers are in {reviewed / 'review' / 'answers'}; figures: glider review report {run}")


@review.command(cls=Command)
@from_flags
def texts(
    file: Path = typer.Argument(..., metavar="FILE", help="Texts, as `glider judge` reads them."),
    *,
    run: Path = typer.Option(..., help="Folder to make."),
    criterion: list[str] = typer.Option(
        ..., "--criterion", "-c", help="Name or YAML file; record: each row's own. Repeatable."
    ),
    rows: RowSettings,
) -> None:
    """Make a run without a judge: texts for people to label, or that people have labelled."""
    from glider.review.texts import texts_run

    n = texts_run(file, criterion, run, rows)
    say(f"{n} texts in {run}; glider review {run} --annotators ana,ben serves the page")


@review.command(cls=Command)
def report(
    run: Path = _RUN,
    *,
    epsilon: float = typer.Option(
        0.15,
        min=0,
        max=1,
        help="Of the alternative-annotator test: 0.2 for experts, 0.15 for trained people, 0.1 for "
        "a crowd.",
    ),
    seed: int = typer.Option(0, help="Of the resamples."),
    out: Path = typer.Option(
        None, "--out", "-o", help="Folder for report.html, report.md, report.json [RUN/review]."
    ),
    as_json: bool = typer.Option(False, "--json", help="Print the report as JSON."),
) -> None:
    """What people say of the judge, and the judge beside one more person; with intervals.

    Without a judge (`glider review texts`), how people agree with one another.

    Writes one page, Markdown, and JSON with every answer by item, so that anybody can recompute it.
    """
    from glider.cli.calibrate import needs_bench
    from glider.synth.people import reviewable

    run = reviewable(run)
    folder = out or run / "review"
    for name in ("report.json", "report.md", "report.html"):
        check_target(folder / name, reads=run_files(run))
    needs_bench("glider review report")
    from glider.review.answered import read_answered
    from glider.review.figures import review_report
    from glider.review.page import page
    from glider.review.words import markdown
    from glider.store.atomic import write_json, write_whole

    answered = read_answered(run)
    found = review_report(answered, epsilon=epsilon, seed=seed)
    write_json(folder / "report.json", found.model_dump(mode="json"))
    write_whole(folder / "report.md", markdown(found))
    write_whole(folder / "report.html", page(found, answered.review))
    if as_json:
        print_json(found.model_dump(mode="json"), indent=1)
    else:
        print(markdown(found, brief=True))
    say("report:", f"{folder / 'report.html'}   report.md   report.json")


@review.command(cls=Command)
def export(
    run: Path = _RUN,
    *,
    to: str = typer.Option(
        "records",
        help="records (for bench, tune, data, calibrate), dataset (the same, as a folder), csv, "
        "label-studio, w3c, inspect.",
    ),
    out: Path = typer.Option(None, "--out", "-o", help="File [in RUN/review]."),
) -> None:
    """Write people's own answers for other commands and other tools."""
    from glider.review.export import export_answers
    from glider.synth.people import reviewable

    run = reviewable(run)
    check_target(out, reads=run_files(run))
    print(export_answers(run, to, out))


@review.command("import", cls=Command)
def import_(
    run: Path = _RUN,
    file: Path = typer.Argument(
        ...,
        metavar="FILE",
        help="CSV, Label Studio export, Web Annotations, inspect-ai scores or checklist.",
    ),
) -> None:
    """Take answers that were given elsewhere; a review is begun with them if there is none."""
    from glider.synth.people import reviewable

    _take(reviewable(run), file)


def _take(run: Path, file: Path) -> None:
    from glider.review.imports import import_answers

    taken, known, left = import_answers(run, file)
    say(f"{taken} answers taken, {known} were there already")
    for line in left:
        say("note:", line)


@review.command(cls=Command)
def merge(
    run: Path = _RUN,
    others: list[Path] = typer.Argument(..., metavar="OTHER...", help="Copies of the same run."),
) -> None:
    """Join the answers of one review from several machines; conflicts are named."""
    from glider.review.imports import merge_answers
    from glider.synth.people import reviewable

    run = reviewable(run)
    for other in others:
        taken, conflicts = merge_answers(run, reviewable(other))
        say(f"{other}: {taken} answers taken")
        for line in conflicts:
            say("conflict, the later answer stands:", line)
