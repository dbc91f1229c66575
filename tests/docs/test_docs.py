"""What the documents say is so: the README's Python runs, codes and commands are described."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from glider.core import errors
from glider.core.errors import DataError, GliderError, RunError, SetupError

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text("utf-8")
ARCHITECTURE = (ROOT / "ARCHITECTURE.md").read_text("utf-8")


def test_the_readmes_python_runs(tmp_path):
    (snippet,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", snippet],
        cwd=tmp_path, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    if "ModelFileError" in done.stderr and "cannot fetch" in done.stderr:
        pytest.skip("the model cannot be had here")
    assert done.returncode == 0, done.stderr
    assert re.match(r"[1-5] \d", done.stdout)
    assert "Span(field='output'" in done.stdout


def test_every_failure_code_is_described():
    told = (ROOT / "docs/runs.md").read_text("utf-8")
    outcome_errors = [
        kind
        for kind in vars(errors).values()
        if isinstance(kind, type)
        and issubclass(kind, GliderError)
        and not issubclass(kind, SetupError | RunError | DataError)
    ]
    codes = {kind.code for kind in outcome_errors if not kind.__subclasses__()}
    codes -= {"model_file"}
    missing = [code for code in sorted(codes) if f"`{code}`" not in told]
    assert missing == []


def test_every_document_is_in_the_index_and_the_site():
    index = (ROOT / "docs/index.md").read_text("utf-8")
    site = (ROOT / "mkdocs.yml").read_text("utf-8")
    for document in (ROOT / "docs").glob("*.md"):
        if document.name not in ("index.md", "reference.md"):
            assert f"]({document.name})" in index
        assert document.name in site


def test_every_file_a_document_links_to_is_there():
    for document in (ROOT / "README.md", ROOT / "ARCHITECTURE.md", *(ROOT / "docs").glob("*.md")):
        for link in re.findall(r"\]\(([^)#:]+)\)", document.read_text("utf-8")):
            assert (document.parent / link).exists(), f"{document.name} links to {link}"


def test_every_folder_of_the_package_is_on_the_map():
    folders = {p.name for p in (ROOT / "src/glider").iterdir() if p.is_dir() and p.name[0] != "_"}
    folders -= {"demo"}
    for folder in folders:
        assert f"  {folder}/" in ARCHITECTURE


def test_every_flag_in_the_readme_exists():
    console = "\n".join(re.findall(r"```console\n(.*?)```", README, re.DOTALL))
    flags: dict[str, set[str]] = {}
    for command, rest in re.findall(r"glider ([a-z-]+)([^`\n]*)", console):
        written = re.sub(r"'[^']*'", "", rest).partition("#")[0]
        flags.setdefault(command, set()).update(re.findall(r"(?<=\s)--[a-z][a-z-]+", written))
    assert {"judge", "bench", "calibrate", "gate"} <= flags.keys()
    for command, used in flags.items():
        told = subprocess.run(
            [sys.executable, "-m", "glider.cli.main", command, "--help"],
            capture_output=True, text=True, check=True,
        ).stdout  # fmt: skip
        for flag in used:
            assert flag in told, f"{command} {flag}"


def test_what_where_to_add_names_is_there():
    """Every file, every table of names, and an entry point group for each of these."""
    page = (ROOT / "docs/where-to-add.md").read_text("utf-8")
    sections = re.split(r"^## ", page, flags=re.M)[1:]
    assert len(sections) == 11 and all(len(one.strip().splitlines()) == 5 for one in sections)
    files = re.findall(r"`((?:src|tests|docs)/[\w./-]+)`", page)
    assert len(files) > 20
    for name in files:
        assert (ROOT / name).exists(), name
    for table, name in re.findall(r"`([A-Z]{2,})`[^.]*?of `(src/[\w./]+)`", page):
        assert f"{table}: Registry[" in (ROOT / name).read_text("utf-8"), name
    source = "".join(path.read_text("utf-8") for path in (ROOT / "src").rglob("*.py"))
    for group in re.findall(r"`(glider\.\w+)`", page):
        assert f'group="{group}"' in source, group
