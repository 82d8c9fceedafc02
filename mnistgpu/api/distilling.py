"""One plain network that answers as a committee does (`distill`)."""

from __future__ import annotations

from typing import Any

from mnistgpu.api.fitting import fit
from mnistgpu.api.inputs import network_of
from mnistgpu.api.own_data import dataset_of, members_of, name_of
from mnistgpu.api.run import Run
from mnistgpu.errors import UsageError
from mnistgpu.settings import LENGTHS, PRECISIONS, from_dict, is_setting, renamed

# settings of the first member that belong to its own data and beginning, and not to a student
OWN = (
    *("from_run", "freeze", "unlabeled", "adversarial", "consistency", "denoising", "information"),
    *("teacher", "graph", "class_weight"),
)
OF_DATA = ("test_share", "validation", "orientation")  # how its own data were read and divided


def distill(
    model: Any, X: Any = None, y: Any = None, *, recipe: str | None = None, **options: Any
) -> Run:
    """Train one plain network on the answers of a committee, or of another network; the run.

    model: a Model, a Run, or the path of one. Of a committee the mean of its members' answers is
        learnt, without the deformed copies of its `maps`.
    X, y: images to learn on, with labels that only the accuracies are measured with; by default
        those that the teacher was trained on.
    recipe: the settings to begin with; by default those of the first member's training.
    options: whatever `fit` takes, such as layers="784-800-800-10", epochs=40 or
        out="runs/distilled". Labels are not smoothed, since the answers are soft already.

    Raises what `fit` raises, and UsageError if the classes or the images of the teacher are others.
    """
    if options.pop("teacher", None) is not None:
        raise UsageError("distill: --teacher is the network that is named first; leave it out")
    teacher = network_of(model)
    first = members_of(teacher)[0]
    left_out = [*OWN, *OF_DATA]
    if X is None:
        X = dataset_of(model, teacher)
        left_out = [*OWN, "test_share"]  # the test part is cut off already
        cut = recipe is None and first.settings.get("test_share")
        if cut and X.path is not None and X.train.weights is None:
            X, left_out = X.path, [*OWN]  # so that the student's data can be read again, too
    given = renamed({name: value for name, value in options.items() if is_setting(name)})
    options = {name: value for name, value in options.items() if not is_setting(name)}
    begun: dict[str, Any] = {}
    if recipe is None and first.settings:
        begun = vars(from_dict(first.settings, name_of(model)))
        if set(LENGTHS) & set(given):
            left_out += LENGTHS
        if given.get("optimizer", begun["optimizer"]) != begun["optimizer"]:
            left_out += ("learning_rate", "momentum")  # they suit its own optimiser
        begun = {name: value for name, value in begun.items() if name not in left_out}
        begun["precision"] = PRECISIONS[begun["precision"]]  # exact has no teacher
    begun["label_smoothing"] = 0.0
    return fit(X, y, recipe=recipe, teacher=model, **options, **{**begun, **given})
