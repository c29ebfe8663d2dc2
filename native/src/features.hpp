// Feature hashing of text.
#pragma once

#include <cstddef>
#include <cstdint>

namespace reconciler {

// Adds the features of a UTF-8 text to out[0 .. dim). A word is a longest run
// of ASCII letters, ASCII digits and bytes above 127, its ASCII letters lower
// case. Each word, and each pair of neighbours joined by one space, is hashed
// (64-bit FNV-1a, then two rounds of xor-shift and multiply); the hash modulo
// dim is the dimension, its top bit the sign of the 1 that is added.
void hash_features(const char* text, std::size_t size, std::size_t dim,
                   float* out);

}  // namespace reconciler
