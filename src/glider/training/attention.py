"""Causal attention as plain matrix products, for training on processors.

torch's own kernel for processors is slow in bf16, and plain products over whole matrices keep a
matrix of scores for each head of each layer until the backward pass, which at a thousand tokens is
more than the model. Here queries are taken in blocks that see only what is before their end, and
the backward pass computes each layer's scores again: two thirds of the products, no matrix kept.

Every sequence begins at its row's beginning and padding is on the right, so that a causal model
never sees any: there is no mask. It is for training alone; a cache or padding on the left is not
for it.
"""

from functools import lru_cache
from typing import Any

NAME = "glider_causal"
_BLOCK = 128


@lru_cache(maxsize=1)
def register() -> str:
    """Make the attention known to transformers; the name to ask for it."""
    from torch.utils.checkpoint import checkpoint
    from transformers import AttentionInterface, AttentionMaskInterface

    def attend(
        module: Any,
        query: Any,
        key: Any,
        value: Any,
        _mask: Any,
        *,
        scaling: float,
        **_options: Any,
    ) -> tuple[Any, None]:
        if not query.requires_grad and not key.requires_grad:
            return causal(query, key, value, scaling), None
        again = checkpoint(
            causal, query, key, value, scaling, use_reentrant=False, preserve_rng_state=False
        )
        return again, None

    AttentionInterface.register(NAME, attend)
    AttentionMaskInterface.register(NAME, lambda *_args, **_options: None)
    return NAME


def fits(config: Any, max_tokens: int) -> bool:
    """The model's attention is plain: no window shorter than the examples, no bent scores."""
    config = config.get_text_config()
    window = getattr(config, "sliding_window", None)
    bent = getattr(config, "attn_logit_softcapping", None)
    drops = getattr(config, "attention_dropout", 0.0)
    return (window is None or window >= max_tokens) and not bent and not drops


def causal(query: Any, key: Any, value: Any, scale: float) -> Any:
    """Attention of each place to itself and what is before it.

    Args:
        query: shape (batch, heads, n, size).
        key: shape (batch, key heads, n, size); so is `value`. Query heads that share a key head
            stand next to each other.

    Returns:
        Shape (batch, n, heads, size).
    """
    import torch

    batch, heads, n, size = query.shape
    shared = key.shape[1]
    each = heads // shared
    keys = key.reshape(batch * shared, n, size)
    values = value.reshape(batch * shared, n, value.shape[-1])
    parts = []
    for start in range(0, n, _BLOCK):
        end = min(start + _BLOCK, n)
        rows = end - start
        # Query heads of one key head are one tall matrix: no copies of the keys.
        tall = query[:, :, start:end].reshape(batch * shared, each * rows, size)
        scores = ((tall * scale) @ keys[:, :end].mT).view(-1, each, rows, end)
        ahead = torch.ones(rows, end, dtype=torch.bool, device=query.device).triu(start + 1)
        shares = scores.masked_fill(ahead, -torch.inf).softmax(-1).view(-1, each * rows, end)
        seen = shares.to(values.dtype) @ values[:, :end]
        parts.append(seen.view(batch, heads, rows, -1))
    return torch.cat(parts, dim=2).transpose(1, 2).contiguous()
