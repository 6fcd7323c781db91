"""The demo in a browser. Needs Debian's packages chromium and chromium-driver, and selenium."""

import base64
import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from PIL import Image as Pil
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.wait import WebDriverWait
from test_app import HERE, PICTURE, QUESTION
from words import CHINESE, ENGLISH

WAIT = 180.0
"""Seconds: far more than anything here takes."""

RESOURCES = "return performance.getEntriesByType('resource').map(entry => entry.name)"
SCRIPTED = "import app, sys, test_app; app.serve(test_app.scripted(), '127.0.0.1', int(sys.argv[1]))"


@pytest.fixture(autouse=True)
def direct(monkeypatch: pytest.MonkeyPatch) -> None:
    """The way to this machine itself leads through no proxy."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
    monkeypatch.setenv("no_proxy", "127.0.0.1,localhost")


@contextlib.contextmanager
def served(folder: Path, *command: str) -> Iterator[str]:
    """The address of the demo, which runs until the end of the block."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    own = {"GRADIO_TEMP_DIR": str(folder / "uploads"), "GRADIO_HEARTBEAT_INTERVAL": "0.5"}
    words = [sys.executable, *command, str(port)]
    with (folder / "app.log").open("w+") as log:
        # Whoever runs the tests in the background may have it ignore Ctrl-C, which it would inherit.
        heed = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
        app = subprocess.Popen(
            words, cwd=HERE, env=os.environ | own, stdout=log, stderr=subprocess.STDOUT, preexec_fn=heed
        )
        try:
            until(lambda: answers(port) or app.poll() is not None, "the app starts")
            assert app.poll() is None, (folder / "app.log").read_text()
            yield f"http://127.0.0.1:{port}"
            assert app.poll() is None, (folder / "app.log").read_text()
        finally:
            app.send_signal(signal.SIGINT)
            try:
                app.wait(WAIT)
            finally:
                app.kill()
    assert "Traceback" not in (folder / "app.log").read_text()


def answers(port: int) -> bool:
    with contextlib.suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}", timeout=WAIT):
        return True
    return False


def until(done: Callable[[], object], what: str) -> None:
    end = time.monotonic() + WAIT
    while not done():
        assert time.monotonic() < end, f"waited {WAIT:.0f} s in vain until {what}"
        time.sleep(0.1)


class Browser:
    """Chromium on the demo's page."""

    def __init__(self, address: str, language: str = "en-US") -> None:
        programs = [
            next(filter(None, map(shutil.which, names)), None)
            for names in (("chromium", "chromium-browser", "google-chrome"), ("chromedriver",))
        ]
        chromium, chromedriver = programs
        if chromium is None or chromedriver is None:
            pytest.fail(
                "the test of the demo needs a browser: apt-get install --no-install-recommends chromium chromium-driver"
            )
        options = webdriver.ChromeOptions()
        options.binary_location = chromium
        # Chromium cannot make its sandbox for root or in most containers; it only sees the demo here.
        for word in ("headless=new", "no-sandbox", "disable-gpu", "disable-dev-shm-usage", f"lang={language}"):
            options.add_argument(f"--{word}")
        options.add_experimental_option("prefs", {"intl.accept_languages": language})
        self.driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(chromedriver))
        self.driver.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride",
            {"width": 1280, "height": 900, "deviceScaleFactor": 1, "mobile": False},
        )
        self.driver.get(address)
        self.wait(lambda: self.all("#box textarea"), "the page is there")

    def all(self, selector: str) -> list[WebElement]:
        return self.driver.find_elements(By.CSS_SELECTOR, selector)

    def one(self, selector: str) -> WebElement:
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def wait(self, done: Callable[[], object], what: str) -> None:
        # Elements that Gradio has just replaced are looked for once more.
        WebDriverWait(self.driver, WAIT, ignored_exceptions=[Exception]).until(lambda _: done(), f"until {what}")

    def upload(self, *files: Path) -> None:
        chooser = self.one("#box input[type=file]")
        # The driver adds to what was chosen before; a user's choice replaces it.
        self.driver.execute_script("arguments[0].value = ''", chooser)
        chooser.send_keys("\n".join(map(str, files)))
        self.wait(lambda: len(self.all("#box .thumbnail-item")) == len(files), "the upload is there")

    def send(self, text: str) -> None:
        self.one("#box textarea").send_keys(text, Keys.ENTER)

    def said(self, who: str = "bot") -> list[str]:
        """The messages as they can be seen."""
        return [message.text for message in self.all(f"#chat [data-testid={who}]")]

    def shot(self, file: Path) -> Pil.Image:
        file.write_bytes(base64.b64decode(self.driver.get_screenshot_as_base64()))
        if folder := os.environ.get("MIMO_VL_SCREENSHOTS"):
            Path(folder).mkdir(parents=True, exist_ok=True)
            shutil.copy(file, folder)
        with Pil.open(file) as stored:
            image = stored.convert("RGB")
        colours = image.getcolors(image.width * image.height)
        assert image.size == (1280, 900)
        assert colours is not None and len(colours) > 100, "the page is blank"
        return image


