#include <algorithm>
#include <limits>

#include "check.hpp"
#include "compare_sieves.hpp"
#include "kernels_generic.hpp"
#include "sieve_inputs.hpp"

namespace reconciler {

namespace {

using Kernel = decltype(Kernels::sieve_octets);

struct Problem {
  Size size;
  std::vector<std::int8_t> codes;
  std::vector<std::uint8_t> octets;
  const Side& side;
  std::vector<OctetQuery> queries;

  Problem(Size size_, const Side& side_, inputs::Source& source)
      : size(size_),
        codes(source.codes(size.count, size.dims)),
        octets(source.bytes(size.blocks * kBlockRows * size.dims)),
        side(side_) {
    for (std::size_t q = 0; q < size.count; ++q) {
      const std::int8_t* code = codes.data() + q * size.dims;
      const auto x = source.between(4, 0.1f, 10.0f);
      queries.push_back({code, -128 * sum_of(code, size.dims), x[0], x[1],
                         x[2], x[3],
                         -std::numeric_limits<float>::infinity()});
    }
  }

  // What passes, by queries, their rows as they come.
  std::vector<Passed> run(Kernel kernel) const {
    std::vector<Passed> found(size.blocks * kBlockRows * size.count + 1);
    found.back().query = 12345;
    const std::size_t count =
        kernel(octets.data(), size.dims / kOctetDims, size.blocks, side,
               queries.data(), size.count, found.data());
    EXPECT(count < found.size() && found.back().query == 12345);
    found.resize(count);
    std::stable_sort(
        found.begin(), found.end(),
        [](const Passed& a, const Passed& b) { return a.query < b.query; });
    return found;
  }

  // Half of each query's rows will pass; of every third, one or all.
  void set_thresholds(const std::vector<Passed>& all) {
    const std::size_t rows = size.blocks * kBlockRows;
    for (std::size_t q = 0; q < size.count; ++q) {
      std::vector<float> upper;
      for (std::size_t i = 0; i < rows; ++i) {
        upper.push_back(all[q * rows + i].upper);
      }
      std::sort(upper.begin(), upper.end());
      queries[q].threshold = upper[q % 3 * (rows - 1) / 2];
    }
  }
};

void compare_passed(const std::vector<Passed>& found,
                    const std::vector<Passed>& all,
                    const std::vector<OctetQuery>& queries) {
  std::size_t at = 0;
  for (const Passed& row : all) {
    const float threshold = queries[row.query].threshold;
    const float margin = tolerance(row.estimate);
    const bool here = at < found.size() && found[at].query == row.query &&
                      found[at].row == row.row;
    if (row.upper > threshold + margin) EXPECT(here);
    if (row.upper < threshold - margin) EXPECT(!here);
    if (!here) continue;
    EXPECT(found[at].estimate == row.estimate);
    EXPECT(std::fabs(found[at].upper - row.upper) <= margin);
    ++at;
  }
  EXPECT(at == found.size());
}

}  // namespace

void compare_octets(const Kernels& level, inputs::Source source) {
  if (level.sieve_octets == nullptr) return;
  for (const Size& size : some_sizes({1, 5, 16, 19, 41, 70})) {
    const Constants constants(size.blocks * kBlockRows, source);
    Problem problem(size, constants.side, source);
    const auto all = problem.run(generic_sieve_octets);
    EXPECT(all.size() == size.blocks * kBlockRows * size.count);
    compare_passed(problem.run(level.sieve_octets), all, problem.queries);
    problem.set_thresholds(all);
    compare_passed(problem.run(level.sieve_octets), all, problem.queries);
  }
}

}  // namespace reconciler
