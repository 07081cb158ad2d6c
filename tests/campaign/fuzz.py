"""Generated command lines of every experiment, valid and not: each runs, diverges, or is refused in one line.

    python -m tests.campaign.fuzz [lines]

Each goes through the whole command line, in this process.
"""

import random
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import torch

from tests.campaign.cases import leftovers
from tests.experiments.launch import content, within

TINY = {  # what keeps a valid line small; the fuzz may put other values behind these
    "linear_regression": ("iterations=20", "data.n=20", "data.d=3"),
    "bounds": ("problems=3", "max_steps=50"),
    "gram": ("data.n=10",),
    "two_layer": ("iterations=10", "data.n=10", "m=8"),
    "vit": (
        "data.test=1700", "weights.share=0.5", "weights.epochs=1", "epochs=1", "batch=32", "model.width=8",
        "model.depth=1", "model.heads=2",
    ),
    "ppo": ("frames=64", "envs=2", "steps=16", "epochs=1", "batch=16", "actor=[4]", "critic=[4]"),
    "compare": ("epochs=1",),
    "lstm": ("data.articles=60", "embedding=4", "hidden=4", "epochs=1", "batch=16"),
    "errata": ("number=2",),
    "certificates": ("training.m=20", "training.data.n=3", "most=50"),
    "networks": ("certified=2", "adversarial=1", "max_steps=20"),
    "stochastic": ("part=promises", "problems=5", "max_steps=20"),
}  # fmt: skip
NUMBERS = ("0.1", "1", "10", "1e-3", "1e3", "[0.1,1]", "1e100", "1e-300", "1e-8", "1e30")
COUNTS = ("1", "2", "3", "7", "16")
BAD = (
    "0", "-1", "nan", "inf", "-inf", "1e400", "null", "true", "''", "[]", "{}", "[1,1]", "abc", "1e308", "5e-324",
    "[[1]]", "99999999999999999999", "'1'", "1,2", "$x", "${b0}", "${nothing}", "???", "[1", "{a:1}", "0x10", "1e",
    "ü", "a=b",
)  # fmt: skip
SGD = ("adaloss", "adagrad_norm", "sgd_constant", "sgd_decay_sqrt", "adagrad_norm_rowwise")
ADAM = ("adam", "adamloss", "adam_sqrt")
FIELDS = {
    "linear_regression": {
        "b0": NUMBERS, "eta": NUMBERS, "alpha": NUMBERS, "seed": ("0", "1", "[0,1]"), "batch": (*COUNTS, "null"),
        "method": SGD[:4], "data": ("gaussian", "spectrum", "diabetes"), "record.windows": ("[[1,5]]", "[]"),
        "record.log_points": ("1", "5", "0"), "record.columns": ("[loss,step]", "[gap]", "[s,loss]"),
    },
    "bounds": {
        "p": ("1", "2"), "d": ("1", "2", "[1,3]"), "seed": ("0", "[0,1]"), "problems": COUNTS, "max_steps": COUNTS,
    },
    "gram": {"data": ("sphere", "clusters", "digits", "near_orthogonal"), "seed": ("0", "[0,1]"), "data.n": COUNTS},
    "two_layer": {
        "b0": NUMBERS, "eta": NUMBERS, "alpha": NUMBERS, "m": COUNTS, "batch": (*COUNTS, "null"), "method": SGD[:4],
        "data": ("sphere", "digits", "clusters"), "eta_unit": ("gram", "absolute"), "seed": ("0", "[0,1]"),
        "record.columns": ("[loss,step]", "[flips,distance]", "[linear_loss]", "[lambda_min,gram_change]"),
    },
    "vit": {
        "b0": NUMBERS, "eta": NUMBERS, "method": SGD, "weight_decay.by": ("eta", "step"), "batch": ("8", "32"),
        "weight_decay.value": ("0", "0.5"), "precision": ("float32", "bfloat16"), "weights": ("labels", "rotation"),
        "model.patch": ("2", "4", "3"), "model.heads": ("1", "2", "3"),
    },
    "ppo": {
        "b0": NUMBERS, "eta": NUMBERS, "method": ADAM, "fed": ("own", "joint"), "gamma": ("0", "0.9", "1"),
        "lam": ("0", "1"), "clip": ("0.2", "1e3"), "reward_scale": NUMBERS, "batch": ("16", "32", "5"),
    },
    "compare": {
        "step": NUMBERS, "problem": ("digits_mlp", "noisy_regression"), "seed": ("0", "[0,1]"),
        "optimizer": ("adaloss", "sgd", "adam", "adamloss", "adagrad_norm"),
    },
    "lstm": {
        "b0": NUMBERS, "eta": NUMBERS, "method": ADAM, "pooling": ("mean", "last"), "batch": COUNTS, "hidden": COUNTS,
        "data.vocabulary": COUNTS, "data.length": COUNTS, "seed": ("0", "[0,1]"),
    },
    "errata": {"number": ("2", "3", "[3,4]", "10")},
    "certificates": {
        "training": ("adaloss", "gradient_descent"), "training.m": (*COUNTS, "[1,7]"), "training.b0": NUMBERS,
        "training.eta": NUMBERS, "training.alpha": NUMBERS, "training.eta_unit": ("absolute", "start"),
        "seed": ("0", "[0,1]"), "target": ("0.1", "1e-12", "1"),
    },
    "networks": {"certified": ("1", "2"), "adversarial": ("1", "2"), "max_steps": COUNTS, "seed": ("0", "[0,1]")},
    "stochastic": {
        "part": ("promises", "paths", "counterexample"), "p": ("1", "2"), "problems": COUNTS, "max_steps": COUNTS,
        "delta": ("0.1", "1e-3", "0.999", "2"), "seed": ("0", "[0,1]"),
    },
}  # fmt: skip


