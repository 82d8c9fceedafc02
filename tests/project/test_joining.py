"""What people need to join says what is so: versions, licences, workflows, hooks, forms, links."""

import datetime
import pkgutil
import re
import tomllib
from itertools import pairwise

import pytest
from helpers.mnist import ROOT

import mnistgpu

yaml = pytest.importorskip("yaml", reason="PyYAML is missing")

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
ADDRESS = PROJECT["project"]["urls"]["Homepage"]
README = (ROOT / "README.md").read_text()
CHANGELOG = (ROOT / "CHANGELOG.md").read_text()
GPU_PAGE = (ROOT / "docs" / "gpu.md").read_text()
CITATION = yaml.safe_load((ROOT / "CITATION.cff").read_text())
CI = (ROOT / ".ci" / "run").read_text()
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
FORMS = sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml"))
HOOKS = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
LINK = r"\]\((?!https?://|#)([^)#]+)"


def jobs_of(name):
    return yaml.safe_load((ROOT / ".github" / "workflows" / name).read_text())["jobs"]


def commands_of(job):
    return [step["run"] for step in job["steps"] if "run" in step]


# Versions


def test_the_version_stands_in_one_place():
    assert "version" in PROJECT["project"]["dynamic"]
    assert PROJECT["tool"]["hatch"]["version"] == {"path": "mnistgpu/__init__.py"}
    assert re.fullmatch(r"\d+\.\d+\.\d+", mnistgpu.__version__)


def test_the_changelog_begins_with_what_is_unreleased_or_with_this_version():
    heads = re.findall(r"^## \[([^\]]+)\](?: - (\d{4}-\d\d-\d\d))?$", CHANGELOG, re.MULTILINE)
    assert len(heads) == len(re.findall("^## ", CHANGELOG, re.MULTILINE))
    released = [head for head in heads if head[0] != "Unreleased"]
    assert heads[1:] == released[-len(heads) + 1 :]  # "Unreleased" stands first or not at all
    assert released[0] == (CITATION["version"], CITATION["date-released"].isoformat())
    now, newest = (re.findall(r"\d+", each) for each in (mnistgpu.__version__, released[0][0]))
    # the next one while something is unreleased, then the newest of all
    is_next = [*map(int, now)] > [*map(int, newest)]
    assert is_next if heads[0][0] == "Unreleased" else now == newest
    dates = [datetime.date.fromisoformat(date) for _, date in released]
    assert all(later > earlier for later, earlier in pairwise(dates))
    for version, _ in heads:
        assert f"\n[{version}]: {ADDRESS}/" in CHANGELOG


