reset_add_test(boundary boundary_concept.cpp boundary_token_set.cpp boundary_text.cpp boundary_rules.cpp
               boundary_entropy_shift.cpp)

# Twins: the same type compiles if observe returns a bool, and is refused in words if it returns nothing.
foreach(twin IN ITEMS bool void)
  add_test(NAME boundary.twin_${twin}
           COMMAND ${CMAKE_CXX_COMPILER} -std=c++17 -fsyntax-only -DRESET_TEST_MARK=${twin} -I${PROJECT_SOURCE_DIR}/include
                   ${CMAKE_CURRENT_LIST_DIR}/boundary_twin.cpp)
  set_tests_properties(boundary.twin_${twin} PROPERTIES LABELS boundary)
endforeach()
set_tests_properties(boundary.twin_void PROPERTIES PASS_REGULAR_EXPRESSION "a step detector needs .StepMark observe")

# The same source under nvcc, on the host always and on the device where there is one.
if(RESET_HAS_CUDA)
  reset_add_executable(test_boundary_cuda boundary_cuda.cpp boundary_cuda.cu)
  target_include_directories(test_boundary_cuda PRIVATE "${PROJECT_SOURCE_DIR}/tests")
  target_link_libraries(test_boundary_cuda PRIVATE reset::reset Catch2::Catch2WithMain)
  # The flags of the C++ compiler, sanitizers among them, link the program.
  set_target_properties(test_boundary_cuda PROPERTIES LINKER_LANGUAGE CXX)
  foreach(side IN ITEMS host gpu)
    add_test(NAME boundary_cuda.${side} COMMAND test_boundary_cuda "[${side}]")
    set_tests_properties(boundary_cuda.${side} PROPERTIES TIMEOUT 300 LABELS "boundary;${side}"
                                                          SKIP_REGULAR_EXPRESSION "skipped: no GPU")
  endforeach()
endif()
