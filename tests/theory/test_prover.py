"""Scalar steps of the proofs in docs/theory.md, proved for all reals by z3, and each one's mutant refuted.

All variables are positive unless a step says otherwise. A mutant is the same step with a constant one per cent too
sharp, or with a hypothesis less: the prover has to find a counterexample, or the step would prove anything.
"""

import re

import pytest

from tests.theory.test_docs import PAGES

z3 = pytest.importorskip("z3", reason="z3-solver is not installed (the extra 'prove')")

And, Or, Not = z3.And, z3.Or, z3.Not
A, B, C, D, E, F, G, H, L, M = z3.Reals("a b c d e f g h l m")
P, Q, R, S, T, U, V, W, X, Y, Z = z3.Reals("p q r s t u v w x y z")
ONE = z3.Q(101, 100)  # one per cent more
HALF, QUARTER = z3.Q(1, 2), z3.Q(1, 4)
LESS = z3.Q(99, 100)


def within(value, bound):
    return And(value <= bound, -value <= bound)


# name: (free of sign, hypotheses, conclusion, the mutant's hypotheses, the mutant's conclusion)
# A: b = B, eta = E, lambda's L (largest), M (least), H between; s = S, a = A and r = R successive b, beta = B, u = U
STEPS = {
    "A0 expands": ([], [2 * B <= E * L], (B - E * L) ** 2 >= B**2, [2 * B <= ONE * E * L], None),
    "A0 contracts": ([], [2 * B >= E * L], (B - E * L) ** 2 <= B**2, [ONE * 2 * B >= E * L], None),
    "A1 log, ratio": ([], [4 * B**2 <= 1 - 4 * U], (1 - B) ** 2 >= (1 + 4 * U) ** 2 * B**2, None,
                      (1 - B) ** 2 >= (1 + ONE * 4 * U) ** 2 * B**2),
    "A1 log, geometric sum": ([], [R > 1, S == (Q - 1) / (R - 1)], S + Q == (Q * R - 1) / (R - 1), None,
                              S + Q == (ONE * Q * R - 1) / (R - 1)),
    "A1 log, end": ([], [X * (Q - 1) < Y * X * (2 + X)], Q < 1 + Y * (2 + X), None, Q < 1 + LESS * Y * (2 + X)),
    "A1 paper": ([], [Y >= X], (1 + Y) ** 2 >= 1 + Y * (2 + X), None, (1 + Y) ** 2 >= 1 + Y * (2 + ONE * X)),
    "A1 two, fast": ([], [B <= T, T < HALF], (1 - B) ** 2 * T**2 >= (1 - T) ** 2 * B**2, None,
                     (1 - B) ** 2 * T**2 >= ONE * (1 - T) ** 2 * B**2),
    "A1 simple, w": ([], [T == HALF - V], QUARTER - T**2 <= V, None, QUARTER - T**2 <= LESS * V),
    "A1 simple, rho": ([], [T == HALF - V], (1 - T) ** 2 - T**2 == 2 * V, None, (1 - T) ** 2 - T**2 == ONE * 2 * V),
    "A2 first form, p = 1": ([], [2 * B < E * L, C <= B, L * S <= B**2],
                             (E * L - B) ** 2 * S * L <= (E * L - C) ** 2 * B**2,
                             [2 * B < E * L, L * S <= B**2], None),
    "A2 first form, p = 2": ([], [2 * B < E * L, C <= B, L**2 * S <= B**2],
                             (E * L - B) ** 2 * S * L**2 <= (E * L - C) ** 2 * B**2,
                             [2 * B < E * L, L**2 * S <= B**2], None),
    "A2 in short, p = 1": ([], [2 * B < E * L, L * S <= B**2], (E * L - B) ** 2 * S <= E**2 * L * B**2, None,
                           (E * L - B) ** 2 * S <= LESS * E**2 * L * B**2),
    "A2 in short, p = 2": ([], [2 * B < E * L, L**2 * S <= B**2], (E * L - B) ** 2 * S <= E**2 * B**2, None,
                           (E * L - B) ** 2 * S <= LESS * E**2 * B**2),
    "A2 second form, p = 1": ([], [2 * B <= E * L, B**2 - A**2 >= L * S],
                              (E * L - 2 * B) * L * S <= (B**2 - A**2) * (E * L - 2 * B), None,
                              (E * L - 2 * B) * L * S <= LESS * (B**2 - A**2) * (E * L - 2 * B)),
    "A2 growth, from a": ([], [A <= X, X < HALF, X * G >= X - A, 2 * X**2 * G >= X**2 - A**2],  # G = log(x / a)
                          (X**2 - A**2) * (1 - 2 * X) + 4 * (X - A) * X**2 <= 2 * G * X**2,
                          [A <= X, X < HALF, 2 * X**2 * G >= X**2 - A**2], None),
    "A3 weights, power 0": ([], [H <= L, 2 * B <= E * L], -2 * B * L <= -2 * B * H, [H <= ONE * L, 2 * B <= E * L],
                            None),
    "A3 weights, power 2": ([], [H <= L, 2 * B <= E * L], H * (E * H - 2 * B) <= L * (E * L - 2 * B),
                            [H <= L, 2 * B <= 2 * E * L], None),
    "A3 exit": ([], [2 * B < E * L, R**2 <= B**2 + (E * L - B) ** 2], R < E * L, None, R < LESS * E * L),
    "A3 G at the exit": ([], [2 * B < E * L, H <= L, M <= L, P + Q <= B**2],  # P, Q: lambda_i^p s_i
                         P * (B - E * H) ** 2 + Q * (B - E * M) ** 2 <= (E * L - B) ** 2 * B**2, None,
                         P * (B - E * H) ** 2 + Q * (B - E * M) ** 2 <= LESS * (E * L - B) ** 2 * B**2),
    "A3 convex ends": ([], [B <= C, C <= D],
                       Or((C - E * L) ** 2 <= (B - E * L) ** 2, (C - E * L) ** 2 <= (D - E * L) ** 2),
                       [B <= C], None),
    "A4 key inequality": ([], [H <= L, M <= L], P * (2 * R - E * H) + Q * (2 * R - E * M) >= (2 * R - E * L) * (P + Q),
                          [H <= L], None),
    "A4 integral": ([], [A <= R, R * G >= R - A], (2 * R - 1) * (R - A) >= R * (2 * (R - A) - G),  # G = log(r / a)
                    [A <= R, ONE * R * G >= R - A], None),
    "A4 first step": ([], [A < HALF, R >= HALF], (2 * R - 1) * (R**2 - A**2) >= (2 * R - 1) * (R - HALF) * R, None,
                      (2 * R - 1) * (R**2 - A**2) >= ONE * (2 * R - 1) * (R - HALF) * R),
    "A4 ratios rise": ([], [G >= Q, B >= A, R**2 == A**2 + G, C**2 == B**2 + Q], A * C <= B * R,
                       [G >= Q, R**2 == A**2 + G, C**2 == B**2 + Q], None),
    "A4 h at most 2": ([G], [X >= HALF, X <= 1, X * G >= X - 1], 2 * X - G <= 2,  # G = log x
                       [X >= HALF, X <= ONE, X * G >= X - 1], None),
    "A4 h at least x + 1": ([G], [G <= X - 1], 2 * X - G >= X + 1, None, 2 * X - G >= X + ONE),
    "A5 largest factor": ([], [M <= H, H <= L, 2 * B >= E * (L + M)], (B - E * H) ** 2 <= (B - E * M) ** 2,
                          [M <= H, H <= L, ONE * 2 * B >= E * (L + M)], None),
    "A5 lower bound": ([], [C <= B, C > E * M], (B - E * M) ** 2 * C**2 >= (C - E * M) ** 2 * B**2, [C <= B], None),
    "A5 K1": ([], [D <= 1, B >= HALF, 2 * B <= 1 + D], (2 * B - 1) * (1 + D) ** 2 <= 4 * D * B**2, None,
              (2 * B - 1) * (1 + D) ** 2 <= LESS * 4 * D * B**2),
    "A5 u_low": ([], [6 * D <= 1, 9 * D**2 <= U], 3 * (U * (1 - D) ** 2 - D**2 * (2 + D)) >= U * (1 + D) ** 2,
                 [100 * D <= 17, 9 * D**2 <= U], None),
    "A5 0.55": ([], [3 * D <= V, 6 * D <= 1],
                z3.Q(22, 10) * V >= 3 * D * (2 + D), None, z3.Q(216, 100) * V >= 3 * D * (2 + D)),
    "A5 after Q": ([], [2 * B >= E * L * (1 + D)],
                   (E * L - B) * (1 + D) <= (1 - D) * B, [ONE * 2 * B >= E * L * (1 + D)], None),
    "A5 K3": ([], [M <= H, H <= L - M, E * L <= 2 * B, 2 * B <= E * (L + M)],
              (B - E * H) ** 2 * (L + M) ** 2 <= (L - M) ** 2 * B**2, None,
              (B - E * H) ** 2 * (L + M) ** 2 <= LESS * (L - M) ** 2 * B**2),
    "A5 K3, in the window": ([], [E * L <= 2 * B, 2 * B <= E * L * (1 + D)],
                             Or((B - E * H) ** 2 * L**2 <= (L - 2 * H) ** 2 * B**2,
                                (B - E * H) ** 2 * (L * (1 + D)) ** 2 <= (L * (1 + D) - 2 * H) ** 2 * B**2),
                             [2 * B <= E * L * (1 + D)], None),
    "A6 step": ([], [4 * B**2 <= 1 + 4 * U, B >= HALF, 8 * U <= 1],
                1 - B >= (1 - 4 * U) * B, None, 1 - B >= (1 - LESS * 4 * U) * B),
    # B: x = ||x||^2 = X, r^2 = Z
    "B1 descent": ([], [X <= S, 2 * B >= E * S], E * (2 * B - E * X) * Z >= 0, [X <= S, ONE * 2 * B >= E * S], None),
    "B2 expands, p = 1": ([], [X <= S, 2 * B < E * S], E * (E * X - 2 * B) * Z <= E * (E * S - 2 * B) * Z, None,
                          E * (E * X - 2 * B) * Z <= LESS * E * (E * S - 2 * B) * Z),
    "B2 expands, p = 2": ([], [X <= S, 2 * B < E * S], (E * X - 2 * B) * S <= (E * S - 2 * B) * X, None,
                          (E * X - 2 * B) * S <= LESS * (E * S - 2 * B) * X),
    "B2 contracts, p = 2": ([], [X <= S, 2 * B >= E * S], (2 * B - E * X) * S >= (2 * B - E * S) * X, None,
                            (2 * B - E * X) * S >= ONE * (2 * B - E * S) * X),
    "B2 residual": ([X, Y, V, W], [], (X * V + Y * W) ** 2 <= (X**2 + Y**2) * (V**2 + W**2), None,
                    (X * V + Y * W) ** 2 <= LESS * (X**2 + Y**2) * (V**2 + W**2)),
    "B3 g at an end": ([], [A > HALF, A <= B, B <= C],
                       Or((2 * B - 1) * A**2 >= (2 * A - 1) * B**2, (2 * B - 1) * C**2 >= (2 * C - 1) * B**2),
                       [A > HALF, A <= B, C > HALF], None),
    "B3 g from eta S on": ([], [B >= E * S], 2 * B - E * S >= B, [ONE * B >= E * S], None),
    # C: K_12 = C, P_12 = P, both >= 0
    "C0 two rows": ([], [P <= HALF, C <= 1], 1 - 2 * C * P >= 1 - C, [P <= ONE * HALF, C <= 1], None),
    "C1 iff": ([], [L * E < 2], And(1 - E * L < 1, E * L - 1 < 1), [L * E < ONE * 2], None),
    "C1 best step": ([], [M <= L, L * F == L - M, (L + M) * G == L - M],  # G the least largest factor
                     Or(1 - E * M >= G, E * L - 1 >= G), None, Or(1 - E * M >= ONE * G, E * L - 1 >= ONE * G)),
    # D: theta = T, I = Q or their parts off h, kappa = C
    "D1 both unstable": ([C], [T <= 1, Q <= 1, C >= 0, C <= QUARTER],
                         within(T * Q - QUARTER - C, 3 * QUARTER - C), None,
                         within(T * Q - QUARTER - C, LESS * 3 * QUARTER - C)),
    "D1 E3": ([C, T, Q], [within(T, HALF), within(Q, HALF), C >= 0], within(T * Q - C, QUARTER + C), None,
              within(T * Q - C, LESS * QUARTER + C)),
    "D1 product": ([], [A <= T, T <= B, C <= Q, Q <= D],
                   And(A * C <= T * Q, T * Q <= B * D), [A <= T, C <= Q, Q <= D], None),
    "D1 Cauchy": ([X, Y, Z], [], (A * X + B * Y + C * Z) ** 2 <= (A + B + C) * (A * X**2 + B * Y**2 + C * Z**2), None,
                  (A * X + B * Y + C * Z) ** 2 <= LESS * (A + B + C) * (A * X**2 + B * Y**2 + C * Z**2)),
    "D2 rates": ([], [S <= T, R <= L, T * (R + L) <= 2],
                 within(1 - S * L, 1 - S * R), [S <= T, R <= L, T * (R + L) <= ONE * 2], None),
    "D2 rate, Young": ([], [], 2 * A * T <= A**2 + T**2, None, ONE * 2 * A * T <= A**2 + T**2),
    "D2 rate, norms": ([], [], T * (X + Y) ** 2 <= T * (1 + T) * X**2 + (1 + T) * Y**2, None,
                       T * (X + Y) ** 2 <= LESS * (T * (1 + T) * X**2 + (1 + T) * Y**2)),
    "D2 rate, root": ([X], [], 1 - 2 * X <= (1 - X) ** 2, None, 1 - ONE * 2 * X <= (1 - X) ** 2 * LESS),
    "D2 rate, share": ([], [2 * (1 + T) * S * L == 3], (1 + T) * (6 - 4 * S * L) == 6 * T, None,
                       (1 + T) * (6 - 4 * S * L) == ONE * 6 * T),
    "D2 growth of b": ([], [B**2 == A**2 + C * X, S * B == E, S * V <= 1, Y <= (1 - S * V) ** 2 * X],
                       (B - A) * E * V <= C * (X - Y), None, (B - A) * E * V <= HALF * LESS * C * (X - Y)),
    "D2 errors": ([], [S * R <= 1, Y <= (1 - S * R) * X + S * G], S * R * X <= X - Y + S * G, None,
                  ONE * S * R * X <= X - Y + S * G),
    "D2 products": ([P, F], [W >= 1, W <= 2, P >= 1 - W, within(P, 1), F >= 1 - W, within(F, 1)],
                    And(P * F >= 1 - W, P * F <= 1),
                    [W >= 1, P >= 1 - W, P <= 1, F >= 1 - W, F <= 1], None),
    "D2 ends": ([], [A <= S, S <= B],
                Or((1 - S * L) ** 2 <= (1 - A * L) ** 2, (1 - S * L) ** 2 <= (1 - B * L) ** 2), [S <= B], None),
    "D3 positive part": ([V], [Q <= 1], Or(Q * V <= V, Q * V <= 0), [Q <= ONE], None),
    "D4 past the threshold": ([], [T * (L + M) <= 2], 2 - T * L >= M * T, [T * (L + M) <= ONE * 2], None),
    "D4 every b_0": ([], [B**2 == A**2 + C * X, 4 * C * X > (E * (L + M)) ** 2], 2 * B > E * (L + M),
                     [B**2 == A**2 + C * X, ONE * 4 * C * X > (E * (L + M)) ** 2], None),
    # D6: M = sqrt(m), Q = || |K| ||, C = kappa, Z, L = lambda_0, H = ||H_inf||, P >= sqrt(2 / pi)
    "D6 width": ([], [M**2 * L**4 >= 140 * C**2 * Q**2 * Z**2, R * z3.Q(45, 100) * L * M == C * Z, z3.Q(79789,
                 100000) == P],
                 z3.Q(3, 2) * P * R * Q <= z3.Q(225, 1000) * L,
                 [M**2 * L**4 >= 138 * C**2 * Q**2 * Z**2, R * z3.Q(45, 100) * L * M == C * Z, z3.Q(79789,
                 100000) == P], None),
    "D6 rate": ([], [L <= H, 1000 * R <= 225 * L, 10 * X >= 9 * L - 10 * R, 10 * Y <= 11 * H + 10 * R, 10 * S * H <= 9],
                And(20 * (X - R) >= 9 * L, 20 * (2 - S * (Y + R)) >= 9 * L * S),
                [L <= H, 1000 * R <= 230 * L, 10 * X >= 9 * L - 10 * R, 10 * Y <= 11 * H + 10 * R, 10 * S * H <= 9],
                None),
    "D6 failures": ([], [5 * Q <= 1], Q**3 + Q**2 <= Q, [Q <= 1], None),
}  # fmt: skip


