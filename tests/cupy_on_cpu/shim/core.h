// What our libcudart offers to our libcuda and libcublas. Streams, captures and the list of device
// memory are in libcudart alone.
#pragma once
#include <cuda_runtime_api.h>

#include <functional>

namespace cpushim {

typedef std::function<void()> Operation;

// Asks for an operation on a stream. It is done at once, or with CPUSHIM_LAZY=1 when somebody waits
// for it, or it is recorded if the stream is captured.
cudaError_t enqueue(cudaStream_t stream, Operation operation);

// The status of a call that may not be made during a capture, such as cudaMalloc.
cudaError_t unsafe_call();

enum Memory { UNREGISTERED = 0, HOST = 1, DEVICE = 2, MANAGED = 3 };  // as cudaMemoryType
int memory_kind(const void* pointer);
bool is_device_pointer(const void* pointer);

// Prints a message and aborts: for faults of which a GPU would give no notice at all.
[[noreturn]] void die(const char* format, ...);

// Whether a variable of the environment is set to another number than 0.
bool is_set(const char* variable, bool otherwise);

}  // namespace cpushim
