r"""PPO's agent: actor and critic, their losses, rollouts and updates.

Collect T steps of n environments, then go over them in minibatches for some epochs, and again. Actor and critic share
no parameter: the gradient of the sum of their losses is each network's own.

Networks this small spend their time between torch's operations, and in its tanh: forward and backward are written out
on NumPy arrays, in float32, and a step takes less than half as long. The arrays share memory with torch tensors, whose
``grad`` is filled by ``backward``, so that any torch optimizer steps them. m is the number of rows.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import nn

from experiments.optimizers import take
from experiments.ppo.envs import Envs
from experiments.runs.checkpoint import Checkpoint

NETWORKS = ("actor", "critic")
COLUMNS = (
    *(f"{name}_loss" for name in NETWORKS),
    *(f"{name}_step" for name in NETWORKS),
    *(f"{name}_b" for name in NETWORKS),
    "episode_return",
    "episodes",
)
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
        """Map (m, inputs) to (m, outputs)."""
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
        r"""Return the log-probabilities (m,) of actions (m, a) at observations (m, o).

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
    """Return the values and the (new) gradients of parameters, as arrays on the same memory."""
    for parameter in parameters:
        parameter.grad = torch.zeros_like(parameter)
    return [p.numpy() for p in parameters], [p.grad.numpy() for p in parameters]


def actor_loss(log_prob: np.ndarray, old: np.ndarray, advantage: np.ndarray, clip: float) -> tuple[float, np.ndarray]:
    r"""Return PPO's clipped objective, negated, and its gradient by ``log_prob``; all arrays are (m,).

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
    """Return half the mean squared error and its gradient by ``value``; all arrays are (m,)."""
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
    r"""Return generalized advantage estimates of T steps of n environments; all arguments and the result are (T, n).

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


class Transitions(NamedTuple):
    """m steps: what was seen (m, o) and done (m, a), its log-probability then, advantage and target of V (m,)."""

    seen: np.ndarray
    actions: np.ndarray
    log_prob: np.ndarray
    advantage: np.ndarray
    returns: np.ndarray


