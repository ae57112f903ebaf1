"""The listening page in a real browser: switching, looping, the blind test, from disk and http.

The variants are one known noise at different gains. So the sound that leaves the page tells which
variant is heard (the gain) and where (the place in the noise), to the sample.
"""

from __future__ import annotations

import functools
import http.server
import json
import os
import re
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile as sf
from conftest import Run, music, write_wav
from numpy.typing import NDArray
from playwright.sync_api import Browser, Page, Playwright, expect, sync_playwright
from scipy.stats import binomtest

from chowtape_cli.errors import AudioFileError
from chowtape_cli.listening import PIECE_FRAMES, write_page

RATE = 44_100
SECONDS = 8.0
GAINS = {"dry": 0.8, "warm": 0.4, "hot": 0.6, "cold": 0.2}
REQUIRED_MS = 10.0  # how far a switch may move the position at most
SHORTEST_FADE = 0.005  # seconds from one variant to the other, for a switch that does not click
PHONE: dict[str, Any] = {
    "viewport": {"width": 360, "height": 740},
    "is_mobile": True,
    "has_touch": True,
}

# hands on the sound that leaves the page, block by block, with the time of the audio clock
TAP = """
registerProcessor("tap", class extends AudioWorkletProcessor {
  process([input]) {
    if (input.length) this.port.postMessage([currentFrame, input[0].slice()]);
    return true;
  }
});
"""
TAP_IN = """async () => {
  const { context, output } = listening.page.player;
  await context.audioWorklet.addModule("tap.js");
  const tap = new AudioWorkletNode(context, "tap");
  window.heard = [];
  window.pressed = [];
  tap.port.onmessage = ({ data }) => heard.push(data);
  addEventListener("keydown", () => pressed.push(context.currentTime * context.sampleRate), true);
  output.connect(tap).connect(context.destination);
}"""


def noise(frames: int) -> NDArray[np.float64]:
    """Noise that is nowhere near zero, so that a gain can be read off every sample."""
    source = np.random.default_rng(5)
    return source.uniform(0.1, 0.9, frames) * source.choice([-1.0, 1.0], frames)


def variant(name: str, path: str, **what: Any) -> dict[str, Any]:
    return {
        "name": name, "settings": None, "path": path, "gain_db": 0.0, "lufs_before": -18.0,
        "lufs": -18.0, "true_peak_dbtp": -3.0, "crest_db": 9.5, "harmonics_db": None,
        "thd_db": None, "wall_seconds": None, "loop": None, **what,
    }  # fmt: skip


def rendered(drive: float) -> dict[str, Any]:
    turn = np.linspace(0, 2 * np.pi, 200)
    return {
        "settings": {"mode": "nr8", "drive": drive, "makeup": True, "weights": None},
        "harmonics_db": [-60.0, -20.0 * drive, None, -50.0, None, -70.0, None, None, -90.0],
        "thd_db": -25.0,
        "wall_seconds": 0.25,
        "loop": {"h": np.sin(turn).tolist(), "m": np.sin(turn - drive).tolist()},
    }


def comparison(variants: list[dict[str, Any]], frames: int, **what: Any) -> dict[str, Any]:
    return {
        "version": "1.0", "source": "takes/bass.wav", "rate": RATE, "channels": 1,
        "frames": frames, "seconds": frames / RATE, "target_lufs": -18.0, "variants": variants,
        "nulls": [], **what,
    }  # fmt: skip


def make_page(
    folder: Path, gains: dict[str, float], frames: int = round(SECONDS * RATE), **what: Any
) -> Path:
    """Write the variants' audio and the page about them; return the page."""
    variants = []
    for number, (name, gain) in enumerate(gains.items()):
        sf.write(folder / f"{number}.wav", noise(frames) * gain, RATE, subtype="FLOAT")
        measured = rendered(0.3 + 0.1 * number) if number else {}
        variants.append(variant(name, f"{number}.wav", **measured))
    nulls = [
        {"a": a, "b": b, "residual_db": None if {a, b} == {"hot", "cold"} else -30.0}
        for i, a in enumerate(gains)
        for b in list(gains)[i + 1 :]
    ]
    write_page(folder, comparison(variants, frames, **{"nulls": nulls, **what}))
    return folder / "index.html"


@pytest.fixture(scope="session")
def playwright() -> Iterator[Playwright]:
    with sync_playwright() as started:
        yield started


