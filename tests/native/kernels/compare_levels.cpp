// Every level that this processor can run against the portable one.
#include <cmath>
#include <cstdio>
#include <cstring>
#include <limits>

#include "check.hpp"
#include "compare_sieves.hpp"
#include "inputs.hpp"
#include "kernels.hpp"

using inputs::Kind;
using inputs::Source;

namespace reconciler {
namespace {

template <typename T>
bool same_bits(const std::vector<T>& a, const std::vector<T>& b) {
  return a.size() == b.size() &&
         std::memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0;
}

void compare_scores(const Kernels& level, const Kernels& portable,
                    Source source) {
  for (std::size_t dim : {1, 7, 8, 31, 32, 33, 63, 100, 384, 4096}) {
    const auto left = source.floats(dim), b = source.floats(dim);
    const std::vector<double> a(left.begin(), left.end());
    const std::vector<double> found = {
        level.dot(a.data(), b.data(), dim),
        level.square_distance(a.data(), b.data(), dim)};
    EXPECT(same_bits(found,
                     {portable.dot(a.data(), b.data(), dim),
                      portable.square_distance(a.data(), b.data(), dim)}));
  }
}

void compare_row_dots(const Kernels& level, const Kernels& portable,
                      Source source) {
  constexpr std::size_t rows = 21;
  for (std::size_t dims : {32, 64, 96, 160, 384, 4096}) {
    const std::size_t stride = dims / 2 + 16;
    const auto codes = source.bytes(rows * stride);
    const auto query = source.codes(1, dims);
    std::vector<std::uint32_t> some;
    for (std::size_t i = 0; i < 33; ++i) {
      some.push_back(static_cast<std::uint32_t>(source.below(rows)));
    }
    std::vector<std::int32_t> found(some.size()), expected(some.size());
    level.row_dots(codes.data(), stride, query.data(), dims, some.data(),
                   some.size(), found.data());
    portable.row_dots(codes.data(), stride, query.data(), dims, some.data(),
                      some.size(), expected.data());
    EXPECT(same_bits(found, expected));
  }
}

void compare_rotations(const Kernels& level, const Kernels& portable,
                       Source source) {
  for (std::size_t dim : {32, 33, 100, 384, 1000, 4096}) {
    const auto x = source.floats(dim);
    std::vector<double> found(coded_dim(dim)), expected(coded_dim(dim));
    level.rotate(x.data(), dim, 1.5, found.data());
    portable.rotate(x.data(), dim, 1.5, expected.data());
    EXPECT(same_bits(found, expected));
  }
}

// Sums are in another order, so they may differ by their rounding.
void compare_projections(const Kernels& level, const Kernels& portable,
                         Source source) {
  constexpr std::size_t dim = 77, coded = 96;
  for (std::size_t count : {1, 3, 8, 19}) {
    const auto matrix = source.between(dim * coded, -1.0f, 1.0f);
    const auto x = source.between(count * dim, -1.0f, 1.0f);
    std::vector<float> found(count * coded), expected(count * coded);
    level.project(matrix.data(), coded, dim, x.data(), count, found.data());
    portable.project(matrix.data(), coded, dim, x.data(), count,
                     expected.data());
    for (std::size_t i = 0; i < found.size(); ++i) {
      EXPECT(std::fabs(found[i] - expected[i]) <=
             static_cast<float>(dim) * 0x1p-22f);
    }
  }
}

void compare_advantages(const Kernels& level, const Kernels& portable,
                        Source source) {
  const std::vector<std::int64_t> offsets = {0,  1,  1,   16,  32,
                                             49, 52, 152, 160, 500};
  const std::size_t count = offsets.size() - 1, steps = 500;
  const auto rewards = source.between(steps, -2.0f, 2.0f);
  const auto values = source.between(steps, -2.0f, 2.0f);
  const auto bootstrap = source.between(count, -2.0f, 2.0f);
  std::vector<float> found(2 * steps), expected(2 * steps);
  Trajectories all{rewards.data(), values.data(), bootstrap.data(),
                   offsets.data(), count,         0.99f,
                   0.95f,          found.data(),  found.data() + steps};
  level.gae(all);
  all.advantages = expected.data();
  all.returns = expected.data() + steps;
  portable.gae(all);
  EXPECT(same_bits(found, expected));
}

void compare(const Kernels& level, const Kernels& portable, Kind kind) {
  std::fprintf(stderr, "%s, %s inputs\n", level.name,
               kind == Kind::ordinary ? "ordinary" : "extreme");
  for (unsigned seed = 0; seed < 3; ++seed) {
    const Source source(seed, kind);
    compare_scores(level, portable, source);
    compare_codes(level, portable, source);
    compare_sieves(level, portable, source);
    compare_octets(level, source);
    compare_row_dots(level, portable, source);
    compare_rotations(level, portable, source);
    compare_projections(level, portable, source);
    compare_advantages(level, portable, source);
  }
}

}  // namespace
}  // namespace reconciler

int main() {
  const auto levels = reconciler::supported_kernels();
  for (const reconciler::Kernels* level : levels) {
    for (Kind kind : {Kind::ordinary, Kind::extreme}) {
      reconciler::compare(*level, *levels[0], kind);
    }
  }
  return checks::result();
}
