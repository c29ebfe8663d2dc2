#include "advantages.hpp"

#include "kernels.hpp"

namespace reconciler {

namespace {

constexpr std::size_t kAhead = 2048;  // floats
constexpr std::size_t kLine = 16;

// A trajectory is read backwards but the next one lies forwards: processors
// do not guess this, so they are told.
void prefetch(const float* start, std::size_t count) {
  for (std::size_t i = 0; i < count; i += kLine) {
    __builtin_prefetch(start + i + kAhead);
  }
}

void prefetch_to_write(float* start, std::size_t count) {
  for (std::size_t i = 0; i < count; i += kLine) {
    __builtin_prefetch(start + i + kAhead, 1);
  }
}

}  // namespace

void gae(const float* rewards, const float* values, const float* bootstrap,
         const std::int64_t* offsets, std::size_t trajectories, float gamma,
         float lam, float* advantages, float* returns) {
  const Kernels& isa = kernels();
  for (std::size_t i = 0; i < trajectories; ++i) {
    const std::int64_t start = offsets[i];
    const auto steps = static_cast<std::size_t>(offsets[i + 1] - start);
    prefetch(rewards + start, steps);
    prefetch(values + start, steps);
    prefetch_to_write(advantages + start, steps);
    prefetch_to_write(returns + start, steps);
    isa.gae(rewards + start, values + start, steps,
            bootstrap != nullptr ? bootstrap[i] : 0.0f, gamma, lam,
            advantages + start, returns + start);
  }
}

}  // namespace reconciler