@pytest.fixture(scope="session")
def browser(playwright: Playwright) -> Iterator[Browser]:
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    places = [
        os.environ.get("CHOWTAPE_BROWSER"),
        playwright.chromium.executable_path,
        *map(shutil.which, names),
    ]
    found = next((place for place in places if place and Path(place).exists()), None)
    if found is None:
        pytest.skip(
            "no Chromium here: `playwright install chromium`, `apt-get install chromium`, or "
            "name one in CHOWTAPE_BROWSER"
        )
    started = playwright.chromium.launch(executable_path=found)
    yield started
    started.close()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the page about four variants."""
    folder = tmp_path_factory.mktemp("site")
    make_page(folder, GAINS)
    (folder / "tap.js").write_text(TAP)
    return folder


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def address(site: Path) -> Iterator[str]:
    """Where a plain web server serves that folder."""
    handler = functools.partial(_Quiet, directory=str(site))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}/index.html"
        server.shutdown()
        thread.join()


@dataclass
class Opened:
    """A page that is open, and what went wrong on it."""

    page: Page
    faults: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def state(self, name: str) -> str:
        return str(self.page.locator("#page").get_attribute(f"data-{name}"))

    @property
    def position(self) -> float:
        return float(self.state("position"))

    def until(self, what: Callable[[], bool]) -> None:
        end = time.monotonic() + 30
        while not what():
            assert time.monotonic() < end, "waited for 30 s"
            self.page.wait_for_timeout(10)

    def until_past(self, seconds: float) -> None:
        self.until(lambda: self.position > seconds)

    def ready(self, count: int) -> None:
        expect(self.page.locator(".variant[data-ready]")).to_have_count(count, timeout=30_000)

    def play(self) -> None:
        self.page.get_by_role("button", name="Play").click()
        expect(self.page.locator("#page")).to_have_attribute("data-state", "playing")

    def tap(self) -> None:
        """Put the tap in, and wait until the browser has moved its audio to the tap's thread."""
        self.page.evaluate(TAP_IN)
        self.until(lambda: bool(self.page.evaluate("heard.length > 100")))
        self.page.evaluate("heard.length = 0")

    def recorded(self) -> tuple[int, NDArray[np.float64]]:
        """Return what was heard since the tap went in, and the time of its first frame.

        NaN stands for blocks that the browser kept from the tap while it changed the graph.
        """
        blocks = self.page.evaluate("heard.map(([frame, data]) => [frame, Array.from(data)])")
        first = blocks[0][0]
        sound = np.full(blocks[-1][0] + 128 - first, np.nan)
        for frame, data in blocks:
            sound[frame - first : frame - first + 128] = data
        return first, sound

    def loudness(self) -> float:
        """Return the gain of what is heard now, long after any fade."""
        self.page.evaluate("heard.length = 0")
        self.until(lambda: bool(self.page.evaluate("heard.length > 80")))
        _, sound = self.recorded()
        return float(np.sqrt(np.mean(sound[-2048:] ** 2) / np.mean(noise(RATE) ** 2)))


@pytest.fixture
def open_page(browser: Browser) -> Iterator[Callable[..., Opened]]:
    """Open a page and, in the end, find that nothing went wrong and nobody else was asked."""
    all_opened: list[tuple[Opened, str]] = []
    contexts = []

    def opening(place: str | Path, script: str = "", **how: Any) -> Opened:
        url = place.as_uri() if isinstance(place, Path) else place
        context = browser.new_context(**how)
        contexts.append(context)
        page = context.new_page()
        page.add_init_script(script)
        opened = Opened(page)
        page.on("console", lambda message: opened.faults.append(f"{message.type} {message.text}"))
        page.on("pageerror", lambda error: opened.faults.append(str(error)))
        page.on("requestfailed", lambda request: opened.faults.append(request.url))
        page.on("request", lambda request: opened.requests.append(request.url))
        page.goto(url)
        all_opened.append((opened, url.rsplit("/", 1)[0]))
        return opened

    yield opening
    for opened, base in all_opened:
        assert opened.faults == []
        assert all(request.startswith((base, "data:")) for request in opened.requests)
    for context in contexts:
        context.close()


@pytest.fixture
def opened(open_page: Callable[..., Opened], address: str) -> Opened:
    """The page of four variants over http, all loaded."""
    opened = open_page(address)
    opened.ready(len(GAINS))
    return opened


def places(sound: NDArray[np.float64], window: int = 2048) -> NDArray[np.int64]:
    """Return where in the noise each window of a recording is found; -1 where it has a gap."""
    known = noise(round(SECONDS * RATE))
    size = 1 << (known.size + window - 1).bit_length()
    spectrum = np.fft.rfft(known, size)
    found = []
    for start in range(0, sound.size - window, window):
        part = sound[start : start + window]
        match = np.fft.irfft(spectrum * np.conj(np.fft.rfft(part, size)), size)
        found.append(-1 if np.isnan(part).any() else int(np.argmax(match[: known.size])))
    return np.array(found)


@pytest.mark.parametrize("way", ["disk", "http"])
def test_opens_and_switches_from_disk_and_over_http(
    open_page: Callable[..., Opened], site: Path, address: str, way: str
) -> None:
    opened = open_page(site / "index.html" if way == "disk" else address)
    opened.ready(len(GAINS))
    opened.play()
    opened.until_past(0.3)
    for number, name in enumerate(GAINS, 1):
        opened.page.keyboard.press(str(number))
        expect(opened.page.locator("#page")).to_have_attribute("data-current", str(number))
        expect(opened.page.get_by_role("radio", name=name)).to_be_checked()
        expect(opened.page.get_by_role("status")).to_have_text(name)
    opened.page.get_by_role("radio", name="warm").click()
    expect(opened.page.locator("#page")).to_have_attribute("data-current", "2")
    assert opened.state("state") == "playing"
    before = opened.position
    opened.until_past(before + 0.2)


