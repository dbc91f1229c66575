"""Causal attention as plain matrix products, for training on CPUs.

torch's CPU kernel is slow in bf16. Plain products over whole matrices keep a score matrix for each
head of each layer until the backward pass; at a thousand tokens these take more memory than the
model. This implementation processes queries in blocks, each attending only to keys before the
block's end, and recomputes each layer's scores in the backward pass: it needs two thirds of the
products and keeps no score matrix.

Sequences start at the beginning of their row and are padded on the right, so a causal model never
attends to padding and no mask is needed. Use this for training only: it supports neither a
key-value cache nor left padding.
"""

from functools import lru_cache
from typing import Any

NAME = "glider_causal"
_BLOCK = 128


@lru_cache(maxsize=1)
def register() -> str:
    """Register the attention with transformers and return its name."""
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
    """Whether attention is plain: no window shorter than the examples, no soft-capped scores."""
    config = config.get_text_config()
    window = getattr(config, "sliding_window", None)
    bent = getattr(config, "attn_logit_softcapping", None)
    drops = getattr(config, "attention_dropout", 0.0)
    return (window is None or window >= max_tokens) and not bent and not drops


def causal(query: Any, key: Any, value: Any, scale: float) -> Any:
    """Compute attention of each position to itself and the positions before it.

    Args:
        query: shape (batch, heads, n, size).
        key: shape (batch, key heads, n, size), as is `value`. Query heads that share a key head are
            adjacent.

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
        # Stack the query heads of one key head into one tall matrix to avoid copying the keys.
        tall = query[:, :, start:end].reshape(batch * shared, each * rows, size)
        scores = ((tall * scale) @ keys[:, :end].mT).view(-1, each, rows, end)
        ahead = torch.ones(rows, end, dtype=torch.bool, device=query.device).triu(start + 1)
        shares = scores.masked_fill(ahead, -torch.inf).softmax(-1).view(-1, each * rows, end)
        seen = shares.to(values.dtype) @ values[:, :end]
        parts.append(seen.view(batch, heads, rows, -1))
    return torch.cat(parts, dim=2).transpose(1, 2).contiguous()
