"""Text classification by an LSTM (Figures 2 and 4)."""
