// Matrix products, through OpenBLAS. tf32 and bf16 round the factors before the product.
#include <algorithm>
#include <cstdint>
#include <vector>

#include "blas.h"
#include "rounding.h"

using namespace cpushim;

namespace {

const int TF32_DROPS = 13, BF16_DROPS = 16;  // bits of a float32's fraction

int bytes_of(cudaDataType type) {
    switch (type) {
        case CUDA_R_64F: return 8;
        case CUDA_R_32F: return 4;
        case CUDA_R_16F:
        case CUDA_R_16BF: return 2;
        default: return 0;
    }
}

template <class T>
using BlasGemm = void (*)(const char*, const char*, const int*, const int*, const int*, const T*,
                          const T*, const int*, const T*, const int*, const T*, T*, const int*);

// Stored column by column, with `lead` numbers from one to the next, and `stride` numbers from one
// matrix of a batch to the next.
struct Matrix {
    const void* at;
    cudaDataType type;
    int rows, columns, lead;
    long long stride;

    const char* in_batch(int i) const { return (const char*)at + i * stride * bytes_of(type); }

    const char* last(int batch) const {
        long long numbers = (long long)lead * (columns - 1) + rows - 1 + stride * (batch - 1);
        return (const char*)at + numbers * bytes_of(type);
    }
};

// float32 without gaps between the columns, without the dropped bits of the fraction
std::vector<float> as_float(const char* at, const Matrix& matrix, int dropped) {
    std::vector<float> found((size_t)matrix.rows * matrix.columns);
    for (int j = 0; j < matrix.columns; j++) {
        for (int i = 0; i < matrix.rows; i++) {
            size_t place = (size_t)j * matrix.lead + i;
            float number = matrix.type == CUDA_R_32F ? ((const float*)at)[place]
                           : matrix.type == CUDA_R_16F
                               ? from_float16(((const uint16_t*)at)[place])
                               : from_bfloat16(((const uint16_t*)at)[place]);
            found[(size_t)j * matrix.rows + i] = dropped ? rounded(number, dropped) : number;
        }
    }
    return found;
}

void store(const std::vector<float>& numbers, char* at, const Matrix& matrix) {
    for (int j = 0; j < matrix.columns; j++) {
        for (int i = 0; i < matrix.rows; i++) {
            float number = numbers[(size_t)j * matrix.rows + i];
            size_t place = (size_t)j * matrix.lead + i;
            if (matrix.type == CUDA_R_32F) ((float*)at)[place] = number;
            if (matrix.type == CUDA_R_16F) ((uint16_t*)at)[place] = to_float16(number);
            if (matrix.type == CUDA_R_16BF) ((uint16_t*)at)[place] = to_bfloat16(number);
        }
    }
}

struct Product {  // C = alpha op(A) op(B) + beta C
    char a_op, b_op;
    int inner, dropped, batch;
    Matrix A, B, C;
    bool doubles;  // alpha and beta
    double alpha, beta;
    const void *alpha_at, *beta_at;  // on the device, or nullptr

    double scalar(double value, const void* at) const {
        if (!at) return value;
        return doubles ? *(const double*)at : *(const float*)at;
    }

    template <class T>
    void call(const char* name, const void* a, int a_lead, const void* b, int b_lead, void* c,
              int c_lead) const {
        auto gemm = (BlasGemm<T>)openblas(name);
        T x = (T)scalar(alpha, alpha_at), y = (T)scalar(beta, beta_at);
        gemm(&a_op, &b_op, &C.rows, &C.columns, &inner, &x, (const T*)a, &a_lead, (const T*)b,
             &b_lead, &y, (T*)c, &c_lead);
    }

