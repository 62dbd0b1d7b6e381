// The same tests where the mat-vec's headers come first: what those name must not take the place of what this room
// does.
#include <reset/reset.cuh>

#include "quantize_device_fused.cu"
