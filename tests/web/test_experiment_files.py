"""The files of experiments: those that come with the package, and every mistake in one's own."""

import random
import re
import tomllib

import pytest

from mnistgpu.errors import DataError, UsageError
from mnistgpu.runs.twists import TWISTS
from mnistgpu.web import experiments
from mnistgpu.web.experiments.numbers import CURVES, NUMBERS, PICTURES
from mnistgpu.web.experiments.reading import HERE

GOOD = """title = "A title"
question = "What happens?"
guesses = ["This.", "That."]
right = 2
explanation = '''
{plain.test_accuracy} of the answers are right,
and {changed.share_of_answers(7)} are 7.

The end.
'''
images = 500

[settings]
layers = "784-16-10"
alpha = 0.2
epochs = 2

[runs.plain]
says = "as usual"

[runs.changed]
says = "changed"
alpha = 0.4
iterations = 7
images = 600
twists.shuffled-labels = 0.5

[[claims]]
check = "plain.test_accuracy > 20%"
says = "More than 20%."

[[claims]]
check = "plain.test_accuracy - changed.test_accuracy > 0"
says = "The first is better: {plain.test_accuracy}."

[[pictures]]
shows = "plain.upside_down"
says = "An image, {plain.upside_down_answer}"

[[curves]]
shows = "plain.accuracy_without"
says = "A curve"
"""
GERMAN = """title = "Ein Titel"
question = "Was geschieht?"
guesses = ["Dies.", "Das."]
explanation = "{plain.test_accuracy}"
claims = ["Mehr als 20 %.", "Das erste ist besser."]
pictures = ["Ein Bild"]
curves = ["Eine Kurve"]

[runs]
plain = "wie sonst"
changed = "anders"
"""


def written(folder, text, name="my-own.toml"):
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def said(folder, text, name="my-own.toml", language="en"):
    """The sentence about a file that cannot be used, without its folder."""
    with pytest.raises(DataError) as raised:
        experiments.read(written(folder, text, name), language)
    sentence = str(raised.value).replace(f"{folder}/", "")
    assert "\n" not in sentence
    return sentence


def test_a_file_is_read_as_it_says(tmp_path):
    found = experiments.read(written(tmp_path, GOOD))
    assert (found.name, found.title, found.right) == ("my-own", "A title", 2)
    plain, changed = found.runs
    assert (plain.settings.layers, plain.settings.learning_rate) == ("784-16-10", 0.2)
    assert (plain.settings.epochs, plain.settings.iterations) == (2, None)
    assert (changed.settings.learning_rate, changed.settings.iterations) == (0.4, 7)
    assert changed.settings.epochs is None
    assert (plain.images, changed.images) == (500, 600)
    assert changed.twists == {"shuffled-labels": 0.5}
    assert [str(name) for name in found.names()] == [
        "plain.test_accuracy",
        "changed.share_of_answers(7)",
        "plain.upside_down_answer",
        "changed.test_accuracy",
    ]
    assert found.as_dict()["guesses"] == ["This.", "That."]


def test_words_of_another_language_are_taken_where_they_are(tmp_path):
    path = written(tmp_path, GOOD)
    assert experiments.read(path, "de").language == "en"
    written(tmp_path, GERMAN, "my-own.de.toml")
    english, german = experiments.read(path), experiments.read(path, "de")
    assert (english.language, english.title) == ("en", "A title")
    assert (german.language, german.title) == ("de", "Ein Titel")
    assert [run.says for run in german.runs] == ["wie sonst", "anders"]
    assert [claim.says for claim in german.claims] == ["Mehr als 20 %.", "Das erste ist besser."]
    assert [claim.check for claim in german.claims] == [claim.check for claim in english.claims]
    assert [run.settings for run in german.runs] == [run.settings for run in english.runs]
    assert (german.pictures[0].says, german.pictures[0].name) == (
        "Ein Bild",
        english.pictures[0].name,
    )


