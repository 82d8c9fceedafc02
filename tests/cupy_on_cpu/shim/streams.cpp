// Streams, which are queues of operations, and events.
//
// By default an operation is done when it is asked for. With CPUSHIM_LAZY=1 it is done as late as
// waiting for it allows, so that a missing synchronisation shows as old or poisoned numbers.
#include <chrono>

#include "state.h"

namespace cpushim {

struct Event {
    Stream* stream = nullptr;
    uint64_t number = 0;  // of its operation in the stream
    double milliseconds = 0;
    bool done = true, recorded = false;
    CapturePointer capture;  // the one that it was recorded in
};

static std::set<Stream*>& streams() {
    static auto* found = new std::set<Stream*>;  // outlives all destructors
    return *found;
}

static Stream& per_thread() {
    static auto* found = new Stream;
    return *found;
}

Stream& legacy() {
    static auto* found = new Stream;
    return *found;
}

static bool is_lazy() {
    static bool found = is_set("CPUSHIM_LAZY", false);
    return found;
}

uint64_t next_number() {
    static uint64_t last = 0;
    return ++last;
}

Stream* resolve(cudaStream_t stream) {
    if (stream == nullptr || stream == cudaStreamLegacy) return &legacy();
    if (stream == cudaStreamPerThread) return &per_thread();
    return streams().count((Stream*)stream) ? (Stream*)stream : nullptr;
}

bool is_blocking(Stream* stream) {
    return stream != &legacy() && !(stream->flags & cudaStreamNonBlocking);
}

void flush(Stream* stream, uint64_t up_to) {
    while (!stream->queue.empty() && stream->queue.front().number <= up_to) {
        Item item = std::move(stream->queue.front());
        stream->queue.pop_front();
        if (stream == &legacy()) {
            for (Stream* other : streams()) {
                if (is_blocking(other)) flush(other, item.number);
            }
            flush(&per_thread(), item.number);
        } else if (is_blocking(stream)) {
            flush(&legacy(), item.number);
        }
        item.operation();
    }
}

void flush_all() {
    flush(&legacy(), ALL);
    flush(&per_thread(), ALL);
    for (Stream* stream : streams()) flush(stream, ALL);
}

cudaError_t push(Stream* stream, Operation operation, bool counted) {
    if (stream->capture) {
        if (stream->capture->invalid) return cudaErrorStreamCaptureInvalidated;
        counts().operations += counted;
        stream->capture->graph->operations.push_back(std::move(operation));
        return cudaSuccess;
    }
    if (cudaError_t status = implicit_check(stream)) return status;
    counts().operations += counted;
    stream->queue.push_back({next_number(), std::move(operation)});
    if (!is_lazy()) flush(stream, ALL);
    return cudaSuccess;
}

cudaError_t enqueue(cudaStream_t on, Operation operation) {
    Guard guard(lock());
    Stream* stream = resolve(on);
    if (!stream) return cudaErrorInvalidResourceHandle;
    return push(stream, std::move(operation));
}

cudaError_t wait_for(Stream* stream) {
    if (stream->capture) {
        invalidate(stream->capture);
        return cudaErrorStreamCaptureUnsupported;
    }
    if (cudaError_t status = implicit_check(stream)) return status;
    if (cudaError_t status = unsafe_call()) return status;
    counts().waits++;
    if (stream == &legacy()) {
        for (Stream* other : streams()) {
            if (is_blocking(other)) flush(other, ALL);
        }
    }
    flush(stream, ALL);
    return cudaSuccess;
}

cudaError_t wait_for_all() {
    if (cudaError_t status = no_capture()) return status;
    counts().waits++;
    flush_all();
    return cudaSuccess;
}

static double now() {
    auto since = std::chrono::steady_clock::now().time_since_epoch();
    return std::chrono::duration<double, std::milli>(since).count();
}

}  // namespace cpushim
using namespace cpushim;

extern "C" {

// ---- streams

cudaError_t cudaStreamCreateWithPriority(cudaStream_t* out, unsigned flags, int priority) {
    Guard guard(lock());
    auto stream = new Stream;
    stream->flags = flags;
    stream->priority = priority;
    streams().insert(stream);
    *out = (cudaStream_t)stream;
    return cudaSuccess;
}

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* out, unsigned flags) {
    return cudaStreamCreateWithPriority(out, flags, 0);
}

cudaError_t cudaStreamCreate(cudaStream_t* out) { return cudaStreamCreateWithPriority(out, 0, 0); }

cudaError_t cudaStreamDestroy(cudaStream_t given) {
    WITH_STREAM(given);
    if (!streams().count(stream)) return fail(cudaErrorInvalidResourceHandle);
    flush(stream, ALL);
    if (stream->capture) {
        auto capture = stream->capture;
        invalidate(capture);
        leave_capture(capture);
    }
    streams().erase(stream);  // but never deleted, so that no later stream has its address
    return cudaSuccess;
}