@contextlib.contextmanager
def browsing(address: str, language: str = "en-US") -> Iterator[Browser]:
    browser = Browser(address, language)
    try:
        yield browser
    finally:
        browser.driver.quit()


def test_in_a_browser(tmp_path: Path) -> None:
    with served(tmp_path, "app.py", "--port") as address, browsing(address) as browser:
        assert browser.one("#new-chat").text == "New chat"
        browser.shot(tmp_path / "start.png")
        browser.upload(PICTURE)
        browser.send(QUESTION)
        browser.wait(lambda: "tokens/s" in browser.said()[-1], "the answer is there")
        browser.wait(lambda: browser.said()[0] == "Thinking", "the thinking is folded")
        _, text, timings = browser.said()
        assert text == "2"
        assert "0 cached" in timings
        browser.one("#chat .thought-group [role=button]").click()
        browser.wait(lambda: "circle" in browser.said()[0], "the thinking is unfolded")
        browser.one("#chat .thought-group [role=button]").click()

        browser.one("#think input").click()
        browser.send("Is there a purple star?")
        browser.wait(lambda: len(browser.said()) == 5, "the second answer is there")
        assert browser.said()[3] == "yes", "the picture is known, and the thinking is off"
        assert "0 cached" not in browser.said()[4]
        browser.shot(tmp_path / "answer.png")

        broken = tmp_path / "broken.png"
        broken.write_bytes(PICTURE.read_bytes()[:40])
        browser.upload(broken)
        browser.send("What is it?")
        browser.wait(lambda: "⚠️" in browser.said()[-1], "the error is told")
        assert "broken.png" in browser.said()[-1] and str(tmp_path) not in browser.said()[-1]
        browser.shot(tmp_path / "error.png")

        browser.one("#new-chat").click()
        browser.wait(lambda: not browser.said() and not browser.said("user"), "the chat is empty")
        browser.wait(lambda: len(browser.all("#chat .example")) == 3, "the examples are there")
        browser.all("#chat .example")[1].click()
        browser.wait(lambda: browser.one("#box textarea").get_attribute("value"), "the example is taken")
        browser.send("")
        browser.wait(lambda: "tokens/s" in browser.said()[-1], "the new chat answers")
        assert browser.said("user")[-1] == "Is there a red square?" and browser.said()[-2] == "yes"
        assert "0 cached" in browser.said()[-1]

        loaded = browser.driver.execute_script(RESOURCES)
        assert [name for name in loaded if not name.startswith((address, "data:", "blob:"))] == []


