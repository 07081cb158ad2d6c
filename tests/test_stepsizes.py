import inspect

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from adaloss.stepsizes import RULES, sgd_decay_sqrt
from tests.reference import stepsizes as literal

# 100 examples of 100 states: 10,000 random states for every rule.
STATES = 100
HYPER = {
    "adaloss": ("eta", "alpha", "c"),
    "adagrad_norm": ("eta",),
    "sgd_constant": ("eta",),
    "sgd_decay_sqrt": ("eta", "c_s"),
    "adamloss": ("eta", "alpha", "c"),
    "adam_sqrt": ("eta",),
}


@st.composite
def states(draw):
    """Log-uniform b, hyperparameters and gradients over many decades; losses of both signs."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    wide = draw(st.sampled_from([1.0, 8.0, 40.0]))

    def positive():
        return 10.0 ** rng.uniform(-wide, wide, STATES)

    gradients = rng.normal(size=(STATES, draw(st.integers(1, 7)))) * positive()[:, None]
    return {
        "b": positive(),
        "loss": positive() * rng.choice([-1.0, 1.0], STATES),
        "gradients": gradients,
        "eta": positive(),
        "alpha": positive(),
        "c": positive() * rng.choice([-1.0, 0.0, 1.0], STATES),
        "c_s": positive(),
    }


CASES = [(name, {}) for name in RULES if name != "sgd_decay_sqrt"]
CASES += [("sgd_decay_sqrt", {"form": form}) for form in ("linear", "root")]


@pytest.mark.parametrize(("name", "form"), CASES)
@settings(max_examples=100)
@given(s=states())
def test_scalars_arrays_and_tensors_agree_with_the_paper(name, form, s):
    norm_sq = (s["gradients"] ** 2).sum(axis=1)
    want = []
    for i in range(STATES):
        take = literal.rule(name, float(s["b"][i]), **{key: float(s[key][i]) for key in HYPER[name]}, **form)
        want.append(take(float(s["loss"][i]), float(norm_sq[i])))

    def check(make):
        hyper = {key: make(s[key]) for key in HYPER[name]}
        b, step = RULES[name](make(s["b"]), make(s["loss"]), make(norm_sq), 1, **hyper, **form)
        got = np.stack([np.asarray(b).ravel(), np.asarray(step).ravel()], axis=1)
        # One rule is at most eight roundings of 1.1e-16 each.
        np.testing.assert_allclose(got, want, rtol=1e-14)

    check(np.asarray)
    check(lambda v: np.asarray(v).reshape(4, 5, 5))
    check(torch.from_numpy)
    for i in range(0, STATES, 10):
        hyper = {key: float(s[key][i]) for key in HYPER[name]}
        got = RULES[name](float(s["b"][i]), float(s["loss"][i]), float(norm_sq[i]), 1, **hyper, **form)
        assert all(isinstance(value, float) for value in got)
        np.testing.assert_allclose(got, want[i], rtol=1e-14)


@pytest.mark.parametrize(("name", "form"), CASES)
def test_a_thousand_steps_follow_the_literal_recurrence(name, form):
    rng = np.random.default_rng(5)
    hyper = {key: {"eta": 0.7, "alpha": 1.5, "c": 0.2, "c_s": 0.2}[key] for key in HYPER[name]} | form
    b, take = 0.3, literal.rule(name, 0.3, **hyper)
    for t in range(1, 1001):
        loss, norm_sq = rng.exponential(size=2)
        b, step = RULES[name](b, loss, norm_sq, t, **hyper)
        # b^2 is accumulated there and its root here: one rounding a step more, of either sign.
        np.testing.assert_allclose((b, step), take(loss, norm_sq), rtol=1e-13, err_msg=f"t = {t}")


def test_b_never_decreases_and_the_loss_of_the_step_counts():
    b, step = RULES["adaloss"](2.0, 3.0, None, 1, eta=1.0, alpha=4.0, c=0.0)
    assert (b, step) == (4.0, 0.25)  # sqrt(4 + 4 * 3) = 4, before the step is taken
    assert RULES["adaloss"](2.0, 1.5, None, 1, c=1.5) == (2.0, 0.5)  # nothing to add at f = c
    assert RULES["adamloss"](3.0, -1.0, None, 1) == (4.0, 0.5)  # |f|, not f


def test_what_is_left_out_is_eta_1_alpha_1_c_0_and_the_form_of_figure_1():
    """The default of every rule by hand, at b = 2, f = -5, norm^2 = 12, t = 9."""
    want = {
        "adaloss": (3.0, 1 / 3),
        "adagrad_norm": (4.0, 1 / 4),
        "sgd_constant": (2.0, 1 / 2),
        "sgd_decay_sqrt": (2.0, 1 / 5),
        "adamloss": (7.0, 1 / 7**0.5),
        "adam_sqrt": (2.0, 1 / 11**0.5),
    }
    assert {name: rule(2.0, -5.0, 12.0, 9) for name, rule in RULES.items()} == want


def test_float32_tensors_stay_float32_and_gradients_are_not_needed():
    b, step = RULES["adaloss"](torch.tensor(1.0), torch.tensor(3.0), None, 1)
    assert b.dtype == step.dtype == torch.float32
    assert b.item() == 2.0


def test_every_rule_has_the_same_leading_arguments():
    for name, rule in RULES.items():
        arguments = list(inspect.signature(rule).parameters)
        assert arguments[:4] == ["b", "loss", "grad_norm_sq", "t"], name
        assert tuple(a for a in arguments[4:] if a != "form") == HYPER[name]


def test_unknown_form_is_refused():
    with pytest.raises(ValueError, match="form='cubic': allowed are 'linear' and 'root'"):
        sgd_decay_sqrt(1.0, None, None, 1, form="cubic")