cudaError_t cudaStreamGetFlags(cudaStream_t given, unsigned* flags) {
    WITH_STREAM(given);
    *flags = stream->flags;
    return cudaSuccess;
}

cudaError_t cudaStreamGetPriority(cudaStream_t given, int* priority) {
    WITH_STREAM(given);
    *priority = stream->priority;
    return cudaSuccess;
}

cudaError_t cudaStreamGetDevice(cudaStream_t, int* device) {
    *device = 0;
    return cudaSuccess;
}

cudaError_t cudaStreamSynchronize(cudaStream_t given) {
    WITH_STREAM(given);
    return fail(wait_for(stream));
}

// The answer is "done", as if enough time had passed.
cudaError_t cudaStreamQuery(cudaStream_t given) { return cudaStreamSynchronize(given); }

cudaError_t cudaLaunchHostFunc(cudaStream_t given, cudaHostFn_t function, void* data) {
    return fail(enqueue(given, [=] { function(data); }));
}

cudaError_t cudaStreamAddCallback(cudaStream_t given, cudaStreamCallback_t function, void* data,
                                  unsigned) {
    WITH_STREAM(given);
    if (stream->capture) {
        invalidate(stream->capture);
        return fail(cudaErrorStreamCaptureUnsupported);
    }
    return fail(push(stream, [=] { function(given, cudaSuccess, data); }));
}

cudaError_t cudaStreamWaitEvent(cudaStream_t given, cudaEvent_t of, unsigned) {
    WITH_STREAM(given);
    auto event = (Event*)of;
    if (event->capture) {  // the stream joins the capture
        if (stream->capture && stream->capture != event->capture) {
            invalidate(stream->capture);
            return fail(cudaErrorStreamCaptureIsolation);
        }
        if (!stream->capture) {
            stream->capture = event->capture;
            event->capture->streams.push_back(stream);
        }
        return cudaSuccess;
    }
    if (stream->capture) {
        invalidate(stream->capture);
        return fail(cudaErrorStreamCaptureIsolation);
    }
    if (!event->recorded || event->stream == stream) return cudaSuccess;
    auto wait = [other = event->stream, number = event->number] { flush(other, number); };
    return fail(push(stream, wait, false));
}

// ---- events

cudaError_t cudaEventCreateWithFlags(cudaEvent_t* out, unsigned) {
    *out = (cudaEvent_t) new Event;
    return cudaSuccess;
}

cudaError_t cudaEventCreate(cudaEvent_t* out) { return cudaEventCreateWithFlags(out, 0); }

cudaError_t cudaEventDestroy(cudaEvent_t given) {
    Guard guard(lock());
    auto event = (Event*)given;
    if (event->stream && !event->done) flush(event->stream, event->number);
    delete event;
    return cudaSuccess;
}

cudaError_t cudaEventRecord(cudaEvent_t of, cudaStream_t given) {
    WITH_STREAM(given);
    auto event = (Event*)of;
    if (stream->capture) {
        if (stream->capture->invalid) return fail(cudaErrorStreamCaptureInvalidated);
        event->capture = stream->capture;
        return cudaSuccess;
    }
    TRY(implicit_check(stream));
    event->capture = nullptr;
    event->stream = stream;
    event->recorded = true;
    event->done = false;
    auto record = [event] {
        event->milliseconds = now();
        event->done = true;
    };
    TRY(push(stream, record, false));
    event->number = next_number();  // no less than that of its operation
    return cudaSuccess;
}

cudaError_t cudaEventRecordWithFlags(cudaEvent_t of, cudaStream_t given, unsigned) {
    return cudaEventRecord(of, given);
}

cudaError_t cudaEventSynchronize(cudaEvent_t of) {
    Guard guard(lock());
    auto event = (Event*)of;
    if (event->capture) {
        invalidate(event->capture);
        return fail(cudaErrorCapturedEvent);
    }
    TRY(unsafe_call());
    counts().waits++;
    if (event->recorded && !event->done) flush(event->stream, event->number);
    return cudaSuccess;
}

cudaError_t cudaEventQuery(cudaEvent_t of) { return cudaEventSynchronize(of); }

cudaError_t cudaEventElapsedTime(float* milliseconds, cudaEvent_t first, cudaEvent_t second) {
    auto start = (Event*)first, end = (Event*)second;
    if (!start->recorded || !end->recorded) return fail(cudaErrorInvalidResourceHandle);
    if (!start->done || !end->done) return fail(cudaErrorNotReady);
    *milliseconds = (float)(end->milliseconds - start->milliseconds);
    return cudaSuccess;
}

}  // extern "C"
