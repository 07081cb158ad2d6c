"""PPO: advantages, losses and the update against literal ones, what a configuration may say."""

import math

import numpy as np
import pytest
import torch

from experiments.ppo.agent import Actor, Agent, Network, actor_loss, advantages, critic_loss
from experiments.ppo.envs import Step
from experiments.ppo.experiment import Ppo
from experiments.runs.schema import validated
from tests.experiments.launch import executed, nothing_kept

VALUES = {
    "method": {"name": "adamloss", "alpha": 1.0, "c": 0.0},
    "env": "pendulum",
    "fed": "joint",
    "reward_scale": 1.0,
}
VALUES |= {"b0": 200.0, "seed": 0, "eta": 1.0, "frames": 320, "envs": 4, "steps": 40, "epochs": 2, "batch": 32}
VALUES |= {"gamma": 0.9, "lam": 0.95, "clip": 0.2, "actor": [8], "critic": [8, 8]}


def ppo(**changed):
    return validated(Ppo, VALUES | changed)


def begun(agent):
    agent.seen = agent.envs.start()
    agent.so_far = np.zeros(len(agent.seen))
    return agent


# Advantages


def test_advantages_are_the_plain_sums():
    """Each as the sum of (gamma lambda)^k delta_{t+k} up to the end of its episode, literally."""
    rng = np.random.default_rng(0)
    shape, gamma, lam = (50, 3), 0.97, 0.9
    rewards, values, following = rng.normal(size=(3, *shape))
    terminated, truncated = rng.random(size=(2, *shape)) < 0.1
    assert (terminated & truncated).any() and (terminated & ~truncated).any() and (truncated & ~terminated).any()
    found = advantages(rewards, values, following, terminated, truncated, gamma, lam)
    for t, n in np.ndindex(shape):
        total, weight = 0.0, 1.0
        for k in range(t, shape[0]):
            ahead = 0.0 if terminated[k, n] else following[k, n]
            total += weight * (rewards[k, n] + gamma * ahead - values[k, n])
            if terminated[k, n] or truncated[k, n]:
                break
            weight *= gamma * lam
        assert found[t, n] == pytest.approx(total, rel=1e-12)


# Policy, losses, update


def literally(network, parameters, x):
    """The network written out in torch; weights and biases alternate in ``parameters``."""
    for weight, bias in zip(parameters[:-2:2], parameters[1:-2:2], strict=True):
        x = torch.tanh(torch.nn.functional.linear(x, weight, bias))
    assert len(parameters) == 2 * len(network.weights)
    return torch.nn.functional.linear(x, *parameters[-2:])


def grown(parameters):
    return [parameter.detach().clone().requires_grad_() for parameter in parameters]


def test_networks_and_their_gradients_are_torchs():
    """The plain output of one; the log-probability of the other, which is that of the normal distribution."""
    net, seen = Network(3, [8, 5], 2, 1.0, torch.Generator().manual_seed(0)), torch.randn(7, 3)
    actor, actions = Actor(3, [8], 2, torch.Generator().manual_seed(0)), torch.randn(7, 2)
    for parameter in (*net.parameters, actor.parameters[-1]):
        parameter += 0.1 * torch.randn(parameter.shape)
    for model, ours, weight in (
        (net, net.forward(seen.numpy()), torch.randn(7, 2)),
        (actor, actor.log_prob(seen.numpy(), actions.numpy()), torch.randn(7)),
    ):
        twins = grown(model.parameters)
        if model is net:
            theirs = literally(net, twins, seen)
        else:
            normal = torch.distributions.Normal(literally(actor.mean, twins[:-1], seen), twins[-1].exp())
            theirs = normal.log_prob(actions).sum(dim=1)
        torch.testing.assert_close(torch.from_numpy(ours), theirs.detach())
        (theirs * weight).sum().backward()
        model.backward(weight.numpy())
        for parameter, twin in zip(model.parameters, twins, strict=True):
            torch.testing.assert_close(parameter.grad, twin.grad, rtol=1.3e-6 if model is net else 1e-4, atol=1e-5)


def test_the_losses_are_the_literal_ones():
    new, old, advantage, value, returns = np.random.default_rng(0).normal(size=(5, 64))
    theirs = torch.tensor(new, requires_grad=True)
    ratio, scale = torch.exp(theirs - torch.tensor(old)), torch.tensor(advantage)
    scale = (scale - scale.mean()) / (scale.std() + 1e-8)
    clipped = torch.clamp(ratio, 0.8, 1.2) * scale
    assert 10 < (clipped < ratio * scale).sum() < 54
    loss = -torch.min(ratio * scale, clipped).mean()
    found, slope = actor_loss(new, old, advantage, clip=0.2)
    assert found == pytest.approx(loss.item(), rel=1e-12)
    np.testing.assert_allclose(slope, torch.autograd.grad(loss, theirs)[0], rtol=1e-12)
    found, slope = critic_loss(value, returns)
    assert found == pytest.approx(sum((value - returns) ** 2) / 128, rel=1e-12)
    np.testing.assert_allclose(slope, (value - returns) / 64, rtol=1e-12)


