// Kernels over ragged trajectories: flat float32 arrays and int64 offsets.
#pragma once

#include <cstddef>
#include <cstdint>

namespace reconciler {

// Trajectory i has the steps from offsets[i] to offsets[i + 1] - 1. The value
// after its last step is bootstrap[i] (nullptr: 0).
struct Trajectories {
  const float* rewards;
  const float* values;
  const float* bootstrap;
  const std::int64_t* offsets;
  std::size_t count;
  float gamma, lam;
  float* advantages;
  float* returns;
};

// Generalised advantage estimation over the steps t of each trajectory:
//   delta_t = r_t + gamma v_(t+1) - v_t
//   A_t = delta_t + gamma lam A_(t+1),   A after the last step is 0
// returns = A + v. What is computed may replace what it is computed from.
// Blocks of 16 steps from the end, each by a scan over strides 1, 2, 4, 8: the
// order of additions depends on the trajectory alone.
void gae(const float* rewards, const float* values, const float* bootstrap,
         const std::int64_t* offsets, std::size_t trajectories, float gamma,
         float lam, float* advantages, float* returns);

}  // namespace reconciler
