"""Threads: as many as are asked for, and which of the BLAS in this process is NumPy's."""

import threading
import types

import pytest

from mnistgpu.engine import threads

threadpoolctl = pytest.importorskip("threadpoolctl", reason="threadpoolctl is missing")


@pytest.mark.parametrize("count", [2, 3])
def test_so_many_threads_work_at_once(count):
    together = threading.Barrier(count)

    def work(_):
        together.wait(60)
        return threading.get_ident()

    with threads.workers(count) as pool:
        found = set(pool.map(work, range(count)))
    assert len(found - {threading.get_ident()}) == count


def test_one_worker_is_the_thread_that_asks():
    with threads.workers(1) as pool:
        assert pool is None


def test_blas_has_at_most_so_many_threads_from_then_on():
    threads._blas.cache_clear()  # other tests may have loaded another BLAS since
    with threadpoolctl.threadpool_limits(3, "blas"):
        for count, expected in ((4, 3), (2, 2)):
            threads.limit_blas(count)
            blas = threadpoolctl.ThreadpoolController().select(user_api="blas").lib_controllers
            assert {library.get_num_threads() for library in blas} == {expected}


@pytest.mark.parametrize("own", ["numpy.libs", "numpy/.dylibs", "numpy/.libs"])
@pytest.mark.parametrize("other", ["cv2/.dylibs", "opencv_python.libs", "scipy/.dylibs"])
def test_the_blas_in_the_folder_of_numpy_is_its_own(monkeypatch, own, other):
    """Wheels keep it in another folder on each system."""
    found = [
        {
            "user_api": "blas",
            "internal_api": "openblas",
            "version": version,
            "architecture": kernels,
            "filepath": f"/site-packages/{folder}/libopenblas.so",
        }
        for folder, version, kernels in ((other, "0.3.1", "Haswell"), (own, "0.3.2", "SkylakeX"))
    ]
    threads_of_compilers = {
        "user_api": "openmp",
        "internal_api": "openmp",
        "version": None,
        "filepath": "/site-packages/numpy.libs/libgomp.so",
    }
    for every in (found, found[::-1], [threads_of_compilers, *found]):
        blas = types.SimpleNamespace(info=lambda every=every: every)
        monkeypatch.setattr(threads, "_blas", lambda blas=blas: blas)
        assert threads.blas_name() == "openblas 0.3.2 (SkylakeX)"
        assert threads.blas_architecture() == "SkylakeX"
