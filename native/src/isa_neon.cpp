// NEON, part of every 64-bit ARM processor.
#include <arm_neon.h>

#include "kernels_generic.hpp"
#include "project.hpp"

namespace reconciler {
namespace {

// Four rows (16 bytes of a group) against one query: the products of two
// nibbles fit 16 bits, and pairwise additions keep each row in its lane.
int32x4_t group_sums(int32x4_t sums, uint8x16_t codes, const std::int8_t* a) {
  std::int32_t first, second;
  std::memcpy(&first, a, 4);
  std::memcpy(&second, a + 4, 4);
  const int8x16_t low = vreinterpretq_s8_u8(vandq_u8(codes, vdupq_n_u8(15)));
  const int8x16_t high = vreinterpretq_s8_u8(vshrq_n_u8(codes, 4));
  const int8x16_t left = vreinterpretq_s8_s32(vdupq_n_s32(first));
  const int8x16_t right = vreinterpretq_s8_s32(vdupq_n_s32(second));
  int16x8_t even = vmull_s8(vget_low_s8(low), vget_low_s8(left));
  int16x8_t odd = vmull_s8(vget_high_s8(low), vget_high_s8(left));
  even = vmlal_s8(even, vget_low_s8(high), vget_low_s8(right));
  odd = vmlal_s8(odd, vget_high_s8(high), vget_high_s8(right));
  const int32x4_t pairs = vpaddq_s32(vpaddlq_s16(even), vpaddlq_s16(odd));
  return vaddq_s32(sums, pairs);
}

void scan(const std::uint8_t* head, std::size_t groups, std::size_t blocks,
          const std::int8_t* const* queries, std::size_t count,
          std::int32_t* dots, std::size_t stride) {
  for (std::size_t b = 0; b < blocks; ++b) {
    const std::uint8_t* block = head + b * groups * kGroupBytes;
    for (std::size_t q = 0; q < count; ++q) {
      int32x4_t sums[4];
      for (auto& sum : sums) sum = vdupq_n_s32(0);
      for (std::size_t g = 0; g < groups; ++g) {
        const std::int8_t* a = queries[q] + g * kGroupDims;
        for (std::size_t i = 0; i < 4; ++i) {
          sums[i] = group_sums(
              sums[i], vld1q_u8(block + g * kGroupBytes + 16 * i), a);
        }
      }
      for (std::size_t i = 0; i < 4; ++i) {
        vst1q_s32(dots + q * stride + b * kBlockRows + 4 * i, sums[i]);
      }
    }
  }
}

}  // namespace

extern const Kernels kNeon;
const Kernels kNeon = {
    "neon",
    generic_dot,
    generic_square_distance,
    sieve_strips<scan, generic_select>,
    nullptr,
    each_row_dot<generic_row_dot>,
    generic_rotate,
    project<PortableUnit, 2, 1>,
    generic_encode,
    generic_gae,
};

}  // namespace reconciler
