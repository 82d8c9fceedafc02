// libcublas.so.12 of our own: handles, and products with vectors, in float32 and float64. Sums are
// kept in float64.
#include "blas.h"

#include <dlfcn.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <vector>

namespace cpushim {

void need_device(const char* what, const void* pointer) {
    if (!is_device_pointer(pointer)) die("%s: %p is not in memory of the device", what, pointer);
}

void* openblas(const char* function) {
    static void* library = [] {
        Dl_info info;
        char path[4096];
        dladdr((void*)cublasCreate_v2, &info);
        if (!realpath(info.dli_fname, path)) die("%s has no path", info.dli_fname);
        std::string own = path;
        std::string beside = own.substr(0, own.rfind('/')) + "/libcpushim_openblas.so";
        void* found = dlopen(beside.c_str(), RTLD_NOW | RTLD_LOCAL);
        if (!found) die("OpenBLAS cannot be loaded: %s", dlerror());
        return found;
    }();
    void* found = dlsym(library, function);
    if (!found) die("OpenBLAS has no %s", function);
    return found;
}

// Element i of a vector whose numbers are `step` apart; with a negative step it begins at its end.
template <class T>
T& element(T* vector, int length, int step, int i) {
    T* first = step < 0 ? vector - (ptrdiff_t)(length - 1) * step : vector;
    return first[(ptrdiff_t)i * step];
}

// A result for the host is there when the call returns.
template <class F>
cublasStatus_t enqueue_result(cublasHandle_t handle, F operation) {
    cublasStatus_t found = enqueue_on(handle, operation);
    if (found || !scalars_on_host(handle)) return found;
    return status(cudaStreamSynchronize(handle_of(handle)->stream));
}

}  // namespace cpushim
using namespace cpushim;

