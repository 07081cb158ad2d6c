"""Attempts to break everything, repeatable: ``make campaign``. What came of them is in docs/reliability.md."""

import os

os.environ |= {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}  # before NumPy is imported
