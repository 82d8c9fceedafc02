"""Out of memory: one sentence with a batch size that fits, and nothing lost."""

import tracemalloc
import types
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from helpers.runs import write_small_set

from mnistgpu import data
from mnistgpu.backend import NUMPY, select
from mnistgpu.data import Digits
from mnistgpu.engine import memory, stepping
from mnistgpu.engine.cpu import process_group, processes, tensor_parallel
from mnistgpu.engine.gradient import GPU_SHARD_ROWS, Engine, rows_of_a_shard
from mnistgpu.engine.products import cublas
from mnistgpu.engine.trainer import Trainer
from mnistgpu.errors import BackendError, OutOfMemoryError, RunError
from mnistgpu.runs import checkpoint, training
from mnistgpu.runs.checkpointing import Checkpointing, parse_every
from mnistgpu.settings import Settings

SETTINGS = Settings(layers="784-300-200-10").changed(iterations=9, init="he", validation=0)
CHANGES = {
    "full batch": {},
    "mini-batches": {"batch_size": 500},
    "adam": {"batch_size": 500, "optimizer": "adam", "ema": 0.9},
    "gelu": {"batch_size": 1500, "activation": "gelu"},
    "noise": {"batch_size": 1500, "batch_norm": True, "hidden_noise": 0.3, "input_noise": 0.3},
    "dropout": {"batch_size": 1000, "hidden_dropout": 0.2},
    "adversarial": {"batch_size": 1000, "adversarial": 1.0, "batch_norm": True},
    "consistency": {"batch_size": 1000, "consistency": 1.0, "elastic": 1.0, "shift": 2.0},
    "denoising": {
        "batch_size": 1000,
        "denoising": 1.0,
        "batch_norm": True,
        "input_noise": 0.3,
    },
    "deformed": {"batch_size": 1024, "rotation": 10.0, "elastic": 1.0},
    "float64": {"precision": "float64"},
    # where units take more than pixels and weights
    "deep": {"layers": "784" + 10 * "-100" + "-10", "batch_size": 1000},
}


@pytest.mark.parametrize("changes", CHANGES.values(), ids=CHANGES)
def test_a_step_takes_no_more_than_estimated(changes):
    settings = SETTINGS.changed(**changes)
    images = np.random.default_rng(0).integers(0, 256, (3000, 784), dtype=np.uint8)
    train = Digits(images, np.arange(3000, dtype=np.uint8) % 10, "random")
    tracemalloc.start()
    trainer = Trainer(settings, train, NUMPY, workers=1)
    for _ in range(7):  # also the last batch of an epoch
        trainer.step()
    peak = tracemalloc.get_traced_memory()[1] + images.nbytes  # which NumPy does not copy
    tracemalloc.stop()
    rows = min(trainer.engine.shard_rows, trainer.batches.size)
    shards = rows * memory.bytes_of_an_image(settings) * (2 if rows < 3000 else 1)
    estimate = memory.fixed(settings, 3000) + shards
    assert peak < estimate < 4 * peak


def test_a_comparison_of_two_forms_takes_no_more_than_estimated():
    """On a GPU, where kernels are compared with the plain form, and here with bound calls."""
    settings = SETTINGS.changed(layers="784-600-10", batch_size=10, optimizer="adam", ema=0.9)
    images = np.random.default_rng(0).integers(0, 256, (40, 784), dtype=np.uint8)
    train = Digits(images, np.arange(40, dtype=np.uint8) % 10, "random")
    trainer = Trainer(settings, train, NUMPY, workers=1)
    tracemalloc.start()
    with stepping.stepping(trainer, processes=1):
        peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    estimate = memory.of_comparison(settings)
    assert peak < estimate + memory.fixed(settings, 40)
    assert estimate < 2 * peak


@pytest.mark.parametrize("precision", ["float32", "exact"])
def test_the_images_of_a_step_are_let_go_with_it(precision):
    """As numbers they take four times the memory of the pixels, and the next step makes its own."""
    images = np.random.default_rng(0).integers(0, 256, (3000, 784), dtype=np.uint8)
    train = Digits(images, np.arange(3000, dtype=np.uint8) % 10, "random")
    settings = SETTINGS.changed(layers="784-10-10", precision=precision)
    trainer = Trainer(settings, train, NUMPY, workers=1)
    tracemalloc.start()
    trainer.step()
    held = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert held < images.nbytes


