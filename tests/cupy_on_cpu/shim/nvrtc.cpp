// libnvrtc.so.12 of our own: compiles CUDA C++ for the CPU with g++. What it gives as a "cubin" is
// the path of a shared library, which is kept in CPUSHIM_CACHE_DIR under a digest of source and
// options.
#include <dlfcn.h>
#include <nvrtc.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <map>
#include <sstream>
#include <string>
#include <vector>

#include "kernel_source.h"

namespace {

const char OPTIMISED[] = "-O2 -march=native -ffp-contract=fast -fno-math-errno -fno-trapping-math";

struct Program {
    std::string source, log, image;
    std::vector<std::string> headers, names;  // contents and names of the headers that come along
    std::vector<std::string> expressions;     // whose kernels are asked for, such as f<int>
    std::map<std::string, std::string> lowered;
};

// The folder that holds lib64/, device/ and include/.
std::string home() {
    Dl_info info;
    char path[4096];
    dladdr((void*)nvrtcVersion, &info);
    if (!realpath(info.dli_fname, path)) return ".";
    std::string libraries(path, strrchr(path, '/'));
    return libraries.substr(0, libraries.rfind('/'));
}

std::string variable(const char* name, const std::string& otherwise) {
    const char* value = getenv(name);
    return value && *value ? value : otherwise;
}

// 128 bits that differ for different texts: FNV-1a (Fowler, Noll, Vo), and a linear generator
std::string digest(const std::string& text) {
    unsigned long long a = 1469598103934665603ull, b = 0x9E3779B97F4A7C15ull;
    for (unsigned char character : text) {
        a = (a ^ character) * 1099511628211ull;
        b = (b + character) * 6364136223846793005ull + 1442695040888963407ull;
        b ^= b >> 29;
    }
    char digits[40];
    snprintf(digits, sizeof digits, "%016llx%016llx", a, b);
    return digits;
}

bool exists(const std::string& path) { return access(path.c_str(), F_OK) == 0; }

std::string read(const std::string& path) {
    std::ifstream file(path);
    std::stringstream text;
    text << file.rdbuf();
    return text.str();
}

void write(const std::string& path, const std::string& text) { std::ofstream(path) << text; }

std::string quoted(const std::string& text) {  // for a shell
    std::string found = "'";
    for (char character : text) found += character == '\'' ? "'\\''" : std::string(1, character);
    return found + "'";
}

// NVRTC's options that g++ needs too: folders of headers, macros, and whether a * b + c may be
// computed with one rounding.
std::string options_for_gcc(int count, const char* const* options) {
    std::string flags;
    for (int i = 0; i < count; i++) {
        std::string option = options[i];
        auto value_after = [&](const std::string& start) {
            bool found = !option.compare(0, start.size(), start);
            return found ? option.substr(start.size()) : "";
        };
        bool folder = option == "-I" || option == "--include-path";
        bool macro = option == "-D" || option == "--define-macro";
        if (option == "--fmad=false" || option == "-fmad=false") {
            flags += " -ffp-contract=off";
        } else if ((folder || macro) && i + 1 < count) {
            flags += (folder ? " -I" : " -D") + quoted(options[++i]);
        } else if (!value_after("-I").empty() || !value_after("-D").empty() ||
                   !value_after("-U").empty()) {
            flags += " " + quoted(option);
        } else if (!value_after("--include-path=").empty()) {
            flags += " -I" + quoted(value_after("--include-path="));
        } else if (!value_after("--define-macro=").empty()) {
            flags += " -D" + quoted(value_after("--define-macro="));
        }
    }
    return flags;
}

// The source as C++ for the CPU, and an export for each of its kernels.
std::string translated(Program& program) {
    std::string text = cpushim::translate(program.source), exports;
    auto exported = [&](const std::string& name, int flags, const std::string& function) {
        exports +=
            "CPUSHIM_EXPORT(" + name + ", " + std::to_string(flags) + ", " + function + ")\n";
    };
    auto kernels = cpushim::kernels_in(program.source);
    for (auto& kernel : kernels) {
        if (!kernel.is_template) exported(kernel.name, kernel.flags, kernel.name);
    }
    for (size_t i = 0; i < program.expressions.size(); i++) {
        const std::string& expression = program.expressions[i];
        std::string name = "expression_" + std::to_string(i);
        int flags = -1;
        for (auto& kernel : kernels) {
            bool named = expression.find(kernel.name) != std::string::npos;
            if (named) flags = std::max(flags, 0) | (kernel.flags & WAITS);
        }
        if (flags >= 0) exported(name, flags, expression);
        program.lowered[expression] = name;
    }
    return "#line 1 \"kernel.cu\"\n" + text + "\n#line 1 \"exports\"\n" + exports;
}

nvrtcResult compile(Program& program, int count, const char* const* options) {
    std::string device = home() + "/device";
    std::string cache = variable("CPUSHIM_CACHE_DIR", "/tmp/cupy-on-cpu-kernels");
    std::string command = variable("CPUSHIM_CXX", "g++") + " -std=c++17 " +
                          variable("CPUSHIM_CXXFLAGS", OPTIMISED) +
                          " -fPIC -shared -w -fno-strict-aliasing -fwrapv -fvisibility=hidden" +
                          options_for_gcc(count, options);
    std::string text = translated(program);
    std::string own = read(device + "/cpushim_device.h") + read(device + "/kernel_abi.h");
    std::string library = cache + "/" + digest(text + "\1" + command + "\1" + own) + ".so";
    program.image = "CPUSHIM-MODULE " + library + "\n";
    if (exists(library)) return NVRTC_SUCCESS;

    if (system(("mkdir -p " + quoted(cache)).c_str())) return NVRTC_ERROR_INTERNAL_ERROR;
    std::string stem = library + "." + std::to_string(getpid());  // processes do not share files
    write(stem + ".cpp", text);
    command += " -I" + quoted(device) + " -include cpushim_device.h";
    if (!program.headers.empty()) {
        std::string folder = stem + ".headers";
        mkdir(folder.c_str(), 0755);
        for (size_t i = 0; i < program.headers.size(); i++) {
            write(folder + "/" + program.names[i], program.headers[i]);
        }
        command += " -I" + quoted(folder);
    }
    command += " -I" + quoted(home() + "/include") + " " + quoted(stem + ".cpp");
    command += " -o " + quoted(stem + ".so") + " > " + quoted(stem + ".log") + " 2>&1";
    bool failed = system(command.c_str()) != 0;
    program.log = read(stem + ".log");
    if (failed) {
        if (variable("CPUSHIM_VERBOSE", "0") != "0") {
            fprintf(stderr, "cpushim: cannot compile %s.cpp\n%s\n", stem.c_str(),
                    program.log.substr(0, 3000).c_str());
        }
        return NVRTC_ERROR_COMPILATION;
    }
    rename((stem + ".so").c_str(), library.c_str());
    unlink((stem + ".cpp").c_str());
    unlink((stem + ".log").c_str());
    return NVRTC_SUCCESS;
}

nvrtcResult give(const std::string& text, char* out) {
    memcpy(out, text.c_str(), text.size() + 1);
    return NVRTC_SUCCESS;
}

nvrtcResult give_size(const std::string& text, size_t* size) {
    *size = text.size() + 1;
    return NVRTC_SUCCESS;
}

}  // namespace

