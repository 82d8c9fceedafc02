"""What is said of an answer: sure, unsure, not a digit; as a sentence, as a number, as JSON."""

import json
from dataclasses import replace

import numpy as np
import pytest
from helpers.pictures import drawing
from PIL import Image

from mnistgpu.backend import NUMPY
from mnistgpu.data.levels import OURS
from mnistgpu.models import committee
from mnistgpu.models.calibration import Calibration, energy_of
from mnistgpu.pictures import answers, images


class Saying:
    """A network that always gives these probabilities."""

    image_shape, classes, levels, orientation = (28, 28), (), OURS, "by-name"

    def __init__(self, shares, calibration=None):
        self.shares, self.calibration = np.array(shares, np.float32), calibration

    def probabilities(self, images, backend):
        return np.tile(self.shares[:, None], (1, len(images)))


def shares(**known):
    rest = (1.0 - sum(known.values())) / (10 - len(known))
    return [known.get(f"p{digit}", rest) for digit in range(10)]


@pytest.fixture
def picture(tmp_path):
    """Too narrow to be cut, whatever a network says of its parts."""
    path = tmp_path / "it.png"
    Image.fromarray(255 - drawing(1)).save(path)
    return path


KNOWN = Calibration(1.0, -3.0)
CASES = [
    (Saying(shares(p4=0.9, p9=0.09), KNOWN), "sure", "4 (90.0%), then 9 (9.0%)"),
    (Saying(shares(p4=0.5, p9=0.49), KNOWN), "unsure", "unsure: 4 (50.0%) or 9 (49.0%); see"),
    (Saying(shares(p4=0.2, p9=0.1), KNOWN), "not a digit", "not a digit (looks like nothing in"),
    # as models of 0.1.0 are, without a calibration
    (Saying(shares(p4=0.9, p9=0.09)), "sure", "4 (90.0%), then 9 (9.0%)"),
    (Saying(shares(p4=0.2, p9=0.1)), "unsure", "unsure: 4 (20.0%) or 9 (10.0%)"),
]


@pytest.mark.parametrize(("network", "status", "sentence"), CASES)
def test_status_and_sentence(network, status, sentence, picture):
    (answer,) = answers.answers(network, [picture])
    assert answer.status == status
    assert answer.sentence().startswith(f"{picture}: {sentence}")
    assert json.loads(answers.as_json([answer]))[0]["status"] == status


def test_probabilities_are_at_the_temperature(picture):
    own = Saying(shares(p4=0.9, p9=0.09), Calibration(2.0, 0.0))
    (answer,) = answers.answers(own, [picture])
    roots = np.sqrt(own.shares)
    np.testing.assert_allclose(answer.probabilities, roots / roots.sum(), rtol=1e-5)


def test_belief_falls_where_an_image_begins_to_be_unlike_a_digit():
    """So a cut does not depend on which side of the threshold a piece of a digit is."""
    own = np.array(shares(p4=0.9, p9=0.09), np.float32)
    energy = float(energy_of(own[:, None])[0])
    image = np.zeros((1, 784), np.uint8)
    found = [
        float(answers.belief(Saying(own, Calibration(1.0, energy + away)), NUMPY)(image)[0])
        for away in (1.0, 0.25, 0.15, 0.0, -1.0)
    ]
    assert found[0] == pytest.approx(0.9, rel=1e-5)
    assert found[0] > found[1] > found[2] > found[3]
    assert found[4] == pytest.approx(0.9 * answers.BELIEVED, rel=1e-5)
    assert answers.belief(Saying(own), NUMPY)(image)[0] == pytest.approx(0.9)


def test_a_shape_that_the_edge_cuts_is_said_so(tmp_path):
    path = tmp_path / "cut.png"
    levels = np.full((300, 300), 255, np.uint8)
    levels[100:300, 100:140] = 0
    Image.fromarray(levels).save(path)
    (answer,) = answers.answers(Saying(shares(p1=0.2), KNOWN), [path])
    assert answer.sentence().endswith("edge cuts: crop the picture to the paper)")


def test_a_number_is_printed_as_it_is_written():
    image, levels = np.zeros(784, np.uint8), np.zeros((28, 28), np.uint8)

    def one(i, digit, status, before):
        known = np.full(10, 0.01)
        known[digit] = 0.91
        found = object()
        return answers.Answer(
            f"it[{i}]", levels, (0, 0, 28, 28), image, known, (), status, before, picture=found
        )

    given = [
        one(0, 2, "sure", ""), one(1, 4, "sure", "/"), one(2, 1, "unsure", "\n"),
        one(3, 7, "not a digit", ""),
    ]  # fmt: skip
    assert answers.as_text(given) == "2/4\n1?"
    lines = answers.as_lines(given)
    assert lines[0] == "it: 2/4\nit: 1?"
    assert [line[:6] for line in lines[1:]] == ["it[2]:", "it[3]:"]
    assert [entry["before"] for entry in json.loads(answers.as_json(given))] == ["", "/", "\n", ""]


def test_a_digit_whose_cut_is_doubtful_is_unsure(picture, monkeypatch):
    """However sure the network is of the ink that it was shown."""
    own = Saying(shares(p4=0.98), KNOWN)
    found = images.read_picture(picture)

    def answered(whole):
        cut = replace(found, whole=np.array([whole]))
        monkeypatch.setattr(images, "read_picture", lambda *given: cut)
        (answer,) = answers.answers(own, [picture])
        assert answer.probabilities.sum() == pytest.approx(1.0)
        return answer

    doubtful, sure = answered(0.5), answered(0.95)
    assert doubtful.status == "unsure"
    assert doubtful.probability == pytest.approx(0.5 * 0.98 + 0.5 / 10)
    assert doubtful.sentence().endswith("4 (54.0%), if this is one whole digit; see --explain")
    assert (sure.status, sure.digit) == ("sure", 4)
    assert sure.probability == pytest.approx(0.95 * 0.98 + 0.05 / 10)


def test_a_picture_is_answered_by_the_mean_over_deformed_copies(picture, shipped):
    """So a shape that is read differently once it is moved a little is doubtful."""
    copies = shipped.calibration.copies
    assert copies >= 8
    (answer,) = answers.answers(shipped, [picture])
    image = answer.image[None]
    mean = committee.averaged(shipped, image, NUMPY, copies)
    expected = shipped.calibration.calibrated(mean)[:, 0]
    np.testing.assert_allclose(answer.probabilities, expected, rtol=1e-5)
    alone = shipped.calibration.calibrated(shipped.probabilities(image))[:, 0]
    assert np.abs(alone - expected).max() > 1e-4
    both = committee.Committee((shipped, shipped))
    np.testing.assert_allclose(answers.judged(both, image, NUMPY)[0][:, 0], expected, rtol=1e-5)


def test_a_file_of_digits_is_answered_by_the_network_alone(tmp_path, shipped):
    """As `evaluate` does, which says how often it is right; and a file may hold many digits."""
    images_ = np.stack([images.read(a_digit(tmp_path, digit))[0] for digit in (3, 8)])
    np.save(tmp_path / "digits.npy", images_)
    given = list(answers.answers(shipped, [tmp_path / "digits.npy"]))
    expected = shipped.calibration.calibrated(shipped.probabilities(images_))
    for answer, own in zip(given, expected.T, strict=True):
        np.testing.assert_allclose(answer.probabilities, own, rtol=1e-5)


def a_digit(folder, digit):
    path = folder / f"{digit}.png"
    Image.fromarray(255 - drawing(digit)).save(path)
    return path
