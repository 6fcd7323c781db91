"""The modules of the demo without a browser. Needs the packages of requirements.txt, and pytest."""

import contextlib
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, cast

import mimo_vl
import pytest
from chat import Conversation, Message, Settings, answer_lock, notes, plain, user_messages
from marks import as_pil, describe, marked
from words import CHINESE, ENGLISH

HERE = Path(__file__).resolve().parent
IMAGE = HERE.parent / "images/shapes-1.png"
PROMPT = "How many circles are there?"


# Answers and sessions that need no model.


def coordinates(*pixels: float) -> mimo_vl.Coordinates:
    return mimo_vl.Coordinates(pixels=pixels, normalized=pixels, model=pixels, page=None, clamped=False)


def box(image: int, *pixels: float) -> mimo_vl.Region:
    return mimo_vl.Region(image, None, "star", None, coordinates(*pixels), (), None)


def new_answer(
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
        timings=mimo_vl.Timings(1.0, 0.05, 0.1, 0.25, 0.5, 2.0, 0.1, 30, 120.0, 10.5),
        complete=True,
        closed_early=False,
        regions=regions,
        action=action,
        logprobs=(),
        memory=mimo_vl.MemoryUse(0, 0, 0, 0),
    )


class ScriptedStream:
    """A stream whose answer the prompt chooses: boxes, a click, an error, or an answer without end."""

    def __init__(self, session: "ScriptedSession", prompt: str, cancel: mimo_vl.CancelToken) -> None:
        self._session = session
        self._cancel = cancel
        self._prompt = prompt
        self.answer: mimo_vl.Answer | None = None

    def __iter__(self) -> Iterator[mimo_vl.Event]:
        last = self._session.images - 1
        match self._prompt:
            case "boxes":
                text = '[{"bbox_2d": [112, 88, 147, 123], "label": "star"}]'
                self.answer = new_answer(text, "It is on the right.", (box(last, 117, 92, 153, 129),))
            case "click":
                text = '{"action": "click", "start_point": [100, 110]}'
                self.answer = new_answer(text, action=mimo_vl.Action("click", point=(101.0, 110.0)))
            case "endless":
                while True:
                    yield mimo_vl.Thinking("on and on ")
                    time.sleep(0.02)
                    if self._cancel.cancelled or self._session.closed:
                        raise mimo_vl.CancelledError("cancelled")
            case "full":
                raise mimo_vl.ContextTooLongError("the context of 10 tokens has no room for 12")
            case text:
                self.answer = new_answer(text)
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
        self.closed = False
        self.images = 0

    def stream(self, parts: list[Any], *, cancel: mimo_vl.CancelToken, **options: Any) -> ScriptedStream:
        self.images += sum(isinstance(part, mimo_vl.Image) for part in parts)
        return ScriptedStream(self, str(parts[-1]), cancel)

    def close(self) -> None:
        self.closed = True
        print("session closed", flush=True)


class ScriptedModel:
    max_context = 4096

    def session(self) -> ScriptedSession:
        return ScriptedSession()


def scripted_model() -> mimo_vl.Model:
    return cast(mimo_vl.Model, ScriptedModel())


# Tests.


@pytest.fixture(scope="module")
def model() -> mimo_vl.Model:
    return mimo_vl.Model.load()


@pytest.fixture
def conversation(model: mimo_vl.Model) -> Iterator[Conversation]:
    with contextlib.closing(Conversation(model)) as conversation:
        yield conversation


@pytest.fixture
def scripted() -> Iterator[Conversation]:
    """A conversation with the scripted model."""
    with contextlib.closing(Conversation(scripted_model())) as conversation:
        yield conversation


def ask(
    conversation: Conversation, text: str, *files: Path, history: list[Message] | None = None, **settings: Any
) -> list[Message]:
    """The messages on the screen after the answer."""
    conversation.begin(text, files)
    *_, last = conversation.answer(history or [], Settings(**settings), ENGLISH)
    assert not answer_lock.locked() and not conversation.busy
    return last


