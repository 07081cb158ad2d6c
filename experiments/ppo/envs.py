"""Several copies of one environment, stepped together: the pendulum on arrays, anything else through gymnasium.

An episode that ends is followed at once by the next one, and the observation it ended with is returned with it.
``state`` is made of tensors, numbers, strings, lists and dictionaries; after ``load_state`` the same actions bring the
same observations to the last bit.
"""

from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Literal, Protocol

import gymnasium
import numpy as np
import torch

from experiments.runs.schema import Strict

BEHIND = {"dm_control": ("dm-control", "shimmy", "imageio")}  # the packages that register a namespace of gymnasium's


@dataclass(frozen=True)
class Step:
    """The result of one step of n environments; o is the length of an observation.

    ``seen`` (n, o) is what the next action answers to; ``final`` (n, o) what this action led to, which is the same
    except where the episode ended.
    """

    seen: np.ndarray
    reward: np.ndarray
    terminated: np.ndarray
    truncated: np.ndarray
    final: np.ndarray


class Envs(Protocol):
    """n environments; ``low`` and ``high`` (a,) bound the actions, ``size`` is o."""

    size: int
    low: np.ndarray
    high: np.ndarray

    def start(self) -> np.ndarray:
        """Begin n episodes; return the observations (n, o)."""

    def step(self, actions: np.ndarray) -> Step:
        """Take actions (n, a), within the bounds."""

    def state(self) -> dict[str, Any]:
        """Return what ``load_state`` needs to go on from here."""

    def load_state(self, state: dict[str, Any]) -> None:
        """Go on from there."""


class PendulumEnvs:
    """gymnasium's Pendulum-v1: th is the angle, 0 upright; an episode ends by truncation after 200 steps.

    With the torque u the reward is -(th^2 + th'^2 / 10 + u^2 / 1000), th in [-pi, pi), and
    th' <- clip(th' + (3 g / (2 l) sin th + 3 u / (m l^2)) dt, -8, 8), th <- th + th' dt. The expressions are
    gymnasium's, in its order and precision. The start is uniform in [-pi, pi] x [-1, 1].
    """

    size, low, high = 3, np.array([-2.0], dtype=np.float32), np.array([2.0], dtype=np.float32)
    length, max_speed, dt, g, mass, arm = 200, 8.0, 0.05, 10.0, 1.0, 1.0
    start_high = np.array([np.pi, 1.0])

    def __init__(self, n: int, rng: np.random.Generator):
        self.n, self.rng = n, rng

    def start(self) -> np.ndarray:
        """Begin n episodes."""
        self.th, self.thdot = self._drawn()
        self.taken = 0  # of all episodes: they begin and end together
        return self._seen()

    def step(self, actions: np.ndarray) -> Step:
        """Take the torques (n, 1)."""
        u = actions[:, 0]
        angle = ((self.th + np.pi) % (2 * np.pi)) - np.pi
        costs = angle**2 + 0.1 * self.thdot**2 + 0.001 * (u**2)
        pull = 3 * self.g / (2 * self.arm) * np.sin(self.th) + 3.0 / (self.mass * self.arm**2) * u
        self.thdot = np.clip(self.thdot + pull * self.dt, -self.max_speed, self.max_speed)
        self.th = self.th + self.thdot * self.dt
        self.taken += 1
        final = seen = self._seen()
        over = self.taken == self.length
        if over:
            seen = self.start()
        return Step(seen, -costs, np.zeros(self.n, bool), np.full(self.n, over), final)

    def state(self) -> dict[str, Any]:
        """Return angles, speeds, the episodes' age and the generator of their starts."""
        return {
            "th": torch.from_numpy(self.th),
            "thdot": torch.from_numpy(self.thdot),
            "taken": self.taken,
            "rng": self.rng.bit_generator.state,
        }

    def load_state(self, state: dict[str, Any]) -> None:
        """Go on from there."""
        self.th, self.thdot, self.taken = state["th"].numpy(), state["thdot"].numpy(), state["taken"]
        self.rng.bit_generator.state = state["rng"]

    def _drawn(self) -> np.ndarray:
        """Draw angles and speeds, (2, n)."""
        return self.rng.uniform(low=-self.start_high, high=self.start_high, size=(self.n, 2)).T

    def _seen(self) -> np.ndarray:
        return np.stack([np.cos(self.th), np.sin(self.th), self.thdot], axis=1, dtype=np.float32)


