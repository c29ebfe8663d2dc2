// A query, its code, and its bounds in a segment.
#pragma once

#include <cstdint>
#include <limits>
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
  std::vector<double> wide;  // the same numbers
  Metric metric;
  const Kernels& isa;
  double square, norm;  // |q|^2 and |q|
  Best best;
};

// The integer code of a query's head or rest; see bounds.hpp.
struct QueryPart {
  double step = 0.0;    // t
  double norm = 0.0;    // at least |t a|
  double error = 0.0;   // at least |e|
  double size = 0.0;    // at least |p|
  std::int32_t sum = 0;
};

// What all segments of one basis share of a query.
struct QueryCode {
  std::vector<std::int8_t> code;  // a; empty if the query has none
  QueryPart head, rest;
};

// The codes of some queries. Those of length zero, or of too few dimensions,
// have none.
std::vector<QueryCode> encode_queries(const Basis& basis,
                                      const std::vector<Query*>& queries);

// A query's bounds in the units of one segment.
struct SegmentQuery {
  SegmentQuery(const Query& query, const QueryCode& code, const Codes& codes);

  // What an upper bound must reach for the row to have this key or a better
  // one; and the same for the bounds of the sieve.
  float threshold(const Query& query, double key) const;
  float sieve_threshold(float threshold) const;

  // The query for a pass over the octets.
  OctetQuery octet_query(const std::int8_t* code, float threshold) const;

  // What the sieve found, in the segment's units.
  float from_sieve(float estimate) const { return estimate * twice_step; }
  float bound_from_sieve(float upper) const {
    return upper * twice_step + (one_norm ? error : 0.0f);
  }

  // Contributions to <p, y> from dots with the code planes of a row.
  float rest_estimate(const Side& side, std::size_t row,
                      std::int32_t dot) const;
  float low_estimate(const Side& side, std::size_t row, std::int32_t head,
                     std::int32_t rest) const;
  // Upper bounds from the estimates of both first planes, and of all planes.
  float first_bound(const Side& side, std::size_t row, float estimate) const;
  // The same where the estimate of the head is from its octets.
  float octet_bound(const Side& side, std::size_t row, float estimate) const;
  float last_bound(const Side& side, std::size_t row, float estimate) const;

  // What <p, y> is at least for a row of this estimate and bound, less what
  // rounding may have added; minus infinity where that is not known (l2).
  float lower_bound(float estimate, float upper) const {
    if (squared) return -std::numeric_limits<float>::infinity();
    return 2.0f * estimate - upper - 0x1p-20f;
  }

  bool usable;    // the bounds hold; otherwise score every row
  double unit;    // what a bound of 1 stands for
  bool one_norm;  // all rows have the norm 1
  bool squared;   // bounds have a term of |y|^2 (l2)
  float twice_step = 0.0f;  // 2t of the head
  float rest_step = 0.0f;   // t of the rest
  float head_norm = 0.0f, rest_norm = 0.0f, code_norm = 0.0f;  // N of each
  float error = 0.0f, half_weight = 0.0f;  // as in the sieve
  std::int32_t head_sum = 0, rest_sum = 0;
  SieveBound sieve{};

 private:
  float margin(const Side& side, std::size_t row) const;
};

inline float SegmentQuery::margin(const Side& side, std::size_t row) const {
  float most = one_norm ? error : error * side.norm[row];
  if (side.half_square != nullptr) {
    most -= half_weight * side.half_square[row];
  }
  return most;
}

// s t <a, c>; the integer is exact.
inline float product(float scale, float step, std::int32_t dot,
                     std::int32_t sum) {
  return scale * (step * static_cast<float>(2 * dot - 15 * sum));
}

inline float SegmentQuery::rest_estimate(const Side& side, std::size_t row,
                                  std::int32_t dot) const {
  return product(side.rest_scale[row], rest_step, dot, rest_sum);
}

inline float SegmentQuery::low_estimate(const Side& side, std::size_t row,
                                 std::int32_t head, std::int32_t rest) const {
  const float first =
      product(side.low_scale[row], 0.5f * twice_step, head, head_sum);
  if (side.rest == nullptr) return first;
  return first +
         product(side.low_rest_scale[row], rest_step, rest, rest_sum);
}

inline float SegmentQuery::first_bound(const Side& side, std::size_t row,
                                float estimate) const {
  return estimate + head_norm * side.residual[row] +
         rest_norm * side.rest_residual[row] + margin(side, row);
}

inline float SegmentQuery::octet_bound(const Side& side, std::size_t row,
                                float estimate) const {
  return estimate + head_norm * side.octet_residual[row] +
         rest_norm * side.rest_residual[row] + margin(side, row);
}

inline float SegmentQuery::last_bound(const Side& side, std::size_t row,
                               float estimate) const {
  return estimate + code_norm * side.low_residual[row] + margin(side, row);
}

// For every row of a coded segment: whether each of its bounds reaches the
// threshold of its own key, as bounds.hpp promises. For tests.
std::vector<std::uint8_t> bounds_hold(Query& query,
                                      const SegmentView& segment);

}  // namespace reconciler
