"""The report: one HTML page of everything beside the paper."""
