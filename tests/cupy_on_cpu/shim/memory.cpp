// Memory of the device, which is memory of the host: poisoned when it is given and taken back, with
// a guard behind it; copies and fills.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <vector>

#include "state.h"

namespace cpushim {

const size_t GUARD = 256;  // bytes behind every block; a change is found when it is freed
const int GUARD_BYTE = 0xA5;
const int POISON = 0xFF;  // NaN as a float, -1 as an integer: what nobody has written is noticed

struct Block {
    size_t size;
    int kind;
};

static size_t used = 0, most = 0;

static std::map<uintptr_t, Block>& blocks() {
    static auto* found = new std::map<uintptr_t, Block>;  // outlives all destructors
    return *found;
}

static bool poisons() {
    static bool found = is_set("CPUSHIM_POISON", true);
    return found;
}

struct Report {
    ~Report() {
        if (is_set("CPUSHIM_PROFILE", false)) {
            fprintf(stderr, "cpushim: at most %.1f MB were in use\n", most / 1e6);
        }
    }
};
static Report report;

size_t memory_total() {
    const char* megabytes = getenv("CPUSHIM_MEMORY_MB");
    return (megabytes ? (size_t)atol(megabytes) : (size_t)8192) << 20;
}

// The block that holds a pointer, with its address; nullptr if none does.
static const std::pair<const uintptr_t, Block>* find(const void* pointer) {
    auto after = blocks().upper_bound((uintptr_t)pointer);
    if (after == blocks().begin()) return nullptr;
    --after;
    size_t size = std::max<size_t>(after->second.size, 1);
    return (uintptr_t)pointer < after->first + size ? &*after : nullptr;
}

int memory_kind(const void* pointer) {
    Guard guard(lock());
    auto block = find(pointer);
    return block ? block->second.kind : UNREGISTERED;
}

bool is_device_pointer(const void* pointer) {
    int kind = memory_kind(pointer);
    return kind == DEVICE || kind == MANAGED;
}

static cudaError_t allocate(void** pointer, size_t size, int kind) {
    Guard guard(lock());
    if (!pointer) return cudaErrorInvalidValue;
    *pointer = nullptr;
    if (!size) return cudaSuccess;
    if (kind == DEVICE && used + size > memory_total()) return cudaErrorMemoryAllocation;
    if (posix_memalign(pointer, 512, size + GUARD)) return cudaErrorMemoryAllocation;
    memset((char*)*pointer + size, GUARD_BYTE, GUARD);
    if (poisons()) memset(*pointer, POISON, size);
    blocks()[(uintptr_t)*pointer] = {size, kind};
    counts().allocations++;
    if (kind == DEVICE) {
        used += size;
        most = std::max(most, used);
    }
    return cudaSuccess;
}

static cudaError_t release(void* pointer, bool of_host) {
    if (!pointer) return cudaSuccess;
    Guard guard(lock());
    auto found = blocks().find((uintptr_t)pointer);
    if (found == blocks().end() || of_host != (found->second.kind == HOST)) {
        return cudaErrorInvalidValue;
    }
    flush_all();  // as on a GPU, where cudaFree waits
    size_t size = found->second.size;
    if (found->second.kind == DEVICE) used -= size;
    for (size_t i = 0; i < GUARD; i++) {
        if (((unsigned char*)pointer)[size + i] != GUARD_BYTE) {
            die("something was written behind the end of %zu bytes at %p", size, pointer);
        }
    }
    if (poisons()) memset(pointer, POISON, size);
    blocks().erase(found);
    free(pointer);
    return cudaSuccess;
}

static cudaError_t check_copy(void* target, const void* source, cudaMemcpyKind kind, size_t size) {
    if (!size) return cudaSuccess;
    if (!target || !source) return cudaErrorInvalidValue;
    bool to = is_device_pointer(target), from = is_device_pointer(source), right = true;
    if (kind == cudaMemcpyHostToHost) right = !to && !from;
    if (kind == cudaMemcpyHostToDevice) right = to && !from;
    if (kind == cudaMemcpyDeviceToHost) right = !to && from;
    if (kind == cudaMemcpyDeviceToDevice) right = to && from;
    return right ? cudaSuccess : cudaErrorInvalidValue;
}

static cudaError_t copy_async(void* target, const void* source, size_t size, cudaMemcpyKind kind,
                              cudaStream_t on) {
    Guard guard(lock());
    TRY(check_copy(target, source, kind, size));
    Stream* stream = resolve(on);
    if (!stream) return fail(cudaErrorInvalidResourceHandle);
    bool pageable = memory_kind(source) == UNREGISTERED || memory_kind(target) == UNREGISTERED;
    if (stream->capture && pageable) {
        fprintf(stderr,
                "cpushim: a copy of pageable host memory is captured: replays use that "
                "address again\n");
    }
    if (stream->capture || memory_kind(source) != UNREGISTERED) {
        return fail(push(stream, [=] { memmove(target, source, size); }));
    }
    // pageable memory is read before the call returns
    auto bytes = (const char*)source;
    auto staged = std::make_shared<std::vector<char>>(bytes, bytes + size);
    return fail(push(stream, [=] { memcpy(target, staged->data(), size); }));
}

}  // namespace cpushim
using namespace cpushim;

