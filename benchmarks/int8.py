"""A model folder with weights and activations of 8 bits, which vLLM reads on a CPU too.

    python benchmarks/int8.py FOLDER OUT

Each row of a projection's weights is rounded to the nearest of 255 levels, and vLLM rounds each
token's activations (compressed-tensors, "W8A8"); embeddings, head and norms stay as they are. No
text is used to choose the levels. Needs torch and safetensors. The teacher of `experiments/synth-1`
is made by it; what it won in speed on two cores is in `experiments/LOG.md`.
"""

import argparse
import json
import shutil
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file

_EIGHT_BITS = {"num_bits": 8, "type": "int", "symmetric": True}
_CONFIG = {
    "quant_method": "compressed-tensors",
    "format": "int-quantized",
    "quantization_status": "compressed",
    "ignore": ["lm_head"],
    "config_groups": {
        "group_0": {
            "targets": ["Linear"],
            "weights": _EIGHT_BITS | {"strategy": "channel", "dynamic": False},
            "input_activations": _EIGHT_BITS | {"strategy": "token", "dynamic": True},
        }
    },
}


def rounded(weight: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return a matrix [out, in] as int8, and what each row is to be multiplied by [out, 1]."""
    weight = weight.float()
    scale = weight.abs().amax(dim=1, keepdim=True).clamp(min=1e-8) / 127
    return (weight / scale).round().clamp(-127, 127).to(torch.int8), scale


def main() -> None:
    """Read, round, write."""
    made = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    made.add_argument("folder", type=Path, help="config, tokenizer and *.safetensors")
    made.add_argument("out", type=Path, help="folder to make")
    args = made.parse_args()
    args.out.mkdir(parents=True)
    tensors: dict[str, torch.Tensor] = {}
    for file in sorted(args.folder.glob("*.safetensors")):
        with safe_open(file, "pt") as stored:
            for name in stored.keys():  # noqa: SIM118 - it is no dict
                tensor = stored.get_tensor(name)
                if name.endswith("_proj.weight"):
                    tensors[name], tensors[f"{name}_scale"] = rounded(tensor)
                else:
                    tensors[name] = tensor
    save_file(tensors, args.out / "model.safetensors", metadata={"format": "pt"})
    for file in args.folder.iterdir():
        if file.is_file() and "safetensors" not in file.name:
            shutil.copy(file, args.out)
    config = json.loads((args.folder / "config.json").read_text("utf-8"))
    config["quantization_config"] = _CONFIG
    (args.out / "config.json").write_text(json.dumps(config, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