extern "C" {

// ---- handles

cublasStatus_t cublasCreate_v2(cublasHandle_t* out) {
    if (unsafe_call()) return CUBLAS_STATUS_NOT_INITIALIZED;  // it allocates
    *out = (cublasHandle_t) new Handle;
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasDestroy_v2(cublasHandle_t handle) {
    delete handle_of(handle);
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasGetVersion_v2(cublasHandle_t, int* version) {
    *version = 120903;
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasGetProperty(libraryPropertyType property, int* value) {
    *value = property == MAJOR_VERSION ? 12 : property == MINOR_VERSION ? 9 : 3;
    return CUBLAS_STATUS_SUCCESS;
}

size_t cublasGetCudartVersion() { return 12090; }

cublasStatus_t cublasSetWorkspace_v2(cublasHandle_t, void* workspace, size_t) {
    if (workspace) need_device("cublasSetWorkspace", workspace);
    return (uintptr_t)workspace % 256 ? CUBLAS_STATUS_INVALID_VALUE : CUBLAS_STATUS_SUCCESS;
}

#define PROPERTY(Name, T, member)                                     \
    cublasStatus_t cublasSet##Name(cublasHandle_t handle, T value) {  \
        handle_of(handle)->member = value;                            \
        return CUBLAS_STATUS_SUCCESS;                                 \
    }                                                                 \
    cublasStatus_t cublasGet##Name(cublasHandle_t handle, T* value) { \
        *value = handle_of(handle)->member;                           \
        return CUBLAS_STATUS_SUCCESS;                                 \
    }
PROPERTY(Stream_v2, cudaStream_t, stream)
PROPERTY(PointerMode_v2, cublasPointerMode_t, pointer_mode)
PROPERTY(MathMode, cublasMath_t, math)
PROPERTY(AtomicsMode, cublasAtomicsMode_t, atomics)

const char* cublasGetStatusName(cublasStatus_t status) {
    switch (status) {
        case CUBLAS_STATUS_SUCCESS: return "CUBLAS_STATUS_SUCCESS";
        case CUBLAS_STATUS_NOT_INITIALIZED: return "CUBLAS_STATUS_NOT_INITIALIZED";
        case CUBLAS_STATUS_INVALID_VALUE: return "CUBLAS_STATUS_INVALID_VALUE";
        case CUBLAS_STATUS_EXECUTION_FAILED: return "CUBLAS_STATUS_EXECUTION_FAILED";
        case CUBLAS_STATUS_NOT_SUPPORTED: return "CUBLAS_STATUS_NOT_SUPPORTED";
        default: return "another status of cuBLAS";
    }
}

const char* cublasGetStatusString(cublasStatus_t status) { return cublasGetStatusName(status); }

}  // extern "C"

// ---- vectors

namespace {

template <class T>
struct Scalar {  // a value now, or what the device has there when the work is done
    T value = 0;
    const T* at = nullptr;
    Scalar(cublasHandle_t handle, const T* given) {
        if (scalars_on_host(handle)) {
            value = *given;
        } else {
            at = given;
        }
    }
    operator T() const { return at ? *at : value; }
};

// y = alpha op(A) x + beta y
template <class T>
cublasStatus_t gemv(cublasHandle_t handle, cublasOperation_t op, int m, int n, const T* alpha,
                    const T* A, int lead, const T* x, int x_step, const T* beta, T* y, int y_step) {
    if (!handle) return CUBLAS_STATUS_NOT_INITIALIZED;
    if (lead < std::max(1, m)) return CUBLAS_STATUS_INVALID_VALUE;
    need_device("gemv, A", A);
    need_device("gemv, x", x);
    need_device("gemv, y", y);
    Scalar<T> a(handle, alpha), b(handle, beta);
    return enqueue_on(handle, [=] {
        bool plain = op == CUBLAS_OP_N;
        int rows = plain ? m : n, columns = plain ? n : m;
        for (int i = 0; i < rows; i++) {
            double sum = 0;
            for (int j = 0; j < columns; j++) {
                T entry = plain ? A[(size_t)j * lead + i] : A[(size_t)i * lead + j];
                sum += (double)entry * element(x, columns, x_step, j);
            }
            T& out = element(y, rows, y_step, i);
            out = (T)(a * sum + (b == 0 ? 0 : b * out));  // with 0, y may be NaN
        }
    });
}

template <class T>
cublasStatus_t ger(cublasHandle_t handle, int m, int n, const T* alpha, const T* x, int x_step,
                   const T* y, int y_step, T* A, int lead) {
    if (!handle) return CUBLAS_STATUS_NOT_INITIALIZED;
    need_device("ger, A", A);
    Scalar<T> a(handle, alpha);
    return enqueue_on(handle, [=] {
        for (int j = 0; j < n; j++) {
            for (int i = 0; i < m; i++) {
                A[(size_t)j * lead + i] += a * element(x, m, x_step, i) * element(y, n, y_step, j);
            }
        }
    });
}

// C = alpha op(A) + beta op(B)
template <class T>
cublasStatus_t geam(cublasHandle_t handle, cublasOperation_t a_op, cublasOperation_t b_op, int m,
                    int n, const T* alpha, const T* A, int a_lead, const T* beta, const T* B,
                    int b_lead, T* C, int c_lead) {
    if (!handle) return CUBLAS_STATUS_NOT_INITIALIZED;
    Scalar<T> a(handle, alpha), b(handle, beta);
    return enqueue_on(handle, [=] {
        auto entry = [](cublasOperation_t op, const T* matrix, int lead, int i, int j) {
            return op == CUBLAS_OP_N ? matrix[(size_t)j * lead + i] : matrix[(size_t)i * lead + j];
        };
        std::vector<T> sum((size_t)m * n);  // C may be A or B
        for (int j = 0; j < n; j++) {
            for (int i = 0; i < m; i++) {
                T first = a == 0 ? 0 : a * entry(a_op, A, a_lead, i, j);
                sum[(size_t)j * m + i] = first + (b == 0 ? 0 : b * entry(b_op, B, b_lead, i, j));
            }
        }
        for (int j = 0; j < n; j++) {
            std::copy_n(sum.begin() + (size_t)j * m, m, C + (size_t)j * c_lead);
        }
    });
}

// The sum of f(i) over a vector's elements, as a T at `result`.
template <class T, class F>
cublasStatus_t sum(cublasHandle_t handle, int length, T* result, bool root, F f) {
    return enqueue_result(handle, [=] {
        double total = 0;
        for (int i = 0; i < length; i++) total += f(i);
        *result = (T)(root ? std::sqrt(total) : total);
    });
}

}  // namespace

extern "C" {

#define VECTORS(X, T)                                                                             \
    cublasStatus_t cublas##X##gemv_v2(cublasHandle_t handle, cublasOperation_t op, int m, int n,  \
                                      const T* alpha, const T* A, int lead, const T* x,           \
                                      int x_step, const T* beta, T* y, int y_step) {              \
        return gemv(handle, op, m, n, alpha, A, lead, x, x_step, beta, y, y_step);                \
    }                                                                                             \
    cublasStatus_t cublas##X##ger_v2(cublasHandle_t handle, int m, int n, const T* alpha,         \
                                     const T* x, int x_step, const T* y, int y_step, T* A,        \
                                     int lead) {                                                  \
        return ger(handle, m, n, alpha, x, x_step, y, y_step, A, lead);                           \
    }                                                                                             \
    cublasStatus_t cublas##X##geam(cublasHandle_t handle, cublasOperation_t a_op,                 \
                                   cublasOperation_t b_op, int m, int n, const T* alpha,          \
                                   const T* A, int a_lead, const T* beta, const T* B, int b_lead, \
                                   T* C, int c_lead) {                                            \
        return geam(handle, a_op, b_op, m, n, alpha, A, a_lead, beta, B, b_lead, C, c_lead);      \
    }                                                                                             \
    cublasStatus_t cublas##X##dot_v2(cublasHandle_t handle, int n, const T* x, int x_step,        \
                                     const T* y, int y_step, T* result) {                         \
        return sum(handle, n, result, false, [=](int i) {                                         \
            return (double)element(x, n, x_step, i) * element(y, n, y_step, i);                   \
        });                                                                                       \
    }                                                                                             \
    cublasStatus_t cublas##X##nrm2_v2(cublasHandle_t handle, int n, const T* x, int step,         \
                                      T* result) {                                                \
        return sum(handle, n, result, true, [=](int i) {                                          \
            return (double)element(x, n, step, i) * element(x, n, step, i);                       \
        });                                                                                       \
    }                                                                                             \
    cublasStatus_t cublas##X##asum_v2(cublasHandle_t handle, int n, const T* x, int step,         \
                                      T* result) {                                                \
        return sum(handle, n, result, false,                                                      \
                   [=](int i) { return std::abs((double)element(x, n, step, i)); });              \
    }                                                                                             \
    cublasStatus_t cublas##X##axpy_v2(cublasHandle_t handle, int n, const T* alpha, const T* x,   \
                                      int x_step, T* y, int y_step) {                             \
        Scalar<T> a(handle, alpha);                                                               \
        return enqueue_on(handle, [=] {                                                           \
            for (int i = 0; i < n; i++) element(y, n, y_step, i) += a * element(x, n, x_step, i); \
        });                                                                                       \
    }                                                                                             \
    cublasStatus_t cublas##X##scal_v2(cublasHandle_t handle, int n, const T* alpha, T* x,         \
                                      int step) {                                                 \
        Scalar<T> a(handle, alpha);                                                               \
        return enqueue_on(handle, [=] {                                                           \
            for (int i = 0; i < n; i++) element(x, n, step, i) *= a;                              \
        });                                                                                       \
    }
VECTORS(S, float)
VECTORS(D, double)

}  // extern "C"
