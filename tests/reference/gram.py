"""The two-layer Gram matrix as its definitions say, without a closed form."""

import numpy as np
import torch


def naive(x):
    """The closed form in one line."""
    k = x @ x.T
    return k * (np.pi - np.arccos(np.clip(k, -1, 1))) / (2 * np.pi)


def monte_carlo(x, samples, rng):
    """Definition 1 as a mean over ``samples`` Gaussian vectors, one loop a pair: O(n^2 samples)."""
    active = x @ rng.normal(size=(x.shape[1], samples)) >= 0
    h = np.empty((len(x), len(x)))
    for i in range(len(x)):
        for j in range(len(x)):
            h[i, j] = (x[i] @ x[j]) * np.mean(active[i] & active[j])
    return h


def first_layer_ntk(x, w, a):
    """<df(x_i)/dW, df(x_j)/dW> by autograd, for f(x) = m^(-1/2) sum_r a_r relu(w_r . x)."""
    w = torch.from_numpy(w).requires_grad_()
    x, a = torch.from_numpy(x), torch.from_numpy(a)
    gradients = []
    for row in x:
        f = (a * torch.relu(w @ row)).sum() / len(w) ** 0.5
        gradients.append(torch.autograd.grad(f, w)[0].flatten())
    gradients = torch.stack(gradients)
    return (gradients @ gradients.T).numpy()
