"""Start the experiment: python -m experiments.bounds."""

from experiments.runs import app

if __name__ == "__main__":
    app.main("bounds")
