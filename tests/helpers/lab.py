"""The lab's page with a small network, in this process, and a browser that looks at it."""

import contextlib
import json
import threading

from helpers.browser import Watched
from helpers.web import ask
from mnistgpu import backend, data
from mnistgpu.settings import Settings

SMALL = {"layers": "784-16-10", "init": "he", "batch_size": 100, "epochs": 20, "validation": 200}


def small_set(digits):
    """1,500 digits to learn, and 500 for the test."""
    images, labels = digits
    train = data.Digits(images[:1500], labels[:1500], "some digits")
    return data.Dataset(train, data.Digits(images[1500:], labels[1500:], "others"), "some digits")


class Lab:
    """A lab that runs: its address, its run, and requests to it."""

    def __init__(self, page, run):
        self.page, self.run = page, run
        self.address = page.place.address
        self.place = page.place.bound.getsockname()[:2]

    def get(self, path):
        """The answer to a request."""
        status, text, _ = ask(self.place, "GET", f"/{path}")
        assert status == 200, text
        return json.loads(text)

    def post(self, path, status=200, **body):
        """The answer to a request that changes something."""
        got, text, _ = ask(self.place, "POST", f"/{path}", {"browser": "test", **body})
        assert got == status, text
        return json.loads(text)

    def do(self, action, status=200, **more):
        return self.post("do", status, action=action, **more)

    def state(self, **query):
        """The newest state, once the run has begun."""
        asked = "&".join(f"{name}={value}" for name, value in {"after": 0, **query}.items())
        return until(lambda: self.get(f"state?{asked}"), lambda found: "step" in found)

    def reach(self, step):
        """The state once so many steps are taken and the run rests."""
        return until(
            self.state, lambda found: found["step"] >= step and found["running"] != "running"
        )


def until(make, holds, seconds=20.0):
    """What `make` returns once it is as it must be."""
    ended = threading.Event()
    for _ in range(int(seconds / 0.02)):
        found = make()
        if holds(found):
            return found
        ended.wait(0.02)
    raise AssertionError(f"it stays as it is: {found}")


@contextlib.contextmanager
def running(dataset, folder, language="en", **settings):
    """A lab that trains in a thread of this process."""
    from mnistgpu.api import laboratory
    from mnistgpu.web import server
    from mnistgpu.web.lab import LabPage, experiments_of
    from mnistgpu.web.lab_run import LabRun, Plan

    numbers = iter(range(1, 1000))

    def new_path():
        path = folder / f"run-{next(numbers)}"
        path.mkdir()
        return path

    plan = Plan(Settings(**{**SMALL, **settings}), new_path())
    run = LabRun(plan, dataset, backend.select("numpy"), new_path)
    thread = threading.Thread(target=laboratory.carry_out, args=(run,), daemon=True)
    found = experiments_of(None, language)
    with LabPage(run, server.open_door("127.0.0.1", 0), language, found) as page:
        thread.start()
        lab = Lab(page, run)
        lab.state()
        try:
            yield lab
        finally:
            run.end()
            thread.join(20)
    assert not thread.is_alive()


def opened(browser, lab, size="desktop", scheme="light", hash="", **options):
    """A browser's page that shows the lab and its controls."""
    view = Watched(browser, size, scheme, **options)
    view.page.goto(lab.address + hash)
    view.page.wait_for_function("() => document.querySelectorAll('#controls details').length > 3")
    view.page.wait_for_function("() => document.getElementById('running').textContent !== ''")
    return view, view.page


def text_of(page, selector, contains, timeout=15_000):
    """Wait until an element says something."""
    page.wait_for_function(
        "([selector, text]) => document.querySelector(selector)?.textContent.includes(text)",
        arg=[selector, contains],
        timeout=timeout,
    )
