"""One thread for BLAS, in this process and its children: results to the last bit need it, small products are faster."""

import os

os.environ["OPENBLAS_NUM_THREADS"] = "1"
os.environ["OMP_NUM_THREADS"] = "1"

from hypothesis import settings

# The same examples on every machine: a failure here can be repeated anywhere.
settings.register_profile("adaloss", deadline=None, derandomize=True, database=None)
settings.load_profile("adaloss")