def test_a_switch_keeps_the_position_and_does_not_click(opened: Opened) -> None:
    opened.play()
    opened.until_past(0.2)
    opened.tap()
    order = (2, 3, 4, 1, 3)
    for number in order:
        reached = opened.position
        opened.until_past(reached + 0.25)
        opened.page.keyboard.press(str(number))
    opened.until_past(opened.position + 0.3)
    first, sound = opened.recorded()
    pressed = opened.page.evaluate("pressed")
    found = places(sound)
    begun = found - np.arange(len(found)) * 2048  # where in the noise the recording began
    begun = begun[found >= 0]
    assert len(begun) > 20
    assert np.ptp(begun) <= REQUIRED_MS / 1000 * RATE
    assert np.ptp(begun) == 0  # as it is built, not one sample
    known = noise(round(SECONDS * RATE))
    gain = sound / known[begun[0] : begun[0] + sound.size]
    steepest = (max(GAINS.values()) - min(GAINS.values())) / (SHORTEST_FADE * RATE)
    assert np.nanmax(np.abs(np.diff(gain))) < steepest
    steps = list(GAINS.values())
    for when, number, before in zip(pressed, order, (1, *order[:-1]), strict=True):
        key = round(when) - first
        assert gain[key] == pytest.approx(steps[before - 1], abs=1e-4)
        assert gain[key + RATE // 10] == pytest.approx(steps[number - 1], abs=1e-4)


def test_a_loop_goes_round_to_the_sample_and_does_not_click(opened: Opened) -> None:
    opened.play()
    opened.until_past(0.5)
    opened.page.keyboard.press("[")
    opened.until_past(1.0)
    opened.page.keyboard.press("]")
    expect(opened.page.get_by_role("button", name="Loop", exact=True)).to_have_attribute(
        "aria-pressed", "true"
    )
    start, end = opened.page.evaluate(
        "[listening.page.player.region.start, listening.page.player.region.end]"
    )
    assert 0.5 * RATE <= start < end
    opened.tap()
    opened.page.keyboard.press("2")
    opened.until(lambda: bool(opened.page.evaluate(f"heard.length * 128 > {3 * (end - start)}")))
    _, sound = opened.recorded()
    window = 1024
    found = places(sound, window)
    kept = (found >= start) & (found + window < end)
    assert np.count_nonzero(~kept & (found >= 0)) <= 4  # those that lie across a seam
    begins = np.arange(len(found))[kept] * window
    phase = (found[kept] - start - begins) % (end - start)
    assert set(phase) == {phase[0]}
    quiet = np.flatnonzero(np.abs(sound) < 0.01 * GAINS["warm"])  # the dips where the loop closes
    assert 2 <= 1 + np.count_nonzero(np.diff(quiet) > RATE // 10) <= 4


def test_the_loop_is_set_moved_and_cleared_by_key_and_pointer(opened: Opened) -> None:
    page = opened.page
    region = "listening.page.player.region"
    box = page.locator("#ruler").bounding_box()
    assert box is not None
    middle = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + box["width"] * 0.25, middle)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.5, middle, steps=4)
    page.mouse.up()
    start, end = page.evaluate(f"[{region}.start, {region}.end]")
    assert [start / RATE, end / RATE] == pytest.approx([2.0, 4.0], abs=0.03)
    handle = page.get_by_role("slider", name="Loop out")
    handle.press("ArrowRight")
    handle.press("Shift+ArrowRight")
    assert page.evaluate(f"{region}.end") == end + round(0.01 * RATE) + round(0.1 * RATE)
    page.get_by_role("button", name="Zoom to the loop").click()
    width = page.evaluate("listening.page.timeline.view.to - listening.page.timeline.view.from")
    assert width < 3 * RATE
    page.keyboard.press("l")
    expect(page.get_by_role("status")).to_have_text("Loop off")
    page.keyboard.press("Escape")
    assert page.evaluate(region) is None
    expect(page.get_by_role("button", name="Clear the loop")).to_be_disabled()


def test_seeking_by_key_and_pointer(opened: Opened) -> None:
    page = opened.page
    slider = page.get_by_role("slider", name="Position")
    slider.focus()
    for key, seconds in (
        ("ArrowRight", 1.0), ("Shift+ArrowRight", 6.0), ("ArrowLeft", 5.0), ("Home", 0.0),
        ("ArrowUp", 1.0), ("PageUp", SECONDS), ("PageDown", 0.0),
    ):  # fmt: skip
        page.keyboard.press(key)
        expect(slider).to_have_attribute("aria-valuenow", f"{seconds:.3f}")
    box = page.locator("#waveform").bounding_box()
    assert box is not None
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + 20)
    opened.until(lambda: abs(opened.position - SECONDS / 2) < 0.02)
    expect(slider).to_have_attribute("aria-valuetext", re.compile(r"^0:0[34]\.\d{3}$"))


def test_the_end_stops_the_page_and_play_begins_again(opened: Opened) -> None:
    page = opened.page
    page.get_by_role("slider", name="Position").press("End")
    page.keyboard.press("ArrowLeft")
    opened.play()
    expect(page.locator("#page")).to_have_attribute("data-state", "paused")
    assert opened.position == 0.0
    opened.play()
    opened.until_past(0.1)
    page.get_by_role("button", name="Pause").click()
    kept = opened.position
    assert opened.state("state") == "paused"
    opened.play()
    opened.until(lambda: opened.position >= kept)
    assert opened.position < kept + 2.0


