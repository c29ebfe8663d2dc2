// AMX on a processor without it: its instructions raise SIGILL, and the handler
// does what they would have done. So the kernels run exactly as they are
// compiled for processors with AMX.
#pragma once

namespace amx_emulation {

// Instructions that were emulated so far, in all threads.
unsigned long emulated();

// Whether the calling thread has tiles that it has not released.
bool holds_tiles();

}  // namespace amx_emulation
