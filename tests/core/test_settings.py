"""Settings: one place for every knob, and refusals that name the flag."""

import math
from dataclasses import fields

import pytest

from mnistgpu.errors import DataError, UsageError
from mnistgpu.settings import Settings, flags_of, from_dict


def test_the_default_is_the_network_of_the_documents():
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
        ({"hidden_dropout": 1.0}, "--hidden-dropout must be a number from 0 up to, but not, 1"),
        ({"input_dropout": -0.1}, "--input-dropout"),
        ({"label_smoothing": 1.5}, "--label-smoothing"),
        ({"warmup": 1.0}, "--warmup"),
        ({"ema": 1.0}, "--ema"),
        ({"rotation": -3.0}, "--rotation"),
        ({"elastic": -1.0}, "--elastic must be"),
        ({"elastic_sigma": 0.0}, "--elastic-sigma"),
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


def test_iterations_and_epochs_replace_each_other():
    assert Settings().changed(epochs=3).iterations is None
    assert Settings(epochs=3).iterations is None
    assert Settings().changed(epochs=3).changed(iterations=5).epochs is None
    assert Settings(epochs=3).changed(seed=1).epochs == 3
    with pytest.raises(UsageError, match="--iterations or --epochs, not both"):
        Settings().changed(iterations=5, epochs=5)


def test_settings_survive_json():
    settings = Settings(layers="784-20-10", learning_rate=0.25, batch_size=64)
    assert from_dict(settings.as_dict(), "settings.json") == settings


def test_an_unknown_setting_in_a_file_is_refused():
    with pytest.raises(DataError, match=r"settings.json: unknown setting 'momentun'"):
        from_dict({"momentun": 0.9}, "settings.json")
