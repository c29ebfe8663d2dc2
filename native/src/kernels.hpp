// The functions that exist once per instruction set.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "advantages.hpp"
#include "layout.hpp"

namespace reconciler {

// What the sieve needs of a query; see bounds.hpp. All are in units of twice
// the step of the head's code, 2t.
struct SieveBound {
  float half;         // 7.5 times the sum of the code
  float norm_square;  // N^2 of the head, rounded up
  float norm;         // N of the head, rounded up
  float rest;         // P: the norm of the rest, rounded up
  float error;        // R: everything that is proportional to |y|
  float half_weight;  // the weight of |y|^2 / 2 (l2), rounded down
};

// One query of a pass over the heads, and where the pass leaves the rows whose
// bound reaches the threshold: room for every row of the pass and 16 more.
// Where all norms are 1 the error is not in the bound, but in the threshold.
struct Sieve {
  const std::int8_t* code;
  const SieveBound* bound;
  float threshold;
  std::uint32_t* rows;
  float* estimates;  // of <p, y> in the head
  float* upper;
  std::size_t found;
};
constexpr std::size_t kMostSieves = 8;

// The same for a pass over the octets, which many queries make together.
struct OctetQuery {
  const std::int8_t* code;
  std::int32_t half;  // -128 times the sum of the code
  float norm, rest, error, half_weight, threshold;  // as in a Sieve
};

// A row whose bound by its octets reaches a query's threshold.
struct Passed {
  std::uint32_t query, row;
  float estimate, upper;  // as in a Sieve
};

// Where one encoded row goes.
struct Encoded {
  std::uint8_t* head_block;  // start of its block
  std::size_t lane;          // its place in the block
  std::uint8_t* rest;
  std::uint8_t* low;
  std::uint8_t* octet_block;
  float scale, inverse_norm, rest_scale, low_scale, low_rest_scale;
  float octet_scale;
  // Computed in double, not yet rounded up.
  double residual, rest_size, rest_residual, low_residual, octet_residual;
};

struct Kernels {
  const char* name;
  // Sum of a[j] * b[j] in double over the fixed tree of canonical.hpp.
  double (*dot)(const double* a, const float* b, std::size_t dim);
  // Sum of (a[j] - b[j])^2 in double over the same tree.
  double (*square_distance)(const double* a, const float* b, std::size_t dim);
  // Bounds whole blocks of the head's codes for at most kMostSieves queries.
  void (*sieve)(const std::uint8_t* head, std::size_t groups,
                std::size_t blocks, const Side& side, Sieve* queries,
                std::size_t count);
  // Bounds whole blocks of the head's octets for any number of queries, and
  // returns how many rows passed: room for all rows of all queries is needed.
  // nullptr where that would not be faster.
  std::size_t (*sieve_octets)(const std::uint8_t* octets, std::size_t groups,
                              std::size_t blocks, const Side& side,
                              const OctetQuery* queries, std::size_t count,
                              Passed* passed);
  // dots[i] = <u, a> of `dims` row-major dimensions of row rows[i].
  void (*row_dots)(const std::uint8_t* codes, std::size_t stride,
                   const std::int8_t* query, std::size_t dims,
                   const std::uint32_t* rows, std::size_t count,
                   std::int32_t* dots);
  // y = R (x / norm) in double; see rotation.hpp.
  void (*rotate)(const float* x, std::size_t dim, double norm, double* y);
  // y = B x for `count` vectors in float; see project.hpp.
  void (*project)(const float* matrix, std::size_t coded, std::size_t dim,
                  const float* x, std::size_t count, float* y);
  void (*encode)(const float* y, std::size_t coded, std::size_t head,
                 Encoded& out);
  void (*gae)(const Trajectories& all);
};

// The levels that this processor can run, slowest first. The first call asks
// the system for AMX; see amx_support.hpp.
std::vector<const Kernels*> supported_kernels();

// The level in use: that of RECONCILER_ISA, or else the fastest. Throws
// std::runtime_error if the processor lacks the level asked for.
const Kernels& kernels();

// Selects a level by name for this process. Throws std::invalid_argument if
// this processor cannot run it.
void use_kernels(const char* name);

}  // namespace reconciler
