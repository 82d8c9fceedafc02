"""A sheet of paper with ink on it, laid on a table, lit and photographed."""

import io
from dataclasses import dataclass, field

import cv2
import numpy as np
from PIL import Image

Colour = tuple[int, int, int]


@dataclass
class Sheet:
    """A sheet's colours (H, W, 3) float32 from 0 to 255, and what has been printed on it."""

    colours: np.ndarray
    ink: Colour
    marks: list[tuple[int, int, int, int]] = field(default_factory=list)  # boxes of characters

    @classmethod
    def blank(cls, height: int, width: int, paper: Colour, ink: Colour) -> "Sheet":
        return cls(np.full((height, width, 3), paper, np.float32), ink)

    def add(self, ink: np.ndarray, top: int, left: int, colour: Colour | None = None) -> None:
        """Put ink (h, w) in 0 to 1 at a place; what lies outside the sheet is lost."""
        height, width = self.colours.shape[:2]
        above, beside = max(0, -top), max(0, -left)
        ink = ink[above : height - top, beside : width - left, None]
        top, left = top + above, left + beside
        place = self.colours[top : top + ink.shape[0], left : left + ink.shape[1]]
        place += ink * (np.array(colour or self.ink, np.float32) - place)
        self.marks.append((top, left, top + ink.shape[0], left + ink.shape[1]))

    def line(self, start: tuple, end: tuple, thick: int, colour: Colour) -> None:
        """A printed line from (x, y) to (x, y), which lets ink below it through."""
        points = np.round([start, end]).astype(int)
        low = np.maximum(points.min(axis=0) - thick - 1, 0)
        high = points.max(axis=0) + thick + 2
        place = self.colours[low[1] : max(high[1], 0), low[0] : max(high[0], 0)]
        if place.size == 0:
            return
        mask = np.zeros(place.shape[:2], np.uint8)
        cv2.line(mask, *((points - low).tolist()), 255, thick)
        share = mask[:, :, None] / np.float32(255.0)
        place += share * (np.minimum(place, np.array(colour, np.float32)) - place)


def laid(
    rng: np.random.Generator,
    sheet: np.ndarray,
    table: np.ndarray,
    share: float,
    turn: float,
    tilt: float,
) -> np.ndarray:
    """The sheet (h, w, 3) on the table (H, W, 3), in perspective.

    share: of the table's width that the sheet's takes. turn: degrees. tilt: how far each corner
    is moved, at most, as a share of the sheet's size.
    """
    height, width = table.shape[:2]
    h, w = sheet.shape[:2]
    size = np.array([share * width, share * width * h / w])
    angle = np.deg2rad(turn)
    rotation = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    square = np.array([[-0.5, -0.5], [0.5, -0.5], [0.5, 0.5], [-0.5, 0.5]])
    corners = (square + rng.uniform(-tilt, tilt, (4, 2))) * size @ rotation.T
    low, high = corners.min(axis=0), corners.max(axis=0)
    room = np.array([width, height]) - (high - low)  # negative where the sheet is cut
    edge = np.minimum(0.01 * width, np.maximum(room / 2, 0))
    corners += rng.uniform(np.minimum(edge, room - edge), np.maximum(edge, room - edge)) - low
    return placed(sheet, table, corners)


def placed(sheet: np.ndarray, table: np.ndarray, corners: np.ndarray) -> np.ndarray:
    """The sheet with its corners (4, 2), clockwise from the upper left, at (x, y) of the table."""
    height, width = table.shape[:2]
    h, w = sheet.shape[:2]
    own = np.array([[0, 0], [w, 0], [w, h], [0, h]], np.float32)
    warp = cv2.getPerspectiveTransform(own, corners.astype(np.float32))
    small = np.sqrt(abs(cv2.contourArea(corners.astype(np.float32))) / (h * w))
    if small < 0.8:
        sheet = cv2.GaussianBlur(sheet, (0, 0), 0.35 / small)
    moved = cv2.warpPerspective(sheet, warp, (width, height), flags=cv2.INTER_LINEAR)
    solid = cv2.warpPerspective(
        np.ones((h, w), np.float32), warp, (width, height), flags=cv2.INTER_LINEAR
    )[:, :, None]
    # a faint shadow of the sheet on the table
    shade = 1.0 - 0.25 * cv2.GaussianBlur(solid, (0, 0), width / 200)[:, :, None]
    return solid * moved + (1.0 - solid) * table * shade


