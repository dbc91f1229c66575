"""`glider synth`: data for judges, written by a teacher to drawn labels and read blind."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from typer.core import TyperGroup

from glider.cli.commands import STYLE, Command
from glider.cli.flags import from_flags
from glider.cli.options import Resume, RunFolderPath, check_resume, resume_line
from glider.cli.show import downloading, print_json, say
from glider.scale.settings import ClusterSettings
from glider.synth.settings import (
    CurationSettings,
    SynthExportSettings,
    SynthSettings,
    TeacherSettings,
    VerifierSettings,
)

if TYPE_CHECKING:
    from glider.synth.funnel import Funnel

_RUN, _OUT = "Run", "Output"


class _PlanOrCommand(TyperGroup):
    """`glider synth PLAN ...` is `glider synth make PLAN ...`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if not args or args[0] not in self.commands:
            args = ["make", *args]
        return super().parse_args(ctx, args)


synth = typer.Typer(
    name="synth",
    cls=_PlanOrCommand,
    help="Make data for judges: draw labels, have texts written to them, read them blind.",
    **STYLE,
)


def _print_plan(asked: bool) -> None:
    if asked:
        from glider.synth.synthesize import commented_plan

        print(commented_plan(), end="")
        raise typer.Exit


@synth.command("make", cls=Command)
@from_flags
def make(
    plan: Path = typer.Argument(
        ..., metavar="PLAN", help="What is drawn (YAML); see --init.", show_default=False
    ),
    *,
    teacher: TeacherSettings,
    settings: SynthSettings,
    curation: CurationSettings,
    processes: ClusterSettings,
    run: RunFolderPath = None,
    resume: Resume = False,
    as_json: bool = typer.Option(
        False, "--json", help="Print the funnel as JSON.", rich_help_panel=_OUT
    ),
    init: bool = typer.Option(
        False,
        "--init",
        callback=_print_plan,
        is_eager=True,
        help="Print a commented plan with every key, and end.",
        rich_help_panel=_OUT,
    ),
) -> None:
    """Make data for judges: draw labels, have texts written to them, read them blind.

    `glider synth PLAN` makes a run folder (every answer journaled, funnel.json, funnel.html).
    `glider synth preview PLAN` prints three records. `glider synth export RUN` writes a labelled
    set, pairs to train on and a card. `glider synth report RUN` writes the page.
    `glider synth taxonomy` lists what is drawn from.

    Exit 4: no record was kept.
    """
    from glider.store.folder import claim_folder
    from glider.synth.page import write_page
    from glider.synth.synthesize import synthesize

    processes.check()
    check_resume(run, resume, retry_failures=False)
    folder = run if run is not None else claim_folder(f"runs/{plan.stem}-")
    try:
        with downloading() as download:
            made = synthesize(
                plan,
                folder,
                teacher,
                settings,
                curation=curation,
                processes=processes,
                resume=resume,
                progress=_Progress(),
                notify=lambda text: say("", text),
                fetching=download,
            )
    except KeyboardInterrupt:
        say("[yellow]interrupted[/];", "what was answered is kept. To go on:")
        say("", "  " + resume_line(folder, "--run"))
        raise typer.Exit(130) from None
    if as_json:
        print_json(made.funnel.data(), indent=1)
    show_funnel(made.funnel)
    if made.open:
        codes = ", ".join(f"{n} {code}" for code, n in made.failed.items()) or "size was larger"
        say("[yellow]not ended[/]", f"{made.open} records ({codes}). To go on:")
        say("", "  " + resume_line(folder, "--run"))
    say("page:", str(write_page(folder, curation=made.funnel.curation)))
    if not made.funnel.kept:
        say("[bold red]no record was kept[/]")
        raise typer.Exit(4)


