"""PPO on Pendulum-v1 beside stable-baselines3 with the same hyperparameters: frames per second and final returns.

    python -m tests.benchmarks.ppo

Both train three seeds with Adam in one process on one thread, taking turns: the same networks and first weights'
distribution, 16 environments, rollouts of 2048 frames, Adam's betas and eps, no clipping of gradients. Ours steps the
pendulum on arrays, theirs is gymnasium's in their DummyVecEnv, as a user would have it; so the times of collecting and
of updating are given too. A final return is the mean of the last 48 episodes.
"""

import time
import warnings

import numpy as np
import torch
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf
from threadpoolctl import threadpool_limits

from experiments.optimizers import ADAM_BETAS
from experiments.ppo.experiment import LAST, Ppo
from experiments.runs.app import CONFIGS
from experiments.runs.checkpoint import Checkpoint
from experiments.runs.schema import validated
from experiments.runs.store import Run

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from stable_baselines3 import PPO
    from stable_baselines3.common.callbacks import BaseCallback
    from stable_baselines3.common.env_util import make_vec_env

SEEDS, FRAMES, B0 = (0, 1, 2), 49 * 2048, 1e5  # eta / sqrt(b0) is 0.003


class Returns(BaseCallback):
    """Collects the returns of all episodes, and the time between rollouts."""

    def __init__(self):
        super().__init__()
        self.found, self.collecting = [], 0.0

    def _on_rollout_start(self):
        self.began = time.perf_counter()

    def _on_rollout_end(self):
        self.collecting += time.perf_counter() - self.began

    def _on_step(self):
        self.found += [info["episode"]["r"] for info in self.locals["infos"] if "episode" in info]
        return True


def theirs(config, seed):
    """Final return, seconds in all, seconds of collecting."""
    envs = make_vec_env("Pendulum-v1", n_envs=config.envs, seed=seed)
    model = PPO(
        "MlpPolicy",
        envs,
        learning_rate=config.eta / B0**0.5,
        n_steps=config.steps,
        batch_size=config.batch,
        n_epochs=config.epochs,
        gamma=config.gamma,
        gae_lambda=config.lam,
        clip_range=config.clip,
        max_grad_norm=float("inf"),
        policy_kwargs={
            "net_arch": {"pi": config.actor, "vf": config.critic},
            "optimizer_kwargs": {"betas": ADAM_BETAS, "eps": 1e-8},
        },
        seed=seed,
        device="cpu",
    )
    returns = Returns()
    start = time.perf_counter()
    model.learn(FRAMES, callback=returns)
    assert model.num_timesteps == FRAMES
    return np.mean(returns.found[-LAST:]), time.perf_counter() - start, returns.collecting


def ours(config, seed):
    """Final return, seconds in all, seconds of collecting."""
    agent = config.agent(B0, seed)
    collect, collecting = agent.collect, 0.0

    def timed():
        nonlocal collecting
        began = time.perf_counter()
        found = collect()
        collecting += time.perf_counter() - began
        return found

    agent.collect = timed
    start = time.perf_counter()
    _, _, returns = agent.train(FRAMES // (config.envs * config.steps), Checkpoint(Run("ppo", "", {}, "", "")), iter)
    return np.mean(returns[-LAST:]), time.perf_counter() - start, collecting


def main():
    torch.set_num_threads(1)
    with threadpool_limits(1):
        compare()


def compare():
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        values = OmegaConf.to_container(compose("experiment/ppo", ["method=adam"]), resolve=True)
    config = validated(Ppo, {name: values[name] for name in Ppo.model_fields})
    found = {"ours": [], "stable-baselines3": []}
    for seed in SEEDS:
        found["ours"].append(ours(config, seed))
        found["stable-baselines3"].append(theirs(config, seed))
    print(f"PPO, Pendulum-v1, {FRAMES} frames, Adam with the step {config.eta / B0**0.5:.2g}, seeds {SEEDS}")
    rates, middles, spreads = [], [], []
    for name, rows in found.items():
        returns, seconds, collecting = np.array(rows).T
        rates.append(FRAMES * len(SEEDS) / seconds.sum())
        middles.append(returns.mean())
        spreads.append(np.ptp(returns))
        print(
            f"  {name:<18} {rates[-1]:8.0f} frames/s ({collecting.sum() / seconds.sum():4.0%} of the time collecting); "
            f"final return {returns.mean():.0f}, from {returns.min():.0f} to {returns.max():.0f}"
        )
    print(f"  frames per second: {rates[0] / rates[1]:.1f} times stable-baselines3's (goal: 4)")
    apart = abs(middles[0] - middles[1])
    verdict = "within" if apart <= max(spreads) else "NOT within"
    print(f"  means {apart:.0f} apart, {verdict} the seeds' spread of {max(spreads):.0f}")


if __name__ == "__main__":
    main()
