"""Claims that a figure's script decides already: its messages, chosen by a part of their sentence."""

from collections.abc import Callable
from functools import cache

from scripts import (
    figure_1,
    figure_3,
    figure_3_readings,
    figure_5,
    figure_6,
    figure_burn_in,
    figure_c,
    figure_critical_step,
    figure_theorem_3,
)
from scripts.claim_measures import tables
from scripts.claim_measures.finding import ClaimError, Finding, Sweep, of_cases
from scripts.shared.output import Message


def _of_figure_5(sweep: Sweep) -> list[Message]:
    table = tables.spectra(sweep)
    return figure_5.messages(table, figure_5.over_seeds(table))


def _of_burn_in(sweep: Sweep) -> list[Message]:
    eigenvalues = sweep.runs[0].config["data"]["eigenvalues"]
    return figure_burn_in.messages(figure_burn_in.trajectories(sweep.runs), eigenvalues)


def _of_critical_step(sweep: Sweep) -> list[Message]:
    drawn = figure_critical_step.trajectories(sweep.runs)
    return figure_critical_step.messages(figure_critical_step.by_run(drawn))


# How each sweep's script comes from the runs to its messages.
MESSAGES: dict[str, Callable[[Sweep], list[Message]]] = {
    "figure_1": lambda sweep: figure_1.messages(tables.over_b0(sweep)),
    "figure_3": lambda sweep: figure_3.messages(figure_3.finals(sweep.runs)),
    "figure_3_readings": lambda sweep: figure_3_readings.messages(figure_3.finals(sweep.runs)),
    "figure_5": _of_figure_5,
    "figure_6": lambda sweep: figure_6.messages(figure_6.over_seeds(sweep.runs)),
    "figure_burn_in": _of_burn_in,
    "figure_c": lambda sweep: figure_c.messages(figure_c.trajectories(sweep.runs)),
    "figure_critical_step": _of_critical_step,
    "figure_theorem_3": lambda sweep: figure_theorem_3.messages(tables.trajectories(sweep), tables.ends(sweep)),
}


@cache
def all_of(sweep: Sweep) -> list[Message]:
    """The messages of the sweep's script."""
    return MESSAGES[sweep.name](sweep)


def messages(sweep: Sweep, *, sentences: list[str]) -> Finding:
    """Each message with one of the ``sentences`` in its own is a case.

    Raises ClaimError where a sentence is in no message.
    """
    chosen = []
    for words in sentences:
        found = [message for message in all_of(sweep) if words in message.sentence]
        if not found:
            raise ClaimError(f"no message of scripts/{sweep.name}.py has {words!r}")
        chosen += found
    several = len({message.problem for message in chosen}) < len(chosen)
    names = [f"{message.problem}: {message.sentence}" if several else message.problem for message in chosen]
    cases = {name: message.holds for name, message in zip(names, chosen, strict=True)}
    said = [f"{name}: {message.evidence}" for name, message in zip(names, chosen, strict=True)]
    return of_cases(cases, "; ".join(said))