@synth.command("preview", cls=Command)
@from_flags
def preview(
    plan: Path = typer.Argument(..., metavar="PLAN", help="What is drawn.", show_default=False),
    *,
    teacher: TeacherSettings,
    settings: SynthSettings,
) -> None:
    """Make a few records and print them as a person reads them; keeps no folder."""
    from dataclasses import replace

    from glider.cli.synth_record import print_record
    from glider.synth.synthesize import preview_synthesis

    few = replace(settings, size=3) if settings.size == SynthSettings().size else settings
    with downloading() as download:
        made = preview_synthesis(plan, teacher, few, fetching=download)
    for record in made.records:
        print_record(record)
    for code, n in made.made.failed.items():
        say(f"[red]{n}[/] calls failed:", code)
    if not any(record.kept for record in made.records):
        raise typer.Exit(4)


@synth.command("export", cls=Command)
@from_flags
def export(
    run: Path = typer.Argument(
        ..., metavar="RUN", help="Folder of a synthesis.", show_default=False
    ),
    *,
    settings: SynthExportSettings,
    out: Path = typer.Option(..., "--out", "-o", help="Folder to make.", rich_help_panel=_OUT),
    as_json: bool = typer.Option(
        False, "--json", help="Print the manifest as JSON.", rich_help_panel=_OUT
    ),
) -> None:
    """Write what was kept as a labelled set, as pairs to train on, and for people to check.

    labelled.jsonl.gz, and labelled-pairs.jsonl.gz of two answers, are taken by `glider data --set`
    and `glider bench` by their paths; preferences.jsonl.gz by `glider data --preferences`.
    check.jsonl has blanks for people's verdicts. card.md says what is in them.
    """
    from glider.synth.export import export_synthesis

    exported = export_synthesis(run, out, settings, notify=lambda text: say("", text))
    if as_json:
        print_json(exported.manifest, indent=1)
    show_funnel(exported.funnel)
    for why, n in exported.unpaired.items():
        say("[yellow]no pair to train on[/]", f"{n}: {why}")
    show_people(run)
    say("[bold]made[/]", f"{exported.labelled} labelled records, {exported.pairs} pairs")
    say("card:", str(out / "card.md"))


@synth.command("report", cls=Command)
@from_flags
def report(
    run: Path = typer.Argument(
        ..., metavar="RUN", help="Folder of a synthesis.", show_default=False
    ),
    *,
    settings: CurationSettings,
    out: Path = typer.Option(None, "--out", "-o", help="The page [RUN/funnel.html]."),
    as_json: bool = typer.Option(False, "--json", help="Print the funnel as JSON."),
) -> None:
    """Count the funnel anew from the records, and write it as a page with texts and judgments."""
    from glider.synth.curation import curate
    from glider.synth.page import write_page
    from glider.synth.synthesize import funnel_of

    curation = curate(run, settings, notify=lambda text: say("", text))
    say("page:", str(write_page(run, out, curation)))
    funnel = funnel_of(run, curation)
    if as_json:
        print_json(funnel.data(), indent=1)
    show_funnel(funnel)
    show_people(run)


@synth.command("verify", cls=Command)
@from_flags
def verify(
    run: Path = typer.Argument(
        ..., metavar="RUN", help="Folder of a synthesis.", show_default=False
    ),
    *,
    settings: VerifierSettings,
    as_json: bool = typer.Option(
        False, "--json", help="Print the funnel as JSON.", rich_help_panel=_OUT
    ),
) -> None:
    """Read the kept records blind with a further model; the teacher is not asked again.

    Readings are kept in RUN/readings.jsonl and counted by report and export. Run it again to go
    on, or with another --verifier to add one.
    """
    from glider.synth.curation import Curation
    from glider.synth.page import write_page
    from glider.synth.synthesize import funnel_of
    from glider.synth.verify import verify_synthesis

    with downloading() as download:
        done = verify_synthesis(run, settings, progress=_Progress("texts"), fetching=download)
    say("[bold]read[/]", f"{done.read} texts by {done.by}, {done.there} were read already")
    if done.failed:
        codes = ", ".join(f"{n} {code}" for code, n in done.failed.items())
        say("[yellow]not read[/]", f"{codes}; the same command asks again")
    funnel = funnel_of(run, Curation())
    funnel.write(run)
    say("page:", str(write_page(run)))
    if as_json:
        print_json(funnel.data(), indent=1)
    show_funnel(funnel)


