"""A user's file in YAML: whatever is wrong in it is said with file and line."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import yaml

from glider.core.errors import RubricError, SetupError

Fail = Callable[..., SetupError]
"""Makes the error of a message and a hint: `SetupError` itself, or a kind of it."""
Document = tuple[yaml.Node, Any]
"""What was written, with its lines, and what it means."""
_MERGE = "tag:yaml.org,2002:merge"


def read_text(path: Path, fail: Fail = SetupError) -> str:
    """The text of a file, without a byte order mark.

    Raises:
        SetupError: of `fail`; there is no such file, it cannot be read, or it is not UTF-8.
    """
    try:
        return path.read_text("utf-8-sig")
    except OSError as exc:
        raise fail(f"{path}: cannot be read: {exc.strerror}") from exc
    except UnicodeDecodeError as exc:
        byte = exc.object[exc.start]
        line = exc.object.count(b"\n", 0, exc.start) + 1
        raise fail(f"{path}:{line}: byte 0x{byte:02x} is not UTF-8") from exc


def documents(text: str, path: str, fail: Fail = SetupError) -> Iterator[Document]:
    """Each document of a text, with its node.

    Args:
        path: what messages call the text.

    Raises:
        SetupError: of `fail`; it is not YAML, or a mapping has a key twice, of which YAML itself
            would take the last.
    """
    try:
        loader = yaml.SafeLoader(text)
        while loader.check_node() and (node := loader.get_node()):
            _refuse_repeats(node, loader, path, fail, inside="", seen=set())
            yield node, loader.construct_document(node)
    except yaml.MarkedYAMLError as exc:
        line = f":{exc.problem_mark.line + 1}" if exc.problem_mark else ""
        said = " ".join(part for part in (exc.context, exc.problem) if part)
        raise fail(
            f"{path}{line}: not YAML: {said}", hint="put text with ': ' or '#' in quotes"
        ) from exc
    except (yaml.YAMLError, RecursionError, ValueError) as exc:
        raise fail(f"{path}: not YAML: {str(exc).partition(chr(10))[0]}") from exc


def mapping(text: str, path: str, fail: Fail = SetupError) -> dict[str, Any]:
    """A text that holds one mapping; empty where it says nothing.

    Raises:
        SetupError: as `documents`; or it holds something else.
    """
    found = [data for _, data in documents(text, path, fail) if data is not None]
    if len(found) > 1 or not all(isinstance(data, dict) for data in found):
        raise fail(f"{path}: is not one mapping of `name: value`")
    return found[0] if found else {}


def _refuse_repeats(
    node: yaml.Node,
    loader: yaml.SafeLoader,
    path: str,
    fail: Fail,
    *,
    inside: str,
    seen: set[int],
) -> None:
    if id(node) in seen:  # an alias: the node has been looked at, and may hold itself
        return
    seen.add(id(node))
    if isinstance(node, yaml.SequenceNode):
        for item in node.value:
            _refuse_repeats(item, loader, path, fail, inside=inside, seen=seen)
    if isinstance(node, yaml.MappingNode):
        keys: set[str] = set()
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                continue  # not hashable, which the loader says better
            if key.tag == _MERGE:  # the keys of another mapping, which its own may replace
                _refuse_repeats(value, loader, path, fail, inside=inside, seen=seen)
                continue
            name = str(loader.construct_object(key))  # 2, '2' and 02 are one level
            if name in keys:
                raise repeated(name, f"{path}:{key.start_mark.line + 1}", inside == "rubric", fail)
            keys.add(name)
            _refuse_repeats(value, loader, path, fail, inside=name, seen=seen)


def repeated(key: str, where: str, in_rubric: bool, fail: Fail = SetupError) -> SetupError:
    """The error of a key that is there twice; a rubric's keys are levels."""
    if in_rubric:
        return RubricError(f"{where}: level {key} is there twice")
    return fail(f"{where}: the key {key!r} is there twice")
