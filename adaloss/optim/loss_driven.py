"""Any torch optimizer under the AdaLoss rule."""

from typing import Any, ClassVar

from adaloss import stepsizes
from adaloss.arguments import number
from adaloss.optim.groups import positive
from adaloss.optim.rule_driven import RuleDriven


class LossDriven(RuleDriven):
    r"""Drives any torch optimizer by the AdaLoss rule (Algorithm 1).

    Mixed in before it::

        class AdaLossMuon(LossDriven, torch.optim.Muon): ...

        optimizer = AdaLossMuon(matrices, lr=0.02, b0=1.0)

    .. math:: b_{t+1}^2 = b_t^2 + \alpha\,|f_t(w_t) - c|, \qquad \text{the group's learning rate} = \eta / b_{t+1}

    The loss gets in by one of three ways, for three kinds of training loop::

        optimizer.step(closure)      # the closure computes the loss and its gradient, and returns the loss
        optimizer.step(loss=loss)    # after loss.backward()
        optimizer.observe(loss)      # ... and a bare optimizer.step() later, called by whoever owns the loop

    Gradients accumulated over several micro-batches: ``observe`` each one's loss, then step once; the rule sees their
    mean, weighted by ``weight`` (their sizes, say). In a process group the mean is taken over all ranks, for a b of its
    own on each rank would drive the replicas apart.

    Args:
        params, *args, **kwargs: the torch optimizer's; ``lr`` is :math:`\eta`, and may differ between groups.
        b0: :math:`b_0 > 0`. The step is :math:`\eta / b`, so :math:`b / \eta` has the unit of a curvature.
        alpha: :math:`\alpha > 0`, how fast b grows; 1 if left out.
        c: the loss's optimal value :math:`f^*` where it is known and not 0.
        nonfinite: what a loss that is NaN or infinite does: ``"raise"`` (if left out) a RuntimeError that names the
            step, or ``"skip"`` the step. Either way parameters, the optimizer's state and b stay as they were.
        process_group: over which the loss is averaged; None is the default group if torch.distributed is initialised,
            False is none.

    Where the torch optimizer has an argument of the same name (RMSprop and ASGD have an ``alpha``), that name is the
    torch optimizer's, and the rule's is ``loss_alpha``.

    Raises TypeError or ValueError, naming the argument, for a value that cannot be used, and TypeError for a class over
    LBFGS or Rprop, which use no learning rate once a step.
    """

    rule = staticmethod(stepsizes.adaloss)
    of_loss = True
    hyper: ClassVar[dict[str, Any]] = {"alpha": 1.0, "c": 0.0}
    options: ClassVar[dict[str, Any]] = {**RuleDriven.options, "alpha": positive, "c": number}
