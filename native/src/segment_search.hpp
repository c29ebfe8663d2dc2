// One pass of some queries over segments.
//
// Chunk by chunk: bound every row by the first plane of its head, keep those
// that could still enter (bounds.hpp), bound these again with that of the
// rest, and, where that leaves many, with both planes; score the most
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
  float estimate;  // of <p, y>, from the planes that were looked at
  bool refined;    // there is no more to look at
};

// A query's state in the current segment.
struct Lane {
  Query* query;
  const std::int8_t* code;
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
  void encode(const Basis& basis);
  void visit_all(const SegmentView& segment);
  bool begins() const;
  void approach();
  void seed(std::size_t place);
  void score_seeds(Lane& lane);
  void visit_chunk(std::size_t begin, std::size_t count);
  void sieve(std::size_t begin, std::size_t count, std::size_t from,
             std::size_t some);
  void keep_heads(Lane& lane, const Sieve& sieve, std::size_t begin,
                  std::size_t count);
  void keep_found(Lane& lane, const Sieve& sieve, std::size_t begin,
                  std::size_t count);
  void collect(Lane& lane, const Sieve& sieve, std::size_t begin,
               std::size_t count);
  void refine(Lane& lane, std::size_t from);
  void refine_some(Lane& lane, Candidate* some, std::size_t count);
  void tighten(Lane& lane, std::size_t seen);
  void drop_hopeless(Lane& lane);
  void score_best(Lane& lane);
  void score_candidates(Lane& lane, std::size_t begin);
  void score_rest(Lane& lane);
  void score_rows(Query& query, std::size_t begin, std::size_t count);
  void update_floor(Lane& lane);
  void raise(Lane& lane, double floor);

  std::vector<Query*> queries_;
  Counters& counters_;
  std::uint64_t coded_ = 0, refined_ = 0, scored_ = 0;  // of this visit
  std::vector<QueryCode> codes_;  // of the basis that was met last
  Basis basis_{};
  const SegmentView* segment_ = nullptr;
  std::vector<Lane> lanes_;
  std::vector<Sieve> sieves_;
  std::vector<std::size_t> active_;  // lanes that use their bounds
  std::size_t room_ = 0;             // what each sieve may write
  bool octets_ = false;              // the sieve at hand looks at these
  std::vector<std::uint32_t> rows_;
  std::vector<float> estimates_, upper_;
  std::vector<std::int32_t> dots_;
  std::vector<float> nearness_;       // of each query to each cluster
  std::vector<std::size_t> nearest_;  // clusters, for the query at hand
};

}  // namespace reconciler
