"""PDF files, GUI tasks, prompts of several messages, features and the log."""

import array
import logging
import pathlib
import pickle

import numpy
import pytest

import mimo_vl


def pdf(pages: int) -> bytes:
    """A PDF file whose pages of 200 by 100 points show a black box from (20, 10) to (60, 40), y upwards."""
    content = b"20 10 40 30 re f"
    kids = " ".join(f"{3 + 2 * page} 0 R" for page in range(pages))
    objects = [b"<</Type/Catalog/Pages 2 0 R>>", f"<</Type/Pages/Kids[{kids}]/Count {pages}>>".encode()]
    for page in range(pages):
        page_object = f"<</Type/Page/Parent 2 0 R/MediaBox[0 0 200 100]/Contents {4 + 2 * page} 0 R>>"
        objects += [page_object.encode(), b"<</Length %d>>stream\n%s\nendstream" % (len(content), content)]
    file, offsets = b"%PDF-1.4\n", []
    for number, text in enumerate(objects, 1):
        offsets.append(len(file))
        file += b"%d 0 obj%s endobj\n" % (number, text)
    table = b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    size = len(objects) + 1
    tail = b"xref\n0 %d\n0000000000 65535 f \n%strailer<</Size %d/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF"
    return file + tail % (size, table, size, len(file))


def test_pages_are_rendered_and_regions_have_page_coordinates(tmp_path: pathlib.Path, session: mimo_vl.Session) -> None:
    file = tmp_path / "a.pdf"
    file.write_bytes(pdf(3))
    reports: list[tuple[int, int]] = []
    pages = mimo_vl.open_pdf(file, pages=(2, None), dpi=72, progress=lambda *report: reports.append(report))
    assert [page.number for page in pages] == [2, 3]
    assert reports[-1] == (2, 2)
    page = pages[0]
    assert page.size == (200, 100)
    assert (page.image.width, page.image.height) == (200, 100)
    pixels = page.image.tobytes()
    assert pixels[3 * (75 * 200 + 40)] == 0 and pixels[3 * (20 * 200 + 40)] == 255
    assert page.box_to_points(20, 60, 60, 90) == pytest.approx((20, 10, 60, 40))
    assert page.to_pixels(*page.to_points(7, 9)) == pytest.approx((7, 9))
    assert session.ask([page.image, "what?"], max_tokens=2).tokens == 2
    located = 0
    for seed in range(20):
        session.reset()
        answer = session.ask(
            [page.image, "Where?"],
            response_format="boxes",
            thinking=False,
            logprobs=1,
            temperature=9.0,
            seed=seed,
            max_tokens=300,
        )
        assert answer.timings.media > 0
        for region in answer.regions:
            assert region.page == 2 and region.box is not None and region.box.page is not None
            assert region.box.page == pytest.approx(page.box_to_points(*region.box.pixels))
        located += len(answer.regions)
        confidence = answer.field_confidence()
        assert confidence is not None and 0 < confidence <= 1
        assert (answer.field_confidence("/0/label") is not None) == bool(answer.regions)
        assert answer.field_confidence("/none") is None
        ends = [token.range[1] for token in answer.logprobs]
        assert ends == sorted(ends) and ends[-1] == len(answer.text)
    assert located > 0
    assert len(mimo_vl.open_pdf(file.read_bytes(), pages=(1, 1))) == 1
    for damaged in [b"nothing", file.read_bytes()[:60]]:
        with pytest.raises(mimo_vl.ImageError):
            mimo_vl.open_pdf(damaged)
    with pytest.raises(mimo_vl.OptionError, match="page"):
        mimo_vl.open_pdf(file, pages=(9, None))
    with pytest.raises(mimo_vl.OptionError, match="max_pages"):
        mimo_vl.open_pdf(file, max_pages=2)
    with pytest.raises(mimo_vl.IoError):
        mimo_vl.open_pdf(tmp_path / "none.pdf")
    with pytest.raises(TypeError, match="pickle"):
        page.__reduce__()


