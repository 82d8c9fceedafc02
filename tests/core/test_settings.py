"""Settings: one place for every knob, and refusals that name the flag."""

import math
import re
from dataclasses import fields

import numpy as np
import pytest

from mnistgpu.errors import DataError, UsageError
from mnistgpu.knobs import flags_of
from mnistgpu.maths.activations import ACTIVATIONS
from mnistgpu.maths.optimizers import OPTIMIZERS, SCHEDULES
from mnistgpu.network import INITIALIZATIONS
from mnistgpu.settings import PRECISIONS, Settings, from_dict


def test_the_default_is_the_network_of_the_tutorial():
    settings = Settings()
    assert settings.sizes == (784, 10, 10)
    assert settings.init == "uniform"
    assert settings.batch_size is None


def test_every_setting_has_help_and_a_flag():
    for knob in fields(Settings):
        assert knob.metadata["help"].endswith(".")
        assert all(flag.startswith("--") for flag in flags_of(knob))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"learning_rate": math.nan}, "--alpha must be a finite number greater than 0, not nan"),
        ({"learning_rate": math.inf}, "--alpha must be a finite number greater than 0, not inf"),
        ({"learning_rate": -0.1}, "--alpha .* not -0.1"),
        ({"learning_rate": 0.0}, "--alpha .* not 0.0"),
        ({"learning_rate": "fast"}, "--alpha must be float, not 'fast'"),
        ({"batch_size": 0}, "--batch-size must be a whole number of at least 1, not 0"),
        ({"batch_size": 12.5}, "--batch-size must be int or None, not 12.5"),
        ({"iterations": 0}, "--iterations"),
        ({"iterations": True}, "--iterations must be int"),
        ({"validation": -1}, "--validation"),
        ({"seed": -1}, "--seed"),
        ({"seed": 2**63}, "--seed"),
        ({"precision": "float16"}, "--precision must be one of float32, float64"),
        ({"init": "zeros"}, "--init must be one of uniform, he"),
        ({"layers": "784"}, "--layers must be two or more sizes"),
        ({"layers": "784-x-10"}, "--layers"),
        ({"layers": "784-0-10"}, "--layers"),
        ({"layers": "784--10"}, "--layers"),
        ({"iterations": None}, "--iterations or --epochs"),
        ({"optimizer": "adm"}, r"--optimizer must be one of .*, not 'adm'; did you mean adam\?"),
        ({"schedule": "cosin"}, r"--schedule .* did you mean cosine\?"),
        ({"activation": "rely"}, r"--activation .* did you mean relu\?"),
        (
            {"hidden_dropout": 1.0},
            "--hidden-dropout must be a finite number of at least 0 and below 1",
        ),
        ({"input_dropout": -0.1}, "--input-dropout"),
        ({"label_smoothing": 1.5}, "--label-smoothing"),
        ({"warmup": 1.0}, "--warmup"),
        ({"ema": 1.0}, "--ema"),
        ({"rotation": -3.0}, "--rotation"),
        ({"elastic": -1.0}, "--elastic must be"),
        ({"elastic_sigma": 0.0}, "--elastic-sigma .* greater than 0 and below 28, not 0.0"),
        ({"images_per_map": 0}, "--images-per-map"),
        ({"clip_norm": 0.0}, "--clip-norm"),
        ({"max_norm": -1.0}, "--max-norm"),
        ({"early_stopping": 0}, "--early-stopping"),
        ({"batch_norm": 1}, "--batch-norm must be bool"),
    ],
)
def test_a_wrong_value_names_its_flag(change, message):
    with pytest.raises(UsageError, match=message) as refusal:
        Settings(**change)
    assert refusal.value.exit_status == 2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"optimizer": "sgd"}, r"did you mean gradient-descent\?"),
        ({"optimizer": "nag"}, r"did you mean nesterov\?"),
        ({"optimizer": "adamw"}, r"did you mean adam with --weight-decay\?"),
        ({"activation": "silu"}, r"did you mean gelu\?"),
        ({"activation": "softmax"}, r"did you mean relu .*the last layer always has softmax"),
        ({"init": "xavier"}, r"did you mean glorot\?"),
        ({"precision": "half"}, r"did you mean bf16\?"),
    ],
)
def test_other_names_lead_to_the_names_here(change, message):
    with pytest.raises(UsageError, match=message):
        Settings(**change)


