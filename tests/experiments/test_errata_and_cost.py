"""The sweeps that claims need and no figure: counterexamples as runs, and times measured side by side."""

from adaloss.theory.errata import ERRATA
from experiments.cost import Cost
from experiments.runs.schema import validated
from experiments.runs.store import Store
from tests.experiments.launch import launch

SMALL = {"model": {"name": "vit", "patch": 4, "width": 16, "depth": 1, "heads": 2}, "size": 8, "classes": 3, "batch": 2}
SMALL["model"] |= {"layer_scale": False, "pooling": "token"}
SMALL |= {"steps": 2, "turns": 3, "seed": 0}
PARTS = {"gradient", "sgd_constant", "adaloss", "adagrad_norm", "adagrad_norm_rowwise"}


def test_a_run_is_what_its_counterexample_computes(tmp_path):
    result = launch("sweep=errata", f"runs={tmp_path}", experiment="errata")
    assert (result.returncode, result.stderr) == (0, "")
    runs = Store(tmp_path).load_sweep("errata")
    assert [run.config for run in runs] == [{"number": number} for number in ERRATA]
    for run in runs:
        [row] = run.history.to_dict("records")
        assert row == ERRATA[run.config["number"]](), run.path.name


def test_times_of_all_parts_in_every_turn(tmp_path):
    small = [f"model.{name}={value}" for name, value in SMALL["model"].items()]
    small += [f"{name}={value}" for name, value in SMALL.items() if name != "model"]
    result = launch("sweep=cost", "sweep.name=small", *small, f"runs={tmp_path}", experiment="cost")
    assert (result.returncode, result.stderr) == (0, "")
    [run] = Store(tmp_path).load_sweep("small")
    assert run.history.groupby("turn").part.agg(set).to_dict() == dict.fromkeys((1, 2, 3), PARTS)
    assert (run.history.seconds > 0).all() and run.config == SMALL
    # patches and positions, one block of four matrices and two norms, last norm, head
    block = 16 * 48 + 48 + 16 * 16 + 16 + 2 * 16 * 64 + 64 + 16 + 4 * 16
    total = 16 + 5 * 16 + 16 * 3 * 4 * 4 + 16 + block + 2 * 16 + 3 * 16 + 3
    assert run.summary["result"] == {"parameters": total, "tensors": 4 + 12 + 2 + 2}


def test_steps_alternate_in_an_order_that_is_drawn(monkeypatch):
    """The CPU clock is read around every single step; here it is a list of who was timed."""
    cost = validated(Cost, SMALL | {"turns": 6})
    called = []
    parts = {name: lambda name=name: called.append(name) for name in sorted(PARTS)}
    monkeypatch.setattr(Cost, "_parts", lambda self: (parts, 1, 1))
    [made] = cost.execute(cost.runs(), lambda it, **_: it)
    assert made.status == "completed" and called.count("gradient") == 7
    optimizers = [name for name in called if name != "gradient"]
    rounds = [tuple(optimizers[k : k + 4]) for k in range(0, len(optimizers), 4)]
    assert len(rounds) == 14 and all({*one} == PARTS - {"gradient"} for one in rounds) and len({*rounds}) > 1
