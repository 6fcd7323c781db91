"""The API of transformers and qwen-vl-utils: their programs run after a change of imports.

    from mimo_vl.compat import AutoProcessor, Qwen2_5_VLForConditionalGeneration, process_vision_info

Rendered texts, token ids, grids, pixel values and greedy answers are those of transformers 4.57 and qwen-vl-utils
0.0.14. Unsupported keywords are errors. docs/guide/transformers.md lists the differences.
"""

from .._native import smart_resize
from ._arrays import Array, BatchFeature, Pixels
from ._media import fetch_image, fetch_video, process_vision_info
from ._model import Qwen2_5_VLForConditionalGeneration
from ._processor import Qwen2_5_VLProcessor
from ._streaming import TextIteratorStreamer, TextStreamer

AutoProcessor = Qwen2_5_VLProcessor
AutoModelForImageTextToText = AutoModelForVision2Seq = Qwen2_5_VLForConditionalGeneration

__all__ = [
    "Array",
    "AutoModelForImageTextToText",
    "AutoModelForVision2Seq",
    "AutoProcessor",
    "BatchFeature",
    "Pixels",
    "Qwen2_5_VLForConditionalGeneration",
    "Qwen2_5_VLProcessor",
    "TextIteratorStreamer",
    "TextStreamer",
    "fetch_image",
    "fetch_video",
    "process_vision_info",
    "smart_resize",
]
