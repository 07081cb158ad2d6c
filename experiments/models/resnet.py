"""A residual network of bottlenecks (He et al., 2016) whose parameters are named and shaped as timm's.

With ``depth`` 50 it takes the weights of timm's resnet50 with ``load_state_dict``. The initialisation is timm's too:
convolutions by He et al. (fan out), the head as torch has it.
"""

from typing import ClassVar, Literal

import torch
from torch import nn
from torch.nn import functional

from experiments.runs.schema import Strict

WIDTH, EXPANSION = 64, 4  # of the first stage's bottlenecks, and how much wider their outputs are
LAYERS = {26: (2, 2, 2, 2), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3)}  # bottlenecks of each stage, by depth


class Architecture(Strict):
    """``depth`` counts its convolutions and the head."""

    may_stay: ClassVar[int] = 0
    heads_start: ClassVar[tuple[str, ...]] = ("drawn",)

    name: Literal["resnet"]
    depth: Literal[26, 50, 101]

    def check(self, size: int) -> None:
        """Take images of every size."""

    def network(self, *, size: int, channels: int, classes: int) -> nn.Module:
        """Build it with weights of torch's generator."""
        return ResNet(LAYERS[self.depth], channels, classes)


class Bottleneck(nn.Module):
    """1x1, 3x3 and 1x1 convolution, added to the input or to a projection of it."""

    def __init__(self, inputs: int, width: int, stride: int):
        super().__init__()
        outputs = EXPANSION * width
        self.conv1 = nn.Conv2d(inputs, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, outputs, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(outputs)
        self.downsample = None
        if stride > 1 or inputs != outputs:
            self.downsample = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (n, inputs, h, w) to (n, 4 width, h / stride, w / stride)."""
        shortcut = x if self.downsample is None else self.downsample(x)
        x = functional.relu(self.bn1(self.conv1(x)))
        x = functional.relu(self.bn2(self.conv2(x)))
        return functional.relu(self.bn3(self.conv3(x)) + shortcut)


class ResNet(nn.Module):
    """Images (n, channels, h, w) to (n, classes)."""

    def __init__(self, layers: tuple[int, ...], channels: int, classes: int):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, WIDTH, 7, 2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(WIDTH)
        inputs = WIDTH
        for stage, count in enumerate(layers):
            blocks = []
            for k in range(count):
                blocks.append(Bottleneck(inputs, WIDTH * 2**stage, 2 if stage and not k else 1))
                inputs = EXPANSION * WIDTH * 2**stage
            self.add_module(f"layer{stage + 1}", nn.Sequential(*blocks))
        self.fc = nn.Linear(inputs, classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Classify by the mean over the last stage's pixels."""
        x = functional.max_pool2d(functional.relu(self.bn1(self.conv1(x))), 3, 2, padding=1)
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.fc(x.mean(dim=(2, 3)))
