"""The readers that `fuzz_readers.py` attacks: how each is called and checked, and valid files."""

import gzip
import io
import re
import zipfile
from importlib.util import find_spec

import numpy as np

from helpers.bad_digit_files import npy_bytes, zip_bytes
from helpers.digit_files import csv_bytes, idx_bytes, npz_bytes
from mnistgpu import data
from mnistgpu.data import idx
from mnistgpu.data.streams import Source
from mnistgpu.models import committee, model
from mnistgpu.pictures import images
from mnistgpu.runs import checkpoint, run_directory, watching
from mnistgpu.runs.history import Progress, Row
from mnistgpu.runs.origin import Origin
from mnistgpu.settings import Settings
from mnistgpu.storage import tensor_file

IMAGES = (np.arange(3 * 28 * 28) % 251).astype(np.uint8).reshape(3, 28, 28)
SMALL = np.ascontiguousarray(IMAGES[:, :4, :3])
LABELS = np.array([7, 0, 9], dtype=np.uint8)


class AgreeingDigest:
    """Replaces SHA-256, by which every edited tensor file would be refused before it is read."""

    def __init__(self, content=b""):
        pass

    def update(self, content):
        pass

    def hexdigest(self):
        return "0" * 64


def trusting(read):
    """The reader, for which every digest is right."""

    def trustingly(path):
        genuine, tensor_file.hashlib.sha256 = tensor_file.hashlib.sha256, AgreeingDigest
        try:
            return read(path)
        finally:
            tensor_file.hashlib.sha256 = genuine

    return trustingly


# Each calls a reader and checks that its result is what it promises


def images_of(path):
    images = idx.read_images(Source(path))
    assert images.ndim == 3
    assert images.size > 0


def labels_of(path):
    labels = idx.read_labels(Source(path))
    assert labels.ndim == 1


def digits_of(path):
    """Whatever `load_digits` makes of a file: any format, by its name or its first bytes."""
    digits = data.load_digits(path)
    height, width = digits.image_shape
    assert digits.images.shape == (len(digits), height * width)
    assert digits.images.dtype == np.uint8
    assert all(note.isprintable() for note in digits.notes)
    if digits.labels is not None:
        assert digits.labels.dtype == np.uint8
        assert digits.labels.shape == (len(digits),)
        assert len(set(digits.classes)) == len(digits.classes)
        assert digits.labels.max() < (len(digits.classes) or 10)
        assert all(isinstance(each, int) or each.isprintable() for each in digits.classes)
    if digits.ids is not None:
        assert digits.ids.values.shape == (len(digits),)


def set_of(path):
    """Whatever `load` makes of an archive: the parts of a set."""
    found = data.load(path)
    for digits in (found.train, found.test, found.validation):
        assert digits is None or digits.labels.shape == (len(digits),)


def model_of(path):
    trained = model.load(path)
    assert np.isfinite(trained.theta).all()
    assert trained.probabilities(np.zeros((1, trained.sizes[0]), np.uint8)).shape[1] == 1


def checkpoint_of(path):
    saved = checkpoint.load(path.parent)
    assert all(np.isfinite(vector).all() for vector in saved.vectors.values())
    assert saved.settings.sizes[0] >= saved.pixels


def settings_of(path):
    used, digest = run_directory.read_record(path)
    assert used.as_dict()
    assert len(digest) == 64


def history_of(path):
    columns = run_directory.read_history(path)
    assert len({len(column) for column in columns.values()}) == 1


def committee_of(path):
    assert committee.load(path.parent).members


def snapshots_of(path):
    seen = watching.load(path)
    assert len(seen.rows) == len(seen.units) == len(seen.probabilities) > 0
    assert seen.labels.max() < seen.probabilities[0].shape[1]


def picture_of(path):
    found = images.read_picture(path, many=True)
    assert found.images.dtype == np.uint8
    assert found.images.shape == (len(found.boxes), 784)


