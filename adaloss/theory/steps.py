r"""The steps of a tube (docs D2), compiled where numba is there: thousands of them, each on arrays of n numbers.

Every interval is widened by what its arithmetic may have rounded (docs D5).
"""

import math

import numpy as np

from adaloss.compiled import compiled
from adaloss.theory import perturbation
from adaloss.theory.perturbation import TINY, UNIT, WIDER, Bounds
from adaloss.theory.tube import Method, Start, State

BLOCK = 0.05  # of ||z||: as many short steps as change it by so much are taken together
INWARDS, OUTWARDS, BELOW = 1 - 4 * UNIT, 1 + 4 * UNIT, 1e-300

rate = compiled()(perturbation.rate)


@compiled()
def push(e: Bounds, middle: np.ndarray, spread: np.ndarray) -> tuple[float, float]:
    """Bound ||E z|| and ||(E - E2) z|| for every z within ``spread`` of ``middle``, both of about 1 at most."""
    n = len(middle)
    wider, size = 1 + (n + 8) * UNIT, np.abs(middle) + spread
    products = e.stacked @ size
    second, first, third = products[:n], products[n : 2 * n], products[2 * n : 3 * n]
    whole = math.sqrt(products[3 * n :] @ products[3 * n :] + TINY) * wider * e.top
    second, first, third = (
        math.sqrt(second @ second + TINY) * wider * e.top,
        math.sqrt(first @ first + TINY) * wider * e.top,
        math.sqrt(third @ third + TINY) * wider * e.top,
    )
    middle_length = math.sqrt(middle @ middle + TINY) * wider
    spread_length = math.sqrt(spread @ spread + TINY) * wider
    length = math.sqrt(size @ size + TINY) * wider
    quadratic = max(middle @ (e.signed @ middle), 0.0) + 8 * (n + 4) * n * UNIT * middle_length**2 + TINY
    along = math.sqrt(e.signed_top) * math.sqrt(quadratic) / 2 + e.first * spread_length
    rest = min(first, along) + third
    other, slack = e.defect * length * WIDER, 1 + (n + 16) * UNIT
    return min(rest + min(second, e.first * length), whole) * slack + other, rest * slack + other


@compiled()
def norms(start: Start, ends: np.ndarray, same_signs: bool) -> tuple[float, float, float]:
    """Return a lower and an upper bound of ||zbar||, and an estimate of ||A zbar||."""
    low, high = ends[0], ends[1]
    if not same_signs:
        low, high = np.maximum(np.maximum(low, -high), 0.0), np.maximum(-low, high)
    low, high, rounding = low * low, high * high, (len(low) + 8) * UNIT
    least = math.sqrt(max(low @ start.squares[0] - TINY, 0.0)) * (1 - rounding) * start.unit
    most = math.sqrt(high @ start.squares[0] + TINY) * (1 + rounding) * start.unit
    return least, most, math.sqrt(high @ start.squares[1]) * start.unit


@compiled()
def next_b(b_low: float, a: float, least: float, error: float) -> float:
    """Bound b_{k+1} from below."""
    return max(math.hypot(b_low, a * max(least - error * WIDER, 0.0)) / WIDER, b_low)


@compiled()
def grown(e: Bounds, s: float, steps: int, nu: float, error: float, size: float, pushed: float, alone: float) -> tuple:
    """Bound the error by the factors of A alone and by the rate, and ||z|| by both, after ``steps`` steps of s."""
    factor = max(abs(1 - s * e.bottom), abs(1 - s * e.top)) + 4 * UNIT * (1 + s * e.top)
    shrinks = (1 - s * nu + 4 * UNIT) ** float(steps)
    errors = factor ** float(steps) * error + steps * s * pushed, shrinks * error + steps * s * alone
    return *errors, (factor + s * e.rho) ** float(steps) * size, shrinks * size