# What a teacher may write, what was there before, and what is said about it
MISTAKES = [
    ('title = "A title"', "title = A title", "my-own.toml, line 1: not valid TOML (Invalid value"),
    ('title = "A title"\n', "", "my-own.toml: lacks title; add it, text in quotes"),
    (
        'title = "A title"',
        'titel = "A"',
        "line 1: has no key 'titel', but title, question, guesses",
    ),
    ('title = "A title"', 'titel = "A"', "; did you mean title?"),
    ('title = "A title"', "title = 3", "my-own.toml, line 1: title must be text in quotes"),
    ('title = "A title"', 'title = ""', "my-own.toml, line 1: title must be text in quotes"),
    (
        '"What happens?"',
        '"{plain.test_accuracy}?"',
        "line 2: question is shown before the experiment runs, so no number can stand in it",
    ),
    ('["This.", "That."]', '["This."]', "line 4: right must be the number of a guess, from 1 to 1"),
    ('["This.", "That."]', '["This.", 2]', "line 3: guesses must be a list of texts, none of"),
    ("right = 2", "right = 3", "line 4: right must be the number of a guess, from 1 to 2"),
    ("right = 2", "right = true", "line 4: right must be a whole number"),
    (
        "images = 500",
        "images = 5",
        "line 11: images must be a whole number from 10 to 59000, not 5",
    ),
    ("images = 600", "images = '600'", "line 25: images must be a whole number from 10 to 59000"),
    (
        "{plain.test_accuracy} of",
        "{plain.test_acuracy} of",
        "line 5: there is no number 'test_acuracy'; did you mean test_accuracy?",
    ),
    ("{plain.test_accuracy} of", "{plane.test_accuracy} of", "is of no run: there are plain, chan"),
    (
        "{plain.test_accuracy} of",
        "{accuracy} of",
        "line 5: 'accuracy' is no number of a run; write",
    ),
    (
        "{plain.test_accuracy} of",
        "{plain.test_accuracy of",
        "line 5: has a brace without its other",
    ),
    (
        "answers(7)",
        "answers",
        "line 5: changed.share_of_answers needs a number from 0 to 9 in parentheses, such as chang",
    ),
    ("answers(7)", "answers(10)", "needs a number from 0 to 9 in parentheses"),
    ("{plain.test_accuracy} of", "{plain.test_accuracy(1)} of", "takes no argument; leave (1) out"),
    ("alpha = 0.2", "alhpa = 0.2", "line 15: [settings] there is no setting 'alhpa'; did you mean"),
    (
        "alpha = 0.2",
        "alpha = -1",
        "line 15: [settings] --alpha must be a finite number greater tha",
    ),
    ("alpha = 0.2", "seed = 3", "line 15: [settings] leave seed out: whoever runs the experiment"),
    ("alpha = 0.2", "validation = 3", "leave validation out: the last 1,000 of MNIST's training"),
    ("alpha = 0.2", "right = 2", "there is no setting 'right'; write right above the first table"),
    ("784-16-10", "100-16-10", "layers must begin with 784 pixels and end with 10 digits, such as"),
    ("alpha = 0.4", "alpha = 'much'", "line 23: [runs.changed] --alpha must be float, not 'much'"),
    (
        "alpha = 0.4",
        "alpha = 0.4\nweight_decay = 3.0",
        "my-own.toml, line 21: [runs.changed] --weight-decay 3 times --alpha 0.4 must be less than",
    ),
    ('says = "as usual"\n', "", 'line 18: [runs.plain] needs says = "...", what this run is in w'),
    (
        "shuffled-labels = 0.5",
        "shuffled-labels = 2",
        "line 26: the twist shuffled-labels must be a share greater than 0, up to 1, not 2",
    ),
    (
        "shuffled-labels = 0.5",
        "shuffled-label = 0.5",
        "line 26: there is no twist 'shuffled-label': choose one of zero-weights, other-first-weig",
    ),
    ("twists.shuffled-labels = 0.5", 'twists = "x"', "line 26: [runs.changed] twists need a value"),
    ("[runs.changed]", "[runs.Changed]", "runs.Changed must be a table such as [runs.plain], its"),
    ('"plain.test_accuracy > 20%"', '"plain.test_accuracy"', "line 29: 'plain.test_accuracy' must"),
    ('"plain.test_accuracy > 20%"', '"1 > 20%"', "line 29: '1 > 20%' names no number of a run, so"),
    (
        '"plain.test_accuracy > 20%"',
        '"plain.test_accuracy > x"',
        "line 29: 'x' is no number of a r",
    ),
    ('"plain.test_accuracy > 20%"', '"other.test_accuracy > 1"', "line 29: other.test_accuracy is"),
    (' - changed.test_accuracy > 0"', ' - changed.what > 0"', "line 33: there is no number 'what'"),
    (
        '"The first is better: {plain',
        '"The first: {plan',
        "line 33: plan.test_accuracy is of no ru",
    ),
    ("[[claims]]", "[claims]", "not valid TOML"),
    ('check = "plain.test_accuracy > 20%"\n', "", "line 28: [claims] lacks check; add it, text in"),
    (
        'says = "More than 20%."',
        'say = "More"',
        "line 30: [claims] has no key 'say', but check, sa",
    ),
    (
        '"plain.upside_down"',
        '"plain.upside"',
        "line 37: there is no plain.upside among the pictures",
    ),
    (
        '"plain.upside_down"',
        '"plane.upside_down"',
        "line 37: plane.upside_down is of no run: there",
    ),
    ('"A curve"', '"{plain.x}"', "line 41: there is no number 'x'; docs/experiments.md lists them"),
]


