"""The second table of the authors' code: Table 1's methods on a ResNet, at the laptop's scale on a stand-in for it.

python -m scripts.table_2 --scale laptop

Numbers are as in ``scripts.table_1``.
"""

from scripts.claims.claim import CODE
from scripts.shared.output import Output, main
from scripts.table_1 import APART, NAMES, cell_claims, markdown, messages, over_seeds

# In percent, mean and deviation of 3 runs: ResNet50-swsl on CIFAR-100 (README.md of the authors' code at f44ca3c).
RESNET = {
    "adaloss": {0.01: (84.0, 0.51), 0.1: (84.29, 0.27), 1: (83.96, 0.64), 10: (84.26, 0.44), 100: (83.03, 0.19)},
    "adagrad_norm_rowwise": {
        0.01: (64.57, 1.70),
        0.1: (68.24, 2.55),
        1: (80.13, 1.06),
        10: (83.02, 0.79),
        100: (83.32, 0.20),
    },
    "sgd_constant": {0.01: (2.33, 0.35), 0.1: (26.02, 6.45), 1: (63.36, 6.69), 10: (81.02, 0.94), 100: (83.53, 0.13)},
    "sgd_decay_sqrt": {
        0.01: (83.66, 0.13),
        0.1: (83.70, 0.38),
        1: (83.98, 0.13),
        10: (84.79, 0.20),
        100: (83.10, 0.29),
    },
}


def draw(output: Output) -> None:
    """Save the table as CSV and Markdown, and the messages."""
    table = over_seeds(output.runs, RESNET)
    output.table("table_2", table)
    output.text("table_2.md", markdown(table, "Paper: CIFAR-100, ResNet50-swsl, 3 runs (the code's README)."))
    output.messages("table_2", messages(table))


CLAIMS = (
    *cell_claims(
        RESNET,
        {method: name.replace("_", "-") for method, name in NAMES.items()},
        "resnet",
        "the code's second table",
        "g",
        "this ResNet",
        sweep="table_2",
        source=CODE,
    ),
)


if __name__ == "__main__":
    main("table_2", draw, APART)
