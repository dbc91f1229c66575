"""`glider criteria` and `glider models`: what the product brings."""

import typer

from glider.core.errors import UnknownName


def criteria(
    name: str = typer.Argument(None, metavar="NAME", help="Show this criterion whole."),
) -> None:
    """List the shipped criteria, or show one with its rubric (as YAML, to copy and change)."""
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


def models() -> None:
    """List the models known by name, and which of them are on this machine."""
    from glider.models.catalog import CATALOG, DEFAULT, cache_dir

    for name, model in CATALOG.items():
        file = cache_dir() / "models" / name / f"{name}.{model.requantise}.gguf"
        here = (
            "here" if file.is_file() else f"fetched on first use, {model.size_bytes / 1e6:.0f} MB"
        )
        default = "  (default)" if name == DEFAULT else ""
        print(f"embedded/{name}{default}  {model.licence}  {here}")
    print("embedded/PATH.gguf  any other llama.cpp model")
    print("embedded/FOLDER     your own adapter: merged into its base once")
    print("openai/MODEL        any OpenAI-compatible endpoint (--base-url)")
    print("hf/ORG/NAME         a Hugging Face model or folder (extra: torch)")
    print("fast/NAME           scores without reasons, many at a time (extra: torch)")
