"""Arrays as people have them, from `fit` to the answer: right, or refused with the mend."""

import io
import warnings

import numpy as np
import pandas as pd
import pytest
from helpers.mnist import ROOT
from PIL import Image

import mnistgpu
from mnistgpu import BackendError, DataError, ShapeError, UsageError
from mnistgpu.data.arrays import as_images

PHOTO = ROOT / "tests" / "golden" / "photo-7.jpg"
SMALL = {"layers": "784-16-10", "init": "he", "epochs": 2, "batch_size": 50, "alpha": 0.1}
HIDDEN = {"init": "he", "epochs": 3, "batch_size": 50, "alpha": 0.1}  # the other layers follow
QUICK = {"recipe": "fast", "layers": "784-32-10", "epochs": 6}


def of_numpy(values):
    return values


def of_strict(values):
    strict = pytest.importorskip("array_api_strict", reason="array-api-strict is not installed")
    return strict.asarray(values)


BOTH = pytest.mark.parametrize("put", [of_numpy, of_strict])


@pytest.fixture(scope="module")
def shipped():
    return mnistgpu.load("shipped")


@pytest.fixture(scope="module")
def right(shipped, arrays):
    """The answers of the package's own network to the images as they are."""
    return shipped.predict(arrays[0]).tolist()


@pytest.fixture(autouse=True)
def nothing_said(monkeypatch):
    """As in a new process: grey levels are said once in each."""
    monkeypatch.setattr("mnistgpu.api.inputs.said", set())


