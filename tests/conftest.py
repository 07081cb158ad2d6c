"""One thread for BLAS, in this process and its children: results to the last bit need it, small products are faster.

SIGINT and SIGHUP are heeded, too: where nohup or a shell's background has the suite ignore them, so would all processes
that are sent one in a test.
"""

import gc
import os
import signal

os.environ["OPENBLAS_NUM_THREADS"] = "1"
os.environ["OMP_NUM_THREADS"] = "1"

from hypothesis import settings

signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)

# The same examples on every machine: a failure here can be repeated anywhere.
settings.register_profile("adaloss", deadline=None, derandomize=True, database=None)
settings.load_profile("adaloss")


def pytest_collection_finish():
    """Keep what the imports made, which stays, out of all later collections of garbage."""
    gc.collect()
    gc.freeze()
