"""Docs D1 to D4 as they stand there, pair by pair, step by step, in the numbers of mpmath: no blocks, no cells."""

from mpmath import eigsy, inf, matrix, mpf, sqrt

SETTLED = mpf("1e-3")


def dot(u, v):
    return sum((p * q for p, q in zip(u, v, strict=True)), mpf(0))


def length(v):
    return sqrt(dot(v, v))


def top(rows):
    return max(eigsy(matrix(rows), eigvals_only=True))


def times(rows, v):
    return [dot(row, v) for row in rows]


class Literal:
    """One network with its unstable pairs; ``closed`` whether D3's inequality holds for all the others."""

    def __init__(self, w, a, x, y, eta, b, alpha):
        self.a, self.eta, self.b, self.big_a = a, mpf(eta), mpf(b), mpf(alpha) * mpf(len(y)) ** mpf("0.25")
        w, x = ([[mpf(float(v)) for v in row] for row in rows] for rows in (w, x))
        self.m, self.n = len(w), len(y)
        self.k = [[dot(p, q) for q in x] for p in x]
        self.p = [[dot(row, q) for q in x] for row in w]
        outputs = [sum(a[r] * max(self.p[r][i], mpf(0)) for r in range(self.m)) for i in range(self.n)]
        self.z = [u / sqrt(mpf(self.m)) - mpf(float(v)) for u, v in zip(outputs, y, strict=True)]

    def close(self):
        """The least set of unstable pairs that D3 closes, or None."""
        unstable = {(r, i) for r in range(self.m) for i in range(self.n) if self.p[r][i] == 0}
        while True:
            found = self.follow(unstable)
            if found is None:
                return None
            more = {
                (r, i)
                for r in range(self.m)
                for i in range(self.n)
                if (r, i) not in unstable and sqrt(mpf(self.m)) * abs(self.p[r][i]) <= self.reach(r, i)
            }
            if not more:
                return unstable
            unstable |= more

    def matrices(self, unstable, share):
        """D1 for one kappa: A, R_2, R_3, R, W."""
        n, m, k = self.n, self.m, self.k
        u = [[mpf((r, i) in unstable) for i in range(n)] for r in range(m)]
        h = [[mpf("0.5") if u[r][i] else mpf(self.p[r][i] > 0) for i in range(n)] for r in range(m)]
        at = range(n)
        gram = lambda left, right: [[sum(left[r][i] * right[r][j] for r in range(m)) / m for j in at] for i in at]  # noqa: E731
        hh, hu, uu = gram(h, h), gram(h, u), gram(u, u)
        centre = [[k[i][j] * (hh[i][j] + share * uu[i][j]) for j in at] for i in at]
        second = [[abs(k[i][j]) * hu[i][j] / 2 for j in at] for i in at]
        third = [[abs(k[i][j]) * uu[i][j] * (mpf("0.25") + share) for j in at] for i in at]
        whole = [
            [second[i][j] + second[j][i] + abs(k[i][j]) * uu[i][j] * (mpf("0.25") - share) for j in at] for i in at
        ]
        w = [[mpf(0)] * n for _ in at]
        for i in at:
            rows = [[h[r][j] * k[i][j] for j in at] for r in range(m) if u[r][i]]
            for p in at:
                for q in at:
                    w[p][q] += mpf(len(rows)) / m * sum(row[p] * row[q] for row in rows) / m
        rho = min(top(whole), sqrt(top(w)) + top(third))
        return rho, centre, second, third, whole, w

    def centre(self, share):
        """A of D1 in its eigenbasis, and D2's phi."""
        self.rho, centre, self.second, self.third, self.whole, self.w = self.matrices(self.unstable, share)
        values, vectors = eigsy(matrix(centre))
        self.values = [values[q] for q in range(self.n)]
        self.v = [[vectors[j, q] for q in range(self.n)] for j in range(self.n)]
        self.mu, self.top, self.phi = min(self.values), max(self.values), -inf
        a = matrix(centre)
        for k in range(32 if top(self.w) > 0 else 0):
            tau = sqrt(top(self.w)) * mpf(10) ** (mpf(4 * k) / 31 - 4)
            form = a - a * a * mpf("0.75") / self.top - matrix(self.w) / (2 * tau)
            self.phi = max(self.phi, min(eigsy(form, eigvals_only=True)) - tau / 2 - top(self.third))

    def rate(self, step):
        nu = min(self.mu, 2 / step - self.top) - self.rho if step else self.mu - self.rho
        room = mpf("1.5") - step * self.top
        return max(nu, self.phi - mpf("0.75") * step * self.rho**2 / room) if room > 0.1 else nu

    def follow(self, unstable):
        """D2 until ||z|| has shrunk to SETTLED of the start; None where nothing contracts or the steps are too long."""
        self.unstable = unstable
        found = []
        for share in (mpf(0), mpf("0.25")):
            self.centre(share)
            found.append((self.rho, share, self.rate(0), self.phi))
        _, share, rate, phi = min(found)
        self.centre(share if rate > phi else max(found, key=lambda one: one[2])[1])
        if not self.rate(0) > 0:
            return None
        inverse = [[self.v[j][q] / self.values[q] for j in range(self.n)] for q in range(self.n)]
        squared = [[dot(inverse[p], times(self.w, inverse[q])) for q in range(self.n)] for p in range(self.n)]
        self.beta = sqrt(top(squared)) / 2
        self.c = [dot([self.v[j][q] for j in range(self.n)], self.z) for q in range(self.n)]
        self.low, self.high = [mpf(1)] * self.n, [mpf(1)] * self.n
        self.size, self.error, self.exit = length(self.z), mpf(0), None
        self.b_low = self.b_high = self.b
        self.rows, self.start = [], self.size
        while self.exit is None or self.size > SETTLED * self.start:
            if not self.advance():
                return None
        return self

    def advance(self):
        n, c = self.n, self.c
        near = [max(low, -high, mpf(0)) for low, high in zip(self.low, self.high, strict=True)]
        least = length([c[q] * near[q] for q in range(n)])
        self.b_low = sqrt(self.b_low**2 + self.big_a**2 * max(least - self.error, 0) ** 2)
        self.b_high = sqrt(self.b_high**2 + self.big_a**2 * self.size**2)
        small, large = self.eta / self.b_high, self.eta / self.b_low
        if self.exit is None:
            self.nu = self.rate(large)
        if self.exit is None and self.nu > 0:
            self.exit, self.longest, self.error_at_exit = len(self.rows), large, self.error
        elif self.exit is None and self.big_a == 0:
            return False
        middle = times(self.v, [c[q] * (self.low[q] + self.high[q]) / 2 for q in range(n)])
        half = times(
            [[abs(e) for e in row] for row in self.v], [abs(c[q]) * (self.high[q] - self.low[q]) / 2 for q in range(n)]
        )
        size = [abs(p) + q for p, q in zip(middle, half, strict=True)]
        first = sqrt(dot(middle, times(self.w, middle))) / 2 + sqrt(top(self.w)) / 2 * length(half)
        first = min(first, length(times(list(zip(*self.second, strict=True)), size)))
        rest = first + length(times(self.third, size))
        second = min(length(times(self.second, size)), sqrt(top(self.w)) / 2 * length(size))
        alone = min(rest + second, length(times(self.whole, size)))
        push = min(alone + self.rho * self.error, self.rho * self.size)
        rest = min(rest + self.rho * self.error, self.rho * self.size)
        self.rows.append((self.size, large, self.error, push, rest, middle, half, self.low, self.high))
        norms = {s: max(abs(1 - s * self.mu), abs(1 - s * self.top)) for s in (small, large)}
        by_rate = {s: 1 - s * self.nu for s in norms}
        grown = min(max(norms[s] + s * self.rho for s in norms), max(by_rate.values())) * self.size
        self.error = min(
            max(norms[s] * self.error + s * push for s in norms),
            max(by_rate[s] * self.error + s * alone for s in norms),
        )
        ends = [
            [p * (1 - s * self.values[q]) for p in (self.low[q], self.high[q]) for s in (small, large)]
            for q in range(n)
        ]
        self.low, self.high = [min(e) for e in ends], [max(e) for e in ends]
        self.most = length([c[q] * max(-self.low[q], self.high[q]) for q in range(n)])
        self.size = min(self.most + self.error, grown, self.size if self.exit is not None else inf)
        return True

    def sums(self):
        """Sigma, sum over k >= N of it, of ||E z||, of ||(E_1 + E_3) z||; sum of s e, that over k < N; [zbar_j]+-."""
        rates = [min(v, 2 / self.longest - v) for v in self.values]
        rest = self.size / self.nu
        rest_e = (self.error + self.rho * rest) / min(rates)
        rest_e = min(rest_e, (self.error + self.rho * self.most / min(rates)) / self.nu)
        late = self.rows[self.exit :]
        last = [max(-p, q) * abs(c) / r for p, q, c, r in zip(self.low, self.high, self.c, rates, strict=True)]
        tail = [dot([abs(e) for e in row], last) for row in self.v]
        above, below = (
            [sum(row[1] * max(sign * row[5][j] + row[6][j], 0) for row in self.rows) + tail[j] for j in range(self.n)]
            for sign in (1, -1)
        )
        return (
            sum(s * row for row, s, *_ in self.rows) + rest,
            sum(row[1] * row[0] for row in late) + rest,
            sum(row[1] * row[3] for row in late) + self.rho * rest,
            sum(row[1] * row[4] for row in late) + self.rho * rest,
            sum(row[1] * row[2] for row in self.rows) + rest_e,
            sum(row[1] * row[2] for row in self.rows[: self.exit]),
            above,
            below,
        )

    def reach(self, r, i):
        """min{kappa_ri Sigma, B_ri} of D3."""
        n, k = self.n, self.k[i]
        total, after, pushes, others, errors, before, above, below = self.sums()
        free = [(r, j) in self.unstable for j in range(n)]
        f = [k[j] if self.p[r][j] > 0 and not free[j] else mpf(0) for j in range(n)]
        sign = self.a[r] if self.p[r][i] > 0 else -self.a[r]
        along = [dot([self.v[j][q] for j in range(n)], f) for q in range(n)]
        gains = [sign * along[q] * self.c[q] / self.values[q] for q in range(n)]
        crossing = [self.longest * v > 1 for v in self.values]
        reach = [max(-p, q) for p, q in zip(self.low, self.high, strict=True)]
        final = (
            [-reach[q] if crossing[q] else min(self.low[q], mpf(0)) for q in range(n)],
            [reach[q] if crossing[q] else max(self.high[q], mpf(0)) for q in range(n)],
        )
        drift = mpf(0)
        for low, high in [*((row[7], row[8]) for row in self.rows), final]:
            drift = max(drift, sum(max(g * (1 - low[q]), g * (1 - high[q])) for q, g in enumerate(gains)))
        growth = [max(mpf(1), self.longest * v) for v in self.values]
        plain = length([growth[q] / self.values[q] * along[q] for q in range(n)])
        scaled = length([growth[q] * along[q] for q in range(n)])
        loose = min(
            plain * (self.error_at_exit + pushes), plain * (self.error_at_exit + others) + self.beta * scaled * after
        )
        for j in range(n):
            if free[j]:
                loose += abs(k[j]) * (above[j] if sign * k[j] > 0 else below[j])
        loose += length(f) * before + length([k[j] for j in range(n) if free[j]] or [mpf(0)]) * errors
        kappa = length([k[j] for j in range(n) if free[j] or self.p[r][j] > 0] or [mpf(0)])
        return min(kappa * total, drift + loose)

    def iterations(self, eps):
        """T of D3 and D4."""
        size = sqrt(mpf(eps))
        while self.size > size and len(self.rows) < 3000:
            self.advance()
        found = [k for k, row in enumerate(self.rows) if k >= self.exit and row[0] <= size]
        return found[0] if found else len(self.rows)

    @property
    def b_max(self):
        return self.b_high + self.big_a**2 * self.size**2 / (self.eta * self.nu)
