#include "advantages.hpp"

#include "kernels.hpp"

namespace reconciler {

void gae(const float* rewards, const float* values, const float* bootstrap,
         const std::int64_t* offsets, std::size_t trajectories, float gamma,
         float lam, float* advantages, float* returns) {
  const Kernels& isa = kernels();
  for (std::size_t i = 0; i < trajectories; ++i) {
    const std::int64_t start = offsets[i];
    const auto steps = static_cast<std::size_t>(offsets[i + 1] - start);
    isa.gae(rewards + start, values + start, steps,
            bootstrap != nullptr ? bootstrap[i] : 0.0f, gamma, lam,
            advantages + start, returns + start);
  }
}

}  // namespace reconciler
