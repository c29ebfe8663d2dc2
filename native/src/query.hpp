// A query and its code.
#pragma once

#include <cstdint>
#include <vector>

#include "best.hpp"
#include "kernels.hpp"
#include "layout.hpp"

namespace reconciler {

struct Query {
  Query(const float* vector, std::size_t dim, Metric metric, Best best);

  // The canonical key of a row; see canonical.hpp.
  double key(const SegmentView& segment, std::size_t row) const;
  void score(const SegmentView& segment, std::size_t row) {
    best.push({key(segment, row), segment.ids[row]});
  }

  const float* vector;
  std::size_t dim;
  Metric metric;
  const Kernels& isa;
  double square, norm;            // |q|^2 and |q|
  std::vector<std::int8_t> code;  // a; empty if the dimension has no codes
  double step = 0.0;              // t
  double code_norm = 0.0;         // at least |t a|
  double error = 0.0;             // at least |e|
  std::int32_t sum = 0;
  Best best;
};

// A query's bounds in the units of one segment.
struct SegmentQuery {
  SegmentQuery(const Query& query, const Codes& codes);

  // What an upper bound must reach for the row to have this key or a better
  // one.
  float threshold(const Query& query, double key) const;

  // Upper bound of a row from the dots of both its codes.
  float refined_bound(const Side& side, std::size_t row, std::int32_t high,
                      std::int32_t low) const;

  bool usable;  // the bounds hold; otherwise score every row
  double unit;  // what a bound of 1 stands for
  BoundQuery bound{};
};

// For every row of a coded segment: whether both of its bounds reach the
// threshold of its own key, as bounds.hpp promises. For tests.
std::vector<std::uint8_t> bounds_hold(const Query& query,
                                      const SegmentView& segment);

}  // namespace reconciler
