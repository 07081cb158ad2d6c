"""Start the experiment: python -m experiments.vit, or several processes of it under torchrun."""

from experiments.runs import app
from experiments.vit import ranks

if __name__ == "__main__":
    with ranks.joined():
        app.main("vit")