def test_a_blind_test_counts_hits_and_says_how_likely_luck_is(opened: Opened) -> None:
    page = opened.page
    page.get_by_role("combobox", name="B").select_option("hot")
    page.get_by_role("button", name="Start the test").click()
    for trial in range(1, 11):
        expect(page.locator("#abx-progress")).to_have_text(f"Trial {trial} of 10")
        for which in "AXB":
            page.get_by_role("button", name=which, exact=True).click()
            expect(page.locator("#page")).to_have_attribute("data-current", which)
        assert page.locator("#abx-score").is_hidden()
        page.get_by_role("button", name="X is A").click()
    truths = page.locator("#abx-table [data-x]").evaluate_all("all => all.map(e => e.dataset.x)")
    hits = truths.count("a")
    assert len(truths) == 10
    p = binomtest(hits, 10, 0.5, alternative="greater").pvalue
    expect(page.locator("#abx-hits")).to_have_text(str(hits))
    expect(page.locator("#abx-n")).to_have_text("10")
    assert float(page.locator("#abx-p").inner_text()) == pytest.approx(p, abs=6e-5)
    assert page.locator("#abx-verdict").inner_text() == f"{hits} of 10 right"
    expect(page.get_by_role("status")).to_contain_text(f"{hits} of 10 right. Guessing would")
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.get_by_role("button", name="Copy results").click()
    expect(page.get_by_role("status")).to_have_text("Results copied.")
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied.startswith(f"ABX test: A = dry, B = hot\n{hits} of 10 right; p = ")
    page.get_by_role("button", name="New test").click()
    expect(page.get_by_role("button", name="Start the test")).to_be_visible()


def test_an_ear_that_can_tell_gets_every_trial_right_by_keyboard_alone(opened: Opened) -> None:
    page = opened.page
    opened.play()
    opened.tap()
    page.get_by_role("combobox", name="A").select_option("warm")
    page.get_by_role("combobox", name="B").select_option("cold")
    page.get_by_label("Trials").fill("5")
    page.get_by_label("Show the score as I go").check()
    page.get_by_role("button", name="Start the test").press("Enter")
    page.keyboard.press("l")  # round and round, however long it takes
    for trial in range(5):
        expect(page.locator("#abx-score")).to_have_text(f"{trial} of {trial} right so far")
        page.keyboard.press("a")
        assert opened.loudness() == pytest.approx(GAINS["warm"], rel=0.05)
        page.keyboard.press("b")
        assert opened.loudness() == pytest.approx(GAINS["cold"], rel=0.05)
        page.keyboard.press("x")
        closer_to_a = opened.loudness() > (GAINS["warm"] + GAINS["cold"]) / 2
        page.keyboard.press("Shift+A" if closer_to_a else "Shift+B")
    expect(page.locator("#abx-verdict")).to_have_text("5 of 5 right")
    expect(page.locator("#abx-verdict")).to_be_focused()
    expect(page.locator("#abx-p")).to_have_text("0.0313")
    expect(page.locator("#abx-meaning")).to_contain_text("3.1\u00a0%. You most likely hear")


def test_nothing_on_the_page_tells_what_x_is(opened: Opened) -> None:
    page = opened.page
    page.get_by_label("Trials").fill("20")
    page.get_by_role("button", name="Start the test").click()
    page.get_by_role("button", name="Pause").click()
    page.get_by_role("slider", name="Position").press("Home")
    seen, pictures = set(), set()
    for trial in range(1, 21):
        expect(page.locator("#abx-progress")).to_have_text(f"Trial {trial} of 20")
        visible = page.locator("body").inner_text()
        assert not any(name in visible for name in GAINS)
        source = page.evaluate("document.body.outerHTML").replace(' style=""', "")
        seen.add(source.replace(f"Trial {trial} of", "Trial of"))
        pictures.add(page.locator(".deck").screenshot(animations="disabled"))
        page.keyboard.press("Shift+B")
    truths = page.locator("#abx-table [data-x]").evaluate_all("all => all.map(e => e.dataset.x)")
    assert set(truths) == {"a", "b"}
    assert len(seen) == len(pictures) == 1


