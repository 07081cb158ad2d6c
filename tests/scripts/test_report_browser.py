"""The report in a browser: it needs nothing else, its curves and claims can be chosen, and everybody can read it."""

import base64
import json
import re
from importlib.metadata import distribution

import numpy as np
import pytest
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.select import Select

from tests.browser import chromium, needs_browser, prefer, requested, resize

pytestmark = needs_browser
EXPLORERS = ("figure_1", "figure_burn_in")
AXE = "const done = arguments[0]; axe.run({resultTypes: ['violations']}).then((found) => done(found.violations))"
PAINT = """const done = arguments[0];
new PerformanceObserver((list) => list.getEntriesByName("first-contentful-paint").forEach((one) => done(one.startTime)))
    .observe({type: "paint", buffered: true})"""


@pytest.fixture(scope="module")
def browser(made, page):
    with chromium() as driver:
        driver.get((made / "figures/report.html").as_uri())
        yield driver


def explorer(browser, name):
    return browser.find_element(By.ID, f"explore-{name}")


def data_of(root):
    return json.loads(root.find_element(By.CLASS_NAME, "data").get_property("textContent"))


def drawn(browser, root, panel):
    """The plot's own data: for each curve its name and its points."""
    across, *curves = browser.execute_script("return arguments[0].plots[arguments[1]].data", root, panel)
    names = browser.execute_script(
        "return arguments[0].plots[arguments[1]].series.map((one) => one.label)", root, panel
    )
    return [
        (name, [(x, y) for x, y in zip(across, curve, strict=True) if y is not None])
        for name, curve in zip(names[1:], curves, strict=True)
    ]


def check_curves(browser, root, data, variant, k, without=()):
    """Every curve of the explorer is the embedded series of this b0; none of the methods that were left out."""
    frame = data["variants"][variant]["frames"][k]
    for panel in data["panels"]:
        series = [one for one in frame["series"] if one["panel"] == panel["name"] and one["method"] not in without]
        curves = drawn(browser, root, panel["name"])
        assert len(curves) == len(series) > 0
        for (name, points), one in zip(curves, series, strict=True):
            assert name.endswith(", proved bound") == (one["kind"] == "bound")
            assert points == [(x, y) for x, y in zip(one["x"], one["y"], strict=True) if y]


@pytest.mark.parametrize("name", EXPLORERS)
def test_the_slider_moves_the_curves_to_the_data_of_its_b0(name, browser):
    root = explorer(browser, name)
    data, slider = data_of(root), root.find_element(By.CSS_SELECTOR, "input[type=range]")
    slider.send_keys(Keys.HOME)
    for k, b0 in enumerate(data["b0"]):
        check_curves(browser, root, data, 0, k)
        assert float(root.find_element(By.TAG_NAME, "output").text) == b0
        assert slider.get_attribute("aria-valuetext") == f"b0 = {b0:g}"
        rows = root.find_elements(By.CSS_SELECTOR, ".numbers-of-b0 tbody tr")
        cells = [[cell.get_property("textContent") for cell in row.find_elements(By.XPATH, "*")] for row in rows]
        assert cells == data["variants"][0]["frames"][k]["rows"]
        slider.send_keys(Keys.ARROW_RIGHT)  # at the end it stays


def test_start_methods_and_axes_can_be_chosen(browser):
    root = explorer(browser, "figure_1")
    data, slider = data_of(root), root.find_element(By.CSS_SELECTOR, "input[type=range]")
    slider.send_keys(Keys.HOME)
    Select(root.find_element(By.TAG_NAME, "select")).select_by_visible_text(data["variants"][1]["label"])
    check_curves(browser, root, data, 1, 0)
    root.find_element(By.CSS_SELECTOR, "input[value=sgd_constant]").send_keys(Keys.SPACE)
    check_curves(browser, root, data, 1, 0, without=["sgd_constant"])
    scale = "return arguments[0].plots.loss.scales.y.distr"
    assert browser.execute_script(scale, root) == 3  # uPlot's logarithmic one
    root.find_element(By.CSS_SELECTOR, "input[name=y]").send_keys(Keys.SPACE)
    assert browser.execute_script(scale, root) == 1


