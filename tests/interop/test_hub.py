"""Folders for the Hugging Face Hub: what its own library reads, and what mnistgpu reads back."""

import json
import socket

import numpy as np
import pytest
import yaml
from helpers import runs
from helpers.mnist import read_idx
from helpers.networks import committee, made

import mnistgpu
from mnistgpu.models.model import save


@pytest.fixture(scope="module")
def digits():
    images = read_idx("t10k-images-idx3-ubyte", 300)
    return images, read_idx("t10k-labels-idx1-ubyte", 300)


@pytest.fixture
def folder(tmp_path, digits):
    """The shipped network as a folder, with its accuracy on 300 digits."""
    return mnistgpu.export("shipped", tmp_path / "my-digits", *digits, hub=True)


def test_it_is_read_back_and_answers_the_same(folder, digits):
    shipped, found = mnistgpu.load("shipped"), mnistgpu.load(folder)
    assert found == shipped
    assert np.array_equal(found.predict(digits[0]), shipped.predict(digits[0]))
    assert sorted(each.name for each in folder.iterdir()) == [
        "README.md",
        "config.json",
        "model.safetensors",
    ]


def test_hugging_faces_own_library_accepts_the_card(folder, digits):
    hub = pytest.importorskip("huggingface_hub", reason="huggingface_hub is missing")
    card = hub.ModelCard.load(folder / "README.md")  # an error for a head that it would refuse
    (found,) = card.data.eval_results
    right = int(np.sum(mnistgpu.load("shipped").predict(digits[0]) == digits[1]))
    assert (found.metric_type, found.metric_value) == ("accuracy", right / 300)
    assert (found.task_type, found.dataset_type) == ("image-classification", "x")
    assert card.data.library_name == "mnistgpu"
    assert card.data.model_name == "my-digits"


def test_the_card_says_what_one_must_know(folder):
    text = (folder / "README.md").read_text()
    record = yaml.safe_load(text.split("---")[1])
    assert record["model-index"][0]["results"][0]["dataset"]["name"] == "X"
    digest = mnistgpu.load("shipped").trained.data_digest
    for part in ("of 300 right; 95% interval", digest, "expected calibration error", "## Limits"):
        assert part in text
    # it was not made by one run, so no command of a run is given
    assert "Two networks 784-256-128-10, trained with these settings in 100 and 180 epochs" in text
    assert "python -m mnistgpu.train" not in text


def test_the_command_of_the_card_trains_with_the_same_settings(tmp_path, digits):
    (tmp_path / "small").mkdir()
    runs.write_small_set(tmp_path / "small")
    flags = ["--layers", "784-12-10", "--iterations", "3", "--center", "--seed", "7", "--quiet"]
    runs.run_here(*flags, "--data", "small", "--out", "first", cwd=tmp_path)
    mnistgpu.export(tmp_path / "first", tmp_path / "hub", hub=True)
    text = (tmp_path / "hub" / "README.md").read_text()
    said = next(line for line in text.splitlines() if line.startswith("python -m")).split()
    assert runs.run_here(*said[3:], "--out", "again", "--quiet", cwd=tmp_path).returncode == 0
    assert mnistgpu.load(tmp_path / "again") == mnistgpu.load(tmp_path / "first")
    assert "of 300 right" in text
    assert str(tmp_path) not in text  # nothing of this machine


@pytest.mark.slow
def test_the_command_of_a_run_that_began_with_a_network(tmp_path):
    """The settings of that network would hold where the command says nothing."""
    (tmp_path / "small").mkdir()
    runs.write_small_set(tmp_path / "small")
    small, a, b = tmp_path / "small", tmp_path / "a", tmp_path / "b"
    others = {"optimizer": "adam", "center": True, "batch_size": 50}
    mnistgpu.fit(small, layers="784-12-10", iterations=3, out=a, **others)
    mnistgpu.fit(small, recipe="classic", from_run=str(a), iterations=3, seed=3, out=b)
    mnistgpu.export(tmp_path / "b", tmp_path / "hub", hub=True)
    text = (tmp_path / "hub" / "README.md").read_text()
    said = next(line for line in text.splitlines() if line.startswith("python -m")).split()
    assert runs.run_here(*said[3:], "--out", "again", "--quiet", cwd=tmp_path).returncode == 0
    again = mnistgpu.load(tmp_path / "again")
    assert again.trained.digest == mnistgpu.load(b).trained.digest


def card(network, folder):
    """The model card of a network, in which no accuracy can be measured."""
    with pytest.warns(UserWarning, match="the card has no accuracy"):
        mnistgpu.export(network, folder, hub=True)
    return (folder / "README.md").read_text()


