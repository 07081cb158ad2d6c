"""CIFAR-10 (Krizhevsky, 2009)."""

from functools import partial
from typing import Literal

from experiments.data import cifar

FORM = cifar.Form(
    title="CIFAR-10",
    classes=10,
    folder="cifar-10-batches-py",
    labels="labels",
    train={
        "data_batch_1": "c99cafc152244af753f735de768cd75f",
        "data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
        "data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
        "data_batch_4": "634d18415352ddfa80567beed471001a",
        "data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
    },
    test={"test_batch": "40351d587109b95175f43aff81a1287e"},
    mean=(0.4914, 0.4822, 0.4465),
    std=(0.2470, 0.2435, 0.2616),
)


class Config(cifar.CifarConfig):
    """The archive and what is seen of its images."""

    name: Literal["cifar10"]


load = partial(cifar.load, FORM)
