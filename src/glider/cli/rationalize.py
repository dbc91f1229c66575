"""`glider rationalize`: pairs to train on, made of a judge's own right and wrong answers."""

import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any

import typer

from glider.cli.flags import from_flags
from glider.cli.options import interrupted
from glider.cli.show import downloading, print_json, say
from glider.core.errors import SetupError
from glider.core.settings import Flag
from glider.judging.settings import JudgeSettings, ModelSettings

_ASK, _PAIR, _OUT = "How to ask", "Pairs", "Output"
_CHOICES = ("correct", "majority")


@dataclass(frozen=True, kw_only=True)
class Answerer(ModelSettings):
    """The model whose answers are paired."""

    model: Annotated[
        str,
        Flag(
            "Run folder of a training, or a model as in `glider judge`.",
            names=("--model", "-m"),
        ),
    ] = field()


@from_flags
def rationalize(
    data: Path = typer.Argument(
        ..., metavar="EXAMPLES", help="Folder that `glider data` made.", show_default=False
    ),
    out: Path = typer.Option(..., "--out", "-o", help="Folder to make.", rich_help_panel=_OUT),
    samples: int = typer.Option(8, min=2, help="Answers to each prompt.", rich_help_panel=_ASK),
    temperature: float = typer.Option(
        1.0,
        min=0.01,
        help="How freely answers are drawn; 1 is the model's own distribution.",
        rich_help_panel=_ASK,
    ),
    limit: int = typer.Option(
        None,
        min=1,
        help="Training prompts, drawn; of the development prompts the same share [all].",
        rich_help_panel=_ASK,
    ),
    order: str = typer.Option(None, help="score-first or reason-first.", rich_help_panel=_ASK),
    seed: int = typer.Option(0, help="Of every draw.", rich_help_panel=_ASK),
    max_tokens: int = typer.Option(None, min=1, help="Longest answer.", rich_help_panel=_ASK),
    *,
    answerer: Answerer,
    choose: str = typer.Option(
        "correct",
        help="Which answers are right: correct (people's score) or majority (the most common).",
        rich_help_panel=_PAIR,
    ),
    margin: float = typer.Option(
        2.0,
        min=0.0,
        max=4.0,
        help="How far off a wrong score is at least, in levels of 1 to 5; 2 is half of any scale.",
        rich_help_panel=_PAIR,
    ),
    pairs: int = typer.Option(1, min=1, help="Most pairs of one prompt.", rich_help_panel=_PAIR),
    resume: bool = typer.Option(
        False,
        "--resume",
        help="Keep the answers in --out, ask for what is missing, make the pairs anew.",
        rich_help_panel=_OUT,
    ),
    as_json: bool = typer.Option(
        False, "--json", help="Print the figures as JSON.", rich_help_panel=_OUT
    ),
) -> None:
    """Let a judge answer its training prompts several times, and pair right with wrong answers.

    Writes preferences-train.jsonl.gz (and -dev), which a preference stage of `glider train` reads,
    card.md and result.json. Killed at any moment, it goes on with --resume; over the same answers
    --choose, --margin and --pairs may then be others, --samples and --limit larger.
    """
    from glider.corpus.examples import required_format
    from glider.store.folder import kept_folder
    from glider.studies.self_rationalization import (
        Answers,
        Pairing,
        ask,
        questions,
        write_pairs,
    )

    if choose not in _CHOICES:
        raise SetupError(f"--choose is one of {', '.join(_CHOICES)}; got {choose!r}")
    form = required_format(data)
    if order is not None:
        form["order"] = order
    settings = JudgeSettings(
        **asdict(answerer),
        format=form["format"],
        order=form.get("order"),
        layout=form.get("layout"),
    )
    how = Pairing(samples=samples, choose=choose, margin=margin, pairs=pairs, seed=seed)  # type: ignore[arg-type]
    with downloading() as download:
        opened = settings.open(download)
    with opened as judge:
        asked = questions(data, judge.format, limit=limit, seed=seed)
        manifest = _manifest(data, judge.id, form, temperature, seed, max_tokens, settings)
        with kept_folder(out, manifest, resume=resume), Answers(out) as answers:
            if not judge.format.reasons_before_score:
                say(
                    "[bold]score first[/]:",
                    "the reason follows the score, so pairs teach the score and how it is told; "
                    "--order reason-first lets the reason decide",
                )
            every = [question for prompts in asked.values() for question in prompts.questions]
            progress = _Progress(
                sum(not answers.has(q.example.id, n) for q in every for n in range(samples))
            )
            try:
                lost = ask(
                    judge.backend,
                    every,
                    answers,
                    samples=samples,
                    temperature=temperature,
                    seed=seed,
                    max_tokens=max_tokens,
                    seen=progress,
                )
            except KeyboardInterrupt:
                raise interrupted(out, "what was answered is kept. To go on:") from None
            result = write_pairs(
                out, asked, answers, judge.format, how, model=judge.id, temperature=temperature
            )
    if as_json:
        print_json(result.model_dump(mode="json"), indent=1)
    train = result.splits["train"]
    if limit is not None and limit > train.there:
        say("[yellow]fewer prompts[/]", f"than asked for: {train.there} of {limit}")
    if train.missing:
        codes = ", ".join(f"{n} {code}" for code, n in lost.items())
        say("[yellow]missing[/]", f"{train.missing} answers ({codes}); --resume asks for them")
    if train.unconstrained:
        say("[yellow]not held to the grammar[/]:", f"{train.unconstrained} answers")
    say(
        "[bold]made[/]",
        f"{train.pairs} pairs of {train.prompts} prompts; {train.readable} of {train.asked} "
        f"answers read, {train.right} of them right",
    )
    if "dev" not in result.splits or not result.splits["dev"].pairs:
        say("[yellow]no pairs to measure on[/]:", "train with --set stages.0.dev=null")
    say("card:", str(out / "card.md"))


def _manifest(
    data: Path,
    judge: str,
    form: dict[str, str],
    temperature: float,
    seed: int,
    max_tokens: int | None,
    settings: JudgeSettings,
) -> Any:
    """What decides an answer; how many there are, and how they are paired, does not.

    The form is told by the judge too; a training on the pairs finds it under its name.
    """
    from glider.corpus.examples import hash_of
    from glider.store.manifest import Manifest

    return Manifest.of(
        run_id=time.strftime("%Y%m%d-%H%M%S", time.gmtime()),
        judge=judge,
        settings={
            **form,
            "temperature": temperature,
            "seed": seed,
            "max_tokens": max_tokens,
            "grammar": settings.grammar,
            "base_url": settings.endpoint(),
        },
        criteria={},
        input_path=data.resolve().name,
        input_sha256=hash_of(data),
    )


class _Progress:
    """Says now and then how far it is."""

    def __init__(self, n: int) -> None:
        self._n, self._done = n, 0
        self._began = self._last = time.monotonic()

    def __call__(self) -> None:
        self._done += 1
        now = time.monotonic()
        if now - self._last > 10 or self._done == self._n:
            self._last = now
            rate = 60 * self._done / max(now - self._began, 1e-9)
            say("", f"{self._done} of {self._n} answers, {rate:.0f} a minute")
