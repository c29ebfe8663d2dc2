#include "segment_search.hpp"

#include <algorithm>
#include <limits>

namespace reconciler {

namespace {

constexpr std::size_t kFirstChunk = 512;
constexpr std::size_t kLongChunk = 4096;  // for few queries
constexpr std::size_t kFewQueries = 4;
constexpr std::size_t kExactChunk = 64;  // rows that several queries share
constexpr std::size_t kAhead = 8;
constexpr std::size_t kManyPassed = 16;
constexpr std::size_t kRefined = 256;  // rows whose low codes go together
constexpr std::size_t kCacheLine = 64;

void prefetch(const void* start, std::size_t bytes) {
  const char* p = static_cast<const char*>(start);
  for (std::size_t at = 0; at < bytes; at += kCacheLine) {
    __builtin_prefetch(p + at);
  }
}

std::size_t seed_size(const Best& best) {
  return std::max<std::size_t>(2 * best.k(), 16);
}

}  // namespace

GroupSearch::GroupSearch(std::vector<Query*> queries, Counters& counters)
    : queries_(std::move(queries)), counters_(counters) {}

void GroupSearch::visit(const SegmentView& segment) {
  segment_ = &segment;
  lanes_.clear();
  bool any = false;
  for (Query* query : queries_) {
    SegmentQuery bounds(*query, segment.codes);
    Lane lane{query, bounds};
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
  dots_.resize(queries_.size() * chunk);
  upper_.resize(chunk);
  rows_.resize(chunk);
  for (std::size_t begin = 0; begin < segment.count;) {
    const std::size_t size = begin == 0 ? kFirstChunk : chunk;
    const std::size_t count = std::min(size, segment.count - begin);
    visit_chunk(begin, count);
    begin += count;
  }
  for (Lane& lane : lanes_) score_rest(lane);
  report();
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
    for (Lane& lane : lanes_) score_rows(*lane.query, begin, count);
  }
}

void GroupSearch::visit_chunk(std::size_t begin, std::size_t count) {
  active_.clear();
  active_lanes_.clear();
  for (std::size_t i = 0; i < lanes_.size(); ++i) {
    if (lanes_[i].exhaustive) {
      score_rows(*lanes_[i].query, begin, count);
    } else {
      active_.push_back(lanes_[i].query->code.data());
      active_lanes_.push_back(i);
    }
  }
  if (active_.empty()) return;
  const std::size_t groups = coded_dim(queries_[0]->dim) / kGroupDims;
  const std::size_t blocks = (count + kBlockRows - 1) / kBlockRows;
  const std::size_t stride = upper_.size();
  queries_[0]->isa.scan(
      segment_->codes.high + begin / kBlockRows * groups * kGroupBytes, groups,
      blocks, active_.data(), active_.size(), dots_.data(), stride);
  for (std::size_t i = 0; i < active_lanes_.size(); ++i) {
    collect(lanes_[active_lanes_[i]], begin, count, dots_.data() + i * stride);
  }
  coded_ += count * active_.size();
}

void GroupSearch::collect(Lane& lane, std::size_t begin, std::size_t count,
                          const std::int32_t* dots) {
  Side side = segment_->codes.side;
  side.scale += begin;
  side.inverse_norm += begin;
  side.residual += begin;
  if (side.norm != nullptr) side.norm += begin;
  if (side.half_square != nullptr) side.half_square += begin;
  const Kernels& isa = lane.query->isa;
  isa.bound(lane.bounds.bound, side, dots, count, upper_.data());
  const std::size_t found =
      isa.select(upper_.data(), count, lane.threshold, rows_.data());
  const std::size_t before = lane.candidates.size();
  for (std::size_t i = 0; i < found; ++i) {
    const std::uint32_t row = rows_[i];
    if (segment_->alive != nullptr && segment_->alive[begin + row] == 0) {
      continue;
    }
    lane.candidates.push_back({upper_[row],
                               static_cast<std::uint32_t>(begin + row),
                               dots[row]});
  }
  // With many queries the low codes of the chunk stay in the cache: where many
  // rows pass, looking now, even in vain, is cheaper than looking later.
  const std::size_t passed = lane.candidates.size() - before;
  if (queries_.size() > kFewQueries && passed >= kManyPassed &&
      lane.threshold > -std::numeric_limits<float>::infinity()) {
    refine(lane, before);
  }
  const std::size_t room = 2 * lane.settled + 8 * seed_size(lane.query->best);
  if (lane.candidates.size() > room) tighten(lane, begin + count);
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

// Scores the candidates from a place on, in their order, but for those that
// have lost hope meanwhile.
void GroupSearch::score_candidates(Lane& lane, std::size_t begin) {
  const auto& all = lane.candidates;
  const std::size_t dim = lane.query->dim;
  const auto fetch = [&](std::size_t i) {
    if (i >= all.size() || !(all[i].upper >= lane.threshold)) return;
    prefetch(segment_->rows + all[i].row * dim, dim * sizeof(float));
  };
  for (std::size_t i = begin; i < begin + kAhead; ++i) fetch(i);
  for (std::size_t i = begin; i < all.size(); ++i) {
    fetch(i + kAhead);
    if (!(all[i].upper >= lane.threshold)) continue;
    lane.query->score(*segment_, all[i].row);
    ++scored_;
    update_floor(lane);
  }
}

// The second bound of the candidates from a place on; drops those that lose
// hope.
void GroupSearch::refine(Lane& lane, std::size_t begin) {
  const Codes& codes = segment_->codes;
  const Query& query = *lane.query;
  auto& all = lane.candidates;
  refined_ += all.size() - begin;
  std::size_t kept = begin;
  for (std::size_t at = begin; at < all.size(); at += kRefined) {
    const std::size_t count = std::min(kRefined, all.size() - at);
    std::uint32_t rows[kRefined];
    std::int32_t dots[kRefined];
    for (std::size_t i = 0; i < count; ++i) rows[i] = all[at + i].row;
    query.isa.low_dots(codes.low, query.code.data(), query.code.size(), rows,
                       count, dots);
    for (std::size_t i = 0; i < count; ++i) {
      Candidate candidate = all[at + i];
      const float upper = lane.bounds.refined_bound(
          codes.side, candidate.row, candidate.dot, dots[i]);
      candidate.upper = std::min(candidate.upper, upper);
      all[kept] = candidate;
      kept += candidate.upper >= lane.threshold ? 1 : 0;
    }
  }
  all.resize(kept);
}

void GroupSearch::drop_hopeless(Lane& lane) {
  auto& all = lane.candidates;
  const float least = lane.threshold;
  all.erase(std::remove_if(
                all.begin(), all.end(),
                [&](const Candidate& c) { return !(c.upper >= least); }),
            all.end());
}

// Scores every candidate that can still enter, the most promising first.
void GroupSearch::score_rest(Lane& lane) {
  drop_hopeless(lane);
  refine(lane, 0);
  std::sort(
      lane.candidates.begin(), lane.candidates.end(),
      [](const Candidate& a, const Candidate& b) { return a.upper > b.upper; });
  score_candidates(lane, 0);
  lane.candidates.clear();
  lane.settled = 0;
}

void GroupSearch::score_rows(Query& query, std::size_t begin,
                             std::size_t count) {
  for (std::size_t row = begin; row < begin + count; ++row) {
    if (segment_->alive != nullptr && segment_->alive[row] == 0) continue;
    query.score(*segment_, row);
    ++scored_;
  }
}

void GroupSearch::update_floor(Lane& lane) {
  if (!lane.bounds.usable) return;
  const float least =
      lane.bounds.threshold(*lane.query, lane.query->best.floor());
  lane.threshold = std::max(lane.threshold, least);
}

}  // namespace reconciler
