"""Rewrite a GGUF file with its weights in another quantisation.

Speed only: what the source's quantisation lost stays lost. Float32 tensors (norms) are kept.
"""

from pathlib import Path

from glider.backends.catalog import Progress


def requantise(source: Path, target: Path, kind: str, progress: Progress) -> None:
    """Write `source` to `target` with every quantised tensor as `kind` ("q8_0", "q4_0", "f16")."""
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
    for number, tensor in enumerate(reader.tensors, start=1):
        if tensor.tensor_type == GGMLQuantizationType.F32:
            writer.add_tensor(tensor.name, tensor.data, raw_dtype=tensor.tensor_type)
        else:
            weights = gguf.quants.dequantize(tensor.data, tensor.tensor_type)
            packed = gguf.quants.quantize(weights, wanted)
            writer.add_tensor(tensor.name, packed, raw_dtype=wanted)
        progress(f"preparing weights as {kind}", number, len(reader.tensors))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _contents(reader: "gguf.GGUFReader", name: str) -> str:  # type: ignore[name-defined]  # noqa: F821
    field = reader.get_field(name)
    return str(field.contents()) if field is not None else "llama"
