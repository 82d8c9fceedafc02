"""Images without labels in the engine: their batches, and that no label of theirs is used."""

import numpy as np
import pytest
from helpers.resuming import SMALL, check_resume
from helpers.thread_ranks import on_ranks

from mnistgpu import counter_rng, network
from mnistgpu.backend import NUMPY
from mnistgpu.data import Dataset, Digits
from mnistgpu.engine.batches import MixedBatches, images_in
from mnistgpu.engine.gradient import Engine, normalized_together
from mnistgpu.engine.inputs import Inputs
from mnistgpu.engine.trainer import Trainer
from mnistgpu.errors import DataError, UsageError
from mnistgpu.runs import checks
from mnistgpu.settings import Settings

KEY = counter_rng.key(0, like=np.zeros(1))
BASE = Settings(layers="784-12-10", init="he").changed(
    adversarial=1.0, unlabeled="arrays", batch_size=50, epochs=2, validation=0, learning_rate=0.1
)


@pytest.fixture
def few(digits):
    """60 images with labels, 170 without."""
    images, labels = digits
    return Digits(images[:60], labels[:60], "few", unlabeled=images[60:230])


def test_an_epoch_has_every_image_without_a_label_once():
    batches = MixedBatches(KEY, 30, 103, 25)
    assert (batches.per_epoch, batches.alike, batches.size, batches.images) == (5, 4, 50, 103)
    for epoch in range(3):
        rows = [batches.rows(5 * epoch + step) for step in range(5)]
        assert [len(each) for each in rows] == [50, 50, 50, 50, 28]
        assert all((each[:25] < 30).all() and (each[25:] >= 30).all() for each in rows)
        assert all(len(set(each[:25])) == 25 for each in rows)
        assert sorted(np.concatenate([each[25:] for each in rows])) == list(range(30, 133))
    assert batches.labelled(rows[0]) == batches.labelled(rows[4]) == 25
    assert [batches.seen(step) for step in (0, 1, 4, 5, 6)] == [0, 50, 200, 228, 278]
    assert batches.rows(6, 2).tolist() == [*batches.rows(6), *batches.rows(7)]


def test_all_labelled_images_have_their_turn_alike():
    batches = MixedBatches(KEY, 90, 1000, 30)
    for turn in range(4):
        rows = np.concatenate([batches.chosen(3 * turn + step) for step in range(3)])
        assert sorted(rows) == list(range(90))
    assert not np.array_equal(batches.chosen(0), batches.chosen(3))


def test_the_batches_of_a_seed_are_the_same_in_every_version():
    """Those of runs that go on, and of recorded figures."""
    batches = MixedBatches(KEY, 6, 9, 3)
    assert [batches.rows(step).tolist() for step in (0, 1, 2, 3)] == [
        [1, 0, 5, 11, 13, 10],
        [2, 3, 4, 14, 8, 12],
        [2, 3, 1, 6, 9, 7],
        [4, 0, 5, 13, 9, 12],
    ]


def test_fewer_labelled_images_than_a_batch_are_all_in_every_step():
    batches = MixedBatches(KEY, 7, 40, 20)
    assert all(sorted(batches.rows(step)[:7]) == list(range(7)) for step in range(5))


def test_without_a_batch_size_every_step_has_all_images():
    batches = MixedBatches(KEY, 7, 40, None)
    assert batches.rows(3) == slice(0, 47)
    assert (batches.per_epoch, batches.labelled(slice(0, 47)), batches.seen(2)) == (1, 7, 94)


