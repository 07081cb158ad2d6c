"""Docs A1 to A5 as they stand there, for one problem at a time, in Python floats: lists of eigenvalues and errors.

``p`` is 1 for AdaLoss and 2 for AdaGrad-Norm. Free parameters are minimised over the candidates that are handed in.
"""

import math


def ell0(x):
    return 2 * math.log(1 / (2 * x)) - 2 + 4 * x if x < 0.5 else 0.0


def ell(x):
    return 2 * math.log(1 / (2 * x)) - 1 + 2 * x if x < 0.5 else 0.0


def ell1(a, x):
    return (1 - a**2 / x**2) * (1 - 2 * x) + ell0(x) if x < 0.5 else 0.0


def hroot(k):
    """By bisection."""
    low, high = 0.5, max(k, 1.0)
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if 2 * middle - math.log(middle) < k else (low, middle)
    return high


def weighted(eigenvalues, s, power):
    return math.fsum(v**power * e for v, e in zip(eigenvalues, s, strict=True))


def after_a_step(eigenvalues, s, b, eta, p):
    b1 = math.sqrt(b**2 + weighted(eigenvalues, s, p))
    return [(1 - eta * v / b1) ** 2 * e for v, e in zip(eigenvalues, s, strict=True)], b1


def exit_bounds(eigenvalues, s, b, eta, p, nus):
    """A1; no "best"."""
    top = eigenvalues[0]
    _, b1 = after_a_step(eigenvalues, s, b, eta, p)
    if b1 >= eta * top / 2:
        return dict.fromkeys(("lin", "paper", "log", "two", "simple"), 0.0)
    u, beta = top ** (p - 2) * s[0] / eta**2, b / (eta * top)
    x, y = 4 * u, 1 - 4 * beta**2
    two = math.inf
    for nu in [*nus, min(math.sqrt(u) / 2, 0.499)]:
        theta = 0.5 - nu
        if theta > beta:
            rho, w = 1 / theta - 1, 0.25 - theta**2
            if nu < 1e-4:
                w = nu - nu**2  # the same without the cancellation
            m = math.log1p((theta**2 - beta**2) * (rho**2 - 1) / u) / (2 * math.log(rho))
            two = min(two, 1 + max(w / u, m + w / (u * rho ** (2 * m))))
    return {
        "lin": y / x,
        "paper": math.log1p(y) / math.log1p(x),
        "log": math.log1p(y * (2 + x)) / (2 * math.log1p(x)),
        "two": two,
        "simple": 1 + (2 + math.log1p(u**-0.5)) / (4 * u**0.5),
    }


def least_exit(bounds):
    """The least whole number: N < strict ones, N <= the others."""
    strict = min(bounds[name] for name in ("lin", "paper", "log"))
    return max(min(math.ceil(strict) - 1, math.floor(min(bounds["two"], bounds["simple"]))), 0)


def error_bounds(eigenvalues, s, b, eta, p):
    """A2."""
    _, b1 = after_a_step(eigenvalues, s, b, eta, p)
    found = []
    for v, e in zip(eigenvalues, s, strict=True):
        first = max(e, (eta * v - b1) ** 2 / v**p) if eta * v > 2 * b1 else e
        second = e + eta**2 * v ** (2 - p) * ell1(b / (eta * v), b1 / (eta * v))
        found.append(min(first, second))
    return found


def target_bound(eigenvalues, s, b, eta, p, q):
    """A3."""
    _, b1 = after_a_step(eigenvalues, s, b, eta, p)
    top, limits = eigenvalues[0], error_bounds(eigenvalues, s, b, eta, p)
    added = eta**2 * top ** (q + 2 - p) * ell1(b / (eta * top), b1 / (eta * top))
    return min(weighted(eigenvalues, limits, q), weighted(eigenvalues, s, q) + added)


def exit_bound(eigenvalues, s, b, eta, p):
    """A3, over all J of the largest eigenvalues."""
    _, b1 = after_a_step(eigenvalues, s, b, eta, p)
    limits, found = error_bounds(eigenvalues, s, b, eta, p), []
    for size in range(1, len(s) + 1):
        paid = max(max((b1 - eta * v) ** 2, (eta * eigenvalues[0] / 2 - eta * v) ** 2) / v for v in eigenvalues[:size])
        found.append(paid + weighted(eigenvalues[size:], limits[size:], p - 1))
    return min(found)


