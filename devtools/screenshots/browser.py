"""A headless Chromium that asserts what a page shows and keeps pictures of it."""

from __future__ import annotations

import io
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

from PIL import Image
from selenium.common.exceptions import WebDriverException
from selenium.webdriver import Chrome, ChromeOptions, ChromeService
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement

# Only there to end a look at a page that hangs.
WAIT_SECONDS = 180.0
SIZE = (1280, 900)
# As many as a page of text and a few icons needs.
COLOURS = 96
FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--force-color-profile=srgb",
    # The pages are this machine's; what they would fetch from elsewhere shall not decide what they look like.
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost",
)


class NotShown(AssertionError):
    """A page does not show what it should."""


class Browser:
    """Use it as a context manager.

    Args:
        pictures: folder that pictures go to; made if missing.
    """

    def __init__(self, pictures: Path) -> None:
        self.pictures = pictures
        self._profile = tempfile.mkdtemp(prefix="knit-chromium-")
        options = ChromeOptions()
        options.binary_location = shutil.which("chromium") or "/usr/bin/chromium"
        for flag in (*FLAGS, f"--user-data-dir={self._profile}", f"--window-size={SIZE[0]},{SIZE[1]}"):
            options.add_argument(flag)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        self.driver = Chrome(options, ChromeService(shutil.which("chromedriver") or "/usr/bin/chromedriver"))

    def __enter__(self) -> Browser:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if value is not None:
            self._show_failure()
        self.driver.quit()
        shutil.rmtree(self._profile, ignore_errors=True)

    def open(self, url: str) -> None:
        """Go to a page."""
        self.driver.get(url)

    def sees(self, *texts: str) -> None:
        """Wait until the page shows each of these texts.

        Raises:
            NotShown: naming the one that is missing.
        """
        for text in texts:
            until(lambda text=text: text in self.text(), f"the text {text!r}")

    def text(self) -> str:
        """All that the page shows as text, values of fields included."""
        script = (
            "return document.body.innerText + '\\n' + "
            "[...document.querySelectorAll('input, textarea')].map(e => e.value).join('\\n')"
        )
        return str(self.driver.execute_script(script)).replace("\u00a0", " ")

    def find(self, css: str, text: str = "", *, last: bool = False) -> WebElement:
        """The first (or last) element of a CSS selector that is displayed and holds a text."""

        def look() -> WebElement | None:
            found = [e for e in self.driver.find_elements(By.CSS_SELECTOR, css) if e.is_displayed()]
            found = [e for e in found if text in (e.text or e.get_attribute("aria-label") or "")]
            return (found[-1] if last else found[0]) if found else None

        element: WebElement = until(look, f"{css} with the text {text!r}")
        return element

    def click(self, css: str, text: str = "", *, last: bool = False) -> None:
        """Click on what :meth:`find` finds, which may be drawn anew meanwhile."""

        def attempt() -> bool:
            element = self.find(css, text, last=last)
            self.driver.execute_script("arguments[0].scrollIntoView({block: 'center'})", element)
            element.click()
            return True

        until(attempt, f"a click on {css} {text!r}")

    def choose(self, css: str, text: str) -> None:
        """Pick an entry of a list that filters by what is typed."""
        self.click(css)
        self.find(css).send_keys(text)
        self.sees(text)
        self.find(css).send_keys(Keys.ENTER)

    def shoot(self, name: str, *, height: int = SIZE[1]) -> Path:
        """Keep a picture of what the window shows."""
        self.driver.set_window_size(SIZE[0], height)
        time.sleep(1.0)  # what moves has come to rest
        self.pictures.mkdir(parents=True, exist_ok=True)
        path = self.pictures / f"{name}.png"
        picture = Image.open(io.BytesIO(self.driver.get_screenshot_as_png())).convert("RGB")
        picture.quantize(COLOURS, dither=Image.Dither.NONE).save(path, optimize=True)
        print(f"{path.name}: {path.stat().st_size / 1024:.0f} KiB", flush=True)
        return path

    def _show_failure(self) -> None:
        folder = Path(tempfile.mkdtemp(prefix="knit-screenshots-"))
        try:
            self.driver.get_screenshot_as_file(str(folder / "page.png"))
            (folder / "page.txt").write_text(f"{self.driver.current_url}\n\n{self.text()}")
            (folder / "page.html").write_text(self.driver.page_source)
            (folder / "console.txt").write_text("\n".join(str(e) for e in self.driver.get_log("browser")))
        except WebDriverException as e:
            print(f"the page could not be kept: {e}", flush=True)
        print(f"the page as it was: {folder}", flush=True)


def until(what: Callable[[], Any], name: str, seconds: float = WAIT_SECONDS) -> Any:
    """The first true value that ``what`` gives; a page that is being drawn may break it off.

    Raises:
        NotShown: after ``seconds``.
    """
    deadline = time.monotonic() + seconds
    while True:
        try:
            value = what()
        except WebDriverException:
            value = None
        if value:
            return value
        if time.monotonic() > deadline:
            raise NotShown(f"{name} did not show within {seconds:g} s")
        time.sleep(0.2)
