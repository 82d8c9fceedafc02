"""Pictures that cost far more than they show, each made to break one bound of time or memory."""

import io
import struct
import zlib

import numpy as np
from PIL import Image


def encoded(picture, kind, **options):
    content = io.BytesIO()
    most, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
    try:
        picture.save(content, kind, **options)
    finally:
        Image.MAX_IMAGE_PIXELS = most
    return content.getvalue()


def chunk(kind, data=b""):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def exif(size):
    """Notes of so many bytes in all, each of whose entries names the same half of them."""
    count = size // 24
    at = 14 + 12 * count
    each = size // 2 - 20
    entries = (struct.pack("<HHII", 40_000 + i % 20_000, 1, each, at) for i in range(count))
    head = b"II*\0" + struct.pack("<IH", 8, count % 65536)
    return b"Exif\0\0" + (head + b"".join(entries)).ljust(size, b"\0")


def png(*chunks, picture=None):
    whole = encoded(picture or Image.new("L", (40, 40), 255), "PNG")
    return whole[:33] + b"".join(chunks) + whole[33:]


def transparent_at_the_end():
    """A large PNG with a palette, made transparent by what follows its pixels alone."""
    whole = encoded(Image.new("P", (5000, 4900)), "PNG")
    return whole[:-12] + chunk(b"tRNS", b"\0") + whole[-12:]


def gif_of_a_part(side):
    """A GIF whose only picture leaves out a row of the screen, so that it is held twice."""
    whole = bytearray(encoded(Image.new("P", (side, side - 1)), "GIF"))
    whole[8:10] = struct.pack("<H", side)
    return bytes(whole)


def jpeg(*segments):
    whole = encoded(Image.new("L", (100, 100), 255), "JPEG")
    return whole[:2] + b"".join(segments) + whole[2:]


def segment(kind, data):
    return bytes([0xFF, kind]) + struct.pack(">H", len(data) + 2) + data


def gif(notes):
    whole = encoded(Image.new("L", (100, 100)), "GIF")
    at = whole.index(b",")
    return whole[:at] + notes + whole[at:]


def scans(count, mode="CMYK", side=4990):
    """A progressive JPEG whose last scan comes again and again."""
    whole = encoded(Image.new(mode, (side, side), 90), "JPEG", progressive=True)
    last = max(whole.rindex(b"\xff\xda"), 0)
    last = whole.rindex(b"\xff\xc4", 0, last)
    return whole[:-2] + whole[last:-2] * count + b"\xff\xd9"


def bmp_of_runs(side=2800):
    """A BMP in runs of one pixel each."""
    row = b"\1\0" * side + b"\0\0"
    head = struct.pack("<IiiHHIIiiII", 40, side, side, 1, 8, 1, len(row) * side, 1, 1, 256, 0)
    palette = bytes(1024)
    start = 14 + len(head) + len(palette)
    return b"BM" + struct.pack("<IHHI", start, 0, 0, start) + head + palette + row * side


def tiff(tags, size):
    """A TIFF of so many tags, each of which names the same bytes."""
    begin = 8 + 2 + 12 * tags + 4
    entries = (struct.pack("<HHII", 40_000 + i, 1, size, begin) for i in range(tags))
    head = b"II*\0" + struct.pack("<IH", 8, tags)
    return head + b"".join(entries) + bytes(4) + b"\1" * size


def specks(share, side=1200):
    rng = np.random.default_rng(0)
    return Image.fromarray(np.where(rng.random((side, side)) < share, 0, 255).astype(np.uint8))


def animated(side, mode="RGB"):
    colours = (10, 200)
    first, second = (Image.new(mode, (side, side), (c,) * len(mode)) for c in colours)
    return encoded(first, "WEBP", save_all=True, append_images=[second], method=0)