def heard(call):
    """The result of a call, and what it warned of."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        result = call()
    assert all(each.filename == __file__ for each in caught)  # the line that the caller wrote
    return result, [str(each.message) for each in caught]


# The first row of the table: another scale


@BOTH
@pytest.mark.parametrize("kind", ["float32", "float64"])
def test_floats_from_0_to_1_are_scaled_and_that_is_said_once(shipped, arrays, right, put, kind):
    images = put((arrays[0] / 255).astype(kind))
    answers, said = heard(lambda: shipped.predict(images))
    assert answers.tolist() == right
    assert said == ["X: grey levels are read as 0 (paper) to 1 (ink)"]
    assert heard(lambda: shipped.predict(images))[1] == []


@BOTH
@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda x: x / 255 * 16, r"floats up to 16\b.* divide them by the value of full ink"),
        (lambda x: x / 127.5 - 1, r"give \(X \+ 1\) / 2"),
        (lambda x: (x / 255 - 0.1307) / 0.3081, r"give X \* 0\.3081 \+ 0\.1307"),
        (lambda x: np.where(x > 254, np.nan, x / 255), "nan or infinity"),
        (lambda x: np.where(x > 254, np.inf, x / 255), "nan or infinity"),
        (lambda x: x.astype(np.int64) * 2, "integers up to 510"),
    ],
)
@pytest.mark.parametrize("count", [1, 900])
def test_other_ranges_are_refused(shipped, arrays, put, change, words, count):
    images = put(change(arrays[0][:count]))
    for call in (shipped.predict, shipped.predict_proba):
        with pytest.raises(DataError, match=words):
            call(images)


# The second row: other containers and types


@BOTH
@pytest.mark.parametrize("kind", ["uint8", "uint16", "int64", "float32", "float64"])
def test_grey_levels_of_any_type(shipped, arrays, right, put, kind):
    assert shipped.predict(put(arrays[0].astype(kind))).tolist() == right


def library(name):
    return pytest.importorskip(name, reason=f"{name} is not installed", exc_type=ImportError)


CONTAINERS = {
    "nested lists": lambda x: x.tolist(),
    "list of arrays": list,
    "list of pictures": lambda x: [Image.fromarray(each) for each in x],
    "masked": np.ma.masked_array,
    "objects": lambda x: x.astype(object),
    "pandas": lambda x: pd.DataFrame(x.reshape(len(x), -1)),
    "torch": lambda x: library("torch").from_numpy(x.copy()),
    "torch, channels": lambda x: library("torch").from_numpy(x.copy())[:, None],
}


@pytest.mark.parametrize("name", CONTAINERS)
def test_images_in_any_container(shipped, arrays, right, name):
    assert shipped.predict(CONTAINERS[name](arrays[0][:120])).tolist() == right[:120]


def test_bools_and_halves(shipped, arrays):
    ink = arrays[0] > 127
    expected = shipped.predict((ink * 255).astype(np.uint8)).tolist()
    answers, said = heard(lambda: shipped.predict(ink))
    assert answers.tolist() == expected
    assert said == ["X: grey levels are read as 0 (paper) to 1 (ink)"]
    assert shipped.predict(ink.astype(np.float16)).tolist() == expected


@pytest.mark.parametrize("name", ["PNG", "BMP", "open file", "buffer", "Pillow"])
def test_a_picture_of_the_networks_size(shipped, arrays, right, tmp_path, name):
    picture, content = Image.fromarray(arrays[0][0]), io.BytesIO()
    picture.save(content, "BMP" if name == "BMP" else "PNG")
    (tmp_path / "a.png").write_bytes(content.getvalue())
    if name == "Pillow":
        given = picture
    elif name == "open file":
        given = open(tmp_path / "a.png", "rb")  # noqa: SIM115
    else:
        given = io.BytesIO(content.getvalue()) if name == "buffer" else content.getvalue()
    assert shipped.predict(given).tolist() == right[:1]
    if name == "open file":
        given.close()


def test_pictures_that_are_not_are_refused(shipped, tmp_path):
    with pytest.raises(DataError, match="the picture: no picture can be read from it"):
        shipped.predict(b"no picture")
    with pytest.raises(ShapeError, match=r"images of 40x30 = 1,200 pixels .* reads 28x28 = 784"):
        shipped.predict(Image.new("L", (30, 40)))
    content = io.BytesIO()
    Image.new("L", (30, 40)).save(content, "PNG")
    with pytest.raises(DataError, match="the picture: 30x40 pixels, but this network reads 28x28"):
        shipped.predict(content.getvalue())
    (tmp_path / "a.png").write_text("text")
    as_text = r"a\.png: was opened as text; open it as bytes"
    with open(tmp_path / "a.png") as file, pytest.raises(UsageError, match=as_text):
        shipped.predict(file)


def test_a_photograph_in_memory_is_read_like_its_file(shipped):
    expected = shipped.read(PHOTO)
    picture = Image.open(PHOTO)
    with open(PHOTO, "rb") as file:
        given = [PHOTO.read_bytes(), bytearray(PHOTO.read_bytes()), io.BytesIO(PHOTO.read_bytes())]
        answers = [shipped.read(each) for each in (*given, file)]
    answers += [shipped.read(picture), shipped.read(np.asarray(picture))]
    answers += [shipped.read(np.asarray(picture) / 255), shipped.read(picture.convert("CMYK"))]
    answers += shipped.read(picture, many=True)
    assert {each.digit for each in answers} == {expected.digit}
    assert np.array_equal(answers[0].probabilities, expected.probabilities)
    assert [each.name for each in answers] == ["the picture"] * 3 + [str(PHOTO)] + [
        getattr(each, "filename", "the picture") and "the picture" for each in range(5)
    ]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (None, "picture: must be a path, its bytes, an open file, a picture of Pillow or an arra"),
        (1.5, "or an array of its levels, not float"),
        (dict, "not type"),
        ([1], "must have the shape (H, W) or (H, W, 3), not (1,); give many images to predict"),
        (np.zeros((3, 4, 5, 6)), "must have the shape (H, W) or (H, W, 3), not (3, 4, 5, 6)"),
        (b"", "the picture: no picture can be read from it"),
        (np.zeros((40, 50), np.uint8), "the picture: "),
    ],
)
def test_what_is_no_picture_is_refused(shipped, given, words):
    with pytest.raises((DataError, UsageError)) as error:
        shipped.read(given)
    assert words in str(error.value)


def test_an_array_on_a_gpu_is_refused_with_the_call_that_copies_it(shipped, arrays):
    class Tensor:
        def __dlpack_device__(self):
            return 2, 0

        def __dlpack__(self, **how):
            raise AssertionError

    Tensor.__module__ = "torch"
    for call in (shipped.predict, lambda X: mnistgpu.fit(X, arrays[1], **SMALL)):
        with pytest.raises(BackendError, match=r"the memory of a GPU, .* numpy; give X\.cpu\(\)"):
            call(Tensor())


@pytest.mark.gpu
def test_an_array_on_the_gpu_of_the_network_stays_there(arrays, right):
    try:
        model = mnistgpu.load("shipped", backend="cupy")
    except BackendError as error:
        pytest.skip(str(error))
    xp = model.backend.xp
    on_gpu = xp.asarray(arrays[0])
    for images in (on_gpu, on_gpu.reshape(-1, 784), on_gpu[:, None], on_gpu / 255):
        rows, _ = as_images(images, model.trained, "X", model.backend)
        assert isinstance(rows, xp.ndarray)
        assert rows.dtype == np.uint8
        assert np.array_equal(xp.asnumpy(rows), arrays[0].reshape(-1, 784))
    assert model.predict(on_gpu).tolist() == right
    assert model.predict(on_gpu[0]).tolist() == right[:1]
    assert mnistgpu.fit(on_gpu, xp.asarray(arrays[1]), **SMALL, backend="cupy").results
    with pytest.raises(BackendError, match=r"give cupy\.asnumpy\(X\)"):
        mnistgpu.load("shipped").predict(on_gpu)


# The third row: shapes


@BOTH
@pytest.mark.parametrize(
    "shape",
    [(784,), (28, 28), (28, 28, 1), (1, 784), (1, 28, 28), (1, 28, 28, 1), (1, 1, 28, 28)],
)
def test_one_image_in_every_shape(shipped, arrays, right, put, shape):
    assert shipped.predict(put(arrays[0][0].reshape(shape))).tolist() == right[:1]
    assert shipped.predict_proba(put(arrays[0][0].reshape(shape))).shape == (1, 10)


@BOTH
@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("single", [True, False])
def test_colours_are_converted_to_grey(shipped, arrays, right, put, channels, single):
    images = np.repeat(arrays[0][..., None], channels, axis=3)
    if channels == 4:
        images[..., 3] = 255
    images = images[0] if single else images
    answers, said = heard(lambda: shipped.predict(put(images)))
    assert answers.tolist() == (right[:1] if single else right)
    assert said == ([] if channels == 1 else ["X: colours are converted to grey"])


@BOTH
@pytest.mark.parametrize("shape", [(2, 32, 32), (2, 32, 32, 3), (2, 64), (2, 785), (784, 2), (3,)])
def test_images_of_another_size_are_refused_with_both(shipped, put, shape):
    with pytest.raises(ShapeError, match=r"this network reads .*28x28 = 784"):
        shipped.predict(put(np.zeros(shape, np.uint8)))


# The fifth row: levels

SCALES = {
    "0 and 1": (lambda x: (x > 127).astype(np.uint8), "0 (paper) to 1 (ink)"),
    "0 to 16": (lambda x: np.round(x / 255 * 16), "0 (paper) to 16 (ink)"),
    "white paper": (lambda x: 255 - x, "255 (paper) to 0 (ink)"),
    "white floats": (lambda x: 1 - x / 255, "1 (paper) to 0 (ink)"),
}


@BOTH
@pytest.mark.parametrize("name", SCALES)
def test_levels_are_recognised_said_saved_and_applied(arrays, tmp_path, put, name):
    images, labels = arrays
    change, words = SCALES[name]
    run, said = heard(
        lambda: mnistgpu.fit(put(change(images)), labels, out=tmp_path / "r", **QUICK)
    )
    assert said == [f"X: grey levels are read as {words}"]
    model = mnistgpu.load(run.directory)
    answers = model.predict(put(change(images)))
    assert np.mean(answers == labels) > 0.85
    alone = [int(model.predict(put(change(images[i : i + 1])))[0]) for i in range(20)]
    assert alone == answers[:20].tolist()
    pictures = Image.fromarray(np.repeat(np.repeat(255 - images[0], 8, 0), 8, 1))
    assert model.read(pictures).digit == model.read(pictures.convert("RGB")).digit == labels[0]


@BOTH
def test_a_set_that_contradicts_the_training_is_not_answered_in_silence(shipped, arrays, put):
    images, labels = arrays
    _, said = heard(lambda: shipped.predict(put(255 - images)))
    assert len(said) == 1
    assert "most images show dark ink on light paper, but the network was trained on" in said[0]
    _, said = heard(lambda: shipped.evaluate(put(255 - images), labels))
    assert "its answers may be wrong; give 255 - X to exchange the two" in said[0]
    with pytest.raises(DataError, match="integers up to 16, but this network was trained on"):
        shipped.predict(put((images // 16 + images // 255).astype(np.uint8)))


@BOTH
@pytest.mark.parametrize("name", ["white paper", "bright garment", "all ink"])
def test_nothing_is_guessed_from_one_image(shipped, arrays, put, name):
    image = {
        "white paper": 255 - arrays[0][0],
        "bright garment": np.pad(np.full((24, 24), 230, np.uint8), 2),
        "all ink": np.full((28, 28), 255, np.uint8),
    }[name]
    probabilities, said = heard(lambda: shipped.predict_proba(put(image)))
    assert said == []
    expected = shipped.trained.probabilities(image.reshape(1, -1))
    assert np.array_equal(probabilities, expected.T)


@BOTH
def test_an_image_of_0_and_1_as_floats_is_paper_and_ink(shipped, arrays, put):
    image = (arrays[0][0] > 127).astype(np.float64)
    probabilities, said = heard(lambda: shipped.predict_proba(put(image)))
    assert said == ["X: grey levels are read as 0 (paper) to 1 (ink)"]
    expected = shipped.trained.probabilities((image.reshape(1, -1) * 255).astype(np.uint8))
    assert np.array_equal(probabilities, expected.T)
