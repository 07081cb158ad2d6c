"""Mutants that no test can tell from the source, each with the reason: (file, line of the source, old, new)."""

from tests.mutation.operators import Mutant

SPEED = "chooses the faster of two ways that agree to rounding"
TRUTHY = "BLAS and LAPACK take any number that is not 0 for true, and 2 (conjugate) for 1 on real numbers"
ONE_COLUMN = "there is one column"
BELOW = "what is under the diagonal is overwritten; the 0 keeps the slower branch for |k| > 1 from garbage"
START = "Newton's first iterate from any start above 1/2 is at or above the root, and the others come down to it"
BRACKET = "any bracket of the answer, and any 63 or more halvings of it, end at the answer"
NOT_POSSIBLE = "the result is inf, or 0, whatever the bracket"
SECOND = "the other bound of S_i is s_i itself there, and the less of the two is taken"

_TABLE = {
    ("adaloss/theory/gram.py", SPEED): [
        ("SMALL = 200  # up to this size one full decomposition gives both ends", "200", "199 201"),
        ("NEURONS = 4096  # neurons whose activation patterns h_empirical holds at once", "4096", "4095 4097"),
        ("vectors = eigh(h, subset_by_index=[index, index], check_finite=False)", "False", "True"),
    ],
    ("adaloss/theory/gram.py", TRUTHY): [
        ("dsyrk(-1.0, x.T, beta=0.0, c=h.T, trans=1, lower=1, overwrite_c=1)", "1", "2"),
    ],
    ("adaloss/theory/gram.py", BELOW): [
        ("np.copyto(square, 0.0, where=lower)  # not written yet", "0.0", "1.0 -1.0"),
        ("np.copyto(square, 0.0, where=lower)  # not written yet", "np.copyto(square, 0.0, where=lower)", "pass"),
    ],
    ("adaloss/theory/gram.py", ONE_COLUMN): [
        ("value, residual = _with_residual(h, value, vectors[:, 0])", "0", "-1"),
        ("return _with_residual(h, value, vectors[:, 0])", "0", "-1"),
    ],
    ("adaloss/theory/linear_regression.py", SECOND): [
        ("jump = np.where(scale > 2 * b1,", "scale > 2 * b1", "scale >= 2 * b1"),
        ("jump = np.where(scale > 2 * b1,", "0.0", "1.0 -1.0"),
    ],
    ("adaloss/theory/roots.py", START): [
        ("x = np.maximum(k - 1, 1.0)", "k - 1", "k + 1"),
        ("x = np.maximum(k - 1, 1.0)", "1", "0 2"),
        ("x = np.maximum(k - 1, 1.0)", "1.0", "2.0"),
    ],
    ("adaloss/theory/roots.py", BRACKET): [
        ("high = np.ceil(np.maximum(np.log(total / eps), 0) / (-2 * slowest)) + 1", "0", "1 -1"),
        ("high = np.ceil(np.maximum(np.log(total / eps), 0) / (-2 * slowest)) + 1", "2", "1"),
        ("high = np.ceil(np.maximum(np.log(total / eps), 0) / (-2 * slowest)) + 1", "1", "2"),
        ("low = np.full_like(high, -1.0)  # the sum is above eps at low and not above it at high", "1.0", "2.0 0.0"),
        ("for _ in range(64):", "64", "63 65"),
        ("middle = np.floor((low + high) / 2)", "np.floor((low + high) / 2)", "np.ceil((low + high) / 2)"),
    ],
    ("adaloss/theory/roots.py", NOT_POSSIBLE): [
        (
            "high = np.where(possible & np.isfinite(high), high, 0.0)",
            "possible & np.isfinite(high)",
            "possible | np.isfinite(high)",
        ),
        ("high = np.where(possible & np.isfinite(high), high, 0.0)", "0.0", "1.0 -1.0"),
    ],
}

EQUIVALENT = {
    (file, line, old, new): reason
    for (file, reason), entries in _TABLE.items()
    for line, old, news in entries
    for new in (news.split() if old[0].isdigit() or old == "False" else [news])
}


def reason(mutant: Mutant, source: str) -> str | None:
    """Why the mutant, of this source, cannot be told from it; None where it should be."""
    text = source.splitlines()[mutant.line - 1]
    for (file, line, old, new), why in EQUIVALENT.items():
        if (file, old, new) == (mutant.file, mutant.old, mutant.new) and line in text:
            return why
    return None
