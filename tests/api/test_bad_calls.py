"""A wrong call of the front door is one sentence of the project's own, and overwrites nothing."""

import numpy as np
import pytest

import mnistgpu
from mnistgpu import DataError, RunError, UsageError

SMALL = {"layers": "784-8-10", "init": "he", "iterations": 3, "alpha": 0.1}
LONG = "a" * 5000


@pytest.fixture(scope="module")
def saved(arrays, tmp_path_factory):
    """A short run in a directory, trained on arrays."""
    return mnistgpu.fit(*arrays, **SMALL, out=tmp_path_factory.mktemp("runs") / "small")


THEIRS = ("mine.png", "mine.gif", "mine.html", "mine.txt")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The current directory, with files that are not ours; they stay, and nothing is added."""
    monkeypatch.chdir(tmp_path)
    for name in THEIRS:
        (tmp_path / name).write_text("mine")
    yield tmp_path
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(THEIRS)
    assert {(tmp_path / name).read_text() for name in THEIRS} == {"mine"}


CALLS = {  # what is called with one wrong value
    "fit out": lambda value, run, data: mnistgpu.fit(*data, **SMALL, out=value),
    "resume": lambda value, run, data: mnistgpu.resume(value),
    "resume out": lambda value, run, data: mnistgpu.resume(run.directory, *data, out=value),
    "save": lambda value, run, data: mnistgpu.save(run, value),
    "evaluate report": lambda value, run, data: mnistgpu.evaluate(run, *data, report=value),
    "committee out": lambda value, run, data: mnistgpu.committee([run], out=value),
    "lr_find out": lambda value, run, data: mnistgpu.lr_find(*data, **SMALL, out=value),
    "plot": lambda value, run, data: mnistgpu.plot(value, *data),
    "plot out": lambda value, run, data: mnistgpu.plot(run.directory, *data, out=value),
    "run.plot path": lambda value, run, data: run.plot(*data, path=value),
    "submit test": lambda value, run, data: mnistgpu.submit(run, value),
    "submit out": lambda value, run, data: mnistgpu.submit(run, "mine.txt", value),
    "draw keep": lambda value, run, data: mnistgpu.draw(keep=value, browser=False),
    "load_data": lambda value, run, data: mnistgpu.load_data(value),
}


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("wrong", [5, 1.5, b"a", ["a"], dict, "a\0.png", f"{LONG}.png"])
def test_what_is_no_path_is_refused(call, wrong, saved, arrays, folder):
    with pytest.raises((UsageError, DataError, RunError)) as error:
        CALLS[call](wrong, saved, arrays)
    said = str(error.value)
    if call == "read":  # which also takes arrays, bytes and open files
        assert said.startswith(("the picture: ", "picture: ", "picture a", f"picture {LONG[:9]}"))
    elif not isinstance(wrong, str):
        assert error.type is UsageError
        assert f"must be a path, as text or a Path, not {type(wrong).__name__}" in said
    assert "\n" not in said


WRONG = [
    ({"backend": 5}, "unknown backend 5"),
    ({"backend": "cupy:" + "9" * 5000}, "unknown backend"),
    ({"recipe": ["fast"]}, "--recipe must be one of"),
    ({"deform": ["strong"]}, "--deform must be one of"),
    ({"checkpoint_every": 60}, "not 60"),
    ({"callbacks": mnistgpu.Callback()}, "callbacks: must be a list of objects"),
    ({"callbacks": [mnistgpu.Callback]}, "callbacks: must be a list of objects"),
    ({"callbacks": [print]}, "such as callbacks=[Print()]"),
    ({"stop": mnistgpu.Stop}, "stop: must be a mnistgpu.Stop"),
    ({"progress": "no"}, "progress: must be True or False, not 'no'"),
    ({"force": "no"}, "force: must be True or False, not 'no'"),
    ({"snapshots": 2}, "snapshots: must be True or False, not 2"),
    ({"watch": "no"}, "watch: must be True or False, not 'no'"),
    ({"watch": {"prot": 80}}, "watch: 'prot' is none of host, port, allow_hosts"),
    ({"layers": 784}, "--layers must be"),
    ({"alpha": np.array([0.1, 0.2])}, "--alpha must be float"),
]


@pytest.mark.parametrize(("arguments", "words"), WRONG)
def test_a_wrong_argument_of_fit_and_resume_is_refused(arguments, words, saved, arrays, folder):
    with pytest.raises(UsageError) as error:
        mnistgpu.fit(*arrays, **SMALL | arguments)
    assert words in str(error.value)
    if "recipe" not in arguments:
        with pytest.raises(UsageError) as error:
            mnistgpu.resume(saved.directory, *arrays, iterations=5, out="longer", **arguments)
        assert words in str(error.value)


def test_snapshots_need_a_directory(arrays):
    with pytest.raises(UsageError, match="give out as well"):
        mnistgpu.fit(*arrays, **SMALL, snapshots=True)


@pytest.mark.parametrize("out", ["", ".", "./", "x/.."])
def test_the_current_directory_is_no_run(out, saved, arrays, folder):
    for call in ("fit out", "resume out", "committee out"):
        with pytest.raises(UsageError, match="a directory of its own"):
            CALLS[call](out, saved, arrays)


def test_a_run_goes_on_with_the_same_validation_only(saved, arrays, folder):
    with pytest.raises(UsageError, match="trained with 90 so far"):
        mnistgpu.resume(saved.directory, *arrays, iterations=4, validation=80, out="longer")
    with pytest.raises(UsageError, match="--recipe cannot be given with --resume"):
        mnistgpu.resume(saved.directory, *arrays, iterations=4, recipe="fast", out="longer")
    with pytest.raises(DataError, match="in Python as X and y"):
        mnistgpu.resume(saved.directory, iterations=4, out="longer")


def test_settings_of_a_run_may_be_given_again(saved, arrays, tmp_path):
    given = {"validation": np.int64(90), "layers": (784, 8, 10), "alpha": np.float64(0.1)}
    run = mnistgpu.resume(saved.directory, *arrays, iterations=4, **given, out=tmp_path / "longer")
    assert run.results["iterations"] == 4


@pytest.mark.slow
@pytest.mark.parametrize("results", ["{}", '{"test_accuracy": "good", "iterations": 3}'])
def test_damaged_results_are_written_again(results, arrays, tmp_path):
    mnistgpu.fit(*arrays, **SMALL, out=tmp_path / "run")
    (tmp_path / "run" / "results.json").write_text(results)
    again = mnistgpu.resume(tmp_path / "run", *arrays)
    assert repr(again).startswith("<Run 784-8-10: 3 iterations in")


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda run, X, y: mnistgpu.evaluate(run, None, y), "y is given, but X is missing"),
        (lambda run, X, y: mnistgpu.evaluate(run, "mine.txt", y), "y is given, but X is a path"),
        (
            lambda run, X, y: mnistgpu.evaluate(run, mnistgpu.Digits(X, y, "here"), y),
            "y is given, but X is a Digits",
        ),
        (lambda run, X, y: run.plot(None, y), "y is given, but X is missing"),
        (lambda run, X, y: run.model.evaluate(X), "no labels to compare with"),
        (lambda run, X, y: mnistgpu.committee("run"), "models: must be a list"),
        (lambda run, X, y: mnistgpu.committee(run), "models: must be a list"),
        (lambda run, X, y: mnistgpu.committee([]), "at least one model"),
        (lambda run, X, y: mnistgpu.committee([run], maps=-1), "maps: must be 0 to 1024, not -1"),
        (lambda run, X, y: mnistgpu.committee([run], maps=None), "maps: must be 0 to 1024"),
        (lambda run, X, y: mnistgpu.committee([run], maps=True), "maps: must be 0 to 1024"),
        (lambda run, X, y: mnistgpu.lr_find(X, y, steps=9), "steps: must be a whole number of at"),
        (lambda run, X, y: mnistgpu.lr_find(X, y, steps="9"), "not '9'"),
        (lambda run, X, y: mnistgpu.lr_find(X, y, out="new.txt"), "must end with .png"),
        (lambda run, X, y: mnistgpu.plot(run, kind=["report"]), "kind must be one of"),
        (lambda run, X, y: mnistgpu.plot(run, X, y, out="mine.png"), "not one this program made"),
        (
            lambda run, X, y: mnistgpu.plot(run, kind="animation", out="mine.gif"),
            "not one this program made",
        ),
        (lambda run, X, y: run.plot(X, y, path="mine.png"), "not one this program made"),
        (lambda run, X, y: run.plot(X, y, path="mine.txt"), "must end with .png"),
        (lambda run, X, y: mnistgpu.save(run, "mine.txt", force="no"), "force: must be True or"),
        (lambda run, X, y: mnistgpu.evaluate(run, X, y, robustness=3), "robustness: must be True"),
        (lambda run, X, y: run.model.evaluate(X, y, robustness=3), "robustness: must be True"),
        (lambda run, X, y: run.model.read("mine.png", many="no"), "many: must be True"),
        (lambda run, X, y: mnistgpu.load_data("mine.txt", "sideways"), "orientation: must be one"),
        (lambda run, X, y: mnistgpu.load_data("mine.txt", orientation=0), "orientation: must be"),
        (lambda run, X, y: mnistgpu.Model("run"), "a Model is not made of a str; get one with"),
        (lambda run, X, y: mnistgpu.draw(run, host=5, browser=False), "--host 5"),
        (lambda run, X, y: mnistgpu.draw(run, port="x", browser=False), "a port is a whole number"),
        (lambda run, X, y: mnistgpu.draw(run, allow_hosts="a.org", browser=False), "a list of nam"),
        (lambda run, X, y: mnistgpu.draw(run, allow_hosts=[5], browser=False), "--allow-host 5"),
    ],
)
def test_other_wrong_calls_are_refused(call, words, saved, arrays, folder):
    with pytest.raises(UsageError) as error:
        call(saved, *arrays)
    assert words in str(error.value)


def test_labels_that_are_no_class_are_refused(saved, arrays):
    X, y = arrays
    wrong = np.where(np.arange(900) == 7, 12, y)
    for call in (
        lambda: mnistgpu.fit(X, y, test=(X, wrong), **SMALL),
        lambda: mnistgpu.fit(X, y, validation=(X, wrong), **SMALL),
        lambda: mnistgpu.evaluate(saved, X, wrong),
        lambda: mnistgpu.compare(saved, saved, X, wrong),
        lambda: saved.plot(X, wrong),
    ):
        with pytest.raises(DataError, match="label 12 of image 7 is none of the 10 classes"):
            call()


def test_a_test_without_labels_is_refused(arrays):
    for name in ("test", "validation"):
        with pytest.raises(DataError, match=rf"{name}\[1\]: is missing"):
            mnistgpu.fit(*arrays, **{name: (arrays[0], None)}, **SMALL)


def test_a_saved_run_is_drawn_and_others_say_how(saved, arrays, tmp_path):
    out = tmp_path / "a.png"
    assert mnistgpu.plot(saved, *arrays, out=out) == out
    assert mnistgpu.plot(saved, *arrays, out=out) == out  # its own picture is replaced
    with pytest.raises(UsageError, match=r"is not saved; .* run\.plot\(\)"):
        mnistgpu.plot(mnistgpu.fit(*arrays, **SMALL), *arrays)