@compiled()
def shrink(start: Start, ends: np.ndarray, small: float, large: float, steps: int, same_signs: bool) -> np.ndarray:
    """Multiply the ends by the factors of ``steps`` steps between small and large."""
    down, up = INWARDS - large * (start.values * OUTWARDS), OUTWARDS - small * (start.values * INWARDS)
    if steps > 1:  # all of them near 1
        down, up = down ** float(steps), up ** float(steps)
    moved = np.empty_like(ends)
    if same_signs:
        moved[0], moved[1] = ends[0] * (down * INWARDS**4) - BELOW, ends[1] * (up * OUTWARDS**4) + BELOW
        return moved
    if steps > 1:
        down, up = down * INWARDS**4, up * OUTWARDS**4
    one, two, three, four = ends[0] * down, ends[0] * up, ends[1] * down, ends[1] * up
    low, high = (
        np.minimum(np.minimum(one, two), np.minimum(three, four)),
        np.maximum(np.maximum(one, two), np.maximum(three, four)),
    )
    moved[0], moved[1] = low - 2 * UNIT * np.abs(low) - BELOW, high + 2 * UNIT * np.abs(high) + BELOW
    return moved


@compiled()
def walk(
    state: State,
    ends: np.ndarray,
    target: float,
    hopeless: float,
    last: int,
    nu: float,
    form: float,
    blocks: bool,
    method: Method,
    start: Start,
    e: Bounds,
    rows: np.ndarray,
    between: np.ndarray,
    coordinates: np.ndarray,
) -> tuple[State, np.ndarray]:
    """Go on until ||z|| is at most ``target`` or above ``hopeless`` or there are ``last`` rows; return the ends too.

    ``nu`` is the rate from the exit on; where it is not positive, stop before the exit instead. Of each row, ``rows``
    has the first k, a bound of ||z_k||, the largest step, steps, the error, and bounds of ||E z|| and ||(E - E2) z||,
    ``between`` the ends of zbar_q / c_q, ``coordinates`` the middle and the spread of zbar_j. With ``blocks`` many
    short steps may make one row.
    """
    k, size, error, b_low, b_high, least, most, pace, same_signs, row = state
    (eta, _, a), waits = method, not nu > 0
    while row < last and target < size <= hopeless:
        first_b, second_b, steps = b_low, next_b(b_low, a, least, error), 1
        large = eta / second_b * WIDER
        if waits:
            nu = rate(large * WIDER, e.bottom, e.top, e.rho, form)
            if nu > 0:
                break
        b_low = second_b
        if blocks and large * e.top < 0.5:  # no factor is negative: the ends of a block bound all of it
            change = large * (pace + e.top * error) / max(size, 1e-300)
            steps = max(int(min(BLOCK / max(change, 1e-300), 2.0**40)), 1)
        rounding = 1 + 16 * UNIT * steps
        if a > 0:
            b_high = math.hypot(b_high, a * size * math.sqrt(steps)) * WIDER
        small, before, within, longest = eta / b_high / WIDER, ends, error, most
        same_signs = same_signs and large * e.top < 1
        ends = shrink(start, ends, small, large, steps, same_signs)
        least, most, pace = norms(start, ends, same_signs)
        if steps > 1:
            between[row, 0], between[row, 1] = np.minimum(before[0], ends[0]), np.maximum(before[1], ends[1])
            within, longest = (error + steps * large * e.rho * size) * WIDER, max(longest, most)
        else:
            between[row] = before
        middle = start.middles @ (between[row, 0] + between[row, 1])
        spread = start.spreads @ (between[row, 1] - between[row, 0])
        spread += (2 * e.turn + 8 * UNIT) * (longest / start.unit)
        coordinates[row, 0], coordinates[row, 1] = middle, spread
        alone, but_second = push(e, middle, spread)
        alone, but_second = alone * start.unit, but_second * start.unit
        off, whole = e.rho * within * WIDER, e.rho * size * WIDER
        pushed, but_second = min((alone + off) * WIDER, whole), min((but_second + off) * WIDER, whole)
        rows[row] = np.array([float(k), size, large, float(steps), within, pushed, but_second])
        one = grown(e, small, steps, nu, error, size, pushed, alone)  # convex in the step: most at one of its ends
        two = grown(e, large, steps, nu, error, size, pushed, alone)
        error = min(max(one[0], two[0]), max(one[1], two[1])) * rounding
        after = min((most + error) * WIDER, min(max(one[2], two[2]), max(one[3], two[3])) * rounding)
        if steps > 1:  # in a block ||zbar|| is least at its end
            sure = max(least - within * WIDER, 0.0)
            b_low = max(math.hypot(first_b, a * sure * math.sqrt(steps)) / WIDER, b_low)
        k, size, row = k + steps, min(after, size) if nu > 0 else after, row + 1
    return State(k, size, error, b_low, b_high, least, most, pace, same_signs, row), ends