def b_max(eigenvalues, s, b, eta, p):
    """A4, sharp."""
    top = eigenvalues[0]
    s1, b1 = after_a_step(eigenvalues, s, b, eta, p)
    _, b2 = after_a_step(eigenvalues, s1, b1, eta, p)
    beta0, beta1 = b / (eta * top), b1 / (eta * top)

    def h(x):
        return 2 * x - math.log(x)

    if beta1 < 0.5:
        f = min(target_bound(eigenvalues, s, b, eta, p, p - 1), exit_bound(eigenvalues, s, b, eta, p)) / (eta**2 * top)
        return eta * top * min(hroot(2 + f / (1 + 1 / math.sqrt(2))), hroot(1 + math.log(2) + f))
    f0, f1 = (weighted(eigenvalues, now, p - 1) / (eta**2 * top) for now in (s, s1))
    h0 = h(beta0) + f0 / (1 + b / b1) if beta0 >= 0.5 else 1 + math.log(2) + f0
    return eta * top * min(hroot(h0), hroot(h(beta1) + f1 / (1 + b1 / b2)))


def b_max_headline(eigenvalues, s, b, eta, p):
    """A4, readable."""
    top = eigenvalues[0]
    _, b1 = after_a_step(eigenvalues, s, b, eta, p)
    least = min(ell(b1 / (eta * top)), math.fsum(eigenvalues) / top)
    return max(b, eta * top) + weighted(eigenvalues, s, p - 1) / eta + eta * top * least


def steps_until(start, rho, eps):
    """The least k >= 0 with sum start rho^(2k) <= eps; inf where a factor that has a part is 1 or more."""
    if math.fsum(start) <= eps:
        return 0
    if max(r for r, v in zip(rho, start, strict=True) if v > 0) >= 1:
        return math.inf

    def above(k):
        return math.fsum(v * r ** (2 * k) for v, r in zip(start, rho, strict=True)) > eps

    high = 1
    while above(high):
        high *= 2
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if above(middle) else (low, middle)
    return high


def iterations_from(eigenvalues, s, b, eta, p, q, eps, nus, shares):
    """A5 in its sharper form, without exact steps; ``shares`` are the candidates of delta in units of mu / L."""
    problem = (eigenvalues, s, b, eta, p)
    top, bottom = eigenvalues[0], eigenvalues[-1]
    _, b1 = after_a_step(*problem)
    psi_bar, b_bar, limits = target_bound(*problem, q), b_max(*problem), error_bounds(*problem)
    if psi_bar <= eps:
        return 0

    def until(errors, low):
        rho = [max(abs(1 - eta * v / low), abs(1 - eta * v / b_bar)) for v in eigenvalues]
        return steps_until([v**q * e for v, e in zip(eigenvalues, errors, strict=True)], rho, eps)

    t = until(s, b1) if b1 > eta * top / 2 else math.inf
    nbar = least_exit(exit_bounds(*problem, nus))
    u, lambda_h = top ** (p - 2) * s[0] / eta**2, max(top - bottom, bottom)
    deltas = [bottom / top * share for share in shares] + [min(bottom / top, math.sqrt(u) / 3, 1 / 6)]
    for which in ("K1", "K3"):
        best = (math.inf, None, None)
        for delta in deltas:
            if which == "K1":
                u_low = (u * (1 - delta) ** 2 - delta**2 * (2 + delta)) / (1 + delta) ** 2
                held = math.floor(1 + delta * (2 + delta) / (4 * u_low)) if u_low > 0 else math.inf
            else:
                held = math.floor(1 + (eta * top) ** 2 * delta * (2 + delta) / (2 * lambda_h ** (p - q) * eps))
            slow = math.inf if eta * bottom / b_bar >= 1 else -math.log1p(-eta * bottom / b_bar)
            rate = min(slow, math.log((1 + delta) / (1 - delta)) if delta < 1 else math.inf)
            excess = {"K1": 1, "K3": 2}[which]
            total = held + math.log(max(excess * psi_bar / eps, 1)) / (2 * rate)
            if total < best[0]:
                best = (total, held, delta)
        if best[0] < math.inf:
            entered = until(limits, eta * top * (1 + best[2]) / 2)
            if which == "K3":  # and outside of H, b perhaps in the window all the time
                ends = eta * top / 2, eta * top * (1 + best[2]) / 2, b_bar
                outside = [(v, e) for v, e in zip(eigenvalues, limits, strict=True) if v <= top - bottom]
                rho = [max(abs(1 - eta * v / end) for end in ends) for v, _ in outside]
                others = steps_until([v**q * e for v, e in outside], rho, eps / 2) if outside else 0
                entered = max(entered, others)
            t = min(t, nbar + best[1] + entered)
    return t


def iterations_at_least(eigenvalues, s, b, eta, p, q, eps):
    """A5, the lower bound."""
    _, b1 = after_a_step(eigenvalues, s, b, eta, p)
    seen = [(v**q * e, 1 - eta * v / b1) for v, e in zip(eigenvalues, s, strict=True) if eta * v < b1]
    return steps_until(*map(list, zip(*seen, strict=True)), eps) if seen else 0
