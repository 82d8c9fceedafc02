// Stands in for CuPy's cupy/cuda/cupy_thrust.cu: sorting, by loops in our libcudart (sorting.cpp).
#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <vector>

#include "cupy_thrust.h"

// what: 0 sorts, 1 finds the order, 2 finds the order by several keys. A status of CUDA is
// returned.
extern "C" int cpushim_thrust(int what, int dtype, void* data, size_t* index, size_t keys,
                              size_t length, const ptrdiff_t* shape, int dimensions,
                              intptr_t stream);

static void call(int what, int dtype, void* data, size_t* index, size_t keys, size_t length,
                 const std::vector<ptrdiff_t>& shape, intptr_t stream) {
    int status = cpushim_thrust(what, dtype, data, index, keys, length, shape.data(),
                                (int)shape.size(), stream);
    if (status == 900) {
        throw std::runtime_error(
            "thrust: cudaErrorStreamCaptureUnsupported: operation not "
            "permitted when stream is capturing");
    }
    if (status) throw std::runtime_error("thrust: not supported by CuPy on the CPU");
}

void thrust_sort(int dtype, void* data, size_t*, const std::vector<ptrdiff_t>& shape,
                 intptr_t stream, void*) {
    call(0, dtype, data, nullptr, 0, 0, shape, stream);
}

void thrust_argsort(int dtype, size_t* index, void* data, void*,
                    const std::vector<ptrdiff_t>& shape, intptr_t stream, void*) {
    call(1, dtype, data, index, 0, 0, shape, stream);
}

void thrust_lexsort(int dtype, size_t* index, void* data, size_t keys, size_t length,
                    intptr_t stream, void*) {
    call(2, dtype, data, index, keys, length, {}, stream);
}
