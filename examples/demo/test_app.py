"""The parts of the demo, without a browser. Needs what requirements.txt lists, and pytest."""

import contextlib
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, cast

import mimo_vl
import pytest
from chat import Conversation, Message, Settings, asked, notes, plain, turn
from marks import as_pil, describe, marked
from words import CHINESE, ENGLISH

HERE = Path(__file__).resolve().parent
PICTURE = HERE.parent / "images/shapes-1.png"
QUESTION = "How many circles are there?"


# Answers made by hand.


def located(*pixels: float) -> mimo_vl.Coordinates:
    return mimo_vl.Coordinates(pixels=pixels, normalized=pixels, model=pixels, page=None, clamped=False)


def box(image: int, *pixels: float) -> mimo_vl.Region:
    return mimo_vl.Region(image, None, "star", None, located(*pixels), (), None)


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
        timings=mimo_vl.Timings(1.0, 0.05, 0.1, 0.25, 0.5, 2.0, 0.1, 30, 120.0, 10.5),
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
