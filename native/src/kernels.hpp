// The functions that exist once per instruction set.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "layout.hpp"

namespace reconciler {

// What the bound of one query needs; see bounds.hpp.
struct BoundQuery {
  float step;         // t: the query is near t times its integer code
  float norm_square;  // N^2, rounded up
  float norm;         // N, rounded up
  float error;        // R: everything that is proportional to |y|
  float half_weight;  // the weight of |y|^2 / 2 (l2), rounded down
  std::int32_t sum;   // sum of the integer code
};

// Where one encoded row goes.
struct Encoded {
  std::uint8_t* high_block;  // start of its block
  std::size_t lane;          // its place in the block
  std::uint8_t* low;
  float scale, inverse_norm, low_scale;
  double residual, low_residual;  // computed in double, not yet rounded up
};

struct Kernels {
  const char* name;
  // Sum of a[j] * b[j] in double over the fixed tree of canonical.hpp.
  double (*dot)(const float* a, const float* b, std::size_t dim);
  // Sum of (a[j] - b[j])^2 in double over the same tree.
  double (*square_distance)(const float* a, const float* b, std::size_t dim);
  // dots[q * stride + row] = <u, a_q> over whole blocks of high codes.
  void (*scan)(const std::uint8_t* high, std::size_t groups,
               std::size_t blocks, const std::int8_t* const* queries,
               std::size_t count, std::int32_t* dots, std::size_t stride);
  // Upper bounds of the scores of `count` rows from their dots.
  void (*bound)(const BoundQuery& query, const Side& side,
                const std::int32_t* dots, std::size_t count, float* upper);
  // Rows whose bound reaches the threshold; at most `count` of them.
  std::size_t (*select)(const float* upper, std::size_t count,
                        float threshold, std::uint32_t* rows);
  // dots[i] = <u2, a> of the low codes of row rows[i].
  void (*low_dots)(const std::uint8_t* low, const std::int8_t* query,
                   std::size_t coded, const std::uint32_t* rows,
                   std::size_t count, std::int32_t* dots);
  // y = R (x / norm) in double; see rotation.hpp.
  void (*rotate)(const float* x, std::size_t dim, double norm, double* y);
  void (*encode)(const double* y, std::size_t coded, Encoded& out);
  // One trajectory; see advantages.hpp.
  void (*gae)(const float* rewards, const float* values, std::size_t steps,
              float bootstrap, float gamma, float lam, float* advantages,
              float* returns);
};

// The levels that this processor can run, slowest first.
std::vector<const Kernels*> supported_kernels();

// The level in use: that of RECONCILER_ISA, or else the fastest. Throws
// std::runtime_error if the processor lacks the level asked for.
const Kernels& kernels();

// Selects a level by name for this process. Throws std::invalid_argument if
// this processor cannot run it.
void use_kernels(const char* name);

}  // namespace reconciler