@synth.command("taxonomy", cls=Command)
def taxonomy(
    as_json: bool = typer.Option(False, "--json", help="Print all of it as JSON."),
) -> None:
    """List what a plan draws from: subjects and criteria by group, profiles, crafted cases."""
    from glider.synth.families import families
    from glider.synth.profiles import shipped_profiles
    from glider.synth.taxonomy import CriterionOutline, Domain, shipped, titles

    found, named = shipped(), titles()
    parts: dict[str, Mapping[str, tuple[Domain | CriterionOutline, ...]]]
    parts = {"domains": found.domains, "criteria": found.criteria}
    if as_json:
        print_json(
            {
                kind: {
                    group: {"title": named[group], kind: [entry.name for entry in entries]}
                    for group, entries in groups.items()
                }
                for kind, groups in parts.items()
            }
            | {
                "profiles": {name: p.title for name, p in shipped_profiles().items()},
                "families": {name: family.title for name, family in families().items()},
            },
            indent=1,
        )
        return
    for kind, groups in parts.items():
        print(f"{sum(map(len, groups.values()))} {kind} in {len(groups)} groups")
        for group, entries in groups.items():
            print(f"\n{group}: {named[group]} ({len(entries)})")
            print("  " + ", ".join(entry.name for entry in entries))
        print()
    print("profiles of scores: " + ", ".join(shipped_profiles()))
    print("families of crafted cases: " + ", ".join(families()))


def show_funnel(funnel: "Funnel") -> None:
    """What was lost where, and how noisy the labels are, on standard error."""
    say("[bold]records[/]", ", ".join(f"{name} {n}" for name, n in funnel.left()))
    for (stage, reason), n in funnel.lost.most_common(8):
        number, seen = funnel.examples[stage, reason]
        say(f"[yellow]{n}[/] lost, not {stage}:", f"{reason}; record {number}: {seen[:100]}")
    for by in funnel.verdicts:
        told = ", ".join(
            f"{verdict} {share.value:.0%} [{share.low:.0%}, {share.high:.0%}]"
            for verdict, share in funnel.agreement(by).items()
        )
        say("[bold]read blind[/]", f"by {by}: {told}; n={sum(funnel.verdicts[by].values())}")
        for line in funnel.matrix(by):
            say("", "  " + line)
        for n, line in enumerate(funnel.matrix(by, of_people=True)):
            say("" if n else "targets that people gave", "  " + line)
    for (stage, reason), n in funnel.lost_parts.most_common():
        say("[yellow]criteria left out[/]", f"of kept documents, not {stage}: {reason}, {n}")
    if funnel.kept:
        cost = f", {funnel.usage.cost / funnel.kept:.4f} paid" if funnel.usage.cost else ""
        say("for each kept record", f"{funnel.tokens // funnel.kept} tokens{cost}")


def show_people(run: Path) -> None:
    """What people say of the texts, on standard error; nothing if nobody has looked."""
    from glider.synth.people import said_by_people, verdict_lines, who_looked

    said = said_by_people(run)
    if said is None:
        say(
            "[bold]people[/]",
            f"nobody has looked; to ask them: glider review {run} --annotators ana,ben",
        )
        return
    say("[bold]people[/]", who_looked(said))
    for line in verdict_lines(said):
        say("", "  " + line)


class _Progress:
    """Says now and then how far it is."""

    def __init__(self, what: str = "records") -> None:
        self._last, self._what = time.monotonic(), what

    def __call__(self, ended: int, *more: int) -> None:
        now = time.monotonic()
        if now - self._last > 10:
            self._last = now
            *kept, size = more
            told = "".join(f", {n} kept" for n in kept)
            say("", f"{ended} of {size} {self._what}{told}")
