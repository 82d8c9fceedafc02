"""What is printed or drawn on paper to write on: lines, squares, dots, boxes, underlines.

Each is found as what it is. Lines and squares are straight, of one width and longer than writing.
A frame is a closed band with something written inside. Dots are many, small and alike. An
underline is a straight stroke below the writing and longer than it. Ink of a stroke that crosses a
line stays.
"""

from __future__ import annotations

import numpy as np

HALF = 600  # longest side, in pixels, of the copy on which long lines are searched for
LEANS = np.linspace(-0.2, 0.2, 21)  # how far a line falls on its way, in rows a column
LONG = 0.15  # of the picture's longest side: the piece of a line that is looked for
FILLED = 0.8  # of such a piece is ink
ACROSS = 0.6  # of the paper's side: a line this long is a rule, however many there are
REPEATED = 0.3  # the same, where there are three or more
THICK = 0.012  # of the longest side: what is thicker is no printed line
FAINTEST = 6.0  # levels between a printed line and what is above and below it
FRAME_INK = 0.5  # of its own area is ink in a frame, at most
FRAME_FULL = 0.85  # of its smallest rectangle is inside a frame, at least
DOTS = 15  # so many small parts alike are a pattern
UNDERLINE = 8  # times as long as thick, at least


def without_ruling(ink: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Ink (H, W) float32 without what is ruled, and where it was taken away: (H, W) bool."""
    left = ink.copy()
    take_frames(left)
    take_lines(left)
    take_lines(left.T)
    take_underlines(left)
    take_dots(left)
    return left, (ink > 0) & (left == 0)


def take_lines(ink: np.ndarray) -> None:
    """Take rules that run from left to right out of ink (H, W), in place."""
    import cv2

    height, width = ink.shape
    scale = min(1.0, HALF / max(height, width))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    half = cv2.resize(ink, size, interpolation=cv2.INTER_AREA)
    # without what is thicker than a printed line: strokes that cross it, shadows that it is in
    most = max(2, round(THICK * max(size)))
    thick = cv2.morphologyEx(half, cv2.MORPH_OPEN, np.ones((most + 1 | 1, 1), np.uint8))
    thin = (half - thick > FAINTEST).astype(np.uint8)
    found = long_runs(thin, max(12, round(LONG * max(size))))
    if not found.any():
        return
    rules = ruled_parts(found, thin, max(1.5, THICK * max(size)))
    if not rules.any():
        return
    line = cv2.resize(rules, (width, height), interpolation=cv2.INTER_NEAREST)
    grow = max(1, round(1 / scale))
    line = cv2.dilate(line, np.ones((2 * grow + 1, 1), np.uint8)) > 0
    erase(ink, line & (ink > 0))


def long_runs(mask: np.ndarray, length: int) -> np.ndarray:
    """Pixels (h, w) of 0 and 1 on straight lines of a length in mask, nearly from left to right."""
    import cv2

    height, width = mask.shape
    found = np.zeros_like(mask)
    for lean in LEANS:
        # rows move up or down along the way, so that a line of this lean becomes level
        shear = np.array([[1.0, 0.0, 0.0], [-lean, 1.0, max(0.0, lean) * width]])
        size = (width, height + int(abs(lean) * width) + 1)
        level = cv2.warpAffine(mask, shear, size, flags=cv2.INTER_NEAREST)
        share = cv2.boxFilter(level, cv2.CV_32F, (length, 1), borderType=cv2.BORDER_REFLECT_101)
        core = (share >= FILLED).astype(np.uint8)
        if not core.any():
            continue
        run = cv2.dilate(core, np.ones((1, length), np.uint8)) & level
        back = np.array([[1.0, 0.0, 0.0], [lean, 1.0, -max(0.0, lean) * width]])
        found |= cv2.warpAffine(run, back, (width, height), flags=cv2.INTER_NEAREST)
    found &= mask
    return found


def ruled_parts(found: np.ndarray, thin: np.ndarray, thickest: float) -> np.ndarray:
    """Of straight pieces (h, w) of 0 and 1 those that are rules: long, thin, perhaps repeated.

    A rule goes on in a straight line where it is in `thin` (h, w), all thin ink: where it is faint,
    or between strokes that cross it, its pieces are too short to be found alone.
    """
    import cv2

    width = found.shape[1]
    # pieces of one line, between which a digit stands, become one part
    wider = cv2.dilate(found, np.ones((5, 1), np.uint8))
    bridged = cv2.morphologyEx(wider, cv2.MORPH_CLOSE, np.ones((1, max(3, width // 3)), np.uint8))
    count, names = cv2.connectedComponents(bridged, connectivity=8)
    own = names[found > 0]
    area = np.bincount(own, minlength=count).astype(np.float64)
    # of the pieces themselves: near the picture's edge the bridge goes on to the edge
    first, last = np.full(count, width), np.zeros(count, np.int64)
    np.minimum.at(first, own, np.nonzero(found)[1])
    np.maximum.at(last, own, np.nonzero(found)[1])
    long = np.maximum(last - first + 1, 0)
    is_thin = area <= thickest * long
    is_thin[0] = False
    across = is_thin & (long >= ACROSS * width)
    repeated = is_thin & (long >= REPEATED * width)
    kept = repeated if int(repeated.sum()) >= 3 else across
    rules: np.ndarray = (kept[names] & (found > 0)).astype(np.uint8)
    near = np.zeros_like(rules)
    for name in np.flatnonzero(kept):
        rows, columns = np.nonzero((names == name) & (found > 0))
        fall, start = 0.0, rows.mean()
        if np.ptp(columns):  # pieces of one column have no slope
            fall, start = np.polyfit(columns, rows, 1)
        left, right = ((x, round(start + fall * x)) for x in (0, width - 1))
        cv2.line(near, left, right, 1, max(3, round(area[name] / long[name]) + 2))
    rules |= near & thin
    return rules


def erase(ink: np.ndarray, line: np.ndarray) -> None:
    """Take the pixels of a line that runs from left to right out of ink, in place.

    Kept are pixels that are much darker than the line, and those with ink above and below it.
    """
    import cv2

    if not line.any():
        return
    level = float(np.median(ink[line]))
    darker = ink > 1.6 * level
    rest = ((ink > 0) & (~line | darker)).astype(np.uint8)
    thick = thickness(line)
    reach = thick + 3
    crossing = np.zeros_like(rest)
    for lean in (-1, 0, 1):
        kernel = np.zeros((2 * reach + 1, 2 * reach + 1), np.uint8)
        rows = np.arange(2 * reach + 1)
        kernel[rows, reach + lean * (rows - reach)] = 1
        crossing |= cv2.morphologyEx(rest, cv2.MORPH_CLOSE, kernel)
    gone = line & (crossing == 0)
    ink[gone] = 0.0


def thickness(line: np.ndarray) -> int:
    """The usual thickness, in rows, of lines (H, W) that run from left to right."""
    starts = np.count_nonzero(line & ~np.roll(line, 1, axis=0))
    return max(1, round(int(np.count_nonzero(line)) / max(1, int(starts))))


def take_frames(ink: np.ndarray) -> None:
    """Take boxes with something written in them out of ink (H, W), in place."""
    import cv2

    mask = (ink > 0).astype(np.uint8)
    count, names, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
    least = 0.05 * max(ink.shape)
    sides = stats[:, [cv2.CC_STAT_WIDTH, cv2.CC_STAT_HEIGHT]]
    large = np.flatnonzero((sides.min(axis=1) >= least) & (np.arange(count) > 0))
    ends = stats[:, :2] + sides
    whole = (stats[:, :2] > 0).all(axis=1) & (ends < ink.shape[::-1]).all(axis=1)
    large = large[whole[large]]  # the paper's squares reach its edges
    for name in large[np.argsort(-stats[large, cv2.CC_STAT_AREA])][:40]:
        left, top, width, height = stats[name, :4]
        box = slice(top, top + height), slice(left, left + width)
        band = frame_band((names[box] == name).astype(np.uint8), ink[box] > 0)
        if band is not None:
            ink[box][band] = 0.0


def frame_band(own: np.ndarray, ink: np.ndarray) -> np.ndarray | None:
    """The band (h, w) bool of a part that is a frame, or None.

    own: the part (h, w), of 0 and 1. ink: all ink in its box.
    """
    import cv2

    padded = cv2.copyMakeBorder(own, 2, 2, 2, 2, cv2.BORDER_CONSTANT, value=0)
    contours, _ = cv2.findContours(padded, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    filled = cv2.drawContours(np.zeros_like(padded), contours, -1, 1, -1)
    area = int(filled.sum())
    _, (wide, high), _ = cv2.minAreaRect(max(contours, key=cv2.contourArea))
    if area < FRAME_FULL * wide * high or int(own.sum()) > FRAME_INK * area:
        return None
    # how deep the ink at the outline is: the thickness of the frame
    depth = cv2.distanceTransform(filled, cv2.DIST_L2, 3)
    layers = np.arange(1, max(2, int(min(wide, high) / 4)))
    rings = np.floor(depth[filled > 0]).astype(int)
    inked = np.bincount(rings, padded[filled > 0], minlength=len(layers) + 2)
    share = inked / np.maximum(np.bincount(rings, minlength=len(inked)), 1)
    blank = np.flatnonzero(share[1:] < 0.5)
    if len(blank) == 0:
        return None
    thick = int(blank[0]) + 1
    band = (padded > 0) & (depth <= 1.5 * thick + 2)
    inner = depth > 2.0 * thick + 3
    if not inner.any():
        return None
    inside = inner[2:-2, 2:-2] & ink & ~band[2:-2, 2:-2]
    dividers = dividers_of(padded, inner, thick)[2:-2, 2:-2]
    inside &= ~dividers
    rows, columns = (np.flatnonzero(inside.any(axis=axis)) for axis in (1, 0))
    if len(rows) == 0 or max(np.ptp(rows), np.ptp(columns)) < 0.25 * min(wide, high):
        return None
    gone: np.ndarray = band[2:-2, 2:-2] | (dividers & (own > 0))
    return gone


def dividers_of(own: np.ndarray, inner: np.ndarray, thick: int) -> np.ndarray:
    """Where lines (h, w) bool cross a frame from one side to the other, between its fields."""
    import cv2

    found = np.zeros(own.shape, bool)
    for vertical in (False, True):
        part, room = (own, inner) if not vertical else (own.T, inner.T)
        columns = np.flatnonzero(room.any(axis=0))
        length = max(3, round(0.9 * (columns[-1] - columns[0] + 1)))
        within = np.ascontiguousarray(part & room.astype(np.uint8))
        within[:, : columns[0]] = 0
        wider = cv2.dilate(within, np.ones((3, 1), np.uint8))
        share = cv2.boxFilter(wider, cv2.CV_32F, (length, 1), borderType=cv2.BORDER_CONSTANT)
        core = (share >= 0.95).astype(np.uint8)
        if not core.any():
            continue
        run = cv2.dilate(core, np.ones((thick + 2, 2 * length + 1), np.uint8)) > 0
        line = run & (part > 0)
        found |= line.T if vertical else line
    return found


def take_underlines(ink: np.ndarray) -> None:
    """Take straight strokes below the writing, and longer than it, out of ink (H, W), in place."""
    import cv2

    mask = (ink > 0).astype(np.uint8)
    count, names, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
    if count < 3:
        return
    left, top, wide, high, area = stats.T
    below, right = top + high, left + wide
    sizes = np.maximum(wide, high)
    sizes[0] = 0
    for name in np.flatnonzero((wide >= UNDERLINE / 2 * high) & (sizes > 0.5 * sizes.max())):
        others = (np.arange(count) > 0) & (np.arange(count) != name) & (sizes > 0.2 * sizes[name])
        over = others & (below <= top[name] + high[name] / 2)
        over &= (left < right[name]) & (right > left[name])
        thick = area[name] / wide[name]
        if not over.any() or wide[name] < UNDERLINE * thick:
            continue
        if wide[name] >= right[over].max() - left[over].min():
            ink[names == name] = 0.0


def take_dots(ink: np.ndarray) -> None:
    """Take a pattern of many small dots alike out of ink (H, W), in place."""
    import cv2

    mask = (ink > 0).astype(np.uint8)
    _, names, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
    sizes = stats[1:, [cv2.CC_STAT_WIDTH, cv2.CC_STAT_HEIGHT]].max(axis=1)
    if len(sizes) == 0:
        return
    small = sizes <= max(3.0, 0.2 * sizes.max())
    if int(small.sum()) < DOTS:
        return
    usual = float(np.median(sizes[small]))
    dots = np.append(False, small & (sizes <= 2.0 * usual + 1))
    ink[dots[names]] = 0.0