extern "C" {

const char* nvrtcGetErrorString(nvrtcResult result) {
    if (result == NVRTC_SUCCESS) return "NVRTC_SUCCESS";
    return result == NVRTC_ERROR_COMPILATION ? "NVRTC_ERROR_COMPILATION" : "NVRTC_ERROR";
}

nvrtcResult nvrtcVersion(int* major, int* minor) {
    *major = 12;
    *minor = 9;
    return NVRTC_SUCCESS;
}

nvrtcResult nvrtcGetNumSupportedArchs(int* count) {
    *count = 3;
    return NVRTC_SUCCESS;
}

nvrtcResult nvrtcGetSupportedArchs(int* capabilities) {
    capabilities[0] = 75;
    capabilities[1] = 80;
    capabilities[2] = 90;
    return NVRTC_SUCCESS;
}

nvrtcResult nvrtcCreateProgram(nvrtcProgram* out, const char* source, const char*, int count,
                               const char* const* headers, const char* const* names) {
    auto program = new Program;
    program->source = source;
    for (int i = 0; i < count; i++) {
        program->headers.push_back(headers[i]);
        program->names.push_back(names[i]);
    }
    *out = (nvrtcProgram)program;
    return NVRTC_SUCCESS;
}

nvrtcResult nvrtcDestroyProgram(nvrtcProgram* program) {
    delete (Program*)*program;
    *program = nullptr;
    return NVRTC_SUCCESS;
}

nvrtcResult nvrtcCompileProgram(nvrtcProgram given, int count, const char* const* options) {
    auto program = (Program*)given;
    try {
        return compile(*program, count, options);
    } catch (std::exception& error) {  // CuPy's C code must not see it
        program->log = std::string("cpushim: ") + error.what();
        return NVRTC_ERROR_INTERNAL_ERROR;
    }
}

nvrtcResult nvrtcGetPTXSize(nvrtcProgram program, size_t* size) {
    return give_size(((Program*)program)->image, size);
}

nvrtcResult nvrtcGetPTX(nvrtcProgram program, char* image) {
    return give(((Program*)program)->image, image);
}

nvrtcResult nvrtcGetCUBINSize(nvrtcProgram program, size_t* size) {
    return nvrtcGetPTXSize(program, size);
}

nvrtcResult nvrtcGetCUBIN(nvrtcProgram program, char* image) { return nvrtcGetPTX(program, image); }

nvrtcResult nvrtcGetLTOIRSize(nvrtcProgram, size_t*) { return NVRTC_ERROR_INVALID_PROGRAM; }
nvrtcResult nvrtcGetLTOIR(nvrtcProgram, char*) { return NVRTC_ERROR_INVALID_PROGRAM; }

nvrtcResult nvrtcGetProgramLogSize(nvrtcProgram program, size_t* size) {
    return give_size(((Program*)program)->log, size);
}

nvrtcResult nvrtcGetProgramLog(nvrtcProgram program, char* log) {
    return give(((Program*)program)->log, log);
}

nvrtcResult nvrtcAddNameExpression(nvrtcProgram program, const char* expression) {
    ((Program*)program)->expressions.push_back(expression);
    return NVRTC_SUCCESS;
}

nvrtcResult nvrtcGetLoweredName(nvrtcProgram program, const char* expression, const char** name) {
    auto& lowered = ((Program*)program)->lowered;
    auto found = lowered.find(expression);
    if (found == lowered.end()) return NVRTC_ERROR_NAME_EXPRESSION_NOT_VALID;
    *name = found->second.c_str();
    return NVRTC_SUCCESS;
}

}  // extern "C"
