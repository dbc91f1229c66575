"""Read the header of a GGUF file: its keys and tensor offsets, without reading any tensor.

The `gguf` package reads headers too, but maps and wraps every vocabulary entry (seconds for a
50,000-token vocabulary), and this is needed at each start.
Layout: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from glider.core.errors import ModelFileError

_SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}  # fmt: skip  # noqa: E501
_STRING, _ARRAY = 8, 9
_CONTROL_TYPES = {3, 4}
"""Token types `control` and `user defined`: both are matched as a whole in a prompt."""


@dataclass(frozen=True, slots=True)
class TensorPlace:
    """Where a tensor is in its file."""

    shape: tuple[int, ...]
    """In numpy order, the reverse of the file's."""
    kind: int
    """`gguf.GGMLQuantizationType`."""
    start: int
    """Byte offset in the file."""


def read_header(path: Path) -> dict[str, Any]:
    """Return every key of the header with its value.

    Raises:
        ModelFileError: not a GGUF file, or truncated inside its header.
    """
    return _read(path, tensors=False)[0]


def read_places(path: Path) -> dict[str, TensorPlace]:
    """Return the place of every tensor, by its name in the file.

    Raises:
        ModelFileError: as `read_header`.
    """
    return _read(path, tensors=True)[1]


def _read(path: Path, *, tensors: bool) -> tuple[dict[str, Any], dict[str, TensorPlace]]:
    try:
        with path.open("rb") as file:
            if file.read(4) != b"GGUF":
                raise ModelFileError(f"{path} is not a GGUF file")
            _, n_tensors, n_keys = struct.unpack("<IQQ", file.read(20))
            header = {_string(file): _value(file, _number(file, "I")) for _ in range(n_keys)}
            if not tensors:
                return header, {}
            places = {_string(file): _place(file) for _ in range(n_tensors)}
            # Data starts at the next multiple of this; tensor offsets are relative to it.
            unit = int(header.get("general.alignment", 32))
            begin = -(-file.tell() // unit) * unit
            return header, {
                name: TensorPlace(place.shape, place.kind, begin + place.start)
                for name, place in places.items()
            }
    except (struct.error, KeyError, MemoryError, OverflowError) as exc:
        raise ModelFileError(f"{path} has a damaged GGUF header") from exc
    except OSError as exc:
        raise ModelFileError(f"cannot read {path}: {exc.strerror}") from exc


def control_tokens(header: dict[str, Any]) -> tuple[str, ...]:
    """Return the strings that the tokenizer maps to single control tokens."""
    tokens = header.get("tokenizer.ggml.tokens", [])
    types = header.get("tokenizer.ggml.token_type", [])
    return tuple(
        token for token, type_ in zip(tokens, types, strict=False) if type_ in _CONTROL_TYPES
    )


def end_token(header: dict[str, Any]) -> int | None:
    """Return the id of the token that ends the model's answers."""
    value = header.get("tokenizer.ggml.eos_token_id")
    return int(value) if value is not None else None


def context_length(header: dict[str, Any]) -> int | None:
    """Return the context length, in tokens, that the model was trained with."""
    value = header.get(f"{header.get('general.architecture')}.context_length")
    return int(value) if value is not None else None


def _number(file: BinaryIO, kind: str) -> Any:
    return struct.unpack("<" + kind, file.read(struct.calcsize("<" + kind)))[0]


def _string(file: BinaryIO) -> str:
    # Some vocabularies contain tokens that are incomplete UTF-8 sequences.
    return file.read(_number(file, "Q")).decode("utf-8", "replace")


def _place(file: BinaryIO) -> TensorPlace:
    shape = [_number(file, "Q") for _ in range(_number(file, "I"))]
    return TensorPlace(tuple(reversed(shape)), _number(file, "I"), _number(file, "Q"))


def _value(file: BinaryIO, kind: int) -> Any:
    if kind == _STRING:
        return _string(file)
    if kind == _ARRAY:
        item, length = _number(file, "I"), _number(file, "Q")
        if item in _SCALARS:
            layout = f"<{length}{_SCALARS[item]}"
            return list(struct.unpack(layout, file.read(struct.calcsize(layout))))
        return [_value(file, item) for _ in range(length)]
    return _number(file, _SCALARS[kind])
