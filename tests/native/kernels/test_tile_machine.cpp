// The emulated tiles: what they compute, and what they refuse.
#include "tile_machine.hpp"

#include <cstring>
#include <random>
#include <vector>

#include "check.hpp"

using amx_emulation::Signs;
using amx_emulation::TileMachine;

namespace {

struct Shape {
  int rows, row_bytes;
};

std::vector<std::uint8_t> shapes(std::vector<Shape> wanted) {
  std::vector<std::uint8_t> operand(64);
  operand[0] = 1;
  for (std::size_t t = 0; t < wanted.size(); ++t) {
    operand[16 + 2 * t] = static_cast<std::uint8_t>(wanted[t].row_bytes);
    operand[48 + t] = static_cast<std::uint8_t>(wanted[t].rows);
  }
  return operand;
}

std::vector<std::uint8_t> random_bytes(std::size_t count, unsigned seed) {
  std::mt19937 rng(seed);
  std::vector<std::uint8_t> found(count);
  for (auto& x : found) x = static_cast<std::uint8_t>(rng());
  // The ends of the range, where signs and sums tell.
  for (std::size_t i = 0; i < count; i += 3) found[i] = i % 2 ? 0 : 0xFF;
  for (std::size_t i = 0; i < count; i += 7) found[i] = i % 2 ? 0x80 : 0x7F;
  return found;
}

std::int64_t value(std::uint8_t x, bool has_sign) {
  return has_sign ? static_cast<std::int64_t>(static_cast<std::int8_t>(x))
                  : static_cast<std::int64_t>(x);
}

// C += A B with m rows of A, n columns of B and 4k bytes between them.
void multiplies(int m, int n, int k, Signs signs) {
  TileMachine machine;
  EXPECT(machine.configure(
             shapes({{m, 4 * n}, {m, 4 * k}, {k, 4 * n}}).data()) == nullptr);
  const auto a = random_bytes(16 * 100, 1), b = random_bytes(16 * 64, 2);
  const auto start = random_bytes(16 * 64, 3);
  EXPECT(machine.load(0, start.data(), 64) == nullptr);
  EXPECT(machine.load(1, a.data(), 100) == nullptr);
  EXPECT(machine.load(2, b.data(), 64) == nullptr);
  EXPECT(machine.multiply(0, 1, 2, signs) == nullptr);
  std::vector<std::uint8_t> found(16 * 80, 0xAB);
  EXPECT(machine.store(0, found.data(), 80) == nullptr);
  for (int i = 0; i < m; ++i) {
    for (int j = 0; j < n; ++j) {
      std::int32_t before, after;
      std::memcpy(&before, &start[static_cast<std::size_t>(64 * i + 4 * j)],
                  4);
      std::memcpy(&after, &found[static_cast<std::size_t>(80 * i + 4 * j)], 4);
      std::int64_t sum = before;
      for (int p = 0; p < 4 * k; ++p) {
        sum += value(a[static_cast<std::size_t>(100 * i + p)], signs.first) *
               value(b[static_cast<std::size_t>(64 * (p / 4) + 4 * j + p % 4)],
                     signs.second);
      }
      EXPECT(static_cast<std::uint32_t>(after) ==
             static_cast<std::uint32_t>(sum));
    }
    EXPECT(found[static_cast<std::size_t>(80 * i + 4 * n)] == 0xAB);
  }
}

void sums_wrap() {
  TileMachine machine;
  machine.configure(shapes({{1, 4}, {1, 4}, {1, 4}}).data());
  std::int32_t sum = INT32_MAX;
  const std::uint8_t one[4] = {1, 0, 0, 0};
  machine.load(0, reinterpret_cast<const std::uint8_t*>(&sum), 64);
  machine.load(1, one, 64);
  machine.load(2, one, 64);
  EXPECT(machine.multiply(0, 1, 2, {true, false}) == nullptr);
  machine.store(0, reinterpret_cast<std::uint8_t*>(&sum), 64);
  EXPECT(sum == INT32_MIN);
}

void zeroes() {
  TileMachine machine;
  std::vector<std::uint8_t> bytes(64, 7);
  machine.configure(shapes({{1, 64}}).data());
  machine.load(0, bytes.data(), 64);
  EXPECT(machine.zero(0) == nullptr);
  machine.store(0, bytes.data(), 64);
  EXPECT(bytes == std::vector<std::uint8_t>(64));
  machine.load(0, std::vector<std::uint8_t>(64, 7).data(), 64);
  machine.configure(shapes({{1, 64}}).data());  // zeroes all tiles
  machine.store(0, bytes.data(), 64);
  EXPECT(bytes == std::vector<std::uint8_t>(64));
}

void refuses_shapes() {
  TileMachine machine;
  EXPECT(machine.configure(shapes({{17, 64}}).data()) != nullptr);
  EXPECT(machine.configure(shapes({{16, 65}}).data()) != nullptr);
  EXPECT(machine.configure(shapes({{16, 0}}).data()) != nullptr);
  EXPECT(machine.configure(shapes({{0, 64}}).data()) != nullptr);
  for (std::size_t at : {0, 1, 2, 15, 32, 47, 56, 63}) {
    auto operand = shapes({{16, 64}});
    operand[at] = 2;
    EXPECT(machine.configure(operand.data()) != nullptr);
  }
  EXPECT(!machine.configured());
}

void refuses_what_is_not_configured() {
  TileMachine machine;
  std::uint8_t memory[64] = {};
  EXPECT(machine.zero(0) != nullptr);
  EXPECT(machine.load(0, memory, 64) != nullptr);
  EXPECT(machine.store(0, memory, 64) != nullptr);
  EXPECT(machine.multiply(0, 1, 2, {}) != nullptr);
  machine.configure(shapes({{1, 64}}).data());
  EXPECT(machine.zero(0) == nullptr);
  EXPECT(machine.zero(1) != nullptr);
  EXPECT(machine.zero(8) != nullptr);
  machine.release();
  EXPECT(machine.zero(0) != nullptr);
  machine.configure(shapes({{1, 64}}).data());
  machine.configure(std::vector<std::uint8_t>(64).data());  // palette 0
  EXPECT(machine.zero(0) != nullptr);
}

void refuses_products_that_do_not_fit() {
  TileMachine machine;
  const auto product = [&](Shape c, Shape a, Shape b) {
    machine.configure(shapes({c, a, b}).data());
    return machine.multiply(0, 1, 2, {true, false});
  };
  EXPECT(product({16, 64}, {16, 64}, {16, 64}) == nullptr);
  EXPECT(machine.multiply(0, 0, 2, {}) != nullptr);
  EXPECT(machine.multiply(0, 1, 0, {}) != nullptr);
  EXPECT(machine.multiply(0, 1, 1, {}) != nullptr);
  EXPECT(product({15, 64}, {16, 64}, {16, 64}) != nullptr);
  EXPECT(product({16, 60}, {16, 64}, {16, 64}) != nullptr);
  EXPECT(product({16, 64}, {16, 32}, {16, 64}) != nullptr);
  EXPECT(product({16, 64}, {16, 63}, {16, 64}) != nullptr);
  EXPECT(product({16, 63}, {16, 64}, {16, 63}) != nullptr);
}

}  // namespace

int main() {
  for (bool first : {false, true}) {
    for (bool second : {false, true}) {
      multiplies(16, 16, 16, {first, second});
      multiplies(1, 1, 1, {first, second});
      multiplies(5, 16, 8, {first, second});
      multiplies(16, 3, 15, {first, second});
    }
  }
  sums_wrap();
  zeroes();
  refuses_shapes();
  refuses_what_is_not_configured();
  refuses_products_that_do_not_fit();
  return checks::result();
}
