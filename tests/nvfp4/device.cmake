# The device side: what the launchers refuse is tested everywhere, the kernels where there is a GPU.
function(reset_add_device_test name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "SIDES;LIBRARIES")
  reset_add_executable(test_${name} ${arg_UNPARSED_ARGUMENTS})
  target_include_directories(test_${name} PRIVATE "${PROJECT_SOURCE_DIR}/tests")
  target_link_libraries(test_${name} PRIVATE reset::reset Catch2::Catch2WithMain ${arg_LIBRARIES})
  # The flags of the C++ compiler, sanitizers among them, link the program.
  set_target_properties(test_${name} PROPERTIES LINKER_LANGUAGE CXX)
  foreach(side IN LISTS arg_SIDES)
    add_test(NAME ${name}.${side} COMMAND test_${name} "[${side}]")
    set_tests_properties(${name}.${side} PROPERTIES TIMEOUT 300 LABELS "nvfp4;${side}" SKIP_RETURN_CODE 77)
  endforeach()
endfunction()

if(RESET_HAS_CUDA)
  reset_add_device_test(nvfp4_kernels device_arguments.cu quantize_device.cu quantize_device_fused.cu
                        quantize_device_graph.cu dequantize_device.cu SIDES host gpu)
  # The bits must not depend on the flags of the engine.
  reset_add_device_test(nvfp4_kernels_fast_math quantize_device.cu quantize_device_fused.cu dequantize_device.cu SIDES gpu)
  target_compile_options(test_nvfp4_kernels_fast_math PRIVATE --use_fast_math)
  reset_add_device_test(nvfp4_kernels_after_gemv quantize_device_after_gemv.cu SIDES gpu)
  # Code for sm_80 alone needs no device to be refused; beside code for a target that the device does not take, it runs.
  reset_add_device_test(nvfp4_old_target dependent_launch.cu SIDES host)
  set_target_properties(test_nvfp4_old_target PROPERTIES CUDA_ARCHITECTURES 80)
  reset_add_device_test(nvfp4_old_target_of_two dependent_launch.cu SIDES gpu)
  set_target_properties(test_nvfp4_old_target_of_two PROPERTIES CUDA_ARCHITECTURES "80-virtual;100a-real")
  # The targets leave open which code runs: the launchers ask, within a capture.
  reset_add_device_test(nvfp4_kernels_of_two_targets quantize_device_graph.cu SIDES gpu)
  set_target_properties(test_nvfp4_kernels_of_two_targets PROPERTIES CUDA_ARCHITECTURES "80-real;90")
  if(TARGET CUDA::cublas)
    reset_add_device_test(nvfp4_cublas dequantize_cublas.cu SIDES gpu LIBRARIES CUDA::cublas)
  endif()
endif()

# What ptxas says of the kernels, an architecture a test.
find_package(Python3 COMPONENTS Interpreter)
if(RESET_HAS_CUDA AND Python3_Interpreter_FOUND)
  foreach(architecture IN ITEMS 80 89 90 100a 120a)
    add_test(NAME nvfp4.resources_${architecture}
             COMMAND Python3::Interpreter "${CMAKE_CURRENT_LIST_DIR}/entry/check_resources.py" "${CMAKE_CUDA_COMPILER}"
                     "${PROJECT_SOURCE_DIR}/include" ${architecture})
    set_tests_properties(nvfp4.resources_${architecture} PROPERTIES LABELS "nvfp4;compile")
  endforeach()
endif()
