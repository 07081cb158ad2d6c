"""From saved runs to figures and tables: nothing here trains, and nothing here needs torch or Hydra."""
