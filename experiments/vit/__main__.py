"""Start the experiment: python -m experiments.vit, or several processes of it under torchrun."""

from experiments import distributed
from experiments.runs import app

if __name__ == "__main__":
    with distributed.process_group():
        app.main("vit")
