"""The burn-in's figure from real runs: what is drawn is equation (7), and the same runs give the same bytes."""

import numpy as np
import pandas as pd

from adaloss.simulate.eigenbasis import simulate_eigenbasis
from scripts import figure_burn_in
from tests.scripts.synthetic import start


def test_the_same_runs_give_the_same_bytes(made, tmp_path, monkeypatch):
    start("figure_burn_in", monkeypatch, "--runs", made / "runs", "--figures", tmp_path)
    files = sorted(tmp_path.iterdir())
    assert {file.suffix for file in files} == {".png", ".pdf", ".csv"}
    for file in files:
        assert file.read_bytes() == (made / "figures" / file.name).read_bytes(), file.name


def test_burn_in_is_equation_7(made):
    drawn = pd.read_csv(made / "figures/figure_burn_in.csv", comment="#")
    eigenvalues = np.array([100.0, 30.0, 10.0, 3.0, 1.0])
    hyper = {"adaloss": {"alpha": 2.0}, "adagrad_norm": {}}
    for (method, b0), curve in drawn.groupby(["method", "b0"]):
        exact = simulate_eigenbasis(eigenvalues, np.full(5, 1e-8), method, [b0], hyper[method], 1000)
        step, errors = exact["step"][:, 0], exact["s"][:, 0]
        seen = curve.iteration.to_numpy() - 1
        np.testing.assert_allclose(curve.b_ratio, 1 / (100.0 * step[seen]), rtol=1e-10)
        assert set(curve.exit_index) == {int(np.argmax(1 / step >= 50.0))}
        peak = np.maximum.accumulate(errors.max(axis=1))
        got = curve[[f"s_{i}" for i in range(1, 6)]].to_numpy()
        assert np.all(np.abs(got - errors[seen]) <= 1e-10 * peak[seen, None])
    assert pd.read_csv(made / "figures/figure_burn_in_messages.csv", comment="#").holds.all()
    bent = drawn.copy()
    bent.loc[bent.iteration == 3, "s_1"] /= 1e6  # shrinks while b is small: against equation (7)
    assert not any(m.holds for m in figure_burn_in.messages(bent, eigenvalues.tolist()))
