// The pass of many queries over the octets of a chunk.
#include <functional>

#include "segment_search.hpp"

namespace reconciler {

void GroupSearch::sieve_octets(std::size_t begin, std::size_t count) {
  octet_queries_.clear();
  for (const std::size_t place : active_) {
    const Lane& lane = lanes_[place];
    octet_queries_.push_back(
        lane.bounds.octet_query(lane.code, lane.threshold));
  }
  const Codes& codes = segment_->codes;
  const std::size_t groups = codes.basis.head / kOctetDims;
  const std::size_t blocks = (count + kBlockRows - 1) / kBlockRows;
  const std::size_t room = blocks * kBlockRows * active_.size();
  if (room > passed_room_) {
    // Not a vector: most of it is never touched.
    passed_.reset(new Passed[room]);
    passed_room_ = room;
  }
  const std::size_t found = queries_[0]->isa.sieve_octets(
      codes.octets + begin / kBlockRows * groups * kGroupBytes, groups, blocks,
      codes.side.from(begin), octet_queries_.data(), active_.size(),
      passed_.get());
  coded_ += count * active_.size();
  keep_passed(passed_.get(), found, begin, count);
  for (const std::size_t place : active_) {
    make_room(lanes_[place], begin + count);
  }
}

// Makes candidates of what passed, run by run of the same query.
void GroupSearch::keep_passed(const Passed* passed, std::size_t found,
                              std::size_t begin, std::size_t count) {
  for (std::size_t at = 0; at < found;) {
    std::size_t end = at + 1;
    while (end < found && passed[end].query == passed[at].query &&
           end - at < kBlockRows) {
      ++end;
    }
    keep_run(lanes_[active_[passed[at].query]], passed + at, end - at, begin,
             count);
    at = end;
  }
}

// But for dead rows, what pads the last block, and rows that have no hope by
// the first plane of the rest.
void GroupSearch::keep_run(Lane& lane, const Passed* passed, std::size_t found,
                           std::size_t begin, std::size_t count) {
  const Codes& codes = segment_->codes;
  // Not of the lane's query, which lies elsewhere.
  const Query& any = *queries_[0];
  const std::size_t head = codes.basis.head;
  const std::size_t rest = coded_dim(any.wide.size()) - head;
  std::uint32_t rows[kBlockRows];
  float estimates[kBlockRows], upper[kBlockRows];
  std::int32_t dots[kBlockRows];
  std::size_t kept = 0;
  for (std::size_t i = 0; i < found; ++i) {
    const auto row = static_cast<std::uint32_t>(begin + passed[i].row);
    const bool real =
        passed[i].row < count &&
        (segment_->alive == nullptr || segment_->alive[row] != 0);
    rows[kept] = row;
    estimates[kept] = lane.bounds.from_sieve(passed[i].estimate);
    upper[kept] = lane.bounds.bound_from_sieve(passed[i].upper);
    kept += real ? 1 : 0;
  }
  if (rest > 0) {
    any.isa.row_dots(codes.rest, rest / 2, lane.code + head, rest,
                             rows, kept, dots);
  }
  refined_ += kept;
  for (std::size_t i = 0; i < kept; ++i) {
    if (rest > 0) {
      estimates[i] += lane.bounds.rest_estimate(codes.side, rows[i], dots[i]);
      upper[i] = lane.bounds.octet_bound(codes.side, rows[i], estimates[i]);
    }
    if (!(upper[i] >= lane.threshold)) continue;
    lane.candidates.push_back({upper[i], rows[i], estimates[i], true});
    learn(lane, estimates[i], upper[i]);
  }
}

// What a row is at least says what others must reach, once k rows do. The
// estimate is off by no more than the bound says, to either side; see
// bounds.hpp.
void GroupSearch::learn(Lane& lane, float estimate, float upper) {
  const Best& best = lane.query->best;
  const float lower = lane.bounds.lower_bound(estimate, upper);
  std::vector<float>& heap = lane.lower;
  if (!best.wants_seed() || lower <= lane.threshold) return;
  heap.push_back(lower);
  std::push_heap(heap.begin(), heap.end(), std::greater<float>());
  if (heap.size() > best.k()) {
    std::pop_heap(heap.begin(), heap.end(), std::greater<float>());
    heap.pop_back();
  }
  if (heap.size() == best.k() && best.k() > 0) {
    lane.threshold = std::max(lane.threshold, heap.front());
  }
}

}  // namespace reconciler