class Agent:
    """Actor, critic and their optimizers in n environments.

    There are an optimizer "actor" and one "critic", whose rules see the loss of their network as |f(w_t)|; or one,
    "joint", of both, whose rule sees the sum. Rewards are multiplied by ``reward_scale`` for the losses; reported
    returns are sums of the environment's own.
    """

    def __init__(
        self,
        actor: Actor,
        critic: Network,
        optimizers: Mapping[str, torch.optim.Optimizer],
        envs: Envs,
        *,
        reward_scale: float,
        steps: int,
        epochs: int,
        batch: int,
        gamma: float,
        lam: float,
        clip: float,
        generator: torch.Generator,
    ):
        self.actor, self.critic, self.optimizers, self.envs = actor, critic, optimizers, envs
        self.parameters = [*actor.parameters, *critic.parameters]
        self.reward_scale, self.steps, self.epochs, self.batch = reward_scale, steps, epochs, batch
        self.gamma, self.lam, self.clip, self.generator = gamma, lam, clip, generator

    def train(
        self, rollouts: int, checkpoint: Checkpoint, progress: Callable[[Iterable], Iterable]
    ) -> tuple[bool, pd.DataFrame, list[float]]:
        """Return whether all stayed finite, a row per minibatch, and the episodes' returns in the order they ended.

        The row of a non-finite loss is the last one and has no steps. The last row of a rollout has the mean
        return and the number of the episodes that ended in it.
        """
        rows, returns, finite = [], [], True
        found = checkpoint.load()
        if found is None:
            self.seen = self.envs.start()
            self.so_far = np.zeros(len(self.seen))
        else:
            rows, returns = self._resume(found)
        frames = self.steps * len(self.seen)
        per_rollout = self.epochs * frames // self.batch
        with np.errstate(over="ignore", invalid="ignore"):  # found by the result
            for _ in progress(range(len(rows) // per_rollout, rollouts)):
                data, ended = self.collect()
                finite = self._update(data, rows)
                returns += ended
                rows[-1][-2:] = [float(np.mean(ended)) if ended else math.nan, len(ended)]
                if not finite:
                    break
                checkpoint.keep(lambda returns=returns: self._state(rows, returns))
        history = pd.DataFrame(rows, columns=COLUMNS)
        history.insert(0, "iteration", range(1, len(rows) + 1))
        history.insert(1, "frames", (1 + (history["iteration"] - 1) // per_rollout) * frames)
        return finite, history, returns

    def collect(self) -> tuple[Transitions, list[float]]:
        """Take T steps in all environments: T n rows; and the returns of the episodes that ended."""
        n = len(self.seen)
        noise = torch.randn(self.steps, n, len(self.envs.low), generator=self.generator).numpy()
        noise *= np.exp(self.actor.log_std)
        seen, actions, taken, ended = [], [], [], []
        for t in range(self.steps):
            seen.append(self.seen.astype(np.float32))
            actions.append(self.actor.mean.forward(seen[-1]) + noise[t])
            taken.append(self.envs.step(np.clip(actions[-1], self.envs.low, self.envs.high)))
            self.seen = taken[-1].seen
            self.so_far += taken[-1].reward
            over = taken[-1].terminated | taken[-1].truncated
            ended += self.so_far[over].tolist()
            self.so_far[over] = 0.0
        observed, acted = np.concatenate(seen), np.concatenate(actions)
        final = np.concatenate([step.final for step in taken], dtype=np.float32)
        values, following = (self.critic.forward(part).reshape(-1, n).astype(float) for part in (observed, final))
        rewards, terminated, truncated = (
            np.stack([getattr(step, name) for step in taken]) for name in ("reward", "terminated", "truncated")
        )
        rewards = self.reward_scale * rewards
        advantage = advantages(rewards, values, following, terminated, truncated, self.gamma, self.lam)
        targets = (part.reshape(-1).astype(np.float32) for part in (advantage, advantage + values))
        return Transitions(observed, acted, self.actor.log_prob(observed, acted), *targets), ended

    def step(self, rows: Transitions) -> list[float]:
        """Take one step of actor and critic; return losses before it, steps and b, nan where none was taken."""
        log_prob = self.actor.log_prob(rows.seen, rows.actions)
        of_actor, by_log_prob = actor_loss(log_prob, rows.log_prob, rows.advantage, self.clip)
        of_critic, by_value = critic_loss(self.critic.forward(rows.seen)[:, 0], rows.returns)
        total = of_actor + of_critic
        if not math.isfinite(total):
            return [of_actor, of_critic, *[math.nan] * 4]
        self.actor.backward(by_log_prob)
        self.critic.backward(by_value[:, None])
        losses = {"actor": of_actor, "critic": of_critic, "joint": total}
        taken = {name: take(optimizer, losses[name]) for name, optimizer in self.optimizers.items()}
        steps, b = zip(*(taken[name if name in taken else "joint"] for name in NETWORKS), strict=True)
        return [of_actor, of_critic, *steps, *b]

    def _update(self, data: Transitions, rows: list[list[float]]) -> bool:
        """Go over the data ``epochs`` times in minibatches; return whether losses and parameters stayed finite."""
        for _ in range(self.epochs):
            order = torch.randperm(len(data.seen), generator=self.generator).numpy().reshape(-1, self.batch)
            for minibatch in zip(*(part[order] for part in data), strict=True):
                rows.append([*self.step(Transitions(*minibatch)), math.nan, 0])
                if math.isnan(rows[-1][2]):
                    return False
        return all(bool(parameter.isfinite().all()) for parameter in self.parameters)

    def _state(self, rows: list[list[float]], returns: list[float]) -> dict[str, Any]:
        return {
            "parameters": self.parameters,
            "optimizers": {name: optimizer.state_dict() for name, optimizer in self.optimizers.items()},
            "generator": self.generator.get_state(),
            "envs": self.envs.state(),
            "seen": torch.from_numpy(self.seen),
            "so_far": torch.from_numpy(self.so_far),
            "rows": rows,
            "returns": returns,
        }

    def _resume(self, found: dict[str, Any]) -> tuple[list[list[float]], list[float]]:
        for parameter, value in zip(self.parameters, found["parameters"], strict=True):
            parameter.copy_(value)
        for name, optimizer in self.optimizers.items():
            optimizer.load_state_dict(found["optimizers"][name])
        self.generator.set_state(found["generator"])
        self.envs.load_state(found["envs"])
        self.seen, self.so_far = found["seen"].numpy(), found["so_far"].numpy()
        return found["rows"], found["returns"]
