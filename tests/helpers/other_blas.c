/* Puts another BLAS under NumPy: loaded before NumPy (LD_PRELOAD), it defines the functions that
   NumPy's wheels take from their OpenBLAS, and calls those of the library that OTHER_BLAS names. */
#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

static void *library;

static void *function(const char *name) {
    void *found = library ? dlsym(library, name) : NULL;
    if (!found) {
        fprintf(stderr, "other_blas: no %s: %s\n", name, dlerror());
        abort();
    }
    return found;
}

#define FUNCTIONS(p, T)                                                                            \
    static void (*p##gemm)(int, int, int, int, int, int, T, const T *, int, const T *, int, T, T *, int); \
    static void (*p##gemv)(int, int, int, int, T, const T *, int, const T *, int, T, T *, int);    \
    static void (*p##syrk)(int, int, int, int, int, T, const T *, int, T, T *, int);               \
    static T (*p##dot)(int, const T *, int, const T *, int);                                       \
    static void (*p##axpy)(int, T, const T *, int, T *, int);                                      \
    static void p##find(void) {                                                                    \
        p##gemm = function("cblas_" #p "gemm"), p##gemv = function("cblas_" #p "gemv");            \
        p##syrk = function("cblas_" #p "syrk"), p##dot = function("cblas_" #p "dot");              \
        p##axpy = function("cblas_" #p "axpy");                                                    \
    }                                                                                              \
    void scipy_cblas_##p##gemm64_(int order, int ta, int tb, int64_t m, int64_t n, int64_t k,      \
                                  T alpha, const T *a, int64_t lda, const T *b, int64_t ldb,       \
                                  T beta, T *c, int64_t ldc) {                                     \
        p##gemm(order, ta, tb, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);                      \
    }                                                                                              \
    void scipy_cblas_##p##gemv64_(int order, int t, int64_t m, int64_t n, T alpha, const T *a,     \
                                  int64_t lda, const T *x, int64_t dx, T beta, T *y, int64_t dy) { \
        p##gemv(order, t, m, n, alpha, a, lda, x, dx, beta, y, dy);                                \
    }                                                                                              \
    void scipy_cblas_##p##syrk64_(int order, int half, int t, int64_t n, int64_t k, T alpha,       \
                                  const T *a, int64_t lda, T beta, T *c, int64_t ldc) {            \
        p##syrk(order, half, t, n, k, alpha, a, lda, beta, c, ldc);                                \
    }                                                                                              \
    T scipy_cblas_##p##dot64_(int64_t n, const T *x, int64_t dx, const T *y, int64_t dy) {         \
        return p##dot(n, x, dx, y, dy);                                                            \
    }                                                                                              \
    void scipy_cblas_##p##axpy64_(int64_t n, T alpha, const T *x, int64_t dx, T *y, int64_t dy) {  \
        p##axpy(n, alpha, x, dx, y, dy);                                                           \
    }

FUNCTIONS(s, float)
FUNCTIONS(d, double)

__attribute__((constructor)) static void find(void) {
    const char *path = getenv("OTHER_BLAS");
    library = dlopen(path ? path : "", RTLD_NOW | RTLD_LOCAL);
    if (!library) {
        fprintf(stderr, "other_blas: %s\n", dlerror());
        abort();
    }
    sfind(), dfind();
}
