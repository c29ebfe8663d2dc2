// Plain C++: runs everywhere.
#include "kernels_generic.hpp"
#include "project.hpp"

namespace reconciler {

extern const Kernels kPortable;
const Kernels kPortable = {
    "portable",
    generic_dot,
    generic_square_distance,
    sieve_strips<generic_scan, generic_select>,
    generic_sieve_octets,
    each_row_dot<generic_row_dot>,
    generic_rotate,
    project<PortableUnit, 1, 1>,
    generic_encode,
    generic_gae,
};

}  // namespace reconciler