    void operator()() const {
        if (!C.rows || !C.columns) return;
        for (int i = 0; i < batch; i++) {
            const char *a = A.in_batch(i), *b = B.in_batch(i);
            char* c = (char*)C.in_batch(i);
            bool plain = A.type == CUDA_R_32F && C.type == CUDA_R_32F && !dropped;
            if (C.type == CUDA_R_64F) {
                call<double>("scipy_dgemm_", a, A.lead, b, B.lead, c, C.lead);
            } else if (plain) {
                call<float>("scipy_sgemm_", a, A.lead, b, B.lead, c, C.lead);
            } else {
                auto fa = as_float(a, A, dropped), fb = as_float(b, B, dropped);
                bool adds = scalar(beta, beta_at) != 0;
                auto fc = adds ? as_float(c, C, 0) : std::vector<float>((size_t)C.rows * C.columns);
                call<float>("scipy_sgemm_", fa.data(), A.rows, fb.data(), B.rows, fc.data(),
                            C.rows);
                store(fc, c, C);
            }
        }
    }
};

void need_matrix(const char* start, const char* end, const Matrix& matrix, int batch) {
    need_device(start, matrix.at);
    need_device(end, matrix.last(batch));
}

cublasStatus_t multiply(cublasHandle_t handle, cublasOperation_t a_op, cublasOperation_t b_op,
                        int m, int n, int k, const void* alpha, const void* A, cudaDataType a_type,
                        int a_lead, long long a_stride, const void* B, cudaDataType b_type,
                        int b_lead, long long b_stride, const void* beta, void* C,
                        cudaDataType c_type, int c_lead, long long c_stride, int batch,
                        bool doubles, int dropped) {
    if (!handle) return CUBLAS_STATUS_NOT_INITIALIZED;
    if (!bytes_of(a_type) || !bytes_of(c_type) || a_type != b_type) {
        return CUBLAS_STATUS_NOT_SUPPORTED;
    }
    if (m < 0 || n < 0 || k < 0 || batch < 0) return CUBLAS_STATUS_INVALID_VALUE;
    bool a_plain = a_op == CUBLAS_OP_N, b_plain = b_op == CUBLAS_OP_N;
    Product product{a_plain ? 'N' : 'T', b_plain ? 'N' : 'T', k, a_type == CUDA_R_32F ? dropped : 0,
                    batch};
    product.A = {A, a_type, a_plain ? m : k, a_plain ? k : m, a_lead, a_stride};
    product.B = {B, b_type, b_plain ? k : n, b_plain ? n : k, b_lead, b_stride};
    product.C = {C, c_type, m, n, c_lead, c_stride};
    for (auto matrix : {&product.A, &product.B, &product.C}) {
        if (matrix->lead < std::max(1, matrix->rows)) return CUBLAS_STATUS_INVALID_VALUE;
    }
    if (m && n && batch) {
        if (k) need_matrix("gemm, A", "gemm, the end of A", product.A, batch);
        if (k) need_matrix("gemm, B", "gemm, the end of B", product.B, batch);
        need_matrix("gemm, C", "gemm, the end of C", product.C, batch);
    }
    product.doubles = doubles;
    if (scalars_on_host(handle)) {
        if (is_device_pointer(alpha) || is_device_pointer(beta)) {
            die("gemm: alpha or beta is in memory of the device, and the handle says of the host");
        }
        product.alpha = product.scalar(0, alpha);
        product.beta = product.scalar(0, beta);
    } else {
        product.alpha_at = alpha;
        product.beta_at = beta;
    }
    return status(enqueue(handle_of(handle)->stream, product));
}

int dropped_by(cublasHandle_t handle, cublasComputeType_t compute) {
    bool allowed = handle_of(handle)->math & CUBLAS_TF32_TENSOR_OP_MATH;
    if (compute == CUBLAS_COMPUTE_32F_FAST_16BF) return BF16_DROPS;
    bool tf32 =
        compute == CUBLAS_COMPUTE_32F_FAST_TF32 || (compute == CUBLAS_COMPUTE_32F && allowed);
    return tf32 ? TF32_DROPS : 0;
}

}  // namespace

