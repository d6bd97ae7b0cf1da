"""The report in a browser: ``pytest -m browser``, with Chromium and its driver installed."""

from __future__ import annotations

import re
import shutil

import pytest
from evaluations import evaluated, images

import unetv2

pytestmark = pytest.mark.browser

EVIL = "<script>hacked = 1</script><img src=x onerror=hacked=2>"
CHROMIUM = ("chromium", "chromium-browser", "google-chrome", "chrome")
SWITCHES = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
)


@pytest.fixture(scope="module")
def reports(tmp_path_factory):
    """Two pages, of one evaluation and of two, of many classes with long and evil names."""
    folder = tmp_path_factory.mktemp("reports")
    names = [f"class of things number {n}" for n in range(14)]
    names += ["Donaudampfschifffahrtselektrizitätenhauptbetriebswerk", EVIL]
    colors = tuple((16 * n, 255 - 16 * n, 90) for n in range(16))
    evaluations = []
    for error in (0.6, 0.2):
        shown = [
            image._replace(name=f"{EVIL}{image.name}")
            for image in images(14, (48, 64), n_classes=15, error=error)
        ]
        counted = evaluated(shown, n_classes=16, model=f"runs/{error}/model.keras")
        table = unetv2.ClassTable((*names[:13], *names[14:], names[13]), colors)
        evaluations.append(unetv2.Evaluation(table, *list(vars(counted).values())[1:5]))
    one = unetv2.write_report(evaluations[1], folder / "one.html")
    two = unetv2.write_report(evaluations, folder / "two.html")
    return {"one": one, "two": two}


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = next(filter(None, map(shutil.which, CHROMIUM)))
    # Instead of the browser's own start page, whose requests would be logged beside the report's.
    options.add_argument("about:blank")
    for switch in (*SWITCHES, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(switch)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options, Service(shutil.which("chromedriver")))
    driver.get("about:blank")
    yield driver
    driver.quit()


@pytest.fixture
def visit(browser, reports):
    """Opens a report at a width and in a color scheme; afterwards nothing may have gone wrong."""
    from selenium.webdriver.support.ui import WebDriverWait

    def open_page(name="one", width=1280, scheme="light", height=900):
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        media = [
            {"name": "prefers-color-scheme", "value": scheme},
            # What scrolls smoothly is clicked at while it moves.
            {"name": "prefers-reduced-motion", "value": "reduce"},
        ]
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": media})
        browser.get_log("performance")  # That of the page before.
        browser.get(reports[name].as_uri())
        # On a busy machine `get` can return before the page is parsed to its end.
        WebDriverWait(browser, 60).until(
            lambda page: page.execute_script("return document.readyState") == "complete"
        )
        return browser

    yield open_page
    assert browser.get_log("browser") == []
    requested = re.findall(
        r'"method":"Network.requestWillBeSent".*?"url":"(.{0,9})',
        " ".join(entry["message"] for entry in browser.get_log("performance")),
    )
    assert requested
    assert {url.split(":")[0] for url in requested} <= {"file", "data"}
    assert browser.execute_script("return typeof hacked") == "undefined"


def find(browser, selector):
    return browser.find_element("css selector", selector)


def columns(browser, number):
    """What a column of the table sorts by, from the top."""
    return browser.execute_script(
        "return [...document.querySelectorAll('table.sortable tbody tr')]"
        ".map(row => row.cells[arguments[0]].dataset.value)",
        number,
    )


def is_sorted(values, *, descending):
    numbers = [float(value) for value in values if value]
    assert values == [value for value in values if value] + [""] * (len(values) - len(numbers))
    return numbers == sorted(numbers, reverse=descending)


@pytest.mark.parametrize("name", ["one", "two"])
@pytest.mark.parametrize("width", [320, 360, 768, 1280])
def test_nothing_is_wider_than_the_page(visit, name, width):
    browser = visit(name, width)
    assert browser.execute_script("return innerWidth") == width
    assert browser.execute_script("return document.scrollingElement.scrollWidth") <= width
    # Nor cut off: what is wider is in something that scrolls.
    beyond = browser.execute_script(
        "return [...document.querySelectorAll('body *')].filter(e => !e.closest('.scroller, nav, "
        ".unseen, .skip, pre') && e.getBoundingClientRect().right > innerWidth + 0.5)"
        ".map(e => e.outerHTML.slice(0, 90))"
    )
    assert beyond == []


@pytest.mark.parametrize("name", ["one", "two"])
def test_a_second_click_reverses_the_order(visit, name):
    browser = visit(name)
    assert is_sorted(columns(browser, 0), descending=False)
    head = find(browser, "table.sortable thead th:nth-child(3)")
    for descending, word in ((True, "descending"), (False, "ascending"), (True, "descending")):
        head.find_element("css selector", "button").click()
        assert is_sorted(columns(browser, 2), descending=descending)
        assert columns(browser, 2)[-1] == ""  # The class that is nowhere.
        assert head.get_attribute("aria-sort") == word
        assert find(browser, "#sorted").get_attribute("textContent").endswith(f", {word}.")
    sorted_by = browser.find_elements("css selector", "th[aria-sort]:not([aria-sort=none])")
    assert sorted_by == [head]


def test_the_keyboard_sorts(visit):
    browser = visit()
    button = find(browser, "table.sortable thead th:nth-child(2) button")
    browser.execute_script("arguments[0].focus()", button)
    button.send_keys("\ue007")  # Enter.
    assert is_sorted(columns(browser, 1), descending=True)
    button.send_keys(" ")
    assert is_sorted(columns(browser, 1), descending=False)