@pytest.mark.parametrize(("there", "wrong", "sentence"), MISTAKES, ids=lambda each: each[:30])
def test_every_mistake_is_said_with_its_place_and_its_remedy(tmp_path, there, wrong, sentence):
    assert GOOD.count(there) >= 1
    assert sentence in said(tmp_path, GOOD.replace(there, wrong, 1))


def test_without_runs_or_claims_there_is_no_experiment(tmp_path):
    without = re.sub(r"\[\[claims\]\]\n.*\n.*\n", "", GOOD)
    assert said(tmp_path, without) == (
        "my-own.toml: lacks claims; add it, tables, each under [[claims]]"
    )


GERMAN_MISTAKES = [
    ('"Dies.", "Das."', '"Dies."', "line 3: must have 2 guesses, in the order of my-own.toml"),
    ('"Mehr als 20 %.", ', "", "line 5: claims must be a list of 2 texts, in the order of my-own"),
    ('plain = "wie sonst"\n', "", '[runs] must have the words of each run: plain = "...", changed'),
    ("{plain.test_accuracy}", "{plain.genau}", "line 4: there is no number 'genau'"),
    ('curves = ["Eine Kurve"]\n', "", "my-own.de.toml: lacks curves; add it, a list of texts in"),
    ('"Ein Titel"', "Ein Titel", "my-own.de.toml, line 1: not valid TOML"),
    ("title", "right = 2\ntitle", "line 1: has no key 'right', but title, question, guesses, expl"),
]


@pytest.mark.parametrize(("there", "wrong", "sentence"), GERMAN_MISTAKES)
def test_words_that_are_missing_or_too_many_are_said(tmp_path, there, wrong, sentence):
    written(tmp_path, GERMAN.replace(there, wrong, 1), "my-own.de.toml")
    assert sentence in said(tmp_path, GOOD, language="de")


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("my.own.toml", "must end in .toml and have no other dot"),
        ("my-own.txt", "must end in .toml and have no other dot"),
        (
            "My_Own.toml",
            "must be of small letters a to z and digits, joined by -, such as 13-my-qu",
        ),
        ("13-.toml", "must be of small letters a to z and digits"),
    ],
)
def test_names_of_files(tmp_path, name, sentence):
    assert sentence in said(tmp_path, GOOD, name)


def test_files_that_are_no_text(tmp_path):
    path = tmp_path / "my-own.toml"
    with pytest.raises(DataError, match="no such file; check the path"):
        experiments.read(path)
    path.write_bytes(GOOD.replace("A title", "Ein Täuschung").encode("latin-1"))
    with pytest.raises(DataError, match=r"byte \d+ is not UTF-8; save the file as UTF-8 text"):
        experiments.read(path)


