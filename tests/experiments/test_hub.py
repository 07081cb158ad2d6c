"""Weights from safetensors: timm's ViT-S/16 fits, everything else is refused in one line, the revision is pinned."""

import hashlib
import json
import math
import os
import struct
from unittest.mock import Mock

import pytest
import torch
from safetensors.torch import save_file

from experiments.models import hub
from experiments.models.vit import VisionTransformer
from experiments.runs.schema import ConfigError, validated

TINY = {"size": 8, "patch": 4, "channels": 3, "width": 8, "depth": 1, "heads": 2}


def tiny(classes):
    return VisionTransformer(**TINY, classes=classes)


def test_the_head_is_replaced():
    weights, model = tiny(1000).state_dict(), tiny(100)  # timm's names and shapes: test_vit.py
    head = model.head.weight.detach().clone()
    backbone = hub.backbone(weights, model, "timm")
    assert weights.keys() - backbone.keys() == {"head.weight", "head.bias"}
    hub.put(backbone, model)
    for name, value in model.state_dict().items():
        assert torch.equal(value, head if name == "head.weight" else weights[name][:100]), name


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16])
def test_weights_of_every_floating_point_type_fit(dtype, tmp_path):
    path, state = tmp_path / "some.safetensors", tiny(5).state_dict()
    save_file({name: value.to(dtype) for name, value in state.items()}, path)
    found, checksum = hub.read(path)
    assert found.keys() == state.keys() and checksum == hashlib.sha256(path.read_bytes()).hexdigest()
    for name, value in hub.backbone(found, tiny(5), str(path)).items():
        assert value.dtype == torch.float32
        assert torch.equal(value, state[name].to(dtype).float())


NAMES = [  # what a state has or lacks
    ({"norm.weight": None}, r"missing \['norm.weight'\], unexpected \[\]"),
    ({"dist_token": torch.zeros(1)}, r"missing \[\], unexpected \['dist_token'\]"),
    ({"pos_embed": torch.zeros(1, 197, 8)}, r"pos_embed is \(1, 197, 8\), not \(1, 5, 8\)"),
]
TYPES = [torch.float8_e4m3fn, torch.float8_e5m2, torch.int64, torch.uint8, torch.bool, torch.complex64]
LAST = [(math.nan, torch.float32), (math.inf, torch.float16), (-math.inf, torch.bfloat16), (1e300, torch.float64)]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        *NAMES,
        *(
            (
                {"norm.weight": torch.ones(8).to(dtype)},
                rf"norm\.weight is of {str(dtype)[6:]}, allowed are float64, float32, float16, bfloat16",
            )
            for dtype in TYPES
        ),
        *(
            (
                {"norm.bias": torch.tensor([*[0.0] * 7, last], dtype=dtype)},
                r"norm\.bias has a number that is not finite",
            )
            for last, dtype in LAST
        ),
    ],
)
def test_weights_of_another_model_are_refused(changes, words):
    state = {name: value for name, value in (tiny(5).state_dict() | changes).items() if value is not None}
    with pytest.raises(ConfigError, match=rf"^a\.safetensors: not this model's weights \({words}( in float32)?\)$"):
        hub.backbone(state, tiny(5), "a.safetensors")


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


ENTRIES = [
    {"dtype": "F8_E8M0", "shape": [64], "data_offsets": [0, 64]},  # torch has it, safetensors does not
    {"dtype": "F4", "shape": [128], "data_offsets": [0, 64]},
    {"dtype": "F32", "shape": [4, 5], "data_offsets": [0, 64]},
    {"dtype": "F32", "shape": [-16], "data_offsets": [0, 64]},
    {"dtype": "F32", "shape": [16], "data_offsets": [0, 2**60]},
    {"dtype": "F32", "shape": [0, 2**62, 2**62], "data_offsets": [0, 0]},
    3,
]
NO_HEADERS = [struct.pack("<Q", 2**63) + bytes(64), struct.pack("<Q", 10**5) + 10**5 * b"[", b"", b"none, but so long"]


@pytest.mark.parametrize("content", [*(header(a=entry) for entry in ENTRIES), *NO_HEADERS])
def test_a_strange_header_is_one_short_line(content, tmp_path):
    path = tmp_path / "strange.safetensors"
    path.write_bytes(content)
    assert refused(path, "not a safetensors file")


def refused(path, why):
    with pytest.raises(ConfigError) as caught:
        hub.read(path)
    line = str(caught.value)
    return line.startswith(f"{path}: {why} (") and "\n" not in line and len(line) < 1000


def test_a_pipe_or_folder_in_place_of_weights_is_one_line(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for name in ("pipe", "", "absent", "nul\0", "long" * 100):
        assert refused(tmp_path / name, "cannot be read")


HUB = {"name": "hub", "repo": "timm/vit_small_patch16_224.augreg_in21k_ft_in1k", "revision": 40 * "a"}


def test_the_hub_is_asked_for_the_pinned_revision(tmp_path, monkeypatch):
    asked = Mock(return_value=tmp_path / "x")
    monkeypatch.setattr(hub, "hf_hub_download", asked)
    assert hub.download(validated(hub.Hub, HUB)) == tmp_path / "x"
    asked.assert_called_once_with(HUB["repo"], "model.safetensors", revision=40 * "a")
    asked.side_effect = OSError("no\nnetwork")
    with pytest.raises(ConfigError) as caught:
        hub.download(validated(hub.Hub, HUB))
    assert str(caught.value) == f"weights.repo={HUB['repo']!r}: model.safetensors cannot be downloaded (no network)"


def test_without_a_revision_it_is_the_newest_asked_for_once(monkeypatch, capsys):
    asked = Mock(return_value=Mock(sha=40 * "b"))
    monkeypatch.setattr(hub, "model_info", asked)
    hub.newest.cache_clear()
    found = [validated(hub.Hub, HUB | {"revision": None}, "weights") for _ in range(2)]
    assert [one.model_dump() for one in found] == 2 * [HUB | {"revision": 40 * "b"}]
    asked.assert_called_once_with(HUB["repo"])
    assert capsys.readouterr().out == f"{HUB['repo']}: weights.revision={40 * 'b'}\n"
    hub.newest.cache_clear()
    asked.side_effect = OSError("no\nnetwork")
    with pytest.raises(ConfigError, match=r"^weights\.revision=null: the newest of timm/.* \(no network\)"):
        validated(hub.Hub, HUB | {"revision": None}, "weights")


@pytest.mark.parametrize("wrong", [{"revision": "main"}, {"repo": "vit_small_patch16_224"}])
def test_a_tag_that_pins_nothing_is_refused(wrong):
    with pytest.raises(ConfigError, match=rf"^weights\.{next(iter(wrong))}='"):
        validated(hub.Hub, HUB | wrong, "weights")