def variables(expressions):
    found, todo = {}, list(expressions)
    while todo:
        one = todo.pop()
        if z3.is_const(one) and one.decl().kind() == z3.Z3_OP_UNINTERPRETED:
            found[one.decl().name()] = one
        todo += one.children()
    return found.values()


def decide(free, hypotheses, conclusion):
    """Unsat: proved for all reals. Sat: refuted by an example."""
    solver = z3.SolverFor("QF_NRA")
    solver.set("timeout", 20_000)
    signs = [v > 0 for v in variables([*hypotheses, conclusion]) if not any(v.eq(one) for one in free)]
    solver.add(*signs, *hypotheses, Not(conclusion))
    return solver.check()


@pytest.mark.parametrize("name", STEPS)
def test_a_step_is_proved_and_its_mutant_refuted(name):
    free, hypotheses, conclusion, other_hypotheses, other_conclusion = STEPS[name]
    assert (other_hypotheses is None) != (other_conclusion is None)
    assert decide(free, hypotheses, conclusion) == z3.unsat
    assert (
        decide(free, other_hypotheses or hypotheses, conclusion if other_conclusion is None else other_conclusion)
        == z3.sat
    )


def test_the_page_lists_what_is_proved():
    listed = re.search(r"^## E\. .*?\n(.*)", PAGES["theory.md"], flags=re.MULTILINE | re.DOTALL)[1]
    rows = re.findall(r"^\| ([A-D]\d) \| (.*?) \|", listed, flags=re.MULTILINE)
    assert [f"{section} {step}" for section, steps in rows for step in steps.split("; ")] == list(STEPS)
    assert len(STEPS) >= 45
