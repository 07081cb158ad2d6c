"""Start the experiment: python -m experiments.compare."""

from experiments.runs import app

if __name__ == "__main__":
    app.main("compare")
