"""The demo in a browser, and its parts without one.

Needs what requirements.txt lists, pytest and selenium, and Debian's packages chromium and chromium-driver.
"""

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
from pathlib import Path
from types import TracebackType
from typing import Any, cast

import mimo_vl
import pytest
from chat import Conversation, Message, Settings, asked, notes, plain, turn
from marks import as_pil, describe, marked
from PIL import Image as Pil
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.wait import WebDriverWait
from words import CHINESE, ENGLISH

HERE = Path(__file__).resolve().parent
PICTURE = HERE.parent / "images/shapes-1.png"
QUESTION = "How many circles are there?"
WAIT = 180.0
"""Seconds: far more than anything here takes."""


# Answers made by hand.


def located(*pixels: float) -> mimo_vl.Located:
    return mimo_vl.Located(pixels=pixels, normalized=pixels, model=pixels, clamped=False)


def box(image: int, *pixels: float) -> mimo_vl.Region:
    return mimo_vl.Region(image, "star", None, located(*pixels), (), None)


def answered(
    text: str,
    thinking: str | None = None,
    regions: tuple[mimo_vl.Region, ...] = (),
    action: mimo_vl.Action | None = None,
    stop_reason: mimo_vl.StopReason = mimo_vl.StopReason.END_OF_TEXT,
) -> mimo_vl.Answer:
    return mimo_vl.Answer(
        text=text,
        thinking=thinking,
        stop_reason=stop_reason,
        tokens=21,
        prompt_tokens=90,
        timings=mimo_vl.Timings(1.0, 0.1, 0.25, 0.5, 2.0, 0.1, 30, 120.0, 10.5),
        complete=True,
        regions=regions,
        action=action,
        logprobs=(),
        memory=mimo_vl.Memory(0, 0, 0, 0),
    )


class ScriptedStream:
    """What a question asks for: boxes, a click, or an answer that does not end."""

    def __init__(self, session: "ScriptedSession", question: str) -> None:
        self._session = session
        self._question = question
        self.answer: mimo_vl.Answer | None = None

    def __iter__(self) -> Iterator[mimo_vl.Event]:
        last = self._session.pictures - 1
        match self._question:
            case "boxes":
                text = '[{"bbox_2d": [112, 88, 147, 123], "label": "star"}]'
                self.answer = answered(text, "It is on the right.", (box(last, 117, 92, 153, 129),))
            case "click":
                text = '{"action": "click", "start_point": [100, 110]}'
                self.answer = answered(text, action=mimo_vl.Action("click", point=(101.0, 110.0)))
            case "endless":
                while True:
                    yield mimo_vl.Thinking("on and on ")
                    time.sleep(0.02)
                    if self._session.cancelled:
                        raise mimo_vl.CancelledError("cancelled")
            case "full":
                raise mimo_vl.ContextTooLongError("the context of 10 tokens has no room for 12")
            case text:
                self.answer = answered(text)
        yield mimo_vl.Thinking(self.answer.thinking or "")
        yield mimo_vl.Text(self.answer.text)
        yield mimo_vl.End(self.answer.stop_reason)

    def __enter__(self) -> "ScriptedStream":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None: ...


class ScriptedSession:
    def __init__(self) -> None:
        self.cancelled = False
        self.pictures = 0

    def stream(self, parts: list[Any], **options: Any) -> ScriptedStream:
        self.cancelled = False
        self.pictures += sum(isinstance(part, mimo_vl.Image) for part in parts)
        return ScriptedStream(self, str(parts[-1]))

    def cancel(self) -> None:
        self.cancelled = True

    def close(self) -> None:
        self.cancelled = True
        print("a session is closed", flush=True)


class ScriptedModel:
    max_context = 4096

    def session(self) -> ScriptedSession:
        return ScriptedSession()


def scripted() -> mimo_vl.Model:
    return cast(mimo_vl.Model, ScriptedModel())


# Without a browser.


@pytest.fixture(scope="module")
def model() -> mimo_vl.Model:
    return mimo_vl.Model.load()


@pytest.fixture
def conversation(model: mimo_vl.Model) -> Iterator[Conversation]:
    with contextlib.closing(Conversation(model)) as conversation:
        yield conversation


@pytest.fixture
def play() -> Iterator[Conversation]:
    """A conversation with the scripted model."""
    with contextlib.closing(Conversation(scripted())) as conversation:
        yield conversation


