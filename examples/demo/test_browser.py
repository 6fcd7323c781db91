"""The demo in a browser. Needs chromium, chromedriver and selenium."""

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
from test_app import HERE, IMAGE, PROMPT
from words import CHINESE, ENGLISH

TIMEOUT = 180.0
"""Timeout in seconds, far above the duration of any step."""

RESOURCES = "return performance.getEntriesByType('resource').map(entry => entry.name)"
SCRIPTED = "import app, sys, test_app; app.serve(test_app.scripted_model(), '127.0.0.1', int(sys.argv[1]))"


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Connect to this machine without a proxy."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
    monkeypatch.setenv("no_proxy", "127.0.0.1,localhost")


@contextlib.contextmanager
def served(folder: Path, *command: str) -> Iterator[str]:
    """Run the demo; its URL."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {"GRADIO_TEMP_DIR": str(folder / "uploads"), "GRADIO_HEARTBEAT_INTERVAL": "0.5"}
    arguments = [sys.executable, *command, str(port)]
    with (folder / "app.log").open("w+") as log:
        # The program would inherit an ignored SIGINT, as shells set it for background jobs.
        handle_sigint = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
        app = subprocess.Popen(
            arguments,
            cwd=HERE,
            env=os.environ | environment,
            stdout=log,
            stderr=subprocess.STDOUT,
            preexec_fn=handle_sigint,
        )
        try:
            wait_until(lambda: responds(port) or app.poll() is not None, "the app starts")
            assert app.poll() is None, (folder / "app.log").read_text()
            yield f"http://127.0.0.1:{port}"
            assert app.poll() is None, (folder / "app.log").read_text()
        finally:
            app.send_signal(signal.SIGINT)
            try:
                app.wait(TIMEOUT)
            finally:
                app.kill()
    assert "Traceback" not in (folder / "app.log").read_text()


def responds(port: int) -> bool:
    with contextlib.suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}", timeout=TIMEOUT):
        return True
    return False


def wait_until(condition: Callable[[], object], what: str) -> None:
    end = time.monotonic() + TIMEOUT
    while not condition():
        assert time.monotonic() < end, f"timeout of {TIMEOUT:.0f} s: {what}"
        time.sleep(0.1)


class Browser:
    """Chromium on the page of the demo."""

    def __init__(self, address: str, language: str = "en-US") -> None:
        programs = [
            next(filter(None, map(shutil.which, names)), None)
            for names in (("chromium", "chromium-browser", "google-chrome"), ("chromedriver",))
        ]
        chromium, chromedriver = programs
        if chromium is None or chromedriver is None:
            pytest.fail(
                "the tests of the demo need a browser: apt-get install --no-install-recommends chromium chromium-driver"
            )
        options = webdriver.ChromeOptions()
        options.binary_location = chromium
        # The sandbox does not work for root or in most containers; the browser only opens the demo.
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

    def wait(self, condition: Callable[[], object], what: str) -> None:
        # Retries after errors about elements that Gradio has just replaced.
        WebDriverWait(self.driver, TIMEOUT, ignored_exceptions=[Exception]).until(lambda _: condition(), what)

    def upload(self, *files: Path) -> None:
        chooser = self.one("#box input[type=file]")
        # The driver adds to the previous choice; a user's choice replaces it.
        self.driver.execute_script("arguments[0].value = ''", chooser)
        chooser.send_keys("\n".join(map(str, files)))
        self.wait(lambda: len(self.all("#box .thumbnail-item")) == len(files), "the upload is there")

    def send(self, text: str) -> None:
        self.one("#box textarea").send_keys(text, Keys.ENTER)

    def messages(self, role: str = "bot") -> list[str]:
        """The visible text of all messages."""
        return [message.text for message in self.all(f"#chat [data-testid={role}]")]

    def screenshot(self, file: Path) -> Pil.Image:
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


def test_a_chat_in_a_browser(tmp_path: Path) -> None:
    with served(tmp_path, "app.py", "--port") as address, browsing(address) as browser:
        assert browser.one("#new-chat").text == "New chat"
        browser.screenshot(tmp_path / "start.png")
        browser.upload(IMAGE)
        browser.send(PROMPT)
        browser.wait(lambda: "tokens/s" in browser.messages()[-1], "the answer is there")
        browser.wait(lambda: browser.messages()[0] == "Thinking", "the thinking is folded")
        _, text, timings = browser.messages()
        assert text == "2"
        assert "0 cached" in timings
        browser.one("#chat .thought-group [role=button]").click()
        browser.wait(lambda: "circle" in browser.messages()[0], "the thinking is unfolded")
        browser.one("#chat .thought-group [role=button]").click()

        browser.one("#think input").click()
        browser.send("Is there a purple star?")
        browser.wait(lambda: len(browser.messages()) == 5, "the second answer is there")
        assert browser.messages()[3] == "yes", "the session has the image, and thinking is off"
        assert "0 cached" not in browser.messages()[4]
        browser.screenshot(tmp_path / "answer.png")

        broken = tmp_path / "broken.png"
        broken.write_bytes(IMAGE.read_bytes()[:40])
        browser.upload(broken)
        browser.send("What is it?")
        browser.wait(lambda: "⚠️" in browser.messages()[-1], "the error is shown")
        assert "broken.png" in browser.messages()[-1] and str(tmp_path) not in browser.messages()[-1]
        browser.screenshot(tmp_path / "error.png")

        browser.one("#new-chat").click()
        browser.wait(lambda: not browser.messages() and not browser.messages("user"), "the chat is empty")
        browser.wait(lambda: len(browser.all("#chat .example")) == 3, "the examples are there")
        browser.all("#chat .example")[1].click()
        browser.wait(lambda: browser.one("#box textarea").get_attribute("value"), "the example is taken")
        browser.send("")
        browser.wait(lambda: "tokens/s" in browser.messages()[-1], "the new chat answers")
        assert browser.messages("user")[-1] == "Is there a red square?" and browser.messages()[-2] == "yes"
        assert "0 cached" in browser.messages()[-1]

        loaded = browser.driver.execute_script(RESOURCES)
        assert [name for name in loaded if not name.startswith((address, "data:", "blob:"))] == []


def test_stop_and_new_chat_in_a_browser(tmp_path: Path) -> None:
    def sessions_closed() -> int:
        return (tmp_path / "app.log").read_text().count("session closed")

    with served(tmp_path, "-c", SCRIPTED) as address, browsing(address) as browser, browsing(address) as other:
        browser.upload(IMAGE)
        browser.send("endless")
        browser.wait(lambda: "on and on" in browser.messages()[0], "the thinking is shown while it grows")
        # Another user waits meanwhile, and a message that is sent too early is not lost.
        other.send("hello")
        other.wait(lambda: ENGLISH.waiting in other.messages()[-1], "the other user has to wait")
        browser.send("too early")
        browser.wait(lambda: ENGLISH.busy in browser.one("body").text, "the user has to wait")
        browser.screenshot(tmp_path / "writing.png")
        browser.one("#box [aria-label=Stop]").click()
        browser.wait(lambda: ENGLISH.stopped in browser.messages()[-1], "the answer has ended")
        browser.wait(lambda: browser.messages()[0] == "Thinking", "the thinking is folded")
        browser.screenshot(tmp_path / "stopped.png")
        other.wait(lambda: other.messages()[0] == "hello", "the other user is answered")
        assert len(other.messages("user")) == 1 and len(browser.messages("user")) == 2, "each sees one conversation"

        browser.wait(lambda: browser.all("#box [data-testid=submit-button]"), "the next question can be sent")
        assert browser.one("#box textarea").get_attribute("value") == "too early"
        browser.one("#box textarea").clear()
        browser.send("endless")
        browser.wait(lambda: browser.all("#box [aria-label=Stop]"), "the answer begins")
        browser.one("#new-chat").click()
        browser.wait(lambda: not browser.messages() and not browser.messages("user"), "the chat is empty")
        browser.wait(lambda: browser.all("#box [data-testid=submit-button]"), "the next question can be sent")
        browser.send("hello again")
        browser.wait(lambda: browser.messages()[0] == "hello again", "the new chat answers")

        # A lost connection closes the session of the tab, and the page reports it with the next message.
        loaded = browser.driver.execute_script(RESOURCES)
        tab = next(name.partition("session_hash=")[2] for name in loaded if "session_hash=" in name)
        closed = sessions_closed()
        urllib.request.urlopen(f"{address}/gradio_api/heartbeat/{tab}", timeout=TIMEOUT).close()
        wait_until(lambda: sessions_closed() > closed, "the session is closed")
        browser.send("are you there?")
        browser.wait(lambda: ENGLISH.connection_lost in browser.one("body").text, "the loss is shown")
        browser.wait(lambda: "are you there?" in browser.messages(), "the conversation continues")

        # A tab that is closed during its answer does not block the others.
        browser.send("endless")
        browser.wait(lambda: "on and on" in browser.messages()[-1], "the answer begins")
        closed = sessions_closed()
        browser.driver.get("about:blank")
        other.send("hello at last")
        other.wait(lambda: "hello at last" in other.messages(), "the other user is answered")
        wait_until(lambda: sessions_closed() > closed, "its session is closed")


def test_marks_and_chinese_in_a_browser(tmp_path: Path) -> None:
    with served(tmp_path, "-c", SCRIPTED) as address, browsing(address, "zh-CN") as browser:
        browser.wait(lambda: browser.one("#new-chat").text == CHINESE.new_chat, "the page is in Chinese")
        browser.screenshot(tmp_path / "chinese-start.png")
        browser.upload(IMAGE, IMAGE.with_name("shapes-2.png"))
        browser.send("boxes")
        browser.wait(lambda: "预填充" in browser.messages()[-1], "the answer is there")
        assert len(browser.all("#chat [data-testid=user] img")) == 2
        assert len(browser.all("#chat [data-testid=bot] img")) == 1
        browser.screenshot(tmp_path / "boxes.png")
        browser.send("click")
        browser.wait(lambda: "click (101, 110)" in " ".join(browser.messages()), "the action is shown")
        browser.wait(lambda: len(browser.all("#chat [data-testid=bot] img")) == 2, "the image of the action is shown")
        browser.send("full")
        browser.wait(lambda: "no room for 12" in browser.messages()[-1], "the error is shown")
        browser.screenshot(tmp_path / "click.png")
        browser.all("#language label")[0].click()
        browser.wait(lambda: browser.one("#new-chat").text == ENGLISH.new_chat, "the page is in English")