extern "C" {

cudaError_t cudaMalloc(void** pointer, size_t size) {
    if (traces() && is_capturing()) {
        fprintf(stderr, "cpushim: cudaMalloc of %zu bytes within a capture\n", size);
    }
    TRY(unsafe_call());
    return fail(allocate(pointer, size, DEVICE));
}

cudaError_t cudaFree(void* pointer) {
    TRY(unsafe_call());
    return fail(release(pointer, false));
}

cudaError_t cudaMallocManaged(void** pointer, size_t size, unsigned) {
    TRY(unsafe_call());
    return fail(allocate(pointer, size, MANAGED));
}

cudaError_t cudaHostAlloc(void** pointer, size_t size, unsigned) {
    TRY(unsafe_call());
    return fail(allocate(pointer, size, HOST));
}

cudaError_t cudaMallocHost(void** pointer, size_t size) { return cudaHostAlloc(pointer, size, 0); }

cudaError_t cudaFreeHost(void* pointer) {
    TRY(unsafe_call());
    return fail(release(pointer, true));
}

cudaError_t cudaHostRegister(void* pointer, size_t size, unsigned) {
    Guard guard(lock());
    blocks()[(uintptr_t)pointer] = {size, HOST};
    return cudaSuccess;
}

cudaError_t cudaHostUnregister(void* pointer) {
    Guard guard(lock());
    blocks().erase((uintptr_t)pointer);
    return cudaSuccess;
}

// Real CUDA captures an allocation in stream order; here a capture that holds one is invalid.
static cudaError_t in_stream_order(cudaStream_t on) {
    Stream* stream = resolve(on);
    if (!stream) return cudaErrorInvalidResourceHandle;
    if (!stream->capture) return cudaSuccess;
    invalidate(stream->capture);
    return cudaErrorNotSupported;
}

cudaError_t cudaMallocAsync(void** pointer, size_t size, cudaStream_t on) {
    Guard guard(lock());
    TRY(in_stream_order(on));
    return fail(allocate(pointer, size, DEVICE));
}

cudaError_t cudaMallocFromPoolAsync(void** pointer, size_t size, cudaMemPool_t, cudaStream_t on) {
    return cudaMallocAsync(pointer, size, on);
}

cudaError_t cudaFreeAsync(void* pointer, cudaStream_t on) {
    Guard guard(lock());
    TRY(in_stream_order(on));
    return fail(release(pointer, false));
}

cudaError_t cudaMemGetInfo(size_t* free, size_t* total) {
    Guard guard(lock());
    *total = memory_total();
    *free = *total - used;
    return cudaSuccess;
}

cudaError_t cudaPointerGetAttributes(cudaPointerAttributes* attributes, const void* pointer) {
    Guard guard(lock());
    memset(attributes, 0, sizeof *attributes);
    auto block = find(pointer);
    attributes->type = (cudaMemoryType)memory_kind(pointer);
    attributes->device = block ? 0 : -2;
    if (block) attributes->devicePointer = (void*)pointer;
    if (attributes->type != DEVICE) attributes->hostPointer = (void*)pointer;
    return cudaSuccess;
}

// ---- copies and fills

cudaError_t cudaMemcpyAsync(void* target, const void* source, size_t size, cudaMemcpyKind kind,
                            cudaStream_t on) {
    TRY(copy_async(target, source, size, kind, on));
    Guard guard(lock());
    Stream* stream = resolve(on);
    if (!stream->capture && size && memory_kind(target) == UNREGISTERED) {
        counts().waits++;  // a copy to pageable memory is done when the call returns
        flush(stream, ALL);
    }
    return cudaSuccess;
}

cudaError_t cudaMemcpy(void* target, const void* source, size_t size, cudaMemcpyKind kind) {
    TRY(unsafe_call());
    TRY(copy_async(target, source, size, kind, nullptr));
    Guard guard(lock());
    return fail(wait_for(&legacy()));
}

cudaError_t cudaMemcpyPeer(void* target, int, const void* source, int, size_t size) {
    return cudaMemcpy(target, source, size, cudaMemcpyDefault);
}

cudaError_t cudaMemcpyPeerAsync(void* target, int, const void* source, int, size_t size,
                                cudaStream_t on) {
    return cudaMemcpyAsync(target, source, size, cudaMemcpyDefault, on);
}

cudaError_t cudaMemcpy2DAsync(void* target, size_t target_pitch, const void* source,
                              size_t source_pitch, size_t width, size_t height, cudaMemcpyKind,
                              cudaStream_t on) {
    return fail(enqueue(on, [=] {
        for (size_t i = 0; i < height; i++) {
            memmove((char*)target + i * target_pitch, (char*)source + i * source_pitch, width);
        }
    }));
}

cudaError_t cudaMemcpy2D(void* target, size_t target_pitch, const void* source, size_t source_pitch,
                         size_t width, size_t height, cudaMemcpyKind kind) {
    TRY(unsafe_call());
    TRY(cudaMemcpy2DAsync(target, target_pitch, source, source_pitch, width, height, kind,
                          nullptr));
    Guard guard(lock());
    return fail(wait_for(&legacy()));
}

cudaError_t cudaMemsetAsync(void* pointer, int value, size_t size, cudaStream_t on) {
    if (size && !is_device_pointer(pointer)) return fail(cudaErrorInvalidValue);
    return fail(enqueue(on, [=] { memset(pointer, value, size); }));
}

cudaError_t cudaMemset(void* pointer, int value, size_t size) {
    TRY(unsafe_call());
    return cudaMemsetAsync(pointer, value, size, nullptr);
}

cudaError_t cudaMemPrefetchAsync(const void*, size_t, int, cudaStream_t) { return cudaSuccess; }
cudaError_t cudaMemAdvise(const void*, size_t, cudaMemoryAdvise, int) { return cudaSuccess; }

// ---- pools, of which there is one

static int the_pool;

static cudaError_t give_pool(cudaMemPool_t* pool) {
    *pool = (cudaMemPool_t)&the_pool;
    return cudaSuccess;
}

cudaError_t cudaDeviceGetDefaultMemPool(cudaMemPool_t* pool, int) { return give_pool(pool); }
cudaError_t cudaDeviceGetMemPool(cudaMemPool_t* pool, int) { return give_pool(pool); }
cudaError_t cudaDeviceSetMemPool(int, cudaMemPool_t) { return cudaSuccess; }
cudaError_t cudaMemPoolCreate(cudaMemPool_t* pool, const cudaMemPoolProps*) {
    return give_pool(pool);
}
cudaError_t cudaMemPoolDestroy(cudaMemPool_t) { return cudaSuccess; }
cudaError_t cudaMemPoolTrimTo(cudaMemPool_t, size_t) { return cudaSuccess; }
cudaError_t cudaMemPoolGetAttribute(cudaMemPool_t, cudaMemPoolAttr, void* value) {
    *(unsigned long long*)value = 0;
    return cudaSuccess;
}
cudaError_t cudaMemPoolSetAttribute(cudaMemPool_t, cudaMemPoolAttr, void*) { return cudaSuccess; }

}  // extern "C"