def test_the_changelog_says_where_each_module_is_now():
    table = CHANGELOG.partition("### What to rename")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (`.+) \| (.+) \|$", table, re.MULTILINE)
    assert len(rows) > 15
    for _, now in rows:
        for name in re.findall(r"`([a-z_]+(?:\.[a-z_]+)+)`", now):
            pkgutil.resolve_name(f"mnistgpu.{name}")


# Licences


def test_the_licence_expression_has_a_text_for_each_licence():
    names = PROJECT["project"]["license"].split(" AND ")
    files = PROJECT["project"]["license-files"]
    texts = [(ROOT / file).read_text() for file in files]
    assert names == ["MIT", "CC-BY-SA-3.0"]
    assert [text.lstrip().splitlines()[0] for text in texts] == [
        "MIT License",
        "Creative Commons Legal Code",
    ]
    assert "Attribution-ShareAlike 3.0 Unported" in texts[1]
    assert texts[1].count("\n") > 300  # the whole text, not its summary
    assert CITATION["license"] == names[0]
    assert CITATION["references"][0]["license"] == names[1]


# What a package index shows


def test_links_of_the_readme_are_absolute_on_a_package_index():
    shown = README
    settings = PROJECT["tool"]["hatch"]["metadata"]["hooks"]["fancy-pypi-readme"]
    for each in settings["substitutions"]:
        shown = re.sub(each["pattern"], each["replacement"], shown)
    assert not re.findall(LINK, shown)
    own = re.findall(r"(!?)\[[^\]]*\]\((https://\S+/v\$HFPR_VERSION/)([^)#]+)", shown)
    assert [path for _, _, path in own] == re.findall(LINK, README)
    pictures = 0
    for mark, start, path in own:
        assert (ROOT / path).exists(), path
        host = ADDRESS.replace("github.com", "raw.githubusercontent.com") if mark else ADDRESS
        assert start == f"{host}/{'' if mark else 'blob/'}v$HFPR_VERSION/"
        pictures += mark == "!"
    assert pictures >= 3


def test_addresses_of_the_project_are_those_of_its_metadata():
    urls = PROJECT["project"]["urls"].values()
    assert all(url.startswith(ADDRESS) for url in urls)
    assert CITATION["repository-code"] == ADDRESS
    assert f"git clone {ADDRESS} && cd {ADDRESS.rpartition('/')[2]}\n" in README
    assert f"{ADDRESS}/security/advisories/new" in (ROOT / "SECURITY.md").read_text()


@pytest.mark.parametrize("name", ["CHANGELOG.md", "SECURITY.md"])
def test_links_lead_somewhere(name):
    for target in re.findall(LINK, (ROOT / name).read_text()):
        assert (ROOT / target).exists(), target


def test_the_extras_for_a_gpu_exclude_each_other():
    gpu = [name for name in PROJECT["project"]["optional-dependencies"] if "cuda" in name]
    assert PROJECT["tool"]["uv"]["conflicts"] == [[{"extra": name} for name in gpu]]


# Workflows


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_every_action_is_pinned_by_its_commit(path):
    uses = re.findall(r"uses: *(.*)", path.read_text())
    assert uses
    for each in uses:
        assert re.fullmatch(r"[\w-]+/[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", each), each


# Jobs that may do more than read: they run nothing of the repository, and no command at all.
MAY = {
    ("docs.yml", "deploy"): {"pages": "write", "id-token": "write"},
    ("release.yml", "attest"): {"id-token": "write", "attestations": "write"},
    ("release.yml", "publish"): {"id-token": "write"},
}


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_workflows_may_only_read(path):
    workflow = yaml.safe_load(path.read_text())
    assert workflow["permissions"] == {"contents": "read"}
    for name, job in workflow["jobs"].items():
        assert job.get("permissions") == MAY.get((path.name, name))
        assert job["timeout-minutes"] > 0
        if "permissions" in job:
            assert not commands_of(job)
            assert not any("actions/checkout" in step["uses"] for step in job["steps"])
            continue
        checkout = job["steps"][0]
        assert checkout["uses"].startswith("actions/checkout@")
        assert checkout["with"]["persist-credentials"] is False


def test_ci_runs_the_commands_of_the_readme_or_the_projects_own_ci():
    jobs = jobs_of("ci.yml")
    assert commands_of(jobs["everything"]) == [".ci/run"]
    for name in ("readme", "uv"):
        train, tests = commands_of(jobs[name])
        assert re.search(r"python -m mnistgpu\.train$", train)
        assert re.search(r"python -m pytest\b", tests)
        for command in (train, tests):
            assert is_in_the_readme(command), command


def test_a_gpu_is_tested_by_the_command_for_a_person_with_a_gpu():
    """Weekly, and where a pull request is given the label; never for every push of a stranger."""
    (command,) = re.findall(r"^sh benchmarks/on_gpu\.sh$", GPU_PAGE, re.MULTILINE)
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "gpu.yml").read_text())
    job = workflow["jobs"]["everything"]
    assert f"PYTHON=.venv/bin/python {command}" in commands_of(job)
    assert "gpu" in job["runs-on"]
    triggers = workflow[True]  # YAML reads "on" as a truth value
    assert set(triggers) == {"schedule", "pull_request", "workflow_dispatch"}
    assert triggers["pull_request"] == {"types": ["labeled"]}
    assert "github.event.label.name == 'gpu'" in job["if"]


def is_in_the_readme(command):
    """Whether a command stands in the README, in a line of its own or in backticks."""
    return f"\n{command}\n" in README or f"`{command}`" in " ".join(README.split())


def test_ci_runs_the_commands_for_windows_in_the_shells_that_they_are_for():
    job = jobs_of("ci.yml")["windows"]
    assert job["runs-on"] == "windows-latest"
    steps = [step for step in job["steps"] if "run" in step]
    *of_readme, console = [(step["shell"], step["run"]) for step in steps]
    shells = [shell for shell, _ in of_readme]
    assert shells == ["powershell", "cmd", "powershell"]
    for shell, command in of_readme:
        assert is_in_the_readme(command), command
        assert ("; " in command) == (shell == "powershell")  # which has no && before version 7
        assert (" && " in command) == (shell == "cmd")
        for path in re.findall(r"\.venv\S+", command):
            assert "/" not in path
    trained = [command for _, command in of_readme if command.endswith("-m mnistgpu.train")]
    assert len(trained) == 2
    assert (ROOT / re.search(r"tests/\S+\.py", console[1])[0]).exists()


def test_a_failure_on_any_system_fails_ci():
    """But for the whole suite where it has not been seen: there the commands alone must work."""
    for name, job in jobs_of("ci.yml").items():
        assert "continue-on-error" not in job
        for step in job["steps"]:
            only_tests = "-m pytest -n auto" in step.get("run", "") and name != "everything"
            assert "continue-on-error" not in step or only_tests


def test_classifiers_name_the_systems_that_ci_has():
    named = [each for each in PROJECT["project"]["classifiers"] if "Operating System" in each]
    assert [each.rpartition(" :: ")[2] for each in named] == ["MacOS", "Windows", "Linux"]
    systems = {each for job in jobs_of("ci.yml").values() for each in systems_of(job)}
    assert systems == {"macos-latest", "windows-latest", "ubuntu-latest"}


def systems_of(job):
    """The systems that a job runs on."""
    matrix = job.get("strategy", {}).get("matrix", {})
    more = [each["system"] for each in matrix.get("include", [])]
    return [*matrix.get("system", [job["runs-on"]]), *more]


def test_the_nightly_run_is_the_readmes_tests_with_one_package_replaced():
    install, replace, tests = commands_of(jobs_of("nightly.yml")["tests"])
    assert f"\n{install} && {tests}\n" in README
    assert "--no-deps" in replace
    assert replace.endswith(" numpy")


def test_ci_has_every_version_of_python_that_the_classifiers_name():
    named = re.findall(r"Python :: (3\.\d+)", "\n".join(PROJECT["project"]["classifiers"]))
    jobs = jobs_of("ci.yml")
    (alone,) = (
        step["with"]["python-version"]
        for step in jobs["everything"]["steps"]
        if "setup-python" in step.get("uses", "")
    )
    assert [alone, *jobs["readme"]["strategy"]["matrix"]["python"]] == named
    assert PROJECT["project"]["requires-python"] == f">={named[0]}"


# Hooks


def test_the_hooks_are_what_ci_runs_as_lint():
    assert [repository["repo"] for repository in HOOKS] == ["local"]
    commands = [hook["entry"] for hook in HOOKS[0]["hooks"]]
    assert commands == [
        "ruff check .",
        "ruff format --check .",
        "mypy mnistgpu",
        "mypy --platform win32 --cache-dir .mypy_cache/win32 mnistgpu",
        "mypy --platform darwin --cache-dir .mypy_cache/darwin mnistgpu",
        "lint-imports --no-cache",
        "python benchmarks/lines.py --check",
    ]
    assert "pre-commit run --all-files" in CI
    for command in commands:  # in one place only
        assert " ".join(command.split()[:2]) not in CI, command


def test_the_hooks_take_their_tools_from_the_environment():
    extra = " ".join(PROJECT["project"]["optional-dependencies"]["dev"])
    for hook in HOOKS[0]["hooks"]:
        assert hook["language"] == "system"
        assert hook["pass_filenames"] is False
    for tool in ("ruff", "mypy", "import-linter", "pre-commit"):
        assert f"{tool}>=" in extra


def test_files_in_the_commands_of_contributing_exist():
    table = (ROOT / "CONTRIBUTING.md").read_text().partition("| you want to |")[2]
    commands = re.findall(r"`([^`]+)`", table.partition("\n\n")[0])
    assert "pre-commit run --all-files" in commands
    for path in re.findall(r"\S*/\S+", "\n".join(commands)):
        assert (ROOT / path).exists(), path


# Forms


@pytest.mark.parametrize("path", FORMS, ids=lambda path: path.name)
def test_forms_are_forms(path):
    form = yaml.safe_load(path.read_text())
    if path.name == "config.yml":
        assert form["blank_issues_enabled"] is False
        return
    assert {"name", "description", "body"} <= form.keys()
    assert len({field["id"] for field in form["body"]}) == len(form["body"])
    assert all(field["attributes"]["label"] for field in form["body"])
    assert any(field.get("validations", {}).get("required") for field in form["body"])


def test_a_bug_comes_with_what_the_doctor_finds():
    form = yaml.safe_load((ROOT / ".github" / "ISSUE_TEMPLATE" / "bug.yml").read_text())
    (doctor,) = (field for field in form["body"] if field["id"] == "doctor")
    assert "mnistgpu doctor" in doctor["attributes"]["label"]
    assert doctor["validations"]["required"]