def test_networks_start_orthogonal():
    net = Network(3, [8, 8], 1, 0.01, torch.Generator().manual_seed(0))
    assert [tuple(p.shape) for p in net.parameters] == [(8, 3), (8,), (8, 8), (8,), (1, 8), (1,)]
    torch.testing.assert_close(net.parameters[2] @ net.parameters[2].T, 2 * torch.eye(8))
    assert net.parameters[4].norm().item() == pytest.approx(0.01) and not any(p.any() for p in net.parameters[1::2])


@pytest.mark.parametrize("fed", ["own", "joint"])
def test_a_rollouts_steps_are_those_of_a_plain_loop(fed):
    """torch.distributions, mse_loss, autograd and Algorithm 2 written out, on the same rollout in the same order."""
    agent = begun(ppo(fed=fed, eta=0.5).agent(50.0, 3))
    data, _ = agent.collect()
    of_actor = len(agent.actor.parameters)
    parameters = grown(agent.parameters)
    *of_mean, log_std = parameters[:of_actor]
    order = torch.Generator()
    order.set_state(agent.generator.get_state())
    moments = [(torch.zeros_like(p), torch.zeros_like(p)) for p in parameters]
    b, b_critic, expected = 50.0, 50.0, []
    for t, chosen in enumerate((c for _ in range(2) for c in torch.randperm(160, generator=order).split(32)), start=1):
        seen, actions, old, advantage, returns = (torch.from_numpy(part)[chosen] for part in data)
        normal = torch.distributions.Normal(literally(agent.actor.mean, of_mean, seen), log_std.exp())
        ratio = torch.exp(normal.log_prob(actions).sum(1) - old)
        advantage = (advantage - advantage.mean()) / (advantage.std() + 1e-8)
        actors = -torch.min(ratio * advantage, torch.clamp(ratio, 0.8, 1.2) * advantage).mean()
        values = literally(agent.critic, parameters[of_actor:], seen)[:, 0]
        critics = 0.5 * torch.nn.functional.mse_loss(values, returns)
        losses = [actors.item(), critics.item()]
        b += abs(sum(losses) if fed == "joint" else losses[0])
        b_critic = b if fed == "joint" else b_critic + losses[1]
        steps = [0.5 / math.sqrt(b), 0.5 / math.sqrt(b_critic)]
        expected.append([*losses, *steps])
        gradients = torch.autograd.grad(actors + critics, parameters)
        with torch.no_grad():
            for k, (p, (m, v), g) in enumerate(zip(parameters, moments, gradients, strict=True)):
                m.mul_(0.9).add_(0.1 * g)
                v.mul_(0.99).add_(0.01 * g * g)
                size = steps[0] if k < of_actor else steps[1]
                p -= size * (m / (1 - 0.9**t)) / ((v / (1 - 0.99**t)).sqrt() + 1e-8)
    rows = []
    assert agent._update(data, rows)
    np.testing.assert_allclose(np.array(rows)[:, :4], expected, rtol=1e-3, atol=1e-5)
    for ours, theirs in zip(agent.parameters, parameters, strict=True):
        torch.testing.assert_close(ours, theirs.detach(), rtol=1e-3, atol=1e-3)


class Counting:
    """Two environments that see (their number, the step); the first ends every 3 steps, the second is cut at 4."""

    size, low, high = 2, np.array([-1.0]), np.array([1.0])

    def start(self):
        self.t = np.zeros(2)
        return self._seen(self.t)

    def step(self, actions):
        assert (abs(actions) <= 1).all()
        reward = 10.0 * np.arange(1, 3) + self.t
        self.t = self.t + 1
        final, over = self._seen(self.t), self.t == [3, 4]
        self.t = np.where(over, 0.0, self.t)
        return Step(self._seen(self.t), reward, over & [True, False], over & [False, True], final)

    def _seen(self, t):
        return np.stack([np.arange(2.0), t], axis=1)


