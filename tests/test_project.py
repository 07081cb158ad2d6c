"""The project's own files agree with each other, and what its pages tell a reader to type works."""

import re
import subprocess
import tomllib
from itertools import chain

import torch
import yaml

from adaloss.theory.linear_regression import advance
from experiments.runs.registry import listed as sweeps
from scripts import compare_page
from scripts.claims import tally
from scripts.claims.listed import claims
from tests.pages import PAGES, ROOT, blocks

LINKING = ("CONTRIBUTING.md", "DEVIATIONS.md", "CHANGELOG.md", *PAGES)


def test_every_package_is_pinned_and_every_pin_has_its_package():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    named = [*project["dependencies"], *chain(*project["optional-dependencies"].values())]
    pins = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if not line.startswith("#")]
    assert all(re.fullmatch(r"[a-z0-9-]+==[0-9.]+", pin) for pin in pins)
    assert {re.match(r"[a-z0-9-]+", name)[0] for name in named} - {"adaloss"} == {pin.split("==")[0] for pin in pins}


def test_a_clone_that_converts_line_ends_is_the_same(tmp_path):
    """make needs the recipes as they are, and so do the checksums of published tables."""

    def git(*words):
        subprocess.run(["git", "-c", "core.autocrlf=true", *words], cwd=tmp_path, check=True, capture_output=True)

    git("init")
    for name in (".gitattributes", "Makefile", "figures/published/figure_eta.csv", "figures/published/figure_eta.png"):
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes((ROOT / name).read_bytes())
        git("add", name)
        file.unlink()
        git("checkout-index", name)
        assert file.read_bytes() == (ROOT / name).read_bytes(), name


def test_make_help_lists_every_target():
    makefile = (ROOT / "Makefile").read_text()
    phony = re.search(r"^\.PHONY: ((.*\\\n)*.*)$", makefile, flags=re.MULTILINE)[1].replace("\\\n", " ").split()
    listed = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert re.findall(r"^  make ([\w-]+)", listed, flags=re.MULTILINE) == phony
    assert set(phony) >= {"help", "install", "test", "smoke", "reproduce", "figures", "bench", "lint", "clean"}
    for target in phony:
        building = re.search(rf"^{target}:(.*)$", makefile, flags=re.MULTILINE)[1]
        assert target in ("help", "clean", "smoke") or re.search(r"\$\((STAMP|VENV)\)", building), target


def test_every_sweep_is_made_and_has_its_script():
    found = sweeps()
    drawn = {name for name, one in found.items() if one.part != "facts"}
    facts = {name for name, one in found.items() if one.part == "facts"}
    assert facts == {"cost", "errata", "hyperparameters"} == {*found} - drawn
    assert drawn == {file.stem for kind in ("figure", "table") for file in (ROOT / "scripts").glob(f"{kind}_*.py")}
    for name in found:
        assert f"sweep: {{name: {name}," in (ROOT / f"configs/sweep/{name}.yaml").read_text()


def test_scales_have_the_same_fields():
    def fields(value):
        return {key: fields(inner) for key, inner in value.items()} if isinstance(value, dict) else None

    scales = {file.stem: yaml.safe_load(file.read_text()) for file in (ROOT / "configs/scale").glob("*.yaml")}
    assert set(scales) == {"smoke", "laptop", "paper"}
    assert all(scale["name"] == name for name, scale in scales.items())
    assert fields(scales["smoke"]) == fields(scales["laptop"]) == fields(scales["paper"])


def test_the_training_loop_of_the_readme_trains():
    torch.manual_seed(0)
    x, w = torch.randn(60, 4), torch.randn(4, 1)
    model = torch.nn.Linear(4, 1)
    names = {"model": model, "loss_function": torch.nn.functional.mse_loss, "batches": [(x, x @ w)] * 300}
    first = torch.nn.functional.mse_loss(model(x), x @ w).item()
    exec(next(code for _, code in blocks("README.md", "python") if "optimizer" in code), names)
    assert names["loss"].item() < 0.01 * first
    assert names["optimizer"].b > 1.0


