"""From saved runs to figures and tables: nothing here trains, and nothing here needs torch or Hydra."""

import os
import signal
import sys

if sys.argv[:1] == ["-m"] and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    # Python is about to run one of the modules below: its imports take seconds, before run_main has this line
    signal.signal(signal.SIGINT, lambda *_: sys.exit("interrupted; the same command continues"))

# Before anything imports matplotlib: scripts write files, and a notebook's or a desktop's backend may not be here.
os.environ["MPLBACKEND"] = "Agg"