@pytest.mark.parametrize("loss", [{"adversarial": 1.0}, {"information": 0.5}])
def test_the_gradient_is_the_mean_of_labels_and_the_mean_of_all_changes(digits, loss):
    """Cross-entropy over 20 images, the other loss over all 50: two engines apart."""
    images, labels = digits[0][:50], digits[1][:50].astype(np.int64)
    settings = Settings(layers="784-12-10", precision="float64").changed(**loss)
    theta = network.init(counter_rng.key(1, like=np.zeros(1)), settings.sizes, "he", "float64")

    def gradient(settings, labels, rows, weights=None):
        inputs = Inputs(images, settings, (28, 28), np.zeros(1))
        engine = Engine(theta, settings, images, labels, inputs, 50, 1, 50, weights)
        keys = engine.keys(counter_rng.key(5, like=np.zeros(1)))
        found, loss, right = engine.gradient(rows, keys)
        return found.copy(), float(loss), int(right)

    plain = settings.changed(adversarial=0.0, information=0.0)
    of_labels, loss, right = gradient(plain, labels, slice(0, 20))
    of_changes = gradient(settings, labels, slice(0, 50))[0]
    of_changes -= gradient(plain, labels, slice(0, 50))[0]
    hidden = labels.copy()
    hidden[20:] = 10
    weights = (np.arange(50) < 20) * 1.0
    found = gradient(settings.changed(unlabeled="arrays"), hidden, slice(0, 50), weights)
    np.testing.assert_allclose(found[0], of_labels + of_changes, rtol=1e-9, atol=1e-13)
    assert found[1] / 50 == pytest.approx(loss / 20)
    assert found[2] == right


def test_labels_that_are_replaced_by_noise_change_nothing(digits):
    """Digits whose labels are taken away, whatever they were, give the same bits."""
    images, labels = digits
    noise = np.random.default_rng(0).integers(0, 10, 170).astype(np.uint8)
    found = []
    for others in (labels[60:230], noise):
        whole = Digits(images[:230], np.concatenate([labels[:60], others]), "whole")
        few = Digits(whole.images[:60], whole.labels[:60], "few", unlabeled=whole.images[60:])
        trainer = Trainer(BASE, few, NUMPY)
        sums = [trainer.step() for _ in range(8)]
        found.append((trainer.theta, [(float(a), int(b), c) for a, b, c in sums]))
    assert found[0][0].tobytes() == found[1][0].tobytes()
    assert found[0][1] == found[1][1]
    assert all(count == 50 and right <= 50 for _, right, count in found[0][1])


def test_the_loss_that_is_shown_is_that_of_the_labelled_images(few):
    """Their mean cross-entropy with the first weights, however many others there are."""
    for batch_size in (None, 80):
        trainer = Trainer(BASE.changed(batch_size=batch_size), few, NUMPY)
        theta = trainer.plain()
        loss, right, count = trainer.step()
        A, Z = network.forward(network.layers(theta, (784, 12, 10)), few.images.T / np.float32(255))
        Y = network.one_hot(few.labels.astype(np.int64), 10)
        assert count == 60
        assert float(loss) / 60 == pytest.approx(float(network.cross_entropy(Z[-1], Y)), rel=1e-4)
        assert int(right) == (A[-1].argmax(axis=0) == few.labels).sum()


def test_images_without_labels_do_change_what_is_learnt(few, digits):
    thetas = []
    for others in (few.unlabeled, digits[0][500:670]):
        trainer = Trainer(BASE, Digits(few.images, few.labels, "few", unlabeled=others), NUMPY)
        trainer.step()
        thetas.append(trainer.theta)
    assert np.abs(thetas[0] - thetas[1]).max() > 1e-4


@pytest.mark.parametrize(
    "changes",
    [{}, {"batch_norm": True}, {"batch_size": None, "epochs": 5}, {"information": 0.5}],
)
def test_ranks_give_what_one_process_gives(few, changes):
    settings = BASE.changed(**changes)

    def trained(communicator=None):
        trainer = Trainer(settings, few, NUMPY, 1, communicator)
        with trainer.engine.running():
            sums = [trainer.step() for _ in range(4)]
        return trainer.theta.copy(), [(float(a), int(b), c) for a, b, c in sums]

    expected, sums = trained()
    for found, others in on_ranks(2, trained):
        np.testing.assert_allclose(found, expected, atol=2e-3)
        for ours, theirs in zip(others, sums, strict=True):
            assert ours == pytest.approx(theirs, rel=1e-3, abs=1)


def test_on_every_backend(other_space, few):
    found = []
    for chosen in (NUMPY, other_space.backend()):
        trainer = Trainer(BASE, few, chosen)
        sums = [trainer.step() for _ in range(3)]
        found.append((trainer.vectors()["theta"], [(float(a), int(b), c) for a, b, c in sums]))
    np.testing.assert_allclose(found[1][0], found[0][0], atol=1e-4)
    for ours, theirs in zip(found[1][1], found[0][1], strict=True):
        assert ours == pytest.approx(theirs, rel=1e-4)


