// The same tests with the header read by nvcc: host functions of a .cu file behave as those of a .cpp file.
#include "codecs.cpp"