WIDE = b"note\0\1\0\0\0" + zlib.compress(("\U0001f600" + "a" * 1_000_000).encode())
HEX = exif(400_000).hex().encode()
BOMBS = {
    "webp": lambda: encoded(Image.new("RGB", (7000, 7000)), "WEBP", method=0),
    "webp as allowed": lambda: encoded(Image.new("RGB", (2820, 2820)), "WEBP", method=0),
    "webp, lossless": lambda: encoded(
        Image.new("RGB", (7000, 7000)), "WEBP", lossless=True, method=0
    ),
    "webp, lossless, as allowed": lambda: encoded(
        Image.new("RGBA", (2820, 2820), (9, 9, 9, 9)), "WEBP", lossless=True, method=0
    ),
    "webp, transparent, as allowed": lambda: encoded(
        Image.new("RGBA", (2820, 2820), (9, 9, 9, 9)), "WEBP", method=0
    ),
    "webp, animated, as allowed": lambda: animated(2820),
    "webp, animated and transparent, as allowed": lambda: animated(2820, "RGBA"),
    "jpeg, progressive": lambda: encoded(
        Image.new("CMYK", (7000, 7000)), "JPEG", progressive=True, subsampling=0
    ),
    "jpeg, progressive, as allowed": lambda: scans(5, "RGB"),
    "jpeg, progressive, in colours, as allowed": lambda: encoded(
        Image.new("RGB", (4990, 4990)), "JPEG", progressive=True, subsampling=0
    ),
    "jpeg of 400 scans": lambda: scans(400),
    "jpeg of 400 scans, grey": lambda: scans(400, "L"),
    "jpeg of fill bytes": lambda: jpeg(b"\xff" * 16_000_000),
    "jpeg of stray bytes": lambda: jpeg(b"\1" * 16_000_000),
    "jpeg of APP2": lambda: jpeg(segment(0xE2, b"ab") * 2_700_000),
    "jpeg of comments": lambda: jpeg(segment(0xFE, b"a") * 3_000_000),
    "jpeg of EXIF": lambda: jpeg(
        *(
            segment(0xE1, b"Exif\0\0" + exif(2**21)[6 + i : 60_006 + i])
            for i in range(0, 2**21, 60_000)
        )
    ),
    "jpeg of EXIF, as allowed": lambda: jpeg(segment(0xE1, exif(65_000))),
    "png of wide texts": lambda: png(chunk(b"iTXt", WIDE) * 63),
    "png of wide texts, after its image": lambda: (
        lambda whole: whole[:-12] + chunk(b"iTXt", WIDE) * 63 + whole[-12:]
    )(png(picture=Image.new("RGB", (7000, 7000)))),
    "png of wide texts, as allowed": lambda: png(chunk(b"iTXt", WIDE) * 16),
    "png of profiles": lambda: png(
        chunk(b"iCCP", b"p\0\0" + zlib.compress(bytes(1_000_000))) * 4000
    ),
    "png of empty chunks": lambda: png(chunk(b"abCd") * 1_300_000),
    "png of EXIF": lambda: png(chunk(b"eXIf", exif(2**20)[6:])),
    "png of EXIF in a text": lambda: png(
        chunk(b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(b"\nexif\n  9\n" + HEX))
    ),
    "png of EXIF, as allowed": lambda: png(chunk(b"eXIf", exif(65_000)[6:])),
    "webp of EXIF": lambda: encoded(Image.new("RGB", (40, 40)), "WEBP", exif=exif(2**20)),
    "gif of comments": lambda: gif(b"\x21\xfe\x01a\x00" * 2_000_000),
    "gif of one comment": lambda: gif(b"\x21\xfe" + b"\x01a" * 6_000_000 + b"\0"),
    "gif of stray bytes": lambda: gif(b"\1" * 16_000_000),
    "gif of stray bytes and comments": lambda: gif(b"\1" + b"\x21\xfe\x01a\x00" * 2_000_000),
    "bmp of runs": bmp_of_runs,
    "png, transparent at the end": transparent_at_the_end,
    "png with a palette": lambda: encoded(Image.new("P", (7000, 7000)), "PNG"),
    "png, transparent, as allowed": lambda: encoded(
        Image.new("RGBA", (3150, 3150), (9, 9, 9, 9)), "PNG"
    ),
    "gif of a part, as allowed": lambda: gif_of_a_part(4990),
    "jpeg of four inks, as allowed": lambda: encoded(
        Image.new("CMYK", (60_000, 165)), "JPEG", progressive=True
    ),
    "jpeg of four inks, in five scans, as allowed": lambda: scans(5, side=3150),
    "tiff of four inks": lambda: encoded(
        Image.new("CMYK", (7000, 7000)), "TIFF", compression="tiff_lzw"
    ),
    "tiff of tags": lambda: tiff(250, 2**20),
    "tiff, as allowed": lambda: encoded(
        Image.new("RGBA", (3150, 3150)), "TIFF", compression="tiff_lzw"
    ),
    "tiff of one level, as allowed": lambda: encoded(
        Image.new("L", (7000, 7000)), "TIFF", compression="tiff_lzw"
    ),
    "png of specks": lambda: encoded(specks(0.03), "PNG"),
    "png of sparse specks": lambda: encoded(specks(0.005), "PNG"),
}
