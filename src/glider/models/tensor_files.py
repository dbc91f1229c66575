"""Read and write safetensors files with numpy alone.

The format is a length, a JSON header and raw numbers. The safetensors package needs torch to read
bf16, the type of nearly every adapter, so this reader lets the core install, which has no torch,
use adapters. Numbers are little-endian, as on every machine this runs on.
Layout: https://github.com/huggingface/safetensors#format
"""

import json
import struct
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, BinaryIO, Protocol

import numpy as np
from numpy.typing import NDArray

from glider.core.errors import ModelFileError

Floats = NDArray[np.float32]

_FLOATS = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2"}
_MOST_HEADER = 100_000_000
"""Bytes; the limit of the format's own readers."""


class Opens(Protocol):
    """A file, or an importlib.resources entry."""

    @property
    def name(self) -> str:
        """Its name, for messages."""
        ...

    def open(self, mode: Any = "rb") -> Any:
        """Open it for reading bytes."""
        ...


@dataclass(frozen=True, slots=True)
class _Place:
    kind: str
    shape: tuple[int, ...]
    start: int
    end: int


class TensorFile:
    """An open safetensors file that reads tensors on demand."""

    def __init__(self, file: BinaryIO, path: Opens) -> None:
        """Read the header.

        Raises:
            ModelFileError: not a safetensors file, or truncated.
        """
        name = path.name
        self._file, self._name, self.path = file, name, path
        try:
            (length,) = struct.unpack("<Q", file.read(8))
            if length > _MOST_HEADER:
                raise ValueError
            header = json.loads(file.read(length))
            self.metadata: Mapping[str, str] = header.pop("__metadata__", {})
            self._places = {
                key: _Place(value["dtype"], tuple(value["shape"]), *value["data_offsets"])
                for key, value in header.items()
            }
        except (struct.error, ValueError, KeyError, TypeError, AttributeError) as exc:
            raise ModelFileError(f"{name} is not a safetensors file, or is damaged") from exc
        self._begin = 8 + length
        last = max((place.end for place in self._places.values()), default=0)
        if file.seek(0, 2) < self._begin + last:
            raise ModelFileError(f"{name} is cut off")

    @property
    def names(self) -> tuple[str, ...]:
        """Tensor names, in file order."""
        return tuple(self._places)

    def shape(self, name: str) -> tuple[int, ...]:
        """Return the shape of a tensor."""
        return self._places[name].shape

    def read(self, name: str) -> Floats:
        """Read a tensor as float32.

        Raises:
            ModelFileError: the tensor is not floating point (a quantised checkpoint).
        """
        place = self._places[name]
        if place.kind not in _FLOATS:
            raise ModelFileError(
                f"{self._name}: {name} is {place.kind}; only plain floating-point weights are read",
                hint="use the checkpoint before quantisation",
            )
        self._file.seek(self._begin + place.start)
        raw = np.frombuffer(self._file.read(place.end - place.start), dtype=_FLOATS[place.kind])
        try:
            numbers = raw.reshape(place.shape)
        except ValueError as exc:
            raise ModelFileError(f"{self._name}: {name} is damaged") from exc
        return from_bf16(numbers) if place.kind == "BF16" else numbers.astype(np.float32)


@contextmanager
def open_tensors(path: Opens) -> Iterator[TensorFile]:
    """Open a safetensors file and close it at the end.

    Raises:
        ModelFileError: the file is missing, damaged, or not a safetensors file.
    """
    try:
        file = path.open("rb")
    except OSError as exc:
        raise ModelFileError(f"cannot read {path.name}: {exc.strerror}") from exc
    with file:
        yield TensorFile(file, path)


def write_bf16(
    file: BinaryIO,
    shapes: Mapping[str, tuple[int, ...]],
    read: Callable[[str], Floats],
) -> int:
    """Write tensors as bf16, calling `read` for one at a time.

    Returns:
        Total bytes of tensor data.
    """
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    place = 0
    for name, shape in shapes.items():
        end = place + 2 * int(np.prod(shape, dtype=np.int64))
        header[name] = {"dtype": "BF16", "shape": list(shape), "data_offsets": [place, end]}
        place = end
    packed = json.dumps(header, separators=(",", ":")).encode()
    # Data starts at a multiple of 8, so that it can be memory-mapped.
    packed += b" " * (-len(packed) % 8)
    file.write(struct.pack("<Q", len(packed)))
    file.write(packed)
    for numbers in _in_order(shapes, read):
        file.write(to_bf16(numbers).tobytes())
    return place


def _in_order(
    shapes: Mapping[str, tuple[int, ...]], read: Callable[[str], Floats]
) -> Iterable[Floats]:
    for name, shape in shapes.items():
        numbers = read(name)
        if numbers.shape != shape:
            raise ValueError(f"{name} has shape {numbers.shape}, expected {shape}")
        yield numbers


def from_bf16(numbers: NDArray[np.uint16]) -> Floats:
    """Convert bf16 bits (the upper halves of float32) to float32, exactly."""
    return (numbers.astype(np.uint32) << np.uint32(16)).view(np.float32)


def to_bf16(numbers: Floats) -> NDArray[np.uint16]:
    """Round float32 to bf16 bits, to nearest with ties to even; NaN stays NaN."""
    bits = np.ascontiguousarray(numbers, dtype=np.float32).view(np.uint32)
    rounded = (bits + np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))) >> np.uint32(16)
    quiet = (bits >> np.uint32(16)) | np.uint32(0x40)
    return np.where(np.isnan(numbers), quiet, rounded).astype(np.uint16)