def line(rng, name):
    """One command line's overrides: some fields with allowed values, and in half of the lines something wrong."""
    fields = FIELDS[name]
    words = [
        f"{field}={rng.choice(fields[field])}"
        for field in rng.sample(sorted(fields), rng.randint(0, min(3, len(fields))))
    ]
    groups = [word for word in words if word.split("=")[0] in ("data", "method", "problem", "weights")]
    words = groups + [word for word in words if word not in groups]
    if rng.random() < 0.5:
        field = rng.choice([*fields, *fields, "nothing", "runs.x", "scale", "sweep", "data.nothing", ""])
        prefix = rng.choice(["", "", "", "", "+", "++", "~"])
        words.append(rng.choice([f"{prefix}{field}={rng.choice(BAD)}", f"{prefix}{field}", rng.choice(BAD)]))
    return [*TINY[name], *words]


def judge(name, words, result, runs):
    """ran or refused; AssertionError for anything else."""
    told, errors = (name, words, result), result.stderr
    if result.returncode == 0:
        assert errors == "", told
        assert content(runs) or not Path(runs).exists(), told
        kinds = {status for *_, status, _ in content(runs).values()}
        assert kinds <= {"completed", "diverged"}, told
        assert not leftovers(runs), told
        return "diverged" if "diverged" in kinds else "ran"
    assert (
        result.returncode == 2 and len(errors.splitlines()) == 1 and errors.startswith("error: ") and len(errors) > 12
    ), told
    assert "Traceback" not in errors, told
    assert not content(runs) or all(key.startswith("vit_pretrain") for key in content(runs)), told
    return "refused"


def campaign(count, rng, slow=True):
    """Counts of (experiment, what came of it), the slowest line, and what broke; ``slow``: the deep ones too."""
    counts, slowest, broken = Counter(), 0.0, []
    names = list(FIELDS)
    for k in range(count):
        # The slow ones are a tenth of the others.
        name = rng.choice(names[:4] * 3 + names[4:]) if slow and k % 3 else rng.choice(names[:4])
        words = line(rng, name)
        with tempfile.TemporaryDirectory() as folder:
            runs = f"{folder}/runs"
            begun = time.perf_counter()
            try:
                counts[name, judge(name, words, within(name, *words, f"runs={runs}"), runs)] += 1
            except Exception as error:
                broken.append((name, words, f"{type(error).__name__}: {' '.join(str(error).split())[-600:]}"))
            slowest = max(slowest, time.perf_counter() - begun)
    return counts, slowest, broken


def main(count):
    torch.set_num_threads(1)
    counts, slowest, broken = campaign(count, random.Random(0))
    print("| experiment | ran | diverged | refused in one line |\n|---|---|---|---|")
    for name in FIELDS:
        print(f"| {name} | {' | '.join(str(counts[name, what]) for what in ('ran', 'diverged', 'refused'))} |")
    print(f"\n{count} lines; the slowest took {slowest:.1f} s")
    for what in broken:
        print("BROKE:", *what)
    assert not broken


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1000)
