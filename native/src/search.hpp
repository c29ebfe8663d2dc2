// Exact search over the segments of an index.
#pragma once

#include <atomic>
#include <vector>

#include "best.hpp"
#include "layout.hpp"
#include "pool.hpp"

namespace reconciler {

struct Index {
  std::vector<SegmentView> segments;
  std::size_t dim;
  Metric metric;
};

// What a search did; sums over its queries.
struct Counters {
  std::atomic<std::uint64_t> coded{0};    // rows bounded by their high codes
  std::atomic<std::uint64_t> refined{0};  // rows bounded by both codes
  std::atomic<std::uint64_t> scored{0};   // rows scored exactly
};

// The k best rows of every query, best first; fewer where there are fewer.
std::vector<std::vector<Hit>> search(const Index& index, const float* queries,
                                     std::size_t count, std::size_t k,
                                     Pool& pool, Counters& counters);

// Every row whose key reaches `key`, best first.
std::vector<std::vector<Hit>> range_search(const Index& index,
                                           const float* queries,
                                           std::size_t count, double key,
                                           Pool& pool, Counters& counters);

}  // namespace reconciler
