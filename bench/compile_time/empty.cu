// What nvcc takes for nothing of ours.
#include <cuda_runtime.h>
