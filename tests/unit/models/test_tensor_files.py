"""safetensors without torch: exact where the numbers are, a sentence where they are not."""

import io
import json
import struct

import numpy as np
import pytest
from small_models import write_safetensors

from glider.core.errors import ModelFileError
from glider.models.tensor_files import from_bf16, open_tensors, to_bf16, write_bf16


@pytest.mark.parametrize(
    ("number", "kept"),
    [
        (1.0, 1.0),
        (-0.15625, -0.15625),
        (1 + 2**-8, 1.0),  # halfway between 1 and 1 + 2^-7: the even one
        (1 + 3 * 2**-8, 1 + 2**-6),  # halfway again: up is even here
        (1 + 2**-8 + 2**-20, 1 + 2**-7),  # above halfway
        (3.4028234e38, np.inf),  # rounds past the largest
        (np.inf, np.inf),
        (-np.inf, -np.inf),
        (1e-40, 2**-133),  # the smallest there is
    ],
)
def test_rounding_to_bf16(number, kept):
    found = from_bf16(to_bf16(np.array([number], dtype=np.float32)))
    np.testing.assert_array_equal(found, np.float32([kept]))


def test_no_number_stays_no_number():
    odd = np.array([0x7F800001, 0xFFFFFFFF], dtype=np.uint32).view(np.float32)
    assert np.isnan(from_bf16(to_bf16(odd))).all()


@pytest.mark.parametrize("kind", ["F32", "BF16"])
def test_what_is_written_is_read(tmp_path, kind):
    tensors = {"a": np.arange(6, dtype=np.float32).reshape(2, 3), "empty": np.zeros((0, 4)),
               "b": np.float32([-1.5])}  # fmt: skip
    with open_tensors(write_safetensors(tmp_path / "x.safetensors", tensors, kind)) as file:
        assert file.names == ("a", "empty", "b")
        for name, numbers in tensors.items():
            assert file.shape(name) == numbers.shape
            np.testing.assert_array_equal(file.read(name), numbers)


def test_our_own_files(tmp_path):
    tensors = {"w": np.float32([[1.0, -2.5], [0.125, 8.0]]), "x": np.float32([3.0])}
    path = tmp_path / "x.safetensors"
    with path.open("wb") as file:
        size = write_bf16(file, {name: w.shape for name, w in tensors.items()}, tensors.__getitem__)
    assert size == 10
    assert (path.stat().st_size - size) % 8 == 0
    with open_tensors(path) as read:
        for name, numbers in tensors.items():
            np.testing.assert_array_equal(read.read(name), numbers)


def test_our_own_files_are_read_by_the_format_s_own_package(tmp_path):
    safetensors = pytest.importorskip("safetensors", reason="to compare with")
    path = tmp_path / "x.safetensors"
    with path.open("wb") as file:
        write_bf16(file, {"w": (2, 2)}, lambda _: np.float32([[1, 2], [3, 4]]))
    (found,) = safetensors.deserialize(path.read_bytes())
    assert found[0] == "w" and found[1]["dtype"] == "BF16" and found[1]["shape"] == [2, 2]


def test_a_tensor_of_another_shape_is_not_written():
    with pytest.raises(ValueError, match="has shape"):
        write_bf16(io.BytesIO(), {"w": (2, 2)}, lambda _: np.zeros(3, dtype=np.float32))


def _file(header, numbers=b""):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + numbers


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "is not a safetensors file"),
        (b"PK\x03\x04aaaaaaaaaa", "is not a safetensors file"),
        (struct.pack("<Q", 2**40) + b"{}", "is not a safetensors file"),
        (_file(b"[]"), "is not a safetensors file"),
        (_file({"w": {"dtype": "F32"}}), "is not a safetensors file"),
        (_file({"w": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}, b"1234"), "is cut off"),
        (_file({"w": {"dtype": "F32", "shape": [3], "data_offsets": [0, 8]}}, b"12345678"), "w is damaged"),
        (_file({"w": {"dtype": "I8", "shape": [2], "data_offsets": [0, 2]}}, b"12"), "only plain floating"),
    ],
)  # fmt: skip
def test_what_is_no_such_file_is_named(tmp_path, content, problem):
    path = tmp_path / "x.safetensors"
    path.write_bytes(content)
    with (
        pytest.raises(ModelFileError, match=f"x.safetensors.*{problem}"),
        open_tensors(path) as file,
    ):
        file.read("w")


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(ModelFileError, match="cannot read gone"), open_tensors(tmp_path / "gone"):
        pass