class GymnasiumEnvs:
    """Any environment of gymnasium's with numbers as observations and bounded numbers as actions.

    gymnasium's own vector environments have no state that could be saved. Here every episode begins with a seed of its
    own; that seed and the actions since are the state, and ``load_state`` takes those actions again.
    """

    def __init__(self, id: str, n: int, rng: np.random.Generator):
        self.envs, self.rng = [made(id) for _ in range(n)], rng
        self.size = self.envs[0].observation_space.shape[0]
        space = self.envs[0].action_space
        self.low, self.high = space.low, space.high

    def start(self) -> np.ndarray:
        """Begin n episodes."""
        self.seeds, self.actions = [0] * len(self.envs), [[] for _ in self.envs]
        return np.stack([self._start(k) for k in range(len(self.envs))])

    def step(self, actions: np.ndarray) -> Step:
        """Take the actions (n, a)."""
        rows = []
        for k, (env, action) in enumerate(zip(self.envs, actions, strict=True)):
            final, reward, terminated, truncated, _ = env.step(action)
            self.actions[k].append(torch.from_numpy(action.copy()))
            seen = self._start(k) if terminated or truncated else final
            rows.append((seen, reward, terminated, truncated, final))
        return Step(*map(np.stack, zip(*rows, strict=True)))

    def state(self) -> dict[str, Any]:
        """Return seed and actions of the episodes under way, and the generator of the seeds."""
        actions = [list(of_one) for of_one in self.actions]
        return {"seeds": list(self.seeds), "actions": actions, "rng": self.rng.bit_generator.state}

    def load_state(self, state: dict[str, Any]) -> None:
        """Replay the episodes under way."""
        self.seeds, self.actions = state["seeds"], state["actions"]
        for env, seed, actions in zip(self.envs, self.seeds, self.actions, strict=True):
            env.reset(seed=seed)
            for action in actions:
                env.step(action.numpy())
        self.rng.bit_generator.state = state["rng"]

    def _start(self, k: int) -> np.ndarray:
        self.seeds[k], self.actions[k] = int(self.rng.integers(2**31)), []
        return self.envs[k].reset(seed=self.seeds[k])[0]


def made(id: str) -> gymnasium.Env:
    """Make one environment, its observations flat. Raises ValueError, one line, if there is none or it does not fit."""
    needed = BEHIND.get(id.partition("/")[0], ())
    try:
        for package in needed:
            version(package)
    except PackageNotFoundError:
        raise ValueError(f"needs the packages {', '.join(needed)} (pip install {' '.join(needed)})") from None
    if id.startswith("dm_control/"):
        import shimmy  # noqa: F401  registers them
    try:
        env = gymnasium.make(id, disable_env_checker=True)
    except gymnasium.error.Error as error:
        raise ValueError(str(error).splitlines()[0]) from None
    if not isinstance(env.observation_space, gymnasium.spaces.Box) or len(env.observation_space.shape) != 1:
        env = gymnasium.wrappers.FlattenObservation(env)
    space = env.action_space
    if not isinstance(space, gymnasium.spaces.Box) or len(space.shape) != 1 or not space.is_bounded():
        raise ValueError(f"actions should be a vector between bounds, here they are {space}")
    return env


@cache
def _checked(id: str) -> str:
    made(id).close()
    return id


class Pendulum(Strict):
    """The pendulum on arrays."""

    name: Literal["pendulum"]

    def build(self, n: int, rng: np.random.Generator) -> Envs:
        """Make ``n`` environments."""
        return PendulumEnvs(n, rng)


class Gymnasium(Strict):
    """The environment that gymnasium knows as ``id``."""

    name: Literal["gymnasium"]
    id: str

    def build(self, n: int, rng: np.random.Generator) -> Envs:
        """Make ``n`` environments."""
        return GymnasiumEnvs(self.id, n, rng)


def chosen(id: Any) -> Pendulum | Gymnasium:
    """Return the environment that is called ``pendulum``, or ``id`` in gymnasium. Raises ValueError as ``made``."""
    if id == "pendulum":
        return Pendulum(name=id)
    if not isinstance(id, str):
        raise ValueError("should be pendulum, or an id of gymnasium's")
    return Gymnasium(name="gymnasium", id=_checked(id))
