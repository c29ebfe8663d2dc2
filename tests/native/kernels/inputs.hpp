// Inputs for kernels: random ones, and those at the ends of their ranges.
#pragma once

#include <cmath>
#include <cstdint>
#include <random>
#include <vector>

namespace inputs {

enum class Kind { ordinary, extreme };

class Source {
 public:
  Source(unsigned seed, Kind kind) : rng_(seed), kind_(kind) {}

  std::size_t below(std::size_t limit) { return rng_() % limit; }

  // Ordinary: normal numbers. Extreme: zeros of both signs and numbers from
  // 1e-30 to 1e15.
  std::vector<float> floats(std::size_t count) {
    std::normal_distribution<float> normal;
    std::vector<float> found(count);
    for (float& x : found) {
      x = normal(rng_);
      if (kind_ == Kind::ordinary) continue;
      const auto power = static_cast<int>(below(46)) - 30;
      x = below(8) == 0 ? std::copysign(0.0f, x)
                        : x * std::pow(10.0f, static_cast<float>(power));
    }
    return found;
  }

  std::vector<float> between(std::size_t count, float low, float high) {
    std::uniform_real_distribution<float> uniform(low, high);
    std::vector<float> found(count);
    for (float& x : found) x = uniform(rng_);
    return found;
  }

  // Codes of queries, from -127 to 127. Extreme: one end of a whole vector, so
  // that no sum is larger.
  std::vector<std::int8_t> codes(std::size_t vectors, std::size_t dims) {
    std::vector<std::int8_t> found;
    for (std::size_t i = 0; i < vectors; ++i) {
      const int end = below(2) == 0 ? -127 : 127;
      for (std::size_t j = 0; j < dims; ++j) {
        const int any = static_cast<int>(below(255)) - 127;
        found.push_back(
            static_cast<std::int8_t>(kind_ == Kind::extreme ? end : any));
      }
    }
    return found;
  }

  // Codes of rows. Extreme: the largest, and few others.
  std::vector<std::uint8_t> bytes(std::size_t count) {
    std::vector<std::uint8_t> found(count, 0xFF);
    for (auto& x : found) {
      if (kind_ == Kind::extreme && below(64) != 0) continue;
      x = static_cast<std::uint8_t>(below(256));
    }
    return found;
  }

 private:
  std::mt19937 rng_;
  Kind kind_;
};

}  // namespace inputs
