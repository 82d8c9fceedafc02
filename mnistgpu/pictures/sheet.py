"""The sheet of paper in a photograph: found, cut out and put straight.

A sheet is a region of one colour with straight or rounded edges, with something written on it, and
with another colour around it. The picture is looked at in a small copy without its thin strokes.
There the sheet and the table are smooth, and between them the colour changes at once. Light and
shadows change slowly. Bold writing near the sheet's edge becomes one with the table there, and a
table may be nearly as bright as the sheet: so the copy is looked at again with more of its strokes,
and with smaller changes, for sheets that are bright and have four sides in the picture.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

SMALL_COPY = 256  # longest side, in pixels, of the copy on which the sheet is searched for
# for each look the size in pixels of the median, which takes out strokes thinner than half of it,
# and the levels between neighbouring pixels: more is an edge of the sheet, less is light
LOOKS = ((13, 18), (5, 18), (5, 9))
LEAST = 0.03  # a sheet's least share of the picture
CONVEX = 0.92  # its least share of its own convex hull
BITTEN = 0.75  # the same of a bright sheet with four sides, for writing near its edge
WHOLE = 0.97  # the same where the writing has the table's colour, as between a bold digit's strokes
BENT = 0.015  # of the outline: how far a straight side may be bent
SQUARE = 0.96  # the least share of a quadrilateral that a sheet with round corners fills
MOST_CORNERS = 6  # of a sheet, one or two of whose corners the picture's edge cuts
UNLIKE = 20  # levels between the sheet and what is around it, at least
WRITTEN = 18  # levels between ink and paper, at least
DEEPEST = 0.45  # of the light at least is left in a shadow
HUE = 0.012  # the most by which a shadow changes a colour's shares of red, green and blue
MOST_WRITTEN = 0.4  # of a sheet is ink; what a bold 0 encloses is more of it
INSET = 0.02  # of a sheet's sides is left out at each edge: a torn or shaded edge
SMALLEST_PICTURE = 100  # pixels; smaller pictures are cut-outs, with no table in them


@dataclass(frozen=True)
class Sheet:
    """The paper of a picture, put straight."""

    levels: np.ndarray  # (h, w) or (h, w, 3) uint8
    to_picture: np.ndarray  # (3, 3): homogeneous (x, y, 1) of the sheet to those of the picture
    outline: np.ndarray | None  # (corners, 2), x and y in the picture; None: it fills the picture

    def box_in_picture(self, box: tuple[int, int, int, int]) -> tuple[int, int, int, int]:
        """A box of the sheet (first row, first column, the ones after the last) in the picture."""
        if self.outline is None:
            return box
        top, left, below, right = box
        corners = np.array([(left, top, 1), (right, top, 1), (right, below, 1), (left, below, 1)])
        x, y, scale = self.to_picture @ corners.T
        x, y = x / scale, y / scale
        return round(y.min()), round(x.min()), round(y.max()), round(x.max())


def find(levels: np.ndarray) -> Sheet:
    """The sheet in a picture (H, W) or (H, W, 3) uint8, or the whole picture if none stands out.

    Its perspective is put right if its four corners are in the picture; otherwise it is cut out,
    and the colour of its edge is continued over what is not the sheet.
    """
    outline = outline_of(levels) if max(levels.shape[:2]) >= SMALLEST_PICTURE else None
    if outline is None:
        return Sheet(levels, np.eye(3), None)
    corners = corners_of(outline, levels.shape[:2])
    return cut_out(levels, outline) if corners is None else straightened(levels, corners)


def outline_of(levels: np.ndarray) -> np.ndarray | None:
    """The convex outline (n, 2) of the sheet, as x and y in the picture; None if there is none."""
    import cv2

    height, width = levels.shape[:2]
    scale = SMALL_COPY / max(height, width)
    size = (max(8, round(width * scale)), max(8, round(height * scale)))
    small = cv2.resize(levels, size, interpolation=cv2.INTER_AREA)
    if small.ndim == 2:
        small = np.repeat(small[:, :, None], 3, axis=2)
    hulls: list[np.ndarray] = []
    for thin, step in LOOKS:
        smooth = cv2.medianBlur(np.ascontiguousarray(small), thin)
        steps = cv2.morphologyEx(smooth, cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8)).max(axis=2)
        flat = (steps <= step).astype(np.uint8)
        count, names, stats, _ = cv2.connectedComponentsWithStats(flat, connectivity=4)
        largest = np.argsort(-stats[1:count, cv2.CC_STAT_AREA]) + 1
        for name in largest[:8]:
            region = (names == name).astype(np.uint8)
            hull = hull_if_sheet(region, small, smooth, strict=thin < LOOKS[0][0])
            if hull is not None:
                hulls.append(hull)
    if not hulls:
        return None
    hulls.sort(key=cv2.contourArea, reverse=True)
    # the outermost pixels of the copy are the edge of the picture
    hull, ends = likeliest(hulls, size), np.array(size) - 1
    hull = np.where(hull <= 2, 0, np.where(hull >= ends - 2, ends, hull))
    outline: np.ndarray = hull / ends * (width - 1, height - 1)
    return outline


def likeliest(hulls: list[np.ndarray], size: tuple[int, int]) -> np.ndarray:
    """Of the convex outlines (n, 2) of regions that may be sheets, the largest first, the sheet.

    size: width and height of the picture. It is the largest, unless the picture's edge cuts that
    one, and beside it lies one with four sides that are seen: a table of stripes has regions, too.
    """
    import cv2

    first = hulls[0]
    if not is_at_edge(first, size):
        return first
    for hull in hulls[1:]:
        middle = tuple(float(x) for x in hull.mean(axis=0))
        within = cv2.pointPolygonTest(first.astype(np.float32), middle, False) >= 0
        if not within and not is_at_edge(hull, size) and has_four_sides(hull):
            return hull
    return first


def is_at_edge(hull: np.ndarray, size: tuple[int, ...]) -> bool:
    """Whether an outline (n, 2) reaches the edge of a picture of this width and height."""
    return bool((hull <= 1).any() or (hull >= np.array(size) - 2).any())


def hull_if_sheet(
    region: np.ndarray, small: np.ndarray, smooth: np.ndarray, strict: bool
) -> np.ndarray | None:
    """The convex hull (n, 2) of a region (h, w) of 0 and 1, if it may be a sheet; otherwise None.

    small, smooth (h, w, 3): the picture, and the picture without thin strokes. strict: whether it
    must be brighter than what is around it, and have four sides in the picture.
    """
    import cv2

    square = np.ones((3, 3), np.uint8)
    grown = cv2.dilate(region, square)
    contours, _ = cv2.findContours(grown, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    contour = max(contours, key=cv2.contourArea)
    hull: np.ndarray = cv2.convexHull(contour)[:, 0]
    solid = cv2.fillConvexPoly(np.zeros_like(region), hull, 1)
    area = int(solid.sum())
    at_edge = is_at_edge(hull, region.shape[::-1])
    if not LEAST * region.size <= area <= 0.985 * region.size:
        return None
    if not (has_four_sides(hull) and not at_edge if strict else has_straight_sides(hull)):
        return None
    own = cv2.drawContours(np.zeros_like(region), [contour], -1, 1, -1)
    if int(own.sum()) < (BITTEN if strict else CONVEX) * area:
        return None
    if at_edge:
        solid = own
    around = cv2.dilate(solid, square, iterations=8) - cv2.dilate(solid, square, iterations=4)
    if not around.any():
        return None
    paper = np.median(smooth[region > 0], axis=0)
    beside = np.median(smooth[around > 0], axis=0)
    if np.max(np.abs(paper - beside)) < UNLIKE or (strict and paper.sum() < beside.sum()):
        return None
    beyond = smooth[cv2.dilate(solid, square, iterations=12) == 0]
    if strict and len(beyond) and np.max(np.abs(paper - np.median(beyond, axis=0))) < UNLIKE:
        return None  # what a stroke or a box encloses
    # what is written lies well inside: a dark edge of the sheet is not writing
    edge = max(3, round(0.04 * np.sqrt(area)))
    framed = cv2.copyMakeBorder(solid, 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
    inside = cv2.erode(framed, square, iterations=edge)[1:-1, 1:-1] > 0
    unlike = np.abs(small.astype(np.int16) - local_paper(smooth, region)).max(axis=2)
    marks = (unlike > WRITTEN) & inside
    written = int(np.count_nonzero(marks))
    if not max(8, 0.001 * area) <= written <= MOST_WRITTEN * area:
        return None
    alike = np.max(np.abs(np.median(small[marks], axis=0) - beside)) < UNLIKE
    if alike and int(own.sum()) < WHOLE * area:
        return None  # a bold digit: what it encloses has the colour of what is around it
    if is_shade(paper, beside) and goes_on(small, inside, cv2.dilate(solid, square, iterations=4)):
        return None
    return hull


def is_shade(paper: np.ndarray, beside: np.ndarray) -> bool:
    """Whether two colours (3,) may be those of one paper in the light and in a shadow."""
    share = np.sort([paper.sum(), beside.sum()])
    hues = paper / max(paper.sum(), 1.0), beside / max(beside.sum(), 1.0)
    return bool(share[0] > DEEPEST * share[1] and np.abs(hues[0] - hues[1]).max() < HUE)


def goes_on(small: np.ndarray, inside: np.ndarray, sheet: np.ndarray) -> bool:
    """Whether a picture (h, w, 3) has ink outside a sheet (h, w), too, about as dark as inside.

    A table's grain is no ink: much of the table is nearly as dark as its darkest spots. So is much
    of a shadow that goes on at the picture's edge.
    """
    import cv2

    grey = small.mean(axis=2).astype(np.float32)
    paper = cv2.morphologyEx(grey, cv2.MORPH_CLOSE, np.ones((41, 41), np.uint8))
    ink = 1.0 - grey / np.maximum(paper, 1.0)
    outside = sheet == 0
    if not outside.any() or not inside.any():
        return False
    darkest = np.quantile(ink[outside], 0.998)
    if not is_at_edge(np.argwhere(sheet), sheet.shape):
        darkest -= np.quantile(ink[outside], 0.95)
    return bool(darkest > 0.75 * np.quantile(ink[inside], 0.998))


def has_straight_sides(hull: np.ndarray) -> bool:
    """Whether a convex outline (n, 2) has few corners, unlike a bold 0 or 8."""
    import cv2

    corners = cv2.approxPolyDP(hull, BENT * cv2.arcLength(hull, True), True)
    return len(corners) <= MOST_CORNERS


def has_four_sides(hull: np.ndarray) -> bool:
    """Whether a convex outline (n, 2) is a quadrilateral but for round corners."""
    import cv2

    four = four_corners(hull)
    if four is None:
        return False
    share = cv2.contourArea(hull) / max(cv2.contourArea(four.astype(np.float32)), 1.0)
    return bool(SQUARE <= share <= 1.0 / SQUARE)


def local_paper(smooth: np.ndarray, region: np.ndarray) -> np.ndarray:
    """The colour of the region around each pixel (h, w, 3), where light changes slowly."""
    import cv2

    weight = cv2.blur(region.astype(np.float32), (61, 61))
    mean = cv2.blur(smooth.astype(np.float32) * region[:, :, None], (61, 61))
    paper: np.ndarray = mean / np.maximum(weight, 1e-6)[:, :, None]
    return paper


def four_corners(hull: np.ndarray) -> np.ndarray | None:
    """The corners (4, 2) of the quadrilateral that is most like a convex outline (n, 2), or None.

    They are where the lines through its sides meet.
    """
    import cv2

    hull = hull.astype(np.float32)
    length = cv2.arcLength(hull, True)
    for loose in np.linspace(0.01, 0.06, 11):
        corners = cv2.approxPolyDP(hull, loose * length, True)[:, 0].astype(np.float64)
        if len(corners) <= 4:
            break
    return sharpened(corners, hull.astype(np.float64)) if len(corners) == 4 else None


def corners_of(outline: np.ndarray, shape: tuple[int, ...]) -> np.ndarray | None:
    """The four corners (4, 2) of a sheet, clockwise from the upper left one.

    None if it has not four, or one of them is not in the picture of this shape (rows, columns).
    """
    import cv2

    corners = four_corners(outline)
    hull = outline.astype(np.float32)
    if corners is None:
        return None
    if cv2.contourArea(corners.astype(np.float32)) < 0.93 * cv2.contourArea(hull):
        return None
    if np.any(corners < 1) or np.any(corners > np.array(shape[1::-1]) - 2):
        return None
    turn = np.arctan2(*(corners - corners.mean(axis=0)).T[::-1])  # clockwise from the left
    corners = corners[np.argsort(turn)]
    first = int(np.argmin(corners.sum(axis=1)))  # the upper left one
    ordered: np.ndarray = np.roll(corners, -first, axis=0)
    return ordered


def sharpened(corners: np.ndarray, outline: np.ndarray) -> np.ndarray:
    """Corners (4, 2) where the lines through the sides of an outline (n, 2) meet.

    The outline of the small copy has round corners, so its sides are taken from their middle parts.
    """
    import cv2

    dense = np.concatenate(
        [
            start + (end - start) * np.linspace(0.0, 1.0, 40, endpoint=False)[:, None]
            for start, end in zip(outline, np.roll(outline, -1, axis=0), strict=True)
        ]
    )
    sides = []
    for start, end in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        length = max(float(np.linalg.norm(end - start)), 1e-9)
        way = (end - start) / length
        along = (dense - start) @ way / length
        away = np.abs((dense - start) @ np.array([-way[1], way[0]]))
        own = dense[(along > 0.12) & (along < 0.88) & (away < 0.08 * length)]
        if len(own) < 2:
            return corners
        x, y, at_x, at_y = cv2.fitLine(own.astype(np.float32), cv2.DIST_HUBER, 0, 0.01, 0.01)[
            :4
        ].ravel()
        sides.append((y, -x, y * at_x - x * at_y))
    sharp = []
    for (a, b, c), (d, e, f) in zip(np.roll(sides, 1, axis=0), sides, strict=True):
        across = a * e - b * d
        if abs(across) < 0.1:
            return corners
        sharp.append(((c * e - b * f) / across, (a * f - c * d) / across))
    return np.array(sharp)


def straightened(levels: np.ndarray, corners: np.ndarray) -> Sheet:
    """The sheet with these corners (4, 2) as a rectangle of its mean width and height."""
    import cv2

    sides = np.linalg.norm(corners - np.roll(corners, -1, axis=0), axis=1)
    width, height = (max(8, round((sides[i] + sides[i + 2]) / 2)) for i in (0, 1))
    x, y = INSET * width, INSET * height
    own = np.array([(-x, -y), (width + x, -y), (width + x, height + y), (-x, height + y)])
    warp = cv2.getPerspectiveTransform(own.astype(np.float32), corners.astype(np.float32))
    flat = cv2.warpPerspective(
        levels, warp, (width, height), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    )
    return Sheet(flat, warp, corners)


def cut_out(levels: np.ndarray, outline: np.ndarray) -> Sheet:
    """The box around a sheet with this outline (n, 2); around it the colour of its edge goes on."""
    import cv2

    height, width = levels.shape[:2]
    points = np.round(outline).astype(np.int32)
    solid = cv2.fillConvexPoly(np.zeros((height, width), np.uint8), points, 1)
    edge = max(2, round(INSET * np.sqrt(float(solid.sum()))))
    padded = cv2.copyMakeBorder(solid, edge, edge, edge, edge, cv2.BORDER_REPLICATE)
    solid = cv2.erode(padded, np.ones((2 * edge + 1, 2 * edge + 1), np.uint8))
    solid = solid[edge:-edge, edge:-edge]
    rows, columns = (np.flatnonzero(solid.any(axis=axis)) for axis in (1, 0))
    box = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
    inside, own = solid[box], levels[box].copy()
    _, nearest = cv2.distanceTransformWithLabels(
        1 - inside, cv2.DIST_L2, 3, labelType=cv2.DIST_LABEL_PIXEL
    )
    colour = np.zeros((int(nearest.max()) + 1, *levels.shape[2:]), np.uint8)
    soft = cv2.blur(own, (9, 9))
    colour[nearest[inside > 0]] = soft[inside > 0]
    own[inside == 0] = colour[nearest[inside == 0]]
    moved = np.array([[1.0, 0.0, columns[0]], [0.0, 1.0, rows[0]], [0.0, 0.0, 1.0]])
    return Sheet(own, moved, outline)
