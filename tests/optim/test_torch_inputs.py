"""What torch's own tests give its optimizers, valid and not: taken and refused alike."""

import pytest
import torch

from adaloss.optim import AdaLoss, AdamLoss, LossDriven

database = pytest.importorskip("torch.testing._internal.common_optimizers").optim_db
OURS = [(AdaLoss, "SGD"), (AdamLoss, "Adam")]
OURS += [(info.name, info.name) for info in database if info.name not in ("LBFGS", "Rprop")]


@pytest.fixture(params=OURS, ids=lambda pair: getattr(pair[0], "__name__", f"LossDriven {pair[0]}"))
def pair(request):
    """Our class, torch's and what torch knows of its own."""
    ours, name = request.param
    info = next(info for info in database if info.name == name)
    return type("Driven", (LossDriven, info.optim_cls), {}) if isinstance(ours, str) else ours, info


def parameters(info):
    torch.manual_seed(0)
    made = [torch.nn.Parameter(torch.randn(4, 3)), torch.nn.Parameter(torch.randn(2, 2))]
    for p in made:
        p.grad = torch.randn_like(p).to_sparse() if info.only_supports_sparse_grads else torch.randn_like(p)
    return made


def test_valid_inputs_train_as_in_torch(pair):
    """With b0 = 1, alpha tiny and a loss of 0 the step is eta itself."""
    cls, info = pair
    for given in info.optim_inputs_func(device="cpu"):
        for flags in ({}, {"foreach": True}, {"fused": True}):
            flag = next(iter(flags), None)
            tensor = any(isinstance(value, torch.Tensor) for value in given.kwargs.values())
            if flag and (flag not in info.supported_impls or (flag == "fused" and "cpu" not in info.supports_fused_on)):
                continue
            if flag == "foreach" and tensor:
                continue  # torch refuses a tensor as lr there, on the CPU
            ends = []
            for make in (info.optim_cls, cls):
                made = parameters(info)
                extra = {} if make is info.optim_cls else {"b0": 1.0}
                optimizer = make(made, **{"lr": 0.01, **given.kwargs, **flags, **extra})
                for _ in range(3):
                    optimizer.step(**({"loss": 0.0} if extra else {}))
                ends.append(made)
            for p, q in zip(*ends, strict=True):
                torch.testing.assert_close(p, q, rtol=1e-6, atol=1e-6, msg=lambda m, given=given: f"{given} {m}")


def test_error_inputs_are_refused_with_torchs_words(pair):
    cls, info = pair
    for given in info.optim_error_inputs_func(device="cpu", dtype=torch.float32):
        wrong = given.optimizer_error_input
        with pytest.raises(given.error_type, match=given.error_regex):  # at construction, or at the step
            made = wrong.params if wrong.params is not None else parameters(info)
            cls(made, **{"lr": 0.01, "b0": 1.0, **wrong.kwargs}).step(loss=0.0)
