"""AdaLoss: step sizes that adapt to the loss, with their theory and exact simulators."""
