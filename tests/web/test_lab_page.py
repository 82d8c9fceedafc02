"""The lab's page in a real browser: every control of a run, the curves, undo, two browsers."""

import re

import pytest
from helpers import lab as labs
from helpers.lab import opened, text_of, until

pytest.importorskip("mnistgpu.web.lab", reason="starlette is missing")


def show_all(page):
    """Open all groups of controls."""
    page.evaluate("document.querySelectorAll('details').forEach(each => { each.open = true; })")


@pytest.mark.slow
def test_start_pause_step_and_epoch(browser, lab):
    view, page = opened(browser, lab)
    assert page.inner_text("#running") == "Resting at step 0"
    page.click("#step")
    text_of(page, "#running", "Resting at step 1")
    page.click("#epoch")
    text_of(page, "#running", "Resting at step 13")
    text_of(page, "#where", "At iteration 13 of 260, epoch 1.0")
    assert page.locator("#units canvas").count() == 16
    assert page.locator("#digits canvas").count() == 10
    assert page.locator("#accuracy polyline").count() == 2
    page.select_option("#pace", "5")
    page.click("#start")
    text_of(page, "#running", "Running")
    text_of(page, "#start", "Pause")
    page.click("#start")
    text_of(page, "#running", "Resting")
    assert view.complaints == []


@pytest.mark.slow
def test_every_control_changes_its_setting(browser, lab):
    """Each live control makes an event, each other one a new run; the page then shows the value."""
    view, page = opened(browser, lab)
    show_all(page)
    values = {
        "learning_rate": "0.125", "batch_size": "50", "l2": "0.001", "weight_decay": "0.01",
        "hidden_dropout": "0.25", "input_dropout": "0.1", "input_noise": "0.2",
        "hidden_noise": "0.3", "label_smoothing": "0.05", "rotation": "5", "rotation_1_7": "3",
        "scaling": "0.1", "shear": "0.2", "shift": "1.5", "mirror": "0.5", "elastic": "1",
        "elastic_sigma": "3", "images_per_map": "8",
    }  # fmt: skip
    page.click("#step")
    text_of(page, "#running", "step 1")
    for name, value in values.items():
        page.fill(f"#set-{name}", value)
        page.press(f"#set-{name}", "Enter")
        until(
            lab.state,
            lambda found, name=name, value=value: found["settings"][name] == float(value),
        )
    text_of(page, "#events", "Learning rate: from 0.25 to 0.125")
    page.wait_for_function(
        f"() => document.querySelectorAll('#events tr').length === {len(values)}"
    )
    assert page.locator("#accuracy .event").count() == len(values)
    anew = {
        "layers": "784-8-10", "activation": "tanh", "init": "glorot", "seed": "3",
        "optimizer": "momentum", "schedule": "cosine", "warmup": "0.1", "batch_norm": True,
        "center": True, "precision": "float64", "epochs": "7",
    }  # fmt: skip
    for name, value in anew.items():
        if isinstance(value, bool):
            page.check(f"#set-{name}")
        elif page.evaluate(f"document.getElementById('set-{name}').tagName") == "SELECT":
            page.select_option(f"#set-{name}", value)
        else:
            page.fill(f"#set-{name}", value)
            page.press(f"#set-{name}", "Enter")
        state = until(
            lab.state,
            lambda found, name=name, value=value: str(found["settings"][name]) == str(value),
        )
        assert state["step"] == 0
    page.click("#step")
    text_of(page, "#running", "step 1")
    page.fill("#set-momentum", "0.5")  # of this optimiser
    page.press("#set-momentum", "Enter")
    until(lab.state, lambda found: found["settings"]["momentum"] == 0.5)
    page.select_option("#recipe", "fast")
    page.click("#group-recipe button")
    until(lab.state, lambda found: found["settings"]["layers"] == "784-192-96-10")
    page.wait_for_function("() => document.getElementById('set-layers').value === '784-192-96-10'")
    assert view.complaints == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("learning_rate", "0", "Learning rate must be a number greater than 0; it stays at 0.25."),
        ("learning_rate", "fast", "it stays at 0.25."),
        ("batch_size", "2.5", "Batch size must be a whole number of at least 1; it stays at 100."),
        ("hidden_dropout", "1", "must be a number of at least 0 and below 1; it stays at 0."),
        ("rotation", "-3", "must be a number of at least 0 and below 180; it stays at 0."),
    ],
)
def test_out_of_range_the_control_says_the_range_and_stays(browser, lab, name, value, sentence):
    view, page = opened(browser, lab)
    show_all(page)
    before = page.input_value(f"#set-{name}")
    page.fill(f"#set-{name}", value)
    page.press(f"#set-{name}", "Enter")
    text_of(page, f"#set-{name}-range", sentence)
    assert page.input_value(f"#set-{name}") == before
    assert page.get_attribute(f"#set-{name}", "aria-invalid") == "true"
    assert lab.state()["events"] == []
    page.fill(f"#set-{name}", "0.5" if name != "batch_size" else "50")
    page.press(f"#set-{name}", "Enter")
    page.wait_for_function(f"() => document.getElementById('set-{name}-range').textContent === ''")
    assert view.complaints == []


