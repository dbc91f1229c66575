"""A training in several processes on processors, sharded: what `accelerate launch` does on GPUs.

accelerate shards on graphics cards only, so its state is told here that processors will do; all
else is the product's own way. Run by `torchrun`, arguments as of `glider.training.run`.
"""

import os
import sys

import torch

torch.set_num_threads(1)
os.environ["ACCELERATE_USE_CPU"] = "true"
os.environ.setdefault("ACCELERATE_MIXED_PRECISION", "no")

if os.environ.get("ACCELERATE_USE_FSDP") == "true":
    from accelerate.state import AcceleratorState
    from accelerate.utils import DistributedType

    made = AcceleratorState.__init__

    def make(self, *args, fsdp_plugin=None, **options):
        made(self, *args, fsdp_plugin=fsdp_plugin, **options)
        self.fsdp_plugin = fsdp_plugin or self.fsdp_plugin
        self.distributed_type = DistributedType.FSDP
        if self._mixed_precision != "no" and fsdp_plugin is not None:
            fsdp_plugin.set_mixed_precision(self._mixed_precision)

    AcceleratorState.__init__ = make

    # On processors a gathered tensor is a promise, which cannot be written to a file.
    from torch.distributed._functional_collectives import AsyncCollectiveTensor
    from torch.distributed.checkpoint import state_dict as gathered
    from torch.utils._pytree import tree_map_only

    def waited(get):
        return lambda *args, **options: tree_map_only(
            AsyncCollectiveTensor, lambda tensor: tensor.wait(), get(*args, **options)
        )

    for name in ("get_model_state_dict", "get_optimizer_state_dict"):
        setattr(gathered, name, waited(getattr(gathered, name)))

from glider.training.run import main  # noqa: E402

sys.exit(main())
