r"""Actor and critic, their losses and the gradients of both, on NumPy arrays that share memory with torch tensors.

Networks this small spend their time between torch's operations, and in its tanh: written out on arrays a step takes
less than half as long. The parameters are torch tensors all the same, with a ``grad`` that ``backward`` fills, so that
any torch optimizer steps them. Everything is float32; m is the number of rows.
"""

import math
from itertools import pairwise

import numpy as np
import torch
from torch import nn

HIDDEN_GAIN, ACTION_GAIN, VALUE_GAIN = 2**0.5, 0.01, 1.0  # of the first weights, as stable-baselines3's


class Network:
    """Fully connected, tanh between the layers; at first the weights are orthogonal times a gain, the biases zero."""

    def __init__(self, inputs: int, widths: list[int], outputs: int, gain: float, generator: torch.Generator):
        self.parameters: list[torch.Tensor] = []  # weights (out, in) and biases (out,), layer by layer
        for k, (fan_in, fan_out) in enumerate(pairwise([inputs, *widths, outputs])):
            of_layer = gain if k == len(widths) else HIDDEN_GAIN
            self.parameters.append(nn.init.orthogonal_(torch.empty(fan_out, fan_in), of_layer, generator))
            self.parameters.append(torch.zeros(fan_out))
        values, gradients = shared(self.parameters)
        self.weights, self.biases = values[::2], values[1::2]
        self.gradients = list(zip(gradients[::2], gradients[1::2], strict=True))

    def forward(self, x: np.ndarray) -> np.ndarray:
        """(m, inputs) -> (m, outputs)."""
        self.entered = [x]  # each layer's input, for backward
        for weight, bias in zip(self.weights[:-1], self.biases[:-1], strict=True):
            x = x @ weight.T
            x += bias
            self.entered.append(np.tanh(x, out=x))
        return x @ self.weights[-1].T + self.biases[-1]

    def backward(self, of_output: np.ndarray) -> None:
        """Fill the gradients from that of the last forward's output (m, outputs)."""
        delta = of_output
        for k in reversed(range(len(self.weights))):
            of_weight, of_bias = self.gradients[k]
            np.matmul(delta.T, self.entered[k], out=of_weight)
            delta.sum(axis=0, out=of_bias)
            if k:
                delta = delta @ self.weights[k]
                delta *= 1 - self.entered[k] ** 2


class Actor:
    r"""Gaussian policy: the mean :math:`\mu` is a network's output, :math:`\rho = \log \sigma` a parameter."""

    def __init__(self, inputs: int, widths: list[int], actions: int, generator: torch.Generator):
        self.mean = Network(inputs, widths, actions, ACTION_GAIN, generator)
        log_std = torch.zeros(actions)
        self.parameters = [*self.mean.parameters, log_std]
        [self.log_std], [self.of_log_std] = shared([log_std])

    def log_prob(self, seen: np.ndarray, actions: np.ndarray) -> np.ndarray:
        r"""Of actions (m, a) where (m, o) is seen: (m,).

        .. math:: \log \pi(a | s) = -\sum_j \tfrac12 z_j^2 + \rho_j + \tfrac12 \log 2\pi, \qquad
                  z_j = (a_j - \mu_j(s)) e^{-\rho_j}
        """
        self.z = (actions - self.mean.forward(seen)) * np.exp(-self.log_std)
        return -0.5 * (self.z**2).sum(axis=1) - self.log_std.sum() - 0.5 * math.log(2 * math.pi) * len(self.log_std)

    def backward(self, of_log_prob: np.ndarray) -> None:
        """Fill the gradients from that of the last log-probabilities (m,)."""
        scaled = of_log_prob[:, None] * self.z
        (scaled * self.z).sum(axis=0, out=self.of_log_std)
        self.of_log_std -= of_log_prob.sum()
        self.mean.backward(scaled * np.exp(-self.log_std))


def shared(parameters: list[torch.Tensor]) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """The values and the (new) gradients of parameters, as arrays on the same memory."""
    for parameter in parameters:
        parameter.grad = torch.zeros_like(parameter)
    return [p.numpy() for p in parameters], [p.grad.numpy() for p in parameters]


def actor_loss(log_prob: np.ndarray, old: np.ndarray, advantage: np.ndarray, clip: float) -> tuple[float, np.ndarray]:
    r"""PPO's clipped objective, negated, and its gradient by ``log_prob``; all arrays are (m,).

    .. math:: -\mathrm{mean}\,\min(r A, \mathrm{clip}(r, 1 - \epsilon, 1 + \epsilon) A), \qquad
              r = \pi(a | s) / \pi_{old}(a | s)

    with the advantages A normalised here. Where the clipped term is the lesser one the gradient is 0, else -r A / m.
    """
    m = len(advantage)
    centred = advantage - advantage.sum() / m
    normalised = centred / (math.sqrt(centred @ centred / (m - 1)) + 1e-8)
    ratio = np.exp(log_prob - old)
    free, clipped = ratio * normalised, np.clip(ratio, 1 - clip, 1 + clip) * normalised
    return -float(np.minimum(free, clipped).sum()) / m, np.where(free <= clipped, -free / m, np.float32(0.0))


def critic_loss(value: np.ndarray, returns: np.ndarray) -> tuple[float, np.ndarray]:
    """Half the mean squared error and its gradient by ``value``; all arrays are (m,)."""
    error = value - returns
    return 0.5 * float(error @ error) / len(error), error / len(error)


def advantages(
    rewards: np.ndarray,
    values: np.ndarray,
    following: np.ndarray,
    terminated: np.ndarray,
    truncated: np.ndarray,
    gamma: float,
    lam: float,
) -> np.ndarray:
    r"""Generalized advantage estimates of T steps of n environments; all arguments and the result are (T, n).

    .. math:: \delta_t = r_t + \gamma V(s'_t) [\text{not terminated}] - V(s_t), \qquad
              A_t = \delta_t + \gamma \lambda A_{t+1} [\text{the episode goes on}]

    ``following`` is V(s'), of the state the step led to: of the final one where an episode ended. So what comes after
    a truncation counts by its estimated value, after a termination by 0.
    """
    delta = rewards + gamma * np.where(terminated, 0.0, following) - values
    keep = gamma * lam * ~(terminated | truncated)
    found = np.zeros_like(delta)
    ahead = np.zeros_like(delta[0])
    for t in reversed(range(len(delta))):
        found[t] = ahead = delta[t] + keep[t] * ahead
    return found
