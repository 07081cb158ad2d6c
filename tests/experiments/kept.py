"""What a checkpoint holds, read without the class that wrote it."""

import io

import torch


def kept_state(file):
    """The state behind the checkpoint's first line."""
    return torch.load(io.BytesIO(file.read_bytes().partition(b"\n")[2]), weights_only=True)
