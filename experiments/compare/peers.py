"""The optimizers that are compared, each a function of its own initial step; all else is its library's default.

What the initial step means for each, and why: docs/compare.md. The libraries are imported when one is made: the extra
``peers`` installs them.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version

import torch
from torch import nn

from adaloss.optim import AdaGradNorm, AdaLoss, AdamLoss

ETA = 1.0  # the default lr of AdaLoss, AdaGradNorm and AdamLoss
Make = Callable[..., torch.optim.Optimizer]  # of the parameters and the initial step


class PeerTrainer:
    """A model under an optimizer; how the optimizer wants to be called is the business of the subclasses."""

    def __init__(self, model: nn.Module, make: Make, step: float):
        self.model = model
        self.optimizer = make(list(model.parameters()), step)

    def update(self, loss: torch.Tensor) -> None:
        """Take one step, after ``loss.backward()``."""
        self.optimizer.step()

    @contextmanager
    def evaluated(self) -> Iterator[nn.Module]:
        """Return the model that the optimizer's authors evaluate."""
        yield self.model


class WithLoss(PeerTrainer):
    """``step(loss=loss)``."""

    def update(self, loss: torch.Tensor) -> None:
        """Take one step that sees the loss."""
        self.optimizer.step(loss=loss)


class WithClosure(PeerTrainer):
    """``step(closure)``, with a closure that only returns the loss: the gradient is there."""

    def update(self, loss: torch.Tensor) -> None:
        """Take one step that sees the loss."""
        self.optimizer.step(loss.item)


class WithModes(PeerTrainer):
    """Trains at one point and evaluates at another: ``train()`` and ``eval()`` move the model between them."""

    def __init__(self, model: nn.Module, make: Make, step: float):
        super().__init__(model, make, step)
        self.optimizer.train()

    @contextmanager
    def evaluated(self) -> Iterator[nn.Module]:
        """Return the averaged point."""
        self.optimizer.eval()
        yield self.model
        self.optimizer.train()


class Averaged(PeerTrainer):
    """DoG's polynomial-decay average of the iterates, which its authors call crucial, with its default."""

    def __init__(self, model: nn.Module, make: Make, step: float):
        from dog import PolynomialDecayAverager

        super().__init__(model, make, step)
        self.averager = PolynomialDecayAverager(model)

    def update(self, loss: torch.Tensor) -> None:
        """Take one step, then update the average."""
        super().update(loss)
        self.averager.step()

    @contextmanager
    def evaluated(self) -> Iterator[nn.Module]:
        """Return the averaged model."""
        yield self.averager.averaged_model


@dataclass(frozen=True)
class Peer:
    """An optimizer of the comparison and the distribution that it comes from; some are told how many steps come."""

    package: str
    make: Make
    trainer: type[PeerTrainer] = PeerTrainer
    told_steps: bool = False

    def start(self, model: nn.Module, step: float, steps: int) -> PeerTrainer:
        """Put the model under this optimizer with the initial step ``step``, for a training of ``steps`` steps."""
        make = partial(self.make, steps=steps) if self.told_steps else self.make
        return self.trainer(model, make, step)

    def installed(self) -> str:
        """Return name and version of the distribution. Raises PackageNotFoundError if it is missing."""
        return f"{self.package} {version(self.package)}"


def _adaloss(params: list[nn.Parameter], step: float) -> torch.optim.Optimizer:
    return AdaLoss(params, lr=ETA, b0=ETA / step)


def _adagrad_norm(params: list[nn.Parameter], step: float) -> torch.optim.Optimizer:
    return AdaGradNorm(params, lr=ETA, b0=ETA / step)


def _adamloss(params: list[nn.Parameter], step: float) -> torch.optim.Optimizer:
    return AdamLoss(params, lr=ETA, b0=(ETA / step) ** 2)


def _like(cls: type, params: list[nn.Parameter], step: float, *, steps: int) -> torch.optim.Optimizer:
    return cls.like(params, lr=step, steps=steps)


def _sgd(params: list[nn.Parameter], step: float) -> torch.optim.Optimizer:
    return torch.optim.SGD(params, lr=step)


def _adam(params: list[nn.Parameter], step: float) -> torch.optim.Optimizer:
    return torch.optim.Adam(params, lr=step)


def _prodigy(params: list[nn.Parameter], step: float) -> torch.optim.Optimizer:
    from prodigyopt import Prodigy

    return Prodigy(params, d0=step)


def _dadapt_sgd(params: list[nn.Parameter], step: float) -> torch.optim.Optimizer:
    from dadaptation import DAdaptSGD

    return DAdaptSGD(params, d0=step)


def _dadapt_adam(params: list[nn.Parameter], step: float) -> torch.optim.Optimizer:
    from dadaptation import DAdaptAdam

    return DAdaptAdam(params, d0=step)


def _dog(params: list[nn.Parameter], step: float) -> torch.optim.Optimizer:
    from dog import DoG

    return DoG(params, reps_rel=step)


def _schedule_free_sgd(params: list[nn.Parameter], step: float) -> torch.optim.Optimizer:
    from schedulefree import SGDScheduleFree

    return SGDScheduleFree(params, lr=step)


def _schedule_free_adamw(params: list[nn.Parameter], step: float) -> torch.optim.Optimizer:
    from schedulefree import AdamWScheduleFree

    return AdamWScheduleFree(params, lr=step)


def _momo(params: list[nn.Parameter], step: float) -> torch.optim.Optimizer:
    from momo import Momo

    return Momo(params, lr=step)


def _momo_adam(params: list[nn.Parameter], step: float) -> torch.optim.Optimizer:
    from momo import MomoAdam

    return MomoAdam(params, lr=step)


def _alig(params: list[nn.Parameter], step: float) -> torch.optim.Optimizer:
    from pytorch_optimizer import AliG

    return AliG(params, max_lr=step)


PEERS = {
    "adaloss": Peer("adaloss", _adaloss, WithLoss),
    "adaloss_like": Peer("adaloss", partial(_like, AdaLoss), WithLoss, told_steps=True),
    "adagrad_norm": Peer("adaloss", _adagrad_norm),
    "sgd": Peer("torch", _sgd),
    "dadapt_sgd": Peer("dadaptation", _dadapt_sgd),
    "dog": Peer("dog-optimizer", _dog, Averaged),
    "schedule_free_sgd": Peer("schedulefree", _schedule_free_sgd, WithModes),
    "momo": Peer("momo-opt", _momo, WithLoss),
    "alig": Peer("pytorch-optimizer", _alig, WithClosure),
    "adamloss": Peer("adaloss", _adamloss, WithLoss),
    "adamloss_like": Peer("adaloss", partial(_like, AdamLoss), WithLoss, told_steps=True),
    "adam": Peer("torch", _adam),
    "prodigy": Peer("prodigyopt", _prodigy),
    "dadapt_adam": Peer("dadaptation", _dadapt_adam),
    "schedule_free_adamw": Peer("schedulefree", _schedule_free_adamw, WithModes),
    "momo_adam": Peer("momo-opt", _momo_adam, WithLoss),
}
