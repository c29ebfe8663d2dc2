#include "search.hpp"

#include <algorithm>
#include <memory>

#include "query.hpp"
#include "segment_search.hpp"

namespace reconciler {

namespace {

constexpr std::size_t kGroup = 1024;      // queries that share a pass
constexpr std::size_t kSplitBytes = 1 << 22;  // codes worth a second thread

SegmentView slice(const SegmentView& whole, std::size_t dim,
                  std::size_t begin, std::size_t end) {
  SegmentView part = whole;
  part.rows += begin * dim;
  part.ids += begin;
  part.norms += begin;
  if (part.alive != nullptr) part.alive += begin;
  part.count = end - begin;
  part.clusters.offset += static_cast<std::int64_t>(begin);
  Codes& codes = part.codes;
  if (codes.head == nullptr) return part;
  const std::size_t coded = coded_dim(dim), head = codes.basis.head;
  codes.head += begin / kBlockRows * (head / kGroupDims) * kGroupBytes;
  codes.rest += begin * ((coded - head) / 2);
  codes.low += begin * (coded / 2);
  codes.octets += begin * head;
  codes.side = codes.side.from(begin);
  return part;
}

// Cuts the rows into parts of about equal size, at block boundaries.
std::vector<std::vector<SegmentView>> split(const Index& index,
                                            std::size_t parts) {
  std::size_t total = 0;
  for (const SegmentView& segment : index.segments) total += segment.count;
  const std::size_t share =
      (total / parts / kBlockRows + 1) * kBlockRows;
  std::vector<std::vector<SegmentView>> found(parts);
  std::size_t part = 0, room = share;
  for (const SegmentView& segment : index.segments) {
    for (std::size_t begin = 0; begin < segment.count;) {
      std::size_t end = std::min(segment.count, begin + room);
      if (end < segment.count) {
        end = begin + (end - begin + kBlockRows - 1) / kBlockRows * kBlockRows;
        end = std::min(end, segment.count);
      }
      found[part].push_back(slice(segment, index.dim, begin, end));
      room -= std::min(room, end - begin);
      begin = end;
      if (room == 0 && part + 1 < parts) {
        ++part;
        room = share;
      } else if (room == 0) {
        room = segment.count;  // the last part takes what is left
      }
    }
  }
  return found;
}

std::size_t parts_for(const Index& index, std::size_t groups,
                      std::size_t threads) {
  if (groups >= threads) return 1;
  std::size_t bytes = 0;
  for (const SegmentView& segment : index.segments) {
    bytes += segment.count * coded_dim(index.dim) / 2;
  }
  const std::size_t worth = std::max<std::size_t>(bytes / kSplitBytes, 1);
  return std::min(threads / groups, worth);
}

std::vector<std::vector<Hit>> run(const Index& index, const float* queries,
                                  std::size_t count, const Best& empty,
                                  Pool& pool, Counters& counters) {
  const std::size_t threads = pool.threads();
  const std::size_t share = (count + threads - 1) / threads;
  const std::size_t group = std::clamp<std::size_t>(share, 1, kGroup);
  const std::size_t groups = (count + group - 1) / group;
  const std::size_t parts =
      groups == 0 ? 1 : parts_for(index, groups, threads);
  const auto views = split(index, parts);
  std::vector<std::unique_ptr<Query>> found(count * parts);
  pool.run(groups * parts, [&](std::size_t task) {
    const std::size_t part = task % parts;
    const std::size_t begin = task / parts * group;
    const std::size_t end = std::min(count, begin + group);
    std::vector<Query*> lanes;
    for (std::size_t q = begin; q < end; ++q) {
      found[q * parts + part] = std::make_unique<Query>(
          queries + q * index.dim, index.dim, index.metric, empty);
      lanes.push_back(found[q * parts + part].get());
    }
    GroupSearch searcher(lanes, counters);
    for (const SegmentView& segment : views[part]) searcher.visit(segment);
  });
  std::vector<std::vector<Hit>> hits(count);
  for (std::size_t q = 0; q < count; ++q) {
    Best& best = found[q * parts]->best;
    for (std::size_t part = 1; part < parts; ++part) {
      best.merge(found[q * parts + part]->best);
    }
    hits[q] = best.take();
  }
  return hits;
}

}  // namespace

std::vector<std::vector<Hit>> search(const Index& index, const float* queries,
                                     std::size_t count, std::size_t k,
                                     Pool& pool, Counters& counters) {
  return run(index, queries, count, Best::top(k), pool, counters);
}

std::vector<std::vector<Hit>> range_search(const Index& index,
                                           const float* queries,
                                           std::size_t count, double key,
                                           Pool& pool, Counters& counters) {
  return run(index, queries, count, Best::reaching(key), pool, counters);
}

}  // namespace reconciler
