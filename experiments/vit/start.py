"""What a fine-tuning starts from: a pretrained network, of which the first blocks may stay as they are.

The tokens behind blocks that stay are the same in every step: they are computed once and take the place of the images.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Literal

import torch
from torch import nn

from experiments.data.images import Images, Rows
from experiments.distributed import device
from experiments.models.hub import put
from experiments.models.vit import VisionTransformer
from experiments.runs.schema import Strict
from experiments.training import EVALUATED
from experiments.vit.pretrain import build

HEAD_STREAM = 2
Head = Literal["drawn", "zero", "centred"]


@dataclass(frozen=True)
class Weights:
    """Pretrained weights by name; ``sha256`` is that of what they are taken from, some of it or all."""

    values: Mapping[str, torch.Tensor] = field(compare=False)
    sha256: str | None
    names: frozenset[str] = field(init=False)

    def __post_init__(self):
        object.__setattr__(self, "names", frozenset(self.values))


class Tail(VisionTransformer):
    """What follows the first blocks of a transformer: the tokens behind those to logits."""

    def __init__(self, net: VisionTransformer, first: int):
        nn.Module.__init__(self)
        self.blocks, self.norm, self.head, self.pooling = net.blocks[first:], net.norm, net.head, net.pooling

    def tokens(self, x: torch.Tensor) -> torch.Tensor:
        """Return what it is given."""
        return x


@lru_cache(maxsize=8)  # the seeds of a sweep: jobs of one process share what a seed starts from
def start(
    weights: Weights, architecture: Strict, images: Images, seed: int, frozen: int, head: Head
) -> tuple[nn.Module, Images]:
    """Return what is trained, to be copied before it is, and what it is trained on.

    ``frozen`` is the number of first blocks that stay, and the patches and positions with them. ``head`` is "drawn",
    "zero", or "centred": zero, and the last LayerNorm has weight 1 and bias minus the training images' mean feature.
    """
    net = build(architecture, images, seed, HEAD_STREAM)
    put(weights.values, net)
    if frozen:
        net, images = Tail(net, frozen), _behind(net, frozen, images)
    if head != "drawn":
        nn.init.zeros_(net.head.weight)
        nn.init.zeros_(net.head.bias)
    if head == "centred":
        _centre(net, images)
    return net, images


@torch.no_grad()
def _behind(net: VisionTransformer, frozen: int, images: Images) -> Images:
    """Return the images as tokens behind the first ``frozen`` blocks."""
    first = net.blocks[:frozen]

    def part(rows: Rows) -> Rows:
        batches = rows[0].split(EVALUATED)
        return torch.cat([first(net.tokens(images.plain(batch.to(device())))).cpu() for batch in batches]), rows[1]

    return replace(
        images,
        **{name: part(getattr(images, name)) for name in ("train", "validation", "test")},
        augment=lambda tokens, draws: tokens,
        plain=lambda tokens: tokens,
    )


@torch.no_grad()
def _centre(net: VisionTransformer, images: Images) -> None:
    nn.init.ones_(net.norm.weight)
    nn.init.zeros_(net.norm.bias)
    batches = images.train[0].split(EVALUATED)
    features = torch.cat([net.features(net.blocks(net.tokens(images.plain(batch.to(device()))))) for batch in batches])
    net.norm.bias.copy_(-features.mean(dim=0))
