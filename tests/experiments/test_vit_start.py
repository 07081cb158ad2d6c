"""What a fine-tuning starts from: blocks that stay, a centred head, weights of the first blocks alone."""

import pytest
import torch

from experiments.data.images import Images
from experiments.models.vit import Architecture
from experiments.runs.schema import validated
from experiments.vit.pretrain import build
from experiments.vit.start import Weights, start

ARCHITECTURE = validated(
    Architecture,
    {"name": "vit", "patch": 2, "width": 8, "depth": 3, "heads": 2, "layer_scale": True, "pooling": "mean"},
)


def images():
    torch.manual_seed(0)
    parts = {name: (torch.randn(n, 1, 4, 4), torch.arange(n) % 3) for name, n in (("train", 9), ("validation", 4))}
    ways = {"draw": lambda n, generator: torch.empty(n, 0), "augment": lambda x, draws: 2 * x, "plain": lambda x: 2 * x}
    return Images(**parts, test=parts["validation"], classes=3, channels=1, size=4, checksum="none", **ways)


@pytest.mark.parametrize("frozen", [1, 2, 3])
def test_the_tail_on_the_tokens_is_the_network_on_the_images(frozen):
    everything = images()
    pretrained = {name: value + 0.1 for name, value in build(ARCHITECTURE, everything, 5, 0).state_dict().items()}
    weights = Weights({name: value for name, value in pretrained.items() if name[:5] != "head."}, "some")
    whole, _ = start(weights, ARCHITECTURE, everything, 1, 0, "drawn")
    tail, tokens = start(weights, ARCHITECTURE, everything, 1, frozen, "drawn")
    for part in ("train", "validation", "test"):
        (x, y), (behind, same) = getattr(everything, part), getattr(tokens, part)
        assert torch.equal(y, same)
        torch.testing.assert_close(tail(tokens.plain(behind)), whole(2 * x))
    trained = {name for name, _ in tail.named_parameters()}
    left = {name.split(".")[1] for name in trained if name[:7] == "blocks."}
    assert left == {str(k) for k in range(frozen, 3)} and "norm.weight" in trained and "cls_token" not in trained


def test_a_centred_start_guesses_and_its_features_have_mean_zero():
    everything = images()
    net, tokens = start(Weights({}, None), ARCHITECTURE, everything, 1, 1, "centred")
    x = tokens.train[0]
    assert not net(x).any() and (net.norm.weight == 1).all()
    features = net.features(net.blocks(x))
    torch.testing.assert_close(features.mean(dim=0), torch.zeros(8), rtol=0, atol=1e-6)
    assert features.std() > 0.1


def test_other_weights_are_another_start():
    everything = images()
    state = build(ARCHITECTURE, everything, 5, 0).state_dict()
    some = {name: value for name, value in state.items() if not name.startswith(("head.", "blocks.2."))}
    drawn = build(ARCHITECTURE, everything, 1, 2).state_dict()["blocks.2.attn.qkv.weight"]
    for values, expected in ((some, drawn), (some | {"blocks.2.attn.qkv.weight": drawn + 1}, drawn + 1)):
        net, _ = start(Weights(values, "the same file"), ARCHITECTURE, everything, 1, 0, "drawn")
        assert torch.equal(net.blocks[2].attn.qkv.weight, expected)
