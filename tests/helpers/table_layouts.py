"""The same digits in every layout of a table that people use; see `layouts`."""

import gzip
import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from helpers.digit_files import csv_bytes
from helpers.layouts import (
    AB,
    FLAT,
    IMAGES,
    LABELS,
    LETTERS,
    TEST,
    TRAIN,
    TURN,
    TURNED,
    Layout,
    folder,
    given,
    kaggle,
    zip_bytes,
)


def table(content: bytes, name: str = "d.csv") -> Callable[[Path], Path]:
    return given(name, **{name: content})


def spread(separator: str, **options) -> bytes:
    return kaggle(**options).replace(b",", separator.encode())


def frame(part=TRAIN) -> pd.DataFrame:
    made = pd.DataFrame(FLAT[part], columns=[f"pixel{i}" for i in range(784)])
    made.insert(0, "label", LABELS[part])
    return made


def written(made: pd.DataFrame, **options) -> bytes:
    return made.to_csv(**options).encode()


def mangled() -> bytes:
    """As the A-Z set is: its first image was taken for names by pandas, and written so again."""
    content = kaggle(header=False)
    first = io.BytesIO(content.partition(b"\n")[0] + b"\n" + content)
    return written(pd.read_csv(first), index=False)


def savetxt(**options) -> bytes:
    content = io.BytesIO()
    np.savetxt(content, np.column_stack([LABELS, FLAT])[TRAIN], **options)
    return content.getvalue()


def parquet(path: Path) -> Path:
    frame().to_parquet(path / "train.parquet")
    frame(TEST).to_parquet(path / "test.parquet")
    return path


def of_hugging_face(path: Path) -> Path:
    from PIL import Image

    for word, part in (("train", TRAIN), ("test", TEST)):
        cells = []
        for image in IMAGES[part]:
            content = io.BytesIO()
            Image.fromarray(image).save(content, "PNG")
            cells.append({"bytes": content.getvalue(), "path": None})
        made = pd.DataFrame({"image": cells, "label": LABELS[part].astype(int)})
        made.to_parquet(path / f"{word}-00000-of-00001.parquet")
    return path


LABELLED = {"train.csv": kaggle(), "test.csv": kaggle(TEST)}
UNLABELLED = {"train.csv": kaggle(), "test.csv": csv_bytes(FLAT[TEST])}
NO_TEST = "test.csv has no labels, so it is no test"
SMALL = {side: np.ascontiguousarray(IMAGES[:, :side, :side]) for side in (8, 16, 20)}
SMALL[32] = np.pad(IMAGES, ((0, 0), (2, 2), (2, 2)))
TABLES = {
    "Kaggle's train.csv": Layout(table(kaggle(end="\r\n")), "", False),
    "Kaggle's folder": Layout(folder(**UNLABELLED), NO_TEST, False),
    "Kaggle's zip": Layout(
        table(zip_bytes(**UNLABELLED, **{"sample_submission.csv": b"a,b\n"}), "d.zip"),
        NO_TEST,
        False,
    ),
    "train.csv.zip": Layout(
        table(zip_bytes(**{"train.csv": kaggle()}), "train.csv.zip"), "", False
    ),
    "train.csv.gz": Layout(table(gzip.compress(kaggle()), "train.csv.gz"), "", False),
    "a zip for each table": Layout(
        folder(
            **{f"{name}.zip": zip_bytes(**{name: content}) for name, content in LABELLED.items()}
        )
    ),
    "mnist_train.csv and mnist_test.csv": Layout(
        folder(**{f"mnist_{name}": content for name, content in LABELLED.items()})
    ),
    "two tables without header": Layout(
        folder(**{"train.csv": kaggle(header=False), "test.csv": kaggle(TEST, header=False)}),
        "the first column is taken as the labels",
    ),
    "Kannada's folder": Layout(
        folder(**LABELLED, **{"Dig-MNIST.csv": kaggle()}), "also holds Dig-MNIST.csv, which is not"
    ),
    "semicolons": Layout(table(spread(";")), "separated by semicolons", False),
    "tabs": Layout(table(spread("\t"), "d.tsv"), "separated by tabs", False),
    "bars": Layout(table(spread("|")), "separated by bars", False),
    "blanks": Layout(table(spread(" ", header=False), "d.txt"), "separated by blanks", False),
    "numpy.savetxt": Layout(table(savetxt(fmt="%3d"), "d.txt"), "separated by blanks", False),
    "another ending": Layout(
        table(kaggle(header=False), "optdigits.tra"), "taken as the labels", False
    ),
    "an index without a name": Layout(
        table(written(frame())), "the first column numbers the images", False
    ),
    "Unnamed: 0": Layout(
        table(written(frame().reset_index(names="Unnamed: 0"), index=False)),
        "the first column, Unnamed: 0, numbers",
        False,
    ),
    "a shuffled index": Layout(
        table(written(frame().set_axis(np.random.default_rng(1).permutation(60)))), "numbers", False
    ),
    "an index without header": Layout(
        table(written(frame(), header=False)), "the first column numbers the images", False
    ),
    "an id": Layout(
        table(written(frame().reset_index(names="id"), index=False)), "column, id, numbers", False
    ),
    "columns named 0, 1, 2, ...": Layout(
        table(written(frame().set_axis(range(785), axis=1), index=False)),
        "first column is taken as the labels",
        False,
    ),
    "the A-Z set": Layout(table(mangled()), "line 1 is an image that pandas took", False),
    "cells as 12.0": Layout(table(written(frame().astype(float), index=False)), "", False),
    "names": Layout(
        table(written(frame().assign(label=np.array(AB)[LABELS[TRAIN]]), index=False)),
        "",
        False,
        classes=AB,
    ),
    "names without header": Layout(
        table(
            written(frame().assign(label=np.array(AB)[LABELS[TRAIN]]), index=False, header=False)
        ),
        "",
        False,
        classes=AB,
    ),
    "names in quotes": Layout(
        table(written(frame().assign(label=np.array(AB)[LABELS[TRAIN]]), index=False, quoting=2)),
        "",
        False,
        classes=AB,
    ),
    "Devanagari's last column": Layout(
        table(
            written(
                pd.concat(
                    [frame().iloc[:, 1:], pd.Series([f"digit_{n}" for n in LABELS[TRAIN]])], axis=1
                ).rename(columns={0: "character"}),
                index=False,
            )
        ),
        "",
        False,
        classes=tuple(f"digit_{n}" for n in range(10)),
    ),
    "EMNIST's letters on Kaggle": Layout(
        folder(
            **{
                f"emnist-letters-{word}.csv": csv_bytes(
                    TURNED[part].reshape(-1, 784), LETTERS[part], header=False
                )
                for word, part in (("train", TRAIN), ("test", TEST))
            }
        ),
        TURN,
        classes=AB,
    ),
    "parquet": Layout(parquet),
    "parquet of Hugging Face": Layout(of_hugging_face),
}
for name in ("label", "class", "y", "target", "digit", "character", "number", "Label"):
    for place in ("first", "last"):
        content = kaggle(label=place).replace(b"label", name.encode())
        TABLES[f"{name} {place}"] = Layout(table(content), "", False)
for side, images in SMALL.items():
    content = csv_bytes(images[TRAIN].reshape(60, -1), LABELS[TRAIN])
    TABLES[f"{side}x{side}"] = Layout(table(content), "", False, images=images)
    header, _, lines = content.partition(b"\n")
    plain = Layout(table(lines), "first column is taken", False, images=images)
    TABLES[f"{side}x{side} without header"] = plain
