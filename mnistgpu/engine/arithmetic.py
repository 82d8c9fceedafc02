"""Which form of inputs and shards a run has: the one place that chooses between them."""

from __future__ import annotations

from mnistgpu.engine.adversarial import AdversarialShard
from mnistgpu.engine.consistency import ConsistentShard
from mnistgpu.engine.denoising import DenoisingShard
from mnistgpu.engine.exact_inputs import ExactInputs
from mnistgpu.engine.exact_shard import ExactShard
from mnistgpu.engine.inputs import Inputs
from mnistgpu.engine.shard import Shard
from mnistgpu.settings import Settings


def inputs_of(settings: Settings) -> type[Inputs]:
    """What turns the images of a run into columns."""
    return ExactInputs if settings.is_exact else Inputs


def shard_of(settings: Settings) -> type[Shard]:
    """What computes the gradient of a shard."""
    if settings.is_exact:
        return ExactShard
    if settings.denoising > 0:
        return DenoisingShard
    if settings.consistency > 0:
        return ConsistentShard
    return AdversarialShard if settings.adversarial > 0 else Shard