def test_the_verdicts_of_the_readme_are_those_published():
    page = (ROOT / "README.md").read_text()
    assert tally.filled(page, tally.read(ROOT / "figures/published/claims.csv")) == page
    named = set(re.findall("`([0-9a-z_]+)`", " ".join(re.findall(r"^\|[^|]*\|(.*?)\|", page, flags=re.MULTILINE))))
    assert named == {name for claim in claims() for name in claim.sweeps}


def test_the_comparisons_numbers_are_those_published():
    page = (ROOT / "docs/compare.md").read_text()
    assert compare_page.filled(page, tally.read(ROOT / "figures/published/figure_compare.csv")) == page


def test_what_the_comparison_says_in_words_is_so():
    said, widths = (
        tally.read(ROOT / f"figures/published/figure_compare_{name}.csv") for name in ("messages", "widths")
    )
    like = said[said.sentence.str.contains("best lr")]
    near = {
        of: set(some.problem[some.holds]) for of, some in like.groupby(like.sentence.str.extract(r"(\w+)\.like")[0])
    }
    assert near["AdamLoss"] == {*said.problem} - {"spoiled_regression"}
    assert near["AdaLoss"] == {"digits_vit", "noisy_regression"}
    own = said[said.sentence.str.contains(r"^Ada\w+ stays near its own best over more decades than (?:SGD|Adam)$")]
    assert (own.holds.sum(), len(own)) == (9, 10)
    widest = widths.loc[widths.groupby("problem").width_overall.idxmax()].set_index("problem").optimizer
    assert widest.to_dict() == {
        "digits_mlp": "dog",
        "digits_vit": "adamloss_like",
        "news_lstm": "prodigy",
        "noisy_regression": "dog",
        "spoiled_regression": "dog",
    }
    curves = tally.read(ROOT / "figures/published/figure_compare.csv").groupby("problem")
    spoiled, mlp, lstm = (
        curves.get_group(problem).pivot(index="step", columns="optimizer", values="value")
        for problem in ("spoiled_regression", "digits_mlp", "news_lstm")
    )
    assert spoiled.adaloss.min() > 1000 * spoiled.adaloss_like.min()
    assert spoiled.adamloss[0.01] > 1000 * spoiled.adamloss_like[0.01]
    assert spoiled.adamloss[100] < spoiled.adamloss_like.min()
    assert mlp.sgd[10] < 0.15 and lstm.sgd[100] < 0.55 and lstm.adaloss.max() < 0.55  # chance


def test_the_bound_of_a_running_job_holds(capsys):
    names = {}
    exec(blocks("docs/theory.md", "python")[0][1], names)
    printed = re.findall(r"(?:below|at most) ([0-9.]+)", capsys.readouterr().out)
    b_bound, t, n = map(float, printed)
    state, exit_index = names["state"], None
    for k in range(int(t)):
        state = advance(state)
        if exit_index is None and state.b >= 50:
            exit_index = k
    assert state.weighted(0) <= 1e-6
    assert state.b <= b_bound
    assert exit_index <= n


def test_links_of_the_pages_lead_somewhere():
    for page in LINKING:
        for target in re.findall(r"\]\(([^)#]+)\)", (ROOT / page).read_text()):
            assert target.startswith("https://") or (ROOT / page).parent.joinpath(target).exists(), f"{page}: {target}"


def test_the_pages_name_tests_that_are_there():
    there = {file.name for file in (ROOT / "tests").rglob("*.py")}
    for page in PAGES:
        assert {*re.findall(r"\b(test_\w+\.py)", (ROOT / page).read_text())} <= there, page


def test_the_words_are_those_of_the_field():
    old = r"\b(hangs? on|besides?|anew|mend(s|ed)?|leaves? word|(un)?harm(ed|s)|stands? for|unasked|whoever)\b"
    folders = ("adaloss", "benchmarks", "configs", "docs", "examples", "experiments", "hydra_plugins", "scripts")
    files = chain(*((ROOT / folder).rglob(f"*.{kind}") for folder in folders for kind in ("py", "yaml", "md", "j2")))
    for file in (*files, ROOT / "Makefile", *(ROOT / page for page in LINKING)):
        assert not (found := re.search(old, file.read_text(), flags=re.IGNORECASE)), f"{file}: {found}"
