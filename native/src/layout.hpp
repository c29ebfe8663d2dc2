// How rows and their codes lie in memory.
//
// Rows are float32, row-major. Each coded row has two planes of four bits per
// dimension of its rotated direction:
//   high  blocks of 16 rows, in groups of 64 bytes that hold eight dimensions:
//         byte row * 4 + j of group g has dimension 8g + j in its low nibble
//         and dimension 8g + 4 + j in its high nibble, so that one 32-bit
//         lane always belongs to one row
//   low   row-major: byte j has dimension j and, in its high nibble,
//         dimension coded / 2 + j
// A nibble u stands for the odd integer 2u - 15.
#pragma once

#include <cstddef>
#include <cstdint>

namespace reconciler {

enum class Metric : int { cosine = 0, ip = 1, l2 = 2 };

constexpr std::size_t kBlockRows = 16;
constexpr std::size_t kGroupDims = 8;
constexpr std::size_t kGroupBytes = 64;
// Below this the codes would be as large as the rows.
constexpr std::size_t kMinCodedDim = 32;
constexpr std::size_t kMaxDim = 4096;

constexpr std::size_t coded_dim(std::size_t dim) {
  return (dim + 31) / 32 * 32;
}

// The constants of a row, in units of the segment's largest norm (unit). See
// bounds.hpp for what they bound. Arrays are padded to whole blocks.
struct Side {
  const float* scale;          // s: the row is near s times its high code
  const float* inverse_norm;   // 1 / |c|
  const float* residual;       // at least |y - s c|
  const float* norm;           // at least |y|; nullptr: all are 1 (cosine)
  const float* half_square;    // at most |y|^2 / 2; nullptr but for l2
  const float* low_scale;      // s2: y is near s c + s2 c2
  const float* low_residual;   // at least |y - s c - s2 c2|
};

struct Codes {
  const std::uint8_t* high = nullptr;  // nullptr: the rows have no codes
  const std::uint8_t* low = nullptr;
  Side side{};
  double unit = 1.0;
};

// Some consecutive rows of a segment. Immutable while a search runs.
struct SegmentView {
  const float* rows;
  const std::int64_t* ids;
  const double* norms;        // Euclidean norms of the rows
  const std::uint8_t* alive;  // one byte a row; nullptr: all are alive
  std::size_t count;
  Codes codes;
};

}  // namespace reconciler
