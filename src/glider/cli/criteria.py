"""`glider criteria` and `glider models`: list what ships with Glider."""

import typer

from glider.core.errors import UnknownName


def criteria(
    name: str = typer.Argument(None, metavar="NAME", help="Print this criterion in full."),
) -> None:
    """List the shipped criteria, or print one as YAML to copy and change."""
    from glider.data.library import library

    shipped = library()
    if name is None:
        group = None
        for criterion in sorted(shipped.values(), key=lambda c: (c.group, c.name)):
            if criterion.group != group:
                group = criterion.group
                print(f"\n{group}")
            scale = f"{criterion.rubric.low}..{criterion.rubric.high}"
            print(f"  {criterion.name:<30} {scale:<6} {criterion.heading}")
        return
    if name not in shipped:
        raise UnknownName("criterion", name, list(shipped))
    import yaml

    found = shipped[name]
    data = found.model_dump(mode="json") | {"rubric": dict(found.rubric.levels)}
    print(yaml.safe_dump(data, sort_keys=False, allow_unicode=True, width=90).rstrip())


def models(
    verify: bool = typer.Option(
        False, "--verify", help="Read every file in full and check its hash."
    ),
) -> None:
    """List the models that have a name, and show which are on this machine.

    With --verify, exits 4 if a file is damaged; the next use fetches or builds it again.
    """
    from glider.models.known import known_models

    damaged = False
    for model in known_models(verify=verify):
        size = f"{model.size_bytes / 1e6:.0f} MB"
        told = {"here": "present, verified" if verify else "here", "damaged": "DAMAGED"}
        state = told.get(model.state, f"fetched on first use, {size}")
        default = "  (default)" if model.is_default else ""
        judges = f"  judges {', '.join(model.languages)}" if model.languages else ""
        print(f"embedded/{model.name}{default}  {model.licence}  {state}{judges}")
        damaged = damaged or model.state == "damaged"
    if damaged:
        raise typer.Exit(4)
    print("embedded/PATH.gguf  any other llama.cpp model")
    print("embedded/FOLDER     your own adapter or training run: merged into its base once")
    print("openai/MODEL        any OpenAI-compatible endpoint (--base-url)")
    print("hf/ORG/NAME         a Hugging Face model or folder (extra: torch)")
    print("fast/NAME           scores without reasons, in batches (extra: torch)")
    print("vllm/NAME           a model in vLLM's engine, for GPUs (extra: vllm)")
