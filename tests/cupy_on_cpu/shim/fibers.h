// Runs the threads of a block that wait for each other: fibers of one thread of the host.
#pragma once
#include "kernel_abi.h"

namespace cpushim {

void run_block(const cpushim_kernel* kernel, void** arguments, cpushim_index size);

// For cpushim_state, see kernel_abi.h.
void wait_in_block(int kind);
unsigned exchange_in_warp(const void* value, size_t size, void** all);

}  // namespace cpushim