@pytest.mark.gpu
@pytest.mark.parametrize("graph", [False, True], ids=["eager", "replayed"])
@pytest.mark.parametrize("changes", CHANGES.values(), ids=CHANGES)
def test_a_run_on_a_gpu_takes_no_more_than_estimated(changes, graph):
    """From the set-up to the evaluation at the end, graph and workspace of cuBLAS included."""
    try:
        gpu = select("cupy")
        from cupy.cuda import memory_hook
    except (BackendError, ImportError) as error:
        pytest.skip(str(error))

    class Held(memory_hook.MemoryHook):
        """What is asked of the device for arrays, by all pools together."""

        now = most = 0

        def alloc_postprocess(self, **of):
            self.now += of["mem_size"]
            self.most = max(self.most, self.now)

    settings = SETTINGS.changed(**changes, graph=graph)
    images = np.random.default_rng(0).integers(0, 256, (3000, 784), dtype=np.uint8)
    labels = np.arange(3000, dtype=np.uint8) % 10
    dataset = data.Dataset(Digits(images, labels, "random"), None, "random")
    # of its own, since what an earlier run has left in a pool is used again, and not counted
    fresh = gpu.xp.cuda.MemoryPool()
    try:
        with gpu.xp.cuda.using_allocator(fresh.malloc), Held() as held:
            training.train(settings, dataset, gpu)
    except BackendError as error:
        pytest.skip(str(error))
    estimate = memory.needed(settings, 3000, settings.batch_size or 3000)
    print(f"held {held.most / 2**20:.1f} MiB, estimate {estimate / 2**20:.1f} MiB")
    assert held.most < estimate < 4 * held.most


def small_gpu(monkeypatch, settings, free, pixel=1, images=900):
    """Let NumPy raise as an allocator does that has `free` bytes."""
    right = Engine.gradient

    def gradient(self, rows, *others):
        count = rows.stop if isinstance(rows, slice) else rows.shape[0]
        if memory.needed(settings, images, count, pixel) > free:
            raise MemoryError("Out of memory allocating 1,073,741,824 bytes (allocated so far: 0).")
        return right(self, rows, *others)

    monkeypatch.setattr(Engine, "gradient", gradient)
    monkeypatch.setattr(memory, "free_bytes", lambda backend: free)


@pytest.fixture
def one_process(monkeypatch):
    """As on a GPU."""
    monkeypatch.setattr(processes, "is_possible", lambda: False)


@pytest.fixture
def dataset(tmp_path):
    return data.load(write_small_set(tmp_path))


@pytest.mark.usefixtures("one_process")
def test_the_batch_size_that_is_named_fits(monkeypatch, dataset):
    settings = SETTINGS.changed(batch_size=900, iterations=3)
    small_gpu(monkeypatch, settings, memory.needed(settings, 900, 300))
    with pytest.raises(OutOfMemoryError, match=r"GiB were free.*--batch-size 256 would fit") as e:
        training.train(settings, dataset, NUMPY)
    assert "900 images a step were too many" in str(e.value)
    assert "\n" not in str(e.value)
    assert isinstance(e.value, RunError)
    assert e.value.exit_status == 1
    training.train(settings.changed(batch_size=256), dataset, NUMPY)


@pytest.mark.usefixtures("one_process")
def test_features_need_the_memory_of_their_type(monkeypatch, dataset):
    """Four bytes for each instead of one: 512 rows would fit if they were images."""
    rows = dataset.train.images.astype(np.float32)
    features = replace(dataset, train=replace(dataset.train, images=rows))
    settings = SETTINGS.changed(batch_size=900, iterations=3)
    free = memory.needed(settings, 900, 300, rows.itemsize)
    assert memory.needed(settings, 900, 512) < free
    small_gpu(monkeypatch, settings, free, rows.itemsize)
    with pytest.raises(OutOfMemoryError, match="--batch-size 256 would fit"):
        training.train(settings, features, NUMPY)


@pytest.mark.usefixtures("one_process")
def test_what_fits_at_no_batch_size_is_said(monkeypatch, dataset):
    small_gpu(monkeypatch, SETTINGS, 1000)
    with pytest.raises(OutOfMemoryError, match="do not fit at any batch size; stop other"):
        training.train(SETTINGS, dataset, NUMPY)


def test_replays_that_do_not_fit_are_to_be_left_out():
    settings = SETTINGS.changed(batch_size=512, graph=True)
    free = memory.needed(replace(settings, graph=False), 900, 512)
    message = memory.sentence(settings, 900, free, NUMPY)
    assert message.endswith("replayed steps need memory of their own; leave --graph out")
    assert memory.needed(settings, 900, 512) > free + cublas.WORKSPACE_BYTES