def test_the_command_of_the_card_says_when_other_data_are_needed(tmp_path, digits):
    """Without --data it would train on MNIST, and not give the same bits."""
    run = mnistgpu.fit(*digits, layers="784-12-10", iterations=2, validation=0)
    text = card(run, tmp_path / "of-arrays")
    assert "DATA stands for what it was trained on." in text
    assert "--iterations 2 --validation 0 --data DATA\n" in text
    assert "Not measured: it was trained on every image of arrays, so none of them tells" in text


def test_the_command_of_a_model_file_of_mnist_needs_no_data(tmp_path, digits):
    digest = mnistgpu.load_data().digest
    mnistgpu.export(made(data_digest=digest), tmp_path / "x", *digits, hub=True)
    text = (tmp_path / "x" / "README.md").read_text()
    assert "Trained on embedded MNIST." in text
    assert "--data" not in text


def test_the_card_of_a_run_that_was_changed_on_the_way_gives_its_events(tmp_path):
    """A command without them would train another network."""
    (tmp_path / "small").mkdir()
    runs.write_small_set(tmp_path / "small")
    events = [{"step": 3, "name": "alpha", "new": 0.02}, {"step": 5, "name": "epochs", "new": 2}]
    how = {"layers": "784-12-10", "batch_size": 100, "epochs": 1, "precision": "exact"}
    mnistgpu.fit(tmp_path / "small", events=events, out=tmp_path / "a", **how)
    mnistgpu.export(tmp_path / "a", tmp_path / "hub", hub=True)
    text = (tmp_path / "hub" / "README.md").read_text()
    assert "Its settings were changed on the way. `events.json` must say:" in text
    (tmp_path / "events.json").write_text(text.split("```json\n")[1].split("```")[0])
    said = next(line for line in text.splitlines() if line.startswith("python -m")).split()
    done = runs.run_here(*said[3:], "--out", "again", "--quiet", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert mnistgpu.load(tmp_path / "again") == mnistgpu.load(tmp_path / "a")


@pytest.mark.parametrize("saved", [True, False])
def test_the_command_of_the_card_names_a_teacher_as_a_call_does(tmp_path, digits, saved):
    teacher = made()
    if saved:
        save(teacher, tmp_path / "t.safetensors")
    given = str(tmp_path / "t.safetensors") if saved else mnistgpu.Model(teacher)
    run = mnistgpu.fit(*digits, layers="784-12-10", teacher=given, iterations=2, validation=0)
    text = card(run, tmp_path / "hub")
    digest = run.settings.teacher[-13:-1]
    if saved:
        assert " --teacher t.safetensors --data DATA\n" in text
        assert (
            f"t.safetensors is the network whose answers it learnt, with the digest {digest}."
            in text
        )
    else:
        assert " --teacher TEACHER --data DATA\n" in text
        assert "TEACHER stands for the network whose answers it learnt" in text


def test_the_command_of_the_card_says_that_images_without_labels_are_needed(tmp_path, digits):
    others = digits[0][:50]
    run = mnistgpu.fit(
        digits[0][50:], digits[1][50:], unlabeled=others, adversarial=1.0, layers="784-12-10",
        iterations=2, validation=0, batch_size=20,
    )  # fmt: skip
    text = card(run, tmp_path / "hub")
    assert " --unlabeled UNLABELED --data DATA\n" in text
    assert "UNLABELED stands for the images without labels that it learnt from." in text


def test_the_card_names_no_folders_of_this_machine(tmp_path, monkeypatch):
    (tmp_path / "small").mkdir()
    runs.write_small_set(tmp_path / "small")
    monkeypatch.chdir(tmp_path)
    small = tmp_path / "small"
    mnistgpu.fit(small, layers="784-12-10", iterations=2, out="a")
    mnistgpu.fit(small, from_run=str(tmp_path / "a"), iterations=2, out="b")
    small.rename(tmp_path / "gone")
    text = card("b", tmp_path / "hub")
    assert str(tmp_path) not in text
    assert (
        "Not measured: small: is not there any more, and the network was trained on it.\n" in text
    )
    assert "--from a --data small\n" in text


def test_a_committee(tmp_path, digits):
    together = committee()
    found = mnistgpu.load(mnistgpu.export(together, tmp_path / "c", *digits, hub=True))
    assert np.array_equal(
        found.predict_proba(digits[0]), mnistgpu.Model(together).predict_proba(digits[0])
    )
    assert "committee of 3" in (tmp_path / "c" / "README.md").read_text()


def test_without_data_the_card_says_so(tmp_path):
    with pytest.warns(UserWarning, match="the card has no accuracy: .*nothing says where"):
        mnistgpu.export(made(), tmp_path / "x", hub=True)
    text = (tmp_path / "x" / "README.md").read_text()
    assert "Not measured: " in text
    assert "model-index" not in text


def edit_config(folder, change):
    record = json.loads((folder / "config.json").read_text())
    change(record)
    (folder / "config.json").write_text(json.dumps(record, indent=2))


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda r: r["id2label"].update({"3": "8"}), "'id2label' is not that of the network"),
        (lambda r: r["members"][0].update(layers=[784, 10]), "'members' is not that of the"),
        (lambda r: r.update(image_shape=[14, 56]), "'image_shape' is not that of the"),
        (lambda r: r.pop("calibration"), "'calibration' is not that of the network"),
        (lambda r: r.update(format_version=2), "format_version is 2, and this mnistgpu knows 1"),
    ],
)
def test_an_edited_config_is_refused(folder, change, sentence):
    edit_config(folder, change)
    with pytest.raises(mnistgpu.DataError, match=sentence):
        mnistgpu.load(folder)


