# reset::io and reset::reset on top of reset::host, each where what it needs is found. The build tree and the installed
# package both read this file: the machine that installs the headers need not be the one that uses them.
# `reset_wanted` lists the ones to look for.

# The consumer may have brought nlohmann-json itself.
if("io" IN_LIST reset_wanted AND NOT TARGET nlohmann_json::nlohmann_json)
  find_package(nlohmann_json CONFIG QUIET)
endif()
if("io" IN_LIST reset_wanted AND TARGET nlohmann_json::nlohmann_json AND NOT TARGET reset::io)
  add_library(reset::io INTERFACE IMPORTED ${reset_imported_scope})
  target_link_libraries(reset::io INTERFACE reset::host nlohmann_json::nlohmann_json)
endif()

# CUDA 13 keeps CCCL's CMake package in the toolkit's lib*/cmake, where find_package does not look by itself.
if("reset" IN_LIST reset_wanted)
  find_package(CUDAToolkit QUIET)
  if(CUDAToolkit_FOUND)
    find_package(CCCL CONFIG QUIET HINTS "${CUDAToolkit_LIBRARY_DIR}/cmake" "${CUDAToolkit_LIBRARY_ROOT}/lib64/cmake")
  endif()
endif()
if("reset" IN_LIST reset_wanted AND TARGET CUDA::cudart AND TARGET CCCL::CCCL AND NOT TARGET reset::reset)
  add_library(reset::reset INTERFACE IMPORTED ${reset_imported_scope})
  target_link_libraries(reset::reset INTERFACE reset::host CUDA::cudart CCCL::CCCL)
endif()
