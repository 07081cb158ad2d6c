"""The paper's methods as PyTorch optimizers: the step-size rules of ``adaloss.stepsizes`` under torch's own updates."""

from adaloss.optim.adagrad_norm import AdaGradNorm
from adaloss.optim.adaloss import AdaLoss, AdamLoss
from adaloss.optim.baselines import AdamSqrt, SGDConstant, SGDDecaySqrt
from adaloss.optim.loss_driven import LossDriven

__all__ = [
    "AdaGradNorm",
    "AdaLoss",
    "AdamLoss",
    "AdamSqrt",
    "LossDriven",
    "SGDConstant",
    "SGDDecaySqrt",
]
