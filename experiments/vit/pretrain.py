"""A pretrained transformer made here, without a download: it learns from a share of the training images.

It learns their labels, which leaves strong features, or by how much each was rotated, which leaves weak ones. The other
training images are what it is fine-tuned on. The result is a run of its own, made once and found again by every
fine-tuning that starts from it: its history is the weights without the head, one row per number.
"""

import time
from dataclasses import replace
from functools import partial
from typing import Annotated, Any, Literal

import numpy as np
import pandas as pd
import torch
from pydantic import Field
from torch import nn

from experiments.data import module as data_module
from experiments.data.images import Images, Rows, balanced_split
from experiments.distributed import broadcast, device, rank
from experiments.models.hub import HEAD
from experiments.models.vit import Architecture
from experiments.runs.checkpoint import Checkpoint
from experiments.runs.identity import code_hash
from experiments.runs.locks import Claims
from experiments.runs.schema import ConfigError, Count, Outcome, Positive, Progress, Seed, Strict
from experiments.runs.store import Run, SavedRun, Store
from experiments.vit.train import VitTrainer

NAME = "vit_pretrain"
ANGLES = 4  # 0, 90, 180, 270 degrees
BUILD_STREAM, ORDER_STREAM, DEAL_STREAM = 0, 1, 4


class Pretraining(Strict):
    """Adam with the constant step ``lr`` on ``share`` of each class of the training images, dealt by ``seed``."""

    share: Annotated[float, Field(gt=0, lt=1)]
    epochs: Count
    batch: Count
    lr: Annotated[Positive, Field(le=1)]
    seed: Seed


class Labels(Pretraining):
    """Pretraining that learns the labels."""

    name: Literal["labels"]


class Rotation(Pretraining):
    """Pretraining that learns how the image was turned; an epoch sees every image at every angle once."""

    name: Literal["rotation"]


PRETRAINING = {"labels": Labels, "rotation": Rotation}


def generator(seed: int, stream: int) -> torch.Generator:
    """Return random numbers of one purpose: those of different streams are independent."""
    return torch.Generator().manual_seed(int(np.random.SeedSequence([seed, stream]).generate_state(1, np.uint64)[0]))


def build(model: Any, images: Images, seed: int, stream: int) -> nn.Module:
    """Build the architecture with a seed's initial weights, on the device; torch's own generator is untouched."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(generator(seed, stream).initial_seed())
        net = model.network(size=images.size, channels=images.channels, classes=images.classes)
    return net.to(device())


def rotated(images: Images) -> Images:
    """Return the images at every angle, labelled by it: k is k quarter turns to the left."""

    def part(rows: Rows) -> Rows:
        turned = torch.cat([torch.rot90(rows[0], k, (2, 3)) for k in range(ANGLES)])
        return turned, torch.arange(ANGLES).repeat_interleave(len(rows[0]))

    parts = {name: part(getattr(images, name)) for name in ("train", "validation", "test")}
    return replace(images, classes=ANGLES, **parts)


def dealt(images: Images, config: Pretraining) -> tuple[Images, Images]:
    """Split the images into those to fine-tune on and those to pretrain on. Raises ValueError if none is left."""
    rng = np.random.default_rng([config.seed, DEAL_STREAM])
    x, y = images.train
    rows = [torch.from_numpy(rows) for rows in balanced_split(y.numpy(), config.share, rng)]
    if not all(map(len, rows)):
        raise ValueError(f"weights.share={config.share}: leaves no image to fine-tune or to pretrain on")
    tune, before = (replace(images, train=(x[some], y[some])) for some in rows)
    return tune, rotated(before) if config.name == "rotation" else before


def run_of(config: Pretraining, model: Architecture, data: Strict, images: Images) -> Run:
    """Return the identity of the pretraining."""
    return Run(
        experiment=NAME,
        label=f"{config.name}_{data.name}_seed={config.seed}",
        config={"weights": config.model_dump(), "model": model.model_dump(), "data": data.model_dump(exclude={"path"})},
        code=code_hash(__name__, data_module(data.name).__name__),
        data=images.checksum,
    )


def weights(
    config: Pretraining,
    model: Architecture,
    data: Strict,
    images: Images,
    store: Store,
    progress: Progress,
) -> tuple[dict[str, torch.Tensor], str]:
    """Return the backbone and its SHA-256: out of the store, where it is made first if it is not there.

    ``images`` are all, as they are loaded. Raises ConfigError if the training diverges.
    """
    run = store.opened(run_of(config, model, data, images))
    with Claims(store.root, NAME) as claims:
        while not broadcast(store.has(run)):
            if not broadcast(claims.take([run]) if rank() == 0 else None):
                broadcast(claims.wait(run) if rank() == 0 else None)  # another process is making it
            elif not broadcast(store.has(run)):  # it may have been saved in between
                start = time.perf_counter()
                made = _train(config, model, dealt(images, config)[1], run, progress)
                if rank() == 0:
                    store.save(run, made.status, made.history, made.results, time.perf_counter() - start)
                broadcast(None)  # no rank reads before it is written
    return unpacked(store.load(run.folder), build(model, images, config.seed, BUILD_STREAM).state_dict())


def _train(config: Pretraining, model: Architecture, images: Images, run: Run, progress: Progress) -> Outcome:
    net = build(model, images, config.seed, BUILD_STREAM)
    trainer = VitTrainer(
        net,
        torch.optim.Adam(net.parameters(), lr=config.lr),
        images,
        shrink=1.0,
        precision="float32",
        generator=generator(config.seed, ORDER_STREAM),
    )
    finite, history = trainer.train(
        config.epochs, config.batch, Checkpoint(run), partial(progress, desc=NAME, unit="step")
    )
    if not finite:
        raise ConfigError(f"weights.lr={config.lr}: the pretraining was not finite after {len(history)} steps")
    results = {
        "validation_accuracy": float(history["validation_accuracy"].iloc[-1]),
        "test_accuracy": float(history["test_accuracy"].iloc[-1]),
        "train_loss": float(history["train_loss"].iloc[-1]),
    }
    return Outcome(run, packed(net.state_dict()), results)


def packed(state: dict[str, torch.Tensor]) -> pd.DataFrame:
    """Return the weights without the head, one row per number."""
    flat = {name: value.flatten().cpu().numpy() for name, value in state.items() if not name.startswith(HEAD)}
    names = np.repeat(list(flat), [len(values) for values in flat.values()])
    return pd.DataFrame(
        {"name": pd.Categorical(names, categories=list(flat)), "weight": np.concatenate([*flat.values()])}
    )


def unpacked(saved: SavedRun, like: dict[str, torch.Tensor]) -> tuple[dict[str, torch.Tensor], str]:
    """Return the weights in the shapes of ``like``, and the SHA-256 of the file that they come from."""
    parts = {name: rows.to_numpy() for name, rows in saved.history.groupby("name", observed=True, sort=False)["weight"]}
    state = {name: torch.tensor(values).reshape(like[name].shape) for name, values in parts.items()}
    return state, saved.summary["history_sha256"]
