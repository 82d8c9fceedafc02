// Included before every kernel's source: CUDA's language as C++ for the CPU.
#pragma once
#include <math.h>

#include <algorithm>
#include <cassert>
#include <climits>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <limits>
#include <tuple>
#include <type_traits>
#include <utility>

#include <cuda_runtime.h>  // its half for the host: vector types, __device__ and so on as nothing
#include <cuda_fp16.h>

#include "kernel_abi.h"

// ---- words of the language

#define __CUDACC_VER_MAJOR__ 12
#define __CUDACC_VER_MINOR__ 9
#define __CUDACC_RTC_MAJOR__ 12
#undef __global__
#define __global__
#undef __device__
#define __device__
#undef __host__
#define __host__
#undef __constant__
#define __constant__
#undef __shared__
#define __shared__ static
#undef __managed__
#define __managed__
#undef __forceinline__
#define __forceinline__ inline __attribute__((always_inline))
#undef __noinline__
#define __noinline__ __attribute__((noinline))
#undef __launch_bounds__
#define __launch_bounds__(...)
#undef __restrict__
#define __restrict__ __restrict

__attribute__((visibility("hidden"))) cpushim_state cpushim_here;
#define threadIdx (cpushim_here.thread)
#define blockIdx (cpushim_here.block)
#define blockDim (cpushim_here.block_size)
#define gridDim (cpushim_here.grid_size)
#define warpSize 32

// ---- threads that wait for each other

inline void __syncthreads() { cpushim_here.wait(0); }
inline void __syncwarp(unsigned = 0xffffffffu) { cpushim_here.wait(1); }
inline void __threadfence() {}
inline void __threadfence_block() {}
inline void __threadfence_system() {}

inline int cpushim_lane() {
    return (threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z)) % 32;
}

// The value that another lane of the warp has; the own one if that lane has ended.
template <class T>
inline T cpushim_from_lane(T value, int source) {
    static_assert(sizeof(T) <= 16);
    void* all;
    unsigned alive = cpushim_here.exchange(&value, sizeof(T), &all);
    T found = value;
    bool is_there = source >= 0 && source < 32 && (alive >> source & 1);
    if (is_there) memcpy(&found, (char*)all + source * 16, sizeof(T));
    cpushim_here.wait(1);
    return found;
}

template <class T>
inline T __shfl_sync(unsigned, T value, int lane, int width = 32) {
    return cpushim_from_lane(value, cpushim_lane() / width * width + (lane & (width - 1)));
}

template <class T>
inline T __shfl_up_sync(unsigned, T value, unsigned by, int width = 32) {
    int me = cpushim_lane(), source = me - (int)by;
    return cpushim_from_lane(value, source < me / width * width ? me : source);
}

template <class T>
inline T __shfl_down_sync(unsigned, T value, unsigned by, int width = 32) {
    int me = cpushim_lane(), source = me + (int)by;
    return cpushim_from_lane(value, source >= me / width * width + width ? me : source);
}

template <class T>
inline T __shfl_xor_sync(unsigned, T value, int mask, int width = 32) {
    int me = cpushim_lane(), source = me ^ mask;
    return cpushim_from_lane(value, source >= me / width * width + width ? me : source);
}

inline unsigned __ballot_sync(unsigned, int predicate) {
    void* all;
    unsigned mine = predicate != 0, result = 0;
    unsigned alive = cpushim_here.exchange(&mine, sizeof mine, &all);
    for (int lane = 0; lane < 32; lane++) {
        unsigned theirs = 0;
        if (alive >> lane & 1) memcpy(&theirs, (char*)all + lane * 16, sizeof theirs);
        result |= theirs << lane;
    }
    cpushim_here.wait(1);
    return result;
}

inline int __any_sync(unsigned mask, int predicate) { return __ballot_sync(mask, predicate) != 0; }
inline int __all_sync(unsigned mask, int predicate) { return __ballot_sync(mask, !predicate) == 0; }

// ---- bits

inline int __popc(unsigned x) { return __builtin_popcount(x); }
inline int __popcll(unsigned long long x) { return __builtin_popcountll(x); }
inline int __clz(int x) { return x ? __builtin_clz(x) : 32; }
inline int __clzll(long long x) { return x ? __builtin_clzll(x) : 64; }
inline int __ffs(int x) { return __builtin_ffs(x); }
inline int __ffsll(long long x) { return __builtin_ffsll(x); }

