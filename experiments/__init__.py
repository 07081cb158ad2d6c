"""One Hydra app per experiment; each turns a configuration into saved runs."""

import os
import re
import sys

from experiments.runs import interrupt, streams

if sys.argv[:1] == ["-m"]:  # Python is about to run one of the modules below: its imports take seconds
    streams.guard()
    at, word = next((i, word) for i, word in enumerate(sys.orig_argv) if re.match(r"-[bBdEhiIOPqsSuvVx?]*m", word))
    module = word.partition("m")[2] or sys.orig_argv[at + 1]  # python -m, -um or -mexperiments.vit
    interrupt.watch(module.rpartition(".")[2])
elif interrupt.MAIN in os.environ:
    streams.guard()
    interrupt.end_with_main()
