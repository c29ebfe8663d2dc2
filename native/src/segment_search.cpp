#include "segment_search.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

namespace reconciler {

namespace {

constexpr std::size_t kLongChunk = 4096;  // for few queries
constexpr std::size_t kFewQueries = 4;
constexpr std::size_t kExactChunk = 64;  // rows that several queries share
constexpr std::size_t kAhead = 8;
constexpr std::size_t kManyPassed = 16;
constexpr std::size_t kRefined = 256;  // rows whose low codes go together

// The constants of rows that will be bounded soon, which lie far apart.
void prefetch_side(std::initializer_list<const float*> arrays,
                   const std::uint32_t* rows, std::size_t count) {
  for (const float* array : arrays) {
    if (array == nullptr) continue;
    for (std::size_t i = 0; i < count; ++i) {
      __builtin_prefetch(array + rows[i]);
    }
  }
}

bool is_seed(const Lane& lane, std::uint32_t row) {
  return std::binary_search(lane.seeds.begin(), lane.seeds.end(), row);
}

}  // namespace

GroupSearch::GroupSearch(std::vector<Query*> queries, Counters& counters)
    : queries_(std::move(queries)), counters_(counters) {}

void GroupSearch::visit(const SegmentView& segment) {
  segment_ = &segment;
  encode(segment.codes.basis);
  lanes_.clear();
  bool any = false;
  for (std::size_t q = 0; q < queries_.size(); ++q) {
    SegmentQuery bounds(*queries_[q], codes_[q], segment.codes);
    Lane lane{queries_[q], codes_[q].code.data(), bounds};
    lane.exhaustive = !bounds.usable;
    any = any || bounds.usable;
    update_floor(lane);
    lanes_.push_back(std::move(lane));
  }
  if (!any) {
    visit_all(segment);
    report();
    return;
  }
  const std::size_t chunk =
      queries_.size() <= kFewQueries ? kLongChunk : kFirstChunk;
  room_ = chunk + kBlockRows;
  rows_.resize(std::min(queries_.size(), kMostSieves) * room_);
  estimates_.resize(rows_.size());
  upper_.resize(rows_.size());
  if (begins()) seed_all();
  for (std::size_t begin = 0; begin < segment.count;) {
    const std::size_t size = begin == 0 ? kFirstChunk : chunk;
    const std::size_t count = std::min(size, segment.count - begin);
    visit_chunk(begin, count);
    begin += count;
  }
  score_all();
  report();
}

// Segments mostly share their basis, so a query is rarely encoded twice.
void GroupSearch::encode(const Basis& basis) {
  if (codes_.empty() || basis.head != basis_.head ||
      basis.matrix != basis_.matrix) {
    codes_ = encode_queries(basis, queries_);
    basis_ = basis;
  }
}

void GroupSearch::report() {
  counters_.coded.fetch_add(coded_, std::memory_order_relaxed);
  counters_.refined.fetch_add(refined_, std::memory_order_relaxed);
  counters_.scored.fetch_add(scored_, std::memory_order_relaxed);
  coded_ = refined_ = scored_ = 0;
}

void GroupSearch::visit_all(const SegmentView& segment) {
  for (std::size_t begin = 0; begin < segment.count; begin += kExactChunk) {
    const std::size_t count = std::min(kExactChunk, segment.count - begin);
    for (Lane& lane : lanes_) score_rows(lane, begin, count);
  }
}

void GroupSearch::visit_chunk(std::size_t begin, std::size_t count) {
  active_.clear();
  for (std::size_t i = 0; i < lanes_.size(); ++i) {
    if (lanes_[i].exhaustive) {
      score_rows(lanes_[i], begin, count);
    } else {
      active_.push_back(i);
    }
  }
  if (active_.size() > kFewQueries &&
      queries_[0]->isa.sieve_octets != nullptr) {
    sieve_octets(begin, count);
    return;
  }
  for (std::size_t from = 0; from < active_.size(); from += kMostSieves) {
    sieve(begin, count, from);
    for (std::size_t i = 0; i < sieves_.size(); ++i) {
      collect(lanes_[active_[from + i]], sieves_[i], begin, count);
    }
  }
}

// Bounds some rows for the next active lanes.
void GroupSearch::sieve(std::size_t begin, std::size_t count,
                        std::size_t from) {
  sieves_.clear();
  const std::size_t end = std::min(from + kMostSieves, active_.size());
  for (std::size_t i = from; i < end; ++i) {
    const Lane& lane = lanes_[active_[i]];
    const std::size_t at = (i - from) * room_;
    sieves_.push_back({lane.code, &lane.bounds.sieve,
                       lane.bounds.sieve_threshold(lane.threshold),
                       &rows_[at], &estimates_[at], &upper_[at], 0});
  }
  const Codes& codes = segment_->codes;
  const std::size_t groups = codes.basis.head / kGroupDims;
  const std::size_t blocks = (count + kBlockRows - 1) / kBlockRows;
  queries_[0]->isa.sieve(
      codes.head + begin / kBlockRows * groups * kGroupBytes, groups, blocks,
      codes.side.from(begin), sieves_.data(), sieves_.size());
  coded_ += count * sieves_.size();
}

// Makes candidates of what a sieve found, but for dead rows and for what pads
// the last block.
void GroupSearch::keep_heads(Lane& lane, const Sieve& sieve,
                             std::size_t begin, std::size_t count) {
  for (std::size_t i = 0; i < sieve.found && sieve.rows[i] < count; ++i) {
    const auto row = static_cast<std::uint32_t>(begin + sieve.rows[i]);
    if (segment_->alive != nullptr && segment_->alive[row] == 0) continue;
    lane.candidates.push_back(
        {lane.bounds.bound_from_sieve(sieve.upper[i]), row,
         lane.bounds.from_sieve(sieve.estimates[i]), false});
  }
}

// The same, but for rows that have no hope by the first plane of the rest.
void GroupSearch::keep_found(Lane& lane, const Sieve& sieve,
                             std::size_t begin, std::size_t count) {
  const Codes& codes = segment_->codes;
  const std::size_t head = codes.basis.head;
  const std::size_t rest = coded_dim(lane.query->wide.size()) - head;
  if (rest == 0) {
    keep_heads(lane, sieve, begin, count);
    return;
  }
  std::size_t found = 0;
  for (std::size_t i = 0; i < sieve.found && sieve.rows[i] < count; ++i) {
    const auto row = static_cast<std::uint32_t>(begin + sieve.rows[i]);
    sieve.rows[found] = row;
    sieve.estimates[found] = sieve.estimates[i];
    const bool dead = segment_->alive != nullptr && segment_->alive[row] == 0;
    found += dead ? 0 : 1;
  }
  dots_.resize(room_);
  lane.query->isa.row_dots(codes.rest, rest / 2, lane.code + head, rest,
                           sieve.rows, found, dots_.data());
  for (std::size_t i = 0; i < found; ++i) {
    const std::uint32_t row = sieve.rows[i];
    const float estimate =
        lane.bounds.from_sieve(sieve.estimates[i]) +
        lane.bounds.rest_estimate(codes.side, row, dots_[i]);
    const float upper = lane.bounds.first_bound(codes.side, row, estimate);
    if (!(upper >= lane.threshold)) continue;
    lane.candidates.push_back({upper, row, estimate, false});
  }
}

void GroupSearch::collect(Lane& lane, const Sieve& sieve, std::size_t begin,
                          std::size_t count) {
  const std::size_t before = lane.candidates.size();
  keep_found(lane, sieve, begin, count);
  // With many queries the low codes of the chunk stay in the cache: where many
  // rows pass, looking now, even in vain, is cheaper than looking later.
  const std::size_t passed = lane.candidates.size() - before;
  if (queries_.size() > kFewQueries && passed >= kManyPassed &&
      lane.threshold > -std::numeric_limits<float>::infinity()) {
    refine(lane, before);
  }
  make_room(lane, begin + count);
}

void GroupSearch::make_room(Lane& lane, std::size_t seen) {
  const std::size_t room = 2 * lane.settled + 8 * seed_size(lane.query->best);
  if (lane.candidates.size() > room) tighten(lane, seen);
}

// Raises the floor with the most promising candidates and drops those that
// have no hope left. Second bounds of all are looked up only where the first
// ones leave too many: at the end far fewer will need them.
void GroupSearch::tighten(Lane& lane, std::size_t seen) {
  score_best(lane);
  drop_hopeless(lane);
  const std::size_t limit = seen / 8 + 2 * seed_size(lane.query->best);
  if (lane.candidates.size() > limit) {
    refine(lane, 0);
  }
  lane.settled = lane.candidates.size();
  if (lane.settled > limit) {
    lane.exhaustive = true;
    score_rest(lane);
  }
}

// Scores the candidates with the highest bounds and takes them off the list.
void GroupSearch::score_best(Lane& lane) {
  if (!lane.query->best.wants_seed()) return;
  auto& all = lane.candidates;
  const std::size_t count = std::min(seed_size(lane.query->best), all.size());
  const std::size_t kept = all.size() - count;
  std::nth_element(
      all.begin(), all.begin() + static_cast<long>(kept), all.end(),
      [](const Candidate& a, const Candidate& b) { return a.upper < b.upper; });
  score_candidates(lane, kept);
  all.resize(kept);
}

void GroupSearch::fetch(const Lane& lane, std::size_t i) const {
  if (i >= lane.candidates.size()) return;
  const Candidate& candidate = lane.candidates[i];
  if (!(candidate.upper >= lane.threshold)) return;
  if (is_seed(lane, candidate.row)) return;
  fetch_row(lane, candidate.row);
}

void GroupSearch::fetch_row(const Lane& lane, std::uint32_t row) const {
  const std::size_t dim = lane.query->wide.size();
  prefetch(segment_->rows + row * dim, dim * sizeof(float));
  __builtin_prefetch(segment_->norms + row);
}

// Scores the candidates from a place on, in their order, but for those that
// have lost hope meanwhile.
void GroupSearch::score_candidates(Lane& lane, std::size_t begin) {
  const auto& all = lane.candidates;
  for (std::size_t i = begin; i < begin + kAhead; ++i) fetch(lane, i);
  for (std::size_t i = begin; i < all.size(); ++i) {
    fetch(lane, i + kAhead);
    if (!(all[i].upper >= lane.threshold) || is_seed(lane, all[i].row)) {
      continue;
    }
    lane.query->score(*segment_, all[i].row);
    ++scored_;
    update_floor(lane);
  }
}

// The bound by both planes of those candidates from a place on that do not
// have it yet; drops those that lose hope.
void GroupSearch::refine(Lane& lane, std::size_t from) {
  auto& all = lane.candidates;
  const auto fresh = std::partition(
      all.begin() + static_cast<long>(from), all.end(),
      [](const Candidate& candidate) { return candidate.refined; });
  auto kept = static_cast<std::size_t>(fresh - all.begin());
  refined_ += all.size() - kept;
  for (std::size_t at = kept; at < all.size(); at += kRefined) {
    const std::size_t count = std::min(kRefined, all.size() - at);
    refine_some(lane, all.data() + at, count);
    for (std::size_t i = at; i < at + count; ++i) {
      const Candidate candidate = all[i];
      all[kept] = candidate;
      kept += candidate.upper >= lane.threshold ? 1 : 0;
    }
  }
  all.resize(kept);
}

void GroupSearch::refine_some(Lane& lane, Candidate* some,
                              std::size_t count) {
  const Codes& codes = segment_->codes;
  const Kernels& isa = lane.query->isa;
  const std::size_t head = codes.basis.head;
  const std::size_t coded = coded_dim(lane.query->wide.size());
  std::uint32_t rows[kRefined];
  std::int32_t heads[kRefined], rests[kRefined] = {};
  for (std::size_t i = 0; i < count; ++i) rows[i] = some[i].row;
  prefetch_side({codes.side.low_scale, codes.side.low_residual,
                 head < coded ? codes.side.low_rest_scale : nullptr},
                rows, count);
  isa.row_dots(codes.low, coded / 2, lane.code, head, rows, count, heads);
  if (head < coded) {
    isa.row_dots(codes.low + head / 2, coded / 2, lane.code + head,
                 coded - head, rows, count, rests);
  }
  for (std::size_t i = 0; i < count; ++i) {
    some[i].estimate += lane.bounds.low_estimate(codes.side, rows[i],
                                                 heads[i], rests[i]);
    some[i].upper = std::min(
        some[i].upper,
        lane.bounds.last_bound(codes.side, rows[i], some[i].estimate));
    some[i].refined = true;
  }
}

void GroupSearch::drop_hopeless(Lane& lane) {
  auto& all = lane.candidates;
  const float least = lane.threshold;
  all.erase(std::remove_if(
                all.begin(), all.end(),
                [&](const Candidate& c) { return !(c.upper >= least); }),
            all.end());
}

// Scores what is left of all queries. While one is scored, the rows that the
// next one will begin with are on their way from memory.
void GroupSearch::score_all() {
  for (std::size_t i = 0; i < lanes_.size(); ++i) {
    if (i == 0) prepare_rest(lanes_[i]);
    if (i + 1 < lanes_.size()) prepare_rest(lanes_[i + 1]);
    finish_rest(lanes_[i]);
  }
}

// Scores every candidate that can still enter, the most promising first.
void GroupSearch::score_rest(Lane& lane) {
  prepare_rest(lane);
  finish_rest(lane);
}

void GroupSearch::prepare_rest(Lane& lane) {
  drop_hopeless(lane);
  refine(lane, 0);
  std::sort(
      lane.candidates.begin(), lane.candidates.end(),
      [](const Candidate& a, const Candidate& b) { return a.upper > b.upper; });
  for (std::size_t i = 0; i < kAhead; ++i) fetch(lane, i);
}

void GroupSearch::finish_rest(Lane& lane) {
  score_candidates(lane, 0);
  lane.candidates.clear();
  lane.settled = 0;
}

void GroupSearch::score_rows(Lane& lane, std::size_t begin,
                             std::size_t count) {
  auto seed = std::lower_bound(lane.seeds.begin(), lane.seeds.end(), begin);
  for (std::size_t row = begin; row < begin + count; ++row) {
    if (seed != lane.seeds.end() && *seed == row) {
      ++seed;
      continue;
    }
    if (segment_->alive != nullptr && segment_->alive[row] == 0) continue;
    lane.query->score(*segment_, row);
    ++scored_;
  }
}

void GroupSearch::update_floor(Lane& lane) {
  raise(lane, lane.query->best.floor());
}

void GroupSearch::raise(Lane& lane, double floor) {
  if (!lane.bounds.usable) return;
  const float least = lane.bounds.threshold(*lane.query, floor);
  lane.threshold = std::max(lane.threshold, least);
}

}  // namespace reconciler