READERS = {  # how to read, under which name
    "idx-images": (images_of, "images"),
    "idx-labels": (labels_of, "labels"),
    "csv": (digits_of, "digits.csv"),
    "csv-packed": (digits_of, "digits.csv.gz"),
    "npz": (digits_of, "digits.npz"),
    "npz-set": (set_of, "digits.npz"),
    "npy": (digits_of, "images.npy"),
    "zip": (set_of, "digits.zip"),
    **({"parquet": (digits_of, "digits.parquet")} if find_spec("pyarrow") else {}),
    "any": (digits_of, "digits.dat"),
    "model": (model_of, "model.safetensors"),
    "model-contents": (trusting(model_of), "model.safetensors"),
    "checkpoint": (checkpoint_of, checkpoint.FILE),
    "checkpoint-contents": (trusting(checkpoint_of), checkpoint.FILE),
    "settings": (settings_of, "settings.json"),
    "history": (history_of, "history.csv"),
    "committee": (committee_of, "committee.json"),
    "snapshots": (snapshots_of, watching.FILE),
    "snapshots-contents": (trusting(snapshots_of), watching.FILE),
    "picture": (picture_of, "digit.png"),
}


def tables():
    flat = IMAGES.reshape(3, 784)
    small = np.ascontiguousarray(IMAGES[:, :8, :8]).reshape(3, 64)
    return [
        csv_bytes(flat[:2], LABELS[:2]),
        csv_bytes(flat[:1], LABELS[:1], "last", header=False, end="\r\n"),
        csv_bytes(flat[:1]),
        csv_bytes(small, ["a", "b", "c"]).replace(b",", b";"),
        csv_bytes(small, LABELS, header=False).replace(b",", b" "),
        b"".join(b"%d,%b" % (i, line) for i, line in enumerate(csv_bytes(small).splitlines(True)))
        .replace(b"0,", b"id,", 1)
        .replace(b"\n1,", b"\n0,")
        .replace(b"\n2,", b"\n1,")
        .replace(b"\n3,", b"\n2,"),
    ]


def archives():
    four = {"x_train": SMALL, "y_train": LABELS, "x_test": SMALL[:1], "y_test": LABELS[:1]}
    named = {"images": SMALL / 255, "labels": np.array(["a", "b", "a"]), "more": LABELS}
    colours = np.repeat(SMALL[..., None], 3, axis=3)
    return [
        npz_bytes(**four),
        npz_bytes(True, **four),
        npz_bytes(True, **named),
        npz_bytes(arr_0=colours, arr_1=np.eye(10)[LABELS]),
    ]


def zips():
    pairs = {
        f"d/emnist-letters-{part}-{kind}": idx_bytes(array)
        for part in ("train", "test")
        for kind, array in (("images-idx3-ubyte", SMALL), ("labels-idx1-ubyte", LABELS + 1))
    }
    small = np.ascontiguousarray(IMAGES[:, :8, :8]).reshape(3, 64)
    kaggle = {"train.csv": csv_bytes(small, LABELS), "test.csv": csv_bytes(small)}
    arrays = {"X.npy": npy_bytes(SMALL), "y.npy": npy_bytes(LABELS)}
    return [zip_bytes(*each.items()) for each in (pairs, kaggle, arrays)] + [
        zip_bytes(*kaggle.items(), compression=zipfile.ZIP_DEFLATED)
    ]


def parquets():
    import pandas as pd
    from PIL import Image

    small = pd.DataFrame(IMAGES[:, :8, :8].reshape(3, 64), columns=[f"p{i}" for i in range(64)])
    small.insert(0, "label", LABELS)
    cells = []
    for image in SMALL:
        content = io.BytesIO()
        Image.fromarray(image).save(content, "PNG")
        cells.append({"bytes": content.getvalue(), "path": ""})
    pictures = pd.DataFrame({"image": cells, "label": LABELS})
    return [frame.to_parquet() for frame in (small, small.astype(float), pictures)]


