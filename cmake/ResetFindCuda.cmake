# Finds the CUDA Toolkit and the CCCL inside it. CUDA 13 keeps CCCL's CMake package in the toolkit's lib*/cmake, where
# find_package does not look by itself.
find_package(CUDAToolkit QUIET)
if(CUDAToolkit_FOUND)
  find_package(CCCL CONFIG QUIET HINTS "${CUDAToolkit_LIBRARY_DIR}/cmake" "${CUDAToolkit_LIBRARY_ROOT}/lib64/cmake"
                                       "${CUDAToolkit_LIBRARY_ROOT}/lib/cmake")
endif()
