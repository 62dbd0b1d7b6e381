# The three interface targets. reset::host needs a C++17 compiler and nothing else; the others appear where what they
# need is found, so that a machine without CUDA can still use the host headers.

add_library(reset_host INTERFACE)
add_library(reset::host ALIAS reset_host)
set_target_properties(reset_host PROPERTIES EXPORT_NAME host)
target_compile_features(reset_host INTERFACE cxx_std_17)
target_include_directories(
  reset_host INTERFACE "$<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include>" "$<INSTALL_INTERFACE:include>")

find_package(nlohmann_json CONFIG QUIET)
if(nlohmann_json_FOUND)
  add_library(reset_io INTERFACE)
  add_library(reset::io ALIAS reset_io)
  set_target_properties(reset_io PROPERTIES EXPORT_NAME io)
  target_link_libraries(reset_io INTERFACE reset_host nlohmann_json::nlohmann_json)
endif()

include("${CMAKE_CURRENT_LIST_DIR}/ResetFindCuda.cmake")
if(CUDAToolkit_FOUND AND CCCL_FOUND)
  add_library(reset_reset INTERFACE)
  add_library(reset::reset ALIAS reset_reset)
  set_target_properties(reset_reset PROPERTIES EXPORT_NAME reset)
  target_link_libraries(reset_reset INTERFACE reset_host CUDA::cudart CCCL::CCCL)
endif()
