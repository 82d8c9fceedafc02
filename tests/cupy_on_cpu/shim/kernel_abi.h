// Between a compiled kernel, which is a shared library made by our NVRTC, and our libcuda.
#pragma once
#include <cstddef>

struct cpushim_index {
    unsigned x, y, z;
};

// One for each module: what the kernel sees as threadIdx and so on.
struct cpushim_state {
    cpushim_index thread, block, block_size, grid_size;
    char* dynamic_shared;
    // Lets the other threads run until all have come so far: 0 those of the block, 1 of the warp.
    void (*wait)(int kind);
    // Gives the other lanes of the warp a value of at most 16 bytes; `all` points to the 32 values,
    // 16 bytes apart. The result has a bit for every lane whose thread has not ended.
    unsigned (*exchange)(const void* value, size_t size, void** all);
};

enum { WAITS = 1, STRIDES = 2 };  // flags of a kernel

struct cpushim_kernel {
    int arguments;
    const size_t* sizes;                            // of the arguments, in bytes
    void (*once)(void** arguments);                 // runs one thread
    void (*all)(void** arguments, cpushim_state*);  // runs every thread of every block, in turn
    int flags;  // WAITS: its threads wait for each other. STRIDES: one thread can do all, in a loop
    cpushim_state* state;
};
