"""Rewrite a GGUF file in another quantisation, optionally with changed weights.

This cannot restore the precision that the source's quantisation lost. Float32 tensors (norms) stay
in float32.
"""

from collections.abc import Callable, Mapping
from pathlib import Path

from glider.models.fetch import Progress
from glider.models.tensor_files import Floats

_EMBEDDINGS, _OUTPUT = "token_embd.weight", "output.weight"


def requantise(
    source: Path,
    target: Path,
    kind: str,
    progress: Progress,
    changes: Mapping[str, Callable[[Floats], Floats]] | None = None,
    *,
    tied: bool = False,
) -> None:
    """Write `source` to `target` with every quantised tensor as `kind` ("q8_0", "q4_0", "f16").

    Args:
        changes: tensor name to a function from the dequantised old weights to the new ones.
        tied: input and output embeddings are one matrix, which `source` stores twice. The output
            copy, which has more bits, is used for both.

    Raises:
        OSError: `target` cannot be written; the caller must remove a partial file.
    """
    import gguf
    from gguf import GGMLQuantizationType, GGUFReader, GGUFValueType, GGUFWriter, LlamaFileType

    wanted = GGMLQuantizationType[kind.upper()]
    names = {"q8_0": "MOSTLY_Q8_0", "q4_0": "MOSTLY_Q4_0", "f16": "MOSTLY_F16"}
    reader = GGUFReader(source)
    writer = GGUFWriter(target, _contents(reader, "general.architecture"))
    for field in reader.fields.values():
        if field.name.startswith("GGUF.") or field.name == "general.architecture":
            continue
        value = field.contents()
        if field.name == "general.file_type":
            value = LlamaFileType[names[kind]].value
        sub_type = field.types[-1] if field.types[0] == GGUFValueType.ARRAY else None
        writer.add_key_value(field.name, value, field.types[0], sub_type=sub_type)
    tensors = {tensor.name: tensor for tensor in reader.tensors}
    if tied and _OUTPUT in tensors:
        tensors[_EMBEDDINGS] = tensors.pop(_OUTPUT)
    for number, (name, tensor) in enumerate(tensors.items(), start=1):
        change = (changes or {}).get(name)
        plain = tensor.tensor_type == GGMLQuantizationType.F32
        type_ = GGMLQuantizationType.F32 if plain else wanted
        if change is None and tensor.tensor_type == type_:
            packed = tensor.data
        else:
            weights = gguf.quants.dequantize(tensor.data, tensor.tensor_type)
            packed = gguf.quants.quantize(change(weights) if change else weights, type_)
        writer.add_tensor(name, packed, raw_dtype=type_)
        progress(f"preparing weights as {kind}", number, len(tensors))
    try:
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
    finally:
        writer.close()


def _contents(reader: "gguf.GGUFReader", name: str) -> str:  # type: ignore[name-defined]  # noqa: F821
    field = reader.get_field(name)
    return str(field.contents()) if field is not None else "llama"
