#include "advantages.hpp"

#include "kernels.hpp"

namespace reconciler {

void gae(const float* rewards, const float* values, const float* bootstrap,
         const std::int64_t* offsets, std::size_t trajectories, float gamma,
         float lam, float* advantages, float* returns) {
  kernels().gae({rewards, values, bootstrap, offsets, trajectories, gamma, lam,
                 advantages, returns});
}

}  // namespace reconciler