def test_the_values_under_the_pointer_are_shown(browser):
    root = explorer(browser, "figure_burn_in")
    over = root.find_element(By.CSS_SELECTOR, "[data-panel=b] .u-over")
    browser.execute_script("arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})", over)
    ActionChains(browser).move_to_element(over).perform()
    index = browser.execute_script("return arguments[0].plots.b.cursor.idx", root)
    x, *values = [cell.text for cell in root.find_elements(By.CSS_SELECTOR, "[data-panel=b] .u-series .u-value")]
    across, *curves = browser.execute_script("return arguments[0].plots.b.data", root)
    assert float(x) == pytest.approx(across[index], rel=5e-3)
    known = [(text, curve[index]) for text, curve in zip(values, curves, strict=True) if curve[index] is not None]
    assert known and all(float(text) == pytest.approx(value, rel=5e-3) for text, value in known)


def shown_claims(browser):
    rows = browser.find_elements(By.CSS_SELECTOR, "#claim-table tbody tr")
    return [row.get_attribute("id") for row in rows if row.is_displayed()]


def test_claims_are_sorted_filtered_searched_and_linked(browser):
    form = browser.find_element(By.ID, "claim-filter")
    verdict, search = Select(form.find_element(By.NAME, "verdict")), form.find_element(By.NAME, "words")
    assert shown_claims(browser) == ["claim-c1", "claim-c2", "claim-c3"]
    button = browser.find_elements(By.CSS_SELECTOR, "#claim-table th button")[2]
    button.send_keys(Keys.ENTER)
    assert shown_claims(browser) == ["claim-c3", "claim-c2", "claim-c1"]  # by the verdict's name
    button.send_keys(Keys.ENTER)
    assert shown_claims(browser) == ["claim-c1", "claim-c2", "claim-c3"]
    verdict.select_by_visible_text("false as printed")
    assert shown_claims(browser) == ["claim-c3"] and "1 of 3" in form.text
    browser.get(browser.current_url.partition("#")[0] + "#claim-c2")  # a filter hides no linked claim
    assert "claim-c2" in shown_claims(browser)
    assert browser.find_element(By.CSS_SELECTOR, "#claim-c2 details").get_property("open")
    search.send_keys("ROBUST how")
    assert shown_claims(browser) == ["claim-c1"]
    search.clear()
    search.send_keys(Keys.SPACE)
    browser.find_element(By.CSS_SELECTOR, "a[data-verdict=reproduced]").send_keys(Keys.ENTER)
    assert shown_claims(browser) == ["claim-c1"]


def test_the_section_in_view_is_marked(browser):
    current = "return [...document.querySelectorAll('nav [aria-current=true]')].map((link) => link.hash)"
    for name in ("figure-1", "errata"):
        browser.execute_script(f"document.getElementById('{name}').scrollIntoView({{behavior: 'instant'}})")
        browser.execute_async_script("setTimeout(arguments[0], 200)")
        assert browser.execute_script(current) == [f"#{name}"]


def test_no_error_no_network_and_a_fast_first_paint(browser):
    browser.refresh()
    assert browser.get_log("browser") == []
    addresses = requested(browser)
    assert addresses and {address.partition(":")[0] for address in addresses} <= {"file", "data"}
    assert {address for address in addresses if address.startswith("file")} == {browser.current_url.partition("#")[0]}
    paint = browser.execute_async_script(PAINT)
    assert paint < 1000


@pytest.mark.parametrize("width", [320, 390, 768, 1400])
def test_nothing_sticks_out_at_any_width(width, browser):
    resize(browser, width)
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width
    resize(browser, 1200)


@pytest.mark.parametrize(("width", "scheme"), [(1400, "light"), (1400, "dark"), (390, "light")])
def test_axe_finds_nothing_serious_with_everything_open(width, scheme, browser):
    axe = distribution("axe-core-python").locate_file("axe_core_python/axe.min.js").read_text(encoding="utf-8")
    resize(browser, width)
    prefer(browser, scheme)
    browser.execute_script("for (const one of document.querySelectorAll('details')) one.open = true")
    browser.execute_script(axe)
    found = browser.execute_async_script(AXE)
    assert [one for one in found if one["impact"] in ("serious", "critical")] == []
    back = browser.execute_script("return getComputedStyle(document.body).backgroundColor")
    assert (np.mean([int(part) for part in re.findall(r"\d+", back)[:3]]) < 64) == (scheme == "dark")
    prefer(browser, "light")
    resize(browser, 1200)


def test_it_prints(browser):
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    assert not browser.find_element(By.TAG_NAME, "nav").is_displayed()
    assert explorer(browser, "figure_1").find_element(By.TAG_NAME, "canvas").is_displayed()
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})
    pdf = base64.b64decode(browser.execute_cdp_cmd("Page.printToPDF", {})["data"])
    assert pdf.startswith(b"%PDF") and len(re.findall(rb"/Type\s*/Page\b", pdf)) >= 3
