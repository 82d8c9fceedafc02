// Stands in for CuPy's cupy/random/cupy_distributions.cu: every function refuses. This project
// makes its random numbers itself (counter_rng.py).
#include <sys/types.h>

#include <cstdint>
#include <stdexcept>

typedef intptr_t Pointer;

[[noreturn]] static void refuse() {
    throw std::runtime_error("cupy.random: not supported by CuPy on the CPU");
}

void init_curand_generator(int, Pointer, uint64_t, ssize_t, Pointer) { refuse(); }
void raw(int, Pointer, ssize_t, Pointer, ssize_t, Pointer) { refuse(); }
void random_uniform(int, Pointer, ssize_t, Pointer, ssize_t, Pointer) { refuse(); }
void random_uniform_float(int, Pointer, ssize_t, Pointer, ssize_t, Pointer) { refuse(); }
void interval_32(int, Pointer, ssize_t, Pointer, ssize_t, Pointer, uint32_t, uint32_t) { refuse(); }
void interval_64(int, Pointer, ssize_t, Pointer, ssize_t, Pointer, uint64_t, uint64_t) { refuse(); }
void exponential(int, Pointer, ssize_t, Pointer, ssize_t, Pointer) { refuse(); }
void standard_normal(int, Pointer, ssize_t, Pointer, ssize_t, Pointer) { refuse(); }
void standard_normal_float(int, Pointer, ssize_t, Pointer, ssize_t, Pointer) { refuse(); }
void standard_gamma(int, Pointer, ssize_t, Pointer, ssize_t, Pointer, Pointer) { refuse(); }
void geometric(int, Pointer, ssize_t, Pointer, ssize_t, Pointer, Pointer) { refuse(); }
void logseries(int, Pointer, ssize_t, Pointer, ssize_t, Pointer, Pointer) { refuse(); }
void poisson(int, Pointer, ssize_t, Pointer, ssize_t, Pointer, Pointer) { refuse(); }
void beta(int, Pointer, ssize_t, Pointer, ssize_t, Pointer, Pointer, Pointer) { refuse(); }
void binomial(int, Pointer, ssize_t, Pointer, ssize_t, Pointer, Pointer, Pointer, Pointer) {
    refuse();
}
void hypergeometric(int, Pointer, ssize_t, Pointer, ssize_t, Pointer, Pointer, Pointer, Pointer) {
    refuse();
}