def talk(
    conversation: Conversation, text: str, *files: Path, history: list[Message] | None = None, **settings: Any
) -> list[Message]:
    """Ask, and wait for the end of the answer."""
    conversation.begin(text, files)
    *_, last = conversation.answer(history or [], Settings(**settings), ENGLISH)
    assert not turn.locked() and not conversation.busy
    return last


def contents(messages: list[Message]) -> list[Any]:
    return [message["content"] for message in messages]


def test_boxes_are_drawn() -> None:
    first, second = mimo_vl.Image.open(PICTURE), mimo_vl.Image.open(PICTURE.with_name("shapes-2.png"))
    regions = (box(1, 20, 30, 80, 90),)
    [drawn] = marked(answered("", regions=regions), [first, second])
    assert drawn.size == (second.width, second.height)
    assert drawn.tobytes() == as_pil(mimo_vl.draw(second, regions)).tobytes() != as_pil(second).tobytes()
    assert len(marked(answered("", regions=(box(0, 1, 1, 9, 9), *regions)), [first, second])) == 2
    assert marked(answered(""), [first, second]) == []
    assert marked(answered("", regions=regions), [first]) == [], "a picture that is not there"
    video = mimo_vl.Video.from_frames([first, first], 1.0)
    assert marked(answered("", regions=regions), [first, video]) == []


def test_clicks_are_drawn() -> None:
    screen = mimo_vl.Image.open(PICTURE)
    plain = as_pil(screen)
    click = mimo_vl.Action("click", point=(50.0, 60.0))
    [drawn] = marked(answered("", action=click), [mimo_vl.Image.open(PICTURE), screen])
    changed = [
        (x, y)
        for x in range(screen.width)
        for y in range(screen.height)
        if drawn.getpixel((x, y)) != plain.getpixel((x, y))
    ]
    xs, ys = [x for x, _ in changed], [y for _, y in changed]
    assert (min(xs) + max(xs)) / 2 == pytest.approx(50, abs=1) and (min(ys) + max(ys)) / 2 == pytest.approx(60, abs=1)
    assert (50, 60) not in changed, "the point itself stays visible"
    drag = mimo_vl.Action("drag", point=(20.0, 20.0), end_point=(120.0, 20.0))
    [drawn] = marked(answered("", action=drag), [screen])
    assert drawn.getpixel((70, 20)) != plain.getpixel((70, 20))
    assert marked(answered("", action=mimo_vl.Action("wait")), [screen]) == []
    assert marked(answered("", action=click), []) == []


@pytest.mark.parametrize(
    ("action", "line"),
    [
        (mimo_vl.Action("click", point=(10.4, 20.6)), "click (10, 21)"),
        (mimo_vl.Action("drag", point=(1, 2), end_point=(3, 4)), "drag (1, 2) (3, 4)"),
        (mimo_vl.Action("input", text="hello"), "input “hello”"),
        (mimo_vl.Action("press", keys=("ctrl", "c")), "press ctrl+c"),
        (mimo_vl.Action("scroll", direction="down"), "scroll down"),
    ],
)
def test_actions_in_a_line(action: mimo_vl.Action, line: str) -> None:
    assert describe(action) == line


def test_a_conversation(conversation: Conversation) -> None:
    history = asked(QUESTION, [str(PICTURE)])
    history = talk(conversation, QUESTION, PICTURE, history=history)
    thinking, text, timings = history[2:]
    assert thinking["metadata"] == {"title": "Thinking", "status": "done"} and "circle" in thinking["content"]
    assert text["content"] == "2"
    assert "tokens/s" in timings["content"] and "0 cached" in timings["content"]
    # Without the picture: the session has it.
    later = talk(conversation, "Is there a purple star?", history=history, thinking=False)
    assert later[: len(history)] == history
    text, timings = later[len(history) :]
    assert text["content"] == "yes" and "0 cached" not in timings["content"]


def test_answers_grow(play: Conversation) -> None:
    play.begin("boxes", [PICTURE])
    steps = list(play.answer([], Settings(), CHINESE))
    assert contents(steps[0]) == [f'<span class="notes">{CHINESE.reading}</span>']
    assert steps[1][0]["metadata"] == {"title": CHINESE.thinking, "status": "pending"}
    assert steps[-1][0]["metadata"] == {"title": CHINESE.thinking, "status": "done"}
    picture = Path(steps[-1][2]["content"]["path"])
    drawn, original = mimo_vl.Image.open(picture), mimo_vl.Image.open(PICTURE)
    assert (drawn.width, drawn.height) == (original.width, original.height)
    play.close()
    assert not picture.exists()


