// Numbers of fewer bits than float32: float16 and bfloat16 as stored, and factors rounded to the
// bits that tf32 and bfloat16 keep.
#pragma once
#include <cmath>
#include <cstdint>
#include <cstring>

namespace cpushim {

inline uint32_t bits_of(float number) {
    uint32_t bits;
    memcpy(&bits, &number, 4);
    return bits;
}

inline float of_bits(uint32_t bits) {
    float number;
    memcpy(&number, &bits, 4);
    return number;
}

// To the nearest number without the last `dropped` bits of the fraction; halves to the even one.
inline float rounded(float number, int dropped) {
    uint32_t bits = bits_of(number);
    if ((bits & 0x7f800000) == 0x7f800000) return number;  // infinite, or not a number
    bits += (1u << (dropped - 1)) - 1 + (bits >> dropped & 1);
    return of_bits(bits & ~((1u << dropped) - 1));
}

inline float from_bfloat16(uint16_t stored) { return of_bits((uint32_t)stored << 16); }
inline uint16_t to_bfloat16(float number) { return bits_of(rounded(number, 16)) >> 16; }

inline float from_float16(uint16_t stored) {
    uint32_t sign = (stored & 0x8000u) << 16, exponent = stored >> 10 & 31,
             fraction = stored & 1023;
    if (exponent == 31) return of_bits(sign | 0x7f800000 | fraction << 13);
    if (exponent) return of_bits(sign | (exponent + 112) << 23 | fraction << 13);
    return of_bits(bits_of(ldexpf((float)fraction, -24)) | sign);
}

inline uint16_t to_float16(float number) {
    uint32_t bits = bits_of(number), size = bits & 0x7fffffff;
    uint16_t sign = bits >> 16 & 0x8000;
    if (size > 0x7f800000) return sign | 0x7e00;   // not a number
    if (size >= 0x477ff000) return sign | 0x7c00;  // infinite
    if (size < 0x38800000) return sign | (uint16_t)lrintf(ldexpf(of_bits(size), 24));
    size += 0xfff + (size >> 13 & 1);
    return sign | (uint16_t)((size - 0x38000000) >> 13);
}

}  // namespace cpushim
