"""The convolutional networks: timm's names and shapes of a ResNet-50, the function of each written out, the weights."""

import pytest
import torch
from torch.nn import functional

from experiments.models import efficientnet, hub, resnet
from experiments.runs.schema import validated
from tests.experiments.launch import option


def timm_resnet50(classes):
    """Names and shapes of timm's resnet50, written out."""
    found = {"conv1.weight": (64, 3, 7, 7), "fc.weight": (classes, 2048), "fc.bias": (classes,)} | norm("bn1", 64)
    inputs = 64
    for stage, (blocks, width) in enumerate(((3, 64), (4, 128), (6, 256), (3, 512)), start=1):
        for k in range(blocks):
            within = f"layer{stage}.{k}."
            shapes = ((width, inputs, 1, 1), (width, width, 3, 3), (4 * width, width, 1, 1))
            for number, shape in enumerate(shapes, start=1):
                found |= {f"{within}conv{number}.weight": shape} | norm(f"{within}bn{number}", shape[0])
            if k == 0:
                found[f"{within}downsample.0.weight"] = (4 * width, inputs, 1, 1)
                found |= norm(f"{within}downsample.1", 4 * width)
            inputs = 4 * width
    return found


def norm(name, width):
    kinds = ("weight", "bias", "running_mean", "running_var")
    return {f"{name}.{kind}": (width,) for kind in kinds} | {f"{name}.num_batches_tracked": ()}


def test_names_and_shapes_are_those_of_timm():
    with torch.device("meta"):
        net = validated(resnet.Architecture, {"name": "resnet", "depth": 50}).network(size=224, channels=3, classes=100)
    assert {name: tuple(value.shape) for name, value in net.state_dict().items()} == timm_resnet50(100)
    assert sum(p.numel() for p in net.parameters()) == 23_712_932  # 25,557,032 with 1000 classes


def filled(net):
    torch.manual_seed(0)
    with torch.no_grad():
        for name, value in net.state_dict().items():
            if value.is_floating_point():  # no scale, mean or variance is without effect
                noise = torch.randn_like(value) * (0.3 if value.dim() < 2 else value[0].numel() ** -0.5)
                value.copy_(noise.abs() + 0.5 if name.endswith("var") else noise)
    return net.eval()


def normed(state, name, x, eps):
    values = (state[f"{name}.{kind}"] for kind in ("running_mean", "running_var", "weight", "bias"))
    return functional.batch_norm(x, *values, eps=eps)


def test_a_resnet_is_the_function_of_its_formula():
    net = filled(
        validated(resnet.Architecture, {"name": "resnet", "depth": 26}).network(size=40, channels=2, classes=3)
    )
    state, x = net.state_dict(), torch.randn(2, 2, 40, 40)
    found = net(x)
    x = normed(state, "bn1", functional.conv2d(x, state["conv1.weight"], stride=2, padding=3), 1e-5).relu()
    x = functional.max_pool2d(x, 3, 2, 1)
    for stage in range(1, 5):
        for k in range(2):
            within, stride, before = f"layer{stage}.{k}.", 1 + (stage > 1 and k == 0), x
            for number in (1, 2, 3):
                more = {"stride": stride, "padding": 1} if number == 2 else {}
                x = functional.conv2d(x, state[f"{within}conv{number}.weight"], **more)
                x = normed(state, f"{within}bn{number}", x, 1e-5)
                x = x.relu() if number < 3 else x
            if k == 0:
                before = functional.conv2d(before, state[f"{within}downsample.0.weight"], stride=stride)
                before = normed(state, f"{within}downsample.1", before, 1e-5)
            x = (x + before).relu()
    torch.testing.assert_close(found, functional.linear(x.mean(dim=(2, 3)), state["fc.weight"], state["fc.bias"]))


CONFIG = option("weights", "efficientnet_lite0")


@pytest.mark.parametrize("depth", [11, 16])
def test_the_packages_weights_fit(depth):
    model = validated(efficientnet.Architecture, {"name": "efficientnet_lite0", "depth": depth})
    net = model.network(size=28, channels=3, classes=10)
    state = efficientnet.load(validated(efficientnet.EfficientNetLite0, CONFIG), depth)
    hub.put(hub.backbone(state, net, "the package"), net)
    assert torch.equal(net.blocks[depth - 1].bn2.running_var, state[f"blocks.{depth - 1}.bn2.running_var"])


@pytest.mark.parametrize(("size", "kernel", "stride"), [(28, 3, 2), (7, 3, 2), (14, 5, 2), (7, 5, 1), (4, 5, 2)])
def test_padding_is_tensorflows_same(size, kernel, stride):
    """Output k is the window that begins at stride k - before, before half of what is missing, rounded down."""
    conv = efficientnet.Same(1, 1, kernel, stride, bias=False)
    x = torch.randn(1, 1, size, size)
    found, outputs = conv(x)[0, 0], -(-size // stride)
    missing = max((outputs - 1) * stride + kernel - size, 0)
    assert found.shape == (outputs, outputs)
    padded = torch.zeros(size + 2 * kernel, size + 2 * kernel)
    padded[kernel : kernel + size, kernel : kernel + size] = x[0, 0]
    for row in range(outputs):
        top = kernel + stride * row - missing // 2
        left = kernel - missing // 2
        window = padded[top : top + kernel, left : left + kernel]
        torch.testing.assert_close(found[row, 0], (window * conv.weight[0, 0]).sum())