@pytest.mark.parametrize(
    "written",
    [
        lambda record: json.dumps(record, separators=(",", ":")).encode(),
        lambda record: json.dumps(record, indent=2).encode("utf-16"),  # as PowerShell does
        lambda record: json.dumps({"x": "y" * 70_000} | record).encode(),
        lambda record: json.dumps({**record, "format": "mine"}).encode(),
    ],
)
def test_an_edited_config_in_another_form_is_refused(folder, written):
    record = json.loads((folder / "config.json").read_text())
    record["id2label"]["3"] = "8"
    (folder / "config.json").write_bytes(written(record))
    with pytest.raises(mnistgpu.DataError, match="is not that of the network beside it"):
        mnistgpu.load(folder)


def test_an_edited_model_and_a_broken_config_are_refused(folder):
    content = bytearray((folder / "model.safetensors").read_bytes())
    content[-5] ^= 1
    (folder / "model.safetensors").write_bytes(content)
    with pytest.raises(mnistgpu.DataError, match="does not have the digest in its header"):
        mnistgpu.load(folder)
    (folder / "model.safetensors").unlink()
    with pytest.raises(mnistgpu.DataError, match="no model here"):
        mnistgpu.load(folder)


def test_a_config_that_is_no_json_is_refused(folder):
    text = (folder / "config.json").read_text()
    (folder / "config.json").write_text(text[:-10])
    with pytest.raises(mnistgpu.DataError, match="not valid JSON"):
        mnistgpu.load(folder)


def test_an_edited_readme_and_a_foreign_config_do_no_harm(folder, tmp_path):
    (folder / "README.md").write_text("# mine\n")
    assert mnistgpu.load(folder) == mnistgpu.load("shipped")
    for text in ('{"of": "another program"}', "[1]", "no JSON", '{"format": "other"}', ""):
        (folder / "config.json").write_text(text)
        assert mnistgpu.load(folder) == mnistgpu.load("shipped")


def test_nothing_of_others_is_replaced(folder, digits):
    with pytest.raises(mnistgpu.UsageError, match="exists; choose another or add --force"):
        mnistgpu.export(made(), folder, *digits, hub=True)
    assert mnistgpu.load(folder) == mnistgpu.load("shipped")
    mnistgpu.export(made(), folder, *digits, hub=True, force=True)
    assert mnistgpu.load(folder).trained == made()
    (folder / "README.md").write_text("# mine\n")
    with pytest.raises(mnistgpu.UsageError, match=r"README.md: the file exists and is not one"):
        mnistgpu.export("shipped", folder, *digits, hub=True, force=True)
    assert mnistgpu.load(folder).trained == made()
    with pytest.raises(mnistgpu.UsageError, match="a network is there"):
        mnistgpu.export(committee(), folder, *digits, hub=True, force=True)


def test_a_run_is_no_place_for_a_folder(tmp_path, digits):
    (tmp_path / "settings.json").write_text("{}")
    with pytest.raises(mnistgpu.UsageError, match="a run is there; choose another folder"):
        mnistgpu.export("shipped", tmp_path, *digits, hub=True, force=True)


def test_no_network_is_touched(tmp_path, digits, monkeypatch):
    def refused(*_):
        raise AssertionError("a connection was made")

    monkeypatch.setattr(socket.socket, "connect", refused)
    monkeypatch.setattr(socket, "getaddrinfo", refused)
    mnistgpu.load(mnistgpu.export("shipped", tmp_path / "x", *digits, hub=True))
