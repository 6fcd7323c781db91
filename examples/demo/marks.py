"""Images with an answer's boxes, points and action drawn over them."""

import io
from collections.abc import Sequence
from typing import TypeAlias

import mimo_vl
from PIL import Image as Pil
from PIL import ImageDraw

Media: TypeAlias = mimo_vl.Image | mimo_vl.Video
Point: TypeAlias = tuple[float, float]

COLOUR, EDGE = (230, 0, 60), (255, 255, 255)


def marked(answer: mimo_vl.Answer, media: Sequence[Media]) -> list[Pil.Image]:
    """Copies of the images that have regions or an action, with these drawn.

    Videos have no copy: a region has no time.
    """
    copies: dict[int, Pil.Image] = {}
    for index, item in enumerate(media):
        regions = [region for region in answer.regions if region.image == index]
        if regions and isinstance(item, mimo_vl.Image):
            copies[index] = as_pil(mimo_vl.draw_regions(item, regions))
    # An action is about the last image: the current screen.
    last = len(media) - 1
    if answer.action is not None and answer.action.point is not None and media:
        screen = media[last]
        if isinstance(screen, mimo_vl.Image):
            copies[last] = with_action(copies.get(last) or as_pil(screen), answer.action)
    return [copies[index] for index in sorted(copies)]


def as_pil(image: mimo_vl.Image) -> Pil.Image:
    return Pil.open(io.BytesIO(image.to_png())).convert("RGB")


def with_action(screen: Pil.Image, action: mimo_vl.Action) -> Pil.Image:
    """A copy with a crosshair at each point of the action, and a line between them for a drag."""
    marked = screen.copy()
    draw = ImageDraw.Draw(marked)
    width = max(2, round(min(screen.size) / 200))
    if action.point is not None and action.end_point is not None:
        line(draw, action.point, action.end_point, width)
    for point in (action.point, action.end_point):
        if point is not None:
            crosshair(draw, point, max(14.0, min(screen.size) / 14), width)
    return marked


def crosshair(draw: ImageDraw.ImageDraw, point: Point, reach: float, width: int) -> None:
    """A circle and four lines around the point, with a light edge for contrast on any background."""
    x, y = point
    radius, gap = reach * 0.6, reach * 0.25
    for dx, dy in ((1, 0), (-1, 0), (0, 1), (0, -1)):
        line(draw, (x + dx * gap, y + dy * gap), (x + dx * reach, y + dy * reach), width)
    ring = (x - radius, y - radius, x + radius, y + radius)
    wider = (ring[0] - 1, ring[1] - 1, ring[2] + 1, ring[3] + 1)
    draw.ellipse(wider, outline=EDGE, width=width + 2)
    draw.ellipse(ring, outline=COLOUR, width=width)


def line(draw: ImageDraw.ImageDraw, start: Point, end: Point, width: int) -> None:
    draw.line([start, end], fill=EDGE, width=width + 2)
    draw.line([start, end], fill=COLOUR, width=width)


def describe(action: mimo_vl.Action) -> str:
    """An action on one line, with its points in pixels of the image."""
    words = [action.name]
    if action.direction is not None:
        words.append(action.direction)
    if action.keys:
        words.append("+".join(action.keys))
    if action.text is not None:
        words.append(f"“{action.text}”")
    words += [f"({x:.0f}, {y:.0f})" for x, y in filter(None, (action.point, action.end_point))]
    return " ".join(words)