def contents(messages: list[Message]) -> list[Any]:
    return [message["content"] for message in messages]


def test_boxes_are_drawn() -> None:
    first, second = mimo_vl.Image.open(IMAGE), mimo_vl.Image.open(IMAGE.with_name("shapes-2.png"))
    regions = (box(1, 20, 30, 80, 90),)
    [drawn] = marked(new_answer("", regions=regions), [first, second])
    assert drawn.size == (second.width, second.height)
    assert drawn.tobytes() == as_pil(mimo_vl.draw_regions(second, regions)).tobytes() != as_pil(second).tobytes()
    assert len(marked(new_answer("", regions=(box(0, 1, 1, 9, 9), *regions)), [first, second])) == 2
    assert marked(new_answer(""), [first, second]) == []
    assert marked(new_answer("", regions=regions), [first]) == [], "a region of an image that does not exist"
    video = mimo_vl.Video.from_frames([first, first], 1.0)
    assert marked(new_answer("", regions=regions), [first, video]) == []


def test_clicks_are_drawn() -> None:
    screen = mimo_vl.Image.open(IMAGE)
    plain = as_pil(screen)
    click = mimo_vl.Action("click", point=(50.0, 60.0))
    [drawn] = marked(new_answer("", action=click), [mimo_vl.Image.open(IMAGE), screen])
    changed = [
        (x, y)
        for x in range(screen.width)
        for y in range(screen.height)
        if drawn.getpixel((x, y)) != plain.getpixel((x, y))
    ]
    xs, ys = [x for x, _ in changed], [y for _, y in changed]
    assert (min(xs) + max(xs)) / 2 == pytest.approx(50, abs=1) and (min(ys) + max(ys)) / 2 == pytest.approx(60, abs=1)
    assert (50, 60) not in changed, "the point itself is not covered"
    drag = mimo_vl.Action("drag", point=(20.0, 20.0), end_point=(120.0, 20.0))
    [drawn] = marked(new_answer("", action=drag), [screen])
    assert drawn.getpixel((70, 20)) != plain.getpixel((70, 20))
    assert marked(new_answer("", action=mimo_vl.Action("wait")), [screen]) == []
    assert marked(new_answer("", action=click), []) == []


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
def test_an_action_is_described_on_one_line(action: mimo_vl.Action, line: str) -> None:
    assert describe(action) == line


def test_a_conversation_keeps_its_images(conversation: Conversation) -> None:
    history = user_messages(PROMPT, [str(IMAGE)])
    history = ask(conversation, PROMPT, IMAGE, history=history)
    thinking, text, timings = history[2:]
    assert thinking["metadata"] == {"title": "Thinking", "status": "done"} and "circle" in thinking["content"]
    assert text["content"] == "2"
    assert "tokens/s" in timings["content"] and "0 cached" in timings["content"]
    # The session still has the image.
    later = ask(conversation, "Is there a purple star?", history=history, thinking=False)
    assert later[: len(history)] == history
    text, timings = later[len(history) :]
    assert text["content"] == "yes" and "0 cached" not in timings["content"]


def test_the_screen_is_updated_while_the_answer_grows(scripted: Conversation) -> None:
    scripted.begin("boxes", [IMAGE])
    steps = list(scripted.answer([], Settings(), CHINESE))
    assert contents(steps[0]) == [f'<span class="notes">{CHINESE.reading}</span>']
    assert steps[1][0]["metadata"] == {"title": CHINESE.thinking, "status": "pending"}
    assert steps[-1][0]["metadata"] == {"title": CHINESE.thinking, "status": "done"}
    path = Path(steps[-1][2]["content"]["path"])
    drawn, original = mimo_vl.Image.open(path), mimo_vl.Image.open(IMAGE)
    assert (drawn.width, drawn.height) == (original.width, original.height)
    scripted.close()
    assert not path.exists()


def test_an_action_is_shown(scripted: Conversation) -> None:
    _, image, line, _ = ask(scripted, "click", IMAGE)
    assert "path" in image["content"] and line["content"] == "Action: `click (101, 110)`"


