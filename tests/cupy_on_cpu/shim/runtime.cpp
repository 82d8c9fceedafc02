// The device and its properties, versions, errors, and what is left of CUDA's runtime.
#include <cuda_profiler_api.h>

#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "state.h"

namespace cpushim {

static thread_local cudaError_t last_error = cudaSuccess;

std::recursive_mutex& lock() {
    static auto* found = new std::recursive_mutex;  // outlives all destructors
    return *found;
}

bool is_set(const char* variable, bool otherwise) {
    const char* value = getenv(variable);
    return value && *value ? atoi(value) != 0 : otherwise;
}

bool traces() {
    static bool found = is_set("CPUSHIM_TRACE", false);
    return found;
}

void die(const char* format, ...) {
    va_list arguments;
    va_start(arguments, format);
    fprintf(stderr, "cpushim: ");
    vfprintf(stderr, format, arguments);
    fprintf(stderr, "\n");
    va_end(arguments);
    fflush(stderr);
    abort();
}

cudaError_t fail(cudaError_t status) {
    if (status) {
        last_error = status;
        if (traces()) fprintf(stderr, "cpushim: %s\n", cudaGetErrorName(status));
    }
    return status;
}

Counts& counts() {
    static auto* found = new Counts;
    return *found;
}

static int capability() {
    const char* value = getenv("CPUSHIM_CAPABILITY");
    return value ? atoi(value) : 90;
}

}  // namespace cpushim
using namespace cpushim;

extern "C" {

// What this process has asked for so far: 0 operations (kernels, products, copies, fills; also
// those that are captured; a launch of a graph is one), 1 waits of the host for the device, 2
// allocations.
unsigned long long cpushim_count(int what) {
    Guard guard(lock());
    return what == 0 ? counts().operations : what == 1 ? counts().waits : counts().allocations;
}

// ---- errors

#define NAME(error) \
    case error: return #error;

const char* cudaGetErrorName(cudaError_t error) {
    switch (error) {
        NAME(cudaSuccess)
        NAME(cudaErrorInvalidValue)
        NAME(cudaErrorMemoryAllocation)
        NAME(cudaErrorInvalidConfiguration)
        NAME(cudaErrorNoDevice)
        NAME(cudaErrorInvalidDevice)
        NAME(cudaErrorInvalidResourceHandle)
        NAME(cudaErrorIllegalState)
        NAME(cudaErrorNotReady)
        NAME(cudaErrorContextIsDestroyed)
        NAME(cudaErrorNotSupported)
        NAME(cudaErrorStreamCaptureUnsupported)
        NAME(cudaErrorStreamCaptureInvalidated)
        NAME(cudaErrorStreamCaptureUnmatched)
        NAME(cudaErrorStreamCaptureUnjoined)
        NAME(cudaErrorStreamCaptureIsolation)
        NAME(cudaErrorStreamCaptureImplicit)
        NAME(cudaErrorCapturedEvent)
        NAME(cudaErrorStreamCaptureWrongThread)
        default: return "cudaErrorUnknown";
    }
}

const char* cudaGetErrorString(cudaError_t error) {
    switch (error) {
        case cudaSuccess: return "no error";
        case cudaErrorInvalidValue: return "invalid argument";
        case cudaErrorMemoryAllocation: return "out of memory";
        case cudaErrorNoDevice: return "no CUDA-capable device is detected";
        case cudaErrorInvalidDevice: return "invalid device ordinal";
        case cudaErrorInvalidResourceHandle: return "invalid resource handle";
        case cudaErrorNotReady: return "device not ready";
        case cudaErrorNotSupported: return "operation not supported";
        case cudaErrorStreamCaptureUnsupported:
            return "operation not permitted when stream is capturing";
        case cudaErrorStreamCaptureInvalidated:
            return "operation failed due to a previous error during capture";
        case cudaErrorStreamCaptureImplicit:
            return "operation would make the legacy stream depend on a capturing blocking stream";
        case cudaErrorCapturedEvent:
            return "operation not permitted on an event last recorded in a capturing stream";
        case cudaErrorStreamCaptureWrongThread:
            return "attempt to terminate a thread-local capture sequence from another thread";
        default: return "unknown error (CuPy on the CPU)";
    }
}

cudaError_t cudaGetLastError() {
    cudaError_t error = last_error;
    last_error = cudaSuccess;
    return error;
}

cudaError_t cudaPeekAtLastError() { return last_error; }

// ---- versions and the device

cudaError_t cudaDriverGetVersion(int* version) {
    *version = 12090;
    return cudaSuccess;
}

cudaError_t cudaRuntimeGetVersion(int* version) { return cudaDriverGetVersion(version); }

cudaError_t cudaGetDeviceCount(int* count) {
    *count = is_set("CPUSHIM_NO_DEVICE", false) ? 0 : 1;
    return *count ? cudaSuccess : fail(cudaErrorNoDevice);
}

cudaError_t cudaGetDevice(int* device) {
    *device = 0;
    return cudaSuccess;
}

cudaError_t cudaSetDevice(int device) {
    return device == 0 ? cudaSuccess : fail(cudaErrorInvalidDevice);
}

cudaError_t cudaDeviceSynchronize() {
    Guard guard(lock());
    return fail(wait_for_all());
}

cudaError_t cudaDeviceReset() { return cudaSuccess; }
cudaError_t cudaSetDeviceFlags(unsigned) { return cudaSuccess; }

// The numbers are like those of a large card; nothing here depends on them.
cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int device) {
    if (device) return fail(cudaErrorInvalidDevice);
    static const struct {
        cudaDeviceAttr attribute;
        int value;
    } known[] = {
        {cudaDevAttrMaxThreadsPerBlock, 1024},
        {cudaDevAttrMaxBlockDimX, 1024},
        {cudaDevAttrMaxBlockDimY, 1024},
        {cudaDevAttrMaxBlockDimZ, 64},
        {cudaDevAttrMaxGridDimX, 2147483647},
        {cudaDevAttrMaxGridDimY, 65535},
        {cudaDevAttrMaxGridDimZ, 65535},
        {cudaDevAttrMaxSharedMemoryPerBlock, 49152},
        {cudaDevAttrMaxSharedMemoryPerBlockOptin, 166912},
        {cudaDevAttrMaxSharedMemoryPerMultiprocessor, 167936},
        {cudaDevAttrTotalConstantMemory, 65536},
        {cudaDevAttrWarpSize, 32},
        {cudaDevAttrMaxRegistersPerBlock, 65536},
        {cudaDevAttrMaxRegistersPerMultiprocessor, 65536},
        {cudaDevAttrClockRate, 1410000},
        {cudaDevAttrMultiProcessorCount, 8},
        {cudaDevAttrMaxThreadsPerMultiProcessor, 2048},
        {cudaDevAttrUnifiedAddressing, 1},
        {cudaDevAttrConcurrentKernels, 1},
        {cudaDevAttrCooperativeLaunch, 1},
        {cudaDevAttrComputeCapabilityMajor, capability() / 10},
        {cudaDevAttrComputeCapabilityMinor, capability() % 10},
    };
    *value = 0;
    for (auto& each : known) {
        if (each.attribute == attribute) *value = each.value;
    }
    return cudaSuccess;
}