@pytest.mark.parametrize("changes", [{}, {"batch_norm": True, "hidden_noise": 0.2, "epochs": 3}])
def test_it_resumes_bit_for_bit(digits, tmp_path, changes):
    images, labels = digits
    train = Digits(images[:300], labels[:300], "few", unlabeled=images[300:770])
    dataset = Dataset(train, Digits(images[900:1000], labels[900:1000], "test"), "few")
    settings = SMALL.changed(adversarial=1.0, unlabeled="arrays", batch_size=60, **changes)
    check_resume(settings, dataset, tmp_path, NUMPY, stops=3)


def test_a_class_without_a_label_is_named(few):
    present = few.labels != 7
    lacking = Digits(few.images[present], few.labels[present], "few", unlabeled=few.unlabeled)
    with pytest.raises(DataError, match=r"few: \d+ labels for the 10 .* none is 7: .*label"):
        checks.check_fit(BASE, Dataset(lacking, None, "few"))
    three = Digits(few.images[:3], few.labels[:3], "few", unlabeled=few.unlabeled)
    with pytest.raises(DataError, match="few: 3 labels for the 10 classes"):
        checks.check_fit(BASE, Dataset(three, None, "few"))


def test_normalised_batches_need_eight_images_at_a_time(few):
    """With the labelled ones among them; a batch size that is proposed is one that fits."""
    dataset, fitting = Dataset(few, None, "few"), set()
    for size in (*range(1, 171), None):
        batches = MixedBatches(KEY, 60, 170, size)
        group = normalized_together(batches.size)
        counts = [images_in(batches.rows(step)) for step in (0, batches.per_epoch - 1)]
        smallest = min(min(count, count % group or group) for count in counts)
        settings = BASE.changed(batch_norm=True, batch_size=size)
        if smallest >= checks.FEWEST_NORMALISED:
            checks.check_fit(settings, dataset)
            fitting.add(size)
            continue
        with pytest.raises(UsageError, match=f"some would be normalised by {smallest}: ") as raised:
            checks.check_fit(settings, dataset)
        proposed = int(str(raised.value).partition("try --batch-size ")[2].partition(",")[0])
        checks.check_fit(settings.changed(batch_size=proposed), dataset)
    assert 20 < len(fitting) < 170


def test_without_the_loss_they_teach_nothing():
    with pytest.raises(UsageError, match="--unlabeled needs --consistency, --denoising"):
        BASE.changed(adversarial=0.0)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"teacher": "runs/x"}, "--unlabeled cannot be given with --teacher"),
        ({"rotation": 5.0, "rotation_1_7": 2.0}, "nobody knows which images of --unlabeled"),
        ({"batch_size": 10**6}, "and a step takes that many of them; leave it out"),
    ],
)
def test_settings_that_cannot_be(changes, sentence, few):
    with pytest.raises(UsageError, match=sentence):
        checks.check_fit(BASE.changed(**changes), Dataset(few, None, "few"))


def test_settings_and_digits_must_agree(few):
    settings = Settings(layers="784-12-10", validation=0)
    with pytest.raises(UsageError, match="but the settings name none"):
        checks.check_fit(settings, Dataset(few, None, "few"))
    plain = Digits(few.images, few.labels, "few")
    with pytest.raises(UsageError, match="but there are none"):
        checks.check_fit(BASE, Dataset(plain, None, "few"))
    with pytest.raises(UsageError, match="--batch-size 171 is more than the 170 images without"):
        checks.check_fit(BASE.changed(batch_size=171), Dataset(few, None, "few"))


def test_information_that_cannot_be(few):
    exact = Settings(precision="exact", information=0.5, validation=0)
    with pytest.raises(UsageError, match=r"exact has no mutual information.* leave out --inform"):
        checks.check_fit(exact, Dataset(few, None, "few"))
    with pytest.raises(UsageError, match="--information must be a finite number of at least 0"):
        BASE.changed(information=-1.0)
