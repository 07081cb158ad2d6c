"""Any torch optimizer under the AdaLoss rule."""

from typing import Any, ClassVar

from adaloss import stepsizes
from adaloss.arguments import number
from adaloss.optim.groups import positive
from adaloss.optim.rule_driven import RuleDriven


class LossDriven(RuleDriven):
    r"""Any torch optimizer, driven by the AdaLoss rule.

    .. math:: b_{t+1}^2 = b_t^2 + \alpha\,|f_t(w_t) - c|, \qquad \text{the group's learning rate} = \eta / b_{t+1}

    It is mixed in before the torch optimizer (see the example). The loss comes in by one of three ways, for three kinds
    of training loop::

        optimizer.step(closure)      # the closure computes the loss and its gradient, and returns the loss
        optimizer.step(loss=loss)    # after loss.backward()
        optimizer.observe(loss)      # ... and a bare optimizer.step() later, called by the loop

    Gradients accumulated over several micro-batches: ``observe`` each one's loss, then step once; the rule sees their
    mean, weighted by ``weight`` (their sizes, say). In a process group the mean is taken over all ranks, for a b of its
    own on each rank would drive the replicas apart.

    Args:
        params: parameters or parameter groups; a group may set its own ``lr`` and the torch optimizer's arguments.
        *args: the torch optimizer's.
        lr: (by keyword) :math:`\eta`, the scale of the step; the torch optimizer's default if left out.
        b0: (by keyword) :math:`b_0 > 0`, where b starts; 1 if left out. The step is :math:`\eta / b`, so
            :math:`b / \eta` has the unit of a curvature.
        alpha: (by keyword) :math:`\alpha > 0`, how fast b grows; 1 if left out.
        c: (by keyword) the optimal value :math:`f^*` of the loss where it is known and not 0.
        nonfinite: (by keyword) what a loss that is NaN or infinite does: ``"raise"``, the default, a RuntimeError that
            names the step, or ``"skip"`` the step. Parameters, the optimizer's state and b stay as they were.
        process_group: (by keyword) the ranks over which the loss is averaged: None, the default, is torch.distributed's
            default group where there is one, False is this rank alone.
        **kwargs: the torch optimizer's. Where it has an argument called ``b0``, ``alpha``, ``c`` or ``nonfinite``
            (RMSprop and ASGD have an ``alpha``), that name is the torch optimizer's, and the rule's is ``loss_alpha``.

    Raises:
        TypeError: naming the argument, for one of the wrong type; for a class over LBFGS or Rprop, which use no
            learning rate once a step.
        ValueError: naming the argument, for a value that cannot be used; for ``differentiable=True``, too.

    Examples:
        >>> import torch
        >>> from adaloss.optim import LossDriven
        >>> class AdaLossNAdam(LossDriven, torch.optim.NAdam):
        ...     pass
        >>> w = torch.tensor([3.0, 4.0], requires_grad=True)
        >>> optimizer = AdaLossNAdam([w], lr=1.0, b0=0.1)
        >>> for _ in range(100):
        ...     optimizer.zero_grad()
        ...     loss = 0.5 * w.square().sum()
        ...     loss.backward()
        ...     _ = optimizer.step(loss=loss)
        >>> print(f"loss {loss.item():.4f}, b {optimizer.b.item():.2f}, step {optimizer.effective_lr[0]:.3f}")
        loss 0.0001, b 12.55, step 0.080

    References:
        Algorithm 1 of Wu, Xie, Du and Ward, *AdaLoss*, AAAI 2022, https://doi.org/10.1609/aaai.v36i8.20848.
        The optimizers: https://docs.pytorch.org/docs/stable/optim.html
    """

    rule = staticmethod(stepsizes.adaloss)
    of_loss = True
    hyper: ClassVar[dict[str, Any]] = {"alpha": 1.0, "c": 0.0}
    options: ClassVar[dict[str, Any]] = {**RuleDriven.options, "alpha": positive, "c": number}
