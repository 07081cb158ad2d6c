"""An actor-critic under PPO (paper, Section 5, Figure 3): the pendulum's swing-up.

python -m experiments.ppo method=adamloss b0=200 seed=0
python -m experiments.ppo b0=[1,200] seed=[0,1,2]                           six runs, one after the other
python -m experiments.ppo sweep=figure_3                                    the sweep behind Figure 3
python -m experiments.ppo env=dm_control/cartpole-swingup-v0 gamma=0.99     needs dm-control, shimmy and imageio
"""

from collections.abc import Iterator
from functools import partial
from itertools import product
from typing import Annotated, Any, Literal

import numpy as np
import torch
from pydantic import BeforeValidator, Field, model_validator

from experiments.methods import ADAM_FAMILY
from experiments.optimizers import make
from experiments.ppo.agent import VALUE_GAIN, Actor, Agent, Network
from experiments.ppo.envs import chosen
from experiments.runs.checkpoint import Checkpoint
from experiments.runs.identity import code_hash
from experiments.runs.schema import Count, Experiment, Outcome, Positive, PositiveList, Progress, SeedList, nested
from experiments.runs.store import Run

NAME = "ppo"
LAST = 48  # episodes whose mean is the final return: three of each of 16 environments
Share = Annotated[float, Field(ge=0, le=1)]


class Ppo(Experiment):
    """One job: all combinations of ``b0`` and ``seed`` for one method in one environment.

    A rollout is ``steps`` steps of ``envs`` environments; there are as many as ``frames`` needs. All methods and b0
    share what a seed draws. The fields are explained in configs/experiment/ppo.yaml.
    """

    method: Annotated[Any, nested("method", ADAM_FAMILY.get, tuple(ADAM_FAMILY))]
    env: Annotated[Any, BeforeValidator(chosen)]
    fed: Literal["own", "joint"]
    reward_scale: Positive
    b0: PositiveList
    seed: SeedList
    eta: Positive
    frames: Count
    envs: Count
    steps: Count
    epochs: Count
    batch: Annotated[int, Field(ge=2)]
    gamma: Share
    lam: Share
    clip: Positive
    actor: list[Count]
    critic: list[Count]

    @model_validator(mode="after")
    def _fits_together(self) -> "Ppo":
        if self.envs * self.steps % self.batch:
            raise ValueError(f"batch={self.batch}: should divide a rollout of envs * steps = {self.envs * self.steps}")
        return self

    def runs(self) -> list[Run]:
        """Return one run per (b0, seed)."""
        code = code_hash(__name__)
        common = self.model_dump()
        env = getattr(self.env, "id", self.env.name).rpartition("/")[2]
        return [
            Run(
                experiment=NAME,
                label=f"{self.method.name}_{env}_{self.fed}_b0={b0:g}_seed={seed}",
                config=common | {"b0": b0, "seed": seed},
                code=code,
                data="none",
            )
            for b0, seed in product(self.b0, self.seed)
        ]

    def execute(self, runs: list[Run], progress: Progress) -> Iterator[Outcome]:
        """Train one agent after the other."""
        torch.set_num_threads(1)
        for run in runs:
            yield self._train(run, progress)

    def agent(self, b0: float, seed: int) -> Agent:
        """Make a new agent in new environments."""
        rng = np.random.default_rng(seed)
        generator = torch.Generator().manual_seed(int(rng.integers(2**63)))
        envs = self.env.build(self.envs, rng)
        actor = Actor(envs.size, self.actor, len(envs.low), generator)
        critic = Network(envs.size, self.critic, 1, VALUE_GAIN, generator)
        fed = {"joint": [*actor.parameters, *critic.parameters]}
        if self.fed == "own":
            fed = {"actor": actor.parameters, "critic": critic.parameters}
        optimizers = {
            name: make(self.method, parameters, eta=self.eta, b0=b0, fused=True) for name, parameters in fed.items()
        }
        same = {name: getattr(self, name) for name in ("reward_scale", "steps", "epochs", "batch")}
        same |= {name: getattr(self, name) for name in ("gamma", "lam", "clip")}
        return Agent(actor, critic, optimizers, envs, generator=generator, **same)

    def _train(self, run: Run, progress: Progress) -> Outcome:
        b0, seed = run.config["b0"], run.config["seed"]
        rollouts = -(-self.frames // (self.envs * self.steps))
        bar = partial(progress, desc=f"{self.method.name} b0={b0:g} seed={seed}", unit="rollout")
        finite, history, returns = self.agent(b0, seed).train(rollouts, Checkpoint(run), bar)
        results = {
            "episodes": len(returns),
            "final_return": float(np.mean(returns[-LAST:])) if returns and finite else None,
        }
        return Outcome(run, history, results, finite)


EXPERIMENT = Ppo
