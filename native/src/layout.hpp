// How rows and their codes lie in memory.
//
// Rows are float32, row-major. What is coded is a row's rotated direction: its
// first dimensions, the head, and the rest of them. A basis may say how many
// are in the head; without one all are. Every row has four bits per dimension
// in the first plane and four in the second, which codes what the first
// leaves; and eight bits per dimension of the head:
//   head  first plane of the head, in blocks of 16 rows, in groups of 64
//         bytes that hold eight dimensions: byte row * 4 + j of group g has
//         dimension 8g + j in its low nibble and dimension 8g + 4 + j in its
//         high nibble, so that one 32-bit lane always belongs to one row
//   octets  of the head, in blocks of 16 rows, in groups of 64 bytes that hold
//         four dimensions: byte row * 4 + j of group g has dimension 4g + j
//   rest  first plane of the rest, row-major: byte j has dimension j and, in
//         its high nibble, dimension n / 2 + j of n
//   low   second plane, row-major: the head's bytes, then the rest's, each as
//         in rest
// A nibble u stands for the odd integer 2u - 15, an octet u for u - 128. Sizes
// are multiples of 32.
#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <utility>

namespace reconciler {

enum class Metric : int { cosine = 0, ip = 1, l2 = 2 };

constexpr std::size_t kBlockRows = 16;
constexpr std::size_t kGroupDims = 8;
constexpr std::size_t kGroupBytes = 64;
constexpr std::size_t kOctetDims = 4;  // in a group of octets
// Below this the codes would be as large as the rows.
constexpr std::size_t kMinCodedDim = 32;
constexpr std::size_t kMaxDim = 4096;

constexpr std::size_t coded_dim(std::size_t dim) {
  return (dim + 31) / 32 * 32;
}

// The constants of a row, in units of the segment's largest norm (unit). See
// bounds.hpp for what they bound. Arrays are padded to whole blocks.
struct Side {
  const float* scale;         // s: the head is near s times its code c
  const float* inverse_norm;  // 1 / |c|
  const float* residual;      // at least |y - s c| in the head
  const float* rest;          // at least |y| in the rest; nullptr: no rest
  const float* norm;          // at least |y|; nullptr: all are 1 (cosine)
  const float* half_square;   // at most |y|^2 / 2; nullptr but for l2
  const float* rest_scale;    // s and residual of the rest
  const float* rest_residual;
  const float* low_scale;       // s2 of the head: y is near s c + s2 c2
  const float* low_rest_scale;  // s2 of the rest
  const float* low_residual;    // at least |y - s c - s2 c2|, of all
  const float* octet_scale;     // half the s of the head's octets
  const float* octet_residual;  // at least |y - s c| of them in the head

  // The constants of the rows from a block's start on.
  Side from(std::size_t row) const {
    Side side = *this;
    for (const float** array :
         {&side.scale, &side.inverse_norm, &side.residual, &side.rest,
          &side.norm, &side.half_square, &side.rest_scale,
          &side.rest_residual, &side.low_scale, &side.low_rest_scale,
          &side.low_residual, &side.octet_scale, &side.octet_residual}) {
      if (*array != nullptr) *array += row;
    }
    return side;
  }
};
constexpr std::size_t kSideArrays = 13;

// What rotates: a matrix, or the transform of rotation.hpp.
struct Basis {
  const float* matrix = nullptr;  // dim x coded_dim(dim); nullptr: transform
  double error = 0.0;             // at least |B'B - I|; see bounds.hpp
  std::size_t head = 0;           // dimensions in the head
};

struct Codes {
  const std::uint8_t* head = nullptr;  // nullptr: the rows have no codes
  const std::uint8_t* rest = nullptr;
  const std::uint8_t* low = nullptr;
  const std::uint8_t* octets = nullptr;
  Side side{};
  double unit = 1.0;
  Basis basis{};
};

// Rows that lie together because they are alike: those of cluster i are
// starts[i] to starts[i + 1], less offset. They only tell where to look first.
struct Clusters {
  const float* centres = nullptr;  // dim x width(), one column a cluster
  const std::int64_t* starts = nullptr;
  std::size_t count = 0;
  std::int64_t offset = 0;

  std::size_t width() const { return coded_dim(count); }

  // The rows of a cluster that are among the `all` rows at hand.
  std::pair<std::size_t, std::size_t> rows(std::size_t i,
                                           std::size_t all) const {
    const auto inside = [&](std::int64_t start) {
      const auto most = static_cast<std::int64_t>(all);
      const std::int64_t at = start - offset;
      return static_cast<std::size_t>(at < 0 ? 0 : at > most ? most : at);
    };
    return {inside(starts[i]), inside(starts[i + 1])};
  }
};

// Some consecutive rows of a segment. Immutable while a search runs.
struct SegmentView {
  const float* rows;
  const std::int64_t* ids;
  const double* norms;        // Euclidean norms of the rows
  const std::uint8_t* alive;  // one byte a row; nullptr: all are alive
  std::size_t count;
  Codes codes;
  Clusters clusters{};
};

}  // namespace reconciler
