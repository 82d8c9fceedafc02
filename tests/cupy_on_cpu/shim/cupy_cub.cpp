// Stands in for CuPy's cupy/cuda/cupy_cub.cu: reductions and scans of whole arrays, by loops in our
// libcudart (sorting.cpp). Histograms are not supported.
#include <cstddef>
#include <stdexcept>

#include "cupy_cub.h"

const size_t WORKSPACE = 1024;  // CuPy asks for its size and allocates it; nothing uses it

// what: 0 reduces each segment to a number, 1 gives all partial sums or products.
extern "C" int cpushim_cub(int what, void* input, void* output, int segments, int length,
                           void* stream, int operation, int dtype);

static void call(int what, void* input, void* output, int segments, int length, cudaStream_t stream,
                 int operation, int dtype) {
    if (cpushim_cub(what, input, output, segments, length, (void*)stream, operation, dtype)) {
        throw std::runtime_error("cub: not supported by CuPy on the CPU");
    }
}

[[noreturn]] static void no_histogram() {
    throw std::runtime_error("cub: histograms are not supported by CuPy on the CPU");
}

void cub_device_reduce(void*, size_t&, void* input, void* output, int length, cudaStream_t stream,
                       int operation, int dtype) {
    call(0, input, output, 1, length, stream, operation, dtype);
}

void cub_device_segmented_reduce(void*, size_t&, void* input, void* output, int segments,
                                 int length, cudaStream_t stream, int operation, int dtype) {
    call(0, input, output, segments, length, stream, operation, dtype);
}

void cub_device_scan(void*, size_t&, void* input, void* output, int length, cudaStream_t stream,
                     int operation, int dtype) {
    call(1, input, output, 1, length, stream, operation, dtype);
}

void cub_device_histogram_range(void*, size_t&, void*, void*, int, void*, size_t, cudaStream_t,
                                int) {
    no_histogram();
}

void cub_device_histogram_even(void*, size_t&, void*, void*, int, int, int, size_t, cudaStream_t,
                               int) {
    no_histogram();
}

size_t cub_device_reduce_get_workspace_size(void*, void*, int, cudaStream_t, int, int) {
    return WORKSPACE;
}

size_t cub_device_segmented_reduce_get_workspace_size(void*, void*, int, int, cudaStream_t, int,
                                                      int) {
    return WORKSPACE;
}

size_t cub_device_scan_get_workspace_size(void*, void*, int, cudaStream_t, int, int) {
    return WORKSPACE;
}

size_t cub_device_histogram_range_get_workspace_size(void*, void*, int, void*, size_t, cudaStream_t,
                                                     int) {
    no_histogram();
}

size_t cub_device_histogram_even_get_workspace_size(void*, void*, int, int, int, size_t,
                                                    cudaStream_t, int) {
    no_histogram();
}
