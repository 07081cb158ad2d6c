"""Pretrained weights from safetensors: a file, or one of a repository on the Hugging Face hub at a pinned revision."""

import hashlib
import re
from collections.abc import Mapping
from contextlib import suppress
from functools import cache, partial
from pathlib import Path
from typing import Annotated, Literal

import torch
from huggingface_hub import hf_hub_download, model_info
from huggingface_hub.errors import LocalEntryNotFoundError
from pydantic import Field, ValidationInfo, field_validator
from safetensors import SafetensorError
from safetensors.torch import load as parse
from torch import nn

from adaloss.runs import files
from experiments.runs.schema import ConfigError, Strict

FILE = "model.safetensors"
HEAD = ("head.", "fc.")
MOST_BYTES = 2**32
SECONDS = 10  # in which the hub should answer
FLOATS = (torch.float64, torch.float32, torch.float16, torch.bfloat16)


class Hub(Strict):
    """``repo`` is the hub's tag in full (owner/name), ``revision`` the commit, that of main now if it is None."""

    name: Literal["hub"]
    repo: Annotated[str, Field(pattern=r"^[\w.-]+/[\w.-]+$")]
    revision: Annotated[str, Field(pattern=r"^[0-9a-f]{40}$")]

    @field_validator("revision", mode="before")
    @classmethod
    def _resolved(cls, revision: str | None, others: ValidationInfo) -> str:
        return newest(others.data["repo"]) if revision is None and "repo" in others.data else revision


class File(Strict):
    """``path`` of a safetensors file."""

    name: Literal["file"]
    path: str


@cache
def newest(repo: str) -> str:
    """Ask the hub for the commit of a repository's main branch, and print it; without the hub, the cache's.

    Raises ConfigError if neither knows it.
    """
    print(f"asking the hub for the newest commit of {repo}", flush=True)
    try:
        commit, source = model_info(repo, timeout=SECONDS).sha, ""
    except Exception as error:  # of many packages, as below
        why = files.one_line(error)
        try:
            commit = Path(hf_hub_download(repo, FILE, local_files_only=True)).parent.name
        except Exception:
            raise ConfigError(
                f"weights.revision=null: the newest of {repo} cannot be asked for ({why}); give one"
            ) from error
        source = f", the newest in the cache ({why})"
    print(f"{repo}: weights.revision={commit}{source}", flush=True)
    return commit


def download(config: Hub) -> Path:
    """Return the repository's weights in the hub's cache, downloaded if need be. Raises ConfigError if that fails."""
    get = partial(hf_hub_download, config.repo, FILE, revision=config.revision)
    try:
        with suppress(LocalEntryNotFoundError):
            return Path(get(local_files_only=True))
        print(f"asking the hub for {FILE} of {config.repo}", flush=True)
        model_info(config.repo, revision=config.revision, timeout=SECONDS)  # the other tries for minutes
        return Path(get())
    except Exception as error:  # of many packages: the hub's own, the network's, the file system's
        raise ConfigError(
            f"weights.repo={config.repo!r}: {FILE} cannot be downloaded ({files.one_line(error)})"
        ) from error


def cached(path: Path) -> tuple[dict[str, torch.Tensor], str]:
    """Return the same as ``read`` of a file in the hub's cache.

    It is a link to one whose name is its SHA-256. Raises ConfigError also if that is another, as of a file not whole.
    """
    name = path.readlink().name if path.is_symlink() else ""
    return read(path, name if re.fullmatch("[0-9a-f]{64}", name) else None)


def read(path: Path, sha256: str | None = None) -> tuple[dict[str, torch.Tensor], str]:
    """Return the tensors of a safetensors file and its SHA-256, which should be ``sha256`` if that is given.

    Raises ConfigError if there is no such file.
    """
    try:
        content = files.read(path, MOST_BYTES)
    except (OSError, ValueError) as error:  # ValueError: no name that a file can have
        raise ConfigError(f"{path}: cannot be read ({getattr(error, 'strerror', None) or error})") from error
    found = hashlib.sha256(content).hexdigest()
    if sha256 not in (None, found):
        raise ConfigError(f"{path.resolve()}: has the sha256 {found}, not {sha256}; delete it to download it again")
    try:
        return parse(content), found
    # what safetensors raises; KeyError: a type that torch lacks; the others: a shape that torch cannot make.
    except (SafetensorError, KeyError, AssertionError, RuntimeError, TypeError, ValueError) as error:
        raise ConfigError(f"{path}: not a safetensors file ({files.one_line(error)})") from error


def backbone(weights: Mapping[str, torch.Tensor], model: nn.Module, source: str) -> dict[str, torch.Tensor]:
    """Return ``weights`` without the head, in the types of ``model``.

    Raises ConfigError if they are not ``model``'s by name and shape, or one is no finite floating-point number.
    """
    given = {name: value for name, value in weights.items() if not name.startswith(HEAD)}
    wanted = {name: value for name, value in model.state_dict().items() if not name.startswith(HEAD)}
    missing, unexpected = (
        [name[:80] for name in sorted(names)[:3]]
        for names in (wanted.keys() - given.keys(), given.keys() - wanted.keys())
    )
    if missing or unexpected:
        raise ConfigError(f"{source}: not this model's weights (missing {missing}, unexpected {unexpected})")
    return {
        name: _fitting(value, wanted[name], f"{source}: not this model's weights ({name}")
        for name, value in given.items()
    }


def _fitting(value: torch.Tensor, like: torch.Tensor, what: str) -> torch.Tensor:
    """Return ``value`` in the type of ``like``. Raises ConfigError, a line that begins with ``what``, if unfit."""
    if value.shape != like.shape:
        raise ConfigError(f"{what} is {tuple(value.shape)}, not {tuple(like.shape)})")
    if value.dtype == like.dtype and not like.is_floating_point():  # how many batches a BatchNorm has seen
        return value
    if value.dtype not in FLOATS:
        allowed = ", ".join(_type(dtype) for dtype in FLOATS)
        raise ConfigError(f"{what} is of {_type(value.dtype)}, allowed are {allowed})")
    fitting = value.to(like.dtype)
    if not fitting.isfinite().all():
        raise ConfigError(f"{what} has a number that is not finite in {_type(like.dtype)})")
    return fitting


def _type(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def first_blocks(weights: Mapping[str, torch.Tensor], count: int) -> dict[str, torch.Tensor]:
    """Return the weights without those of the blocks from number ``count`` on."""
    return {name: value for name, value in weights.items() if name[:7] != "blocks." or int(name.split(".")[1]) < count}


def put(weights: Mapping[str, torch.Tensor], model: nn.Module) -> None:
    """Give ``model`` a backbone; its head stays as it is."""
    model.load_state_dict(model.state_dict() | dict(weights))
