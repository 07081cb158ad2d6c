"""The loops of ``adaloss.simulate.flips``, compiled, with its names: points i and j (n), neurons r (m), cells k.

Compiled at their first call and kept in numba's cache. Sums marked ``SUMS`` may be taken in any order, always the same
on one machine.
"""

import numpy as np

from adaloss.compiled import MISSING, compiled

if MISSING:
    raise ModuleNotFoundError(
        f"adaloss.simulate.two_layer needs {MISSING}: pip install 'adaloss[theory]'", name=MISSING
    )

SUMS = {"reassoc", "nsz"}


@compiled(fastmath=SUMS)
def directions(scaled, signs, masks, pairs, neurons, points, counts, g, slopes, changes, norms_sq):
    """Compute how far a step of length 1 lowers u (``slopes``) and each candidate (``changes``), and ``norms_sq``.

    slopes_i = sum_j K_ij (M'M)_ij g_j / m and changes_(r, i) = a_r sum_j K_ij M_rj g_j / m; M'M is the sum of ``pairs``
    and its transpose.
    """
    n = len(scaled)
    weighted = np.empty((n, n))
    for k in range(len(g)):
        slopes[k] = 0.0
        for i in range(n):
            slope = 0.0
            for j in range(n):
                weighted[i, j] = scaled[i, j] * g[k, j]
                slope += weighted[i, j] * pairs[k, i, j]
                slopes[k, j] += scaled[i, j] * g[k, i] * pairs[k, i, j]
            slopes[k, i] += slope
        norms_sq[k] = 0.0
        for i in range(n):
            norms_sq[k] += g[k, i] * slopes[k, i]
        for c in range(counts[k]):
            r, i = neurons[k, c], points[k, c]
            change = 0.0
            for j in range(n):
                if masks[k, r, j]:
                    change += weighted[i, j]
            changes[k, c] = signs[r] * change


@compiled()
def moves(steps, g, slopes, changes, values, masks, pairs, signs, neurons, points, counts, since, own, u):
    """Take steps along the directions, then turn over what passed its kink: its mask, its pairs and its part of u."""
    n = g.shape[1]
    shift, turned = np.empty(n), np.empty(values.shape[1], dtype=np.bool_)
    for k in range(len(g)):
        for i in range(n):
            shift[i] = steps[k] * g[k, i]
            since[k, i] += shift[i]
            u[k, i] -= steps[k] * slopes[k, i]
        for c in range(counts[k]):
            was, after = values[k, c] > 0.0, values[k, c] - steps[k] * changes[k, c]
            own[k, c] += shift[points[k, c]] if was else 0.0
            values[k, c] = after
            turned[c] = (after > 0.0) != was
        for c in range(counts[k]):
            if turned[c]:
                r, i, part = neurons[k, c], points[k, c], signs[neurons[k, c]] * values[k, c]
                turn(masks, pairs, k, r, i)
                u[k, i] += part if masks[k, r, i] else -part


@compiled()
def turn(masks, pairs, k, r, i):
    """Turn point ``i`` of neuron ``r`` on or off: its mask, and row i of ``pairs``, which is its column as well."""
    by = -1.0 if masks[k, r, i] else 1.0
    masks[k, r, i] = False
    for j in range(masks.shape[2]):
        pairs[k, i, j] += by if masks[k, r, j] else 0.0
    pairs[k, i, i] += 0.5 * by
    masks[k, r, i] = by > 0.0


@compiled(fastmath=SUMS)
def bounds(scaled, others, neurons, counts, since, previous, inverse, low, high, own, before, zeta, bound):
    """Bound how far a pair outside the list is from p + zeta D: ``bound`` (cells, n), for the best zeta."""
    n = len(scaled)
    rho = np.empty(n)
    for k in range(len(since)):
        best = 0.0
        for j in range(n):
            best += since[k, j] * previous[k, j]
        best = min(max(best * inverse[k], low[k]), high[k])
        zeta[k] = best
        for j in range(n):
            rho[j] = since[k, j] - best * previous[k, j]
        most, total, neuron = 0.0, 0.0, -1
        for c in range(counts[k]):
            if neurons[k, c] != neuron:
                most, total, neuron = max(most, total), 0.0, neurons[k, c]
            total += abs(own[k, c] - best * before[k, c])
        most = max(most, total)
        for i in range(n):
            single, both = 0.0, 0.0
            for j in range(n):
                part = scaled[i, j] * rho[j]
                both += part
                single += abs(part)
            bound[k, i] = 0.5 * (single + abs(both)) + most * others[i]


@compiled()
def movement_of(pre, signs, neurons, points, own, since, out):
    """Fill ``out`` (n, m): a_r times what moved points through each neuron: Z where it is on, candidates' z."""
    n, m = pre.shape
    for i in range(n):
        for r in range(m):
            out[i, r] = signs[r] * since[i] if pre[i, r] > 0.0 else 0.0
    for c in range(len(own)):
        out[points[c], neurons[c]] = signs[neurons[c]] * own[c]


@compiled(fastmath=SUMS)
def settle(pre, drift, masks, pairs, k, track, signs, neurons, points, values, own, since, again, u):
    """Move the pairs outside the list by ``drift``; take new masks and u, and ``pairs`` if these are to be tracked.

    Returns how many are ``again`` in the next list: candidates that were turned, and what the last step, beyond the
    bound, turned outside the list. These did not move as an unlisted pair does.
    """
    n, m = pre.shape
    listed = np.empty(len(own))
    for c in range(len(own)):
        i, r = points[c], neurons[c]
        pre[i, r], listed[c], drift[i, r] = values[c], drift[i, r], 0.0
    count = 0
    for i in range(n):
        total, turned = 0.0, False
        for r in range(m):
            after = pre[i, r] + drift[i, r]
            again[i, r] = (after > 0.0) != (pre[i, r] > 0.0)
            turned |= again[i, r]
            total += signs[r] * after if after > 0.0 else 0.0
            pre[i, r] = after
        u[i] = total
        if turned:
            for r in range(m):
                if again[i, r]:
                    count += 1
                    if track:
                        turn(masks, pairs, k, r, i)
                    else:
                        masks[k, r, i] = not masks[k, r, i]
    for c in range(len(own)):
        i, r = points[c], neurons[c]
        drift[i, r] = listed[c]
        if own[c] != (since[i] if values[c] > 0.0 else 0.0):
            again[i, r] = True
            count += 1
    return count


@compiled()
def nearby(pre, drift, tau, low, high, again, neurons, points, values):
    """List the pairs that come within ``tau`` (n,) of 0 between p + low D and p + high D, or are ``again``.

    Those of a neuron follow each other. Returns their number, or -1 where the list is too short.
    """
    n, m = pre.shape
    near, some = np.empty((n, m), dtype=np.bool_), np.zeros(m, dtype=np.bool_)
    for i in range(n):
        for r in range(m):
            first, last = pre[i, r] + low * drift[i, r], pre[i, r] + high * drift[i, r]
            near[i, r] = ((min(first, last) < tau[i]) & (max(first, last) > -tau[i])) | again[i, r]
            some[r] |= near[i, r]
    count = 0
    for r in range(m):
        if some[r]:
            for i in range(n):
                if near[i, r]:
                    if count == len(values):
                        return -1
                    neurons[count], points[count], values[count] = r, i, pre[i, r]
                    count += 1
    return count