def test_invalid_files_are_errors(conversation: Conversation, tmp_path: Path) -> None:
    for name in ("broken_1.png", "broken.mp4"):
        broken = tmp_path / name
        broken.write_text("neither an image nor a video")
        [message] = ask(conversation, PROMPT, broken)
        assert message["content"].startswith("⚠️ ") and plain(name) in message["content"]
        assert str(tmp_path) not in message["content"]
    assert "2" in contents(ask(conversation, PROMPT, IMAGE)), "the conversation continues"


def test_a_full_context_is_an_error(model: mimo_vl.Model, conversation: Conversation) -> None:
    [message] = ask(conversation, "word " * 3000)
    assert message["content"].startswith("⚠️ ") and str(model.max_context) in message["content"]
    assert "2" in contents(ask(conversation, PROMPT, IMAGE))


def test_stop_keeps_the_text_on_the_screen(scripted: Conversation) -> None:
    scripted.begin("endless", [IMAGE])
    assert scripted.busy
    shown: list[Message] = []
    for step, shown in enumerate(scripted.answer([], Settings(), ENGLISH)):
        if step == 3:
            scripted.stop()
    assert "on and on" in shown[0]["content"] and shown[0]["metadata"]["status"] == "done"
    assert ENGLISH.stopped in shown[1]["content"]
    assert not scripted.busy and not answer_lock.locked()


def test_stop_before_the_answer_keeps_the_image(conversation: Conversation) -> None:
    conversation.begin(PROMPT, [IMAGE])
    steps = conversation.answer([], Settings(), ENGLISH)
    assert ENGLISH.reading in next(steps)[0]["content"]
    conversation.stop()
    [message] = list(steps)[-1]
    assert ENGLISH.stopped in message["content"]
    # The session is rolled back, and the image is part of the next prompt.
    assert "2" in contents(ask(conversation, PROMPT))


def test_one_answer_at_a_time(scripted: Conversation, conversation: Conversation) -> None:
    scripted.begin("endless", [])
    running = scripted.answer([], Settings(), ENGLISH)
    next(running)
    conversation.begin(PROMPT, [IMAGE])
    waiting = conversation.answer([], Settings(), ENGLISH)
    assert ENGLISH.waiting in next(waiting)[0]["content"]
    conversation.stop()
    assert ENGLISH.stopped in list(waiting)[-1][0]["content"], "stop ends the waiting"
    running.close()
    assert "2" in contents(ask(conversation, PROMPT)), "a closed answer releases the lock"


def test_a_closed_conversation_shows_nothing(scripted: Conversation) -> None:
    scripted.begin("endless", [])
    steps = scripted.answer(user_messages("endless", []), Settings(), ENGLISH)
    for _ in range(4):
        next(steps)
    scripted.close()
    assert list(steps)[-1] == []
    assert not answer_lock.locked()


def test_a_video(conversation: Conversation, tmp_path: Path) -> None:
    film = tmp_path / "film.mp4"
    source = ["-loop", "1", "-framerate", "2", "-t", "3", "-i", str(IMAGE), "-vf", "scale=196:168,format=yuv420p"]
    subprocess.run(["ffmpeg", "-v", "error", *source, str(film)], check=True)
    text, timings = ask(conversation, PROMPT, film, thinking=False)
    assert text["content"] and "tokens/s" in timings["content"]


def test_notes_have_the_stop_reason() -> None:
    cut_off = new_answer("", stop_reason=mimo_vl.StopReason.MAX_TOKENS)
    assert notes(cut_off, ENGLISH) == [
        ENGLISH.cut_off,
        "21 tokens · 10.5 tokens/s · encode 0.25 s · prefill 0.50 s (60 tokens, 30 cached)",
    ]
    assert len(notes(new_answer(""), CHINESE)) == 1
    assert plain("a_b <c> *d*") == "a\\_b &lt;c&gt; \\*d\\*"