inline unsigned __brev(unsigned x) {
    unsigned reversed = 0;
    for (int i = 0; i < 32; i++) reversed |= (x >> i & 1) << (31 - i);
    return reversed;
}

inline int __mulhi(int a, int b) { return (int)((long long)a * b >> 32); }
inline unsigned __umulhi(unsigned a, unsigned b) {
    return (unsigned)((unsigned long long)a * b >> 32);
}
inline long long __mul64hi(long long a, long long b) { return (long long)((__int128)a * b >> 64); }
inline unsigned long long __umul64hi(unsigned long long a, unsigned long long b) {
    return (unsigned long long)((unsigned __int128)a * b >> 64);
}

template <class To, class From>
inline To cpushim_bits(From x) {
    static_assert(sizeof(To) == sizeof(From));
    To y;
    memcpy(&y, &x, sizeof y);
    return y;
}

inline float __int_as_float(int x) { return cpushim_bits<float>(x); }
inline int __float_as_int(float x) { return cpushim_bits<int>(x); }
inline float __uint_as_float(unsigned x) { return cpushim_bits<float>(x); }
inline unsigned __float_as_uint(float x) { return cpushim_bits<unsigned>(x); }
inline double __longlong_as_double(long long x) { return cpushim_bits<double>(x); }
inline long long __double_as_longlong(double x) { return cpushim_bits<long long>(x); }

// ---- arithmetic

#define CPUSHIM_NUMBERS         \
    template <class A, class B, \
              class = std::enable_if_t<std::is_arithmetic_v<A> && std::is_arithmetic_v<B>>>

CPUSHIM_NUMBERS
inline std::common_type_t<A, B> min(A a, B b) {
    using T = std::common_type_t<A, B>;
    T x = a, y = b;
    if constexpr (std::is_floating_point_v<T>) return fmin(x, y);
    return x < y ? x : y;
}

CPUSHIM_NUMBERS
inline std::common_type_t<A, B> max(A a, B b) {
    using T = std::common_type_t<A, B>;
    T x = a, y = b;
    if constexpr (std::is_floating_point_v<T>) return fmax(x, y);
    return x < y ? y : x;
}

using std::abs;
using std::copysign;
using std::fma;
using std::fmax;
using std::fmin;
using std::fmod;
using std::frexp;
using std::hypot;
using std::ldexp;
using std::nextafter;
using std::pow;
using std::signbit;

inline float rsqrtf(float x) { return 1.0f / sqrtf(x); }
inline float rsqrt(float x) { return 1.0f / sqrtf(x); }
inline double rsqrt(double x) { return 1.0 / sqrt(x); }
inline float exp10(float x) { return exp10f(x); }
inline float __expf(float x) { return expf(x); }
inline float __exp10f(float x) { return exp10f(x); }
inline float __logf(float x) { return logf(x); }
inline float __log2f(float x) { return log2f(x); }
inline float __log10f(float x) { return log10f(x); }
inline float __powf(float x, float y) { return powf(x, y); }
inline float __sinf(float x) { return sinf(x); }
inline float __cosf(float x) { return cosf(x); }
inline float __tanf(float x) { return tanf(x); }
inline float __fdividef(float x, float y) { return x / y; }
inline float __frcp_rn(float x) { return 1 / x; }
inline float __fsqrt_rn(float x) { return sqrtf(x); }
inline float __fmaf_rn(float x, float y, float z) { return fmaf(x, y, z); }
inline float __saturatef(float x) { return x > 0 ? (x < 1 ? x : 1) : 0; }
inline int __float2int_rn(float x) { return (int)rintf(x); }
inline int __float2int_rz(float x) { return (int)x; }
inline float __int2float_rn(int x) { return (float)x; }
inline float normcdff(float x) { return 0.5f * erfcf(-x * 0.70710678f); }
inline double normcdf(double x) { return 0.5 * erfc(-x * 0.70710678118654752440); }

