"""Pretrained weights from safetensors: a file, or one of a repository on the Hugging Face hub at a pinned revision."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

import torch
from huggingface_hub import hf_hub_download
from pydantic import Field
from safetensors import SafetensorError
from safetensors.torch import load as parse
from torch import nn

from experiments.schema import ConfigError, Strict

FILE = "model.safetensors"
HEAD = "head."


class Hub(Strict):
    """``repo`` is the hub's tag in full (owner/name), ``revision`` the commit."""

    name: Literal["hub"]
    repo: Annotated[str, Field(pattern=r"^[\w.-]+/[\w.-]+$")]
    revision: Annotated[str, Field(pattern=r"^[0-9a-f]{40}$")]


class File(Strict):
    """``path`` of a safetensors file."""

    name: Literal["file"]
    path: str


def download(config: Hub) -> Path:
    """The repository's weights in the hub's cache on this machine. Raises ConfigError where they cannot be had."""
    try:
        return Path(hf_hub_download(config.repo, FILE, revision=config.revision))
    except Exception as error:  # of many packages: the hub's own, the network's, the file system's
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ConfigError(f"weights.repo={config.repo!r}: {FILE} cannot be had ({reason})") from error


def read(path: Path) -> tuple[dict[str, torch.Tensor], str]:
    """The tensors of a safetensors file and its SHA-256. Raises ConfigError where there is no such file."""
    try:
        content = path.read_bytes()
        return parse(content), hashlib.sha256(content).hexdigest()
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror})") from error
    except SafetensorError as error:
        raise ConfigError(f"{path}: no safetensors ({error})") from error


def backbone(weights: Mapping[str, torch.Tensor], model: nn.Module, source: str) -> dict[str, torch.Tensor]:
    """``weights`` without the head. Raises ConfigError where they are not ``model``'s by name and shape."""
    given = {name: value for name, value in weights.items() if not name.startswith(HEAD)}
    wanted = {name: value for name, value in model.state_dict().items() if not name.startswith(HEAD)}
    missing, unexpected = sorted(wanted.keys() - given.keys()), sorted(given.keys() - wanted.keys())
    if missing or unexpected:
        raise ConfigError(f"{source}: not this model's weights (missing {missing[:3]}, unexpected {unexpected[:3]})")
    for name, value in given.items():
        if value.shape != wanted[name].shape:
            raise ConfigError(
                f"{source}: not this model's weights ({name} is {tuple(value.shape)}, not {tuple(wanted[name].shape)})"
            )
    return given


def put(weights: Mapping[str, torch.Tensor], model: nn.Module) -> None:
    """Give ``model`` a backbone; its head stays as it is."""
    model.load_state_dict(model.state_dict() | dict(weights))
