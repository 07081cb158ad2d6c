"""The paper's items in its own order: which sweep draws each, which claims are about it, and what the runs say of it.

A sweep with a script that no item names is one of ours; it gets a section by itself.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

from scripts.claims import tally
from scripts.claims.claim import CODE
from scripts.report import takeaways
from scripts.report.takeaways import Facts


@dataclass(frozen=True, kw_only=True)
class Item:
    """A figure, a table or a statement of the paper that has a picture here.

    ``sweep`` has the picture that is shown, ``more`` are sweeps about the same. ``names`` are what the paper's places
    call it, ``key`` the ids of the claims that stand next to what was measured. ``headline``: on the first screen.
    """

    id: str
    title: str
    section: str
    sweep: str
    takeaway: Callable[[Facts], str]
    key: tuple[str, ...]
    names: tuple[str, ...] = ()
    more: tuple[str, ...] = ()
    headline: bool = False


ITEMS = (
    Item(
        id="offset",
        title="The offset c in place of f*",
        section="Section 2",
        sweep="figure_c",
        takeaway=takeaways.offset,
        key=("c-replaces-f-star",),
    ),
    Item(
        id="theorem-1",
        title="Theorem 1 and Corollary 1: linear convergence from every b0",
        section="Section 3",
        sweep="figure_bounds",
        names=("Theorem 1", "Corollary 1"),
        takeaway=takeaways.theorem_1,
        key=("linear-convergence-adaloss", "theorem-1-as-printed", "corollary-1-as-printed"),
        headline=True,
    ),
    Item(
        id="lemma-1",
        title="Lemma 1: from a small b0 the loss grows, and b with it",
        section="Section 3",
        sweep="figure_burn_in",
        names=("Lemma 1", "equation (7)"),
        takeaway=takeaways.lemma_1,
        key=("lemma-1-exit", "lemma-1-adagrad-norm", "lemma-1-adaloss"),
    ),
    Item(
        id="figure-1",
        title="Figure 1: stochastic linear regression",
        section="Section 3",
        sweep="figure_1",
        names=("Figure 1",),
        takeaway=takeaways.figure_1,
        key=("figure-1-robust", "figure-1-not-better-first", "figure-1-outperforms"),
        headline=True,
    ),
    Item(
        id="theorem-7",
        title="Theorems 7 and 8: stochastic gradients",
        section="Section 3",
        sweep="figure_stochastic",
        names=("Theorem 7", "Theorem 8"),
        takeaway=takeaways.stochastic,
        key=("theorem-7-stochastic", "theorem-8-stochastic"),
    ),
    Item(
        id="figure-5",
        title="Assumptions 1 and 2, Figure 5: the eigenvalues of H∞",
        section="Section 4",
        sweep="figure_5",
        names=("Figure 5", "Assumption 1", "Assumption 2"),
        takeaway=takeaways.figure_5,
        key=("assumption-2", "figure-5-norm", "figure-5-independent-of-n"),
        headline=True,
    ),
    Item(
        id="theorem-2",
        title="Theorem 2: the largest step of gradient descent",
        section="Section 4",
        sweep="figure_critical_step",
        names=("Theorem 2",),
        takeaway=takeaways.theorem_2,
        key=("theorem-2-largest-step", "theorem-2-convergence", "theorem-2-iterations"),
    ),
    Item(
        id="theorem-3",
        title="Theorem 3: AdaLoss in two-layer networks",
        section="Section 4",
        sweep="figure_theorem_3",
        names=("Theorem 3", "Theorem 3(a)", "Theorem 3(b)"),
        more=("figure_networks", "figure_certificates"),
        takeaway=takeaways.theorem_3,
        key=("theorem-3a", "theorem-3b", "width-above-n-to-the-8"),
    ),
    Item(
        id="figure-6",
        title="Figure 6: two-layer networks with minibatches",
        section="Section 4",
        sweep="figure_6",
        names=("Figure 6",),
        takeaway=takeaways.figure_6,
        key=("figure-6",),
    ),
    Item(
        id="table-1",
        title="Table 1: fine-tuning a vision transformer",
        section="Section 4",
        sweep="table_1",
        names=("Table 1",),
        more=("table_1_controls", "figure_eta"),
        takeaway=takeaways.table_1,
        key=("table-1-robust",),
    ),
    Item(
        id="figure-2",
        title="Figure 2: an LSTM that classifies news",
        section="Section 5",
        sweep="figure_2",
        names=("Figure 2", "Figures 2"),
        more=("figure_2_overlap", "figure_2_readings", "figure_2_bbc"),
        takeaway=takeaways.figure_2,
        key=("figure-2-accuracy",),
        headline=True,
    ),
    Item(
        id="figure-3",
        title="Figure 3: swinging up a pendulum",
        section="Section 5",
        sweep="figure_3",
        names=("Figure 3",),
        more=("figure_3_readings",),
        takeaway=takeaways.figure_3,
        key=("figure-3-robust", "figure-3-adam-sensitive", "figure-3-better-start"),
        headline=True,
    ),
    Item(
        id="figure-4",
        title="Figure 4: the first 200 iterations of AdamLoss",
        section="Section 5",
        sweep="figure_4",
        names=("Figure 4", "of b0"),
        more=("figure_4_width",),
        takeaway=takeaways.figure_4,
        key=("figure-4-robust", "lstm-loss-high", "lstm-b-after-25-from-1", "lstm-b-stabilizes", "lstm-400-decreases"),
    ),
    Item(
        id="table-2",
        title="The README of the code: its second table, of a ResNet",
        section=CODE,
        sweep="table_2",
        names=("the code's second table",),
        takeaway=takeaways.table_2,
        key=(),
    ),
)


def item_of(claim: dict) -> Item | None:
    """Return the item that a claim's place names, else the one whose sweep decides it, else None."""
    named = [
        item for item in ITEMS if any(re.search(rf"{re.escape(name)}(?!\d)", claim["place"]) for name in item.names)
    ]
    decided = [item for item in ITEMS if tally.sweeps(claim["runs"])[0] in (item.sweep, *item.more)]
    return (named or decided or [None])[0]


def section_of(claim: dict) -> str:
    """Return the section of the paper that a claim's place is in."""
    if claim["source"] == CODE:
        return CODE
    found, item = re.match(r"Abstract|Section \d", claim["place"]), item_of(claim)
    if found or item:
        return found[0] if found else item.section
    return {"Proposition 1": "Section 3"}.get(claim["place"], claim["place"])  # it has no picture
