"""Documents outside `docs/` become pages of the site, so that every link leads somewhere."""

import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

_ROOT = Path(__file__).resolve().parents[1]
_LINK = re.compile(r"(?<!!)\[([^\]]*)\]\((?!https?:|#|mailto:)([^)#]+)(#[^)]*)?\)")
_PLACE = "repository/"


def on_files(files: Files, config: Any) -> Files:
    """Add every Markdown file of the repository that a document links to."""
    todo = [Path(file.abs_src_path) for file in files.documentation_pages()]
    seen: set[Path] = set()
    while todo:
        page = todo.pop()
        for _, link, _ in _LINK.findall(page.read_text("utf-8")):
            target = (page.parent / link).resolve()
            outside = target.is_relative_to(_ROOT) and not target.is_relative_to(_ROOT / "docs")
            if outside and target.suffix == ".md" and target.is_file() and target not in seen:
                seen.add(target)
                todo.append(target)
                name = _PLACE + target.relative_to(_ROOT).as_posix()
                files.append(File.generated(config, name, abs_src_path=str(target)))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Files) -> str:
    """Point links at pages of the site; of a link to any other file the text stays."""
    source = Path(page.file.abs_src_path)

    def place(found: re.Match[str]) -> str:
        text, link, anchor = found[1], found[2], found[3] or ""
        target = (source.parent / link).resolve()
        if target.is_relative_to(_ROOT / "docs"):
            there = target.relative_to(_ROOT / "docs").as_posix()
        elif target.suffix == ".md" and target.is_file() and target.is_relative_to(_ROOT):
            there = _PLACE + target.relative_to(_ROOT).as_posix()
        else:
            return text
        return f"[{text}]({'../' * page.file.src_uri.count('/')}{there}{anchor})"

    return _LINK.sub(place, markdown)
