// Scores and codes have the bits that they have on every other architecture.
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <vector>

#include "check.hpp"
#include "kernels.hpp"

namespace reconciler {
namespace {

// FNV-1a over the bytes of some numbers, which are little-endian everywhere
// that this is built for.
class Digest {
 public:
  template <typename T>
  void add(const std::vector<T>& values) {
    const auto* bytes = reinterpret_cast<const unsigned char*>(values.data());
    for (std::size_t i = 0; i < values.size() * sizeof(T); ++i) {
      value_ = (value_ ^ bytes[i]) * 0x100000001B3u;
    }
  }
  std::uint64_t value() const { return value_; }

 private:
  std::uint64_t value_ = 0xCBF29CE484222325u;
};

// Numbers of many sizes, made without a library's rounding.
std::vector<float> numbers(std::size_t count, std::uint64_t seed) {
  std::vector<float> found;
  for (std::size_t i = 0; i < count; ++i) {
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    const auto digits = static_cast<float>(seed >> 41);
    const float power = std::ldexp(1.0f, static_cast<int>(seed >> 38 & 7));
    found.push_back((seed >> 37 & 1 ? digits : -digits) / power * 0x1p-23f);
  }
  return found;
}

std::uint64_t digest(const Kernels& level) {
  Digest all;
  for (std::size_t dim : {1, 31, 100, 384, 4096}) {
    const auto left = numbers(dim, dim), right = numbers(dim, dim + 1);
    const std::vector<double> wide(left.begin(), left.end());
    all.add(std::vector<double>{
        level.dot(wide.data(), right.data(), dim),
        level.square_distance(wide.data(), right.data(), dim)});
    const std::size_t coded = coded_dim(dim);
    std::vector<double> rotated(coded);
    level.rotate(left.data(), dim, 1.25, rotated.data());
    all.add(rotated);
    const std::vector<float> y(rotated.begin(), rotated.end());
    std::vector<std::uint8_t> head(kBlockRows * coded / 2), low(coded / 2);
    std::vector<std::uint8_t> octets(kBlockRows * coded);
    Encoded code{};
    code.octet_block = octets.data();
    code.head_block = head.data();
    code.low = low.data();
    level.encode(y.data(), coded, coded, code);
    all.add(head);
    all.add(low);
    all.add(octets);
    all.add(std::vector<float>{code.scale, code.inverse_norm, code.low_scale,
                               code.octet_scale});
    all.add(std::vector<double>{code.residual, code.low_residual,
                                code.octet_residual});
    std::vector<float> advantages(dim), returns(dim);
    const std::int64_t offsets[] = {0, static_cast<std::int64_t>(dim)};
    const float bootstrap = 0.5f;
    level.gae({left.data(), right.data(), &bootstrap, offsets, 1, 0.99f, 0.95f,
               advantages.data(), returns.data()});
    all.add(advantages);
    all.add(returns);
  }
  return all.value();
}

}  // namespace
}  // namespace reconciler

int main() {
  // What x86-64 and 64-bit ARM agreed on when this was written.
  constexpr std::uint64_t expected = 0x103B87E697FB541Fu;
  for (const reconciler::Kernels* level : reconciler::supported_kernels()) {
    const std::uint64_t found = reconciler::digest(*level);
    std::fprintf(stderr, "%s: %016llx\n", level->name,
                 static_cast<unsigned long long>(found));
    EXPECT(found == expected);
  }
  return checks::result();
}