def taken(
    rng: np.random.Generator,
    colours: np.ndarray,
    light: np.ndarray,
    noise: float = 3.0,
    blur: float = 0.7,
    quality: int = 80,
) -> np.ndarray:
    """The photograph (H, W, 3) uint8: lit (H, W), a little out of focus, noisy, a JPEG."""
    seen = cv2.GaussianBlur(colours * light[:, :, None], (0, 0), blur)
    seen += rng.normal(0.0, noise, seen.shape).astype(np.float32)
    content = io.BytesIO()
    Image.fromarray(np.clip(seen, 0, 255).astype(np.uint8)).save(content, "JPEG", quality=quality)
    return np.asarray(Image.open(content))


def slope(rng: np.random.Generator, height: int, width: int, strength: float) -> np.ndarray:
    """Light that changes by `strength` across the picture."""
    y, x = grid(height, width)
    turn = rng.uniform(0, 2 * np.pi)
    return 1.0 + strength * (np.cos(turn) * x + np.sin(turn) * y)


def corners_darker(height: int, width: int, strength: float) -> np.ndarray:
    """Light of a lens that is darker towards the corners."""
    y, x = grid(height, width)
    return 1.0 - strength * (x**2 + y**2)


def shadow_edge(
    rng: np.random.Generator, height: int, width: int, strength: float, soft: float
) -> np.ndarray:
    """A shadow with a straight edge, which is `soft` of the picture's size wide."""
    y, x = grid(height, width)
    turn, away = rng.uniform(0, 2 * np.pi), rng.uniform(-0.3, 0.3)
    edge = np.cos(turn) * x + np.sin(turn) * y - away
    return 1.0 - strength / (1.0 + np.exp(-edge / soft))


def blob(
    rng: np.random.Generator, height: int, width: int, strength: float, soft: float
) -> np.ndarray:
    """The shadow of a hand: two overlapping ellipses with soft edges."""
    y, x = grid(height, width)
    dark = np.zeros((height, width), np.float32)
    at = rng.uniform(-0.4, 0.4, 2)
    for _ in range(2):
        dx, dy = at + rng.uniform(-0.15, 0.15, 2)
        a, b = rng.uniform(0.15, 0.35, 2)
        far = np.sqrt(((x - dx) / a) ** 2 + ((y - dy) / b) ** 2) - 1.0
        dark = np.maximum(dark, 1.0 / (1.0 + np.exp(far / (4 * soft))))
    return 1.0 - strength * dark


def grid(height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Places y and x (H, W) from -0.5 to 0.5."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    return y / height - 0.5, x / width - 0.5


def wood(rng: np.random.Generator, height: int, width: int, colour: Colour, grain: float):
    """A table of wood (H, W, 3): long streaks along one side."""
    streaks = rng.normal(0.0, 1.0, (height, max(2, width // 60))).astype(np.float32)
    streaks = cv2.resize(streaks, (width, height), interpolation=cv2.INTER_CUBIC)
    streaks = cv2.GaussianBlur(streaks, (0, 0), 1.5)
    return np.array(colour, np.float32) * (1.0 + grain * streaks[:, :, None])


def cloth(rng: np.random.Generator, height: int, width: int, colour: Colour, grain: float):
    """A table cloth (H, W, 3): fine and coarse stains."""
    stains = rng.normal(0.0, 1.0, (height, width)).astype(np.float32)
    stains = cv2.GaussianBlur(stains, (0, 0), 1.2) * 2.0
    wide = rng.normal(0.0, 1.0, (12, 16)).astype(np.float32)
    stains += 0.5 * cv2.resize(wide, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.array(colour, np.float32) * (1.0 + grain * stains[:, :, None])


def plain(rng: np.random.Generator, height: int, width: int, colour: Colour, grain: float):
    """A table of one colour (H, W, 3)."""
    return np.full((height, width, 3), colour, np.float32)
