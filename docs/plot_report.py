"""Draws docs/_static/report.png: a report of held-out driving scenes, on a wide screen and a phone.

$ pip install -e ".[browser]"    # and Chromium with its driver, from the system
$ python docs/plot_report.py

First trains a small model for some minutes, in runs/report.
"""

from __future__ import annotations

import base64
import io
import shutil
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image
from selenium import webdriver
from selenium.webdriver.chrome.service import Service

import unetv2

IMAGE = Path(__file__).parent / "_static" / "report.png"
RUN = Path(__file__).parents[1] / "runs" / "report"
# Width in pixels and color scheme of each view.
VIEWS = ((1180, "light"), (390, "dark"))
HEIGHT = 1500
GAP = 40
SWITCHES = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--hide-scrollbars",
    "--no-first-run",
)


def evaluate() -> Path:
    """Trains and evaluates; returns the report."""
    folders = RUN / "scenes" / "CameraRGB", RUN / "scenes" / "CameraMask"
    if not folders[0].exists():
        unetv2.synthetic.write_driving_scenes(RUN / "scenes", 200, image_size=(240, 320))
    recipe = unetv2.recipes.get("fast")
    model = recipe.build((96, 128, 3), 23, filters=16, seed=0)
    train, validation = (
        unetv2.make_dataset(*folders, classes=unetv2.CARLA, subset=subset)
        for subset in ("train", "validation")
    )
    unetv2.train(
        model, train, validation, recipe=recipe, epochs=60, output_dir=RUN / "carseg", resume=True
    )
    report = RUN / "report"
    unetv2.evaluate(RUN / "carseg" / "model.keras", folders, subset="test", report=report)
    return report / "report.html"


def shoot(page: Path, width: int, scheme: str) -> Image.Image:
    """Returns a screenshot of the top of a page in a browser."""
    with tempfile.TemporaryDirectory() as profile:
        options = webdriver.ChromeOptions()
        for switch in (*SWITCHES, f"--user-data-dir={profile}"):
            options.add_argument(switch)
        browser = webdriver.Chrome(options, Service(shutil.which("chromedriver")))
        size = {"width": width, "height": HEIGHT, "deviceScaleFactor": 1, "mobile": False}
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        features = {"prefers-color-scheme": scheme, "prefers-reduced-motion": "reduce"}
        media = [{"name": name, "value": value} for name, value in features.items()]
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": media})
        browser.get(page.resolve().as_uri())
        if scheme == "dark":
            browser.execute_script("document.querySelector('#images').scrollIntoView()")
        encoded = browser.execute_cdp_cmd("Page.captureScreenshot", {"format": "png"})["data"]
        browser.quit()
    return Image.open(io.BytesIO(base64.b64decode(encoded))).convert("RGB")


def main() -> None:
    """Writes the image."""
    page = evaluate()
    views = [np.asarray(shoot(page, *view)) for view in VIEWS]
    gap = np.full((HEIGHT, GAP, 3), 255, np.uint8)
    image = Image.fromarray(np.concatenate([views[0], gap, views[1]], axis=1))
    image.save(IMAGE, optimize=True)


if __name__ == "__main__":
    main()
