"""Plans, forks, saved sessions, batches, progress, asyncio and video files."""

import asyncio
import pathlib
import subprocess

import pytest

import mimo_vl

PROMPT = "What is it?"


def test_a_plan_equals_the_call(session: mimo_vl.Session, image_path: pathlib.Path) -> None:
    plan = session.plan([image_path, PROMPT], thinking=False, max_tokens=8)
    assert plan.fits and plan.answer_tokens == 8 and plan.cached_tokens == 0 and plan.peak_bytes > plan.cache_bytes > 0
    assert plan.parts[0].size is not None and plan.parts[1].size is None
    width, height = plan.parts[0].size
    assert plan.parts[0].tokens == width * height // 784
    answer = session.ask([image_path, PROMPT], thinking=False, max_tokens=8)
    assert answer.prompt_tokens == plan.prompt_tokens and answer.memory.cache == plan.cache_bytes
    assert session.plan("And?").cached_tokens > 0 and session.cached_tokens > 0


def test_forks_and_saved_sessions_continue_the_conversation(
    model: mimo_vl.Model, image_path: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    file = tmp_path / "conversation"
    with model.session() as session:
        session.ask([image_path, PROMPT], max_tokens=8)
        session.save(file)
        with session.fork() as fork, model.load_session(file) as loaded:
            expected = session.ask("And then?", max_tokens=8).text
            assert fork.ask("And then?", max_tokens=8).text == expected
            assert loaded.ask("And then?", max_tokens=8).text == expected
        with pytest.raises(mimo_vl.IoError):
            session.save(tmp_path / "no" / "such" / "folder")
    with pytest.raises(mimo_vl.CheckpointError, match="a.png"):
        model.load_session(image_path)
    with pytest.raises(mimo_vl.IoError):
        model.load_session(tmp_path / "nothing")


def test_a_batch_gives_the_answers_of_single_sessions(model: mimo_vl.Model, image_path: pathlib.Path) -> None:
    prompts: list[list[str | pathlib.Path]] = [[image_path, PROMPT], ["And you?"], ["One more thing", image_path]]
    answers = model.batch(prompts, max_concurrent=2, thinking=False, max_tokens=12)
    for prompt, answer in zip(prompts, answers, strict=True):
        with model.session() as session:
            assert session.ask(prompt, thinking=False, max_tokens=12).text == answer.text
    assert model.batch([]) == []
    with pytest.raises(mimo_vl.PromptError):
        model.batch([PROMPT, ""])


def test_progress_of_loading(checkpoint: pathlib.Path) -> None:
    reports: list[tuple[int, int]] = []
    mimo_vl.Model.load(checkpoint, progress=lambda *report: reports.append(report))
    assert len(reports) > 1 and reports == sorted(reports) and reports[-1][0] == reports[-1][1]

    def fail(done: int, total: int) -> None:
        raise LookupError("enough")

    with pytest.raises(LookupError, match="enough"):
        mimo_vl.Model.load(checkpoint, progress=fail)


def test_asyncio_gives_the_same_answers(model: mimo_vl.Model, image_path: pathlib.Path) -> None:
    async def both() -> tuple[str, str]:
        with model.session() as first, model.session() as second:
            task = asyncio.create_task(first.aask([image_path, PROMPT], temperature=1.2, seed=7, max_tokens=24))
            streamed = ""
            async for event in second.astream([image_path, PROMPT], temperature=1.2, seed=7, max_tokens=24):
                streamed += event.text if isinstance(event, mimo_vl.Text) else ""
            return (await task).text, streamed

    answered, streamed = asyncio.run(both())
    with model.session() as session:
        expected = session.ask([image_path, PROMPT], temperature=1.2, seed=7, max_tokens=24).text
    assert answered == streamed == expected != ""


def test_video_files_are_decoded(session: mimo_vl.Session, tmp_path: pathlib.Path) -> None:
    file = tmp_path / "film.mp4"
    make = ["ffmpeg", "-v", "error", "-f", "lavfi", "-i", "testsrc=duration=3:size=128x96:rate=10", str(file)]
    subprocess.run(make, check=True)
    reports: list[tuple[int, int]] = []
    video = mimo_vl.Video.open(file, fps=2, max_pixels=8 * 784, progress=lambda *report: reports.append(report))
    assert len(video) == 6 and video.timestamps[0] == 0 and reports[-1] == (6, 6)
    assert session.ask([video, "What do you see?"], max_tokens=4).tokens == 4
    assert len(mimo_vl.Video.open(file, frames=4, start=1.0, end=2.0)) == 4
    with pytest.raises(mimo_vl.OptionError):
        mimo_vl.Video.open(file, fps=-1.0)
    with pytest.raises(mimo_vl.IoError):
        mimo_vl.Video.open(tmp_path / "nothing.mp4")
    (tmp_path / "text.mp4").write_text("not a video")
    with pytest.raises(mimo_vl.ImageError, match="text.mp4"):
        mimo_vl.Video.open(tmp_path / "text.mp4")