def test_what_the_server_refuses_is_said_at_the_control_which_stays(browser, lab):
    """The page takes it for a whole number; as JSON it is none."""
    _, page = opened(browser, lab)
    page.fill("#set-batch_size", "99999999999999999999999")
    page.press("#set-batch_size", "Enter")
    text_of(page, "#set-batch_size-range", "--batch-size must be int or None, not 1e+23")
    assert page.input_value("#set-batch_size") == "100"
    assert page.get_attribute("#set-batch_size", "aria-invalid") == "true"
    assert lab.state()["events"] == []


@pytest.mark.slow
def test_what_starts_anew_says_so(browser, lab):
    _, page = opened(browser, lab)
    show_all(page)
    assert "These begin a new run" in page.inner_text("#group-network")
    assert "change while the network learns" in page.inner_text("#group-learning")
    page.fill("#set-layers", "784-x")
    page.press("#set-layers", "Enter")
    text_of(page, "#set-layers-range", "--layers must be two or more sizes")
    assert page.input_value("#set-layers") == "784-16-10"


@pytest.mark.slow
def test_undo_and_back(browser, lab):
    view, page = opened(browser, lab)
    assert page.is_enabled("#step")
    page.click("#epoch")
    text_of(page, "#running", "step 13")
    page.fill("#set-learning_rate", "2.5")
    page.press("#set-learning_rate", "Enter")
    text_of(page, "#events", "from 0.25 to 2.5")
    assert page.text_content("#accuracy .event-name") == "1"
    page.click("#epoch")
    text_of(page, "#running", "step 26")
    page.click("#undo")
    text_of(page, "#running", "step 13")
    page.wait_for_function("() => document.querySelectorAll('#events tr').length === 0")
    page.wait_for_function("() => document.getElementById('set-learning_rate').value === '0.25'")
    assert page.locator("#accuracy .event").count() == 0
    page.select_option("#back", "0")
    page.click("#go-back")
    text_of(page, "#running", "step 0")
    assert view.complaints == []


@pytest.mark.slow
def test_begin_again_with_the_same_seed_or_another(browser, lab):
    _, page = opened(browser, lab)
    show_all(page)
    page.click("#step")
    text_of(page, "#running", "step 1")
    page.click("#again")
    text_of(page, "#running", "step 0")
    assert page.input_value("#set-seed") == "0"
    page.click("#again-other")
    page.wait_for_function("() => document.getElementById('set-seed').value === '1'")


@pytest.mark.slow
def test_two_browsers_at_once(browser, lab):
    one, first = opened(browser, lab)
    two, second = opened(browser, lab)
    first.fill("#set-learning_rate", "0.5")
    first.press("#set-learning_rate", "Enter")
    text_of(second, "#notices", "Another browser changed Learning rate from 0.25 to 0.5.")
    second.wait_for_function("() => document.getElementById('set-learning_rate').value === '0.5'")
    second.fill("#set-learning_rate", "0.75")
    second.press("#set-learning_rate", "Enter")
    text_of(first, "#notices", "from 0.5 to 0.75")
    first.wait_for_function("() => document.getElementById('set-learning_rate').value === '0.75'")
    second.click("#step")
    text_of(first, "#running", "step 1")
    assert "Another browser" not in first.evaluate(
        "[...document.querySelectorAll('#notices p')].slice(1).map(p => p.textContent).join()"
    )
    assert one.complaints == two.complaints == []


@pytest.mark.slow
def test_a_change_that_diverges_is_said(browser, lab):
    _, page = opened(browser, lab)
    page.click("#epoch")
    text_of(page, "#running", "step 13")
    page.fill("#set-learning_rate", "1e30")
    page.press("#set-learning_rate", "Enter")
    text_of(page, "#events", "1.00e")
    page.click("#start")
    text_of(page, "#notices", "after the change of alpha from 0.25 to 1e+30: it is taken back")
    text_of(page, "#running", "Resting at step 13")
    page.wait_for_function("() => document.getElementById('set-learning_rate').value === '0.25'")


def test_an_address_trains_nothing_until_its_button_is_pressed(browser, lab):
    """Any page of the web can lead a browser to an address of the lab."""
    before = lab.state()["run"]
    view, page = opened(browser, lab, hash=f"#run={lab.get('link')['link']}")
    page.wait_for_selector("#opening:not([hidden])")
    assert page.evaluate("document.activeElement.id") == "opening-title"
    page.wait_for_timeout(300)
    assert lab.state()["notices"] == []
    page.click("#opening-leave")
    assert page.is_hidden("#opening")
    assert lab.state()["run"] == before
    assert view.complaints == []


