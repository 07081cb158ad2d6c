"""From saved runs to figures and tables: nothing here trains, and nothing here needs torch or Hydra."""

import os

# Before anything imports matplotlib: scripts write files, and a notebook's or a desktop's backend may not be here.
os.environ["MPLBACKEND"] = "Agg"
