"""Pictures made to cost time or memory: each is answered within a second and 300 MB."""

import json
import sys

import fuzz_readers
import pytest
from helpers import picture_bombs, processes
from PIL import Image

from mnistgpu.errors import DataError
from mnistgpu.pictures import decode, picture_parts

READ_ALL = """
import json, sys, time
from pathlib import Path
import fuzz_readers
from helpers import fuzz_targets

before = fuzz_readers.peak()
for path in sorted(Path(sys.argv[1]).iterdir()):
    started = time.process_time()
    try:
        fuzz_targets.picture_of(path)
        text = "accepted"
    except fuzz_readers.MnistGpuError as error:
        text = str(error)
    seconds = time.process_time() - started
    print(json.dumps([path.name, text, seconds, fuzz_readers.peak() - before]), flush=True)
"""


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs Linux's /proc")
def test_pictures_that_are_bombs_need_little_time_and_memory(tmp_path):
    """In a process of their own, whose peak memory is that of the worst picture."""
    names = {f"{i}.png": name for i, name in enumerate(picture_bombs.BOMBS)}
    for file, name in names.items():
        (tmp_path / file).write_bytes(picture_bombs.BOMBS[name]())
    done = processes.run([sys.executable, "-c", READ_ALL, tmp_path], cwd=fuzz_readers.HERE)
    assert (done.returncode, done.stderr) == (0, "")  # not even a warning of Pillow's
    found = {names[file]: rest for file, *rest in map(json.loads, done.stdout.splitlines())}
    assert found.keys() == picture_bombs.BOMBS.keys()
    for name, (text, seconds, megabytes) in found.items():
        assert seconds < fuzz_readers.SECONDS, (name, seconds)
        assert megabytes < fuzz_readers.MEGABYTES, (name, megabytes)
        assert text.isprintable()
        refused = "which no picture of a digit needs" in text or "million pixels" in text
        assert refused != ("as allowed" in name or "specks" in name), (name, text)
    longest = max(seconds for _, seconds, _ in found.values())
    most = max(megabytes for *_, megabytes in found.values())
    print(f"{len(found)} bombs; the longest took {longest:.2f} s; {most:.0f} MB more than before")


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("PNG", {}),
        ("PNG", {"exif": Image.Exif().tobytes(), "dpi": (300, 300)}),
        (
            "JPEG",
            {"exif": Image.Exif().tobytes(), "comment": b"a note", "icc_profile": bytes(200_000)},
        ),
        ("JPEG", {"progressive": True, "quality": 95}),
        ("GIF", {"comment": b"a note" * 1000}),
        ("BMP", {}),
        ("WEBP", {}),
        ("TIFF", {"compression": "tiff_lzw"}),
    ],
)
@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_pictures_as_programs_write_them_are_in_bounds(kind, options, mode):
    picture_parts.check(
        picture_bombs.encoded(picture_bombs.specks(0.5).convert(mode), kind, **options), "it"
    )


def test_a_progressive_picture_of_four_colours_is_in_bounds():
    picture_parts.check(picture_bombs.scans(0, side=400), "it")
    with pytest.raises(DataError, match=r"^it: more than 24 scans, .*; open it and save it anew$"):
        picture_parts.check(picture_bombs.scans(25, side=400), "it")


def test_a_cut_picture_is_no_endless_one():
    """Counting the parts of a file that was cut anywhere ends, without an error."""
    for kind in ("PNG", "JPEG", "GIF", "BMP"):
        whole = picture_bombs.encoded(Image.new("L", (9, 9), 200), kind)
        for length in range(len(whole)):
            picture_parts.check(whole[:length], "it")


def test_a_tiff_of_too_many_tags():
    for content in (picture_bombs.tiff(300, 10), picture_bombs.tiff(200, 10_000)):
        with pytest.raises(DataError, match=r"^it: more than .* tags, which no picture"):
            decode.decode(content, "it")
    with pytest.raises(DataError, match="no picture can be read"):
        decode.decode(picture_bombs.tiff(20, 10), "it")
