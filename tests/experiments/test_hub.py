"""Weights from safetensors: timm's ViT-S/16 fits, everything else is refused in one line, the revision is pinned."""

import hashlib
import json
import math
import os
import socket
import struct
import time
from types import SimpleNamespace
from unittest.mock import Mock

import pytest
import torch
from huggingface_hub import constants, model_info
from huggingface_hub.errors import LocalEntryNotFoundError
from safetensors.torch import save, save_file

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


TINY_HUB = HUB | {"repo": "me/tiny"}


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """The hub's cache as ``hf download me/tiny`` leaves it."""
    content, folder = save(tiny(5).state_dict()), tmp_path / "models--me--tiny"
    file = folder / f"snapshots/{40 * 'a'}/model.safetensors"
    blob = folder / "blobs" / hashlib.sha256(content).hexdigest()
    for path in (file, blob, folder / "refs/main"):
        path.parent.mkdir(parents=True)
    blob.write_bytes(content)
    file.symlink_to(f"../../blobs/{blob.name}")
    (folder / "refs/main").write_text(40 * "a")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    hub.newest.cache_clear()
    return SimpleNamespace(file=file, blob=blob, main=folder / "refs/main")


def newest(**changed):
    return validated(hub.Hub, TINY_HUB | {"revision": None} | changed, "weights")


def test_what_is_in_the_cache_needs_no_hub(cache, monkeypatch, capsys):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert hub.download(validated(hub.Hub, TINY_HUB)) == cache.file and not capsys.readouterr().out
    assert newest().model_dump() == TINY_HUB
    asking, line = capsys.readouterr().out.splitlines()
    assert asking == "asking the hub for the newest commit of me/tiny"
    assert line.startswith(f"me/tiny: weights.revision={40 * 'a'}, the newest in the cache (") and "offline" in line
    cache.main.unlink()  # as after the download of a commit: which was the newest is not known
    hub.newest.cache_clear()
    with pytest.raises(ConfigError, match=r"^weights\.revision=null: the newest of me/tiny .*offline.*; give one$"):
        newest()
    cache.blob.unlink()
    with pytest.raises(ConfigError, match=r"^weights\.repo='me/tiny': model\.safetensors cannot be downloaded \("):
        hub.download(validated(hub.Hub, TINY_HUB))


@pytest.mark.usefixtures("cache")
def test_a_hub_that_stays_silent_is_not_waited_for(monkeypatch, capsys):
    other = TINY_HUB | {"revision": 40 * "b"}
    with socket.create_server(("127.0.0.1", 0)) as silent:  # accepts, never answers
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        monkeypatch.setattr(constants, "ENDPOINT", address)
        monkeypatch.setattr(model_info.__self__, "endpoint", address)
        monkeypatch.setattr(hub, "SECONDS", 0.2)
        start = time.perf_counter()
        assert newest().revision == 40 * "a"
        with pytest.raises(ConfigError, match=r"^weights\.repo='me/tiny': model\.safetensors cannot be downloaded \("):
            hub.download(validated(hub.Hub, other))
        assert time.perf_counter() - start < 5
    asked = [line for line in capsys.readouterr().out.splitlines() if line.startswith("asking")]
    assert asked == [f"asking the hub for {what} of me/tiny" for what in ("the newest commit", "model.safetensors")]


def test_a_file_of_the_cache_is_compared_with_its_name(cache):
    found, checksum = hub.cached(cache.file)
    assert checksum == cache.blob.name and found.keys() == tiny(5).state_dict().keys()
    content = cache.blob.read_bytes()
    for damaged in (content[:-1] + bytes([content[-1] ^ 1]), content[:100], b""):  # the first is read without complaint
        cache.blob.write_bytes(damaged)
        other = hashlib.sha256(damaged).hexdigest()
        with pytest.raises(ConfigError) as caught:
            hub.cached(cache.file)
        line = f"{cache.blob}: has the sha256 {other}, not {checksum}; delete it to download it again"
        assert str(caught.value) == line
    renamed = cache.blob.with_name(40 * "c")  # of a small file: not the name of its content alone
    renamed.write_bytes(content)
    cache.file.unlink()
    cache.file.symlink_to(renamed)
    assert hub.cached(cache.file)[1] == checksum
    renamed.replace(cache.file)  # where there are no links
    assert hub.cached(cache.file)[1] == checksum


@pytest.mark.usefixtures("cache")
def test_the_hub_is_asked_for_the_pinned_revision(tmp_path, monkeypatch):
    def get(*which, local_files_only=False, **words):
        asked.append((*which, words))
        if local_files_only:
            raise LocalEntryNotFoundError("not there")
        return tmp_path / "x"

    asked, info = [], Mock()
    monkeypatch.setattr(hub, "hf_hub_download", get)
    monkeypatch.setattr(hub, "model_info", info)
    assert hub.download(validated(hub.Hub, HUB)) == tmp_path / "x"
    assert asked == 2 * [(HUB["repo"], "model.safetensors", {"revision": 40 * "a"})]
    info.side_effect = OSError("no\nnetwork")
    with pytest.raises(ConfigError) as caught:
        hub.download(validated(hub.Hub, HUB))
    assert str(caught.value) == f"weights.repo={HUB['repo']!r}: model.safetensors cannot be downloaded (no network)"


@pytest.mark.usefixtures("cache")
def test_without_a_revision_it_is_the_newest_asked_for_once(monkeypatch, capsys):
    asked = Mock(return_value=Mock(sha=40 * "b"))
    monkeypatch.setattr(hub, "model_info", asked)
    assert [newest().model_dump() for _ in range(2)] == 2 * [TINY_HUB | {"revision": 40 * "b"}]
    asked.assert_called_once_with("me/tiny", timeout=10)
    assert capsys.readouterr().out.splitlines()[1:] == [f"me/tiny: weights.revision={40 * 'b'}"]
    asked.side_effect = OSError("no\nnetwork")
    with pytest.raises(
        ConfigError, match=r"^weights\.revision=null: the newest of me/other .* \(no network\); give one$"
    ):
        newest(repo="me/other")


@pytest.mark.parametrize("wrong", [{"revision": "main"}, {"repo": "vit_small_patch16_224"}])
def test_a_tag_that_pins_nothing_is_refused(wrong):
    with pytest.raises(ConfigError, match=rf"^weights\.{next(iter(wrong))}='"):
        validated(hub.Hub, HUB | wrong, "weights")
