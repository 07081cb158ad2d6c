"""What is reported was made from other seeds than those on which the settings were chosen."""

from functools import cache

import pytest
from omegaconf import OmegaConf

from experiments.runs.registry import listed
from tests.experiments.launch import ROOT

CHOSEN_ON = {*range(10), *range(100, 200)}  # DEVIATIONS.md
# nothing is drawn; proofs are checked, for which nothing was chosen; or the sweep shows how a setting was chosen
WITHOUT = {"figure_burn_in", "figure_bounds", "figure_stochastic", "figure_networks", "figure_eta"}


@cache
def read(file):
    return OmegaConf.load(ROOT / "configs" / file)


def seeds_of(sweep, scale):
    """The seeds of a sweep at a scale, from its file, those that it starts from, and the scale's."""
    own = read(f"sweep/{sweep}.yaml")
    base = [name for name in own.get("defaults", []) if isinstance(name, str) and name in listed()]
    files = [*(read(f"sweep/{name}.yaml") for name in base), own]
    config = OmegaConf.merge({"scale": read(f"scale/{scale}.yaml")}, *files)
    found = config.get("seed", OmegaConf.select(config, "hydra.sweeper.params.seed"))
    if found is None:  # those of its cases
        names = OmegaConf.select(config, "hydra.sweeper.params.case").split(",")
        cases = [read("case.yaml")[name] for name in names]
        own = [OmegaConf.merge({"scale": config.scale}, case) for case in cases if "seed" in case]
        found = [seed for case in own for seed in case.seed]
    return {*map(int, found.split(","))} if isinstance(found, str) else {found} if isinstance(found, int) else {*found}


@pytest.mark.parametrize("scale", ["laptop", "paper"])
def test_no_reported_seed_was_chosen_on(scale):
    sweeps = [name for name, one in listed().items() if one.part == "paper" and name not in WITHOUT]
    assert len(sweeps) >= 13
    for name in sweeps:
        assert seeds_of(name, scale) and not seeds_of(name, scale) & CHOSEN_ON, name
