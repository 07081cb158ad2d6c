"""The checksum in the mark of each kind of file: no byte changes unseen, and no mark is too odd for one line."""

import json
import re
import zlib

import matplotlib.pyplot as plt
import pandas as pd
import pytest
from PIL import Image

from scripts.shared import marks
from scripts.shared.output import Output
from tests.scripts.synthetic import check, saved

KINDS = ("png", "pdf", "csv", "md", "tex")


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """runs/small and figures/small with one file of each kind, and a second picture of the same runs."""
    root = tmp_path_factory.mktemp("marks")
    runs = saved(root / "runs/small", "figure_0", [({"b0": 1.0}, {"loss": [1.0]}, {})])
    output = Output(root / "figures/small", "figure_0", runs)
    for name, end in (("figure_0", 2), ("figure_0_other", 3)):
        fig = plt.figure(figsize=(1, 1))
        fig.add_subplot().plot([1, end])
        output.save(name, fig, pd.DataFrame({"k": [1, end]}))
    output.text("figure_0.md", "| k |\n")
    output.text("figure_0.tex", "k \\\\\n")
    output.write()
    return root


def problems(monkeypatch, capsys, file):
    """The status of scripts.provenance and its problems with the file."""
    status, _, found = check(monkeypatch, capsys, file)
    return status, found


@pytest.mark.parametrize("kind", KINDS)
def test_as_drawn(kind, copied, monkeypatch, capsys):
    assert problems(monkeypatch, capsys, f"figures/small/figure_0.{kind}") == (0, [])


@pytest.mark.parametrize("kind", KINDS)
def test_any_byte_that_changes_is_seen(kind, copied):
    content = (copied / f"figures/small/figure_0.{kind}").read_bytes()
    for at in range(0, len(content), max(1, len(content) // 300)):
        other = content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]
        try:
            assert marks.problem(f".{kind}", other, marks.parsed(f".{kind}", other)) is not None, at
        except ValueError as error:
            assert "\n" not in str(error)
    for other in (content + b"\n", content[:-1]):
        try:
            assert marks.problem(f".{kind}", other, marks.parsed(f".{kind}", other)) is not None
        except ValueError as error:
            assert "\n" not in str(error)


def test_an_edited_table(copied, monkeypatch, capsys):
    file = copied / "figures/small/figure_0.csv"
    file.write_text(file.read_text().replace("\n2\n", "\n3\n"))
    assert problems(monkeypatch, capsys, "figures/small/figure_0.csv") == (
        1, ["error: figures/small/figure_0.csv: not as it was drawn; draw it again"],
    )  # fmt: skip


def test_a_picture_drawn_anew_around_the_mark(copied, monkeypatch, capsys):
    file = "figures/small/figure_0.png"
    with Image.open(file) as image:
        info = image.info["Description"]
    from PIL.PngImagePlugin import PngInfo

    text = PngInfo()
    text.add_text("Description", info)
    Image.new("RGB", (9, 9)).save(file, pnginfo=text)
    assert problems(monkeypatch, capsys, file) == (1, [f"error: {file}: not as it was drawn; draw it again"])


def test_the_mark_itself_is_under_its_seal(copied, monkeypatch, capsys):
    file = copied / "figures/small/figure_0.csv"
    file.write_text(re.sub('"commit": "[^"]*"', '"commit": "0000"', file.read_text(), count=1))
    assert problems(monkeypatch, capsys, "figures/small/figure_0.csv")[0] == 1


@pytest.mark.parametrize("checksum", [None, "", 3, [], marks.BLANK, "0" * 63])
def test_no_checksum_is_a_problem(checksum, copied, monkeypatch, capsys):
    file = copied / "figures/small/figure_0.csv"
    line, _, rows = file.read_text().partition("\n")
    found = json.loads(line.removeprefix("# ")) | {"content": checksum}
    if checksum is None:
        del found["content"]  # as in files of older versions
    file.write_text(f"# {json.dumps(found)}\n{rows}")
    assert problems(monkeypatch, capsys, "figures/small/figure_0.csv") == (
        1, ["error: figures/small/figure_0.csv: carries no checksum of its content; draw it again"],
    )  # fmt: skip


HEAD = '{"sweep": "figure_0", "runs": 1, "digest": "0", "commit": "0", "versions": {}'


@pytest.mark.parametrize("text", [
    "[" * 100_000,
    '{"sweep": ' * 100_000,
    HEAD + f', "more": {"[" * 50_000}{"]" * 50_000}}}',
    HEAD + f', "more": "{"x" * 2_000_000}"}}',
    HEAD.replace('"runs": 1', '"runs": ' + "9" * 10_000) + "}",
    HEAD.replace('"0"', '"\\u001b[2J"') + "}",
    HEAD.replace("figure_0", "../../x") + "}",
    "[]", "3", "null", "{}", "", "\x00", HEAD,
])  # fmt: skip
@pytest.mark.parametrize("kind", ["csv", "png"])
def test_an_odd_mark_is_one_line(kind, text, copied, monkeypatch, capsys):
    content = f"# {text}\nk\n1\n".encode()
    if kind == "png":
        data = b"tEXtDescription\0" + text.encode()
        old = (copied / "figures/small/figure_0.png").read_bytes()
        chunk = (len(data) - 4).to_bytes(4) + data + zlib.crc32(data).to_bytes(4)
        content = old[:33] + chunk + old[33:]  # behind the header, before the true one
    (copied / f"odd.{kind}").write_bytes(content)
    assert problems(monkeypatch, capsys, f"odd.{kind}") == (
        1, [f"error: odd.{kind}: carries no mark of its runs; draw it again"],
    )  # fmt: skip


@pytest.mark.parametrize("content", [b"", marks.PNG, marks.PNG + b"\xff\xff\xff\xffIDAT", marks.PNG + b"\0\0\0\0IEND"])
def test_half_a_picture_is_one_line(content, copied, monkeypatch, capsys):
    (copied / "half.png").write_bytes(content)
    assert problems(monkeypatch, capsys, "half.png") == (
        1, ["error: half.png: carries no mark of its runs; draw it again"],
    )  # fmt: skip


def test_a_folder_or_a_device_is_one_line(copied, monkeypatch, capsys):
    (copied / "folder.csv").mkdir()
    (copied / "endless.csv").symlink_to("/dev/zero")
    for name in ("folder.csv", "endless.csv"):
        assert problems(monkeypatch, capsys, name) == (1, [f"error: {name}: no regular file"])
