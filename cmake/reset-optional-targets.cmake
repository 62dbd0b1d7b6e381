# reset::io and reset::reset on top of reset::host, each where what it needs is found. The build tree and the installed
# package both read this file: the machine that installs the headers need not be the one that uses them.

find_package(nlohmann_json CONFIG QUIET)
if(nlohmann_json_FOUND AND NOT TARGET reset::io)
  add_library(reset::io INTERFACE IMPORTED ${reset_imported_scope})
  target_link_libraries(reset::io INTERFACE reset::host nlohmann_json::nlohmann_json)
endif()

# CUDA 13 keeps CCCL's CMake package in the toolkit's lib*/cmake, where find_package does not look by itself.
find_package(CUDAToolkit QUIET)
if(CUDAToolkit_FOUND)
  find_package(CCCL CONFIG QUIET HINTS "${CUDAToolkit_LIBRARY_DIR}/cmake" "${CUDAToolkit_LIBRARY_ROOT}/lib64/cmake")
endif()
if(CUDAToolkit_FOUND AND CCCL_FOUND AND NOT TARGET reset::reset)
  add_library(reset::reset INTERFACE IMPORTED ${reset_imported_scope})
  target_link_libraries(reset::reset INTERFACE reset::host CUDA::cudart CCCL::CCCL)
endif()
