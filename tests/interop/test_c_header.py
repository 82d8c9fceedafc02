"""The C header, compiled with every warning as an error: its answers are those of Python."""

import shutil
import subprocess

import numpy as np
import pytest
from helpers.mnist import read_idx
from helpers.networks import committee, made

import mnistgpu
from mnistgpu.data.levels import Levels
from mnistgpu.maths.activations import ACTIVATIONS

COMPILERS = {"c": ("gcc", "-std=c99"), "c++": ("g++", "-std=c++17", "-x", "c++")}
STRICT = ("-O1", "-Wall", "-Wextra", "-Werror", "-pedantic")
PROGRAM = """
#include <stdio.h>
#include "model.h"
int main(void)
{
    unsigned char pixels[MNISTGPU_PIXELS];
    NUMBER shares[MNISTGPU_CLASSES];
    while (fread(pixels, 1, MNISTGPU_PIXELS, stdin) == MNISTGPU_PIXELS) {
        mnistgpu_probabilities(pixels, shares);
        for (int k = 0; k < MNISTGPU_CLASSES; k++)
            printf("%.9g ", (double)shares[k]);
        printf("%s\\n", mnistgpu_classes[mnistgpu_answer(pixels)]);
    }
    return 0;
}
"""


@pytest.fixture(scope="module")
def images():
    return read_idx("t10k-images-idx3-ubyte", 400)


def built(folder, language="c", number="float"):
    """Compile the program with the header of this folder; the program's path."""
    compiler, *options = COMPILERS[language]
    if shutil.which(compiler) is None:
        pytest.skip(f"{compiler} is missing")
    (folder / "main.c").write_text(PROGRAM.replace("NUMBER", number))
    command = [compiler, *options, *STRICT, "main.c", "-o", "program", "-lm"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    return folder / "program"


def answers(program, images):
    """What the program prints for images: probabilities (N, classes), and names."""
    done = subprocess.run([program], input=images.tobytes(), capture_output=True, check=True)
    lines = [line.rsplit(" ", 1) for line in done.stdout.decode().splitlines()]
    return np.array([[float(each) for each in line[0].split()] for line in lines]), [
        name for _, name in lines
    ]


def check_equal(program, model, images):
    shares, names = answers(program, images)
    expected = mnistgpu.Model(model)
    assert np.abs(shares - expected.predict_proba(images)).max() <= 1e-5
    assert names == [str(name) for name in expected.predict(images)]
    assert len(set(names)) >= 3


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_every_activation_answers_as_in_python(images, tmp_path, activation):
    model = made(activation)
    mnistgpu.export(model, tmp_path / "model.h")
    check_equal(built(tmp_path), model, images)


def test_a_committee_with_names_in_a_cpp_program(images, tmp_path):
    together = committee()
    mnistgpu.export(together, tmp_path / "model.h")
    check_equal(built(tmp_path, "c++"), together, images)


def test_float64_and_other_grey_levels(images, tmp_path):
    model = made("tanh", precision="float64", levels=Levels(255, 0))
    mnistgpu.export(model, tmp_path / "model.h")
    check_equal(built(tmp_path, number="double"), model, 255 - images)


def test_names_that_could_end_a_string_or_a_comment(images, tmp_path):
    names = ('"', "*/", "/*", "\\", "??/", "é", "%s", "g", "h", "i")
    model = made(classes=names)
    mnistgpu.export(model, tmp_path / "model.h")
    check_equal(built(tmp_path), model, images)


def test_a_backslash_ends_no_comment(images, tmp_path):
    model = made(classes=("*\\", "\\*", "*\\ int x = ", "d", "e", "f", "g", "h", "i", "j"))
    mnistgpu.export(model, tmp_path / "model.h")
    check_equal(built(tmp_path), model, images)