def test_the_p_value_is_scipys(opened: Opened) -> None:
    for trials in (1, 5, 10, 16, 100):
        for hits in {0, 1, trials // 2, trials - 1, trials}:
            p = binomtest(hits, trials, 0.5, alternative="greater").pvalue
            assert opened.page.evaluate(f"listening.chance({hits}, {trials})") == pytest.approx(p)


def test_a_test_that_is_stopped_early_says_so(opened: Opened) -> None:
    page = opened.page
    page.get_by_role("combobox", name="B").select_option("dry")
    page.get_by_role("button", name="Start the test").click()
    expect(page.get_by_role("alert").filter(has_text="same variant")).to_be_visible()
    page.get_by_role("combobox", name="B").select_option("warm")
    page.get_by_role("button", name="Start the test").click()
    page.keyboard.press("Shift+A")
    page.get_by_role("button", name="Stop here").click()
    expect(page.locator("#abx-verdict")).to_contain_text("of 1 right, stopped early (10 were")
    expect(page.locator("#abx-meaning")).to_contain_text("So few trials")
    expect(page.get_by_role("radiogroup", name="Variants")).to_be_visible()


def test_everything_can_be_reached_by_keyboard(opened: Opened) -> None:
    page = opened.page
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the variants")).to_be_focused()
    reached = []
    for _ in range(40):
        page.keyboard.press("Tab")
        active = "document.activeElement"
        reached.append(page.evaluate(f"{active}.id || {active}.textContent"))
        if page.evaluate(f"{active}.matches('[role=radio]')"):
            reached[-1] = "variants"
    for wanted in ("play", "loop-in", "loop", "volume", "variants", "position", "abx-a", "abx-b",
                   "abx-trials", "abx-live", "abx-start", "help-button"):  # fmt: skip
        assert wanted in reached
    page.get_by_role("radio", name="dry").focus()
    page.keyboard.press("ArrowDown")
    expect(page.get_by_role("radio", name="warm")).to_be_focused()
    expect(page.get_by_role("radio", name="warm")).to_be_checked()
    for key, name in (("n", "hot"), ("p", "warm"), ("s", "hot"), ("s", "warm")):
        page.keyboard.press(key)
        expect(page.get_by_role("radio", name=name)).to_be_checked()
    page.keyboard.press("?")
    help_dialog = page.get_by_role("dialog", name="Keyboard")
    expect(help_dialog).to_be_visible()
    page.get_by_label("Keys of one letter or digit act").uncheck()
    page.keyboard.press("Escape")
    expect(help_dialog).to_be_hidden()
    page.keyboard.press("1")
    expect(page.get_by_role("radio", name="warm")).to_be_checked()


def test_every_control_and_picture_has_a_name(opened: Opened) -> None:
    page = opened.page
    page.keyboard.press("]")  # handles and all
    tree = page.locator("body").aria_snapshot()
    roles = "button|radio|slider|combobox|checkbox|spinbutton|img|dialog|radiogroup|link|region"
    named = re.findall(rf"- (?:{roles}) \"", tree)
    unnamed = re.findall(rf"- (?:{roles})(?! \")\b.*", tree)
    assert len(named) > 20
    assert unnamed == []
    expect(page.get_by_role("img", name="Magnetisation M against field H")).to_be_visible()
    expect(page.get_by_role("heading", level=1)).to_have_text("bass.wav")
    expect(page.get_by_role("main")).to_have_count(1)


CONTRAST = """() => {
  const pen = Object.assign(document.createElement("canvas"), { width: 1, height: 1 })
    .getContext("2d", { willReadFrequently: true });
  const shown = (layers) => {
    pen.clearRect(0, 0, 1, 1);
    for (const layer of layers) { pen.fillStyle = layer; pen.fillRect(0, 0, 1, 1); }
    return [...pen.getImageData(0, 0, 1, 1).data].slice(0, 3).map((v) => v / 255)
      .map((v) => (v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
  };
  const light = (rgb) => 0.2126 * rgb[0] + 0.7152 * rgb[1] + 0.0722 * rgb[2];
  const found = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    if (!walker.currentNode.textContent.trim() || !element.checkVisibility()) continue;
    if (element.closest(":disabled, option, .unseen, .skip, script, noscript")) continue;
    const layers = [];
    for (let at = element; at; at = at.parentElement) {
      layers.unshift(getComputedStyle(at).backgroundColor);
    }
    const style = getComputedStyle(element);
    const ink = element.closest("svg") ? style.fill : style.color;
    const [a, b] = [light(shown(layers)), light(shown([...layers, ink]))];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    found.push([ratio, walker.currentNode.textContent.trim()]);
  }
  return found.sort((a, b) => a[0] - b[0]);
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_from_its_ground(
    open_page: Callable[..., Opened], address: str, scheme: str
) -> None:
    opened = open_page(address, color_scheme=scheme)
    opened.ready(len(GAINS))
    for number in range(1, len(GAINS) + 1):
        opened.page.keyboard.press(str(number))
        ratios = opened.page.evaluate(CONTRAST)
        assert len(ratios) > 100
        assert ratios[0][0] >= 4.5, ratios[:5]


def test_on_a_phone_nothing_is_too_wide_or_too_small(
    open_page: Callable[..., Opened], address: str
) -> None:
    opened = open_page(address, **PHONE)
    opened.ready(len(GAINS))
    page = opened.page
    page.get_by_role("radio", name="hot").tap()
    page.get_by_role("button", name="Play").tap()
    opened.until_past(0.2)
    page.get_by_role("button", name="Loop out").tap()
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    controls = "button:visible, select:visible, input:visible, summary:visible, .handle:visible"
    for control in page.locator(controls).all():
        box = control.bounding_box()
        assert box is not None
        in_label = control.evaluate("element => element.closest('label')?.offsetHeight || 0")
        assert max(box["height"], in_label) >= 43.9, control.evaluate("e => e.outerHTML")
    page.get_by_role("button", name="Start the test").tap()
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    page.get_by_role("button", name="X is B").tap()
    expect(page.locator("#abx-progress")).to_have_text("Trial 2 of 10")


def test_who_wants_less_motion_gets_none(open_page: Callable[..., Opened], address: str) -> None:
    opened = open_page(address, reduced_motion="reduce")
    animation = "getComputedStyle(document.querySelector('.reel')).animationName"
    assert opened.page.evaluate(animation) == "none"


def test_names_are_text_whatever_is_in_them(
    open_page: Callable[..., Opened], tmp_path: Path
) -> None:
    names = [
        "<img src=x onerror=\"document.title='hacked'\">",
        "\"'&amp;</script><b>",
        "Höhe \u2028 響き 🎚",
    ]
    source = "a/</script><script>document.title='hacked'</script>.wav"
    opened = open_page(make_page(tmp_path, dict.fromkeys(names, 0.5), 4410, source=source))
    opened.ready(3)
    radios = opened.page.get_by_role("radio")
    assert [radio.get_attribute("aria-label") for radio in radios.all()] == names
    shown = radios.locator(".name").all_text_contents()
    assert shown == ["<img src=x \u2026e='hacked'\">", *names[1:]]  # the long one in the middle
    expect(opened.page.get_by_role("radio", name=names[0])).to_have_count(1)
    assert "hacked" not in opened.page.title().split(" ")[0].replace(source.split("/")[-1], "")
    assert opened.page.locator("main img, main b img, #source script").count() == 0
    opened.page.get_by_role("combobox", name="A").select_option(names[1])


def test_the_numbers_are_those_of_the_comparison(opened: Opened) -> None:
    table = opened.page.get_by_role("table").first
    row = table.get_by_role("row", name="hot").get_by_role("cell")
    texts = [text.strip().replace("\u2212", "-") for text in row.all_inner_texts()]
    assert texts[:7] == ["-18.0", "0.00", "-18.0", "-3.00", "9.5", "-25.0", "0.25"]
    assert "drive\u00a00.5" in texts[7]
    expect(opened.page.locator("#shared")).to_have_text(
        "All renders: mode\u00a0nr8, makeup\u00a0on."
    )
    nulls = opened.page.locator("#nulls")
    expect(nulls.get_by_role("row", name="cold").get_by_text("silence")).to_have_count(1)
    expect(nulls.get_by_role("row", name="dry").get_by_text("30.0 dB")).to_have_count(3)


def test_the_page_holds_the_samples_of_the_file_across_pieces_and_over_full_scale(
    open_page: Callable[..., Opened], tmp_path: Path
) -> None:
    frames = PIECE_FRAMES + 3000
    loud = {"over": 3.7, "under": 0.5}
    opened = open_page(make_page(tmp_path, loud, frames))
    opened.ready(2)
    for number, gain in enumerate(loud.values()):
        for start in (0, PIECE_FRAMES - 100, frames - 200):
            held = opened.page.evaluate(
                f"[...listening.page.loader.tracks[{number}].buffer.getChannelData(0)"
                f".subarray({start}, {start + 200})]"
            )
            known = noise(frames)[start : start + 200] * gain
            np.testing.assert_allclose(held, known, rtol=0, atol=4 * 2.0**-23)
    expect(opened.page.locator("#loudness-note")).to_contain_text("dB lower, so that none of")
    master = opened.page.evaluate("listening.page.player.headroom")
    assert master * 3.7 * 0.9 == pytest.approx(1.0, abs=1e-3)


def test_more_than_two_channels_are_mixed_for_the_page_alone(
    open_page: Callable[..., Opened], tmp_path: Path
) -> None:
    samples = np.arange(4000.0).reshape(1000, 4) / 4096
    samples *= 0.1  # very quiet, so the page plays it louder
    sf.write(tmp_path / "four.wav", samples, RATE, subtype="PCM_24")
    quiet = variant("four", "four.wav", true_peak_dbtp=-20.0)
    write_page(tmp_path, comparison([quiet], 1000, channels=4))
    opened = open_page(tmp_path / "index.html")
    opened.ready(1)
    buffer = "listening.page.loader.tracks[0].buffer"
    held = opened.page.evaluate(f"[...{buffer}.getChannelData(0)]")
    np.testing.assert_allclose(held, samples.mean(axis=1), atol=2.0**-23)
    note = opened.page.locator("#loudness-note")
    expect(note).to_contain_text("plays all of them 19.0\u00a0dB louder")
    expect(note).to_contain_text("mean of the 4 channels")
    headroom = opened.page.evaluate("listening.page.player.headroom")
    assert 20 * np.log10(headroom) == pytest.approx(19.0)
    opened.page.wait_for_function("eval('1 + 1') === 2")  # other people's tools may use the page
    expect(opened.page.get_by_role("button", name="Start the test")).to_be_disabled()


def test_where_memory_is_short_variants_load_when_they_are_asked_for(
    open_page: Callable[..., Opened], address: str
) -> None:
    little = "Object.defineProperty(navigator, 'deviceMemory', { value: 1e-6 })"
    opened = open_page(address, script=little)
    opened.ready(3)
    held = "listening.page.loader.tracks.filter((track) => track.buffer).length"
    opened.play()
    opened.tap()
    for number in (4, 3, 2, 1, 4):
        opened.page.keyboard.press(str(number))
        expect(opened.page.locator("#page")).to_have_attribute("data-current", str(number))
        assert opened.loudness() == pytest.approx(list(GAINS.values())[number - 1], rel=0.05)
        assert opened.page.evaluate(held) <= 3


def test_dozens_of_variants(open_page: Callable[..., Opened], tmp_path: Path) -> None:
    many = {f"take {i}": 0.5 for i in range(30)}
    opened = open_page(make_page(tmp_path, many, RATE))
    opened.ready(30)
    opened.page.keyboard.press("9")
    opened.page.keyboard.press("n")
    expect(opened.page.get_by_role("radio", name="take 9", exact=True)).to_be_checked()


def test_a_missing_piece_is_named(browser: Browser, tmp_path: Path) -> None:
    index = make_page(tmp_path, {"one": 0.5, "two": 0.5}, 4410)
    (tmp_path / "page" / "audio" / "1-0.js").unlink()
    with browser.new_context() as context:
        page = context.new_page()
        page.goto(index.as_uri())
        expect(page.get_by_role("alert").first).to_contain_text("page/audio/1-0.js can't be loaded")
        expect(page.get_by_role("radio", name="two")).to_have_accessible_description(
            "can\u2019t be loaded"
        )


def test_writing_again_gives_the_same_bytes_and_leaves_nothing_stale(tmp_path: Path) -> None:
    def content() -> dict[str, bytes]:
        return {str(p): p.read_bytes() for p in sorted(tmp_path.rglob("*")) if p.is_file()}

    make_page(tmp_path, GAINS, 4410)
    once = content()
    make_page(tmp_path, {**GAINS, "fifth": 0.1}, 4410)
    assert str(tmp_path / "page" / "audio" / "4-0.js") in content()
    (tmp_path / "4.wav").unlink()
    make_page(tmp_path, GAINS, 4410)
    assert content() == once


def test_audio_that_is_not_there_is_one_clear_error_and_no_page(tmp_path: Path) -> None:
    missing = comparison([variant("gone", "gone.wav")], 100)
    with pytest.raises(AudioFileError, match=r"gone\.wav: there is no such file"):
        write_page(tmp_path, json.loads(json.dumps(missing)))
    assert not (tmp_path / "index.html").exists()


def test_a_comparison_opens_from_disk_and_shows_the_figures_of_its_json(
    chowtape: Run, open_page: Callable[..., Opened], tmp_path: Path
) -> None:
    """The whole way: `chowtape ab`, then its page in the browser."""
    write_wav(tmp_path / "mix.wav", music(3.0, 44_100))
    result = chowtape(
        "ab", "mix.wav", "ab", "--variant", "A:mode=nr8", "--variant", "B:mode=nr8",
        "--sweep", "drive=0.2:0.9:2", "--json",
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    whole = json.loads(result.stdout)
    opened = open_page(tmp_path / "ab" / "index.html")
    page = opened.page
    opened.ready(len(whole["variants"]))
    opened.play()
    for number, one in enumerate(whole["variants"], 1):
        page.keyboard.press(str(number))
        expect(page.get_by_role("status")).to_have_text(one["name"])
        expect(page.locator("#page")).to_have_attribute("data-current", str(number))
        figures = [f"{one['lufs_before']:.1f}", f"{one['gain_db']:.2f}", f"{one['lufs']:.1f}",
                   f"{one['true_peak_dbtp']:.2f}", f"{one['crest_db']:.1f}"]  # fmt: skip
        cells = page.locator("#numbers tbody tr").nth(number - 1).locator("td").all_inner_texts()
        assert [cell.replace("\u2212", "-") for cell in cells[:5]] == figures
    opened.until_past(0.3)
    same = page.locator("#nulls tbody tr").nth(1).locator("td").nth(2)
    expect(same).to_have_text("silence")


def test_pictures_wait_for_a_page_that_has_no_width_yet(
    open_page: Callable[..., Opened], address: str
) -> None:
    opened = open_page(address, "addEventListener('DOMContentLoaded', () => { "
                       "document.body.style.display = 'none'; });")  # fmt: skip
    opened.ready(len(GAINS))
    opened.page.evaluate("document.body.style.display = ''")
    opened.play()
    opened.until_past(0.2)


def test_the_zoom_button_says_at_once_whether_it_is_on(opened: Opened) -> None:
    page = opened.page
    zoom = page.get_by_role("button", name="Zoom to the loop")
    page.keyboard.press("z")
    expect(zoom).to_have_attribute("aria-pressed", "false")  # there is no loop to zoom to
    page.evaluate(f"listening.page.timeline.setLoop({RATE}, {2 * RATE})")
    for act in (zoom.click, lambda: page.keyboard.press("z")) * 2:
        before = page.evaluate("listening.page.timeline.zoomed")
        act()
        assert page.evaluate("listening.page.timeline.zoomed") is not before
        expect(zoom).to_have_attribute("aria-pressed", str(not before).lower())
    zoom.click()
    page.keyboard.press("Escape")
    expect(zoom).to_have_attribute("aria-pressed", "false")
    expect(zoom).to_be_disabled()


def test_loops_are_closed(opened: Opened) -> None:
    curves = opened.page.locator("#loops polyline")
    expect(curves).to_have_count(len(GAINS) - 1)
    for curve in curves.all():
        points = str(curve.get_attribute("points")).split()
        assert len(points) > 100
        assert points[0] == points[-1]


def test_axes_have_units_and_ticks_beyond_the_data(opened: Opened) -> None:
    texts = opened.page.locator("#loops text").all_text_contents()
    assert "field H (full scale of the input = 1)" in texts
    assert "magnetisation M (full scale = 1)" in texts
    ticks = [float(text.replace("\u2212", "-")) for text in texts if text[-1].isdigit()]
    assert min(ticks) <= -1.0  # where the curves end
    assert max(ticks) >= 1.0
    level = opened.page.locator("#harmonics text").all_text_contents()
    assert {"harmonic", "level (dB)"} <= set(level)


def test_the_legend_names_what_is_drawn(opened: Opened) -> None:
    names = opened.page.locator("#legend li").all_text_contents()
    assert names == [name for name in GAINS if name != "dry"]


def test_equal_curves_take_turns_so_that_each_colour_is_seen(
    open_page: Callable[..., Opened], tmp_path: Path
) -> None:
    names = ["dry", "one", "same", "other"]
    sf.write(tmp_path / "0.wav", noise(RATE) * 0.5, RATE)
    variants = [
        variant(name, "0.wav", **(rendered(0.9 if name == "other" else 0.3) if number else {}))
        for number, name in enumerate(names)
    ]
    write_page(tmp_path, comparison(variants, RATE))
    opened = open_page(tmp_path / "index.html")
    opened.ready(len(names))
    for picture in ("#loops", "#harmonics"):
        curves = {
            curve.get_attribute("data-variant"): (
                curve.get_attribute("stroke-dasharray"),
                float(curve.get_attribute("stroke-dashoffset") or 0.0),
            )
            for curve in opened.page.locator(f"{picture} polyline").all()
        }
        (dash, first), (other_dash, second) = curves["1"], curves["2"]
        assert dash == other_dash
        drawn, gap = map(float, str(dash).split())
        assert drawn == gap == abs(second - first)
        assert curves["3"] == ("none", 0.0)


def test_nothing_lies_over_the_times_of_the_ruler(
    open_page: Callable[..., Opened], address: str
) -> None:
    for how in ({}, PHONE):
        opened = open_page(address, **how)
        opened.ready(len(GAINS))
        page = opened.page
        page.evaluate(f"listening.page.timeline.setLoop(0, {round(SECONDS * RATE)})")
        top = page.locator("#ruler").evaluate("ruler => ruler.getBoundingClientRect().top")
        bottom_of_labels = top + 15
        for part in ("#handle-in i", "#handle-out i", "#playhead"):
            where = page.locator(part).evaluate("part => part.getBoundingClientRect().top")
            assert where >= bottom_of_labels
        # the pixels where a label is are the ruler's own
        ink = page.locator("#ruler-picture").evaluate(
            """canvas => {
              const scale = canvas.width / canvas.getBoundingClientRect().width;
              const { data, width } = canvas.getContext("2d")
                .getImageData(0, 0, canvas.width, canvas.height);
              const rows = [];
              for (let i = 0; i < data.length / 4; i += 1) {
                const x = (i % width) / scale;
                if (data[4 * i + 3] && x > 4 && x < 30) rows.push(Math.floor(i / width) / scale);
              }
              return [Math.min(...rows), Math.max(...rows)];
            }"""
        )
        assert 0 <= ink[0] < ink[1] < 16


def test_a_name_breaks_between_words_even_while_it_loads(
    open_page: Callable[..., Opened], site: Path
) -> None:
    endless = "OfflineAudioContext.prototype.decodeAudioData = () => new Promise(() => {});"
    opened = open_page(site / "index.html", endless, **PHONE)
    expect(opened.page.locator(".variant .state").nth(3)).to_have_text("not loaded")
    for number, name in enumerate(GAINS):
        lines = opened.page.locator(f"#name-{number}").evaluate(
            """element => {
              const range = document.createRange();
              range.selectNodeContents(element);
              return range.getClientRects().length;
            }"""
        )
        assert lines == 1, name


def test_numbers_have_units_and_no_negative_zero(
    open_page: Callable[..., Opened], tmp_path: Path
) -> None:
    sf.write(tmp_path / "0.wav", noise(RATE) * 0.5, RATE)
    settings = {"mode": "nr8", "oversampling": 2, "input_gain": -3.0, "mix": 100.0, "dc_block": 35}
    variants = [
        variant("dry", "0.wav", gain_db=-0.001),
        variant("A", "0.wav", **{**rendered(0.3), "settings": settings, "gain_db": -0.0}),
    ]
    write_page(tmp_path, comparison(variants, RATE))
    page = open_page(tmp_path / "index.html").page
    expect(page.locator("#shared")).to_have_text(
        "All renders: mode\u00a0nr8, oversampling\u00a02\u00d7, input gain\u00a0\u22123\u00a0dB, "
        "mix\u00a0100\u00a0%, dc block\u00a035\u00a0Hz."
    )
    for row in page.locator("#numbers tbody tr").all():
        expect(row.locator("td").nth(1)).to_have_text("0.00")
    expect(page.locator(".variant .state")).to_have_text(["", ""])  # no second "dry" beside "dry"


def test_many_variants_fit_a_page_each_in_a_colour_and_under_a_name_of_its_own(
    open_page: Callable[..., Opened], tmp_path: Path
) -> None:
    sf.write(tmp_path / "0.wav", noise(RATE) * 0.5, RATE)
    names = ["dry", *(f"oversampling-of-the-tape_drive-{number / 60:.6f}" for number in range(60))]
    variants = [
        variant(name, "0.wav", **(rendered(number / 60) if number else {}))
        for number, name in enumerate(names)
    ]
    nulls = [
        {"a": a, "b": b, "residual_db": -30.0} for i, a in enumerate(names) for b in names[i + 1 :]
    ]
    write_page(tmp_path, comparison(variants, RATE, nulls=nulls))
    opened = open_page(tmp_path / "index.html", viewport={"width": 1280, "height": 800})
    opened.ready(len(names))
    page = opened.page
    assert page.evaluate("document.documentElement.scrollHeight") < 3 * 800
    colours = page.evaluate(
        "[...document.querySelectorAll('.variant')]"
        ".map(button => getComputedStyle(button).getPropertyValue('--v'))"
    )
    assert len(set(colours)) == len(names)
    assert len(set(page.locator(".variant .name").all_text_contents())) == len(names)
    assert len(set(page.locator("#numbers tbody th").all_text_contents())) == len(names)
    heads = page.locator("#nulls thead th").all_text_contents()[1:]
    assert heads == page.locator(".variant .name").all_text_contents()
    page.keyboard.press("p")  # from the first to the last
    last = page.get_by_role("radio", name=names[-1])
    expect(last).to_be_checked()
    expect(last).to_be_in_viewport()
    assert page.evaluate("scrollY") == 0