def test_an_action_is_told(play: Conversation) -> None:
    _, picture, line, _ = talk(play, "click", PICTURE)
    assert "path" in picture["content"] and line["content"] == "Action: `click (101, 110)`"


def test_broken_files_are_told(conversation: Conversation, tmp_path: Path) -> None:
    for name in ("broken_1.png", "broken.mp4"):
        broken = tmp_path / name
        broken.write_text("This is neither.")
        [said] = talk(conversation, QUESTION, broken)
        assert said["content"].startswith("⚠️ ") and plain(name) in said["content"]
        assert str(tmp_path) not in said["content"]
    assert "2" in contents(talk(conversation, QUESTION, PICTURE)), "the conversation goes on"


def test_a_full_context_is_told(model: mimo_vl.Model, conversation: Conversation) -> None:
    [said] = talk(conversation, "word " * 3000)
    assert said["content"].startswith("⚠️ ") and str(model.max_context) in said["content"]
    assert "2" in contents(talk(conversation, QUESTION, PICTURE))


def test_stop_keeps_what_was_written_and_the_pictures(play: Conversation) -> None:
    play.begin("endless", [PICTURE])
    assert play.busy
    shown: list[Message] = []
    for step, shown in enumerate(play.answer([], Settings(), ENGLISH)):
        if step == 3:
            play.stop()
    assert "on and on" in shown[0]["content"] and shown[0]["metadata"]["status"] == "done"
    assert ENGLISH.stopped in shown[1]["content"]
    assert not play.busy and not turn.locked()


def test_stop_before_the_start(conversation: Conversation) -> None:
    conversation.begin(QUESTION, [PICTURE])
    steps = conversation.answer([], Settings(), ENGLISH)
    assert ENGLISH.reading in next(steps)[0]["content"]
    conversation.stop()
    [said] = list(steps)[-1]
    assert ENGLISH.stopped in said["content"]
    # The session knows nothing of it, but the picture comes along with the next question.
    assert "2" in contents(talk(conversation, QUESTION))


def test_one_answer_at_a_time(play: Conversation, conversation: Conversation) -> None:
    play.begin("endless", [])
    writing = play.answer([], Settings(), ENGLISH)
    next(writing)
    conversation.begin(QUESTION, [PICTURE])
    waiting = conversation.answer([], Settings(), ENGLISH)
    assert ENGLISH.waiting in next(waiting)[0]["content"]
    conversation.stop()
    assert ENGLISH.stopped in list(waiting)[-1][0]["content"], "also while it waits"
    writing.close()
    assert "2" in contents(talk(conversation, QUESTION)), "whoever leaves lets the next one go on"


def test_a_closed_conversation_shows_nothing(play: Conversation) -> None:
    play.begin("endless", [])
    steps = play.answer(asked("endless", []), Settings(), ENGLISH)
    for _ in range(4):
        next(steps)
    play.close()
    assert list(steps)[-1] == []
    assert not turn.locked()


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="needs ffmpeg")
def test_a_video(conversation: Conversation, tmp_path: Path) -> None:
    film = tmp_path / "film.mp4"
    source = ["-loop", "1", "-framerate", "2", "-t", "3", "-i", str(PICTURE), "-vf", "scale=196:168,format=yuv420p"]
    subprocess.run(["ffmpeg", "-v", "error", *source, str(film)], check=True)
    text, timings = talk(conversation, QUESTION, film, thinking=False)
    assert text["content"] and "tokens/s" in timings["content"]


def test_why_an_answer_ended() -> None:
    cut = answered("", stop_reason=mimo_vl.StopReason.MAX_TOKENS)
    assert notes(cut, ENGLISH) == [
        ENGLISH.cut_off,
        "21 tokens · 10.5 tokens/s · encode 0.25 s · prefill 0.50 s (60 tokens, 30 cached)",
    ]
    assert len(notes(answered(""), CHINESE)) == 1
    assert plain("a_b <c> *d*") == "a\\_b &lt;c&gt; \\*d\\*"


# In a browser.

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
        app = subprocess.Popen(words, cwd=HERE, env=os.environ | own, stdout=log, stderr=subprocess.STDOUT)
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
        thinking, text, timings = browser.said()
        assert text == "2"
        assert thinking == "Thinking", "the thinking is folded"
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
        assert browser.said()[0] == "Thinking"
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
