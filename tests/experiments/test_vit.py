"""The vision transformer: timm's names and shapes, and the same function as torch's own encoder layers."""

import pytest
import torch
from torch import nn

from experiments.models.vit import VisionTransformer

SMALL = {"size": 224, "patch": 16, "channels": 3, "width": 384, "depth": 12, "heads": 6}
TIMM = """
    cls_token 1 1 384; pos_embed 1 197 384; patch_embed.proj.weight 384 3 16 16; patch_embed.proj.bias 384
"""
BLOCK = """
    norm1.weight 384; norm1.bias 384; attn.qkv.weight 1152 384; attn.qkv.bias 1152; attn.proj.weight 384 384;
    attn.proj.bias 384; norm2.weight 384; norm2.bias 384; mlp.fc1.weight 1536 384; mlp.fc1.bias 1536;
    mlp.fc2.weight 384 1536; mlp.fc2.bias 384
"""


def timm_vit_small(classes):
    """Names and shapes of timm's vit_small_patch16_224, written out."""
    last = f"norm.weight 384; norm.bias 384; head.weight {classes} 384; head.bias {classes}"
    blocks = [f"blocks.{i}.{entry.strip()}" for i in range(12) for entry in BLOCK.split(";")]
    entries = [entry.split() for entry in (*TIMM.split(";"), *blocks, *last.split(";"))]
    return {name: tuple(map(int, shape)) for name, *shape in entries}


@pytest.mark.parametrize(("classes", "parameters"), [(1000, 22_050_664), (100, 21_704_164)])
def test_names_and_shapes_are_those_of_timm(classes, parameters):
    with torch.device("meta"):
        model = VisionTransformer(**SMALL, classes=classes)
    expected = timm_vit_small(classes)
    assert len(expected) == 152
    assert {name: tuple(value.shape) for name, value in model.state_dict().items()} == expected
    assert list(model.state_dict()) == list(expected)  # their order too, which an optimizer's state goes by
    assert sum(p.numel() for p in model.parameters()) == parameters
    weights = {name: torch.empty(shape, device="meta") for name, shape in expected.items()}
    model.load_state_dict(weights, strict=True, assign=True)


def by_torch(model, images, heads):
    """The same function from torch.nn.TransformerEncoderLayer and patches cut by hand."""
    weights = model.state_dict()
    width, channels, patch, _ = weights["patch_embed.proj.weight"].shape
    n, _, size, _ = images.shape
    side = size // patch
    patches = images.reshape(n, channels, side, patch, side, patch).permute(0, 2, 4, 1, 3, 5)
    patches = patches.reshape(n, side * side, channels * patch * patch)
    tokens = patches @ weights["patch_embed.proj.weight"].reshape(width, -1).T + weights["patch_embed.proj.bias"]
    tokens = torch.cat([weights["cls_token"].repeat(n, 1, 1), tokens], dim=1) + weights["pos_embed"]
    theirs = ("self_attn.in_proj", "self_attn.out_proj", "linear1", "linear2", "norm1", "norm2")
    names = dict(zip(theirs, ("attn.qkv", "attn.proj", "mlp.fc1", "mlp.fc2", "norm1", "norm2"), strict=True))
    for i in range(len(model.blocks)):
        layer = nn.TransformerEncoderLayer(
            width, heads, 4 * width, dropout=0.0, activation="gelu", layer_norm_eps=1e-6, batch_first=True,
            norm_first=True, dtype=torch.float64,
        )  # fmt: skip
        state = {
            f"{theirs}{'_' if theirs.endswith('in_proj') else '.'}{kind}": weights[f"blocks.{i}.{ours}.{kind}"]
            for theirs, ours in names.items()
            for kind in ("weight", "bias")
        }
        layer.load_state_dict(state, strict=True)
        tokens = layer(tokens)
    tokens = nn.functional.layer_norm(tokens, (width,), weights["norm.weight"], weights["norm.bias"], eps=1e-6)
    return tokens[:, 0] @ weights["head.weight"].T + weights["head.bias"]


@pytest.mark.parametrize(("size", "patch", "channels", "heads", "depth"), [(8, 4, 1, 2, 2), (12, 3, 3, 4, 3)])
def test_the_function_is_that_of_torchs_encoder(size, patch, channels, heads, depth):
    torch.manual_seed(0)
    model = VisionTransformer(
        size=size, patch=patch, channels=channels, width=16, depth=depth, heads=heads, classes=5
    ).double()
    with torch.no_grad():
        for p in model.parameters():  # so that no bias, position or scale is without effect
            p.copy_(torch.randn_like(p) * 0.5)
    images = torch.randn(4, channels, size, size, dtype=torch.float64)
    expected = by_torch(model, images, heads)
    torch.testing.assert_close(model(images), expected, rtol=1e-12, atol=1e-12)
    for p in model.parameters():  # and every one has
        with torch.no_grad():
            p.flatten()[0] += 0.1
            assert not torch.allclose(model(images), expected, rtol=0, atol=1e-9)
            p.flatten()[0] -= 0.1


def test_the_start():
    torch.manual_seed(0)
    with torch.random.fork_rng():
        model = VisionTransformer(size=8, patch=2, channels=1, width=64, depth=2, heads=4, classes=10)
    for name, value in model.named_parameters():
        if name.endswith("bias") and "patch_embed" not in name:
            assert not value.any(), name
        elif name == "pos_embed" or (value.dim() == 2 and "norm" not in name):
            assert 0.015 < value.std() < 0.02 and value.abs().max() <= 0.04, name  # cut at 2 deviations: 0.88 of 0.02
