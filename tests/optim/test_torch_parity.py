"""Our classes do what torch.optim's do with the step that the rule gives, bit for bit, whatever torch accepts.

The reference is torch's optimizer with ``lr`` set by hand to the step of the literal recurrence.
"""

import copy
import inspect
import itertools
import math
import random
from functools import cache

import pytest
import torch

from adaloss.optim import AdaLoss, AdamLoss, LossDriven, update
from tests.optim.problems import COMPILES

SHAPES = (*((n,) for n in (1, 3, 31, 64, 65, 1025)), (5, 7))
DTYPES = (torch.float64, torch.float32, torch.bfloat16, torch.float16, torch.complex64)
ETA, B0, ALPHA, C = 0.3, 0.7, 0.8, 0.1
LOSSES = [1.5, 0.7, 2.5, 0.2]
FLAGS = ("weight_decay", "maximize", "late", "skipped", "strided", "loaded")
CASES = [dict(zip(FLAGS, flags, strict=True)) for flags in itertools.product([False, True], repeat=len(FLAGS))]
SGD_OPTIONS = ({}, {"momentum": 0.9}, {"momentum": 0.8, "nesterov": True}, {"momentum": 0.8, "dampening": 0.3})
IN_TURN = [(case, SGD_OPTIONS[(i + i // 4) % 4]) for i, case in enumerate(CASES)]  # each flag meets all options
EPS = {torch.float16: {"eps": 1e-3}}  # Adam's 1e-8 is 0 there
OWN = {"RMSprop": {"momentum": 0.9, "centered": True}, "Adagrad": {"lr_decay": 0.1}, "Adadelta": {"rho": 0.8}}
OWN |= {"NAdam": {"decoupled_weight_decay": True}, "AdamW": {"amsgrad": True}, "RAdam": {"eps": 1e-3}}
ADAM = {"betas": (0.9, 0.99), "eps": 1e-3}
OPTIMIZERS = {
    name: cls
    for name, cls in vars(torch.optim).items()
    if inspect.isclass(cls) and issubclass(cls, torch.optim.Optimizer) and cls is not torch.optim.Optimizer
}


@cache
def drawn(seed, dtype, shapes):
    """One array for each shape."""
    draw = torch.Generator().manual_seed(seed)
    pairs = [torch.randn(*shape, 2, generator=draw).to(dtype.to_real()) for shape in shapes]
    return [torch.view_as_complex(pair) if dtype.is_complex else pair[..., 0].contiguous() for pair in pairs]


def numbers(seed, dtype, case, shapes):
    """Copies to change; strided ones are transposes, and every second number of a vector."""
    for array in drawn(seed, dtype, shapes):
        if not case["strided"] or seed % 2 == 0:
            yield array.clone()
        elif array.dim() == 2:
            yield array.T.contiguous().T
        else:
            yield array.repeat_interleave(2)[::2]


def run(make, dtype, case, step, shapes, sparse):
    """The numbers of the parameters after every step; ``step(optimizer, loss)`` takes one."""
    parameters = [torch.nn.Parameter(array) for array in numbers(99, dtype, case, shapes)]
    optimizer, seen = make(parameters), []
    for t, loss in enumerate([math.nan] * case["skipped"] + LOSSES):
        for i, (p, gradient) in enumerate(zip(parameters, numbers(t, dtype, case, shapes), strict=True)):
            p.grad = None if case["late"] and i % 2 and t < 2 else gradient.to_sparse() if sparse else gradient
        if case["loaded"] and t == 2:
            state = copy.deepcopy(optimizer.state_dict())
            optimizer = make(parameters)
            optimizer.load_state_dict(state)
        step(optimizer, loss)
        seen += [p.detach().flatten().clone() for p in parameters]
    return torch.cat(seen)


def literal(adam):
    """A step of torch's optimizer with lr from the recurrence in Python's floats; none where the loss is not finite."""
    b = B0

    def step(optimizer, loss):
        nonlocal b
        if math.isfinite(loss):
            b = b + ALPHA * abs(loss - C) if adam else (b**2 + ALPHA * abs(loss - C)) ** 0.5
            for group in optimizer.param_groups:
                group["lr"] = ETA / (b**0.5 if adam else b)
            optimizer.step()

    return step


def compare(ours, theirs, dtype, case, options, *, step=None, kernel=None, shapes=SHAPES, sparse=False, tolerance=0.0):
    options = options | ({"weight_decay": 0.1} if case["weight_decay"] else {})
    options |= {"maximize": True} if case["maximize"] else {}
    alpha = "loss_alpha" if "alpha" in inspect.signature(theirs.__init__).parameters else "alpha"
    own = {"b0": B0, alpha: ALPHA, "c": C, "nonfinite": "skip"} | ({kernel: True} if kernel else {})
    step = step or (lambda optimizer, loss: optimizer.step(loss=loss))
    got = run(lambda ps: ours(ps, lr=ETA, **own, **options), dtype, case, step, shapes, sparse)
    reference = literal(issubclass(ours, AdamLoss))
    want = run(lambda ps: theirs(ps, lr=ETA, **options), dtype, case, reference, shapes, sparse)
    torch.testing.assert_close(got, want, rtol=tolerance, atol=tolerance, msg=lambda m: f"{case} {options}: {m}")


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_adaloss_is_sgd(dtype):
    for case, options in itertools.product(CASES, SGD_OPTIONS):
        compare(AdaLoss, torch.optim.SGD, dtype, case, options)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_adamloss_is_adam(dtype):
    for case, options in itertools.product(CASES, ({}, {"amsgrad": True})):
        compare(AdamLoss, torch.optim.Adam, dtype, case, {"betas": (0.9, 0.999), **options, **EPS.get(dtype, {})})


@pytest.mark.parametrize(("kernel", "dtype"), [(k, d) for k in ("foreach", "fused") for d in DTYPES], ids=str)
def test_the_kernel_asked_for_computes_the_same(kernel, dtype):
    if kernel == "fused" and dtype.is_complex:
        pytest.skip("torch refuses it")
    # Another kernel rounds in another order, or once where the plain one rounds after every operation.
    for case, options in IN_TURN:
        compare(AdaLoss, torch.optim.SGD, dtype, case, options, kernel=kernel, tolerance=20 * torch.finfo(dtype).eps)
        compare(AdamLoss, torch.optim.Adam, dtype, case, ADAM, kernel=kernel, tolerance=20 * torch.finfo(dtype).eps)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_so_does_the_way_of_an_accelerator(dtype, monkeypatch):
    monkeypatch.setattr(update, "NUMBERS_ON_THE_HOST", ())
    tolerance = 20 * max(torch.finfo(dtype).eps, torch.finfo(torch.float32).eps)  # fused kernels take a float32 step
    for case, options in IN_TURN:
        compare(AdaLoss, torch.optim.SGD, dtype, case, options, tolerance=tolerance)
        compare(AdamLoss, torch.optim.Adam, dtype, case, ADAM, tolerance=tolerance)


@COMPILES
@pytest.mark.filterwarnings("ignore::DeprecationWarning:torch", "ignore::UserWarning:torch", "ignore::RuntimeWarning")
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_a_compiled_step_is_the_step(dtype):
    cases = list(itertools.product(CASES, SGD_OPTIONS))
    for case, options in random.Random(str(dtype)).sample(cases, 5):
        torch._dynamo.reset()
        step = torch.compile(lambda optimizer, loss: optimizer.step(loss=loss), backend="eager")
        compare(AdaLoss, torch.optim.SGD, dtype, case, options, step=step)
        compare(AdamLoss, torch.optim.Adam, dtype, case, EPS.get(dtype, {}) | {"betas": (0.9, 0.999)}, step=step)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer_of_torch_is_driven(name):
    base = OPTIMIZERS[name]
    if name in ("LBFGS", "Rprop", "ASGD"):  # which do not take the step of this lr
        with pytest.raises(TypeError, match=name):
            type("Driven", (LossDriven, base), {})
        return
    driven = type("Driven", (LossDriven, base), {})
    takes = inspect.signature(base.__init__).parameters
    only = {"shapes": ((3, 4), (5, 7))} if name == "Muon" else {"sparse": name == "SparseAdam"}
    for case, dtype in zip(CASES, itertools.cycle((torch.float64, torch.float32, torch.bfloat16)), strict=False):
        if all(flag in takes or not case[flag] for flag in ("weight_decay", "maximize")):
            compare(driven, base, dtype, case, OWN.get(name, {}), **only)
