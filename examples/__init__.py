"""AdaLoss in other people's training loops: one short script for each, run as ``python -m examples.<name>``."""
