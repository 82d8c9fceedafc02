"""Files that are no pictures, are damaged, or claim to be far too large."""

import contextlib
import sys
from pathlib import Path

import fuzz_readers
import numpy as np
import pytest
from helpers.pictures import drawing, encoded
from PIL import Image

from mnistgpu.errors import DataError
from mnistgpu.pictures import decode, images

hypothesis = pytest.importorskip("hypothesis", reason="hypothesis is missing")
given, settings, st = hypothesis.given, hypothesis.settings, hypothesis.strategies


@pytest.mark.parametrize(
    "content",
    [b"", b"\x89PNG but no more", b"GIF89a", b"\xff\xd8\xff\xe0", b"RIFF\0\0\0\0WEBP", b"text"],
)
def test_what_is_no_picture(content, tmp_path):
    path = tmp_path / "digit.png"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"digit\.png: no picture can be read") as refusal:
        images.read(path)
    assert "BytesIO" not in str(refusal.value)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF"])
@pytest.mark.parametrize("name", ["IMG_0001", "photo.csv", "photo.PNG"])
def test_a_picture_is_known_by_its_first_bytes(kind, name, tmp_path, shipped):
    path = tmp_path / name
    path.write_bytes(encoded(255 - drawing(5), kind))
    assert shipped.predict(images.read(path)).tolist() == [5]


HEIC = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic"


@pytest.mark.parametrize("name", ["IMG_0001.HEIC", "photo.jpg", "photo"])
def test_heic_without_its_decoder(name, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    path = tmp_path / name
    path.write_bytes(HEIC)
    with pytest.raises(DataError, match=r"pip install 'mnistgpu\[heif\]', or export it as JPEG"):
        images.read(path)


def test_heic_with_its_decoder(tmp_path, shipped):
    pillow_heif = pytest.importorskip("pillow_heif", reason="pillow-heif is missing")
    path = tmp_path / "IMG_0002.HEIC"
    pillow_heif.from_pillow(Image.fromarray(255 - drawing(5)).convert("RGB")).save(path)
    assert shipped.predict(images.read(path)).tolist() == [5]
    path.write_bytes(HEIC)
    with pytest.raises(DataError, match="no picture can be read"):
        images.read(path)


@pytest.mark.parametrize("compression", [None, "tiff_lzw", "jpeg"])
@pytest.mark.parametrize("mode", ["L", "RGB", "1"])
def test_a_scanner_s_tiff(mode, compression, tmp_path, shipped):
    if (mode, compression) == ("1", "jpeg"):
        pytest.skip("JPEG has no pictures of one bit")
    path = tmp_path / "scan.tif"
    drawn = Image.fromarray(255 - drawing(2)).convert(mode)
    drawn.save(path, compression=compression)
    assert shipped.predict(images.read(path)).tolist() == [2]


@pytest.mark.parametrize("name", ["scan.pdf", "scan.png", "scan"])
def test_pdf_is_refused_with_a_way_out(name, tmp_path):
    path = tmp_path / name
    path.write_bytes(b"%PDF-1.7\n")
    with pytest.raises(DataError, match="PDF is not read; export the page as PNG, such as by"):
        images.read(path)


def test_a_table_is_no_picture(tmp_path, digits):
    path = tmp_path / "digits.csv"
    rows = [",".join(map(str, image)) for image in digits[0][:3]]
    path.write_text("\n".join([",".join(f"pixel{i}" for i in range(784)), *rows]) + "\n")
    assert not decode.is_picture(path)
    assert np.array_equal(images.read(path), digits[0][:3])


@settings(deadline=None, max_examples=150)
@given(st.data())
def test_damaged_pictures_are_refused_or_read_but_never_crash(data):
    kind = data.draw(st.sampled_from(["PNG", "JPEG", "WEBP", "GIF", "BMP"]))
    content = bytearray(encoded(255 - drawing(4, 60), kind))
    for _ in range(data.draw(st.integers(1, 6))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(DataError):
        images.find(decode.decode(bytes(content), "it"), many=True)


def test_a_bomb_is_refused_before_it_is_unpacked(tmp_path):
    if not Path("/proc/self/clear_refs").exists():
        pytest.skip("the peak of memory cannot be set back here")
    for side in (8000, 60_000):  # 60,000 is more than Pillow itself allows
        path = tmp_path / f"{side}.png"
        path.write_bytes(claiming(side))
        before = fuzz_readers.forget_peak()
        with pytest.raises(DataError, match="more than 50 million pixels"):
            images.read(path)
        assert fuzz_readers.peak() - before < 50  # megabytes


def claiming(side):
    """A PNG whose header claims this size."""
    header = side.to_bytes(4, "big") * 2 + b"\x08\x00\x00\x00\x00"
    return png([(b"IHDR", header), (b"IDAT", b"x\x9c"), (b"IEND", b"")])


def png(chunks):
    """A PNG file of these chunks, with their right checksums."""
    import zlib

    parts = [b"\x89PNG\r\n\x1a\n"]
    for name, body in chunks:
        checksum = zlib.crc32(name + body).to_bytes(4, "big")
        parts += [len(body).to_bytes(4, "big"), name, body, checksum]
    return b"".join(parts)


def test_a_directory_and_a_missing_file(tmp_path):
    (tmp_path / "folder.png").mkdir()
    for name, problem in (("folder.png", "not a regular file"), ("missing.jpg", "no such file")):
        with pytest.raises(DataError, match=f"{name}: {problem}"):
            images.read(tmp_path / name)
