// Feedback rows as they stand in the store, read without a JSON parser.
#pragma once

#include <cstddef>
#include <cstdint>

namespace reconciler {

// No code: the row needs a real parser, or is no judgement.
constexpr std::uint16_t kUnsure = 0xFFFF;

// The code of a kind of judgement and the JSON text of its value, both UTF-8:
// 128 times the place of the kind (thumbs, rating, comparison, correction)
// plus the value (0 or 1; 1 to 100; 0, 1, 2 for a, b, tie; 0). Only the plain
// shapes are recognised, with white space around them; everything else, valid
// or not, is kUnsure.
std::uint16_t verdict_code(const char* kind, std::size_t kind_size,
                           const char* value, std::size_t value_size) noexcept;

}  // namespace reconciler
