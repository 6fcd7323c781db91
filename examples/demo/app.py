"""A web page to talk with the model about pictures and videos: `app.py --model_path DIR --port 7860`.

Errors at the start are one line on stderr and exit status 1, wrong usage is status 2, Ctrl-C ends the server.
"""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gradio as gr
import mimo_vl
from chat import VIDEOS, Conversation, Message, Settings, asked
from words import ENGLISH, LANGUAGES, Words

IMAGES = Path(__file__).resolve().parents[1] / "images"
EXAMPLES = {
    "shapes-1.png": "How many circles are there?",
    "shapes-2.png": "Is there a red square?",
    "shapes-4.png": "有几个星形？",
}
DAY = 24 * 60 * 60
# The fonts of the system: others would be fetched from the network.
THEME = gr.themes.Soft(font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"])
# Gradio puts a button beside that of the download which sends the picture to a public site.
CSS = ".notes { font-size: 0.8em; opacity: 0.7 } #chat .download-link + button { display: none }"
MATHS: list[dict[str, str | bool]] = [
    {"left": "$$", "right": "$$", "display": True},
    {"left": "\\[", "right": "\\]", "display": True},
    {"left": "\\(", "right": "\\)", "display": False},
]


class Conversations:
    """The conversation of each browser tab, known by Gradio's name for the tab."""

    def __init__(self, model: mimo_vl.Model, max_pixels: int | None = None) -> None:
        self.model = model
        self._max_pixels = max_pixels
        self._of: dict[str, Conversation] = {}

    def get(self, request: gr.Request) -> Conversation | None:
        return self._of.get(request.session_hash or "")

    def start(self, request: gr.Request) -> Conversation:
        conversation = Conversation(self.model, self._max_pixels)
        self._of[request.session_hash or ""] = conversation
        return conversation

    def close(self, request: gr.Request) -> None:
        conversation = self._of.pop(request.session_hash or "", None)
        if conversation is not None:
            conversation.close()


def labels(words: Words) -> dict[str, dict[str, Any]]:
    """What stands on each component."""
    return {
        "about": {"value": words.about},
        "fresh": {"value": words.new_chat},
        "settings": {"value": f"### {words.settings}"},
        "thinking": {"label": words.think},
        "temperature": {"label": words.temperature, "info": words.temperature_info},
        "max_tokens": {"label": words.max_tokens, "info": words.max_tokens_info},
        "chatbot": {"placeholder": f"## {words.welcome}"},
        "box": {"placeholder": words.write},
    }


def build(conversations: Conversations) -> gr.Blocks:
    most = min(8192, conversations.model.max_context)
    text = labels(ENGLISH)
    examples: list[gr.components.chatbot.ExampleMessage] = [
        {"text": question, "files": [str(IMAGES / name)]}
        for name, question in EXAMPLES.items()
        if (IMAGES / name).is_file()
    ]
    page = gr.Blocks(title="MiMo-VL", analytics_enabled=False, fill_height=True, delete_cache=(DAY, DAY))
    with page:
        with gr.Sidebar(width=300):
            gr.Markdown("# MiMo-VL")
            about = gr.Markdown(**text["about"])
            fresh = gr.Button(**text["fresh"], variant="primary", elem_id="new-chat")
            settings = gr.Markdown(**text["settings"])
            thinking = gr.Checkbox(True, **text["thinking"], elem_id="think")
            temperature = gr.Slider(0, 2, 0, step=0.1, **text["temperature"])
            max_tokens = gr.Slider(16, most, min(2048, most), step=16, **text["max_tokens"])
            language = gr.Radio(list(LANGUAGES), value="English", show_label=False, container=False, elem_id="language")
        chatbot = gr.Chatbot(
            **text["chatbot"],
            show_label=False,
            scale=1,
            buttons=["copy"],
            feedback_options=None,
            latex_delimiters=MATHS,
            examples=examples,
            elem_id="chat",
        )
        box = gr.MultimodalTextbox(
            **text["box"],
            show_label=False,
            file_count="multiple",
            file_types=["image", *VIDEOS],
            autofocus=True,
            elem_id="box",
        )
        labelled = [about, fresh, settings, thinking, temperature, max_tokens, chatbot, box]
        # What is not queued works at once, and cannot show a notice at the edge of the page.
        queued: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private", "concurrency_limit": None}
        quiet = queued | {"queue": False}

        page.load(preferred, None, language, **quiet).then(label, language, labelled, **quiet)
        language.input(label, language, labelled, **quiet)
        chatbot.example_select(example, None, box, **quiet)

        def take(
            message: dict[str, Any], history: list[Message], name: str, request: gr.Request
        ) -> tuple[gr.MultimodalTextbox, list[Message]]:
            """Show the question at once, even when others are answered before."""
            words = LANGUAGES[name]
            conversation = conversations.get(request)
            if conversation is None:
                conversation = conversations.start(request)
                if history:
                    gr.Warning(words.forgotten)
            if conversation.busy:
                gr.Warning(words.busy)
                raise gr.Error(visible=False, print_exception=False)  # What follows does not happen.
            if message["text"].strip() or message["files"]:
                conversation.begin(message["text"], message["files"])
                history = history + asked(message["text"], message["files"])
            return gr.MultimodalTextbox({"text": "", "files": []}, submit_btn=False, stop_btn=True), history

        def answer(
            history: list[Message], think: bool, warmth: float, most: float, name: str, request: gr.Request
        ) -> Iterator[list[Message]]:
            conversation = conversations.get(request)
            if conversation is not None:
                yield from conversation.answer(history, Settings(think, warmth, int(most)), LANGUAGES[name])

        def ready() -> gr.MultimodalTextbox:
            return gr.MultimodalTextbox(submit_btn=True, stop_btn=False)

        def stop(request: gr.Request) -> None:
            conversation = conversations.get(request)
            if conversation is not None:
                conversation.stop()

        def close(request: gr.Request) -> None:
            conversations.close(request)

        def clear(request: gr.Request) -> list[Message]:
            conversations.close(request)
            return []

        # Conversations wait for their turn themselves, so that the stop button ends the waiting, too.
        box.submit(take, [box, chatbot, language], [box, chatbot], **queued).success(
            answer, [chatbot, thinking, temperature, max_tokens, language], chatbot, **queued
        ).then(ready, None, box, **quiet)
        box.stop(stop, **quiet)
        fresh.click(clear, None, chatbot, **quiet)
        chatbot.clear(close, **quiet)
        page.unload(close)
    return page


def preferred(request: gr.Request) -> str:
    """The language that the browser asks for."""
    return "中文" if request.headers.get("accept-language", "").lower().startswith("zh") else "English"


def label(language: str) -> list[dict[str, Any]]:
    return [gr.update(**text) for text in labels(LANGUAGES[language]).values()]


def example(event: gr.SelectData) -> dict[str, Any]:
    return {"text": event.value["text"], "files": [file["path"] for file in event.value["files"]]}


def serve(model: mimo_vl.Model, host: str, port: int, max_pixels: int | None = None) -> None:
    build(Conversations(model, max_pixels)).launch(
        server_name=host,
        server_port=port,
        share=False,
        allowed_paths=[str(IMAGES)],
        theme=THEME,
        css=CSS,
        footer_links=[],
        ssr_mode=False,
        run_history=False,
    )


def main() -> int:
    arguments = parser().parse_args()
    try:
        model = mimo_vl.Model.load(arguments.model_path, device=arguments.device, weights=arguments.weights)
        serve(model, arguments.host, arguments.port, arguments.max_pixels)
    except (mimo_vl.MimoVlError, OSError) as error:
        print(f"app.py: {' '.join(str(error).split())}", file=sys.stderr)
        return 1
    return 0


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="app.py", description="A web page to talk with the model.")
    parser.add_argument("--model_path", metavar="DIR", help="checkpoint directory (default: mimo-vl-tiny)")
    parser.add_argument("--device", default="cpu", metavar="NAME", help="cpu, ndarray or cuda:0 (default: cpu)")
    parser.add_argument(
        "--weights", default="native", choices=["native", "f32", "f16", "bf16", "int8", "int4"], help="default: native"
    )
    parser.add_argument("--max_pixels", type=int, metavar="N", help="shrink each picture to at most N pixels")
    parser.add_argument("--host", default="127.0.0.1", metavar="NAME", help="default: 127.0.0.1, this machine alone")
    parser.add_argument("--port", type=int, default=7860, metavar="N", help="default: 7860")
    return parser


if __name__ == "__main__":
    sys.exit(main())
