// The products of tiles against plain loops, by real instructions that are
// emulated one by one.
#include "tiles.hpp"

#include <random>
#include <vector>

#include "amx_support.hpp"
#include "check.hpp"
#include "trap.hpp"

namespace reconciler {
namespace {

struct Problem {
  std::vector<std::int8_t> codes;
  // At its end nothing may be read: AddressSanitizer watches.
  std::vector<std::uint8_t> octets;

  Problem(std::size_t dims, std::size_t queries, std::size_t blocks,
          bool extreme) {
    std::mt19937 rng(static_cast<unsigned>(dims + queries + blocks));
    for (std::size_t i = 0; i < dims * queries; ++i) {
      const int any = static_cast<int>(rng() % 255) - 127;
      codes.push_back(
          static_cast<std::int8_t>(extreme ? (any < 0 ? -127 : 127) : any));
    }
    octets.reserve(dims * blocks * kBlockRows);
    for (std::size_t i = 0; i < dims * blocks * kBlockRows; ++i) {
      const auto any = static_cast<std::uint8_t>(rng());
      octets.push_back(extreme && any > 9 ? 255 : any);
    }
  }
};

std::int32_t plain_dot(const Problem& problem, std::size_t dims,
                       std::size_t query, std::size_t row) {
  const std::size_t block = row / kBlockRows * dims * kBlockRows;
  std::int32_t sum = 0;
  for (std::size_t j = 0; j < dims; ++j) {
    sum += problem.codes[query * dims + j] *
           problem.octets[block + j / 4 * kGroupBytes + row % kBlockRows * 4 +
                          j % 4];
  }
  return sum;
}

void multiplies(std::size_t dims, std::size_t count, std::size_t blocks,
                bool extreme) {
  const Problem problem(dims, count, blocks, extreme);
  std::vector<OctetQuery> queries(count);
  for (std::size_t q = 0; q < count; ++q) {
    queries[q].code = problem.codes.data() + q * dims;
    queries[q].half = -128 * static_cast<std::int32_t>(q);
  }
  std::vector<std::size_t> next(count);  // the row that each query meets next
  std::size_t wrong = 0;
  multiply_panels(
      problem.octets.data(), dims / kOctetDims, blocks, queries.data(), count,
      [&](std::size_t first, std::size_t some, std::size_t row,
          std::size_t wide, const std::int32_t* dots) {
        for (std::size_t q = first; q < first + some; ++q) {
          wrong += row == next[q] ? 0 : 1;
          next[q] += wide * kBlockRows;
          for (std::size_t i = 0; i < wide * kBlockRows; ++i) {
            const std::int32_t dot = plain_dot(problem, dims, q, row + i);
            const std::int32_t found = dots[(q - first) * kPanelRows + i];
            wrong += found == dot + queries[q].half ? 0 : 1;
          }
        }
      });
  EXPECT(wrong == 0);
  EXPECT(next == std::vector<std::size_t>(count, blocks * kBlockRows));
  EXPECT(!amx_emulation::holds_tiles());
}

}  // namespace
}  // namespace reconciler

int main() {
  using namespace reconciler;
  if (!amx_usable()) return checks::kSkipped;
  for (std::size_t dims : {64, 96, 128, 160, 384, 4096}) {
    for (std::size_t count : {1, 15, 16, 17, 32, 70}) {
      for (std::size_t blocks : {1, 4, 7}) {
        multiplies(dims, count, blocks, false);
        multiplies(dims, count, blocks, true);
      }
    }
  }
  EXPECT(amx_emulation::emulated() > 0);
  return checks::result();
}
