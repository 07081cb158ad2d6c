"""The report in a browser: it needs nothing else, and what its sliders draw is what stands in it."""

import base64
import json
import re

import numpy as np
import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.select import Select

from tests.browser import chromium, needs_browser, prefer, requested, resize

pytestmark = needs_browser
DIGITS = str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789")
EXPLORERS = ("figure_1", "figure_burn_in")


@pytest.fixture(scope="module")
def browser(made, page):
    with chromium() as driver:
        driver.get((made / "figures/report.html").as_uri())
        yield driver


def explorer(browser, name):
    return browser.find_element(By.ID, f"explore-{name}")


def data_of(root):
    return json.loads(root.find_element(By.CLASS_NAME, "data").get_property("textContent"))


def axes(svg):
    """How pixels are read by the picture's own gridlines, across and up: to the value's logarithm; and the two fits."""
    ticks = {"x": [], "y": []}
    lines, texts = (svg.find_elements(By.CSS_SELECTOR, kind) for kind in ("line.grid", "text"))
    for line, text in zip(lines, texts, strict=False):  # each line is followed by its label; the titles come last
        direction = "x" if line.get_attribute("x1") == line.get_attribute("x2") else "y"
        exponent = int(re.fullmatch("10(.+)", text.get_attribute("textContent"))[1].translate(DIGITS))
        ticks[direction].append((float(line.get_attribute(f"{direction}1")), exponent))
    fits = {direction: np.polyfit(*np.array(found).T, 1) for direction, found in ticks.items()}
    return {direction: (lambda at, fit=fit: np.polyval(fit, at)) for direction, fit in fits.items()}, fits


def check_curves(root, data, variant, k):
    """Every path of the explorer, back from pixels, is the embedded series of this b0."""
    frame = data["variants"][variant]["frames"][k]
    for panel in data["panels"]:
        svg = root.find_element(By.CSS_SELECTOR, f'svg[data-panel="{panel["name"]}"]')
        read, fits = axes(svg)
        series = [one for one in frame["series"] if one["panel"] == panel["name"]]
        paths = svg.find_elements(By.CSS_SELECTOR, "path.curve")
        assert len(paths) == len(series) > 0
        for path, one in zip(paths, series, strict=True):
            assert (path.get_attribute("data-method"), path.get_attribute("data-kind")) == (one["method"], one["kind"])
            points = np.array(re.findall(r"[ML](\S+) (\S+?)(?=[ML]|$)", path.get_attribute("d")), dtype=float)
            expected = np.array([(x, y) for x, y in zip(one["x"], one["y"], strict=True) if y], dtype=float)
            assert len(points) == len(expected)
            for column, direction in enumerate("xy") if len(expected) else ():
                # a path has two decimals of a pixel
                error = np.abs(read[direction](points[:, column]) - np.log10(expected[:, column]))
                assert error.max() <= 0.006 * abs(fits[direction][0])


@pytest.mark.parametrize("name", EXPLORERS)
def test_the_slider_moves_the_curves_to_the_data_of_its_b0(name, browser):
    root = explorer(browser, name)
    data, slider = data_of(root), root.find_element(By.CSS_SELECTOR, "input")
    slider.send_keys(Keys.HOME)
    seen = set()
    for k, b0 in enumerate(data["b0"]):
        check_curves(root, data, 0, k)
        assert float(root.find_element(By.TAG_NAME, "output").text) == b0
        assert slider.get_attribute("aria-valuetext") == f"b0 = {b0:g}"
        seen.add(tuple(path.get_attribute("d") for path in root.find_elements(By.CSS_SELECTOR, "path.curve")))
        rows = root.find_elements(By.CSS_SELECTOR, "tbody tr")
        cells = [[cell.get_property("textContent") for cell in row.find_elements(By.XPATH, "*")] for row in rows]
        assert cells == data["variants"][0]["frames"][k]["rows"]
        slider.send_keys(Keys.ARROW_RIGHT)  # at the end it stays
    assert len(seen) == len(data["b0"])


def test_the_start_of_figure_1_can_be_chosen(browser):
    root = explorer(browser, "figure_1")
    data, slider = data_of(root), root.find_element(By.CSS_SELECTOR, "input")
    slider.send_keys(Keys.HOME)
    Select(root.find_element(By.TAG_NAME, "select")).select_by_visible_text(data["variants"][1]["label"])
    check_curves(root, data, 1, 0)


def test_no_error_and_no_network(browser):
    browser.refresh()
    assert browser.get_log("browser") == []
    addresses = requested(browser)
    assert addresses and {address.partition(":")[0] for address in addresses} <= {"file", "data"}
    assert {address for address in addresses if address.startswith("file")} == {browser.current_url.partition("#")[0]}


@pytest.mark.parametrize("width", [320, 390, 768, 1400])
def test_nothing_sticks_out_at_any_width(width, browser):
    resize(browser, width)
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width
    resize(browser, 1200)


def luminance(color):
    channels = np.array(re.findall(r"[\d.]+", color)[:3], dtype=float) / 255
    return np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4) @ (
        0.2126,
        0.7152,
        0.0722,
    )


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_text_is_readable_light_and_dark(scheme, browser):
    prefer(browser, scheme)
    color = "const s = getComputedStyle(arguments[0]); return [s.color, s.backgroundColor]"
    page_back = browser.execute_script(color, browser.find_element(By.TAG_NAME, "body"))[1]
    assert (luminance(page_back) < 0.1) == (scheme == "dark")
    chosen = "body, .quiet, .badge, a, dt, .cards > li, code, .paper"
    for element in browser.find_elements(By.CSS_SELECTOR, chosen):
        ink, back = browser.execute_script(color, element)
        behind = back if back != "rgba(0, 0, 0, 0)" else page_back
        light, dark = sorted([luminance(ink), luminance(behind)], reverse=True)
        assert (light + 0.05) / (dark + 0.05) >= 4.5, (element.text, ink, behind)  # WCAG 2 AA
    prefer(browser, "light")


def test_everything_has_a_name_for_those_who_do_not_see_it(browser):
    for element in browser.find_elements(By.CSS_SELECTOR, "img, input, select, svg[role=img], [role=region]"):
        assert element.accessible_name.strip(), element.get_attribute("outerHTML")[:200]
    levels = [int(heading.tag_name[1]) for heading in browser.find_elements(By.CSS_SELECTOR, "h1, h2, h3")]
    assert levels[0] == 1 and levels.count(1) == 1 and max(np.diff(levels)) <= 1
    ids = [element.get_attribute("id") for element in browser.find_elements(By.CSS_SELECTOR, "[id]")]
    assert len(ids) == len(set(ids))


def test_it_prints(browser):
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    assert not browser.find_element(By.TAG_NAME, "nav").is_displayed()
    assert explorer(browser, "figure_1").find_element(By.TAG_NAME, "svg").is_displayed()
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})
    pdf = base64.b64decode(browser.execute_cdp_cmd("Page.printToPDF", {})["data"])
    assert pdf.startswith(b"%PDF") and len(re.findall(rb"/Type\s*/Page\b", pdf)) >= 3
