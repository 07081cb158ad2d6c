"""PPO's training loop: collect T steps of n environments, then some epochs of minibatches over them, and again.

Actor and critic share no parameter: the gradient of the sum of their losses is each network's own.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch

from experiments.optimizers import take
from experiments.ppo.envs import Envs
from experiments.ppo.networks import Actor, Network, actor_loss, advantages, critic_loss
from experiments.runs.checkpoint import Checkpoint

NETWORKS = ("actor", "critic")
COLUMNS = (
    *(f"{name}_loss" for name in NETWORKS),
    *(f"{name}_step" for name in NETWORKS),
    "episode_return",
    "episodes",
)


class Rows(NamedTuple):
    """m steps: what was seen (m, o) and done (m, a), its log-probability then, advantage and target of V (m,)."""

    seen: np.ndarray
    actions: np.ndarray
    log_prob: np.ndarray
    advantage: np.ndarray
    returns: np.ndarray


class Trainer:
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
        """Whether all stayed finite, one row per minibatch, and the returns of all episodes in the order they ended.

        The row of a loss that is not finite is the last one and has no steps. The last row of a rollout has the mean
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
        with np.errstate(over="ignore", invalid="ignore"):  # found by what comes of them
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

    def collect(self) -> tuple[Rows, list[float]]:
        """T steps of all environments, T n rows; and the returns of the episodes that ended."""
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
        return Rows(observed, acted, self.actor.log_prob(observed, acted), *targets), ended

    def step(self, rows: Rows) -> list[float]:
        """One step of actor and critic: the losses before it and the steps' sizes, nan where none was taken."""
        log_prob = self.actor.log_prob(rows.seen, rows.actions)
        of_actor, by_log_prob = actor_loss(log_prob, rows.log_prob, rows.advantage, self.clip)
        of_critic, by_value = critic_loss(self.critic.forward(rows.seen)[:, 0], rows.returns)
        total = of_actor + of_critic
        if not math.isfinite(total):
            return [of_actor, of_critic, math.nan, math.nan]
        self.actor.backward(by_log_prob)
        self.critic.backward(by_value[:, None])
        losses = {"actor": of_actor, "critic": of_critic, "joint": total}
        steps = {name: take(optimizer, losses[name]) for name, optimizer in self.optimizers.items()}
        return [of_actor, of_critic, *(steps[name if name in steps else "joint"] for name in NETWORKS)]

    def _update(self, data: Rows, rows: list[list[float]]) -> bool:
        """Go over the data ``epochs`` times in minibatches; whether losses and parameters stayed finite."""
        for _ in range(self.epochs):
            order = torch.randperm(len(data.seen), generator=self.generator).numpy().reshape(-1, self.batch)
            for minibatch in zip(*(part[order] for part in data), strict=True):
                rows.append([*self.step(Rows(*minibatch)), math.nan, 0])
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
