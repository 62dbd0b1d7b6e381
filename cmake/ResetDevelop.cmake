# What the library's own tests, examples and benchmarks need; consumers of the package never read this file.

if(NOT CMAKE_BUILD_TYPE AND NOT CMAKE_CONFIGURATION_TYPES)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "Build type" FORCE)
endif()

find_program(RESET_CCACHE ccache)
if(RESET_CCACHE)
  set(CMAKE_CXX_COMPILER_LAUNCHER "${RESET_CCACHE}")
  set(CMAKE_CUDA_COMPILER_LAUNCHER "${RESET_CCACHE}")
endif()

# The CUDA language is optional here: without nvcc, or with CMAKE_CUDA_COMPILER set to nothing, the host part stands alone.
if(NOT DEFINED CMAKE_CUDA_COMPILER AND CUDAToolkit_NVCC_EXECUTABLE)
  set(CMAKE_CUDA_COMPILER "${CUDAToolkit_NVCC_EXECUTABLE}")
endif()
set(RESET_HAS_CUDA OFF)
if(CMAKE_CUDA_COMPILER AND TARGET reset::reset)
  if(NOT DEFINED CMAKE_CUDA_ARCHITECTURES)
    set(CMAKE_CUDA_ARCHITECTURES 90)
  endif()
  enable_language(CUDA)
  set(RESET_HAS_CUDA ON)
endif()

# Warnings are errors in this repository's own sources.
function(reset_set_warnings target)
  target_compile_options(
    ${target} PRIVATE $<$<COMPILE_LANGUAGE:CXX>:-Wall -Wextra -Wpedantic -Wconversion -Wshadow -Werror>
                      $<$<COMPILE_LANGUAGE:CUDA>:-Xcompiler=-Wall,-Wextra -Werror all-warnings>)
endfunction()

# reset_add_executable(name sources...): a program of this repository.
function(reset_add_executable name)
  add_executable(${name} ${ARGN})
  reset_set_warnings(${name})
  set_target_properties(${name} PROPERTIES CXX_EXTENSIONS OFF CUDA_EXTENSIONS OFF)
endfunction()