def test_stop_and_new_chat_in_a_browser(tmp_path: Path) -> None:
    def sessions_closed() -> int:
        return (tmp_path / "app.log").read_text().count("a session is closed")

    with served(tmp_path, "-c", SCRIPTED) as address, browsing(address) as browser, browsing(address) as other:
        browser.upload(PICTURE)
        browser.send("endless")
        browser.wait(lambda: "on and on" in browser.said()[0], "the thinking is seen while it is written")
        # Another user waits meanwhile, and what is typed too early is not lost.
        other.send("hello")
        other.wait(lambda: ENGLISH.waiting in other.said()[-1], "the other user is told to wait")
        browser.send("too early")
        browser.wait(lambda: ENGLISH.busy in browser.one("body").text, "the user is told to wait")
        browser.shot(tmp_path / "writing.png")
        browser.one("#box [aria-label=Stop]").click()
        browser.wait(lambda: ENGLISH.stopped in browser.said()[-1], "the answer has ended")
        browser.wait(lambda: browser.said()[0] == "Thinking", "the thinking is folded")
        browser.shot(tmp_path / "stopped.png")
        other.wait(lambda: other.said()[0] == "hello", "the other user is answered")
        assert len(other.said("user")) == 1 and len(browser.said("user")) == 2, "each sees only the own conversation"

        browser.wait(lambda: browser.all("#box [data-testid=submit-button]"), "the next question can be sent")
        assert browser.one("#box textarea").get_attribute("value") == "too early"
        browser.one("#box textarea").clear()
        browser.send("endless")
        browser.wait(lambda: browser.all("#box [aria-label=Stop]"), "the answer begins")
        browser.one("#new-chat").click()
        browser.wait(lambda: not browser.said() and not browser.said("user"), "the chat is empty")
        browser.wait(lambda: browser.all("#box [data-testid=submit-button]"), "the next question can be sent")
        browser.send("hello again")
        browser.wait(lambda: browser.said()[0] == "hello again", "the new chat answers")

        # The server takes a lost connection for the end of the tab, and the page says so when it comes back.
        loaded = browser.driver.execute_script(RESOURCES)
        tab = next(name.partition("session_hash=")[2] for name in loaded if "session_hash=" in name)
        closed = sessions_closed()
        urllib.request.urlopen(f"{address}/gradio_api/heartbeat/{tab}", timeout=WAIT).close()
        until(lambda: sessions_closed() > closed, "the session is closed")
        browser.send("are you there?")
        browser.wait(lambda: ENGLISH.forgotten in browser.one("body").text, "the user is told")
        browser.wait(lambda: "are you there?" in browser.said(), "the conversation goes on")

        # A tab that goes away in the middle lets the others go on.
        browser.send("endless")
        browser.wait(lambda: "on and on" in browser.said()[-1], "the answer begins")
        closed = sessions_closed()
        browser.driver.get("about:blank")
        other.send("hello at last")
        other.wait(lambda: "hello at last" in other.said(), "the other user is answered")
        until(lambda: sessions_closed() > closed, "its session is closed")


def test_marks_and_chinese_in_a_browser(tmp_path: Path) -> None:
    with served(tmp_path, "-c", SCRIPTED) as address, browsing(address, "zh-CN") as browser:
        browser.wait(lambda: browser.one("#new-chat").text == CHINESE.new_chat, "the page is in Chinese")
        browser.shot(tmp_path / "chinese-start.png")
        browser.upload(PICTURE, PICTURE.with_name("shapes-2.png"))
        browser.send("boxes")
        browser.wait(lambda: "预填充" in browser.said()[-1], "the answer is there")
        assert len(browser.all("#chat [data-testid=user] img")) == 2
        assert len(browser.all("#chat [data-testid=bot] img")) == 1
        browser.shot(tmp_path / "boxes.png")
        browser.send("click")
        browser.wait(lambda: "click (101, 110)" in " ".join(browser.said()), "the click is told")
        browser.wait(lambda: len(browser.all("#chat [data-testid=bot] img")) == 2, "the click is shown")
        browser.send("full")
        browser.wait(lambda: "no room for 12" in browser.said()[-1], "the error is told")
        browser.shot(tmp_path / "click.png")
        browser.all("#language label")[0].click()
        browser.wait(lambda: browser.one("#new-chat").text == ENGLISH.new_chat, "the page is in English")
