"""Plans, forks, saved sessions, batches, videos, progress and asyncio."""

import asyncio
import pathlib
import subprocess

import pytest

import mimo_vl

QUESTION = "What is it?"


def test_plan(session: mimo_vl.Session, picture: pathlib.Path) -> None:
    plan = session.plan([picture, QUESTION], thinking=False, max_tokens=8)
    assert plan.fits and plan.answer_tokens == 8 and plan.cached_tokens == 0 and plan.peak_bytes > plan.cache_bytes > 0
    assert plan.parts[0].size is not None and plan.parts[1].size is None
    width, height = plan.parts[0].size
    assert plan.parts[0].tokens == width * height // 784
    answer = session.ask([picture, QUESTION], thinking=False, max_tokens=8)
    assert answer.prompt_tokens == plan.prompt_tokens and answer.memory.cache == plan.cache_bytes
    assert session.plan("And?").cached_tokens > 0 and session.cached_tokens > 0


def test_a_conversation_goes_on_elsewhere(
    model: mimo_vl.Model, picture: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    file = tmp_path / "conversation"
    with model.session() as session:
        session.ask([picture, QUESTION], max_tokens=8)
        session.save(file)
        with session.fork() as fork, model.load_session(file) as loaded:
            here = session.ask("And then?", max_tokens=8).text
            assert fork.ask("And then?", max_tokens=8).text == here
            assert loaded.ask("And then?", max_tokens=8).text == here
        with pytest.raises(mimo_vl.IoError):
            session.save(tmp_path / "no" / "such" / "folder")
    with pytest.raises(mimo_vl.CheckpointError, match="a.png"):
        model.load_session(picture)
    with pytest.raises(mimo_vl.IoError):
        model.load_session(tmp_path / "nothing")


def test_batch(model: mimo_vl.Model, picture: pathlib.Path) -> None:
    prompts: list[list[str | pathlib.Path]] = [[picture, QUESTION], ["And you?"], ["One more thing", picture]]
    together = model.batch(prompts, most=2, thinking=False, max_tokens=12)
    for prompt, answer in zip(prompts, together, strict=True):
        with model.session() as session:
            assert session.ask(prompt, thinking=False, max_tokens=12).text == answer.text
    assert model.batch([]) == []
    with pytest.raises(mimo_vl.PromptError):
        model.batch([QUESTION, ""])


def test_progress_of_loading(checkpoint: pathlib.Path) -> None:
    seen: list[tuple[int, int]] = []
    mimo_vl.Model.load(checkpoint, progress=lambda done, of: seen.append((done, of)))
    assert len(seen) > 1 and all(done <= of for done, of in seen)

    def enough(done: int, of: int) -> None:
        raise LookupError("enough")

    with pytest.raises(LookupError, match="enough"):
        mimo_vl.Model.load(checkpoint, progress=enough)


def test_asyncio(model: mimo_vl.Model, picture: pathlib.Path) -> None:
    async def both() -> tuple[str, str]:
        with model.session() as first, model.session() as second:
            asked = asyncio.create_task(first.aask([picture, QUESTION], temperature=1.2, seed=7, max_tokens=24))
            streamed = ""
            async for event in second.astream([picture, QUESTION], temperature=1.2, seed=7, max_tokens=24):
                streamed += event.text if isinstance(event, mimo_vl.Text) else ""
            return (await asked).text, streamed

    asked, streamed = asyncio.run(both())
    assert asked == streamed != ""


def test_cancelled_tasks_leave_the_session_as_it_was(model: mimo_vl.Model) -> None:
    async def cancelled() -> None:
        with model.session() as session:
            task = asyncio.create_task(session.aask(QUESTION, thinking=False, regex="a{9000}", max_tokens=9000))
            await asyncio.sleep(0.05)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            for _ in range(200):
                try:
                    assert session.cached_tokens == 0
                    return
                except RuntimeError:
                    await asyncio.sleep(0.05)
            raise AssertionError("the session is busy for ever")

    asyncio.run(cancelled())


def test_video_files(session: mimo_vl.Session, tmp_path: pathlib.Path) -> None:
    file = tmp_path / "film.mp4"
    make = ["ffmpeg", "-v", "error", "-f", "lavfi", "-i", "testsrc=duration=3:size=128x96:rate=10", str(file)]
    subprocess.run(make, check=True)
    seen: list[tuple[int, int]] = []
    video = mimo_vl.Video.open(file, fps=2, max_pixels=8 * 784, progress=lambda done, of: seen.append((done, of)))
    assert len(video) == 6 and video.timestamps[0] == 0 and seen
    assert session.ask([video, "What happens?"], max_tokens=4).tokens <= 4
    assert len(mimo_vl.Video.open(file, frames=4, start=1.0, end=2.0)) == 4
    with pytest.raises(mimo_vl.OptionError):
        mimo_vl.Video.open(file, fps=-1.0)
    with pytest.raises(mimo_vl.IoError):
        mimo_vl.Video.open(tmp_path / "nothing.mp4")
    (tmp_path / "text.mp4").write_text("no film")
    with pytest.raises(mimo_vl.ImageError, match="text.mp4"):
        mimo_vl.Video.open(tmp_path / "text.mp4")
