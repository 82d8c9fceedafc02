// Captures, which are lists of operations, and graphs, which repeat them; what may not be done
// while a stream is captured.
#include <algorithm>
#include <cstdio>

#include "state.h"

namespace cpushim {

typedef std::shared_ptr<Graph> GraphPointer;

struct Executable {
    std::shared_ptr<std::vector<Operation>> operations;
};

static std::vector<CapturePointer>& captures() {
    static auto* found = new std::vector<CapturePointer>;  // outlives all destructors
    return *found;
}

bool is_capturing() { return !captures().empty(); }

void invalidate(const CapturePointer& capture) {
    if (traces()) fprintf(stderr, "cpushim: capture invalidated\n");
    capture->invalid = true;
}

cudaError_t implicit_check(Stream* stream) {
    if (stream != &legacy()) return cudaSuccess;
    cudaError_t status = cudaSuccess;
    for (auto& capture : captures()) {
        for (Stream* member : capture->streams) {
            if (!is_blocking(member)) continue;
            invalidate(capture);
            status = cudaErrorStreamCaptureImplicit;
        }
    }
    return status;
}

cudaError_t unsafe_call() {
    Guard guard(lock());
    cudaError_t status = cudaSuccess;
    for (auto& capture : captures()) {
        bool own = capture->mode == cudaStreamCaptureModeThreadLocal &&
                   capture->thread == std::this_thread::get_id();
        if (own || capture->mode == cudaStreamCaptureModeGlobal) {
            invalidate(capture);
            status = cudaErrorStreamCaptureUnsupported;
        }
    }
    return status;
}

cudaError_t no_capture() {
    for (auto& capture : captures()) invalidate(capture);
    return is_capturing() ? cudaErrorStreamCaptureUnsupported : cudaSuccess;
}

void leave_capture(const CapturePointer& capture) {
    for (Stream* member : capture->streams) member->capture = nullptr;
    auto& all = captures();
    all.erase(std::remove(all.begin(), all.end(), capture), all.end());
}

}  // namespace cpushim
using namespace cpushim;

extern "C" {

cudaError_t cudaStreamBeginCapture(cudaStream_t given, cudaStreamCaptureMode mode) {
    WITH_STREAM(given);
    if (stream == &legacy()) return fail(cudaErrorStreamCaptureUnsupported);
    if (stream->capture) return fail(cudaErrorIllegalState);
    flush(stream, ALL);
    auto capture = std::make_shared<Capture>();
    capture->mode = mode;
    capture->thread = std::this_thread::get_id();
    capture->streams.push_back(stream);
    capture->origin = stream;
    capture->id = next_number();
    stream->capture = capture;
    captures().push_back(capture);
    return cudaSuccess;
}

cudaError_t cudaStreamEndCapture(cudaStream_t given, cudaGraph_t* out) {
    *out = nullptr;
    WITH_STREAM(given);
    if (!stream->capture) return fail(cudaErrorIllegalState);
    auto capture = stream->capture;
    if (capture->origin != stream) {
        invalidate(capture);
        return fail(cudaErrorStreamCaptureUnmatched);
    }
    if (capture->mode != cudaStreamCaptureModeRelaxed &&
        capture->thread != std::this_thread::get_id()) {
        invalidate(capture);
        return fail(cudaErrorStreamCaptureWrongThread);
    }
    leave_capture(capture);
    if (capture->invalid) return fail(cudaErrorStreamCaptureInvalidated);
    if (traces()) {
        fprintf(stderr, "cpushim: captured %zu operations\n", capture->graph->operations.size());
    }
    *out = (cudaGraph_t) new GraphPointer(capture->graph);
    return cudaSuccess;
}

cudaError_t cudaStreamIsCapturing(cudaStream_t given, cudaStreamCaptureStatus* status) {
    WITH_STREAM(given);
    *status = cudaStreamCaptureStatusNone;
    if (stream == &legacy()) {
        for (auto& capture : captures()) {
            for (Stream* member : capture->streams) {
                if (is_blocking(member)) return fail(cudaErrorStreamCaptureImplicit);
            }
        }
    } else if (stream->capture) {
        *status = stream->capture->invalid ? cudaStreamCaptureStatusInvalidated
                                           : cudaStreamCaptureStatusActive;
    }
    return cudaSuccess;
}

cudaError_t cudaStreamGetCaptureInfo_v2(cudaStream_t given, cudaStreamCaptureStatus* status,
                                        unsigned long long* id, cudaGraph_t* graph,
                                        const cudaGraphNode_t** dependencies, size_t* number) {
    if (graph) *graph = nullptr;
    if (dependencies) *dependencies = nullptr;
    if (number) *number = 0;
    TRY(cudaStreamIsCapturing(given, status));
    WITH_STREAM(given);
    if (id && stream->capture) *id = stream->capture->id;
    return cudaSuccess;
}

cudaError_t cudaThreadExchangeStreamCaptureMode(cudaStreamCaptureMode* mode) {
    *mode = cudaStreamCaptureModeGlobal;
    return cudaSuccess;
}

cudaError_t cudaGraphInstantiate(cudaGraphExec_t* out, cudaGraph_t graph, unsigned long long) {
    if (!graph) return fail(cudaErrorInvalidValue);
    auto executable = new Executable;
    auto& recorded = *(GraphPointer*)graph;
    executable->operations = std::make_shared<std::vector<Operation>>(recorded->operations);
    *out = (cudaGraphExec_t)executable;
    return cudaSuccess;
}

cudaError_t cudaGraphLaunch(cudaGraphExec_t executable, cudaStream_t given) {
    auto operations = ((Executable*)executable)->operations;
    return fail(enqueue(given, [operations] {
        for (auto& operation : *operations) operation();
    }));
}

cudaError_t cudaGraphUpload(cudaGraphExec_t, cudaStream_t) { return cudaSuccess; }

cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
    delete (GraphPointer*)graph;
    return cudaSuccess;
}

cudaError_t cudaGraphExecDestroy(cudaGraphExec_t executable) {
    delete (Executable*)executable;
    return cudaSuccess;
}

cudaError_t cudaGraphGetNodes(cudaGraph_t graph, cudaGraphNode_t*, size_t* number) {
    *number = (*(GraphPointer*)graph)->operations.size();
    return cudaSuccess;
}

cudaError_t cudaGraphDebugDotPrint(cudaGraph_t, const char*, unsigned) {
    return fail(cudaErrorNotSupported);
}

cudaError_t cudaGraphExecUpdate(cudaGraphExec_t, cudaGraph_t, cudaGraphExecUpdateResultInfo*) {
    return fail(cudaErrorNotSupported);
}

}  // extern "C"
