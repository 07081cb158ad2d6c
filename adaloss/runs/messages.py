"""Errors and foreign names in one line, without control characters."""

import os


def printable(text: object) -> str:
    """Write what would steer a terminal, and what no encoding holds, as an escape."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in str(text))


def one_line(error: Exception) -> str:
    """Put what the error says in one line of at most 200 characters."""
    return printable(" ".join(str(error)[:1000].split()))[:200] or type(error).__name__


def reason(error: Exception) -> str:
    """Give the system's word for the error: pyarrow puts paragraphs into strerror."""
    return os.strerror(error.errno) if getattr(error, "errno", None) else one_line(error)
