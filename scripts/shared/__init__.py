"""The shared parts of the scripts of figures and tables."""