def test_without_a_figure_for_free_memory_half_is_proposed(monkeypatch):
    message = memory.sentence(SETTINGS.changed(batch_size=100), 900, None, NUMPY)
    assert message.endswith("100 images a step were too many; --batch-size 64 would fit")


@pytest.mark.usefixtures("one_process")
def test_nothing_is_lost(monkeypatch, dataset, tmp_path):
    """The run is saved before it stops, and resumes from there when there is memory again."""
    settings = SETTINGS.changed(batch_size=100, iterations=20)
    expected = training.train(settings, dataset, NUMPY).model.theta
    every = parse_every("1epochs")
    saving = Checkpointing(tmp_path, None, dataset.digest, every)
    right = Engine.gradient
    calls = []

    def gradient(self, *arguments):
        calls.append(arguments)
        if len(calls) == 2 * stepping.CHECKED_STEPS + 13:  # the first are compared
            raise RuntimeError("CUBLAS_STATUS_ALLOC_FAILED")
        return right(self, *arguments)

    monkeypatch.setattr(Engine, "gradient", gradient)
    with pytest.raises(OutOfMemoryError):
        training.train(settings, dataset, NUMPY, [saving])
    saved = checkpoint.load(tmp_path)
    assert saved.taken == 9
    resumed = training.train(settings, dataset, NUMPY, [saving], resumed=saved)
    np.testing.assert_array_equal(resumed.model.theta, expected)


@pytest.mark.usefixtures("one_process")
def test_other_errors_pass_through(monkeypatch, dataset):
    def gradient(self, *arguments):
        raise RuntimeError("cudaErrorIllegalAddress")

    monkeypatch.setattr(Engine, "gradient", gradient)
    with pytest.raises(RuntimeError, match="IllegalAddress"):
        training.train(SETTINGS, dataset, NUMPY)


def test_free_memory_counts_what_the_pool_holds():
    pool = types.SimpleNamespace(free_bytes=lambda: 50)
    device = types.SimpleNamespace(mem_info=(1000, 4000))
    cupy = types.SimpleNamespace(
        get_default_memory_pool=lambda: pool,
        cuda=types.SimpleNamespace(Device=lambda ordinal: device),
    )
    chosen = types.SimpleNamespace(name="cupy", xp=cupy, device=0)
    assert memory.free_bytes(chosen) == 1050
    if Path("/proc/meminfo").exists():
        assert 2**20 < memory.free_bytes(NUMPY) < 2**50


@pytest.mark.parametrize(
    "changes", [{"hidden_noise": 0.1}, {"batch_norm": True}, {"activation": "gelu"}, {"shift": 1.0}]
)
def test_where_much_is_done_number_by_number_a_cpu_halves_a_batch(changes):
    """A GPU takes all of it at once."""
    narrow = Settings(layers="784-800-800-10").changed(**changes)
    wide = Settings(layers="784-2500-2000-1500-1000-500-10").changed(**changes)
    for batch in (1, 100, 512, 1024, 8192):
        assert rows_of_a_shard(narrow, batch, on_cpu=True) == min(512, -(-batch // 2))
        # the step of `record` is one piece
        assert rows_of_a_shard(wide, batch, on_cpu=True) == min(4096, batch)
        for settings in (narrow, wide):
            assert rows_of_a_shard(settings, batch, on_cpu=False) >= batch


def test_shards_of_wide_networks_are_smaller_on_a_gpu():
    narrow, wide = Settings(), Settings(layers="784-2500-2000-1500-1000-500-10")
    assert rows_of_a_shard(narrow, 10**6, on_cpu=False) == GPU_SHARD_ROWS
    rows = rows_of_a_shard(wide, 10**6, on_cpu=False)
    assert rows == 16384
    assert rows * memory.bytes_of_an_image(wide) < 2 * 2**30


@pytest.mark.skipif(not process_group.is_possible(), reason="no forked process can compute here")
@pytest.mark.parametrize("rank", [0, 1])
def test_processes_that_share_a_step_say_it_too(monkeypatch, dataset, rank):
    right = tensor_parallel.RankSteps.step

    def step(self, *arguments):
        if self.group.rank == rank:
            raise MemoryError("Unable to allocate 9 GiB")
        return right(self, *arguments)

    monkeypatch.setattr(tensor_parallel.RankSteps, "step", step)
    monkeypatch.setattr(processes, "cores", lambda: 2)
    settings = SETTINGS.changed(batch_size=500, iterations=3)
    with pytest.raises(OutOfMemoryError, match="500 images a step were too many"):
        training.train(settings, dataset, NUMPY)
