// One pass of some queries over segments.
//
// Chunk by chunk: bound every row by its high codes, keep those that could
// still enter (bounds.hpp), bound these again by both codes, score the most
// promising exactly to raise the floor. Where the bounds do not thin out the
// rows, a query scores the rest of the segment exactly: never less work is
// done than the bounds justify, and little more than a plain scan would do.
#pragma once

#include <cstdint>
#include <limits>
#include <vector>

#include "query.hpp"
#include "search.hpp"

namespace reconciler {

struct Candidate {
  float upper;
  std::uint32_t row;
  std::int32_t dot;
};

// A query's state in the current segment.
struct Lane {
  Query* query;
  SegmentQuery bounds;
  float threshold = -std::numeric_limits<float>::infinity();
  std::vector<Candidate> candidates{};
  std::size_t settled = 0;  // how many were left by the last tightening
  bool exhaustive = false;  // scores every row from here on
};

class GroupSearch {
 public:
  GroupSearch(std::vector<Query*> queries, Counters& counters);

  void visit(const SegmentView& segment);

 private:
  void report();
  void visit_all(const SegmentView& segment);
  void visit_chunk(std::size_t begin, std::size_t count);
  void collect(Lane& lane, std::size_t begin, std::size_t count,
               const std::int32_t* dots);
  void tighten(Lane& lane, std::size_t seen);
  void refine(Lane& lane, std::size_t begin);
  void drop_hopeless(Lane& lane);
  void score_best(Lane& lane);
  void score_candidates(Lane& lane, std::size_t begin);
  void score_rest(Lane& lane);
  void score_rows(Query& query, std::size_t begin, std::size_t count);
  void update_floor(Lane& lane);

  std::vector<Query*> queries_;
  Counters& counters_;
  std::uint64_t coded_ = 0, refined_ = 0, scored_ = 0;  // of this visit
  const SegmentView* segment_ = nullptr;
  std::vector<Lane> lanes_;
  std::vector<const std::int8_t*> active_;
  std::vector<std::size_t> active_lanes_;
  std::vector<std::int32_t> dots_;
  std::vector<float> upper_;
  std::vector<std::uint32_t> rows_;
};

}  // namespace reconciler