@pytest.mark.parametrize(
    ("name", "table"),
    [
        ("activation", ACTIVATIONS),
        ("init", INITIALIZATIONS),
        ("optimizer", OPTIMIZERS),
        ("schedule", SCHEDULES),
        ("precision", PRECISIONS),
    ],
)
def test_the_choices_are_those_of_the_table(name, table):
    """Each name of the table is allowed and stands in the help text."""
    (knob,) = (knob for knob in fields(Settings) if knob.name == name)
    assert f": {', '.join(table)}." in knob.metadata["help"]
    for choice in table:
        assert getattr(Settings(**{name: choice}), name) == choice


def test_a_row_added_to_a_table_is_a_choice(monkeypatch):
    with pytest.raises(UsageError, match="--schedule"):
        Settings(schedule="halving")
    monkeypatch.setitem(SCHEDULES, "halving", lambda progress: 0.5**progress)
    assert Settings(schedule="halving").schedule == "halving"
    with pytest.raises(UsageError, match=r"one-cycle, halving, not 'halvin'; did you mean halving"):
        Settings(schedule="halvin")


def test_no_help_text_repeats_a_default():
    """The default is shown by `--help` itself."""
    for knob in fields(Settings):
        if isinstance(knob.default, int | float) and not isinstance(knob.default, bool):
            assert str(knob.default) not in re.findall(r"[\d.]+\d", knob.metadata["help"]), (
                knob.name
            )
        assert "default" not in knob.metadata["help"]


def test_iterations_and_epochs_replace_each_other():
    assert Settings().changed(epochs=3).iterations is None
    assert Settings(epochs=3).iterations is None
    assert Settings().changed(epochs=3).changed(iterations=5).epochs is None
    assert Settings(epochs=3).changed(seed=1).epochs == 3
    with pytest.raises(UsageError, match="--iterations or --epochs, not both"):
        Settings().changed(iterations=5, epochs=5)


@pytest.mark.parametrize("length", [{"iterations": 7}, {"epochs": 3}])
def test_all_settings_of_a_run_are_those_of_another(length):
    """Events, the lab and distill give them as they are, the length that is None among them."""
    settings = Settings(seed=4, **length)
    for begun in (Settings(iterations=9), Settings(epochs=9)):
        assert begun.changed(**vars(settings)) == settings


def test_settings_survive_json():
    settings = Settings(layers="784-20-10", learning_rate=0.25, batch_size=64)
    assert from_dict(settings.as_dict(), "settings.json") == settings


def test_an_unknown_setting_in_a_file_is_refused():
    with pytest.raises(DataError, match=r"settings.json: unknown setting 'momentun'"):
        from_dict({"momentun": 0.9}, "settings.json")


@pytest.mark.parametrize(
    "layers", [(784, 64, 10), [784, 64, 10], np.array([784, 64, 10]), (np.int64(784), 64, 10)]
)
def test_layers_may_be_sizes(layers):
    assert Settings(layers=layers).layers == Settings(layers).layers == "784-64-10"
    assert Settings().changed(layers=layers).sizes == (784, 64, 10)


@pytest.mark.parametrize(
    ("layers", "shown"),
    [
        (784, "'784'"),
        ((784,), "'784'"),
        ((784, 1.5, 10), "'784-1.5-10'"),
        ((784, True), "'784-True'"),
        (b"784-10", "not"),
        (None, "'None'"),
    ],
)
def test_layers_that_are_no_sizes_are_refused_with_an_example(layers, shown):
    with pytest.raises(UsageError, match="such as 784-128-10, not") as error:
        Settings(layers=layers)
    assert shown in str(error.value)


def test_numbers_of_numpy_are_numbers():
    settings = Settings(alpha=np.float32(0.25), epochs=np.int16(3), center=np.bool_(True))
    assert settings == Settings(learning_rate=0.25, epochs=3, center=True)
    assert type(settings.learning_rate) is float
    with pytest.raises(UsageError, match=r"--alpha must be float, not \[0\.1, 0\.2\]"):
        Settings(alpha=np.array([0.1, 0.2]))


def test_more_values_than_settings_are_pythons_own_error():
    with pytest.raises(TypeError, match="positional arguments"):
        Settings(*[Settings()] * 100)