cudaError_t cudaGetDeviceProperties_v2(cudaDeviceProp* found, int device) {
    if (device) return fail(cudaErrorInvalidDevice);
    memset(found, 0, sizeof *found);
    strcpy(found->name, "CPU as a CUDA device");
    found->major = capability() / 10;
    found->minor = capability() % 10;
    found->totalGlobalMem = memory_total();
    found->totalConstMem = 65536;
    found->sharedMemPerBlock = 49152;
    found->sharedMemPerBlockOptin = 166912;
    found->sharedMemPerMultiprocessor = 167936;
    found->regsPerBlock = found->regsPerMultiprocessor = 65536;
    found->warpSize = 32;
    found->maxThreadsPerBlock = 1024;
    found->maxThreadsPerMultiProcessor = 2048;
    found->maxBlocksPerMultiProcessor = 32;
    found->maxThreadsDim[0] = found->maxThreadsDim[1] = 1024;
    found->maxThreadsDim[2] = 64;
    found->maxGridSize[0] = 2147483647;
    found->maxGridSize[1] = found->maxGridSize[2] = 65535;
    found->clockRate = 1410000;
    found->memoryClockRate = 1593000;
    found->memoryBusWidth = 5120;
    found->l2CacheSize = 40 << 20;
    found->textureAlignment = 512;
    found->multiProcessorCount = 8;
    found->asyncEngineCount = 2;
    found->concurrentKernels = found->unifiedAddressing = found->canMapHostMemory = 1;
    found->streamPrioritiesSupported = found->cooperativeLaunch = 1;
    return cudaSuccess;
}

#undef cudaGetDeviceProperties
cudaError_t cudaGetDeviceProperties(cudaDeviceProp* found, int device) {
    return cudaGetDeviceProperties_v2(found, device);
}

cudaError_t cudaDeviceGetPCIBusId(char* text, int size, int) {
    snprintf(text, size, "0000:00:00.0");
    return cudaSuccess;
}

cudaError_t cudaDeviceGetByPCIBusId(int* device, const char*) { return cudaGetDevice(device); }

cudaError_t cudaDeviceCanAccessPeer(int* can, int, int) {
    *can = 0;
    return cudaSuccess;
}

cudaError_t cudaDeviceEnablePeerAccess(int, unsigned) { return fail(cudaErrorInvalidDevice); }
cudaError_t cudaDeviceDisablePeerAccess(int) { return fail(cudaErrorInvalidDevice); }

cudaError_t cudaDeviceGetLimit(size_t* value, cudaLimit) {
    *value = 1024;
    return cudaSuccess;
}

cudaError_t cudaDeviceSetLimit(cudaLimit, size_t) { return cudaSuccess; }

cudaError_t cudaDeviceGetStreamPriorityRange(int* least, int* greatest) {
    *least = 0;
    *greatest = -5;
    return cudaSuccess;
}

cudaError_t cudaProfilerStart() { return cudaSuccess; }
cudaError_t cudaProfilerStop() { return cudaSuccess; }

}  // extern "C"