extern "C" {

#undef cublasGemmEx
#undef cublasGemmStridedBatchedEx

cublasStatus_t cublasGemmStridedBatchedEx(cublasHandle_t handle, cublasOperation_t a_op,
                                          cublasOperation_t b_op, int m, int n, int k,
                                          const void* alpha, const void* A, cudaDataType a_type,
                                          int a_lead, long long a_stride, const void* B,
                                          cudaDataType b_type, int b_lead, long long b_stride,
                                          const void* beta, void* C, cudaDataType c_type,
                                          int c_lead, long long c_stride, int batch,
                                          cublasComputeType_t compute, cublasGemmAlgo_t) {
    bool doubles = compute == CUBLAS_COMPUTE_64F || compute == CUBLAS_COMPUTE_64F_PEDANTIC;
    bool floats = compute == CUBLAS_COMPUTE_32F || compute == CUBLAS_COMPUTE_32F_PEDANTIC ||
                  compute == CUBLAS_COMPUTE_32F_FAST_16F ||
                  compute == CUBLAS_COMPUTE_32F_FAST_16BF ||
                  compute == CUBLAS_COMPUTE_32F_FAST_TF32;
    bool fits = doubles == (c_type == CUDA_R_64F) && doubles == (a_type == CUDA_R_64F);
    if (!handle) return CUBLAS_STATUS_NOT_INITIALIZED;
    if (!(doubles || floats) || !fits) return CUBLAS_STATUS_NOT_SUPPORTED;
    return multiply(handle, a_op, b_op, m, n, k, alpha, A, a_type, a_lead, a_stride, B, b_type,
                    b_lead, b_stride, beta, C, c_type, c_lead, c_stride, batch, doubles,
                    dropped_by(handle, compute));
}

cublasStatus_t cublasGemmEx(cublasHandle_t handle, cublasOperation_t a_op, cublasOperation_t b_op,
                            int m, int n, int k, const void* alpha, const void* A,
                            cudaDataType a_type, int a_lead, const void* B, cudaDataType b_type,
                            int b_lead, const void* beta, void* C, cudaDataType c_type, int c_lead,
                            cublasComputeType_t compute, cublasGemmAlgo_t algorithm) {
    return cublasGemmStridedBatchedEx(handle, a_op, b_op, m, n, k, alpha, A, a_type, a_lead, 0, B,
                                      b_type, b_lead, 0, beta, C, c_type, c_lead, 0, 1, compute,
                                      algorithm);
}

cublasStatus_t cublasSgemmEx(cublasHandle_t handle, cublasOperation_t a_op, cublasOperation_t b_op,
                             int m, int n, int k, const float* alpha, const void* A,
                             cudaDataType a_type, int a_lead, const void* B, cudaDataType b_type,
                             int b_lead, const float* beta, void* C, cudaDataType c_type,
                             int c_lead) {
    return cublasGemmEx(handle, a_op, b_op, m, n, k, alpha, A, a_type, a_lead, B, b_type, b_lead,
                        beta, C, c_type, c_lead, CUBLAS_COMPUTE_32F, CUBLAS_GEMM_DEFAULT);
}

#define GEMM(X, T, TYPE, COMPUTE)                                                                  \
    cublasStatus_t cublas##X##gemmStridedBatched(                                                  \
        cublasHandle_t handle, cublasOperation_t a_op, cublasOperation_t b_op, int m, int n,       \
        int k, const T* alpha, const T* A, int a_lead, long long a_stride, const T* B, int b_lead, \
        long long b_stride, const T* beta, T* C, int c_lead, long long c_stride, int batch) {      \
        return cublasGemmStridedBatchedEx(handle, a_op, b_op, m, n, k, alpha, A, TYPE, a_lead,     \
                                          a_stride, B, TYPE, b_lead, b_stride, beta, C, TYPE,      \
                                          c_lead, c_stride, batch, COMPUTE, CUBLAS_GEMM_DEFAULT);  \
    }                                                                                              \
    cublasStatus_t cublas##X##gemm_v2(cublasHandle_t handle, cublasOperation_t a_op,               \
                                      cublasOperation_t b_op, int m, int n, int k, const T* alpha, \
                                      const T* A, int a_lead, const T* B, int b_lead,              \
                                      const T* beta, T* C, int c_lead) {                           \
        return cublas##X##gemmStridedBatched(handle, a_op, b_op, m, n, k, alpha, A, a_lead, 0, B,  \
                                             b_lead, 0, beta, C, c_lead, 0, 1);                    \
    }
GEMM(S, float, CUDA_R_32F, CUBLAS_COMPUTE_32F)
GEMM(D, double, CUDA_R_64F, CUBLAS_COMPUTE_64F)

}  // extern "C"
