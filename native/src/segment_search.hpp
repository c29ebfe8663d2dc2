// One pass of some queries over segments.
//
// Chunk by chunk: bound every row by the first plane of its head, keep those
// that could still enter (bounds.hpp), bound these again with that of the
// rest, and, where that leaves many, with both planes; score the most
// promising exactly to raise the floor. Where the bounds do not thin out the
// rows, a query scores the rest of the segment exactly: never less work is
// done than the bounds justify, and little more than a plain scan would do.
//
// Many queries bound the heads by their octets instead, together, and raise
// the floor by lower bounds, too (octet_pass.cpp). Rows that are like a query
// are scored before all others (seeds.cpp).
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>
#include <memory>
#include <vector>

#include "query.hpp"
#include "search.hpp"

namespace reconciler {

constexpr std::size_t kFirstChunk = 512;

// How many of the most promising rows are scored to raise the floor.
inline std::size_t seed_size(const Best& best) {
  return std::max<std::size_t>(2 * best.k(), 16);
}

inline void prefetch(const void* start, std::size_t bytes) {
  constexpr std::size_t line = 64;
  const char* p = static_cast<const char*>(start);
  for (std::size_t at = 0; at < bytes; at += line) __builtin_prefetch(p + at);
}

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
  std::vector<std::uint32_t> seeds{};  // rows that are scored, ascending
  std::vector<float> lower{};  // the best lower bounds: a heap, least first
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
  void seed_all();
  std::vector<std::size_t> by_nearest();
  void seed(std::size_t place);
  void keep_seeds(const Sieve& sieve, std::size_t begin, std::size_t count);
  void choose_seeds(Lane& lane);
  void score_seeds(Lane& lane);
  void visit_chunk(std::size_t begin, std::size_t count);
  void sieve(std::size_t begin, std::size_t count, std::size_t from);
  void sieve_octets(std::size_t begin, std::size_t count);
  void keep_passed(const Passed* passed, std::size_t found, std::size_t begin,
                   std::size_t count);
  void keep_run(Lane& lane, const Passed* passed, std::size_t found,
                std::size_t begin, std::size_t count);
  void keep_heads(Lane& lane, const Sieve& sieve, std::size_t begin,
                  std::size_t count);
  void keep_found(Lane& lane, const Sieve& sieve, std::size_t begin,
                  std::size_t count);
  void collect(Lane& lane, const Sieve& sieve, std::size_t begin,
               std::size_t count);
  void make_room(Lane& lane, std::size_t seen);
  void refine(Lane& lane, std::size_t from);
  void refine_some(Lane& lane, Candidate* some, std::size_t count);
  void tighten(Lane& lane, std::size_t seen);
  void drop_hopeless(Lane& lane);
  void score_best(Lane& lane);
  void score_candidates(Lane& lane, std::size_t begin);
  void score_all();
  void score_rest(Lane& lane);
  void prepare_rest(Lane& lane);
  void finish_rest(Lane& lane);
  void fetch(const Lane& lane, std::size_t i) const;
  void fetch_row(const Lane& lane, std::uint32_t row) const;
  void score_rows(Lane& lane, std::size_t begin, std::size_t count);
  void learn(Lane& lane, float estimate, float upper);
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
  std::vector<std::uint32_t> rows_;
  std::vector<float> estimates_, upper_;
  std::vector<OctetQuery> octet_queries_;
  std::unique_ptr<Passed[]> passed_;
  std::size_t passed_room_ = 0;
  std::vector<std::int32_t> dots_;
  std::vector<float> nearness_;       // of each query to each cluster
  std::vector<std::vector<std::uint32_t>> nearest_;  // clusters, of each
  std::vector<std::uint32_t> seed_rows_;  // of the query at hand
  std::vector<float> seed_bounds_;
};

}  // namespace reconciler
