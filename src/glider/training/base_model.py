"""Find and load the base model of a training."""

from typing import Any

from glider.backends._torch import wait_asleep
from glider.core.errors import MissingExtra, ModelFileError, SetupError
from glider.models.quiet import quietly
from glider.models.resolve import TorchWeights, resolve
from glider.training import attention
from glider.training.recipe import Recipe


def find_base(name: str, revision: str | None = None) -> TorchWeights:
    """Find a model by any name that `glider.models.resolve` knows.

    Raises:
        MissingExtra: torch or transformers is not installed.
        UnknownName: no such model.
        ModelFileError: missing, damaged or cannot be fetched.
        SetupError: `revision` is given for a model on this machine.
    """
    found = resolve(name, revision)
    if found.kind != "folder":
        needs_torch()
    return found.torch()


def load_tokenizer(base: TorchWeights) -> Any:
    """Load the model's tokenizer.

    Raises:
        MissingExtra, ModelFileError: as `find_base`.
    """
    needs_torch()
    from transformers import AutoTokenizer

    return _loaded(AutoTokenizer, base)


def load_config(base: TorchWeights) -> Any:
    """Load the model's configuration without its weights.

    Raises:
        MissingExtra, ModelFileError: as `find_base`.
    """
    needs_torch()
    from transformers import AutoConfig

    return _loaded(AutoConfig, base)


def _loaded(kind: Any, base: TorchWeights) -> Any:
    try:
        return kind.from_pretrained(base.source, revision=base.hub_revision)
    except (OSError, ValueError, KeyError) as exc:
        raise _unknown(base, exc) from exc


def load_to_train(base: TorchWeights, recipe: Recipe, *, bf16: bool) -> Any:
    """Load the model for training and freeze the recipe's frozen layers.

    Trained weights are kept in fp32 so that small updates are not lost to rounding. If only an
    adapter is trained, the linear layers are kept in the precision they are computed in.

    Raises:
        ModelFileError: as `find_base`.
        SetupError: more frozen layers than there are layers.
    """
    import torch
    from transformers import AutoModelForCausalLM

    try:
        model: Any = AutoModelForCausalLM.from_pretrained(
            base.source,
            revision=base.hub_revision,
            dtype=torch.float32,
            attn_implementation=_attention(base, recipe),
        )
    except (OSError, ValueError, KeyError, ImportError) as exc:
        raise _unknown(base, exc) from exc
    model.config.use_cache = False
    if recipe.lora is not None:
        model.requires_grad_(False)
        if bf16:
            _linear_layers_to_bf16(model)
    elif recipe.frozen_layers:
        model.get_input_embeddings().requires_grad_(False)
        freeze_lowest(model, recipe)
    return model


def load_as_it_is(base: TorchWeights) -> Any:
    """Load the model for inference, in bf16 if this machine computes in it.

    Raises:
        MissingExtra, ModelFileError: as `find_base`.
    """
    needs_torch()
    import torch
    from transformers import AutoModelForCausalLM

    accelerator = torch.accelerator.is_available()
    device = torch.accelerator.current_accelerator() if accelerator else None
    try:
        with quietly():
            model: Any = AutoModelForCausalLM.from_pretrained(
                base.source,
                revision=base.hub_revision,
                dtype=torch.bfloat16 if computes_in_bf16() else torch.float32,
            )
    except (OSError, ValueError, KeyError, ImportError) as exc:
        raise _unknown(base, exc) from exc
    return model.to(device or "cpu").eval()


def freeze_lowest(model: Any, recipe: Recipe) -> None:
    """Freeze the recipe's lowest layers, including any adapter weights in them.

    Raises:
        SetupError: more frozen layers than there are layers.
    """
    for layer in model.base_model.layers[: check_frozen(model.config, recipe)]:
        layer.requires_grad_(False)


def _attention(base: TorchWeights, recipe: Recipe) -> str:
    import torch

    if recipe.attention not in ("auto", "blocks"):
        return recipe.attention
    if recipe.attention == "auto" and torch.accelerator.is_available():
        return "sdpa"
    if attention.fits(load_config(base), recipe.max_tokens):
        return attention.register()
    if recipe.attention == "blocks":
        raise SetupError(f"attention: blocks does not know the attention of {base.name}")
    return "sdpa"


def check_frozen(config: Any, recipe: Recipe) -> int:
    """Return the number of frozen layers.

    Raises:
        SetupError: nothing would be left to train.
    """
    layers = int(config.get_text_config().num_hidden_layers)
    if recipe.frozen_layers >= layers:
        raise SetupError(f"frozen_layers is {recipe.frozen_layers}, and the model has {layers}")
    return recipe.frozen_layers


def computes_in_bf16() -> bool:
    """Whether the device has bf16 instructions; emulated bf16 is slower than fp32."""
    import torch

    if torch.cuda.is_available():
        return bool(torch.cuda.is_bf16_supported())
    able: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
    return any(bool(able.get(name)) for name in ("avx512_bf16", "amx_bf16", "bf16"))


def _linear_layers_to_bf16(model: Any) -> None:
    # Convert only the linear layers: everything between them and the output layer keep their
    # precision, and autocast need not copy frozen fp32 weights to bf16 in every pass.
    import torch

    kept = model.get_output_embeddings()
    for module in model.modules():
        if _is_linear(module) and module is not kept:
            module.to(torch.bfloat16)


def _is_linear(module: Any) -> bool:
    import torch

    return isinstance(module, torch.nn.Linear)


def adapter_settings(model: Any, recipe: Recipe) -> Any:
    """Return PEFT's settings for a new adapter.

    Raises:
        SetupError: more frozen layers than there are layers.
    """
    from peft import LoraConfig

    lora = recipe.lora
    if lora is None:
        return None
    frozen = check_frozen(model.config, recipe)
    layers = range(frozen, model.config.get_text_config().num_hidden_layers)
    targets = lora.targets if isinstance(lora.targets, str) else list(lora.targets)
    if frozen and targets == "all-linear":
        # PEFT accepts a selection of layers only together with module names.
        head = model.get_output_embeddings()
        linear = [n for n, m in model.named_modules() if _is_linear(m) and m is not head]
        targets = sorted({name.rpartition(".")[2] for name in linear})
    return LoraConfig(
        task_type="CAUSAL_LM",
        r=lora.rank,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        target_modules=targets,
        layers_to_transform=list(layers) if frozen else None,
    )


def needs_torch() -> None:
    """Prepare to use torch, and fail early if the training packages are not installed.

    Raises:
        MissingExtra: a package is missing; the message gives the install command.
    """
    wait_asleep()
    try:
        import datasets  # noqa: F401
        import peft  # noqa: F401
        import torch  # noqa: F401
        import transformers  # noqa: F401
        import trl  # noqa: F401
    except ImportError as exc:
        raise MissingExtra("training", "train") from exc


def _unknown(base: TorchWeights, error: Exception) -> ModelFileError:
    said = str(error).strip().split("\n")[0]
    return ModelFileError(
        f"cannot load {base.name}: {said}",
        hint="give a folder, a hub id (its download may need a login) or a .gguf file",
    )
