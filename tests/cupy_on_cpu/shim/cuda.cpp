// libcuda.so.1 of our own: modules are shared libraries, and launches of their kernels are
// operations on a stream.
#include <cuda.h>
#include <dlfcn.h>
#include <xmmintrin.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "core.h"
#include "fibers.h"

using namespace cpushim;

namespace {

struct Module {
    void* handle;
};

struct Function {
    const cpushim_kernel* kernel;
    std::string name;
};

const char MAGIC[] = "CPUSHIM-MODULE ";  // how what our NVRTC compiles begins; a path follows
const unsigned FLUSH_TO_ZERO = 0x8040;   // of small numbers, as CuPy's -ftz=true does

double seconds() {
    timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec + 1e-9 * time.tv_nsec;
}

// CPUSHIM_PROFILE=1: seconds and number of launches by kernel, printed when the process ends
struct Profile {
    std::map<std::string, std::pair<double, long>> kernels;
    ~Profile() {
        for (auto& [name, spent] : kernels) {
            fprintf(stderr, "cpushim: %9.4f s %7ld x %s\n", spent.first, spent.second,
                    name.c_str());
        }
    }
};

Profile* profile() {
    static bool wanted = is_set("CPUSHIM_PROFILE", false);
    static Profile found;
    return wanted ? &found : nullptr;
}

struct Launch {
    const Function* function;
    cpushim_index grid, block;
    size_t shared;                // bytes of dynamic shared memory
    std::vector<char> bytes;      // of all arguments
    std::vector<size_t> offsets;  // of each in bytes

    void operator()() {
        if (!profile()) return run();
        int flags = function->kernel->flags;
        const char* how = flags & STRIDES ? " (loop)" : flags & WAITS ? " (fibers)" : "";
        double start = seconds();
        run();
        auto& spent = profile()->kernels[function->name + how];
        spent.first += seconds() - start;
        spent.second++;
    }

    void run() {
        const cpushim_kernel* kernel = function->kernel;
        std::vector<char> copy(bytes.size() + 64);  // since a kernel may change its arguments
        char* base = aligned(copy);
        memcpy(base, bytes.data(), bytes.size());
        std::vector<void*> arguments;
        for (size_t offset : offsets) arguments.push_back(base + offset);
        static std::vector<char> dynamic;
        if (dynamic.size() < shared + 64) dynamic.resize(shared + 64);
        cpushim_state* state = kernel->state;
        state->dynamic_shared = aligned(dynamic);
        state->grid_size = grid;
        state->block_size = block;
        unsigned usual = _mm_getcsr();
        _mm_setcsr(usual | FLUSH_TO_ZERO);
        if (kernel->flags & STRIDES) {
            state->grid_size = state->block_size = {1, 1, 1};
            state->block = state->thread = {0, 0, 0};
            kernel->once(arguments.data());
        } else if (kernel->flags & WAITS) {
            for (unsigned z = 0; z < grid.z; z++)
                for (unsigned y = 0; y < grid.y; y++)
                    for (unsigned x = 0; x < grid.x; x++) {
                        state->block = {x, y, z};
                        run_block(kernel, arguments.data(), block);
                    }
        } else {
            kernel->all(arguments.data(), state);
        }
        _mm_setcsr(usual);
    }

    static char* aligned(std::vector<char>& memory) {
        return (char*)(((uintptr_t)memory.data() + 63) / 64 * 64);
    }
};

CUresult status(cudaError_t error) { return (CUresult)error; }

int the_context;

}  // namespace

