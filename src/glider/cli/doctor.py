"""`glider doctor`: what this machine can do, how fast, and what is missing."""

from typing import TYPE_CHECKING

import typer

from glider.cli.show import print_json, say, terminal

if TYPE_CHECKING:
    from glider.judging.doctor import Checkup


def doctor(
    seconds: float = typer.Option(5.0, min=0.0, help="Seconds to measure speed for; 0: skip."),
    model: str = typer.Option(
        None,
        "--model",
        "-m",
        help="Model to measure; it must run in the embedded engine [the default judge].",
    ),
    as_json: bool = typer.Option(False, "--json", help="Print the result as JSON."),
) -> None:
    """Check this machine: what is installed, how fast it judges, how to fix what is missing.

    Downloads nothing. Exits 4 if the judge cannot run.
    """
    from glider.judging.doctor import examine
    from glider.models.catalog import DEFAULT

    if seconds and not as_json:
        say(f"judging for {seconds:g} seconds ...")
    found = examine(seconds=seconds, model=model or DEFAULT)
    if as_json:
        print_json(found.model_dump(mode="json"), indent=1)
    else:
        _show(found)
    if not found.is_well:
        raise typer.Exit(4)


def _show(found: "Checkup") -> None:
    memory = f", {found.memory_free_gb:g} GB of memory free" if found.memory_free_gb else ""
    free = f", {found.cache_free_gb:g} GB free" if found.cache_free_gb is not None else ""
    extras = ", ".join(f"{name} {there}" for name, there in found.extras.items() if there)
    rows = [
        (
            "machine",
            f"glider {found.glider}, Python {found.python}, {found.system}, {found.cores} cores"
            f"{memory}",
        ),
        ("engine", f"xllamacpp {found.engine}" if found.engine else "none"),
        ("extras", extras or "none"),
        ("cache", f"{found.cache} ({'writable' if found.cache_writable else 'read only'}{free})"),
        *(("model", f"{m.name}: {m.state}, {m.megabytes:.0f} MB") for m in found.models),
        ("endpoint", f"OPENAI_API_KEY is {'set' if found.endpoint_key else 'not set'}"),
    ]
    if found.speed is not None:
        speed = found.speed
        rows += [
            ("judge", f"{speed.judge}, loaded in {speed.load_s:g} s"),
            (
                "speed",
                f"{speed.read_tokens_per_s:g} tokens read and {speed.written_tokens_per_s:g} "
                "written a second",
            ),
            (
                "expect",
                f"about {speed.judgments_per_minute:.3g} judgments a minute of a paragraph each, "
                f"with quotes and reason ({speed.finished} finished in {speed.seconds:g} s)",
            ),
        ]
    for name, text in rows:
        terminal().print(f"{name:<9} {text}", soft_wrap=True, markup=False)
    for one in sorted(found.missing, key=lambda one: not one.needed):
        kind = "needed" if one.needed else "missing"
        terminal().print(f"{kind:<9} {one.what}: {one.why}", soft_wrap=True, markup=False)
        terminal().print(f"{'':<9}   {one.mend}", soft_wrap=True, markup=False)
