"""The documentation's site: it builds without a warning, needs no network, and every formula is set."""

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.browser import chromium, needs_browser, requested, resize

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("mkdocs", "material", "mkdocstrings", "mathjax")
pytestmark = pytest.mark.skipif(
    any(find_spec(name) is None for name in PACKAGES), reason="needs the extra docs, which make docs installs"
)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)]
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    built = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, env=environment)
    assert (built.returncode, built.stderr) == (0, "")
    return folder


def test_pages_of_the_repository_are_there(site):
    for page in (ROOT / "docs").glob("*.md"):
        assert (site / f"{page.stem}.html").is_file(), page
    for name in ("index", "deviations", "changelog", "source/CITATION.cff", "source/figures/published/index",
                 "source/examples/tour.ipynb"):  # fmt: skip
        assert (site / f"{name}.html").is_file(), name
    assert (site / "figures/published/figure_1.png").read_bytes() == (
        ROOT / "figures/published/figure_1.png"
    ).read_bytes()


@needs_browser
def test_every_formula_is_set_and_nothing_is_fetched(site):
    pages = ["index", "theory", "errata", *(f"api/{page.stem}" for page in (ROOT / "docs/api").glob("*.md"))]
    with chromium() as browser:
        for page in pages:
            browser.get((site / f"{page}.html").as_uri())
            browser.execute_async_script("MathJax.startup.promise.then(arguments[0])")
            wanted, set_, wrong = (
                browser.execute_script(f"return document.querySelectorAll('{chosen}').length")
                for chosen in (".arithmatex", ".arithmatex > mjx-container", "[data-mjx-error], mjx-merror")
            )
            assert (set_, wrong) == (wanted, 0), page
            assert (wanted > 0) == (page not in ("index", "api/runs"))
            text = browser.find_element("tag name", "body").text
            assert not any(left in text for left in (":math:", ":class:", ".. math", "$$", "\\frac", "\\(")), page
            for width in (390, 1200):
                resize(browser, width)
                assert browser.execute_script("return document.documentElement.scrollWidth") <= width, page
                svgs = browser.find_elements("css selector", "article mjx-container > svg")
                sizes = browser.execute_script("return arguments[0].map(e => e.getBoundingClientRect().width)", svgs)
                assert min(sizes, default=9) > 3, page  # a letter has more pixels
            assert [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"] == [], page
            assert {address.partition(":")[0] for address in requested(browser)} <= {"file", "data", "blob"}, page
