"""A web page to chat with the model about images and videos: `app.py --model PATH --port 7860`.

An error at the start is one line on stderr and exit status 1; wrong usage is status 2; Ctrl-C ends the server.
"""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gradio as gr
import mimo_vl
from chat import VIDEO_SUFFIXES, Conversation, Message, Settings, user_messages
from words import ENGLISH, LANGUAGES, Words

IMAGES = Path(__file__).resolve().parents[1] / "images"
EXAMPLES = {
    "shapes-1.png": "How many circles are there?",
    "shapes-2.png": "Is there a red square?",
    "shapes-4.png": "有几个星形？",
}
DAY = 24 * 60 * 60
# System fonts, since web fonts would be fetched from the network.
THEME = gr.themes.Soft(font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"])
# Hides the button beside the download button, which uploads the image to a public site.
CSS = ".notes { font-size: 0.8em; opacity: 0.7 } #chat .download-link + button { display: none }"
LATEX_DELIMITERS: list[dict[str, str | bool]] = [
    {"left": "$$", "right": "$$", "display": True},
    {"left": "\\[", "right": "\\]", "display": True},
    {"left": "\\(", "right": "\\)", "display": False},
]


class Conversations:
    """The conversations of all browser tabs, by Gradio's session hash."""

    def __init__(self, model: mimo_vl.Model, max_pixels: int | None = None) -> None:
        self.model = model
        self._max_pixels = max_pixels
        self._by_tab: dict[str, Conversation] = {}

    def get(self, request: gr.Request) -> Conversation | None:
        return self._by_tab.get(request.session_hash or "")

    def start(self, request: gr.Request) -> Conversation:
        conversation = Conversation(self.model, self._max_pixels)
        self._by_tab[request.session_hash or ""] = conversation
        return conversation

    def close(self, request: gr.Request) -> None:
        conversation = self._by_tab.pop(request.session_hash or "", None)
        if conversation is not None:
            conversation.close()


def labels(words: Words) -> dict[str, dict[str, Any]]:
    """The texts of each component."""
    return {
        "about": {"value": words.about},
        "new_chat": {"value": words.new_chat},
        "settings": {"value": f"### {words.settings}"},
        "thinking": {"label": words.think},
        "temperature": {"label": words.temperature, "info": words.temperature_info},
        "max_tokens": {"label": words.max_tokens, "info": words.max_tokens_info},
        "chatbot": {"placeholder": f"## {words.welcome}"},
        "box": {"placeholder": words.placeholder},
    }


def build(conversations: Conversations) -> gr.Blocks:
    max_answer = min(8192, conversations.model.max_context)
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
            new_chat = gr.Button(**text["new_chat"], variant="primary", elem_id="new-chat")
            settings = gr.Markdown(**text["settings"])
            thinking = gr.Checkbox(True, **text["thinking"], elem_id="think")
            temperature = gr.Slider(0, 2, 0, step=0.1, **text["temperature"])
            max_tokens = gr.Slider(16, max_answer, min(2048, max_answer), step=16, **text["max_tokens"])
            language = gr.Radio(list(LANGUAGES), value="English", show_label=False, container=False, elem_id="language")
        chatbot = gr.Chatbot(
            **text["chatbot"],
            show_label=False,
            scale=1,
            buttons=["copy"],
            feedback_options=None,
            latex_delimiters=LATEX_DELIMITERS,
            examples=examples,
            elem_id="chat",
        )
        box = gr.MultimodalTextbox(
            **text["box"],
            show_label=False,
            file_count="multiple",
            file_types=["image", *VIDEO_SUFFIXES],
            autofocus=True,
            elem_id="box",
        )
        labelled = [about, new_chat, settings, thinking, temperature, max_tokens, chatbot, box]
        # Events outside of the queue run at once, but cannot show notices.
        queued: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private", "concurrency_limit": None}
        quiet = queued | {"queue": False}

        page.load(preferred_language, None, language, **quiet).then(label, language, labelled, **quiet)
        language.input(label, language, labelled, **quiet)
        chatbot.example_select(example, None, box, **quiet)

        def submit(
            message: dict[str, Any], history: list[Message], name: str, request: gr.Request
        ) -> tuple[gr.MultimodalTextbox, list[Message]]:
            """Show the message at once, even while another conversation is answered."""
            words = LANGUAGES[name]
            conversation = conversations.get(request)
            if conversation is None:
                conversation = conversations.start(request)
                if history:
                    gr.Warning(words.connection_lost)
            if conversation.busy:
                gr.Warning(words.busy)
                raise gr.Error(visible=False, print_exception=False)  # Skips the success handlers.
            if message["text"].strip() or message["files"]:
                conversation.begin(message["text"], message["files"])
                history = history + user_messages(message["text"], message["files"])
            return gr.MultimodalTextbox({"text": "", "files": []}, submit_btn=False, stop_btn=True), history

        def answer(
            history: list[Message], think: bool, temperature: float, max_tokens: float, name: str, request: gr.Request
        ) -> Iterator[list[Message]]:
            conversation = conversations.get(request)
            if conversation is not None:
                yield from conversation.answer(history, Settings(think, temperature, int(max_tokens)), LANGUAGES[name])

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

        # Conversations wait outside of Gradio's queue, so that the stop button ends the waiting, too.
        box.submit(submit, [box, chatbot, language], [box, chatbot], **queued).success(
            answer, [chatbot, thinking, temperature, max_tokens, language], chatbot, **queued
        ).then(ready, None, box, **quiet)
        box.stop(stop, **quiet)
        new_chat.click(clear, None, chatbot, **quiet)
        chatbot.clear(close, **quiet)
        page.unload(close)
    return page


def preferred_language(request: gr.Request) -> str:
    """The language of the browser's Accept-Language header."""
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
        model = mimo_vl.Model.load(arguments.model, device=arguments.device, weights=arguments.weights)
        serve(model, arguments.host, arguments.port, arguments.max_pixels)
    except (mimo_vl.MimoVlError, OSError) as error:
        print(f"app.py: {' '.join(str(error).split())}", file=sys.stderr)
        return 1
    return 0


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="app.py", description="A web page to chat with the model.")
    parser.add_argument("--model", metavar="PATH", help="checkpoint (default: mimo-vl-tiny)")
    parser.add_argument("--device", default="cpu", metavar="NAME", help="cpu, ndarray or cuda:0 (default: cpu)")
    parser.add_argument(
        "--weights", default="native", choices=["native", "f32", "f16", "bf16", "int8", "int4"], help="default: native"
    )
    parser.add_argument("--max-pixels", type=int, metavar="N", help="downscale each image or frame to at most N pixels")
    parser.add_argument("--host", default="127.0.0.1", metavar="HOST", help="address to listen on (default: 127.0.0.1)")
    parser.add_argument("--port", type=int, default=7860, metavar="N", help="port to listen on (default: 7860)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