def test_a_rollout_is_put_together_right():
    """V(s) = 100 (environment) + step; so all values are known, and R = A + V by hand with lambda = 0."""
    agent = begun(ppo().agent(1.0, 0))
    agent.envs = Counting()
    agent.critic.forward = lambda seen: 100 * seen[:, :1] + seen[:, 1:]
    agent.actor = Actor(2, [4], 1, torch.Generator().manual_seed(0))
    agent.steps, agent.lam, agent.gamma, agent.reward_scale = 5, 0.0, 0.5, 2.0
    agent.actor.parameters[-1].fill_(math.log(3.0))
    noise = torch.Generator()
    noise.set_state(agent.generator.get_state())
    data, ended = begun(agent).collect()
    drawn = (data.actions - agent.actor.mean.forward(data.seen)) / 3.0
    np.testing.assert_allclose(drawn, torch.randn(5, 2, 1, generator=noise).flatten(0, 1), rtol=0, atol=1e-6)
    assert data.seen.reshape(5, 2, 2)[:, :, 1].T.tolist() == [[0, 1, 2, 0, 1], [0, 1, 2, 3, 0]]
    # reward 2 (10 + t), then half of V(t + 1); the third step ends for good
    assert data.returns.reshape(5, 2)[:, 0].tolist() == [20 + 0.5, 22 + 1, 24, 20 + 0.5, 22 + 1]
    # reward 2 (20 + t), then half of V = 100 + t + 1, of the final observation where it is cut
    assert data.returns.reshape(5, 2)[:, 1].tolist() == [90.5, 93.0, 95.5, 98.0, 90.5]
    assert ended == [10 + 11 + 12, 20 + 21 + 22 + 23]
    assert agent.so_far.tolist() == [10 + 11, 20]
    assert (data.log_prob == agent.actor.log_prob(data.seen, data.actions)).all()
    assert abs(data.actions).max() > 1  # the environment gets them clipped, the policy keeps its own


def test_rows_epochs_and_adams_steps():
    finite, history, returns = ppo().agent(200.0, 0).train(6, nothing_kept(), iter)
    assert finite and history.actor_step.equals(history.critic_step) and history.critic_loss.iloc[0] > 1
    assert history.iteration.tolist() == list(range(1, 61)) and len(returns) == 4
    assert history.frames.tolist() == [160 * k for k in range(1, 7) for _ in range(10)]
    ends = history.dropna(subset="episode_return")
    assert ends.iteration.tolist() == [50] and ends.episodes.tolist() == [4] and history.episodes.sum() == 4
    assert ends.episode_return.item() == pytest.approx(np.mean(returns)) and -2000 < np.mean(returns) < -100
    adam = ppo(method={"name": "adam"}, b0=1e4, eta=2.0).agent(1e4, 0)
    _, history, _ = adam.train(1, nothing_kept(), iter)
    assert (history.actor_step == 0.02).all() and (history.critic_step == 0.02).all()


def test_what_is_not_finite_ends_the_run():
    agent = ppo().agent(200.0, 0)
    agent.critic.parameters[-1].fill_(math.inf)
    finite, history, _ = agent.train(3, nothing_kept(), iter)
    assert not finite and len(history) == 1 and math.isnan(history.actor_step[0])
    agent = begun(ppo().agent(200.0, 0))
    data, _ = agent.collect()
    agent.step = lambda rows: [1.0, 1.0, 0.1, 0.1, 100.0, 100.0]
    assert agent._update(data, [])
    agent.actor.parameters[-1].fill_(math.nan)  # a parameter
    assert not agent._update(data, [])


def test_what_a_run_saves(monkeypatch):
    made = executed(ppo(frames=900))
    history, results = made.history, made.results
    assert made.run.label == "adamloss_pendulum_joint_b0=200_seed=0" and made.status == "completed"
    assert len(history) == 60 and results["episodes"] == 4  # 900 frames are six rollouts of 160
    assert results["final_return"] == pytest.approx(history.episode_return.dropna().item())
    total = (history.actor_loss + history.critic_loss).abs().cumsum() + 200
    np.testing.assert_allclose(history.actor_step, total**-0.5, rtol=1e-6)
    np.testing.assert_allclose(history.actor_b, total, rtol=1e-14)
    np.testing.assert_allclose(history.critic_b, total, rtol=1e-14)
    made = executed(ppo(frames=900, eta=1e30))
    assert (made.status, made.results) == ("diverged", {"episodes": 0, "final_return": None})
    assert len(made.history) == 2 and math.isnan(made.history.actor_b.iloc[-1])
    monkeypatch.setattr(Agent, "train", lambda *given: (False, made.history, [-100.0]))
    assert executed(ppo()).results == {"episodes": 1, "final_return": None}  # whatever it returned before it diverged
