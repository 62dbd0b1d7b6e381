// Everything included, nothing called.
#include <reset/reset.cuh>