@pytest.mark.slow
def test_the_address_is_copied_and_opened_elsewhere(browser, lab):
    _, page = opened(browser, lab)
    show_all(page)
    page.fill("#set-learning_rate", "0.125")
    page.press("#set-learning_rate", "Enter")
    text_of(page, "#events", "0.125")
    page.click("#epoch")
    text_of(page, "#running", "step 13")
    page.click("#copy")
    text_of(page, "#notices", "address is")  # copied, or marked where the browser lets no page copy
    address = page.input_value("#address")
    page.click("#again-other")
    text_of(page, "#running", "step 0")
    _, other = opened(browser, lab, hash=address[address.index("#") :])
    other.wait_for_selector("#opening:not([hidden])")
    assert "784-16-10" in other.inner_text("#opening-settings")
    assert "Changes on the way: 1. It is trained up to step 13." in other.inner_text("#opening")
    other.click("#opening-train")
    text_of(other, "#notices", "The run of the address is trained again")
    text_of(other, "#running", "Resting at step 13")
    text_of(other, "#events", "from 0.25 to 0.125")
    text_of(page, "#notices", "Another browser opened the run of an address.")
    assert "#run=" not in other.url  # a reload does not begin it again
    _, bad = opened(browser, lab, hash="#run=nonsense")
    text_of(bad, "#notices", "This address is damaged or cut off")


@pytest.mark.slow
def test_by_keys_alone(browser, lab):
    """Tab, arrows, Enter and Space reach and use everything of the steering."""
    view, page = opened(browser, lab)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "large"
    page.keyboard.press("Enter")
    assert "large" in page.evaluate("document.documentElement.className")
    page.keyboard.press("Enter")
    reached = []
    for _ in range(40):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.id"))
        if reached.count("step") == 1 and reached[-1] == "step":
            page.keyboard.press("Space")
    text_of(page, "#running", "step 1")
    for wanted in ("tab-train", "start", "epoch", "pace", "again", "undo", "set-learning_rate"):
        assert wanted in reached, wanted
    page.focus("#tab-train")
    for name in ("neuron", "layers", "beside", "experiments", "train"):
        page.keyboard.press("ArrowRight")
        assert page.evaluate("document.activeElement.id") == f"tab-{name}"
        assert page.is_visible(f"#{name}")
    page.keyboard.press("End")
    assert page.is_visible("#experiments")
    assert view.complaints == []


@pytest.mark.slow
def test_every_control_says_what_it_does(browser, lab):
    _, page = opened(browser, lab)
    show_all(page)
    silent = page.evaluate(
        """() => [...document.querySelectorAll('#train button, #train input, #train select')]
        .filter(each => {
          const ids = (each.getAttribute('aria-describedby') ?? '').split(' ');
          return !ids.some(id => document.getElementById(id)?.textContent.length > 20);
        }).map(each => each.id || each.textContent)"""
    )
    assert set(silent) <= {"go-back", "address", "Begin with this recipe"}


@pytest.mark.slow
def test_in_german(browser, digits, tmp_path):
    with labs.running(labs.small_set(digits), tmp_path, "de") as lab:
        view, page = opened(browser, lab)
        page.click("#step")
        text_of(page, "#running", "Ruht bei Schritt 1")
        page.fill("#set-learning_rate", "0,125")  # a comma is what a German keyboard has
        page.press("#set-learning_rate", "Enter")
        text_of(page, "#events", "Lernrate: von 0,25 auf 0,125")
        page.fill("#set-learning_rate", "-1")
        page.press("#set-learning_rate", "Enter")
        text_of(page, "#set-learning_rate-range", "es bleibt bei 0,125.")
        assert page.input_value("#set-learning_rate") == "0,125"
        assert page.get_attribute("html", "lang") == "de"
        text = page.inner_text("main")
        assert not re.search(r"\b(the|this|of|step)\b", text), text
        view.picture("lab-de")
        assert view.fits()


@pytest.mark.slow
@pytest.mark.parametrize("size", ["phone", "desktop", "projector"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_screens(browser, lab, size, scheme):
    view, page = opened(browser, lab, size, scheme)
    if size == "projector":
        page.click("#large")
    page.click("#epoch")
    text_of(page, "#running", "step 13")
    page.fill("#set-learning_rate", "0.5")
    page.press("#set-learning_rate", "Enter")
    text_of(page, "#events", "0.5")
    page.click("#epoch")
    text_of(page, "#running", "step 26")
    view.picture(f"lab-train-{size}-{scheme}")
    assert view.fits()
    if size != "projector":
        small = page.eval_on_selector_all(
            "#train .tools button",
            "all => all.filter(b => b.offsetHeight && b.offsetHeight < 40).length",
        )
        assert small == 0  # a fingertip
    assert view.complaints == []
