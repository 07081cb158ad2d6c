"""A vision transformer (Dosovitskiy et al., 2021) whose parameters are named and shaped as timm's.

``VisionTransformer(size=224, patch=16, channels=3, width=384, depth=12, heads=6, classes=1000)`` takes the weights of
timm's vit_small_patch16_224 with ``load_state_dict``. The initialisation is timm's too: linear weights and positions
from a normal distribution of deviation 0.02 cut at twice that, biases zero, the patches' convolution as torch has it.
"""

from typing import ClassVar, Literal

import torch
from torch import nn
from torch.nn import functional

from experiments.runs.schema import Count, Strict

EPS = 1e-6  # of every LayerNorm
MLP_RATIO = 4
STD = 0.02


class Architecture(Strict):
    """The transformer's sizes; those of its images come from the data.

    With ``layer_scale`` a learnt number of each channel multiplies what a block adds (Touvron et al., 2021, CaiT).
    ``pooling`` is what the head sees of the tokens: the first, which belongs to no patch, or the patches' mean.
    """

    heads_start: ClassVar[tuple[str, ...]] = ("drawn", "zero", "centred")

    name: Literal["vit"]
    patch: Count
    width: Count
    depth: Count
    heads: Count
    layer_scale: bool
    pooling: Literal["token", "mean"]

    def check(self, size: int) -> None:
        """Raise ValueError if the sizes do not divide what they should."""
        if size % self.patch:
            raise ValueError(f"model.patch={self.patch}: should divide the images' {size} pixels")
        if self.width % self.heads:
            raise ValueError(f"model.heads={self.heads}: should divide model.width={self.width}")

    @property
    def may_stay(self) -> int:
        """Return how many first blocks may stay as they are."""
        return self.depth

    def network(self, *, size: int, channels: int, classes: int) -> "VisionTransformer":
        """Build it with weights of torch's generator."""
        sizes = self.model_dump(exclude={"name"})
        return VisionTransformer(size=size, channels=channels, classes=classes, **sizes)


class PatchEmbed(nn.Module):
    """The image's patches, each mapped to a token: (n, channels, size, size) to (n, tokens, width)."""

    def __init__(self, patch: int, channels: int, width: int):
        super().__init__()
        self.proj = nn.Conv2d(channels, width, kernel_size=patch, stride=patch)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return tokens row by row."""
        return self.proj(x).flatten(2).transpose(1, 2)


class Attention(nn.Module):
    """Self-attention of several heads; one matrix makes queries, keys and values."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (n, tokens, width) to the same."""
        n, tokens, width = x.shape
        q, k, v = self.qkv(x).reshape(n, tokens, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        mixed = functional.scaled_dot_product_attention(q, k, v)
        return self.proj(mixed.transpose(1, 2).reshape(n, tokens, width))


class Mlp(nn.Module):
    """Two layers with GELU between them."""

    def __init__(self, width: int):
        super().__init__()
        self.fc1 = nn.Linear(width, MLP_RATIO * width)
        self.fc2 = nn.Linear(MLP_RATIO * width, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map each token alone."""
        return self.fc2(functional.gelu(self.fc1(x)))


class LayerScale(nn.Module):
    """A number for each channel, 1 at first."""

    def __init__(self, width: int):
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(width))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Multiply the channels."""
        return x * self.gamma


class Block(nn.Module):
    """Attention and Mlp, each on normalised tokens and added to them."""

    def __init__(self, width: int, heads: int, layer_scale: bool):
        super().__init__()
        self.norm1 = nn.LayerNorm(width, eps=EPS)
        self.attn = Attention(width, heads)
        self.ls1 = LayerScale(width) if layer_scale else nn.Identity()
        self.norm2 = nn.LayerNorm(width, eps=EPS)
        self.mlp = Mlp(width)
        self.ls2 = LayerScale(width) if layer_scale else nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (n, tokens, width) to the same."""
        x = x + self.ls1(self.attn(self.norm1(x)))
        return x + self.ls2(self.mlp(self.norm2(x)))


class VisionTransformer(nn.Module):
    """Images (n, channels, size, size) to (n, classes); ``patch`` divides ``size`` and ``heads`` divides ``width``."""

    def __init__(
        self,
        *,
        size: int,
        patch: int,
        channels: int,
        width: int,
        depth: int,
        heads: int,
        classes: int,
        layer_scale: bool = False,
        pooling: Literal["token", "mean"] = "token",
    ):
        super().__init__()
        self.pooling = pooling
        self.cls_token = nn.Parameter(torch.empty(1, 1, width))
        self.pos_embed = nn.Parameter(torch.empty(1, (size // patch) ** 2 + 1, width))
        self.patch_embed = PatchEmbed(patch, channels, width)
        self.blocks = nn.Sequential(*[Block(width, heads, layer_scale) for _ in range(depth)])
        self.norm = nn.LayerNorm(width, eps=EPS)
        self.head = nn.Linear(width, classes)
        nn.init.normal_(self.cls_token, std=1e-6)
        nn.init.trunc_normal_(self.pos_embed, std=STD, a=-2 * STD, b=2 * STD)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=STD, a=-2 * STD, b=2 * STD)
                nn.init.zeros_(module.bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the logits."""
        return self.head(self.features(self.blocks(self.tokens(x))))

    def tokens(self, x: torch.Tensor) -> torch.Tensor:
        """Return what the first block sees: a token that belongs to no patch, then the patches'."""
        patches = self.patch_embed(x)
        return torch.cat([self.cls_token.expand(len(patches), -1, -1), patches], dim=1) + self.pos_embed

    def features(self, tokens: torch.Tensor) -> torch.Tensor:
        """Return what the head sees: (n, width)."""
        normed = self.norm(tokens)
        return normed[:, 0] if self.pooling == "token" else normed[:, 1:].mean(dim=1)
