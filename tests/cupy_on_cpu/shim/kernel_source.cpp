#include "kernel_source.h"

#include <cctype>
#include <initializer_list>
#include <regex>

namespace cpushim {

static const size_t NONE = std::string::npos;

// The place behind the bracket that closes the one at `open`.
static size_t behind_brackets(const std::string& text, size_t open) {
    char opening = text[open], closing = opening == '(' ? ')' : '}';
    int depth = 0;
    for (size_t at = open; at < text.size(); at++) {
        depth += text[at] == opening;
        depth -= text[at] == closing;
        if (!depth) return at + 1;
    }
    return text.size();
}

// The identifier that ends before `end`.
static std::string name_before(const std::string& text, size_t end) {
    while (end && isspace(text[end - 1])) end--;
    size_t begin = end;
    while (begin && (isalnum(text[begin - 1]) || text[begin - 1] == '_')) begin--;
    return text.substr(begin, end - begin);
}

static bool has_any(const std::string& text, std::initializer_list<const char*> words) {
    for (auto word : words) {
        if (text.find(word) != NONE) return true;
    }
    return false;
}

// Whether "template <...>" stands directly before the place.
static bool is_template(const std::string& text, size_t place) {
    size_t found = text.rfind("template", place);
    if (found == NONE) return false;
    return text.substr(found, place - found).find_first_of(";}{") == NONE;
}

std::vector<FoundKernel> kernels_in(const std::string& source) {
    // Waiting may be in a function that a kernel calls, so that the whole source is searched.
    bool waits = has_any(source, {"__syncthreads", "__shfl", "__syncwarp", "_sync("});
    bool indexed = has_any(source, {"threadIdx", "blockIdx", "blockDim", "gridDim"});
    std::vector<FoundKernel> found;
    for (size_t at = source.find("__global__"); at != NONE;
         at = source.find("__global__", at + 1)) {
        size_t open = source.find('(', at);
        while (open != NONE &&
               has_any(name_before(source, open), {"__launch_bounds__", "__attribute__"})) {
            open = source.find('(', behind_brackets(source, open));
        }
        if (open == NONE) break;
        size_t body = behind_brackets(source, open);
        while (body < source.size() && isspace(source[body])) body++;
        if (body >= source.size() || source[body] != '{') continue;  // declared, and not defined
        std::string text = source.substr(body, behind_brackets(source, body) - body);
        bool strides = text.find("CUPY_FOR(") != NONE && !waits && !indexed;
        int flags = (waits ? WAITS : 0) | (strides ? STRIDES : 0);
        found.push_back({name_before(source, open), flags, is_template(source, at)});
    }
    return found;
}

std::string translate(const std::string& source) {
    static const std::regex dynamic(
        "extern\\s+__shared__\\s+(?:__align__\\s*\\(\\s*\\d+\\s*\\)\\s*)?"
        "([A-Za-z_][\\w:<>, ]*?)\\s+(\\w+)\\s*\\[\\s*\\]\\s*;");
    static const std::regex constant("\\b__constant__\\s");
    std::string text =
        std::regex_replace(source, dynamic, "$1* $2 = ($1*)cpushim_here.dynamic_shared;");
    return std::regex_replace(
        text, constant, "extern \"C++\" __attribute__((visibility(\"default\"))) __constant__ ");
}

}  // namespace cpushim
