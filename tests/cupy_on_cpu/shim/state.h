// What the sources of our libcudart share: locks, streams, captures, statuses.
#pragma once
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <set>
#include <thread>
#include <vector>

#include "core.h"

namespace cpushim {

const uint64_t ALL = UINT64_MAX;

// One lock for everything: threads take turns, as calls of a driver do.
std::recursive_mutex& lock();
typedef std::lock_guard<std::recursive_mutex> Guard;

cudaError_t fail(cudaError_t status);  // remembers it for cudaGetLastError, and returns it
bool traces();                         // CPUSHIM_TRACE=1

// Ends a function of CUDA with the status of `call`, unless that is success.
#define TRY(call)                                   \
    do {                                            \
        cudaError_t status_ = (call);               \
        if (status_) return cpushim::fail(status_); \
    } while (0)

// What this process has asked for, to be read by tests (cpushim_count in runtime.cpp).
struct Counts {
    unsigned long long operations = 0, waits = 0, allocations = 0;
};
Counts& counts();

struct Stream;

struct Graph {
    std::vector<Operation> operations;
};

struct Capture {
    cudaStreamCaptureMode mode;
    std::thread::id thread;
    bool invalid = false;
    std::shared_ptr<Graph> graph = std::make_shared<Graph>();
    std::vector<Stream*> streams;
    Stream* origin;
    unsigned long long id;
};

typedef std::shared_ptr<Capture> CapturePointer;

struct Item {
    uint64_t number;  // in the order in which all streams were given their work
    Operation operation;
};

struct Stream {
    unsigned flags = 0;
    int priority = 0;
    std::deque<Item> queue;
    CapturePointer capture;
};

Stream* resolve(cudaStream_t stream);  // nullptr if there is none
Stream& legacy();                      // CUDA's default stream
bool is_blocking(Stream* stream);      // it and the default stream wait for each other
uint64_t next_number();
cudaError_t push(Stream* stream, Operation operation, bool counted = true);
void flush(Stream* stream, uint64_t up_to);  // does its work up to that number
void flush_all();
cudaError_t wait_for(Stream* stream);
cudaError_t wait_for_all();

bool is_capturing();
void invalidate(const CapturePointer& capture);
cudaError_t no_capture();  // success, or the status of a call that ends all captures
void leave_capture(const CapturePointer& capture);
// The default stream may not be used while a stream that waits for it is captured.
cudaError_t implicit_check(Stream* stream);

// In a function of CUDA: the lock is taken, and `stream` is the stream that `given` stands for.
#define WITH_STREAM(given)           \
    Guard guard(lock());             \
    Stream* stream = resolve(given); \
    if (!stream) return fail(cudaErrorInvalidResourceHandle)

size_t memory_total();

}  // namespace cpushim