extern "C" {

CUresult cuInit(unsigned) {
    int count;
    return status(cudaGetDeviceCount(&count));
}

CUresult cuDriverGetVersion(int* version) { return status(cudaDriverGetVersion(version)); }

CUresult cuGetErrorName(CUresult error, const char** name) {
    static std::map<int, std::string> names = {
        {CUDA_ERROR_INVALID_VALUE, "CUDA_ERROR_INVALID_VALUE"},
        {CUDA_ERROR_OUT_OF_MEMORY, "CUDA_ERROR_OUT_OF_MEMORY"},
        {CUDA_ERROR_INVALID_IMAGE, "CUDA_ERROR_INVALID_IMAGE"},
        {CUDA_ERROR_INVALID_HANDLE, "CUDA_ERROR_INVALID_HANDLE"},
        {CUDA_ERROR_NOT_FOUND, "CUDA_ERROR_NOT_FOUND"},
        {CUDA_ERROR_NOT_SUPPORTED, "CUDA_ERROR_NOT_SUPPORTED"},
        {CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED, "CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED"},
        {CUDA_ERROR_STREAM_CAPTURE_INVALIDATED, "CUDA_ERROR_STREAM_CAPTURE_INVALIDATED"},
        {CUDA_ERROR_STREAM_CAPTURE_IMPLICIT, "CUDA_ERROR_STREAM_CAPTURE_IMPLICIT"},
    };
    static std::mutex one_at_a_time;
    std::lock_guard<std::mutex> guard(one_at_a_time);
    std::string& found = names[error];
    if (found.empty()) found = "CUDA_ERROR_" + std::to_string((int)error);
    *name = found.c_str();
    return CUDA_SUCCESS;
}

CUresult cuGetErrorString(CUresult error, const char** text) {
    *text = cudaGetErrorString((cudaError_t)error);
    return CUDA_SUCCESS;
}

// ---- the device and its context

CUresult cuDeviceGet(CUdevice* device, int ordinal) {
    *device = 0;
    return ordinal ? CUDA_ERROR_INVALID_DEVICE : CUDA_SUCCESS;
}

CUresult cuDeviceGetCount(int* count) { return status(cudaGetDeviceCount(count)); }

CUresult cuDeviceGetName(char* name, int size, CUdevice) {
    snprintf(name, size, "CPU as a CUDA device");
    return CUDA_SUCCESS;
}

CUresult cuDeviceGetUuid_v2(CUuuid* uuid, CUdevice) {
    memset(uuid, 7, sizeof *uuid);
    return CUDA_SUCCESS;
}

CUresult cuDeviceGetAttribute(int* value, CUdevice_attribute attribute, CUdevice device) {
    return status(cudaDeviceGetAttribute(value, (cudaDeviceAttr)attribute, device));
}

CUresult cuDeviceTotalMem_v2(size_t* total, CUdevice) {
    size_t free;
    return status(cudaMemGetInfo(&free, total));
}

CUresult cuMemGetInfo_v2(size_t* free, size_t* total) {
    return status(cudaMemGetInfo(free, total));
}

CUresult cuCtxGetCurrent(CUcontext* context) {
    *context = (CUcontext)&the_context;
    return CUDA_SUCCESS;
}

CUresult cuDevicePrimaryCtxRetain(CUcontext* context, CUdevice) { return cuCtxGetCurrent(context); }
CUresult cuDevicePrimaryCtxRelease_v2(CUdevice) { return CUDA_SUCCESS; }

CUresult cuDevicePrimaryCtxGetState(CUdevice, unsigned* flags, int* active) {
    *flags = 0;
    *active = 1;
    return CUDA_SUCCESS;
}

CUresult cuCtxSetCurrent(CUcontext) { return CUDA_SUCCESS; }
CUresult cuCtxPushCurrent_v2(CUcontext) { return CUDA_SUCCESS; }

CUresult cuCtxPopCurrent_v2(CUcontext* context) {
    return context ? cuCtxGetCurrent(context) : CUDA_SUCCESS;
}

CUresult cuCtxCreate_v2(CUcontext* context, unsigned, CUdevice) { return cuCtxGetCurrent(context); }
CUresult cuCtxDestroy_v2(CUcontext) { return CUDA_SUCCESS; }
CUresult cuCtxGetDevice(CUdevice* device) { return cuDeviceGet(device, 0); }
CUresult cuCtxSynchronize() { return status(cudaDeviceSynchronize()); }
CUresult cuStreamGetCtx(CUstream, CUcontext* context) { return cuCtxGetCurrent(context); }

CUresult cuStreamSynchronize(CUstream stream) {
    return status(cudaStreamSynchronize((cudaStream_t)stream));
}

CUresult cuStreamIsCapturing(CUstream stream, CUstreamCaptureStatus* capturing) {
    auto found = (cudaStreamCaptureStatus*)capturing;
    return status(cudaStreamIsCapturing((cudaStream_t)stream, found));
}

// ---- modules and kernels

CUresult cuModuleLoadData(CUmodule* out, const void* image) {
    const char* text = (const char*)image;
    size_t before = sizeof MAGIC - 1;
    if (strncmp(text, MAGIC, before)) return CUDA_ERROR_INVALID_IMAGE;
    std::string path(text + before, strcspn(text + before, "\n"));
    void* handle = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (!handle) {
        fprintf(stderr, "cpushim: %s\n", dlerror());
        return CUDA_ERROR_INVALID_IMAGE;
    }
    *out = (CUmodule) new Module{handle};
    return CUDA_SUCCESS;
}

CUresult cuModuleLoadDataEx(CUmodule* out, const void* image, unsigned, CUjit_option*, void**) {
    return cuModuleLoadData(out, image);
}

CUresult cuModuleLoad(CUmodule* out, const char* path) {
    FILE* file = fopen(path, "rb");
    if (!file) return CUDA_ERROR_FILE_NOT_FOUND;
    char image[8192] = {0};
    size_t read = fread(image, 1, sizeof image - 1, file);
    fclose(file);
    return read ? cuModuleLoadData(out, image) : CUDA_ERROR_INVALID_IMAGE;
}

CUresult cuModuleUnload(CUmodule) { return CUDA_SUCCESS; }  // a graph may still use it

CUresult cuModuleGetFunction(CUfunction* out, CUmodule module, const char* name) {
    std::string symbol = std::string("cpushim_kernel_") + name;
    auto kernel = (const cpushim_kernel*)dlsym(((Module*)module)->handle, symbol.c_str());
    if (!kernel) return CUDA_ERROR_NOT_FOUND;
    kernel->state->wait = wait_in_block;
    kernel->state->exchange = exchange_in_warp;
    *out = (CUfunction) new Function{kernel, name};
    return CUDA_SUCCESS;
}

CUresult cuModuleGetGlobal_v2(CUdeviceptr* pointer, size_t* size, CUmodule module,
                              const char* name) {
    void* found = dlsym(((Module*)module)->handle, name);
    if (!found) return CUDA_ERROR_NOT_FOUND;
    if (pointer) *pointer = (CUdeviceptr)found;
    if (size) *size = 0;
    return CUDA_SUCCESS;
}

CUresult cuLaunchKernel(CUfunction given, unsigned gx, unsigned gy, unsigned gz, unsigned bx,
                        unsigned by, unsigned bz, unsigned shared, CUstream stream,
                        void** parameters, void** extra) {
    bool empty = !gx || !gy || !gz || !bx || !by || !bz;
    bool large = bx > 1024 || by > 1024 || bz > 64 || gy > 65535 || gz > 65535;
    if (empty || large || (size_t)bx * by * bz > 1024) return CUDA_ERROR_INVALID_VALUE;
    if (extra && !parameters) return CUDA_ERROR_NOT_SUPPORTED;
    auto function = (const Function*)given;
    if (is_set("CPUSHIM_TRACE", false)) {
        fprintf(stderr, "cpushim: launch %s <<<%u,%u>>>\n", function->name.c_str(), gx, bx);
    }
    Launch launch{function, {gx, gy, gz}, {bx, by, bz}, shared, {}, {}};
    const cpushim_kernel* kernel = function->kernel;
    for (int i = 0; i < kernel->arguments; i++) {
        size_t offset = (launch.bytes.size() + 15) / 16 * 16;
        launch.offsets.push_back(offset);
        launch.bytes.resize(offset + kernel->sizes[i]);
        memcpy(launch.bytes.data() + offset, parameters[i], kernel->sizes[i]);
    }
    return status(enqueue((cudaStream_t)stream, std::move(launch)));
}

CUresult cuLaunchCooperativeKernel(CUfunction, unsigned, unsigned, unsigned, unsigned, unsigned,
                                   unsigned, unsigned, CUstream, void**) {
    return CUDA_ERROR_NOT_SUPPORTED;
}

CUresult cuFuncGetAttribute(int* value, CUfunction_attribute attribute, CUfunction) {
    bool threads = attribute == CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK;
    bool version =
        attribute == CU_FUNC_ATTRIBUTE_PTX_VERSION || attribute == CU_FUNC_ATTRIBUTE_BINARY_VERSION;
    *value = threads ? 1024 : version ? 90 : attribute == CU_FUNC_ATTRIBUTE_NUM_REGS ? 32 : 0;
    return CUDA_SUCCESS;
}

CUresult cuFuncSetAttribute(CUfunction, CUfunction_attribute, int) { return CUDA_SUCCESS; }
CUresult cuFuncSetCacheConfig(CUfunction, CUfunc_cache) { return CUDA_SUCCESS; }

CUresult cuOccupancyMaxActiveBlocksPerMultiprocessor(int* blocks, CUfunction, int size, size_t) {
    *blocks = 2048 / std::max(size, 64);
    return CUDA_SUCCESS;
}

CUresult cuOccupancyMaxPotentialBlockSize(int* grid, int* block, CUfunction, CUoccupancyB2DSize,
                                          size_t, int limit) {
    *block = limit && limit < 1024 ? limit : 1024;
    *grid = 16;
    return CUDA_SUCCESS;
}

#define NOT_SUPPORTED(name, ...) \
    CUresult name(__VA_ARGS__) { return CUDA_ERROR_NOT_SUPPORTED; }
NOT_SUPPORTED(cuLinkCreate_v2, unsigned, CUjit_option*, void**, CUlinkState*)
NOT_SUPPORTED(cuLinkAddData_v2, CUlinkState, CUjitInputType, void*, size_t, const char*, unsigned,
              CUjit_option*, void**)
NOT_SUPPORTED(cuLinkAddFile_v2, CUlinkState, CUjitInputType, const char*, unsigned, CUjit_option*,
              void**)
NOT_SUPPORTED(cuLinkComplete, CUlinkState, void**, size_t*)
NOT_SUPPORTED(cuLinkDestroy, CUlinkState)

// How the bindings of NVIDIA find the functions: by name, the newest form first.
CUresult cuGetProcAddress_v2(const char* name, void** function, int, cuuint64_t,
                             CUdriverProcAddressQueryResult* result) {
    static void* own = dlopen("libcuda.so.1", RTLD_NOW | RTLD_NOLOAD);
    std::string newest = std::string(name) + "_v2";
    *function = dlsym(RTLD_DEFAULT, newest.c_str());
    if (!*function && own) *function = dlsym(own, newest.c_str());
    if (!*function && own) *function = dlsym(own, name);
    if (result) {
        *result = *function ? CU_GET_PROC_ADDRESS_SUCCESS : CU_GET_PROC_ADDRESS_SYMBOL_NOT_FOUND;
    }
    return *function ? CUDA_SUCCESS : CUDA_ERROR_NOT_FOUND;
}

#undef cuGetProcAddress
CUresult cuGetProcAddress(const char* name, void** function, int version, cuuint64_t flags) {
    return cuGetProcAddress_v2(name, function, version, flags, nullptr);
}

}  // extern "C"
