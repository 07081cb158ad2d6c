"""The problems: one module each, with ``Config`` (its fields) and ``load(config, seed)``."""
