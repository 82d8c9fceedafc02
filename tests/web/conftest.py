"""What the tests of the pages share: running servers and labs, and a browser."""

import pytest
from helpers import lab as labs
from helpers.browser import launched

from mnistgpu import models
from mnistgpu.models import model
from mnistgpu.web import server
from mnistgpu.web.keep import Kept


@pytest.fixture(scope="module")
def trained():
    """The network that comes with the package."""
    return model.load(models.SHIPPED)


@pytest.fixture(scope="module")
def browser():
    """A real Chromium."""
    with launched() as chromium:
        yield chromium


@pytest.fixture(scope="module")
def address(trained):
    """Host and port of a running server that keeps nothing."""
    from mnistgpu.web import draw

    bound = server.listen("127.0.0.1", 0)
    with server.Background(draw.make_app(trained, "a test"), bound):
        yield bound.getsockname()


@pytest.fixture
def keeping(trained, tmp_path):
    """A running server that keeps drawings, and its folder."""
    from mnistgpu.web import draw

    bound = server.listen("127.0.0.1", 0)
    folder = tmp_path / "mine"
    with server.Background(draw.make_app(trained, "x", Kept(folder, (28, 28))), bound):
        yield bound.getsockname(), folder


@pytest.fixture
def lab(digits, tmp_path):
    """A lab with a small network, before its first step."""
    with labs.running(labs.small_set(digits), tmp_path) as running:
        yield running


@pytest.fixture(scope="module")
def resting(digits, tmp_path_factory):
    """A lab that no test changes, so that all of them can have the same."""
    with labs.running(labs.small_set(digits), tmp_path_factory.mktemp("lab")) as running:
        yield running
