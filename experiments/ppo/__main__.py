"""Start the experiment: python -m experiments.ppo."""

from experiments.runs import app

if __name__ == "__main__":
    app.main("ppo")
