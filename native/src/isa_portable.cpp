// Plain C++: runs everywhere.
#include "kernels_generic.hpp"

namespace reconciler {

extern const Kernels kPortable;
const Kernels kPortable = {
    "portable",    generic_dot,     generic_square_distance, generic_scan,
    generic_bound, generic_select,  each_low_dot<generic_low_dot>,         generic_rotate,
    generic_encode, generic_gae,
};

}  // namespace reconciler
