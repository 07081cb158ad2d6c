import numpy as np
import pytest

from experiments.data import clusters, digits, near_orthogonal, sphere
from experiments.gram import Gram
from experiments.runs.schema import ConfigError, validated
from tests.reference.gram import naive

MODULES = {"sphere": sphere, "digits": digits, "clusters": clusters, "near_orthogonal": near_orthogonal}


def checked(name, **fields):
    return validated(MODULES[name].Config, {"name": name, **fields})


SETS = [
    ("sphere", {"n": 40, "d": 9}),
    ("digits", {"n": 40}),
    ("clusters", {"n": 41, "d": 9, "spread": 0.01}),
    ("near_orthogonal", {"n": 40, "d": 60, "noise": 0.01}),
]


@pytest.mark.parametrize(("name", "fields"), [*SETS, ("sphere", {"n": 40, "d": 60})])
def test_the_saved_numbers_are_those_of_the_definition(name, fields):
    gram = validated(Gram, {"data": {"name": name, **fields}, "seed": [0, 3]})
    for made in gram.execute(gram.runs(), lambda steps, **words: steps):
        [row] = made.history.to_dict("records")
        x, _, checksum = MODULES[name].load(checked(name, **fields), seed=made.run.config["seed"])
        h, k = np.linalg.eigvalsh(naive(x)), np.linalg.svd(x, compute_uv=False) ** 2
        assert (row["n"], row["d"]) == x.shape and made.run.data == checksum
        # the definition's diagonal is off by up to 1e-8, and the eigenvalues with it
        np.testing.assert_allclose([row["lambda_min"], row["lambda_max"]], h[[0, -1]], rtol=0, atol=5e-8)
        np.testing.assert_allclose(row["k_max"], k[0], rtol=1e-12)
        np.testing.assert_allclose(row["k_min"], k[-1] if row["n"] <= row["d"] else 0, rtol=0, atol=1e-12)
        assert max(row["residual_min"], row["residual_max"]) < 1e-14 * row["n"]
        ratio = row["n"] / row["d"]
        np.testing.assert_allclose(row["expected_max"], (2 + 2 * ratio**0.5 + ratio) / 4, rtol=1e-14)
        expected_min = (2 - 2 * ratio**0.5 + ratio) / 4 if ratio <= 1 else 0.25
        np.testing.assert_allclose(row["expected_min"], expected_min, rtol=1e-14)


@pytest.mark.parametrize(("name", "fields"), SETS)
def test_rows_have_length_one_and_labels_are_of_order_one(name, fields):
    x, y, checksum = MODULES[name].load(checked(name, **fields), 3)
    again = MODULES[name].load(checked(name, **fields), 3)
    other = MODULES[name].load(checked(name, **fields), 4)
    assert np.array_equal(again[0], x) and np.array_equal(again[1], y) and again[2] == checksum != other[2]
    np.testing.assert_allclose(np.linalg.norm(x, axis=1), 1, rtol=1e-15)
    assert y.shape == (len(x),) and np.abs(y).max() <= 1 and len(np.unique(y)) > 1


def test_what_the_data_sets_are():
    x, _, _ = near_orthogonal.load(checked("near_orthogonal", n=40, d=60, noise=0.0), 0)
    np.testing.assert_allclose(x @ x.T, np.eye(40), atol=1e-14)
    x, _, _ = clusters.load(checked("clusters", n=40, d=60, spread=0.1), 0)
    k = x @ x.T
    assert min(k[::2, ::2].min(), k[1::2, 1::2].min()) > 0.98 and np.abs(k[::2, 1::2]).max() < 0.6
    from sklearn.datasets import load_digits

    x, y, _ = digits.load(checked("digits", n=1797), 0)
    images, labels = load_digits(return_X_y=True)
    order = np.lexsort(x.T), np.lexsort((images / np.linalg.norm(images, axis=1, keepdims=True)).T)
    np.testing.assert_array_equal((9 * y + 9).round()[order[0]] / 2, labels[order[1]])
    with pytest.raises(ConfigError, match="spread=0"):
        checked("clusters", n=4, d=4, spread=0)
