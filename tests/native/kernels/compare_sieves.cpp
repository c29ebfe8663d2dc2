#include "compare_sieves.hpp"

#include <algorithm>
#include <cstring>
#include <limits>

#include "check.hpp"
#include "sieve_inputs.hpp"

namespace reconciler {

namespace {

// The planes and constants of one row, alone in its block.
struct Row {
  std::vector<std::uint8_t> head, rest, low, octets;
  Encoded code{};

  Row(const Kernels& level, std::vector<float> y, std::size_t dims)
      : head(kBlockRows * dims / 2),
        rest((y.size() - dims) / 2),
        low(y.size() / 2),
        octets(kBlockRows * dims) {
    code.head_block = head.data();
    code.lane = 5;
    code.rest = rest.data();
    code.low = low.data();
    code.octet_block = octets.data();
    level.encode(y.data(), y.size(), dims, code);
  }

  // All numbers of the code, without the pointers before them.
  bool same_numbers(const Row& other) const {
    constexpr std::size_t at = offsetof(Encoded, scale);
    return std::memcmp(reinterpret_cast<const char*>(&code) + at,
                       reinterpret_cast<const char*>(&other.code) + at,
                       sizeof code - at) == 0;
  }
};

struct Found {
  std::vector<std::uint32_t> rows;
  std::vector<float> estimates, upper;

  explicit Found(std::size_t room)
      : rows(room), estimates(room), upper(room) {}
  void cut(std::size_t count) {
    rows.resize(count);
    estimates.resize(count);
    upper.resize(count);
  }
};

struct Problem {
  Size size;
  std::vector<std::int8_t> codes;
  std::vector<std::uint8_t> plane;
  const Side& side;
  std::vector<SieveBound> bounds;

  using Kernel = decltype(Kernels::sieve);

  std::vector<Found> run(Kernel kernel,
                         const std::vector<float>& thresholds) const {
    const auto [dims, blocks, count] = size;
    std::vector<Found> found(count, Found((blocks + 1) * kBlockRows));
    std::vector<Sieve> sieves;
    for (std::size_t q = 0; q < count; ++q) {
      sieves.push_back({codes.data() + q * dims, &bounds[q], thresholds[q],
                        found[q].rows.data(), found[q].estimates.data(),
                        found[q].upper.data(), 0});
    }
    kernel(plane.data(), dims / kGroupDims, blocks, side, sieves.data(), count);
    for (std::size_t q = 0; q < count; ++q) found[q].cut(sieves[q].found);
    return found;
  }
};

std::vector<SieveBound> some_bounds(const Problem& problem,
                                    inputs::Source& source) {
  std::vector<SieveBound> found;
  const std::size_t dims = problem.size.dims;
  for (std::size_t q = 0; q < problem.size.count; ++q) {
    const std::int32_t sum = sum_of(problem.codes.data() + q * dims, dims);
    const auto x = source.between(4, 0.1f, 10.0f);
    SieveBound bound{};
    bound.half = 7.5f * static_cast<float>(sum);
    bound.norm = x[0];
    bound.norm_square = x[0] * x[0];
    bound.rest = x[1];
    bound.error = x[2];
    bound.half_weight = x[3];
    found.push_back(bound);
  }
  return found;
}

// `all` is what passes without a threshold.
void compare_found(const Found& found, const Found& all, float threshold) {
  std::size_t at = 0;
  for (std::size_t i = 0; i < all.rows.size(); ++i) {
    const float margin = tolerance(all.estimates[i]);
    const bool here = at < found.rows.size() && found.rows[at] == all.rows[i];
    if (all.upper[i] > threshold + margin) EXPECT(here);
    if (all.upper[i] < threshold - margin) EXPECT(!here);
    if (!here) continue;
    EXPECT(found.estimates[at] == all.estimates[i]);
    EXPECT(std::fabs(found.upper[at] - all.upper[i]) <= margin);
    ++at;
  }
  EXPECT(at == found.rows.size());
}

void compare_problem(const Problem& problem, Problem::Kernel kernel,
                     Problem::Kernel expected) {
  constexpr float never = -std::numeric_limits<float>::infinity();
  const std::vector<float> none(problem.size.count, never);
  const auto all = problem.run(expected, none);
  const auto found = problem.run(kernel, none);
  std::vector<float> middle;
  for (std::size_t q = 0; q < problem.size.count; ++q) {
    EXPECT(found[q].rows == all[q].rows);
    EXPECT(all[q].rows.size() == problem.size.blocks * kBlockRows);
    compare_found(found[q], all[q], never);
    std::vector<float> sorted = all[q].upper;
    std::sort(sorted.begin(), sorted.end());
    middle.push_back(sorted[sorted.size() * (q % 3) / 2 - (q % 3 == 2)]);
  }
  const auto some = problem.run(kernel, middle);
  for (std::size_t q = 0; q < problem.size.count; ++q) {
    compare_found(some[q], all[q], middle[q]);
  }
}

}  // namespace

void compare_codes(const Kernels& level, const Kernels& portable,
                   inputs::Source source) {
  for (std::size_t coded : {32, 96, 384, 4096}) {
    for (std::size_t head : {std::size_t{32}, coded}) {
      auto y = source.floats(coded);
      const Row found(level, y, head), expected(portable, y, head);
      EXPECT(found.head == expected.head);
      EXPECT(found.rest == expected.rest);
      EXPECT(found.low == expected.low);
      EXPECT(found.octets == expected.octets);
      EXPECT(found.same_numbers(expected));
    }
  }
}

void compare_sieves(const Kernels& level, const Kernels& portable,
                    inputs::Source source) {
  for (const Size& size : some_sizes({1, 3, 8})) {
    const auto [dims, blocks, count] = size;
    const std::size_t rows = blocks * kBlockRows;
    const Constants constants(rows, source);
    Problem problem{size,
                    source.codes(count, dims),
                    source.bytes(rows * dims / 2),
                    constants.side,
                    {}};
    problem.bounds = some_bounds(problem, source);
    compare_problem(problem, level.sieve, portable.sieve);
  }
}

}  // namespace reconciler
