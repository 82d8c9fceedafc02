// What must be known of a kernel's source, and changed in it, to compile it for the CPU.
#pragma once
#include <string>
#include <vector>

#include "kernel_abi.h"

namespace cpushim {

struct FoundKernel {
    std::string name;
    int flags;         // of kernel_abi.h
    bool is_template;  // exported for the types that are asked for, not by itself
};

// The kernels that are defined in a source.
std::vector<FoundKernel> kernels_in(const std::string& source);

// The source with dynamic shared memory and constants in the form of kernel_abi.h.
std::string translate(const std::string& source);

}  // namespace cpushim
