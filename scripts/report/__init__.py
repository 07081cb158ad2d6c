"""The report: one HTML page of all results next to the paper's."""
