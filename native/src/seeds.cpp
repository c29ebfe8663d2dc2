// What queries must reach, guessed early from rows that are like them.
#include <cmath>
#include <functional>
#include <numeric>

#include "segment_search.hpp"

namespace reconciler {

namespace {

constexpr std::size_t kSeedClusters = 1;

// What at least `wanted` of some values reach, and few more: of equal groups
// the largest value each, and of these the `wanted`-th.
float cut(const std::vector<float>& values, std::size_t wanted) {
  constexpr float all = -std::numeric_limits<float>::infinity();
  if (values.size() <= wanted) return all;
  const std::size_t size = std::max<std::size_t>(
      values.size() / (4 * wanted), 1);
  std::vector<float> largest;
  for (std::size_t at = 0; at < values.size(); at += size) {
    const auto begin = values.begin() + static_cast<long>(at);
    const auto some = std::min(size, values.size() - at);
    largest.push_back(
        *std::max_element(begin, begin + static_cast<long>(some)));
  }
  const auto place = largest.begin() + static_cast<long>(wanted - 1);
  std::nth_element(largest.begin(), place, largest.end(),
                   std::greater<float>());
  return *place;
}

}  // namespace

// Whether some query knows nothing yet of what it must reach.
bool GroupSearch::begins() const {
  return std::any_of(lanes_.begin(), lanes_.end(), [](const Lane& lane) {
    return !lane.exhaustive && std::isinf(lane.threshold);
  });
}

// What the queries have to do with the centres of the clusters: a product
// each, rounded as it comes.
void GroupSearch::approach() {
  const Clusters& clusters = segment_->clusters;
  if (clusters.count == 0) return;
  const std::size_t dim = queries_[0]->wide.size();
  std::vector<float> vectors;
  for (const Query* query : queries_) {
    vectors.insert(vectors.end(), query->vector, query->vector + dim);
  }
  nearness_.resize(queries_.size() * clusters.width());
  queries_[0]->isa.project(clusters.centres, clusters.width(), dim,
                           vectors.data(), queries_.size(), nearness_.data());
}

// The nearest clusters of every query; and the queries in the order of their
// nearest, which leaves its codes in the cache.
std::vector<std::size_t> GroupSearch::by_nearest() {
  const Clusters& clusters = segment_->clusters;
  const std::size_t some = std::min(kSeedClusters, clusters.count);
  std::vector<std::uint32_t> all(clusters.count);
  std::iota(all.begin(), all.end(), std::uint32_t{0});
  nearest_.resize(queries_.size());
  for (std::size_t q = 0; q < queries_.size(); ++q) {
    const float* near = nearness_.data() + q * clusters.width();
    std::partial_sort(all.begin(), all.begin() + static_cast<long>(some),
                      all.end(), [near](std::uint32_t a, std::uint32_t b) {
                        return near[a] > near[b];
                      });
    nearest_[q].assign(all.begin(), all.begin() + static_cast<long>(some));
  }
  std::vector<std::size_t> places(queries_.size());
  std::iota(places.begin(), places.end(), std::size_t{0});
  std::sort(places.begin(), places.end(), [&](std::size_t a, std::size_t b) {
    return nearest_[a] < nearest_[b];
  });
  return places;
}

// While the seeds of one query are scored, those of the next are on their way
// from memory.
void GroupSearch::seed_all() {
  approach();
  const std::vector<std::size_t> places = by_nearest();
  for (std::size_t i = 0; i <= places.size(); ++i) {
    if (i < places.size()) seed(places[i]);
    if (i > 0) score_seeds(lanes_[places[i - 1]]);
  }
}

// A first threshold from rows that are like the query: of the clusters with
// the nearest centres, those that look best, as the k-th best of any rows is a
// lower bound of the k-th best of all.
void GroupSearch::seed(std::size_t place) {
  const Clusters& clusters = segment_->clusters;
  Lane& lane = lanes_[place];
  const bool known = !std::isinf(lane.threshold);
  if (lane.exhaustive || clusters.count == 0 || known ||
      !lane.query->best.wants_seed()) {
    return;
  }
  active_ = {place};
  seed_rows_.clear();
  seed_bounds_.clear();
  for (const std::uint32_t cluster : nearest_[place]) {
    const auto [begin, end] = clusters.rows(cluster, segment_->count);
    for (std::size_t at = begin / kBlockRows * kBlockRows; at < end;
         at += kFirstChunk) {
      const std::size_t count = std::min(kFirstChunk, end - at);
      sieve(at, count, 0);
      keep_seeds(sieves_[0], at, count);
    }
  }
  choose_seeds(lane);
}

void GroupSearch::keep_seeds(const Sieve& sieve, std::size_t begin,
                             std::size_t count) {
  std::size_t found = sieve.found;
  while (found > 0 && sieve.rows[found - 1] >= count) --found;
  for (std::size_t i = 0; i < found; ++i) {
    const auto row = static_cast<std::uint32_t>(begin + sieve.rows[i]);
    if (segment_->alive != nullptr && segment_->alive[row] == 0) continue;
    seed_rows_.push_back(row);
    seed_bounds_.push_back(sieve.upper[i]);
  }
}

// Those that look best; the others have had their chance. Each once: clusters
// may share a block.
void GroupSearch::choose_seeds(Lane& lane) {
  const std::size_t k = lane.query->best.k();
  const float least = cut(seed_bounds_, k + k / 4 + 2);
  std::vector<std::uint32_t>& seeds = lane.seeds;
  for (std::size_t i = 0; i < seed_rows_.size(); ++i) {
    if (seed_bounds_[i] >= least) seeds.push_back(seed_rows_[i]);
  }
  std::sort(seeds.begin(), seeds.end());
  seeds.erase(std::unique(seeds.begin(), seeds.end()), seeds.end());
  for (const std::uint32_t row : seeds) fetch_row(lane, row);
}

void GroupSearch::score_seeds(Lane& lane) {
  for (const std::uint32_t row : lane.seeds) {
    lane.query->score(*segment_, row);
    ++scored_;
  }
  update_floor(lane);
}

}  // namespace reconciler
