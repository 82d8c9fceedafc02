#include "fibers.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstring>

#include "core.h"

// Saves the registers that a function must keep on this stack, and goes on on another one.
extern "C" void cpushim_switch(void** save, void* load);
asm(R"(
.text
.globl cpushim_switch
.type cpushim_switch,@function
cpushim_switch:
    pushq %rbp
    pushq %rbx
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    movq %rsp, (%rdi)
    movq %rsi, %rsp
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbx
    popq %rbp
    ret
.size cpushim_switch,.-cpushim_switch
)");

namespace cpushim {

enum { READY, AT_BARRIER, AT_WARP, DONE };
const int SAVED_REGISTERS = 6;
const int MOST_THREADS = 1024, WARP = 32, VALUE = 16;
const size_t STACK = 128 * 1024 + 320;  // tops that do not share the lines of a cache

struct Fiber {
    void* stack_pointer;
    int state;
};

struct Block {
    char* stacks = nullptr;
    Fiber fibers[MOST_THREADS];
    int threads = 0, current = 0;
    bool running = false;
    void* scheduler;  // its stack pointer, while a fiber runs
    const cpushim_kernel* kernel;
    void** arguments;
    char exchanged[MOST_THREADS * VALUE];
};

static Block& block() {
    static auto* found = new Block;
    return *found;
}

static void begin_fiber() {
    Block& b = block();
    b.kernel->once(b.arguments);
    b.fibers[b.current].state = DONE;
    cpushim_switch(&b.fibers[b.current].stack_pointer, b.scheduler);
    die("a finished thread ran on");
}

void wait_in_block(int kind) {
    Block& b = block();
    if (!b.running) die("a barrier in a kernel that was taken for one without");
    b.fibers[b.current].state = kind ? AT_WARP : AT_BARRIER;
    cpushim_switch(&b.fibers[b.current].stack_pointer, b.scheduler);
}

unsigned exchange_in_warp(const void* value, size_t size, void** all) {
    Block& b = block();
    int first = b.current / WARP * WARP;
    memcpy(b.exchanged + b.current * VALUE, value, size);
    wait_in_block(1);
    *all = b.exchanged + first * VALUE;
    unsigned alive = 0;
    for (int lane = 0; lane < WARP && first + lane < b.threads; lane++) {
        if (b.fibers[first + lane].state != DONE) alive |= 1u << lane;
    }
    return alive;
}

// Lets a warp go on if all its threads that have not ended wait for it. False if none does.
static bool release_warps(Block& b) {
    bool released = false;
    for (int first = 0; first < b.threads; first += WARP) {
        int end = std::min(first + WARP, b.threads), alive = 0, waiting = 0;
        for (int i = first; i < end; i++) {
            alive += b.fibers[i].state != DONE;
            waiting += b.fibers[i].state == AT_WARP;
        }
        if (!waiting || waiting != alive) continue;
        for (int i = first; i < end; i++) {
            if (b.fibers[i].state == AT_WARP) b.fibers[i].state = READY;
        }
        released = true;
    }
    return released;
}

// Lets the block go on from its barrier. False if all its threads have ended.
static bool release_block(Block& b) {
    bool alive = false;
    for (int i = 0; i < b.threads; i++) {
        int state = b.fibers[i].state;
        if (state == AT_WARP) die("the threads of a block wait for each other in different places");
        alive |= state != DONE;
    }
    for (int i = 0; i < b.threads; i++) {
        if (b.fibers[i].state == AT_BARRIER) b.fibers[i].state = READY;
    }
    return alive;
}

void run_block(const cpushim_kernel* kernel, void** arguments, cpushim_index size) {
    Block& b = block();
    if (!b.stacks) {
        int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
        b.stacks = (char*)mmap(nullptr, STACK * MOST_THREADS, PROT_READ | PROT_WRITE, flags, -1, 0);
        if (b.stacks == MAP_FAILED) die("there is no memory for the stacks of a block");
    }
    b.threads = size.x * size.y * size.z;
    b.kernel = kernel;
    b.arguments = arguments;
    for (int i = 0; i < b.threads; i++) {
        void** top = (void**)(b.stacks + STACK * (i + 1));
        *--top = nullptr;             // keeps the stack aligned as after a call
        *--top = (void*)begin_fiber;  // where the first switch returns to
        for (int r = 0; r < SAVED_REGISTERS; r++) *--top = nullptr;
        b.fibers[i] = {top, READY};
    }
    b.running = true;
    do {
        for (int i = 0; i < b.threads; i++) {
            if (b.fibers[i].state != READY) continue;
            b.current = i;
            kernel->state->thread = {i % size.x, i / size.x % size.y, i / size.x / size.y};
            cpushim_switch(&b.scheduler, b.fibers[i].stack_pointer);
        }
    } while (release_warps(b) || release_block(b));
    b.running = false;
}

}  // namespace cpushim