def test_tasks_ask_for_actions(model: mimo_vl.Model, session: mimo_vl.Session, image_path: pathlib.Path) -> None:
    action_space = ["click", "press", "finished"]
    task = mimo_vl.Task("Turn on dark mode", instruction="Open the settings", action_space=action_space)
    answer = session.ask(task.prompt(model, image_path), response_format=task, max_tokens=200, thinking=False)
    assert answer.action is not None and answer.action.name in action_space
    # Every kind of action converts to JSON and back.
    actions = [
        mimo_vl.Action("click", point=(3.0, 4.0)),
        mimo_vl.Action("drag", point=(3.0, 4.0), end_point=(5.0, 6.0)),
        mimo_vl.Action("input", text="x"),
        mimo_vl.Action("scroll", direction="down"),
        mimo_vl.Action("press", keys=("ctrl", "a")),
        mimo_vl.Action("open", text="Mail"),
        mimo_vl.Action("finished", text="success"),
        mimo_vl.Action("wait"),
    ]
    for action in actions:
        task = task.step("", action)
        assert mimo_vl.Action._from_dict(action._to_dict()) == action
    plan = session.plan(task.prompt(model, image_path))
    assert plan.prompt_tokens > session.plan(mimo_vl.Task("x").prompt(model, image_path)).prompt_tokens
    with pytest.raises(mimo_vl.OptionError, match="fly"):
        mimo_vl.Task("x", action_space=["fly"])
    with pytest.raises(mimo_vl.AnswerError):
        task.step("", mimo_vl.Action("fly"))


def test_screens_and_scrolls(image_path: pathlib.Path) -> None:
    screens = [mimo_vl.Screen(0, 0, 2880, 1800, 2), mimo_vl.Screen(1440, -100, 1920, 1080)]
    assert screens[0].to_desktop((2879, 900)) == (1439.5, 450)
    assert screens[1].to_pixels((1447, -91)) == (7, 9)
    assert [mimo_vl.Screen.at(screens, point) for point in ((0, 0), (1440, 0), (1440, -101))] == [0, 1, None]
    screen = screens[0]
    assert (screen.left, screen.top, screen.width, screen.height, screen.scale) == (0, 0, 2880, 1800, 2)
    assert screen.contains((1439.5, 899.5)) and not screen.contains((1440, 0))
    assert repr(screen) == "Screen(left=0, top=0, width=2880, height=1800, scale=2)"
    copied = pickle.loads(pickle.dumps(screen))
    assert copied == screen != screens[1] and hash(copied) == hash(screen)
    infinity, nan = float("inf"), float("nan")
    invalid: list[tuple[float, float, int, int, float]] = [
        (0, 0, 9, 9, 0), (0, 0, 9, 9, nan), (0, 0, 0, 9, 1), (0, 0, -1, 9, 1), (infinity, 0, 9, 9, 1),
    ]  # fmt: skip
    for arguments in invalid:
        with pytest.raises(mimo_vl.OptionError, match="screen|scale"):
            mimo_vl.Screen(*arguments)
    for direction, end in {"up": (100, 80), "down": (100, 20), "left": (160, 50), "right": (40, 50)}.items():
        drag = mimo_vl.Action("scroll", direction=direction).scroll_as_drag(200, 100)
        assert drag == mimo_vl.Action("drag", point=(100, 50), end_point=end)
    assert mimo_vl.Action("scroll", direction="up").scroll_as_drag(201, 101).point == (100.5, 50.5)
    unknown = mimo_vl.Action("scroll", direction="sideways")
    assert unknown.scroll_as_drag(200, 100) is unknown
    drag = mimo_vl.Action("drag", point=(100, 50), end_point=(100, 20))
    assert drag.map(screens[1].to_desktop).end_point == (1540, -80)
    assert mimo_vl.Action("wait").map(screens[1].to_desktop).scroll_as_drag(1, 1) == mimo_vl.Action("wait")
    image = mimo_vl.Image.open(image_path)
    part = image.zoom_crop(0, 0, 2)
    assert (part.width, part.tobytes()[:3]) == (round(image.width / 2), image.tobytes()[:3])
    with pytest.raises(mimo_vl.OptionError, match="zoom"):
        image.zoom_crop(0, 0, 0.5)


def test_a_prompt_of_messages_equals_the_conversation(model: mimo_vl.Model, image_path: pathlib.Path) -> None:
    with model.session() as session:
        first = session.ask([image_path, "what?"], max_tokens=4)
        expected = session.ask("and now?", max_tokens=8)
    prompt = mimo_vl.Prompt.from_messages(
        [
            {"role": "user", "content": [image_path, "what?"]},
            {"role": "assistant", "content": first.text},
            {"role": "user", "content": "and now?"},
        ]
    )
    with model.session() as session:
        answer = session.ask(prompt, max_tokens=8)
    assert (answer.text, answer.prompt_tokens) == (expected.text, expected.prompt_tokens)
    assert [answer.text for answer in model.batch([prompt, "x"], max_tokens=8)][0] == expected.text
    with pytest.raises(mimo_vl.PromptError, match=r"messages\[0\]"):
        mimo_vl.Prompt.from_messages([{"role": "nobody", "content": "x"}])  # type: ignore[typeddict-item]
    with pytest.raises(TypeError, match=r"messages\[0\].content\[1\]"):
        mimo_vl.Prompt.from_messages([{"role": "user", "content": ["x", 3]}])  # type: ignore[list-item]


