"""From the pixels of a screenshot to a desktop."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from .errors import OptionError


@dataclass(frozen=True, slots=True)
class Screen:
    """A monitor: where a screenshot of it lies on the desktop.

    Desktop units are what an operating system places windows and pointers in; one covers `scale` pixels of a monitor.
    """

    left: float
    """Left edge, in desktop units."""
    top: float
    """Top edge, in desktop units."""
    width: int
    """Pixels of its screenshot from left to right."""
    height: int
    """Pixels of its screenshot from top to bottom."""
    scale: float = 1.0
    """Pixels for one desktop unit: 1, or 1.25, 1.5, 2 and the like on dense monitors."""

    def __post_init__(self) -> None:
        if not (math.isfinite(self.left) and math.isfinite(self.top)):
            raise OptionError(f"screen: it lies at ({self.left}, {self.top}); both must be finite")
        if not (self.width >= 1 and self.height >= 1):
            raise OptionError(f"screen: {self.width}x{self.height} pixels; both sides must be at least 1")
        if not (math.isfinite(self.scale) and self.scale > 0):
            raise OptionError(f"scale: {self.scale} pixels a unit; it must be a finite number above 0")

    def to_desktop(self, point: tuple[float, float]) -> tuple[float, float]:
        """A point of the screenshot, in pixels, on the desktop."""
        return self.left + point[0] / self.scale, self.top + point[1] / self.scale

    def to_pixels(self, point: tuple[float, float]) -> tuple[float, float]:
        """A point of the desktop in the screenshot, in pixels."""
        return (point[0] - self.left) * self.scale, (point[1] - self.top) * self.scale

    def contains(self, point: tuple[float, float]) -> bool:
        """Whether a point of the desktop lies on this monitor."""
        x, y = self.to_pixels(point)
        return 0 <= x < self.width and 0 <= y < self.height

    @staticmethod
    def at(screens: Sequence["Screen"], point: tuple[float, float]) -> int | None:
        """The number of the monitor that a point of the desktop lies on; None where there is none."""
        return next((index for index, screen in enumerate(screens) if screen.contains(point)), None)
