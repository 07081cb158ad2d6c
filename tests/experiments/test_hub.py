"""Weights from safetensors: timm's ViT-S/16 fits, everything else is refused in one line, the revision is pinned."""

import hashlib

import pytest
import torch
from safetensors.torch import save_file

from experiments.models import hub
from experiments.models.vit import VisionTransformer
from experiments.schema import ConfigError, validated
from tests.experiments.test_vit import SMALL, timm_vit_small

TINY = {"size": 8, "patch": 4, "channels": 3, "width": 8, "depth": 1, "heads": 2}


def tiny(classes):
    return VisionTransformer(**TINY, classes=classes)


def test_timms_weights_fit_and_the_head_is_replaced():
    generator = torch.Generator().manual_seed(0)
    weights = {name: torch.randn(shape, generator=generator) for name, shape in timm_vit_small(1000).items()}
    model = VisionTransformer(**SMALL, classes=100)
    head = model.head.weight.detach().clone()
    backbone = hub.backbone(weights, model, "timm")
    assert weights.keys() - backbone.keys() == {"head.weight", "head.bias"}
    hub.put(backbone, model)
    for name, value in model.state_dict().items():
        if not name.startswith("head."):
            assert torch.equal(value, weights[name]), name
    assert torch.equal(model.head.weight, head) and model.head.weight.shape == (100, 384)


def test_a_file_is_read_with_its_checksum(tmp_path):
    path, state = tmp_path / "some.safetensors", tiny(5).state_dict()
    save_file(state, path)
    found, checksum = hub.read(path)
    assert found.keys() == state.keys() and all(torch.equal(found[name], state[name]) for name in state)
    assert checksum == hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize(
    ("spoilt", "words"),
    [
        (lambda state: state.pop("norm.weight"), r"missing \['norm.weight'\], unexpected \[\]"),
        (lambda state: state.update(dist_token=torch.zeros(1)), r"missing \[\], unexpected \['dist_token'\]"),
        (lambda state: state.update(pos_embed=torch.zeros(1, 197, 8)), r"pos_embed is \(1, 197, 8\), not \(1, 5, 8\)"),
    ],
)
def test_weights_of_another_model_are_refused(spoilt, words):
    state = tiny(5).state_dict()
    spoilt(state)
    with pytest.raises(ConfigError, match=rf"^a\.safetensors: not this model's weights \({words}\)$"):
        hub.backbone(state, tiny(5), "a.safetensors")


@pytest.mark.parametrize("content", [None, b"", b"no safetensors at all, but long enough for a header"])
def test_what_is_no_safetensors_is_refused(tmp_path, content):
    path = tmp_path / "bad.safetensors"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError, match=str(path)) as caught:
        hub.read(path)
    assert "\n" not in str(caught.value)


HUB = {"name": "hub", "repo": "timm/vit_small_patch16_224.augreg_in21k_ft_in1k", "revision": 40 * "a"}


def test_the_hub_is_asked_for_the_pinned_revision(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(hub, "hf_hub_download", lambda *args, **kwargs: asked.append((args, kwargs)) or tmp_path / "x")
    assert hub.download(validated(hub.Hub, HUB)) == tmp_path / "x"
    assert asked == [((HUB["repo"], "model.safetensors"), {"revision": 40 * "a"})]


def test_a_hub_out_of_reach_is_one_line(monkeypatch):
    def out_of_reach(*args, **kwargs):
        raise OSError("no\nnetwork")

    monkeypatch.setattr(hub, "hf_hub_download", out_of_reach)
    with pytest.raises(ConfigError) as caught:
        hub.download(validated(hub.Hub, HUB))
    assert str(caught.value) == f"weights.repo={HUB['repo']!r}: model.safetensors cannot be had (no network)"


@pytest.mark.parametrize("wrong", [{"revision": "main"}, {"repo": "vit_small_patch16_224"}])
def test_a_tag_that_pins_nothing_is_refused(wrong):
    with pytest.raises(ConfigError, match=rf"^weights\.{next(iter(wrong))}='"):
        validated(hub.Hub, HUB | wrong, "weights")


def test_the_function_is_timms():
    timm = pytest.importorskip("timm")
    torch.manual_seed(0)
    theirs = timm.create_model("vit_small_patch16_224", pretrained=False, num_classes=100).eval()
    ours = VisionTransformer(**SMALL, classes=100)
    ours.load_state_dict(theirs.state_dict(), strict=True)
    images = torch.randn(2, 3, 224, 224)
    with torch.no_grad():
        torch.testing.assert_close(ours(images), theirs(images), rtol=1e-4, atol=1e-5)
