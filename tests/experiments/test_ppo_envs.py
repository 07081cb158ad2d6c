"""The environments of PPO: the pendulum on arrays against gymnasium's, episodes that end, states saved and loaded."""

import math

import gymnasium
import numpy as np
import pytest
import torch

from experiments.ppo import envs as ppo_envs
from experiments.ppo.envs import GymnasiumEnvs, PendulumEnvs


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_pendulum_is_gymnasiums(dtype):
    """Three full episodes, starts included, with torques beyond the bounds clipped as the trainer clips them."""
    theirs = gymnasium.make("Pendulum-v1")
    seen, _ = theirs.reset(seed=5)
    ours = PendulumEnvs(1, gymnasium.utils.seeding.np_random(5)[0])
    np.testing.assert_allclose(ours.start()[0], seen, rtol=0, atol=1e-7)
    rng, episodes = np.random.default_rng(0), 0
    for t in range(1, 601):
        action = rng.normal(0.0, 2.0, size=1).astype(dtype)
        final, reward, terminated, truncated, _ = theirs.step(action)
        step = ours.step(np.clip(action, ours.low, ours.high)[None])
        assert (bool(step.terminated[0]), bool(step.truncated[0])) == (terminated, truncated) == (False, t % 200 == 0)
        assert step.reward[0] == pytest.approx(reward, rel=0, abs=1e-12)
        np.testing.assert_allclose(step.final[0], final, rtol=0, atol=1e-7)  # both are float32
        if truncated:
            episodes += 1
            seen, _ = theirs.reset()
            np.testing.assert_allclose(step.seen[0], seen, rtol=0, atol=1e-7)
        np.testing.assert_allclose([ours.th[0], ours.thdot[0]], theirs.unwrapped.state, rtol=0, atol=1e-12)
    assert episodes == 3


def test_pendulums_are_independent_and_start_uniformly():
    envs, still = (PendulumEnvs(4000, np.random.default_rng(0)) for _ in range(2))
    envs.start(), still.start()
    for values, bound in ((envs.th, math.pi), (envs.thdot, 1.0)):
        counts, _ = np.histogram(values, bins=10, range=(-bound, bound))
        assert abs(values).max() <= bound and abs(counts - 400).max() < 100
    torques = np.zeros((4000, 1))
    torques[7] = 2.0
    envs.step(torques), still.step(np.zeros((4000, 1)))
    assert envs.thdot[7] - still.thdot[7] == pytest.approx(3 * 2.0 * 0.05)
    assert (np.delete(envs.thdot, 7) == np.delete(still.thdot, 7)).all()


BUILDS = {
    "arrays": lambda rng: PendulumEnvs(3, rng),
    "Pendulum-v1": lambda rng: GymnasiumEnvs("Pendulum-v1", 3, rng),
    "MountainCarContinuous-v0": lambda rng: GymnasiumEnvs("MountainCarContinuous-v0", 3, rng),
}


@pytest.mark.parametrize("build", BUILDS.values(), ids=BUILDS)
def test_environments_go_on_from_a_saved_state(build, tmp_path):
    def act(envs, rng, steps):
        return [envs.step(rng.uniform(envs.low, envs.high, size=(3, 1)).astype(np.float32)) for _ in range(steps)]

    first = build(np.random.default_rng(1))
    first.start()
    act(first, np.random.default_rng(2), 250)
    torch.save(first.state(), tmp_path / "state.pt")
    second = build(np.random.default_rng(9))
    second.load_state(torch.load(tmp_path / "state.pt", weights_only=True))
    for ours, theirs in zip(
        act(first, np.random.default_rng(3), 300), act(second, np.random.default_rng(3), 300), strict=True
    ):
        for name in ("seen", "reward", "terminated", "truncated", "final"):
            np.testing.assert_array_equal(getattr(ours, name), getattr(theirs, name))


def test_an_end_by_termination_is_told_from_one_by_time():
    """A car pushed the way it rolls arrives (terminated); one left alone runs out of time (999 steps)."""
    envs = GymnasiumEnvs("MountainCarContinuous-v0", 2, np.random.default_rng(0))
    seen = envs.start()
    ends = {0: [], 1: []}
    for t in range(1, 1000):
        actions = np.array([[np.sign(seen[0, 1]) or 1.0], [0.0]], dtype=np.float32)
        step = envs.step(actions)
        seen = step.seen
        for k in np.flatnonzero(step.terminated | step.truncated):
            ends[k].append((t, bool(step.terminated[k]), bool(step.truncated[k])))
            assert (step.final[k] != step.seen[k]).any() and (k == 1 or step.final[k, 0] >= 0.45)
            assert -0.6 <= step.seen[k, 0] <= -0.4 and step.seen[k, 1] == 0.0  # a start
    assert len(ends[0]) >= 2 and all(end[1:] == (True, False) for end in ends[0])
    assert ends[1] == [(999, False, True)]


def test_the_cartpole_without_its_packages_names_them(monkeypatch):
    def absent(package):
        raise ppo_envs.PackageNotFoundError(package)

    monkeypatch.setattr(ppo_envs, "version", absent)
    with pytest.raises(
        ValueError, match=r"^needs the packages dm-control, shimmy, imageio \(pip install dm-control shi"
    ):
        ppo_envs.made("dm_control/cartpole-swingup-v0")
