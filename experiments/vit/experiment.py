"""Fine-tuning a pretrained vision transformer (paper, Section 4, Table 1).

python -m experiments.vit method=adaloss b0=0.1 seed=0
python -m experiments.vit b0=[0.01,1,100] seed=[0,1,2]                      nine runs, one after the other
python -m experiments.vit sweep=table_1                                     the sweep behind Table 1
torchrun --nproc-per-node 8 -m experiments.vit sweep=table_1 scale=paper data.path=...      docs/paper_scale.md
"""

from collections.abc import Callable, Iterator
from functools import cached_property, partial
from itertools import product
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
from pydantic import PrivateAttr, model_validator

from experiments import distributed
from experiments.data import module as data_module
from experiments.data.images import Images
from experiments.methods import SGD_FAMILY
from experiments.models import hub
from experiments.models.vit import Architecture
from experiments.optimizers import make
from experiments.runs.checkpoint import Checkpoint
from experiments.runs.identity import code_hash
from experiments.runs.schema import Count, Experiment, Outcome, Positive, PositiveList, Progress, SeedList, nested
from experiments.runs.store import Run, Store
from experiments.vit.pretrain import PRETRAINING, build, dealt, generator
from experiments.vit.pretrain import weights as pretrained
from experiments.vit.train import VitTrainer, WeightDecay, best_epoch

NAME = "vit"
DATA = ("digit_images", "cifar100")
WEIGHTS = PRETRAINING | {"hub": hub.Hub, "file": hub.File}
HEAD_STREAM, ORDER_STREAM = 2, 3


class Vit(Experiment):
    """One job: all combinations of ``b0`` and ``seed`` for one method, data set and pretrained model.

    All methods and b0 share what a seed draws. The fields are explained in configs/experiment/vit.yaml.
    """

    method: Annotated[Any, nested("method", SGD_FAMILY.get, tuple(SGD_FAMILY))]
    data: Annotated[Any, nested("data", lambda name: data_module(name).Config, DATA)]
    model: Annotated[Any, nested("model", Architecture)]
    weights: Annotated[Any, nested("weights", WEIGHTS.get, tuple(WEIGHTS))]
    b0: PositiveList
    seed: SeedList
    eta: Positive
    weight_decay: Annotated[Any, nested("weight_decay", WeightDecay)]
    epochs: Count
    batch: Count
    precision: Literal["float32", "bfloat16"]
    _start: tuple[dict[str, torch.Tensor], str] = PrivateAttr()

    @model_validator(mode="after")
    def _fits_together(self) -> "Vit":
        if getattr(self.method, "c_unit", "absolute") != "absolute":
            raise ValueError("method.c_unit='f_star': should be absolute (f* is 0 for these networks)")
        if self.method.name == "adagrad_norm_rowwise" and self.weight_decay.by == "step":
            raise ValueError("weight_decay.by='step': should be eta (row by row there is no one step)")
        if self.eta * self.weight_decay.value >= 1:
            raise ValueError(f"weight_decay.value={self.weight_decay.value}: eta times it should be less than 1")
        self.model.check(self._images.size)
        return self

    @cached_property
    def _loaded(self) -> Images:
        return data_module(self.data.name).load(self.data)

    @cached_property
    def _images(self) -> Images:
        """The images to fine-tune on."""
        return dealt(self._loaded, self.weights)[0] if self.weights.name in PRETRAINING else self._loaded

    def runs(self) -> list[Run]:
        """Return one run per (b0, seed). Where files lie is no part of them; what is in the files is."""
        common = self.model_dump(exclude={"data": {"path"}, "weights": {"path"}})
        code = code_hash(__name__, data_module(self.data.name).__name__)
        data = self._images.checksum
        if self.weights.name == "file":
            data = f"{data} {hub.read(Path(self.weights.path))[1]}"
        return [
            Run(
                experiment=NAME,
                label=f"{self.method.name}_{self.data.name}_{self.weights.name}_b0={b0:g}_seed={seed}",
                config=common | {"b0": b0, "seed": seed},
                code=code,
                data=data,
            )
            for b0, seed in product(self.b0, self.seed)
        ]

    def agreed(self, choose: Callable[[], list[Run]]) -> list[Run]:
        """Broadcast rank 0's choice: all ranks train the same model."""
        return distributed.broadcast(choose() if distributed.rank() == 0 else None)

    def prepare(self, store: Store, progress: Progress) -> None:
        """Get the pretrained weights: out of the store, the hub or a file."""
        torch.set_num_threads(1)
        if self.weights.name in PRETRAINING:
            self._start = pretrained(self.weights, self.model, self.data, self._loaded, store, progress)
            return
        path = Path(self.weights.path) if self.weights.name == "file" else hub.download(self.weights)
        state, checksum = hub.read(path)
        self._start = hub.backbone(state, build(self.model, self._images, 0, HEAD_STREAM), str(path)), checksum

    def execute(self, runs: list[Run], progress: Progress) -> Iterator[Outcome]:
        """Train one model after the other; only rank 0 has something to save."""
        for run in runs:
            outcome = self._train(run, progress)
            if distributed.rank() == 0:
                yield outcome
        distributed.broadcast(None)  # no rank goes on before the last is saved

    def _train(self, run: Run, progress: Progress) -> Outcome:
        b0, seed = run.config["b0"], run.config["seed"]
        weights, checksum = self._start
        model = build(self.model, self._images, seed, HEAD_STREAM)
        hub.put(weights, model)
        decay = self.weight_decay
        by_step = {"weight_decay": decay.value} if decay.by == "step" else {}
        trainer = VitTrainer(
            model,
            make(self.method, model.parameters(), eta=self.eta, b0=b0, **by_step),
            self._images,
            shrink=1.0 - self.eta * decay.value if decay.by == "eta" else 1.0,
            precision=self.precision,
            generator=generator(seed, ORDER_STREAM),
        )
        bar = partial(progress, desc=f"{self.method.name} b0={b0:g} seed={seed}", unit="step")
        finite, history = trainer.train(self.epochs, self.batch, Checkpoint(run), bar)
        best = best_epoch(history)
        results = {
            "classes": self._images.classes,
            "best_epoch": None if best is None else int(best["epoch"]),
            "validation_accuracy": None if best is None else float(best["validation_accuracy"]),
            "test_accuracy": None if best is None else float(best["test_accuracy"]),
            "weights_sha256": checksum,
            "device": distributed.device().type,
            "processes": distributed.world_size(),
        }
        return Outcome(run, history, results, finite)


EXPERIMENT = Vit
