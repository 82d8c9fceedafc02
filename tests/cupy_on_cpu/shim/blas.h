// What the sources of our libcublas share: handles, checks of pointers, and the way to OpenBLAS.
#pragma once
#include <cublas_v2.h>

#include "core.h"

namespace cpushim {

struct Handle {
    cudaStream_t stream = nullptr;
    cublasPointerMode_t pointer_mode = CUBLAS_POINTER_MODE_HOST;
    cublasMath_t math = CUBLAS_DEFAULT_MATH;
    cublasAtomicsMode_t atomics = CUBLAS_ATOMICS_NOT_ALLOWED;
};

inline Handle* handle_of(cublasHandle_t handle) { return (Handle*)handle; }

inline bool scalars_on_host(cublasHandle_t handle) {
    return handle_of(handle)->pointer_mode == CUBLAS_POINTER_MODE_HOST;
}

inline cublasStatus_t status(cudaError_t error) {
    return error ? CUBLAS_STATUS_EXECUTION_FAILED : CUBLAS_STATUS_SUCCESS;
}

// Every function goes through the handle's stream, so that a capture records it.
template <class F>
cublasStatus_t enqueue_on(cublasHandle_t handle, F operation) {
    if (!handle) return CUBLAS_STATUS_NOT_INITIALIZED;
    return status(enqueue(handle_of(handle)->stream, operation));
}

// Aborts unless the pointer is in memory of the device, where a GPU would read and write.
void need_device(const char* what, const void* pointer);

void* openblas(const char* function);

}  // namespace cpushim
