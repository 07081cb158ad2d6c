"""One Hydra app per experiment; each turns a configuration into saved runs."""

import sys

if sys.argv[:1] == ["-m"]:  # Python is about to run one of the modules below: its imports take seconds
    from experiments import interrupt

    interrupt.watch_start(sys.orig_argv[sys.orig_argv.index("-m") + 1].rpartition(".")[2])
