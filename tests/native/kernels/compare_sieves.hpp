// What codes rows, and what bounds them by their codes.
#pragma once

#include "inputs.hpp"
#include "kernels.hpp"

namespace reconciler {

// Codes and their constants have the same bits.
void compare_codes(const Kernels& level, const Kernels& portable,
                   inputs::Source source);

// The same rows pass, but for those within the rounding of the threshold.
void compare_sieves(const Kernels& level, const Kernels& portable,
                    inputs::Source source);

// The same for octets, against the generic kernel: they may be nobody's.
void compare_octets(const Kernels& level, inputs::Source source);

}  // namespace reconciler