def test_fit_lowers_the_pixels_to_the_budget(session: mimo_vl.Session, image_path: pathlib.Path) -> None:
    full = session.plan([image_path, "what?"])
    prompt, plan = session.fit([image_path, "what?"], tokens=full.prompt_tokens - 1)
    assert plan.prompt_tokens < full.prompt_tokens
    assert session.ask(prompt, max_tokens=2).prompt_tokens == plan.prompt_tokens
    with pytest.raises(mimo_vl.ContextTooLongError):
        session.fit([image_path, "what?"], tokens=full.prompt_tokens - 1, lower_pixels=False)


def test_a_stopped_stream_keeps_its_answer(session: mimo_vl.Session) -> None:
    with session.stream("Say much.", max_tokens=200, temperature=20.0, seed=1) as stream:
        next(stream)
        stream.stop()
        last = list(stream)[-1]
        assert isinstance(last, mimo_vl.End)
        assert stream.answer is not None and stream.answer.tokens < 200
    assert session.cached_tokens > 0
    with session.stream("what?", max_tokens=20) as stream:
        # The model does not think, so this has no effect.
        stream.end_thinking()
        assert isinstance(list(stream)[-1], mimo_vl.End)


def test_features_have_one_row_per_token(model: mimo_vl.Model, image_path: pathlib.Path) -> None:
    values, rows, columns = model.features(image_path)
    numbers = array.array("f", values)
    assert len(numbers) == rows * columns
    assert any(numbers)
    with model.session() as session:
        tokens = [part.tokens for part in session.plan([image_path, "x"]).parts if part.size is not None]
    assert tokens == [rows]
    with pytest.raises(TypeError):
        model.features("a text")  # type: ignore[arg-type]


def test_log_messages_are_forwarded(model: mimo_vl.Model, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "mimo_vl")
    mimo_vl.set_log_level(logging.DEBUG)
    try:
        with model.session() as session:
            session.ask("what?", max_tokens=2)
    finally:
        mimo_vl.set_log_level(None)
    forwarded = [record for record in caplog.records if record.name.startswith("mimo_vl.")]
    assert "mimo_vl.session" in {record.name for record in forwarded}
    assert all(record.levelno >= logging.DEBUG for record in forwarded)
    caplog.clear()
    with model.session() as session:
        session.ask("what?", max_tokens=2)
    assert not caplog.records


class Tensor:
    """A tensor that supports DLPack but not the buffer protocol."""

    def __init__(self, values: object) -> None:
        self.values = values

    def __dlpack_device__(self) -> tuple[int, int]:
        device: tuple[int, int] = self.values.__dlpack_device__()  # type: ignore[attr-defined]
        return device

    def __dlpack__(self) -> object:
        return self.values.__dlpack__()  # type: ignore[attr-defined]


def test_dlpack_tensors_are_copied() -> None:
    values = numpy.arange(5 * 6 * 3, dtype=numpy.uint8).reshape(5, 6, 3)
    expected = mimo_vl.Image.from_array(values).tobytes()
    assert mimo_vl.Image.from_array(Tensor(values)).tobytes() == expected
    strided = numpy.ascontiguousarray(values.transpose(2, 0, 1)).transpose(1, 2, 0)
    assert mimo_vl.Image.from_array(Tensor(strided)).tobytes() == expected
    for wrong in [values.astype(numpy.float32), values[0], values[:, :, :2]]:
        with pytest.raises((TypeError, mimo_vl.ImageError)):
            mimo_vl.Image.from_array(Tensor(wrong))

    class DeviceTensor(Tensor):
        def __dlpack_device__(self) -> tuple[int, int]:
            return (2, 0)

    with pytest.raises(TypeError, match="CPU"):
        mimo_vl.Image.from_array(DeviceTensor(values))


def test_answers_show_in_notebooks(model: mimo_vl.Model) -> None:
    with model.session() as session:
        html = session.ask("<b>", max_tokens=4)._repr_html_()
    assert html.startswith("<div") and "tokens" in html
