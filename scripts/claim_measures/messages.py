"""Claims that a figure's script decides already: its messages, chosen by a part of their sentence."""

from collections.abc import Callable
from functools import cache
from importlib import import_module
from types import ModuleType

from experiments.store import SavedRun
from scripts.claim_measures.finding import ClaimError, Finding, Sweep, of_cases
from scripts.figures import Message

Runs = list[SavedRun]


def _of_figure_5(script: ModuleType, runs: Runs) -> list[Message]:
    table = script.measured(runs)
    return script.messages(table, script.over_seeds(table))


def _of_theorem_3(script: ModuleType, runs: Runs) -> list[Message]:
    drawn = script.trajectories(runs)
    return script.messages(drawn, script.by_run(drawn))


def _of_burn_in(script: ModuleType, runs: Runs) -> list[Message]:
    return script.messages(script.trajectories(runs), runs[0].config["data"]["eigenvalues"])


# How the script of a sweep, which has the sweep's name, comes from the runs to its messages.
MESSAGES: dict[str, Callable[[ModuleType, Runs], list[Message]]] = {
    "figure_1": lambda script, runs: script.messages(script.over_seeds(runs)),
    "figure_3": lambda script, runs: script.messages(script.finals(runs)),
    "figure_3_readings": lambda script, runs: script.messages(script.finals(runs)),
    "figure_5": _of_figure_5,
    "figure_6": lambda script, runs: script.messages(script.over_seeds(runs)),
    "figure_bounds": lambda script, runs: script.messages(script.problems(runs)),
    "figure_burn_in": _of_burn_in,
    "figure_c": lambda script, runs: script.messages(script.trajectories(runs)),
    "figure_critical_step": lambda script, runs: script.messages(script.by_run(script.trajectories(runs))),
    "figure_theorem_3": _of_theorem_3,
    "table_1": lambda script, runs: script.messages(script.over_seeds(runs)),
}


@cache
def all_of(sweep: Sweep) -> list[Message]:
    """The messages of the sweep's script."""
    return MESSAGES[sweep.name](import_module(f"scripts.{sweep.name}"), sweep.runs)


def messages(sweep: Sweep, *, sentences: list[str], problem: str = "") -> Finding:
    """Each message with one of the ``sentences`` in its own, and ``problem`` in its problem, is a case.

    Raises ClaimError where a sentence is in no message.
    """
    chosen = []
    for words in sentences:
        found = [m for m in all_of(sweep) if words in m.sentence and problem in m.problem]
        if not found:
            raise ClaimError(f"no message of scripts/{sweep.name}.py has {words!r} with the problem {problem!r}")
        chosen += found
    cases = {f"{m.problem}: {m.sentence}": m.holds for m in chosen}
    said = [f"{m.problem}: {m.evidence}" if len(chosen) > 1 else m.evidence for m in chosen]
    return of_cases(cases, " | ".join(said))
