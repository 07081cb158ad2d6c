"""CIFAR-100 (Krizhevsky, 2009)."""

from functools import partial
from typing import Literal

from experiments.data import cifar

FORM = cifar.Form(
    title="CIFAR-100",
    classes=100,
    folder="cifar-100-python",
    labels="fine_labels",
    train={"train": "16019d7e3df5f24257cddd939b257f8d"},
    test={"test": "f0ef6b0ae62326f3e7ffdfab6717acfc"},
    mean=(0.5071, 0.4867, 0.4408),
    std=(0.2675, 0.2565, 0.2761),
)


class Config(cifar.CifarConfig):
    """The archive and what is seen of its images."""

    name: Literal["cifar100"]


load = partial(cifar.load, FORM)