digit_seeds = {
    "parquet": parquets,
    "csv": tables,
    "csv-packed": lambda: [gzip.compress(each, mtime=0) for each in tables()],
    "npz": archives,
    "npz-set": archives,
    "npy": lambda: [npy_bytes(SMALL), npy_bytes(np.asfortranarray(SMALL / 255))],
    "zip": zips,
    "any": lambda: [*tables()[3:], *archives()[2:3], npy_bytes(SMALL), idx_bytes(SMALL)],
}


def seeds(reader, folder):
    """Valid files for a reader, made in a folder."""
    digits = data.Digits(SMALL.reshape(3, 12), LABELS, "digits", (4, 3))
    rows = [Row(i, i / 2, 0.1 * i, 1 / i, 0.5, float("nan"), 0.25, 0.1) for i in (1, 2)]
    used = Settings().changed(
        layers="12-3-10", optimizer="adam", ema=0.9, batch_norm=True, early_stopping=2, epochs=9
    )
    if reader == "idx-images":
        whole = idx_bytes(SMALL)
        return [whole, gzip.compress(whole, mtime=0)]
    if reader == "idx-labels":
        whole = idx_bytes(LABELS)
        return [whole, gzip.compress(whole, mtime=0)]
    if reader in digit_seeds:
        return digit_seeds[reader]()
    path = folder / "seed"
    if reader.startswith("model"):
        theta = np.linspace(-1, 1, 12 * 3 + 3 + 30 + 10, dtype=np.float32)
        model.save(
            model.Model(theta, (12, 3, 10), (4, 3), "relu", used.as_dict(), digits.digest), path
        )
        files = [path.read_bytes()]
        model.save(model.Model(theta.astype(np.float64), (12, 3, 10), (4, 3)), path)
        files.append(path.read_bytes())
    elif reader.startswith("checkpoint"):
        vector = np.linspace(-1, 1, 11 * 3 + 3 + 30 + 10, dtype=np.float32)
        vectors = dict.fromkeys(("theta", "first", "second", "average"), vector)
        vectors |= {"mean.0": vector[:3, None], "variance.0": vector[-3:, None]}
        vectors["second"] = vector**2
        best = np.zeros(79, np.float32)
        progress = Progress(0.5, 3.0, 10, 40, 1.5, rows, (0.5, -1.0), 1.0, best)
        machine = {"backend": "numpy"}
        saved = checkpoint.Checkpoint(
            used, "digits", digits.digest, machine, 1, 11, 4, vectors, progress
        )
        checkpoint.save(saved, path)
        files = [path.read_bytes()]
    elif reader.startswith("snapshots"):
        units, shares = np.ones((2, 12), np.float32), np.full((3, 10), 0.1, np.float32)
        seen = watching.Snapshots((4, 3), digits.images, LABELS, rows, [units] * 2, [shares] * 2)
        watching.save(seen, path)
        files = [path.read_bytes()]
    elif reader == "settings":
        origin = Origin("digits", None, digits.digest)
        run_directory.write_record(folder, used.as_dict(), origin)
        files = [(folder / "settings.json").read_bytes()]
    elif reader == "history":
        run_directory.write_history(path, rows)
        files = [path.read_bytes()]
    elif reader == "committee":
        theta = np.zeros(12 * 3 + 3 + 30 + 10, dtype=np.float32)
        member = model.Model(theta, (12, 3, 10), (4, 3))
        committee.save(committee.Committee((member, member)), folder, ["a", "b"])
        files = [(folder / "committee.json").read_bytes()]
    else:
        from PIL import Image

        drawn = np.full((24, 20, 3), 250, dtype=np.uint8)
        drawn[4:20, 9:12] = 30
        files = []
        for kind in ("PNG", "JPEG", "GIF", "BMP", "WEBP"):
            picture = io.BytesIO()
            Image.fromarray(drawn).save(picture, kind)
            files.append(picture.getvalue())
    if reader.endswith("-contents"):
        digest = rb'"content_digest": "[0-9a-f]{64}"'
        files = [re.sub(digest, b'"content_digest": "' + b"0" * 64 + b'"', f) for f in files]
    path.unlink(missing_ok=True)
    return files
