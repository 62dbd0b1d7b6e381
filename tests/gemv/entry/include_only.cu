// Everything included, nothing called: no kernel is compiled.
#include <reset/reset.cuh>
