"""Weights from safetensors: timm's ViT-S/16 fits, everything else is refused in one line, the revision is pinned."""

import hashlib
import json
import math
import os
import struct

import pytest
import torch
from safetensors.torch import save_file

from experiments.models import hub
from experiments.models.vit import VisionTransformer
from experiments.runs.schema import ConfigError, validated
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
        *(
            (
                lambda state, dtype=dtype: state.update({"norm.weight": torch.ones(8).to(dtype)}),
                rf"norm\.weight is of {str(dtype)[6:]}, allowed are float64, float32, float16, bfloat16",
            )
            for dtype in (torch.float8_e4m3fn, torch.float8_e5m2, torch.int64, torch.uint8, torch.bool, torch.complex64)
        ),
        *(
            (
                lambda state, last=last, dtype=dtype: state.update(
                    {"norm.bias": torch.tensor([0.0] * 7 + [last], dtype=dtype)}
                ),
                r"norm\.bias has a number that is not finite in float32",
            )
            for last, dtype in (
                (math.nan, torch.float32),
                (math.inf, torch.float16),
                (-math.inf, torch.bfloat16),
                (1e300, torch.float64),
            )
        ),
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


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16])
def test_weights_of_every_floating_point_type_fit(dtype, tmp_path):
    path, model = tmp_path / "some.safetensors", tiny(5)
    save_file({name: value.to(dtype) for name, value in model.state_dict().items()}, path)
    for name, value in hub.backbone(hub.read(path)[0], tiny(5), str(path)).items():
        assert value.dtype == torch.float32
        assert torch.equal(value, model.state_dict()[name].to(dtype).float())


def test_a_head_that_is_left_out_may_be_anything():
    state = tiny(5).state_dict() | {"head.weight": torch.full((1000, 8), math.nan), "head.other": torch.zeros(1).int()}
    assert hub.backbone(state, tiny(5), "x").keys() == {name for name in tiny(5).state_dict() if name[:5] != "head."}


def test_names_of_any_length_are_a_short_line():
    with pytest.raises(ConfigError) as caught:
        hub.backbone(tiny(5).state_dict() | {10**6 * "n": torch.zeros(1), "two\nlines": torch.zeros(1)}, tiny(5), "x")
    assert len(str(caught.value)) < 500 and "\n" not in str(caught.value)


def header(**tensors):
    """A safetensors file of these entries and 64 bytes."""
    text = json.dumps(tensors).encode()
    return struct.pack("<Q", len(text)) + text + bytes(64)


@pytest.mark.parametrize(
    "content",
    [
        header(a={"dtype": "F8_E8M0", "shape": [64], "data_offsets": [0, 64]}),  # torch has it, safetensors does not
        header(a={"dtype": "F4", "shape": [128], "data_offsets": [0, 64]}),
        header(a={"dtype": "F32", "shape": [4, 5], "data_offsets": [0, 64]}),
        header(a={"dtype": "F32", "shape": [-16], "data_offsets": [0, 64]}),
        header(a={"dtype": "F32", "shape": [16], "data_offsets": [0, 2**60]}),
        header(a={"dtype": "F32", "shape": [0, 2**62, 2**62], "data_offsets": [0, 0]}),
        header(a=3),
        struct.pack("<Q", 2**63) + bytes(64),
        struct.pack("<Q", 10**5) + 10**5 * b"[",
    ],
)
def test_a_strange_header_is_one_short_line(content, tmp_path):
    path = tmp_path / "strange.safetensors"
    path.write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        hub.read(path)
    assert str(caught.value).startswith(f"{path}: not a safetensors file (")
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 500


def test_a_pipe_or_folder_in_place_of_weights_is_one_line(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", tmp_path, tmp_path / "nul\0", tmp_path / ("long" * 100)):
        with pytest.raises(ConfigError) as caught:
            hub.read(path)
        assert str(caught.value).startswith(f"{path}: cannot be read (") and "\n" not in str(caught.value)


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
    assert str(caught.value) == f"weights.repo={HUB['repo']!r}: model.safetensors cannot be downloaded (no network)"


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