def test_the_cells_of_the_matrix_are_read_with_the_arrow_keys(visit):
    browser = visit()
    cells = browser.find_elements("css selector", "table.heat tbody td")
    assert [cell.get_attribute("tabindex") for cell in cells].count("0") == 1
    # By Tab alone, from what stands before it.
    browser.execute_script("document.querySelector('.matrix .scroller').focus()")
    browser.switch_to.active_element.send_keys("\ue004")
    assert browser.switch_to.active_element == cells[0]
    output = find(browser, ".matrix output")
    assert "of class of things number 0 is correct" in output.text
    browser.switch_to.active_element.send_keys("\ue014")  # Right.
    assert browser.switch_to.active_element == cells[1]
    assert "number 0 is predicted as class of things number 1 (" in output.text
    browser.switch_to.active_element.send_keys("\ue015")  # Down, to the diagonal.
    assert "number 1 is correct" in output.text
    browser.switch_to.active_element.send_keys("\ue010")  # End.
    assert f"is predicted as {EVIL}" in output.text or "number 13 (" in output.text
    for _ in range(3):
        browser.switch_to.active_element.send_keys("\ue014")  # Not beyond the last one.
    assert browser.switch_to.active_element == cells[2 * 15 - 1]


def test_the_pointer_selects_cells(visit):
    from selenium.webdriver import ActionChains

    browser = visit()
    cell = browser.find_elements("css selector", "table.heat tbody td")[16]
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", cell)
    ActionChains(browser).move_to_element(cell).perform()
    assert "number 1 is correct" in find(browser, ".matrix output").text


def clips(browser, stage):
    return browser.execute_script(
        "return ['.ground-truth', '.predicted'].map(name =>"
        " getComputedStyle(arguments[0].querySelector(name)).clipPath)",
        stage,
    )


def test_the_slider_divides_ground_truth_and_prediction(visit):
    from selenium.webdriver import ActionChains

    browser = visit()
    stage = browser.find_elements("css selector", ".stage")[1]
    slider = stage.find_element("css selector", ".slider")
    assert clips(browser, stage) == ["inset(0px 50% 0px 0px)", "inset(0px 0px 0px 50%)"]
    browser.execute_script("arguments[0].focus()", slider)
    for _ in range(10):
        slider.send_keys("\ue014")
    assert clips(browser, stage) == ["inset(0px 40% 0px 0px)", "inset(0px 0px 0px 60%)"]
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", stage)
    to_the_left = -stage.size["width"] // 4
    ActionChains(browser).move_to_element_with_offset(slider, to_the_left, 0).click().perform()
    assert 22 <= int(slider.get_property("value")) <= 28
    # The others stay.
    other = browser.find_elements("css selector", ".stage")[0]
    assert clips(browser, other)[0] == "inset(0px 50% 0px 0px)"


def test_the_masks_fade(visit):
    browser = visit()
    control = find(browser, "#opacity")
    mask = find(browser, ".mask")
    assert mask.value_of_css_property("opacity") == "0.6"
    control.send_keys("\ue011")  # Home.
    assert mask.value_of_css_property("opacity") == "0"


def test_every_image_is_decoded(visit):
    browser = visit()
    sizes = browser.execute_script("return [...document.images].map(image => image.naturalWidth)")
    assert sizes == [64] * 3 * 12


def luminance(color):
    """Relative luminance after WCAG 2."""
    values = [float(value) / 255 for value in re.findall(r"[\d.]+", color)[:3]]
    linear = [v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in values]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_has_enough_contrast_in_both_schemes(visit, scheme):
    browser = visit("two", scheme=scheme)
    page = browser.execute_script("return getComputedStyle(document.body).backgroundColor")
    assert (luminance(page) > 0.5) == (scheme == "light")
    shown = browser.execute_script(
        """
        const background = (element) => {
          for (; element; element = element.parentElement) {
            const color = getComputedStyle(element).backgroundColor;
            if (color !== "rgba(0, 0, 0, 0)") return color;
          }
        };
        const canvas = document.createElement("canvas");
        const probe = canvas.getContext("2d", {willReadFrequently: true});
        const plain = (color) => {
          probe.fillStyle = color;
          probe.fillRect(0, 0, 1, 1);
          return `rgb(${probe.getImageData(0, 0, 1, 1).data.slice(0, 3)})`;
        };
        const names = "h1, h2, h3, .lead, .kind, .note, .card p, .interval, .value, .better b, "
          + ".worse b, dt, dd, figcaption, summary, .detail, td, th, nav a, label, .reading";
        return [...document.querySelectorAll(names)]
          .filter((element) => element.offsetWidth > 1)
          .map((element) => {
            const style = getComputedStyle(element);
            return [element.outerHTML.slice(0, 80), plain(style.color), plain(background(element))];
          });
        """
    )
    assert len(shown) > 200
    for html, *pair in shown:
        dark, light = sorted(map(luminance, pair))
        # The least that WCAG 2.2 asks for, AA.
        assert (light + 0.05) / (dark + 0.05) >= 4.5, (html, pair)


def test_focus_is_visible(visit):
    browser = visit()
    browser.switch_to.active_element.send_keys("\ue004")  # The link to the figures.
    assert browser.switch_to.active_element.get_attribute("class") == "skip"
    assert browser.switch_to.active_element.location["y"] >= 0
    slider = find(browser, ".slider")
    browser.execute_script("arguments[0].focus()", slider)
    assert find(browser, ".stage").value_of_css_property("outline-style") == "solid"
