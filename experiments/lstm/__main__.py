"""Start the experiment: python -m experiments.lstm."""

from experiments.runs import app

if __name__ == "__main__":
    app.main("lstm")
