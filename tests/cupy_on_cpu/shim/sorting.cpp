// Sorting, reductions and scans for CuPy's modules thrust and cub (cupy_thrust.cpp, cupy_cub.cpp).
#include <algorithm>
#include <cmath>
#include <numeric>
#include <type_traits>

#include "state.h"

using namespace cpushim;

namespace {

// Calls f(a number of the type) for the numbers by which cupy/cuda/common.pxd names types. False
// for a type that is not supported: float16 and complex numbers.
template <class F>
bool with_type(int dtype, F f) {
    switch (dtype) {
        case 0: f(int8_t()); return true;
        case 1: f(uint8_t()); return true;
        case 2: f(int16_t()); return true;
        case 3: f(uint16_t()); return true;
        case 4: f(int32_t()); return true;
        case 5: f(uint32_t()); return true;
        case 6: f(int64_t()); return true;
        case 7: f(uint64_t()); return true;
        case 9: f(float()); return true;
        case 10: f(double()); return true;
        case 13: f(bool()); return true;
    }
    return false;
}

template <class T>
bool less(const T& a, const T& b) {  // NaN comes last, as in NumPy
    if constexpr (std::is_floating_point_v<T>) {
        return std::isnan(b) ? !std::isnan(a) : a < b;
    } else {
        return a < b;
    }
}

template <class T>
void argsort(T* row, size_t* order, size_t length) {
    std::iota(order, order + length, (size_t)0);
    std::stable_sort(order, order + length,
                     [&](size_t a, size_t b) { return less(row[a], row[b]); });
    std::vector<T> sorted(length);
    for (size_t i = 0; i < length; i++) sorted[i] = row[order[i]];
    std::copy(sorted.begin(), sorted.end(), row);
}

template <class T>
void lexsort(const T* keys, size_t* order, size_t count, size_t length) {
    std::iota(order, order + length, (size_t)0);
    for (size_t k = 0; k < count; k++) {
        const T* key = keys + k * length;
        std::stable_sort(order, order + length,
                         [&](size_t a, size_t b) { return less(key[a], key[b]); });
    }
}

// Pairwise, whose rounding is nearer to a GPU's tree than that of a loop.
template <class T>
T pairwise_sum(const T* x, int length) {
    if (length > 64) {
        return T(pairwise_sum(x, length / 2) + pairwise_sum(x + length / 2, length - length / 2));
    }
    T sum = 0;
    for (int i = 0; i < length; i++) sum = T(sum + x[i]);
    return sum;
}

enum { SUM, MIN, MAX, ARGMIN, ARGMAX, CUMULATIVE_SUM, CUMULATIVE_PRODUCT, PRODUCT };  // as cub.pyx

template <class T>
void scan(const T* x, T* result, int length, int operation) {
    T total = operation == CUMULATIVE_SUM ? T(0) : T(1);
    for (int i = 0; i < length; i++) {
        result[i] = total = operation == CUMULATIVE_SUM ? T(total + x[i]) : T(total * x[i]);
    }
}

template <class T>
void reduce(const T* x, void* result, int segment, int length, int operation) {
    if (operation == ARGMIN || operation == ARGMAX) {
        int best = 0;
        for (int i = 1; i < length; i++) {
            if (operation == ARGMIN ? x[i] < x[best] : x[best] < x[i]) best = i;
        }
        struct Pair {
            int key;
            T value;
        };
        ((Pair*)result)[segment] = {best, x[best]};
        return;
    }
    T found = x[0];
    if (operation == SUM) {
        found = pairwise_sum(x, length);
    } else if (operation == PRODUCT) {
        for (int i = 1; i < length; i++) found = T(found * x[i]);
    } else {
        for (int i = 1; i < length && found == found; i++) {  // a NaN is the result
            bool better = operation == MIN ? x[i] < found : found < x[i];
            if (better || x[i] != x[i]) found = x[i];
        }
    }
    ((T*)result)[segment] = found;
}

}  // namespace

extern "C" int cpushim_thrust(int what, int dtype, void* data, size_t* index, size_t keys,
                              size_t length, const ptrdiff_t* shape, int dimensions,
                              intptr_t stream) {
    if (!with_type(dtype, [](auto) {})) return cudaErrorNotSupported;
    size_t rows = 1;
    if (what != 2) {
        length = shape[dimensions - 1];
        for (int i = 0; i + 1 < dimensions; i++) rows *= shape[i];
    }
    return enqueue((cudaStream_t)stream, [=] {
        with_type(dtype, [&](auto zero) {
            using T = decltype(zero);
            if (what == 2) return lexsort((const T*)data, index, keys, length);
            for (size_t row = 0; row < rows; row++) {
                T* x = (T*)data + row * length;
                if (what == 0) std::stable_sort(x, x + length, less<T>);
                if (what == 1) argsort(x, index + row * length, length);
            }
        });
    });
}

extern "C" int cpushim_cub(int what, void* input, void* output, int segments, int length,
                           void* stream, int operation, int dtype) {
    bool known = operation >= SUM && operation <= PRODUCT;
    if (!known || !with_type(dtype, [](auto) {})) return cudaErrorNotSupported;
    return enqueue((cudaStream_t)stream, [=] {
        with_type(dtype, [&](auto zero) {
            using T = decltype(zero);
            for (int segment = 0; segment < segments; segment++) {
                const T* x = (const T*)input + (size_t)segment * length;
                if (what == 1) {
                    scan(x, (T*)output, length, operation);
                } else {
                    reduce(x, output, segment, length, operation);
                }
            }
        });
    });
}
