"""Each public docstring stands alone: it explains every argument, and its example runs as it is printed."""

import doctest
import inspect
import re

import pytest
import torch

from adaloss import optim
from adaloss.stepsizes import RULES

PUBLIC = {name: getattr(optim, name) for name in optim.__all__} | RULES
COMMON = {"nonfinite", "process_group"}  # of every optimizer


def arguments(public):
    """The names of all that it takes, with the torch optimizer's own; differentiable is refused."""
    if not isinstance(public, type):
        return set(inspect.signature(public).parameters)
    if public is optim.LossDriven:
        return {"params", "args", "lr", *public.options, *COMMON, "kwargs"}
    names = {*inspect.signature(public).parameters, *public.options, *COMMON}
    names |= set(
        inspect.signature(torch.optim.SGD if issubclass(public, torch.optim.SGD) else torch.optim.Adam).parameters
    )
    return names - {"kwargs", "differentiable"}


@pytest.mark.parametrize("name", PUBLIC)
def test_the_docstring_stands_alone(name):
    text = inspect.getdoc(PUBLIC[name])
    explained = re.search(r"^Args:\n((?:    .*\n)+)", text, flags=re.MULTILINE)[1]
    assert set(re.findall(r"^    \**(\w+): ", explained, flags=re.MULTILINE)) == arguments(PUBLIC[name])
    assert ":math:" in text and re.search(r"^References?:", text, flags=re.MULTILINE)
    [example] = doctest.DocTestFinder(recurse=False).find(PUBLIC[name], name, globs={})
    said = []
    result = doctest.DocTestRunner(verbose=False).run(example, out=said.append)
    assert result.attempted and not result.failed, "".join(said)
