"""One Hydra app per experiment; each turns a configuration into saved runs."""

import os
import sys

from experiments.runs import interrupt, streams

if sys.argv[:1] == ["-m"]:  # Python is about to run one of the modules below: its imports take seconds
    streams.guard()
    interrupt.watch(sys.orig_argv[sys.orig_argv.index("-m") + 1].rpartition(".")[2])
elif interrupt.MAIN in os.environ:
    streams.guard()
    interrupt.end_with_main()