// These are never joined with another operation to one with a single rounding.
#define CPUSHIM_ALONE __attribute__((noinline, optimize("fp-contract=off"))) inline
CPUSHIM_ALONE float __fmul_rn(float x, float y) { return x * y; }
CPUSHIM_ALONE float __fadd_rn(float x, float y) { return x + y; }
CPUSHIM_ALONE float __fsub_rn(float x, float y) { return x - y; }
CPUSHIM_ALONE float __fdiv_rn(float x, float y) { return x / y; }
CPUSHIM_ALONE double __dmul_rn(double x, double y) { return x * y; }
CPUSHIM_ALONE double __dadd_rn(double x, double y) { return x + y; }

// ---- atomic operations, which here are plain ones: threads run one after the other

#define CPUSHIM_ATOMIC(name, T, result)  \
    inline T name(T* address, T value) { \
        T old = *address;                \
        *address = result;               \
        return old;                      \
    }
#define CPUSHIM_ATOMICS(T)                    \
    CPUSHIM_ATOMIC(atomicAdd, T, old + value) \
    CPUSHIM_ATOMIC(atomicExch, T, value)
#define CPUSHIM_COMPARE_AND_SWAP(T)                       \
    inline T atomicCAS(T* address, T expected, T value) { \
        T old = *address;                                 \
        if (old == expected) *address = value;            \
        return old;                                       \
    }
#define CPUSHIM_ATOMICS_OF_INTEGERS(T)                      \
    CPUSHIM_ATOMICS(T)                                      \
    CPUSHIM_ATOMIC(atomicMin, T, value < old ? value : old) \
    CPUSHIM_ATOMIC(atomicMax, T, value > old ? value : old) \
    CPUSHIM_ATOMIC(atomicAnd, T, old& value)                \
    CPUSHIM_ATOMIC(atomicOr, T, old | value)                \
    CPUSHIM_ATOMIC(atomicXor, T, old ^ value)               \
    CPUSHIM_COMPARE_AND_SWAP(T)
CPUSHIM_ATOMICS_OF_INTEGERS(int)
CPUSHIM_ATOMICS_OF_INTEGERS(unsigned)
CPUSHIM_ATOMICS_OF_INTEGERS(unsigned long long)
CPUSHIM_ATOMICS(float)
CPUSHIM_ATOMICS(double)
CPUSHIM_ATOMIC(atomicSub, int, old - value)
CPUSHIM_ATOMIC(atomicSub, unsigned, old - value)
CPUSHIM_COMPARE_AND_SWAP(unsigned short)

// ---- what a kernel is to libcuda

template <class... A>
struct cpushim_types {
    static constexpr size_t sizes[sizeof...(A) + 1] = {sizeof(A)..., 0};
};

template <auto F>
struct cpushim_caller;

template <class... A, void (*F)(A...)>
struct cpushim_caller<F> {
    template <size_t... I>
    static inline __attribute__((always_inline)) void call(void** p, std::index_sequence<I...>) {
        F(*(std::remove_cv_t<A>*)p[I]...);
    }
    static void once(void** p) { call(p, std::index_sequence_for<A...>()); }
    static void all(void** p, cpushim_state* state) {
        cpushim_index grid = state->grid_size, block = state->block_size;
        for (unsigned gz = 0; gz < grid.z; gz++)
            for (unsigned gy = 0; gy < grid.y; gy++)
                for (unsigned gx = 0; gx < grid.x; gx++) {
                    cpushim_here.block = {gx, gy, gz};
                    for (unsigned z = 0; z < block.z; z++)
                        for (unsigned y = 0; y < block.y; y++)
                            for (unsigned x = 0; x < block.x; x++) {
                                cpushim_here.thread = {x, y, z};
                                call(p, std::index_sequence_for<A...>());
                            }
                }
    }
    static constexpr cpushim_kernel kernel(int flags) {
        return {(int)sizeof...(A), cpushim_types<std::remove_cv_t<A>...>::sizes, once, all, flags,
                &cpushim_here};
    }
};

#define CPUSHIM_EXPORT(name, flags, ...)                                                           \
    extern "C" __attribute__((visibility("default"))) const cpushim_kernel cpushim_kernel_##name = \
        cpushim_caller<&__VA_ARGS__>::kernel(flags);
