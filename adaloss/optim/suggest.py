"""A start for AdaLoss and AdamLoss, measured on the first minibatches."""

from collections.abc import Callable, Iterable
from typing import NamedTuple

import torch

from adaloss.arguments import number
from adaloss.optim.adaloss import AdaLoss, AdamLoss

Closure = Callable[[], torch.Tensor]
Direction = list[torch.Tensor]
POWERS = range(-12, 13)  # of 2: the steps that are tried, in units of Polyak's
# What is suggested of the best step: along AdaLoss's direction the curvature usually grows in the first epoch.
SHARE = {AdaLoss: 0.5, AdamLoss: 1.0}


class Suggestion(NamedTuple):
    """A start for AdaLoss or AdamLoss, and what it comes from.

    Attributes:
        lr: the optimizer's ``lr``.
        b0: the optimizer's ``b0``.
        step: the first step size, whose ratio of ``lr`` and b it is.
        loss: the mean loss of the minibatches.
    """

    lr: float
    b0: float
    step: float
    loss: float


def suggest(
    optimizer: type[AdaLoss] | type[AdamLoss],
    params: Iterable[torch.Tensor],
    closures: Iterable[Closure],
    *,
    steps: int,
    alpha: float = 1.0,
    c: float = 0.0,
) -> Suggestion:
    r"""Suggest :math:`\eta` and :math:`b_0` for a training of ``steps`` steps from where ``params`` are now.

    The first step size s comes from the one that, along one minibatch's direction, lowers the *next* minibatch's loss
    most, of :math:`2^k` times Polyak's step :math:`|f - c| / \langle g, d\rangle`, k = -12..12, on average over the
    minibatches. For AdaLoss the direction d is g and s is half of that step; for AdamLoss d is sign(g), as in Adam's
    first step, and s is all of it. Only the ratio of :math:`\eta` and b is fixed by s; the other condition is that,
    were the losses to stay as they are, the step would halve over the training:

    .. math:: 4\,\beta_0 = \beta_0 + \alpha\,\mathrm{steps}\,\overline{|f - c|}, \qquad \eta = s\,\sqrt{\beta_0}

    with :math:`\beta_0 = b_0^2` for AdaLoss and :math:`b_0` for AdamLoss.

    The parameters, their gradients and torch's random numbers are left as they were; a model's own buffers (batch
    normalisation) see the forward passes.

    Args:
        optimizer: AdaLoss or AdamLoss, the class.
        params: the parameters.
        closures: functions without arguments; each computes the loss of one minibatch at the present parameters.
            At least two are needed, four are plenty: each but the first is called 25 times, without gradients.
        steps: how many steps the training is to take.
        alpha: the optimizer's ``alpha``.
        c: the optimizer's ``c``.

    Returns:
        The ``lr`` and ``b0`` to give to the optimizer, as a :class:`Suggestion`.

    Raises:
        TypeError: naming the argument, for one of the wrong type.
        ValueError: naming the argument, for a value that cannot be used; and where no step lowers the loss.

    Examples:
        >>> import torch
        >>> from adaloss.optim import AdaLoss, suggest
        >>> w = torch.tensor([3.0, 4.0], requires_grad=True)
        >>> closures = [lambda: 0.5 * w.square().sum()] * 4  # Polyak's step is 1/2 here, the best one is 1
        >>> start = suggest(AdaLoss, [w], closures, steps=96)
        >>> print(start)
        Suggestion(lr=10.0, b0=20.0, step=0.5, loss=12.5)
        >>> optimizer = AdaLoss([w], lr=start.lr, b0=start.b0)

    References:
        B. T. Polyak, *Introduction to Optimization*, Optimization Software, 1987, for the unit of the step sizes tried.
    """
    if optimizer not in (AdaLoss, AdamLoss):
        raise TypeError(f"optimizer={optimizer!r}: should be AdaLoss or AdamLoss")
    if isinstance(steps, bool) or not isinstance(steps, int) or steps < 1:
        raise ValueError(f"steps={steps!r}: should be a whole number of at least 1")
    alpha, c = number("alpha", alpha, above=0.0), number("c", c)
    params, closures = [p for p in params if p.requires_grad], list(closures)
    if not params:
        raise ValueError("params: none of them requires a gradient")
    if len(closures) < 2:
        raise ValueError(f"closures: {len(closures)} given, at least 2 minibatches are needed")
    with torch.random.fork_rng():
        losses, directions, lengths = _look(params, closures, optimizer)
        gap = (losses - c).abs()
        unit = float((gap[:-1] / lengths).median())
        if not (float(gap.mean()) > 0.0 and 0.0 < unit < float("inf")):
            raise ValueError(f"closures: the losses {losses.tolist()} and their gradients say nothing of a step")
        candidates = [unit * 2.0**power for power in POWERS]
        after = _try(params, directions, candidates, closures[1:])
    if not after.min() < losses[1:].mean():
        raise ValueError("closures: no step along one minibatch's direction lowers the next one's loss")
    step = SHARE[optimizer] * candidates[int(after.argmin())]
    beta = alpha * steps * float(gap.mean()) / 3.0
    return Suggestion(step * beta**0.5, beta**0.5 if optimizer is AdaLoss else beta, step, float(losses.mean()))


def _look(
    params: list[torch.Tensor], closures: list[Closure], optimizer: type
) -> tuple[torch.Tensor, list[Direction], torch.Tensor]:
    """Return the loss of every minibatch; of all but the last the direction, and its product with the gradient."""
    losses, directions, lengths = [], [], []
    for closure in closures:
        loss = closure()
        losses.append(float(loss.detach()))
        if len(losses) < len(closures):
            gradient = [g.detach() for g in torch.autograd.grad(loss, params, materialize_grads=True)]
            directions.append([g.sign() for g in gradient] if optimizer is AdamLoss else gradient)
            lengths.append(sum(float((g * d).sum()) for g, d in zip(gradient, directions[-1], strict=True)))
    return torch.tensor(losses, dtype=torch.float64), directions, torch.tensor(lengths, dtype=torch.float64)


@torch.no_grad()
def _try(
    params: list[torch.Tensor], directions: list[Direction], candidates: list[float], closures: list[Closure]
) -> torch.Tensor:
    """Return the mean loss after each of the steps, along each direction and on the minibatch that belongs to it."""
    start = [p.clone() for p in params]
    after = torch.zeros(len(candidates), dtype=torch.float64)
    try:
        for direction, closure in zip(directions, closures, strict=True):
            for i, step in enumerate(candidates):
                for p, origin, d in zip(params, start, direction, strict=True):
                    p.copy_(origin).sub_(d, alpha=step)
                after[i] += float(closure())
    finally:
        for p, origin in zip(params, start, strict=True):
            p.copy_(origin)
    return torch.nan_to_num(after / len(closures), nan=torch.inf)