def test_a_folder_gives_what_can_be_used_and_says_what_cannot(tmp_path):
    for name in ("02-second.toml", "01-first.toml", "03-second.toml"):
        written(tmp_path, GOOD, name)
    written(tmp_path, GOOD.replace("right = 2", "right = 9"), "04-bad.toml")
    written(tmp_path, GERMAN, "01-first.de.toml")
    written(tmp_path, GERMAN, "05-alone.de.toml")
    found, problems = experiments.found(tmp_path)
    assert [each.name for each in found] == ["first", "second"]
    assert len(problems) == 3
    assert "03-second.toml: has the name of 02-second.toml; choose another" in problems[0]
    assert "04-bad.toml, line 4: right must be the number of a guess" in problems[1]
    assert "05-alone.de.toml: has words of 05-alone.toml, which is not there" in problems[2]


def test_folders_without_experiments_are_said(tmp_path):
    found, (problem,) = experiments.found(tmp_path)
    assert found == []
    assert problem == f"{tmp_path}: has no experiments, which are files such as a.toml"
    with pytest.raises(DataError, match="no such folder; give one with experiments"):
        experiments.found(tmp_path / "missing")


@pytest.mark.parametrize("language", ["../x", "", "German", "d"])
def test_languages_that_are_none_are_said(tmp_path, language):
    path = written(tmp_path, GOOD)
    with pytest.raises(UsageError, match="language: must be two or three letters, such as de"):
        experiments.read(path, language)


def test_any_change_of_a_file_is_read_or_said_in_one_sentence(tmp_path):
    """Lines doubled, left out, exchanged and cut: never another error."""
    rng = random.Random(3)
    lines, sentences = GOOD.splitlines(), []
    for _ in range(150):
        changed = list(lines)
        at, other = rng.randrange(len(lines)), rng.randrange(len(lines))
        way = rng.randrange(5)
        if way == 0:
            changed.insert(at, lines[other])
        elif way == 1:
            del changed[at]
        elif way == 2:
            changed[at], changed[other] = lines[other], lines[at]
        elif way == 3:
            cut = rng.randrange(len(lines[at]) + 1)
            changed[at] = lines[at][:cut] + rng.choice("[]{}=\"'.-0%\x00") + lines[at][cut:]
        else:
            key, equals, _ = lines[at].partition(" = ")
            value = rng.choice(["1", "-1", "1e999", "nan", "true", "[]", "{}", '""', "[[1]]", "x"])
            changed[at] = f"{key}{equals}{value}"
        path = written(tmp_path, "\n".join(changed))
        try:
            experiments.read(path)
        except DataError as error:
            sentences.append(str(error))
    assert len(sentences) > 60
    for sentence in sentences:
        assert str(tmp_path) in sentence
        assert "\n" not in sentence


@pytest.mark.parametrize("language", ["en", "de"])
def test_those_that_come_with_the_package_are_whole_in_every_language(language):
    found, problems = experiments.found(language=language)
    assert problems == []
    assert len(found) >= 12
    assert {each.language for each in found} == {language}
    for each in found:
        assert all(each.as_dict().values()), each.name
        assert len(each.guesses) == 3, each.name
        # an explanation says numbers of every run
        assert {name.run for name in each.names()} == {run.name for run in each.runs}, each.name


def test_the_words_of_languages_differ():
    """Nobody has copied an English sentence into the German file."""
    for path in HERE.glob("*.de.toml"):
        german = tomllib.loads(path.read_text(encoding="utf-8"))
        of = path.with_name(path.name.replace(".de.", "."))
        english = tomllib.loads(of.read_text(encoding="utf-8"))
        for key in ("title", "question", "explanation"):
            assert german[key] != english[key], path.name
        assert not set(german["guesses"]) & set(english["guesses"]), path.name


def test_every_twist_number_picture_and_curve_is_used_or_said():
    """docs/experiments.md lists all that a file may name, with the words of the tables."""
    from helpers.mnist import ROOT

    page = (ROOT / "docs" / "experiments.md").read_text(encoding="utf-8")
    for name, twist in TWISTS.items():
        assert f"| `{name}` | {twist.help.removesuffix('.')}" in page, name
    for name, number in NUMBERS.items():
        shown = name if number.most is None else f"{name}(N)"
        assert f"| `{shown}` | {number.help} |" in page, name
    for name in (*PICTURES, *CURVES):
        assert f"| `{name}` |" in page, name
